"""The page of a study on loopback: raters come, answer one question after the other, and may go on another day."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from i2ibench import loopback
from i2ibench.errors import ConfigError, I2IBenchError
from i2ibench.study.answers import Answers, Full, UnknownRater, plain
from i2ibench.study.design import Kind, cells, practice_cells
from i2ibench.study.material import Material

LONGEST = 24 * 3600.0  # seconds of an answer
ASKED: dict[Kind, str] = {"better": "which you find the better translation", "real": "which you take for the real one"}


def consent_to(kinds: Sequence[Kind]) -> str:
    """What raters agree to, where nobody has written anything else."""
    asked = " or ".join(ASKED[kind] for kind in kinds)
    return (
        f"You will see pairs of images, some of them made by computer programs, and say {asked}. "
        "Your choices are kept, with the time that each took, under a random code; your name, address and "
        "browser are not. Taking part is voluntary, and you may stop at any moment without giving a reason."
    )


class Study:
    """What is asked, of which images, and where the answers go."""

    def __init__(
        self,
        material: Material,
        answers: Answers,
        kinds: Sequence[Kind] = ("better",),
        *,
        images: int = 20,
        questions: int = 40,
        practice: int = 0,
        exposure: float | None = None,
        seed: int = 0,
        consent: str | None = None,
    ) -> None:
        """Args: `images` of each data set, `questions` of each rater, after `practice`, seconds of `exposure` if real.

        Raises:
            ConfigError: there is nothing to ask.
            StoreError: the answers cannot be written.
        """
        asked, practised = material.chosen(images, practice)
        self.pool = cells(material.rows, asked, kinds, material.unrelated, seed)
        self.practice = practice_cells(material.rows, practised, kinds, material.unrelated, material.paired)
        self.rounds = min(practice, len(self.practice))
        if not self.pool:
            raise ConfigError("--ask better needs two trained methods on one data set; train another, or --ask real")
        answers.create()
        self.material, self.answers, self.consent = material, answers, consent or consent_to(kinds)
        self.count, self._exposure, self._seed = min(questions, len(self.pool)), exposure, seed

    def begin(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A new rater: {"code"} and what `go_on` answers."""
        if asked.get("consent") is not True:
            raise ConfigError("nobody takes part without having agreed")
        code = self.answers.enrol(
            self.pool, self.count, self._seed, self._exposure, practice=self.practice, rounds=self.rounds
        )
        return self.go_on({"code": code})

    def go_on(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Where a rater is: {"code", "done", "total", "question"}, the question None at the end.

        A question is {"place", "kind", "practice", "exposure", "left", "right", "input"}, images as PNG in base64.
        Nothing in it says what the images are, or whether it is a check.
        """
        code = _text(asked.get("code"))
        done, total, found = self.answers.state(code)
        question = None
        if found is not None:
            try:
                a, b, of = self.material.shown(found.question.cell)
            except (KeyError, IndexError):
                raise Gone("these questions are about images that are no longer here; begin anew") from None
            left, right = (a, b) if found.question.a_is_left else (b, a)
            question = {
                "place": found.place,
                "kind": found.question.cell.kind,
                "practice": found.question.practice,
                "exposure": found.exposure,
                "left": _base64(left),
                "right": _base64(right),
                "input": of and _base64(of),
            }
        return {"code": plain(code), "done": done, "total": total, "question": question}

    def choose(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Write an answer down, and go on. One that comes twice (a lost reply) is kept as it came first.

        To practice, the reply has "told" besides: {"right": whether the choice was, "side": which was}.
        """
        place, choice, seconds = asked.get("place"), asked.get("choice"), asked.get("seconds")
        if choice not in ("left", "right"):
            raise ConfigError("the choice is left or right")
        if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < 1 << 31:
            raise ConfigError("there is no such question")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST:
            raise ConfigError("the time is a number of seconds")
        code = _text(asked.get("code"))
        question = self.answers.question(code, place)
        self.answers.answer(code, place, choice == "left", float(seconds))
        if not question.practice:
            return self.go_on(asked)
        side = "left" if question.a_is_left else "right"
        return {**self.go_on(asked), "told": {"right": choice == side, "side": side}}


class Gone(I2IBenchError):
    """The benchmark has changed since the rater began."""


class Handler(loopback.AppHandler):
    """GET / is the page and /about its words; POST /begin, /next and /answer are what `Study` does."""

    file = Path(__file__).with_name("page.html")
    most = 4096, "4096 bytes"
    statuses: ClassVar = {UnknownRater: 404, Gone: 410, Full: 503}

    def refusal(self, error: Exception) -> tuple[int, dict[str, str]]:
        if isinstance(error, sqlite3.Error):  # a full disk, say; the page asks again
            return 503, {"error": "the answer could not be kept: try again in a moment"}
        return super().refusal(error)


def serve(study: Study, port: int = 0, host: str = "127.0.0.1") -> loopback.PageServer:
    """A server that listens; as `loopback.listen`."""
    gets = {"/about": lambda: {"consent": study.consent}}
    posts = {"/begin": study.begin, "/next": study.go_on, "/answer": study.choose}
    return loopback.listen(partial(Handler, gets=gets, posts=posts), host, port)


def _text(content: object) -> str:
    return content if isinstance(content, str) else ""


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
