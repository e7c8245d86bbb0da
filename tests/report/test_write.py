"""A report as files: what there is, that it is whole, and that figures hold what they should."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from i2ibench import frames
from i2ibench.benchmark import load
from i2ibench.errors import StoreError
from i2ibench.report import leaderboard, parallel, samples, scores, tradeoff, write
from i2ibench.report.drawing import Drawing
from i2ibench.report.style import COLOURS, MARKERS, Looks

FIGURES = {
    f"figures/{name}-glyphs.{suffix}"
    for name in ("samples", "scores", "distributions", "agreement", "tradeoff", "curves")
    for suffix in ("png", "svg", "pdf")
}


SCORES = {"fid": 9.0, "kid": 0.1, "lpips": 0.15, "ssim": 0.5, "psnr": 10.0}


def test_the_fonts_of_a_pdf_are_such_as_conferences_take(report: Path) -> None:
    files = list((report / "figures").glob("*.pdf"))
    assert files
    for file in files:
        content = file.read_bytes()
        assert b"/Subtype /Type3" not in content
        assert b"/Subtype /TrueType" in content or b"/CIDFontType2" in content, file.name


def notes(drawing: Drawing) -> list[str]:
    """What stands below the images of a grid."""
    return [text.get_text() for text in drawing.figure.texts if re.fullmatch(r"LPIPS 0\.\d{3}", text.get_text())]


def greys(drawing: Drawing) -> list[int]:
    """Which of two greys fill images."""
    drawing.figure.canvas.draw()
    pixels = np.asarray(drawing.figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    return [grey for grey in (60, 200) if (pixels == grey).all(-1).sum() > 4 * 32 * 32]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_everything_is_there_and_nothing_is_left_over(report: Path) -> None:
    tables = {"leaderboard.md", "leaderboard.csv", "leaderboard.tex", "comparisons.csv", "results.parquet"}
    tables |= {"trials.parquet", "summary.txt"}
    assert files(report) == {"index.html", *tables, *FIGURES}
    assert [path.name for path in report.iterdir() if path.name.startswith(".")] == []


def test_a_figure_says_of_which_data_set_it_is_where_there_are_several(
    benchmark: Any, report: Path, tmp_path: Path
) -> None:
    twin = replace(benchmark.plan.data["glyphs"], label="glyphs there and back")
    benchmark.plan = replace(benchmark.plan, data=benchmark.plan.data | {twin.label: twin})
    benchmark.images[twin.label] = benchmark.images["glyphs"]
    for label in benchmark.plan.data:
        benchmark.data = label
        benchmark.method("pix2pix", 0.4)
        benchmark.references()
    write(benchmark.plan, benchmark.store, benchmark.images, tmp_path)
    said = {file.stem: file.read_text() for file in (tmp_path / "figures").glob("*.svg")}
    assert {"samples-glyphs", "scores-glyphs", "distributions-glyphs"} <= set(said)
    for name, text in said.items():
        assert f"<!-- data set: {'glyphs' if name.endswith('-glyphs') else twin.label} -->" in text, name
    for file in (report / "figures").glob("*.svg"):
        assert "data set:" not in file.read_text(), "of one alone the page says it"


def test_parquet_is_the_long_frame(report: Path, finished: Any) -> None:
    table = pd.read_parquet(report / "results.parquet")
    pd.testing.assert_frame_equal(table, frames.frame(finished.plan, finished.store), check_dtype=False)


def test_pictures_decode_and_are_not_blank(report: Path) -> None:
    for path in (report / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 5, path.name
            assert image.width >= 700


def test_grid_shows_the_outputs_pixel_for_pixel_in_the_order_of_the_leaderboard(benchmark: Any) -> None:
    for label, grey in (("worse", 60), ("better", 200)):
        outputs = np.full_like(benchmark.images["glyphs"].test_a, grey)
        values = {"fid": 255.0 - grey, "kid": 0.1, "lpips": 0.1, "ssim": grey / 255, "psnr": 10.0 + grey}
        benchmark.finish(benchmark.spec(label, 0), values, outputs=outputs)
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    drawing = samples.grid(
        board, benchmark.plan, benchmark.store, benchmark.images["glyphs"], Looks(["worse", "better"], []), rows=3
    )
    assert drawing is not None
    drawing.figure.canvas.draw()
    pixels = np.asarray(drawing.figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    row = pixels[60]
    assert np.flatnonzero((row == 200).all(-1)).max() < np.flatnonzero((row == 60).all(-1)).min()
    assert "better, worse" in drawing.alt


def test_grid_of_unpaired_data_has_no_target(benchmark: Any) -> None:
    benchmark.method("pix2pix", 0.5, seeds=1)
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    unpaired = replace(benchmark.images["glyphs"], paired=False, test_b=benchmark.images["glyphs"].test_b[:5])
    drawing = samples.grid(board, benchmark.plan, benchmark.store, unpaired, Looks(["pix2pix"], []))
    assert drawing is not None
    assert "target" not in drawing.alt
    assert "target" not in {text.get_text() for text in drawing.figure.texts}


@pytest.mark.parametrize(
    ("count", "lpips", "caption"),
    [
        (48, True, "6 of 48 test images: the two on which all methods together do best, the two in the middle and the "
         "two worst by mean LPIPS; its value stands below each output. The"),
        (48, False, "6 of 48 test images, evenly spaced. The"),
        (6, False, "All 6 test images. The"),
        (3, True, "All 3 test images; LPIPS stands below each output. The"),
        (2, False, "All 2 test images. The"),
    ],
)  # fmt: skip
def test_the_caption_of_the_grid_says_how_few_images_were_chosen(
    benchmark: Any, count: int, lpips: bool, caption: str
) -> None:
    whole = benchmark.images["glyphs"]
    few = replace(whole, test_a=whole.test_a[:count], test_b=whole.test_b[:count], test_names=whole.test_names[:count])
    found = {"lpips": np.linspace(0.1, 0.2, count)} if lpips else {}
    for label in ("one", "other"):
        benchmark.finish(benchmark.spec(label, 0), SCORES, outputs=few.test_a, per_image=found)
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    drawing = samples.grid(board, benchmark.plan, benchmark.store, few, Looks(["one", "other"], []))
    assert drawing is not None
    assert drawing.caption.startswith(caption)
    assert len(notes(drawing)) == (2 * min(count, 6) if lpips else 0), "LPIPS of each output, where there is one"


@pytest.mark.parametrize("second_is_scored", [True, False])
def test_an_output_and_the_lpips_below_it_are_of_one_trial(benchmark: Any, second_is_scored: bool) -> None:
    """The first seed is trained and not scored: the second is shown, if that is; else the first, without a value."""
    glyphs = benchmark.images["glyphs"]
    for seed, grey in enumerate((60, 200)):
        scores = SCORES if seed and second_is_scored else {}
        values = {"lpips": np.full(48, 0.1 + seed / 10)}
        benchmark.finish(
            benchmark.spec("one", seed), scores, outputs=np.full_like(glyphs.test_a, grey), per_image=values
        )
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    drawing = samples.grid(board, benchmark.plan, benchmark.store, glyphs, Looks(["one"], []))
    assert drawing is not None
    assert set(notes(drawing)) == ({"LPIPS 0.200"} if second_is_scored else set())
    assert greys(drawing) == [200 if second_is_scored else 60]


def test_the_way_there_and_that_back_are_of_one_trial(benchmark: Any) -> None:
    glyphs = benchmark.images["glyphs"]
    for seed, grey in enumerate((60, 200)):
        spec = benchmark.spec("one", seed)
        benchmark.finish(spec, SCORES, outputs=np.full_like(glyphs.test_a, grey))
    np.save(benchmark.store.trial(spec.id).path / "cycled.npy", glyphs.test_a)
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    drawing = samples.cycles(board, benchmark.plan, benchmark.store, glyphs, Looks(["one"], []))
    assert drawing is not None
    assert greys(drawing) == [200], "only the second has been translated back"


def test_a_name_that_begins_with_an_underscore_is_in_the_legends(benchmark: Any) -> None:
    for label, quality in (("_mine", 0.3), ("vae", 0.5), ("cut", 0.8)):
        benchmark.method(label, quality, seeds=1)
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    looks = Looks([row.label for row in board.rows], [])
    for drawing in (tradeoff.tradeoff(board, looks), scores.agreement(board, looks)):
        assert drawing is not None
        named = {text.get_text() for text in drawing.figure.legends[0].get_texts()}
        assert named == {"\u200b_mine", "vae", "cut"}


def test_a_method_keeps_its_colour_and_no_two_look_alike() -> None:
    methods = [f"m{i}" for i in range(100)]
    looks = Looks(methods, ["copy"])
    assert len({(looks.colours[m], looks.markers[m]) for m in methods}) == 100
    assert looks.colours["copy"] not in COLOURS
    assert Looks(methods[:3], []).colours["m2"] == looks.colours["m2"]
    assert len(set(MARKERS)) == len(MARKERS)


def test_the_same_store_gives_the_same_report(finished: Any, report: Path, tmp_path: Path) -> None:
    again = finished.write(tmp_path / "again").parent
    for name in sorted(files(report) - {"results.parquet"}):
        assert (again / name).read_bytes() == (report / name).read_bytes(), name


def test_nothing_done_yet_is_a_report_too(benchmark: Any, tmp_path: Path) -> None:
    benchmark.spec("pix2pix", 0)
    benchmark.spec("copy", 0, trained=False)
    page = benchmark.write(tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert "there are not yet two methods with scores to compare" in text
    assert "0 of 2 trials finished" in text
    assert "Not run yet: pix2pix and copy." in text


def test_any_label_can_be_drawn(benchmark: Any, tmp_path: Path) -> None:
    labels = ["$\\frac{", "%s {x} {{ name }}", "日本語", "a" * 300, "_<b>&amp;"]
    for label in labels:
        spec = replace(benchmark.spec("one", 0), label=label)
        benchmark.plan = replace(benchmark.plan, name=label, trials=(*benchmark.plan.trials[:-1], spec))
        benchmark.finish(
            spec, {"fid": 9.0, "kid": -0.001, "lpips": 0.0, "ssim": 1.0, "psnr": 100.0}, terms=("generator.gan",),
            cost={"train_seconds": 3.0}, outputs=benchmark.images["glyphs"].test_b,
        )  # fmt: skip
    text = benchmark.write(tmp_path / "out").read_text(encoding="utf-8")
    for label in labels:
        assert label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in text


def test_other_files_of_the_folder_stay(benchmark: Any, tmp_path: Path) -> None:
    (tmp_path / "out/figures").mkdir(parents=True)
    (tmp_path / "out/figures/mine.png").write_bytes(b"mine")
    benchmark.spec("pix2pix", 0)
    benchmark.write(tmp_path / "out")
    assert (tmp_path / "out/figures/mine.png").read_bytes() == b"mine"


def test_a_report_that_breaks_leaves_the_old_one_whole(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark.spec("pix2pix", 0)
    page = benchmark.write(tmp_path / "out")
    before = {name: (page.parent / name).read_bytes() for name in files(page.parent)}
    benchmark.method("pix2pix", 0.5)
    monkeypatch.setattr("i2ibench.report.page.render", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        benchmark.write(tmp_path / "out")
    assert {name: (page.parent / name).read_bytes() for name in files(page.parent)} == before


def test_a_folder_that_cannot_be_written_is_one_line(benchmark: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    benchmark.spec("pix2pix", 0)
    with pytest.raises(
        StoreError, match=r"report .*out: cannot be written \(Not a directory\); choose another"
    ) as caught:
        benchmark.write(tmp_path / "file/out")
    assert "\n" not in str(caught.value)


def test_drawing_leaves_matplotlib_as_it_was(benchmark: Any, tmp_path: Path) -> None:
    import matplotlib as mpl
    from matplotlib import pyplot

    before, open_figures = dict(mpl.rcParams), pyplot.get_fignums()
    benchmark.method("pix2pix", 0.5, seeds=1)
    benchmark.write(tmp_path / "out")
    assert dict(mpl.rcParams) == before
    assert pyplot.get_fignums() == open_figures


def test_svg_text_is_drawn_as_paths_so_that_it_needs_no_font(report: Path) -> None:
    for path in (report / "figures").glob("*.svg"):
        assert not re.search(r"<text\b", path.read_text(encoding="utf-8")), path.name


def test_figures_are_drawn_of_the_first_data_sets_and_the_page_says_so(benchmark: Any, tmp_path: Path) -> None:
    benchmark.method("pix2pix", 0.5, seeds=1)
    page = write(benchmark.plan, benchmark.store, benchmark.images, tmp_path / "out", figured=0)
    assert list((page.parent / "figures").iterdir()) == []
    assert "Figures are drawn of the first 0 of 1 data sets" in page.read_text(encoding="utf-8")


def test_many_methods_are_drawn_up_to_a_limit_that_is_stated(benchmark: Any, tmp_path: Path) -> None:
    for i in range(14):
        benchmark.method(f"m{i}", 0.3 + i / 30, ("generator.gan",), seeds=1)
    text = benchmark.write(tmp_path / "out").read_text(encoding="utf-8")
    assert text.count("Shown are the first 12 of 14 methods.") >= 3
    assert text.count("Shown are the first 8 of 14 methods.") == 1
    assert all(f">m{i}</th>" in text for i in range(14))


def test_the_command_draws_a_report_without_torch_and_ray(benchmark_file: Callable[..., Path], tmp_path: Path) -> None:
    for part in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "photos" / part).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (16, 16), (i * 40, 99, 0)).save(tmp_path / "photos" / part / f"{i}.png")
    file = benchmark_file("""
        store: {tmp}/runs
        reports: {tmp}/reports
        data: {{photos: {{source: folder, path: photos, layout: by-name, size: 16}}}}
        methods: {{copy: , vae: {{preset: tiny}}}}
        evaluation: {{metrics: [ssim, psnr]}}
    """)
    plan, store = load(file)
    stamp = {"name": "offline", "warnings": [], "metrics": {m: {"revision": 1} for m in ("ssim", "psnr")}}
    for i, spec in enumerate(plan.trials):
        trial = store.trial(spec.id)
        trial.write_result({"id": spec.id, "cost": {"parameters": 84}, "players": {}, "provenance": {}})
        scores = {"key": plan.key, "values": {"ssim": 0.3 + i / 9, "psnr": 11.0}, "protocol": stamp}
        trial.write_scores(plan.key, scores, {"ssim": np.array([0.3, 0.4, 0.5])})
    script = (
        "import sys; from i2ibench.cli import app; app(sys.argv[1:], standalone_mode=False); "
        "print('loaded:', *sorted({'torch', 'ray'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, "report", str(file)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.splitlines()[-1] == "loaded:"
    (page,) = (tmp_path / "reports").glob("*/index.html")
    assert files(page.parent) >= {f"figures/{name}-photos.svg" for name in ("scores", "distributions")}


def test_figures_are_the_same_files_whether_drawn_here_or_in_forked_processes(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (board,) = leaderboard.build(frames.frame(finished.plan, finished.store), finished.plan)
    looks = Looks([row.label for row in board.rows], [row.label for row in board.references])
    makes = [partial(scores.scores, board, looks), partial(scores.distributions, board, {}, looks)]
    found = []
    for count in (1, 2):
        monkeypatch.setattr(parallel, "_processes", lambda count=count: count)
        (tmp_path / str(count)).mkdir()
        found.append(parallel.save(makes, tmp_path / str(count)))
    assert found[0] == found[1]
    assert found[0][1] is None
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes()
