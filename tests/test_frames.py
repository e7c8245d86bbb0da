"""Store -> data frame: what it keeps, in which types, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2ibench import config, frames, plan
from i2ibench.costs import COSTS
from i2ibench.frames import ResultsError
from i2ibench.plan import Plan
from i2ibench.store import Store

STAMP = {
    "name": "offline",
    "device": "cpu",
    "warnings": [],
    "metrics": {m: {"revision": 1, "size": 16} for m in ("ssim", "psnr")},
}


@pytest.fixture
def planned(benchmark_file: Any, tmp_path: Path) -> tuple[Plan, Store]:
    made = plan.make(config.load(benchmark_file()))
    return made, Store(tmp_path / "runs")


def finish(the_plan: Plan, store: Store, index: int, stamp: dict[str, Any] = STAMP) -> None:
    spec, key = the_plan.trials[index], the_plan.protocol.key()
    trial = store.trial(spec.id)
    trial.write_curves(
        [{"step": 2, "seconds": 0.5, "generator.l1": 0.3}, {"step": 4, "seconds": 1.0, "generator.l1": 0.2}]
    )
    trial.write_result(
        {
            "id": spec.id,
            "cost": {"parameters": 84},
            "players": {},
            "provenance": {"git": {"dirty": False}, "cores": index},
        }
    )
    trial.write_scores(
        key, {"key": key, "values": {"ssim": 0.5, "psnr": 11.0}, "protocol": stamp}, {"ssim": np.zeros(2)}
    )


def test_one_row_per_trial_and_metric(planned: tuple[Plan, Store]) -> None:
    finish(*planned, 0)
    finish(*planned, 1)
    table = frames.frame(*planned)
    scores = table[table["kind"] == "score"]
    assert list(zip(scores["label"], scores["metric"], scores["value"], strict=True)) == [
        ("copy", "ssim", 0.5), ("copy", "psnr", 11.0), ("tiny", "ssim", 0.5), ("tiny", "psnr", 11.0),
    ]  # fmt: skip
    assert set(scores["protocol"]) == {planned[0].protocol.key()}
    assert table.groupby("label")["reference"].first().to_dict() == {"copy": True, "tiny": False}
    costs = table[(table["kind"] == "cost") & (table["label"] == "tiny")].set_index("metric")["value"]
    assert costs["parameters"] == 84
    assert np.isnan(costs["train_seconds"])
    assert set(table["method"]) == {"copy", "tiny"}  # a method that is a file shows no path


def test_undone_trials_stay_with_their_reason_and_log(planned: tuple[Plan, Store]) -> None:
    the_plan, store = planned
    tiny = store.trial(the_plan.trials[1].id)
    tiny.write_error("DIVERGED", "generator.l1 became NaN at step 3")
    table = frames.frame(the_plan, store)
    assert set(table["log"]) == {""}, "there is none yet"
    (tiny.path / "log.txt").touch()
    table = frames.frame(the_plan, store).drop_duplicates("trial").set_index("label")
    assert table.loc["copy", ["state", "reason", "log"]].tolist() == ["waiting", "not run yet", ""]
    assert table.loc["tiny", "state"] == "diverged"
    assert table.loc["tiny", "reason"] == "generator.l1 became NaN at step 3"
    assert table.loc["tiny", "log"].endswith("log.txt")


def test_skipped_combinations_have_one_row(planned: tuple[Plan, Store]) -> None:
    the_plan = replace(planned[0], skipped=(plan.Skip("pix2pix", "glyphs", "needs pairs"),))
    table = frames.frame(the_plan, planned[1])
    (row,) = table[table["state"] == "skipped"].itertuples()
    assert (row.label, row.data, row.reason, row.metric) == ("pix2pix", "glyphs", "needs pairs", "")


def test_two_protocols_never_share_a_column(planned: tuple[Plan, Store]) -> None:
    other = {**STAMP, "metrics": {**STAMP["metrics"], "psnr": {"revision": 1, "size": 32}}}  # type: ignore[dict-item]
    finish(*planned, 0)
    finish(*planned, 1, other)
    with pytest.raises(ResultsError) as caught:
        frames.frame(*planned)
    copy, tiny = (spec.id for spec in planned[0].trials)
    assert str(caught.value) == (
        f"PSNR on glyphs: {copy} and {tiny} were scored under different protocols, in this order size: 16 / 32; "
        "score all of them anew with `i2ibench evaluate FILE --force`"
    )


def test_a_score_without_a_stamp_is_refused(planned: tuple[Plan, Store]) -> None:
    finish(*planned, 0, {**STAMP, "metrics": {"ssim": STAMP["metrics"]["ssim"]}})  # type: ignore[index]
    with pytest.raises(ResultsError, match=r"PSNR on glyphs: the score of copy-\S+ does not say what protocol"):
        frames.frame(*planned)


STAMPS = st.recursive(
    st.none() | st.integers(0, 2) | st.sampled_from(["a", "b"]) | st.lists(st.integers(0, 1), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
)


@settings(deadline=None)  # a busy machine is no finding
@given(*[st.dictionaries(st.sampled_from("pqr"), STAMPS, max_size=3)] * 2)
def test_two_stamps_that_differ_never_look_alike(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert (frames.difference(first, second) == "") == (first == second)


def test_device_and_missing_metrics_are_no_difference(planned: tuple[Plan, Store]) -> None:
    finish(*planned, 0)
    finish(*planned, 1, {**STAMP, "device": "cuda"})
    assert len(frames.frame(*planned)) == 2 * (2 + len(COSTS))


def test_difference_names_what_differs() -> None:
    first, second = {"a": 1, "deep": {"x": [1, 2], "y": 2}}, {"a": 1, "deep": {"x": [1, 3]}, "new": True}
    assert frames.difference(first, second) == "deep.x: [1, 2] / [1, 3], deep.y: 2 / absent, new: absent / True"


def test_parameters_of_mixed_types_survive_parquet(planned: tuple[Plan, Store], tmp_path: Path) -> None:
    the_plan = planned[0]
    values: list[Any] = ["batch", 3, None, [1, 2], True]
    trials = tuple(
        replace(the_plan.trials[1], id=f"t{i}", params={"norm": value, "lr": 0.1 * i}) for i, value in enumerate(values)
    )
    table = frames.frame(replace(the_plan, trials=trials), planned[1])
    table.to_parquet(tmp_path / "results.parquet")
    back = pd.read_parquet(tmp_path / "results.parquet").drop_duplicates("trial")
    assert [None if pd.isna(value) else value for value in back["p_norm"]] == ["batch", "3", None, "[1, 2]", "True"]
    assert back["p_lr"].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_curves_in_long_form(planned: tuple[Plan, Store]) -> None:
    finish(*planned, 1)
    table = frames.curves(*planned)
    assert table[["label", "seed", "step", "player", "term", "value"]].values.tolist() == [
        ["tiny", 0, 2, "generator", "l1", 0.3], ["tiny", 0, 4, "generator", "l1", 0.2],
    ]  # fmt: skip


def test_provenance_counts_the_trials_behind_each_value(planned: tuple[Plan, Store]) -> None:
    finish(*planned, 0)
    finish(*planned, 1)
    assert frames.provenance(*planned) == {"uncommitted changes": {"no": 2}, "cores": {"0": 1, "1": 1}}
