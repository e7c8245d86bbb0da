"""leaderboard.tex: it compiles, whatever the names are, and shows what the board shows."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2ibench import frames
from i2ibench.report import latex, leaderboard, overall, significance

NAMES = (
    "a_b & c%",
    "$\\frac{1}{2}$ ^~#",
    '<b>"it\'s"</b> | `x`',
    "Fréchet Bińkowski Ångström",
    "日本語 ±1 – 2×3…",
    "[x]{y}\\",
)
STAMP = {"name": "offline", "metrics": {"fid": {"generated": 60}, "ssim": {"generated": 6}}}
DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs,graphicx,textcomp}
\begin{document}
%s
\end{document}
"""


def made(benchmark: Any) -> str:
    for i, name in enumerate(NAMES):
        for seed in range(3):
            values = {
                "fid": 10.0 + i + seed / 9,
                "kid": 0.1,
                "lpips": 0.1 + i / 10 + seed / 99,
                "ssim": 0.5,
                "psnr": 9.0,
            }
            benchmark.finish(replace(benchmark.spec(f"m{i}", seed), label=name), values)
            last = replace(benchmark.plan.trials[-1], label=name)
            benchmark.plan = replace(benchmark.plan, trials=(*benchmark.plan.trials[:-1], last))
    benchmark.references()
    boards = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    per_image = frames.per_image(benchmark.plan, benchmark.store, "glyphs", NAMES)
    boards = [significance.compared(board, per_image) for board in boards]
    standings = overall.build([*boards, replace(boards[0], data=NAMES[0])])
    return latex.render(NAMES[1], boards, standings, {"glyphs": STAMP})


def test_it_has_a_row_for_each_method_with_a_cell_for_each_column(benchmark: Any) -> None:
    text, places = made(benchmark).split(r"\caption{Overall")
    head, *rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == len(NAMES) + 2
    assert {len(re.findall(r"(?<!\\)&", row)) for row in (head, *rows)} == {8}  # seeds, rank, five scores, parameters
    assert head.count(r"$\downarrow$") == 3
    assert head.count(r"$\uparrow$") == 2
    assert r"$\mathbf{10.1} \pm 0.3$" in rows[0]
    assert "best" not in rows[-1]
    assert "Protocol offline, 6 and 60 outputs." in text
    head, *rows = [line for line in places.splitlines() if line.endswith(r"\\")]
    assert head == r"Method & Mean place & First on & glyphs & a\_b \& c\% \\"
    assert rows[0] == r"a\_b \& c\% & 1 & 2 & 1 & 1 \\"
    assert len(rows) == len(NAMES)


def test_a_flag_is_said_once_with_all_that_have_it(benchmark: Any) -> None:
    bad = {"fid": 90.0, "kid": 0.9, "lpips": 0.9, "ssim": 0.1, "psnr": 3.0}
    for label in ("one", "two"):
        benchmark.finish(benchmark.spec(label, 0), bad)
    benchmark.references()
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    assert r"$^\dagger$\,Worse than copy: one and two." in latex.render("x", [board])


@given(st.text())
def test_escaped_text_holds_no_command_of_its_own(words: str) -> None:
    plain = latex.escape(words)
    assert plain.isascii()
    rest = re.sub(r"\\[a-zA-Z]+\{\}|\\[{}$&#%_]|\\.\{\\?[a-zA-Z]\}|\{[\[\]]\}|\$\\(pm|times)\$", "", plain)
    assert not set(rest) & set("\\{}$&#%_~^")


@pytest.mark.slow
def test_it_compiles(benchmark: Any, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex on this machine (Debian: apt-get install texlive-latex-recommended)")
    (tmp_path / "paper.tex").write_text(DOCUMENT % made(benchmark), encoding="utf-8")
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
