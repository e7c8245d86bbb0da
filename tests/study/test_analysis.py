"""From answers to the report: raters with known eyes, one who does not look, and everything that shows the result."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from i2ibench import benchmark
from i2ibench.joint import join
from i2ibench.plan import Plan
from i2ibench.report import build, human
from i2ibench.report.style import Looks
from i2ibench.store import Store
from i2ibench.study import analysis, words
from i2ibench.study.answers import Answers
from i2ibench.study.design import NOISE, REAL, cells
from i2ibench.study.material import Material

CommandLine = Callable[..., tuple[int, str, str]]
BLUR = {REAL: 0.0, "pix2pix": 0.5, "<i>cycle": 1.0, "cvae": 2.0, NOISE: 9.0}
RATERS, BLIND = 7, 5


def answered(plan: Plan, store: Store, sharpness: float = 2) -> None:
    """Six raters who prefer what is sharp and err at times, and one who presses a key without looking."""
    label = {spec.id: spec.label for spec in plan.trials}
    material = Material(plan.trials, store)
    pool = cells(material.rows, material.chosen(8)[0], ("real", "better"))
    answers, rng = Answers(store.path), np.random.default_rng(0)
    answers.create()
    for rater in range(RATERS):
        code = answers.enrol(pool, 24, exposure=1.0)
        while (waiting := answers.state(code)[2]) is not None:
            cell = waiting.question.cell
            a, b = (BLUR[label.get(which, which)] for which in (cell.a, cell.b))
            chose_a = rng.random() < 1 / (1 + np.exp(sharpness * (a - b)))
            left = True if rater == BLIND else chose_a == waiting.question.a_is_left
            answers.answer(code, waiting.place, bool(left), 2.0)


def test_who_always_won_or_lost_has_no_interval_of_strength(judged: Path) -> None:
    plan, store = benchmark.load(judged)
    answered(plan, store, sharpness=50)
    (found,) = analysis.of_plan(plan, store)
    best, middle, worst = found.preferred
    assert (best.share.value, worst.share.value) == (1, 0)
    assert best.low is best.high is worst.low is worst.high is None
    assert middle.low is not None


def test_what_raters_saw_is_what_is_found(judged: Path, command_line: CommandLine) -> None:
    plan, store = benchmark.load(judged)
    assert analysis.of_plan(plan, store) == []
    assert "nobody has answered" in command_line("study", judged, "--results")[1]
    before = benchmark.digest(plan, store)
    answered(plan, store)
    assert benchmark.digest(plan, store) != before, "the next report is another"
    (found,) = analysis.of_plan(plan, store)
    assert (found.data, found.raters, found.excluded, found.answers, found.images) == ("shapes", 6, 1, 144, 8)
    assert found.seconds == 2.0
    assert [row.label for row in found.preferred] == ["pix2pix", "<i>cycle", "cvae"]
    assert [row.label for row in found.fooling] == ["pix2pix", "<i>cycle", "cvae"]
    assert found.fooling[0].exposures == (1.0,)
    strengths = [row.strength for row in found.preferred]
    np.testing.assert_allclose(strengths, [4 / 3, 1 / 3, -5 / 3], atol=0.8)  # twice the blur, around its mean
    assert all(row.low is not None and row.high is not None for row in found.preferred)
    pairs = {(pair.a, pair.b): pair.share for pair in found.pairs}
    assert set(pairs) == {("<i>cycle", "cvae"), ("<i>cycle", "pix2pix"), ("cvae", "pix2pix")}
    assert sum(share.n for share in pairs.values()) + sum(row.share.n for row in found.fooling) == 144
    assert pairs["cvae", "pix2pix"].value < 0.2 < pairs["<i>cycle", "cvae"].value
    agreed = {one.kind: one for one in found.agreement}
    assert agreed["better"].answers > agreed["better"].questions > 10
    assert 0.2 < agreed["better"].alpha < 1
    assert "1 left out" in words.note(found)

    code, out, _ = command_line("study", judged, "--results")
    assert code == 0
    assert "144 answers of 6 raters to 8 images" in out
    assert "<i>cycle" in out
    code, out, _ = command_line("study", store.path, "--json")
    assert code == 0
    assert json.loads(out)[0]["preferred"][0]["label"] == "pix2pix"

    (board,) = build(plan, store).boards
    assert board.human == found
    drawing = human.drawing(board, Looks(["cvae", "pix2pix", "<i>cycle"], ["copy"]))
    assert drawing is not None
    assert "pix2pix" in drawing.alt
    code, out, err = command_line("report", judged, "--figures", 0)
    assert code == 0, err
    page = (judged.parent / "reports" / "judged" / "index.html").read_text(encoding="utf-8")
    assert "Human study" in page
    assert "144 answers of 6 raters" in page
    assert "&lt;i&gt;cycle" in page
    assert "<i>cycle" not in page


def test_nothing_is_claimed_where_nobody_counts(judged: Path) -> None:
    plan, store = benchmark.load(judged)
    material = Material(plan.trials, store)
    answers = Answers(store.path)
    answers.create()
    code = answers.enrol(cells(material.rows, material.chosen(4)[0], ("better",)), 4)
    while (waiting := answers.state(code)[2]) is not None:
        wrong = waiting.question.check and waiting.question.a_is_left
        answers.answer(code, waiting.place, chose_left=not wrong, seconds=1.0)
    (found,) = analysis.of_plan(plan, store)
    assert (found.answers, found.raters, found.excluded, found.preferred, found.seconds) == (0, 0, 1, (), None)
    assert words.note(found) == f"1 left out: {analysis.RULE}."
    (board,) = build(plan, store).boards
    assert human.drawing(board, Looks([], [])) is None


def test_answers_about_other_trials_are_left_out(judged: Path) -> None:
    plan, store = benchmark.load(judged)
    answered(plan, store)
    fewer = judged.with_name("fewer.yaml")
    text = judged.read_text(encoding="utf-8").replace("cvae: {preset: tiny}", "unit: {preset: tiny}")
    fewer.write_text(text, encoding="utf-8")
    (found,) = analysis.of_plan(*benchmark.load(fewer))
    assert {row.label for row in found.preferred} == {"pix2pix", "<i>cycle"}
    assert [(pair.a, pair.b) for pair in found.pairs] == [("<i>cycle", "pix2pix")]
    assert [row.label for row in found.fooling] == ["pix2pix", "<i>cycle"]


def test_runs_that_are_compared_bring_their_own_raters(judged: Path) -> None:
    plan, store = benchmark.load(judged)
    answered(plan, store)
    elsewhere = judged.parent / "elsewhere"
    shutil.copytree(store.path, elsewhere / "runs")
    other = elsewhere / "other.yaml"
    text = judged.read_text(encoding="utf-8").replace(f"store: {judged.parent}", f"store: {elsewhere}")
    other.write_text(text.replace("name: judged", "name: other"), encoding="utf-8")
    other_plan, other_store = benchmark.load(other)
    for spec in other_plan.trials:
        other_store.trial(spec.id).write_result({"cost": {"train_seconds": 2.0}})  # trained anew, elsewhere
    both = join([(plan, store), (other_plan, other_store)])
    (found,) = analysis.of_plan(both.plan, both.store)
    (alone,) = analysis.of_plan(plan, store)
    assert (found.raters, found.answers, found.excluded) == (12, 288, 2)
    assert len(found.preferred) == 2 * len(alone.preferred)
    assert len(found.pairs) == 2 * len(alone.pairs), "nobody was asked about rows of both"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ask", "worse"], "none of better, real, both"),
        (["--exposure", "1"], "--ask real"),
        (["--consent", "nowhere.txt"], "cannot be read"),
        (["--data", "facades"], "choose from shapes"),
        (["--host", "256.0.0.1"], "cannot be listened on"),
    ],
)
def test_mistakes_are_one_line(judged: Path, command_line: CommandLine, arguments: list[str], message: str) -> None:
    code, _, err = command_line("study", judged, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
