"""The package's own functions: as small as the command line, loaded on first use, and no module hidden by them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import i2ibench
from i2ibench import benchmark, frames
from i2ibench.errors import ConfigError
from i2ibench.store import Store


def test_run_is_the_benchmarks_and_results_are_a_frame(benchmark_file: Callable[..., Path]) -> None:
    assert i2ibench.run is benchmark.run
    file = benchmark_file()
    found = i2ibench.results(file)
    the_plan, store = benchmark.load(file)
    pd.testing.assert_frame_equal(found, frames.frame(the_plan, store))
    assert set(found["state"]) == {"waiting"}
    assert set(found["metric"]) >= {"ssim", "psnr", "train_seconds"}
    with pytest.raises(ConfigError, match="no such file"):
        i2ibench.results("absent.yaml")


def test_results_of_a_finished_run(store: Path) -> None:
    found = i2ibench.results(store.parent / "small.yaml")
    scores = found[found["kind"] == "score"].set_index(["label", "metric"])["value"]
    assert scores.notna().all()
    (key,) = {path.stem for path in store.glob("plain-*/scores/*.json")}
    (trial,) = (path.name for path in store.glob("plain-*"))
    values = (Store(store).trial(trial).scores(key) or {})["values"]
    assert scores["plain"].to_dict() == values


def test_functions_are_functions_whatever_was_imported_before() -> None:
    import i2ibench.frames

    assert i2ibench.results is frames.results
    assert {"run", "load", "results"} <= set(dir(i2ibench))
    with pytest.raises(AttributeError, match="nothing"):
        i2ibench.nothing  # noqa: B018
