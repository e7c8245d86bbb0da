"""Published scores: the file says what it should, and a row shows its own where data set and task agree, unranked."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from i2ibench import registry
from i2ibench.data.recipes import recipes
from i2ibench.metrics.catalog import METRICS
from i2ibench.metrics.protocol import resolve
from i2ibench.report import build, published, scores
from i2ibench.report.style import Looks


@pytest.mark.parametrize("one", published.entries(), ids=lambda one: f"{one['source']} {one['data']}")
def test_an_entry_names_what_there_is_and_where_it_stands(one: dict[str, Any]) -> None:
    about = {"source", "kind", "cite", "checked", "data", "direction", "domains", "resize", "protocol", "scores"}
    assert about - {"domains", "resize"} <= set(one) <= about
    assert one["kind"] in ("paper", "re-run")
    assert ("arXiv:" in one["source"] and "Table" in one["source"]) or "issue" in one["source"]
    assert one["data"] in recipes()
    assert one["direction"] in ("AtoB", "BtoA")
    assert one.get("resize", "native") in ("native", "clean")
    assert set(one.get("domains", ())) <= set(recipes()[one["data"]].domains)
    for row in one["scores"]:
        assert row["method"] in registry.methods()
        for metric in set(row) - {"method", "variant"}:
            assert metric in METRICS
            assert isinstance(row[metric], float)
            assert METRICS[metric].higher_is_better <= (0 < row[metric] < 1)


@pytest.fixture
def cityscapes(benchmark: Any, tmp_path: Path) -> Any:
    """The made-up benchmark, its data set one that is known by name, scored under the protocol of papers."""
    from PIL import Image

    for split, count in (("train", 2), ("val", 2)):
        (tmp_path / "cityscapes" / split).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(tmp_path / f"cityscapes/{split}/{i}.png")
    kind = registry.sources()["cityscapes"]

    def under(protocol: str, **params: Any) -> Any:
        source = kind(kind.Params(size=32, archive=str(tmp_path / "cityscapes"), **params))
        entry = replace(benchmark.plan.data["glyphs"], source=source)
        benchmark.plan = replace(benchmark.plan, data={"glyphs": entry}, protocol=resolve(protocol))
        return benchmark

    return under


def test_scores_of_the_same_task_and_network_are_shown_and_not_ranked(cityscapes: Any, tmp_path: Path) -> None:
    made = cityscapes("standard", direction="BtoA")
    for label, fid in (("cut", 60.0), ("cyclegan", 70.0)):
        made.finish(made.spec(label, 0), {"fid": fid, "kid": 0.1, "lpips": 0.2, "ssim": 0.5, "psnr": 11.0})
    (board,) = build(made.plan, made.store).boards
    found = {(one.method, one.variant, one.metric): one.value for one in board.published}
    assert found["cut", "", "fid"] == 56.4
    assert found["cut", "FastCUT", "fid"] == 68.8
    assert {row.label for row in board.rows} == {"cut", "cyclegan"}
    text = made.write(tmp_path / "out").read_text(encoding="utf-8")
    assert "Park et al., ECCV 2020" in text
    assert "Hollow diamonds are published scores" in text
    drawing = scores.scores(board, Looks([row.label for row in board.rows], []))
    assert drawing is not None
    fid = next(ax for ax in drawing.figure.axes if ax.get_title(loc="left").startswith("FID"))
    rows = [label.get_text() for label in fid.get_yticklabels()]
    assert rows == [
        "cut",
        "cyclegan",
        "cut, Park 2020",
        "cut FastCUT, Park 2020",
        "cyclegan, Park 2020",
        "munit, Park 2020",
    ]
    diamonds = [
        (float(line.get_xdata()[0]), int(line.get_ydata()[0])) for line in fid.lines if line.get_marker() == "D"
    ]
    assert diamonds == [(56.4, 2), (68.8, 3), (76.3, 4), (91.4, 5)]  # once each, on no row of our own


@pytest.mark.parametrize("domains", [None, ("cat", "dog"), ("dog", "cat"), ("cat", "dog", "wild")])
def test_a_report_whose_files_are_elsewhere_shows_the_same(
    benchmark: Any, tmp_path: Path, domains: tuple[str, ...] | None
) -> None:
    """`compare` of report folders: AFHQ's published scores are those of two of its three domains, in their order."""
    from PIL import Image

    from i2ibench import record

    kind, home = registry.sources()["afhq"], tmp_path / "afhq"
    for place in kind.recipe.folders.values():
        for domain in kind.recipe.domains:
            (folder := home / place.replace("{domain}", domain)).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(folder / "0.png")
    source = kind(kind.Params(size=8, archive=str(home), domains=domains))
    entry = replace(benchmark.plan.data["glyphs"], source=source)
    plan = replace(benchmark.plan, data={"glyphs": entry}, protocol=resolve("standard"))
    record.save(plan, benchmark.store, {}, tmp_path)
    shutil.rmtree(home)
    known = published.of(record.load(tmp_path)[0], "glyphs")
    assert known == published.of(plan, "glyphs")
    assert bool(known) == (domains != ("dog", "cat"))


def test_another_direction_network_or_data_set_shows_none(cityscapes: Any, benchmark: Any) -> None:
    assert published.of(benchmark.plan, "glyphs") == ()
    assert published.of(cityscapes("offline", direction="BtoA").plan, "glyphs") == ()
    assert published.of(cityscapes("clean", direction="BtoA").plan, "glyphs") == ()
    assert published.of(cityscapes("standard", direction="AtoB").plan, "glyphs") == ()
