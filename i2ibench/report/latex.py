"""Leaderboards as LaTeX (booktabs), for a paper: from a template, with every name escaped."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from i2ibench.report.board import Board, Column, Row
from i2ibench.report.drawing import listed
from i2ibench.report.overall import Overall
from i2ibench.report.tables import number, places, ranking_note

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "'": "'", "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}",
    "–": "--", "—": "---", "’": "'", "−": r"\textminus{}", "±": r"$\pm$", "×": r"$\times$", "…": r"\ldots{}",
}  # fmt: skip
ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip


def render(
    name: str,
    boards: Sequence[Board],
    standings: Overall | None = None,
    stamps: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """One `table*` per board, as wide as both columns of a paper that has two, and one of the standings.

    The document needs \\usepackage{booktabs,graphicx,textcomp} and nothing else.

    Args:
        standings: over all data sets, where there are several.
        stamps: from `frames.stamps`; the captions name the protocol.
    """
    return _template().render(
        name=name, boards=boards, stamps=stamps or {}, places=standings and places(standings), cell=cell,
        note=ranking_note, flagged=_flagged, protocol=_protocol, costs=("parameters", "train_seconds"),
    )  # fmt: skip


def _flagged(board: Board) -> dict[str, str]:
    """Each flag, and the rows that have it, as a list."""
    flags = dict.fromkeys(flag for row in board.rows for flag in row.flags)
    return {flag: listed([row.label for row in board.rows if flag in row.flags]) for flag in flags}


def _protocol(stamp: Mapping[str, Any]) -> str:
    """What scores were made under, and over how many images, as a sentence."""
    counts = sorted({metric["generated"] for metric in stamp["metrics"].values() if "generated" in metric})
    return f"Protocol {stamp['name']}{f', {listed([*map(str, counts)])} outputs' if counts else ''}."


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        block_start_string="<%", block_end_string="%>", variable_start_string="<<", variable_end_string=">>",
        comment_start_string="<#", comment_end_string="#>",
    )  # fmt: skip
    environment.filters["tex"] = escape
    return environment.get_template("leaderboard.tex")


def escape(words: str) -> str:
    """Text of unknown origin as LaTeX that shows it; letters that plain LaTeX fonts lack become their code points."""
    return "".join(map(_letter, " ".join(words.split())))


def _letter(letter: str) -> str:
    if letter in SPECIAL:
        return SPECIAL[letter]
    if letter.isascii():
        return letter if letter.isprintable() else ""
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in ACCENTS:
        dotless = {"i": r"\i", "j": r"\j"}.get(base, base) if ACCENTS[marks[0]] != "c" else base
        return f"\\{ACCENTS[marks[0]]}{{{dotless}}}"
    return f"U+{ord(letter):04X}"


def cell(row: Row, column: Column) -> str:
    """Mean and half-width; bold where best, underlined where tied with the best."""
    summary = row.cells.get(column.name)
    if summary is None:
        return "--"
    if column.kind == "cost":
        return escape(number(column, summary.mean))
    mean = number(column, summary.mean).replace("−", "-")  # which math mode sets as a minus
    spread = "" if summary.half_width is None else rf" \pm {number(column, summary.half_width)}"
    if column.name in row.best:
        return rf"$\mathbf{{{mean}}}{spread}$"
    return rf"\underline{{${mean}{spread}$}}" if column.name in row.tied else f"${mean}{spread}$"
