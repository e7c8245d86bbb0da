"""The documentation site builds and leads nowhere else; what its tutorials tell to do works, and its how-tos plan."""

from __future__ import annotations

import html
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import skimage
import yaml
from PIL import Image

from i2ibench import config, plan
from i2ibench.data import fetch
from i2ibench.data.resize import imresize
from i2ibench.data.tasks import SuperResolve
from i2ibench.report import published

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "link": "href",
}  # what a browser fetches unasked


class Block(NamedTuple):
    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*match.groups()) for match in BLOCK.finditer(page.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


class Fetched(HTMLParser):
    """What a page has a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in LOADED and values.get("rel") not in ("canonical", "next", "prev") and values.get(LOADED[tag]):
            self.found.append(str(values[LOADED[tag]]))


def test_no_request_leaves_the_site(site: Path) -> None:
    pages = [page for page in site.rglob("*.html") if "reports" not in page.parts]
    assert len(pages) > 30
    for page in pages:
        parser = Fetched()
        parser.feed(page.read_text(encoding="utf-8"))
        for target in parser.found:
            assert not re.match(r"(https?:)?//", target), f"{page.name}: {target}"
            base = site if target.startswith("/") else page.parent
            assert target.startswith("data:") or (base / target.split("?")[0].lstrip("/")).exists(), f"{page}: {target}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_wide_tables_scroll_by_keyboard(site: Path, browser: Any) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=500, height=900, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url=(site / "data.html").as_uri())
    wide = "document.querySelectorAll('.md-typeset__scrollwrap[tabindex]')"
    assert browser.wait(f"{wide}.length")
    every = "[...document.querySelectorAll('.md-typeset__scrollwrap')].every("
    assert browser.value(f"{every}e => (e.scrollWidth > e.clientWidth) === (e.tabIndex === 0))")
    assert browser.value(f"{every}e => e.getAttribute('role') === 'region')")
    names = browser.value(f"[...{wide}].map(e => e.getAttribute('aria-label'))")
    assert "Table: Data sets known by name" in names
    browser.value(f"{wide}[0].focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowRight", windowsVirtualKeyCode=39)
    assert browser.wait(f"{wide}[0].scrollLeft > 0")
    browser.call("Emulation.setDeviceMetricsOverride", width=900, height=900, deviceScaleFactor=1, mobile=False)
    assert browser.wait(f"{wide}.length === 0")  # what does not scroll is no stop


def test_what_the_example_report_links_is_there(site: Path) -> None:
    folder = site / "reports/example"
    links = re.findall(r'<a href="([^"#:]+)"', (folder / "index.html").read_text(encoding="utf-8"))
    assert {"leaderboard.md", "figures/"} <= set(links)
    assert [link for link in links if not (folder / re.sub("/$", "/index.html", link)).exists()] == []


def test_the_reference_is_made_of_docstrings(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    for said in (
        "i2ibench.run",
        "i2ibench.results",
        "i2ibench.load",
        "translate_like",
        "ResNetGenerator",
        "Protocol",
        "ConfigError",
    ):
        assert f">{said}<" in page or f".{said}" in page, said
    assert "one row per trial and metric" in page


def test_nothing_that_a_table_says_is_taken_for_markup(site: Path) -> None:
    source, page = (DOCS / "data.md").read_text("utf-8"), (site / "data.html").read_text("utf-8")
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    braces = [found for found in re.findall(r"{[^{}]*: [^{}]*}", source) if "`" not in found]
    assert "{name: ..., its keys}" in braces
    assert [found for found in braces if found not in text] == []
    assert "<" not in re.sub(r"`[^`]*`", "", source)  # a browser would look for such an element


def test_what_the_tutorials_tell_to_do_works(
    command_line: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blocks of all pages, in their order, in one folder: as a reader would (commands of ours in this process)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    for page in sorted((DOCS / "tutorials").glob("*.md")):
        names: dict[str, Any] = {}
        for language, title, text in blocks(page):
            if title:
                Path(title).write_text(text, encoding="utf-8")
            elif language == "python":
                exec(compile(text, page.name, "exec"), names)
            elif (
                language == "bash"
                and "|" not in text
                and all(line.startswith("i2ibench") for line in text.splitlines())
            ):
                for line in text.splitlines():
                    code, said, error = command_line(*shlex.split(line)[1:])
                    assert code == 0, f"{page.name}: {line}\n{said}\n{error}"
            else:
                assert language == "bash", f"{page.name}: what is a block of {language}?"
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{page.name}: {text}\n{done.stdout}\n{done.stderr}"
    for name in ("first", "own", "mine"):
        assert "NaN" not in Path(f"reports/{name}/leaderboard.md").read_text(encoding="utf-8")
    assert len(list(Path("painted").glob("*.png"))) == 2 * 12


def test_what_is_enlarged_by_hand_is_what_networks_of_super_resolution_learn_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = skimage.data.astronaut()[:64, :96]
    Path("small").mkdir()
    Image.fromarray(imresize(photo, (16, 24))).save("small/astronaut.png")
    (block,) = (found for found in blocks(DOCS / "how-to" / "super-resolution.md") if found.language == "python")
    exec(compile(block.text, "super-resolution.md", "exec"), {})
    enlarged = np.asarray(Image.open("enlarged/astronaut.png"))
    assert np.array_equal(enlarged, SuperResolve(scale=4).degraded(photo, np.random.default_rng(0)))


def images(folder: Path, entry: dict[str, Any]) -> None:
    """A few images in the form that an entry of `data` asks for."""
    if folder.suffix == ".csv":
        images(folder.with_suffix(""), {})
        rows = [f"pairs/{part}A/{i}.png,pairs/{part}B/{i}.png,{part}" for part in ("train", "test") for i in range(3)]
        folder.write_text("\n".join(["a,b,split", *rows]), encoding="utf-8")
        return
    parts = {
        "side-by-side": ["train", "test"],
        "images": ["train", "test"],
        "domains": [f"{part}/{animal}" for part in ("train", "test") for animal in ("cat", "dog", "wild")],
    }.get(entry.get("layout", ""), ["trainA", "trainB", "testA", "testB"])
    if entry.get("labels") == "folders":
        parts = [f"{part}/{label}" for part in parts for label in "01"]
    gradient = np.linspace(0, 255, 32 * 64 * 3).reshape(32, 64, 3)
    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
        for i in range(3):
            shade = 31 * i + sum(part.encode())
            Image.fromarray(((gradient + shade) % 255).astype(np.uint8)).save(folder / part / f"{i}.png")


@pytest.mark.parametrize("page", sorted((DOCS / "how-to").glob("*.md")), ids=lambda page: page.stem)
def test_the_files_of_the_how_tos_plan(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetch, "home", lambda name: tmp_path / "fetched" / name)
    files = [block.text for block in blocks(page) if block.language == "yaml"]
    assert files
    for text in files:
        content = yaml.safe_load(text)
        for label, entry in content["data"].items():
            if "path" in entry:
                images(tmp_path / entry["path"], entry)
            elif "source" not in entry and label == "horse2zebra":
                images(tmp_path / "fetched" / label / label, {})
                (tmp_path / "fetched" / label / fetch.DONE).touch()
        file = tmp_path / "file.yaml"
        file.write_text(text, encoding="utf-8")
        the_plan = plan.make(config.load(file))
        assert {spec.label for spec in the_plan.trials} == set(content["methods"])
        if page.stem == "published-numbers":
            assert all(published.of(the_plan, data) for data in the_plan.data), "there are such numbers of these sets"
