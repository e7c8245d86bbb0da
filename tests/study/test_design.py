"""The plan of questions: every cell equally often, on both sides alike, whoever comes and whoever leaves."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from i2ibench.study.design import NOISE, REAL, Cell, Question, assign, cells, practice_cells, practise

KEY = tuple[str, str, int, str, str]
few = settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def pools(draw: st.DrawFn) -> list[Cell]:
    rows = {
        f"m{i}": [f"m{i}-s{seed}" for seed in range(draw(st.integers(1, 3)))] for i in range(draw(st.integers(2, 4)))
    }
    images = sorted(draw(st.sets(st.integers(0, 50), min_size=1, max_size=7)))
    kinds = draw(st.sampled_from([("better",), ("real",), ("real", "better")]))
    return cells({"d": rows}, {"d": images}, kinds, seed=draw(st.integers(0, 3)))


def asked(questions: list[Question]) -> dict[KEY, tuple[int, int]]:
    sides = Counter((question.cell.key, question.a_is_left) for question in questions if not question.check)
    return {key: (sides[key, True], sides[key, False]) for key, _ in sides}


@few
@given(pools(), st.integers(1, 12), st.integers(1, 30), st.integers(0, 99))
def test_every_cell_is_asked_equally_often_and_on_both_sides(
    pool: list[Cell], raters: int, count: int, seed: int
) -> None:
    given_out: list[Question] = []
    for rater in range(raters):
        own = assign(pool, asked(given_out), count, random.Random(f"{seed} {rater}"))
        questions = [question for question in own if not question.check]
        assert len(questions) == min(count, len(pool))
        assert len({question.cell.key for question in questions}) == len(questions), "nobody is asked the same twice"
        given_out += own
    sides = asked(given_out)
    times = [sum(sides.get(cell.key, (0, 0))) for cell in pool]
    assert max(times) - min(times) <= 1
    assert all(abs(left - right) <= 1 for left, right in sides.values())
    lean: Counter[tuple[str, ...]] = Counter()
    for question in given_out:
        lean[question.cell.group] += 0 if question.check else 1 if question.a_is_left else -1
    assert max(map(abs, lean.values())) <= 2, "each method of a pair stands left as often as right"


@few
@given(pools(), st.integers(1, 20), st.data())
def test_who_leaves_is_made_up_for(pool: list[Cell], count: int, data: st.DataObject) -> None:
    times = {cell.key: data.draw(st.tuples(st.integers(0, 4), st.integers(0, 4))) for cell in pool}
    questions = [q for q in assign(pool, times, count, random.Random(0)) if not q.check]
    chosen = {question.cell.key for question in questions}
    rest = [sum(times[cell.key]) for cell in pool if cell.key not in chosen]
    assert not rest or max(sum(times[key]) for key in chosen) <= min(rest), "the least asked come first"
    for question in questions:
        left, right = times[question.cell.key]
        assert question.a_is_left == (left < right) or left == right


@few
@given(pools(), st.integers(6, 40), st.integers(0, 99))
def test_checks_come_early_and_stand_on_both_sides(pool: list[Cell], count: int, seed: int) -> None:
    questions = assign(pool, {}, count, random.Random(seed))
    at = [i for i, question in enumerate(questions) if question.check]
    assert at[0] < 6
    assert len(at) == max(2, -(-(len(questions) - len(at)) // 8))
    checks = [questions[i] for i in at]
    assert {(check.cell.a, check.cell.b) for check in checks} == {(REAL, NOISE)}
    assert abs(sum(1 if check.a_is_left else -1 for check in checks)) <= 1
    kinds = [kind for kind, _ in itertools.groupby(question.cell.kind for question in questions)]
    assert len(kinds) == len(set(kinds)), "one kind after the other"


@few
@given(pools(), st.integers(1, 30))
def test_a_rater_sees_all_pairs_about_equally_often(pool: list[Cell], count: int) -> None:
    own = [question for question in assign(pool, {}, count, random.Random(0)) if not question.check]
    seen = Counter(question.cell.group for question in own)
    groups = {cell.group for cell in pool}
    assert max(seen[group] for group in groups) - min(seen[group] for group in groups) <= 1


def test_what_is_asked() -> None:
    rows = {"d": {"b": ["b-0", "b-1"], "a": ["a-0"], "vae": ["v-0"]}}
    pool = cells(rows, {"d": [3, 5, 8, 9]}, ("real", "better"), unrelated=frozenset({"vae"}))
    pairs = Counter((cell.kind, *cell.group[2:]) for cell in pool)
    assert pairs == {("real", REAL, "a"): 4, ("real", REAL, "b"): 4, ("real", REAL, "vae"): 4, ("better", "a", "b"): 4}
    assert Counter(cell.b for cell in pool if cell.group[3] == "b" and cell.kind == "better") == {"b-0": 2, "b-1": 2}
    assert {cell.image for cell in pool} == {3, 5, 8, 9}
    assert [cell.key for cell in pool] != [
        cell.key for cell in cells(rows, {"d": [3, 5, 8, 9]}, ("real", "better"), seed=1)
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_few_questions_are_checked_too(count: int) -> None:
    pool = cells({"d": {"a": ["a"], "b": ["b"]}}, {"d": [0]}, ("better",))
    assert len(assign(pool, {}, count, random.Random(0))) == (3 if count else 0)


def test_rows_that_show_one_trial_are_not_held_against_each_other() -> None:
    pool = cells({"d": {"x": ["t"], "y": ["t"], "z": ["u"]}}, {"d": [0, 1]}, ("better",))
    assert {(cell.a, cell.b) for cell in pool} == {("t", "u")}


def test_practice_has_right_answers() -> None:
    rows = {"twins": {"m": ["m-s0", "m-s1"], "gan": ["gan-s0"]}, "loose": {"m": ["m-s2"], "gan": ["gan-s1"]}}
    images = {"twins": [3, 5], "loose": [1]}
    pool = practice_cells(rows, images, ("real", "better"), frozenset({"gan"}), frozenset({"twins"}))
    real = {("twins", 3, "m-s0"), ("twins", 5, "m-s1"), ("twins", 3, "gan-s0"), ("twins", 5, "gan-s0")}
    found = {kind: {(c.data, c.image, c.a, c.b) for c in pool if c.kind == kind} for kind in ("real", "better")}
    twins = {(data, image, REAL, made) for data, image, made in real}
    assert found["real"] == twins | {("loose", 1, REAL, "m-s2"), ("loose", 1, REAL, "gan-s1")}
    assert found["better"] == twins | {("loose", 1, "m-s2", NOISE)}, "no real image translates an input of `loose`"
    questions = practise(pool, 7, random.Random(0))
    assert all(question.practice and not question.check for question in questions)
    assert sorted(Counter(question.cell.kind for question in questions).values()) == [3, 4]
    assert len({question.cell.key for question in questions}) == 7
    assert practise(pool, 99, random.Random(0)) != []
    assert practise([], 10, random.Random(0)) == []
