"""Results as one file: each form holds the leaderboard, and what cannot be is said in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from i2ibench import benchmark
from i2ibench.errors import ConfigError, StoreError
from i2ibench.export import export
from i2ibench.report import build, tables


@pytest.fixture
def file(benchmark_file: Callable[..., Path]) -> Path:
    """A benchmark whose trials have scores."""
    return scored(benchmark_file())


def scored(made: Path) -> Path:
    plan, store = benchmark.load(made)
    for i, spec in enumerate(plan.trials):
        trial, key = store.trial(spec.id), plan.key
        trial.write_result({"id": spec.id, "cost": {"parameters": 84}, "players": {}, "provenance": {}})
        stamp = {"name": "offline", "warnings": [], "metrics": {m: {"revision": 1} for m in ("ssim", "psnr")}}
        scores = {"key": key, "values": {"ssim": 0.1 + i, "psnr": 11.0 / 3}, "protocol": stamp}
        trial.write_scores(key, scores, {"ssim": np.zeros(4)})
    return made


def test_csv_parquet_and_json_hold_the_same_numbers(file: Path, tmp_path: Path) -> None:
    plan, store = benchmark.load(file)
    expected = tables.to_frame(build(plan, store).boards)
    of_json = json.loads(export(file, tmp_path / "t.json").read_text(encoding="utf-8"))
    assert of_json["protocols"]["glyphs"]["name"] == "offline"
    for found in (
        pd.read_csv(export(file, tmp_path / "new/t.csv")),
        pd.read_parquet(export(file, tmp_path / "t.parquet")),
        pd.DataFrame(of_json["rows"]),
    ):
        assert found["label"].tolist() == ["tiny", "copy"]
        for name in ("ssim", "psnr", "ssim_n", "parameters"):
            np.testing.assert_allclose(found[name].astype(float), expected[name].astype(float), rtol=1e-12)


def test_markdown_and_latex_are_tables(file: Path, tmp_path: Path) -> None:
    assert "| tiny" in export(file, tmp_path / "t.md").read_text(encoding="utf-8")
    assert r"\toprule" in export(file, tmp_path / "t.tex").read_text(encoding="utf-8")


def test_several_data_sets_have_their_overall_table_as_in_the_report(
    benchmark_file: Callable[..., Path], tmp_path: Path
) -> None:
    file = scored(
        benchmark_file(
            "seeds: [0]\nstore: {tmp}/runs\ndata: {glyphs: {size: 16}, upside: {source: glyphs, size: 16, direction: BtoA} }\n"
            "methods: {copy: , vae: {preset: tiny} }\nevaluation: {metrics: [ssim, psnr]}\n"
        )
    )
    assert "## Overall: places" in export(file, tmp_path / "t.md").read_text(encoding="utf-8")
    assert r"\caption{Overall: " in export(file, tmp_path / "t.tex").read_text(encoding="utf-8")


def test_what_cannot_be_written_is_one_line(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown ending .*available: .csv, .json, .md, .parquet, .tex"):
        export(file, tmp_path / "t.xls")
    with pytest.raises(StoreError, match=r"benchmark.yaml/t.csv: cannot be written \("):
        export(file, file / "t.csv")
