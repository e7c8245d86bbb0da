"""index.html: what it says, that nothing in it is obeyed or loaded, and that a real browser opens and sorts it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from i2ibench import frames
from i2ibench.report import latex, leaderboard, significance
from i2ibench.report import words as wording


@pytest.fixture(scope="module")
def html(report: Path) -> str:
    return (report / "index.html").read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Every tag with its attributes, and whether all that were opened were closed."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


def words(html: str) -> str:
    """The text of the page, on one line."""
    return " ".join(re.sub(r"<[^>]*>", "", html).split())


def test_the_summary_names_the_winner_with_interval_and_n(html: str) -> None:
    lead = words(html[html.index('<p class="lead">') : html.index('<p class="status">')])
    assert lead.startswith(
        "On glyphs (48 test images) pix2pix has the best mean KID (VGG16) (0.00531 ± 0.00673, n = 2), LPIPS ("
    )
    assert lead.count("n = 2") == 4
    assert lead.endswith("On every score at least one other method is not shown to be worse than the leader.")


def test_the_status_counts_what_happened(html: str) -> None:
    status = words(html[html.index('<p class="status">') : html.index("<nav")])
    assert status == "16 of 19 trials finished, 1 diverged, 1 failed, 1 waiting, 1 skipped."


def test_text_of_others_is_shown_and_not_obeyed(html: str) -> None:
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "RuntimeError: &lt;b&gt;boom&lt;/b&gt; &amp; more" in html
    assert len(Tags(html).all("script")) == 1


def test_nothing_is_loaded_from_elsewhere(html: str) -> None:
    tags = Tags(html)
    sources = [
        value
        for _, attributes in tags.seen
        for name, value in attributes.items()
        if name in ("src", "srcset", "data", "poster")
    ]
    assert sources
    assert all(value and value.startswith("data:image/") for value in sources)
    links = [attributes["href"] for _, attributes in tags.seen if "href" in attributes]
    assert all(not re.match(r"[a-z]+:|//", link or "") or link == "data:," for link in links)
    assert not re.search(r"url\(|@import|https?://", html[: html.index("</style>")])


def test_links_lead_to_files_and_sections_that_exist(html: str, report: Path) -> None:
    tags = Tags(html)
    anchors = {attributes.get("id") for _, attributes in tags.seen}
    for link in (attributes["href"] for attributes in tags.all("a")):
        assert link
        assert link[1:] in anchors if link.startswith("#") else (report / link).exists(), link


def test_a_screen_reader_gets_all(html: str) -> None:
    tags = Tags(html)
    assert tags.open == []
    assert tags.all("html")[0]["lang"] == "en"
    assert all(len(image.get("alt") or "") > 30 for image in tags.all("img"))
    assert len(tags.all("img")) == 6
    assert len(tags.all("caption")) == len(tags.all("table"))
    assert all("scope" in header for header in tags.all("th"))
    scrolls = [tag for name in ("div", "pre") for tag in tags.all(name) if "tabindex" in tag]
    assert len(scrolls) > 6
    assert all(tag.get("role") and tag.get("aria-label") for tag in scrolls), "each has a name where it is reached"
    assert all(tag.get("tabindex") == "0" for tag in tags.all("pre"))


def test_protocol_provenance_and_yaml_are_there(html: str) -> None:
    text = words(html)
    assert "metrics.fid.torch version2.15.0" in text
    assert "packages.torch2.15.0" in text
    assert "FID is rank-deficient." in text
    assert "i2ibench report benchmark.yaml" in text
    assert "&#34;pix2pix lambda_l1=10&#34;" in html  # from the YAML as run
    assert "-old &lt;line&gt;\n+new line" in html  # what git diff said
    assert "seeds0, 1" in text
    assert re.search(r"wall clock of all trainings, added up\d+\.\d min", text)


def test_a_warning_of_features_stands_where_such_scores_do(benchmark: Any, tmp_path: Path) -> None:
    benchmark.finish(benchmark.spec("vae", 0), {"fid": 9.0, "ssim": 0.5})
    caution = '<p class="caution">FID is rank-deficient.'
    assert caution in benchmark.write(tmp_path / "report").read_text()
    data = replace(benchmark.plan.data["glyphs"], metrics=("ssim",))
    benchmark.plan = replace(benchmark.plan, data={"glyphs": data})
    assert caution not in benchmark.write(tmp_path / "report").read_text()


def test_oracle_explains_its_dashes(finished: Any) -> None:
    (board,) = leaderboard.build(frames.frame(finished.plan, finished.store), finished.plan)
    cell = wording.cell(board.references[1], next(column for column in board.columns if column.name == "ssim"))
    assert (cell.text, cell.sort) == ("–", None)
    assert "images belong to other inputs" in cell.note


def test_no_win_without_a_rival(benchmark: Any) -> None:
    benchmark.method("pix2pix", 0.5)
    benchmark.references()
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    assert wording.wins(board) == []


def test_a_lead_that_holds_over_seeds_and_images_is_said_to(benchmark: Any) -> None:
    for label, quality in (("a", 1.0), ("b", 0.5)):
        for seed in range(4):
            values = {"fid": (10 + seed / 100) / quality, "kid": 0.1 + seed / 7, "lpips": (0.1 + seed / 1000) / quality}
            benchmark.finish(benchmark.spec(label, seed), values | {"ssim": 0.5, "psnr": 9.0})
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    assert wording.certainty(board).endswith("that takes two seeds, and differences that vary between them.")
    per_image = frames.per_image(benchmark.plan, benchmark.store, "glyphs", ["a", "b"])
    tested = significance.compared(board, per_image)
    said = wording.certainty(tested)
    assert said == "The lead on FID (VGG16) and LPIPS is significant against every other method tested."
    once = replace(tested, rows=tuple(replace(row, seeds_done=1) for row in tested.rows))
    assert wording.certainty(once) == said[:-1] + ", over test images of one training each."


def test_one_seed_shows_the_interval_over_images_in_place_of_that_over_seeds(benchmark: Any) -> None:
    values = {"fid": 90.0, "kid": 0.2, "lpips": 0.4, "ssim": 0.4, "psnr": 10.0}
    bootstrap = {"low": 0.35, "high": 0.46, "level": 0.95, "kind": "bootstrap over images"}
    benchmark.finish(benchmark.spec("one", 0), values, intervals={"lpips": bootstrap})
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    columns = {column.name: column for column in board.columns}
    cell = wording.cell(board.rows[0], columns["lpips"])
    assert (cell.text, cell.spread) == ("0.400", "0.350 … 0.460")
    assert cell.note == "n = 1 seed; 95% bootstrap over images 0.350 … 0.460"
    assert wording.cell(board.rows[0], columns["fid"]).spread == ""
    assert "how far other test images might move the score" in wording.seeds_note(board)


def test_what_is_still_to_come_is_said_in_a_line(benchmark: Any) -> None:
    benchmark.spec("late", 0)
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    assert wording.seeds_note(board) == "", "there is no interval to explain"
    benchmark.spec("late", 1)
    benchmark.method("pix2pix", 0.5, seeds=1)
    benchmark.spec("pix2pix", 1)
    benchmark.fail(benchmark.spec("broken", 0), "FAILED", "RuntimeError: boom")
    (board,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    assert wording.not_run(board) == "late and pix2pix (seed 1)"


# -- in a real browser -------------------------------------------------------------------------------------------

Browser = Callable[..., subprocess.CompletedProcess[str]]

SORTING = """
<script>
const table = document.querySelector("table.leaderboard");
const text = (selector) => [...table.querySelectorAll(selector)].map((th) => th.innerText.split(/\\s/)[0]).join();
const order = () => text("tbody.ranked th");
const click = (title) => [...table.querySelectorAll("th button")].find((b) => b.textContent.startsWith(title)).click();
const log = [order()];
for (const title of ["FID", "FID", "PSNR", "Method", "Mean rank"]) { click(title); log.push(title + ":" + order()); }
const input = document.querySelector("label.filter input");
const visible = () => [...table.querySelectorAll("tbody.ranked tr")].filter((row) => row.offsetParent).length;
for (const word of ["PIX lambda", "failed", ""]) {
  input.value = word;
  input.dispatchEvent(new Event("input"));
  log.push("filter:" + visible());
}
log.push("sorted:" + table.querySelectorAll("th[aria-sort]").length);
log.push("references:" + text("tbody.references th[scope=row]"));
log.push("broken:" + [...document.images].filter((image) => !image.naturalWidth).length);
log.push("requests:" + performance.getEntriesByType("resource").filter((one) => !one.name.startsWith("data:")).length);
document.documentElement.dataset.log = log.join("|");
</script>
"""


@pytest.fixture
def chromium(tmp_path: Path) -> Browser:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")

    def run(url: Path, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--disable-sync", "--disable-component-update", "--no-first-run",
                "--hide-scrollbars", "--enable-logging=stderr",
                f"--user-data-dir={tmp_path / 'profile'}", *options, url.as_uri(),
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip

    return run


@pytest.mark.slow
def test_a_browser_sorts_it_without_errors_or_requests(
    report: Path, tmp_path: Path, chromium: Browser, html: str
) -> None:
    instrumented = tmp_path / "index.html"
    instrumented.write_text(html.replace("</body>", f"{SORTING}</body>"), encoding="utf-8")
    run = chromium(instrumented, "--dump-dom")
    assert "CONSOLE" not in run.stderr
    found = re.search(r'data-log="([^"]*)"', run.stdout)
    assert found
    ranked = "pix2pix,pix2pix,CycleGAN,MUNIT,cVAE,UNIT,VAE,&lt;script&gt;alert(1)&lt;/script&gt;,late"
    first, fid, fid_again, psnr, method, rank, *facts = found[1].split("|")
    unranked = ",&lt;script&gt;alert(1)&lt;/script&gt;,late"
    assert first == ranked
    assert fid == f"FID:pix2pix,pix2pix,CycleGAN,UNIT,MUNIT,cVAE,VAE{unranked}"
    assert fid_again == f"FID:VAE,cVAE,MUNIT,UNIT,CycleGAN,pix2pix,pix2pix{unranked}"  # what has no value stays last
    assert psnr == f"PSNR:pix2pix,pix2pix,CycleGAN,MUNIT,cVAE,UNIT,VAE{unranked}"  # the best on top
    assert method == "Method:&lt;script&gt;alert(1)&lt;/script&gt;,cVAE,CycleGAN,late,MUNIT,pix2pix,pix2pix,UNIT,VAE"
    assert rank.startswith("Mean rank:pix2pix,pix2pix,CycleGAN,MUNIT")
    assert facts == ["filter:1", "filter:1", "filter:9", "sorted:1", "references:copy,oracle", "broken:0", "requests:0"]


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "dark"), [("1", False), ("0", True)])
def test_a_browser_draws_it_light_and_dark(
    report: Path, tmp_path: Path, chromium: Browser, scheme: str, dark: bool
) -> None:
    picture = tmp_path / "page.png"
    chromium(
        report / "index.html",
        f"--blink-settings=preferredColorScheme={scheme}",
        f"--screenshot={picture}",
        "--window-size=1400,1400",
    )
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (1400, 1400)
    assert (np.median(pixels) < 60) == dark
    assert pixels.std() > 10


@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1280])
def test_tables_and_figures_scroll_and_the_page_does_not(report: Path, browser: Any, width: int) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url=(report / "index.html").as_uri())
    browser.wait("document.readyState === 'complete' && document.images.length")
    assert browser.value("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_it_prints(report: Path, tmp_path: Path, chromium: Browser) -> None:
    paper = tmp_path / "page.pdf"
    chromium(report / "index.html", f"--print-to-pdf={paper}", "--blink-settings=preferredColorScheme=0")
    assert paper.read_bytes().startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 15


def test_a_flag_stands_beside_its_row_with_the_reason(benchmark: Any, tmp_path: Path) -> None:
    scores = {"fid": 90.0, "kid": 0.2, "lpips": 0.4, "ssim": 0.4, "psnr": 10.0}
    benchmark.finish(benchmark.spec("flat", 0), scores, flags={"collapse": "all <alike>"})
    benchmark.finish(benchmark.spec("well", 0), scores)
    text = benchmark.write(tmp_path / "report").read_text(encoding="utf-8")
    rows = [row for row in re.findall(r'<th scope="row">.*?</th>', text, re.DOTALL) if "dot" in row]
    (flagged,) = [row for row in rows if "flagged" in row]
    assert words(flagged) == "flat collapse"
    assert 'title="seed 0: all &lt;alike&gt;"' in flagged
    assert "flat (seed 0) collapse all &lt;alike&gt;." in words(text[text.index("<h3>Notes</h3>") :])
    assert Tags(text).open == []
    (made,) = leaderboard.build(frames.frame(benchmark.plan, benchmark.store), benchmark.plan)
    assert "Flagged (see the notes below the table): collapse (flat)." in wording.summary([made])
    tex = latex.render("x", [made])
    assert "flat$^\\dagger$ &" in tex
    assert "$^\\dagger$\\,Collapse: flat." in tex
    assert "well$^" not in tex


def test_without_flags_there_are_no_notes(html: str) -> None:
    assert "<h3>Notes</h3>" not in html


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.1 has it."""
    digits = "".join(2 * c for c in colour) if len(colour) == 3 else colour
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "paper"])
def test_text_stands_out_from_what_it_stands_on(theme: int) -> None:
    css = (Path(leaderboard.__file__).parent / "page.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([\w-]+): #(\w+)", re.findall(r":root {(.*?)}", css, re.DOTALL)[theme]))
    grounds = {"page": ("ink", "muted", "accent", "bad", "warn"), "shade": ("ink", "muted", "bad", "warn")}
    grounds |= {"surface": ("ink", "muted"), "tied": ("ink", "muted"), "best": ("best-ink",), "win": ("win-ink",)}
    for ground, texts in grounds.items():
        for text in texts:
            lighter, darker = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"{text} on {ground}"
