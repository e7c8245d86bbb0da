"""Every error that i2ibench raises on purpose: one line that says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


class I2IBenchError(Exception):
    """Root of all errors meant for the user. The command line prints its text alone and exits with 2."""

    def __str__(self) -> str:
        return readable(super().__str__())


class ConfigError(I2IBenchError):
    """A benchmark file, a parameter or a command-line value that cannot be used."""


class DataError(I2IBenchError):
    """A data set that cannot be read: missing, empty, undecodable or unpaired where pairs are needed."""


class AssetError(I2IBenchError):
    """Pretrained weights or an archive that is missing, or whose checksum is wrong."""


class StoreError(I2IBenchError):
    """The store or the report folder cannot be written, or holds what it should not."""


class TrialError(I2IBenchError):
    """A trial that failed while it ran. Its message is what the leaderboard shows."""


class DivergedError(TrialError):
    """A loss became NaN or infinite. The message names the step and the loss."""


class CrashedError(TrialError):
    """A process that worked on the trial was killed. Nothing is known to be wrong with the trial: begin it again."""


class Interrupted(I2IBenchError):
    """A trial that was asked to stop: its checkpoint is written, and the next run goes on from it."""


class Stopped(KeyboardInterrupt):
    """A signal asked the whole run to leave."""

    def __init__(self, signal: int) -> None:
        super().__init__()
        self.signal = signal


def absent(path: Path, wanted: str = "file") -> str:
    """What is wrong with a path at which there is no file (or "folder", or "file or folder"), in the words of all."""
    if not path.exists() and path.is_symlink():
        return f"{path}: is a link that leads to no {wanted}"
    return f"{path}: {f'is no {wanted}' if path.exists() else f'there is no such {wanted}'}"


def readable(text: str) -> str:
    """The text as any file and figure takes it: what of a file's name is not UTF-8 is spelled out ("caf\\udce9")."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(error: BaseException) -> str:
    """What an error says, without its line breaks; or its kind, where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of what a library says; the others are advice for those who mend it."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest valid name, and all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}available: {', '.join(known)}"


def few(names: Sequence[str]) -> str:
    """The first three of some names: "a, b, c and 4 more"."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def counted(number: int, noun: str) -> str:
    """1 and "trial" -> "1 trial", 2 -> "2 trials"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
