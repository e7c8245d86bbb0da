"""What a number came from: source code, packages, hardware."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from i2ibench import machine
from i2ibench.disk import write_json

DIFF_CHARACTERS = 50_000  # of `git diff`, kept with each trial
SETTLED_SECONDS = 5.0  # a file that changed later than that may change again within a tick of its clock
VERSION = 3  # of how a file's meaning is hashed: raise it when that changes
MOST_REMEMBERED = 2000  # digests of files, before all are forgotten
PACKAGES = ("i2ibench", "torch", "numpy", "ray", "torch-fidelity", "lpips", "scikit-image", "pillow", "diffusers")
# What a trained network depends on besides its method's own file.
TRAINING_CODE = (
    "anysize.py",
    "nn/*.py",
    "data/batches.py",
    "data/cutting.py",
    "data/domains.py",
    "data/jitter.py",
    "build.py",
    "checkpoints.py",
    "compiling.py",
    "dataset.py",
    "distributed.py",
    "helper.py",
    "method.py",
    "options.py",
    "policy.py",
    "randomness.py",
    "training.py",
    "translation.py",
    "trial.py",
    "turns.py",
    "weights.py",
    "widening.py",
)


@cache
def _meaning(source: bytes) -> str:
    """The hash of a file's syntax tree without docstrings."""
    return hashlib.sha256(repr(_plain(ast.parse(source))).encode()).hexdigest()


def _plain(node: Any) -> Any:
    """A syntax tree as tuples and lists: a third of the time of `ast.dump`, which a plan would spend on 50 files."""
    if isinstance(node, list):
        return [_plain(member) for member in node]
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
        node.body = node.body[1:]
    if isinstance(node, ast.JoinedStr):  # Python 3.12.1 ends the format of f"{x:{width}}" with an empty string
        node.values = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
    values = ((field, getattr(node, field, None)) for field in node._fields)
    # `type_params` came with Python 3.12: where there are none, a file is the same in 3.11.
    return (type(node).__name__, *(_plain(value) for field, value in values if value or field != "type_params"))


def code_digest(*files: Path) -> str:
    """A hash of what Python files do: of their syntax trees, so that comments, docstrings and layout do not count.

    Those of files that have their time and size since are remembered beside the assets: to parse 50 files takes long.
    """
    known = _remembered()
    before, digests = len(known), []
    for file in files:
        status = file.stat()
        # Where a copy keeps times, what the system says of the file itself still changes.
        same = status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size
        key = f"{file.absolute()}|{same}|Python {sys.version_info[:2]}|{VERSION}"
        digest = known.get(key) or _meaning(file.read_bytes())
        if time.time() - status.st_mtime > SETTLED_SECONDS:
            known[key] = digest
        digests.append(digest)
    if len(known) > before:
        _remember(known)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _memory() -> Path:
    from i2ibench.assets import cache_dir

    return cache_dir() / "code.json"


@cache
def _remembered() -> dict[str, str]:
    try:
        found = json.loads(_memory().read_text(encoding="utf-8"))
        return found if isinstance(found, dict) and len(found) < MOST_REMEMBERED else {}
    except (OSError, ValueError):
        return {}


def _remember(known: dict[str, str]) -> None:
    with suppress(OSError):  # a folder that cannot be written costs time only
        write_json(_memory(), known)


@cache
def training_digest() -> str:
    """The hash of the harness's code that training runs through."""
    package = Path(__file__).parent
    return code_digest(*(file for pattern in TRAINING_CODE for file in sorted(package.glob(pattern))))


version_of = cache(version)  # of an installed package: looking takes milliseconds, and a trial asks for dozens


def packages() -> dict[str, str]:
    """Installed versions of what the numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version_of(name)
        except PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict[str, Any]:
    """Revision of the repository around `folder`, and how its files were changed since; empty outside of one."""

    def git(*arguments: str) -> str:
        run = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
        return run.stdout.strip()

    try:
        return {
            "revision": git("rev-parse", "HEAD"),
            "dirty": bool(diff := git("diff", "HEAD")),
            **({"diff": diff[:DIFF_CHARACTERS]} if diff else {}),
        }
    except (OSError, subprocess.SubprocessError):
        return {}


def hardware() -> dict[str, Any]:
    """Host, processor and accelerators, as torch sees them where it is loaded already."""
    found: dict[str, Any] = {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": machine.processor(),
        "cores": machine.cores(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def collect() -> dict[str, Any]:
    """Everything above, for a trial's result."""
    return {"packages": packages(), "hardware": hardware(), "git": git_state(Path(__file__).parent)}
