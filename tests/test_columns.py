"""Tables on a terminal: what stays whole, what is left out, and how wide they get."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from i2ibench.columns import Columns

ROWS = [
    ("palette sample_steps=2", "glyphs", 0, "40", "translating", "", "palette-glyphs-s0-ab3ab3543c"),
    ("copy", "glyphs", 1, "-", Text("done", style="green"), "", "copy-glyphs-s1-5321fcf9c9"),
]
HEADER = ("method", "data", "seed", "steps", "state", "loss", "trial")


def lines(columns: Columns, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(columns)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 120])
def test_no_word_is_broken_where_all_fit(width: int) -> None:
    shown = lines(Columns(HEADER, ROWS, title="[red]live", right=("seed", "steps")), width)
    words = " ".join(shown).split()
    assert {"sample_steps=2", "translating", "palette-glyphs-s0-ab3ab3543c", "copy-glyphs-s1-5321fcf9c9"} <= set(words)
    assert max(map(len, shown)) <= width
    assert shown[0] == "[red]live"  # a name is no markup
    assert len(shown) == (6 if width == 80 else 5)  # at 80 columns one label takes two lines, and nothing else does


def test_a_column_that_is_empty_is_left_out() -> None:
    assert lines(Columns(HEADER, ROWS), 120)[0].split() == [name for name in HEADER if name != "loss"]
    assert lines(Columns(HEADER, []), 120)[0].split() == list(HEADER)


def test_numbers_stand_flush_right() -> None:
    assert lines(Columns(("steps", "of"), [(2, "a"), (2000, "b")], right=("steps",)), 80)[2:] == [
        "    2  a",
        " 2000  b",
    ]


def test_where_words_do_not_fit_they_are_broken_and_nothing_is_lost() -> None:
    shown = lines(Columns(("trial",), [("x" * 50,)]), 20)
    assert max(map(len, shown)) <= 20
    assert "".join(shown[2:]) == "x" * 50
