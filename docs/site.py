"""A hook of mkdocs: puts README, and every file of the repository that a page links to, on the site as a page.

So the pages stand once, in the repository, where their links work too; and the site leads nowhere else.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
HOME = "README.md"
LINK = re.compile(r"(\]\()([^)#\s]+)")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".sbatch": "bash"}
BLOCKS, BLOCK = "<!-- all of i2ibench.nn -->", "{heading_level: 3, show_root_full_path: false, members: []}"
LISTING = "# Ready comparisons\n\nEach file says at its top what it compares, what it needs, and how long it takes."
WHOLE = Path("reports/example")  # a page with pictures beside it: copied with all that is in its folder
FIGURES = WHOLE / "figures"  # its page links this folder, which a web server need not list


def on_files(files: Files, config: Any) -> Files:
    """Add what pages link to outside of docs/, and what those link to in turn."""
    docs = Path(config.docs_dir)
    waiting = [docs / file.src_uri for file in files.documentation_pages()] + [ROOT / HOME]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if not path.is_relative_to(docs):
            _add(path, files, config)
        if path.suffix == ".md":
            waiting += [target for target in _targets(path) if not target.is_relative_to(docs)]
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links between files of the repository into links between pages, and name what `i2ibench.nn` offers."""
    origin = ROOT / HOME if page.file.src_uri == "index.md" else Path(config.docs_dir) / page.file.src_uri
    if not origin.exists():
        origin = ROOT / page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        target = _target(origin, match[2])
        if target is None:
            return match[0]
        return match[1] + os.path.relpath(_place(target), Path(page.file.src_uri).parent)

    offered = re.findall(
        r"^from \.(\w+) import (\w+)", (ROOT / "i2ibench/nn/__init__.pyi").read_text("utf-8"), re.MULTILINE
    )
    blocks = "\n".join(f"::: i2ibench.nn.{module}.{name}\n    options: {BLOCK}" for module, name in offered)
    return LINK.sub(moved, markdown.replace(BLOCKS, blocks))


def on_post_build(config: Any) -> None:
    """Put the files of Markdown of a whole folder beside the pages that they became: the folder's page links them."""
    for each in (ROOT / WHOLE).glob("*.md"):
        shutil.copy(each, Path(config.site_dir) / WHOLE)


def _add(path: Path, files: Files, config: Any) -> None:
    place = _place(path)
    if path.is_relative_to(ROOT / WHOLE):
        for each in (file for file in (ROOT / WHOLE).rglob("*") if file.is_file()):
            uri = _place(each)
            if uri not in files.src_uris:
                files.append(File.generated(config, uri, abs_src_path=str(each)))
        if (listing := f"{FIGURES.as_posix()}/index.md") not in files.src_uris:
            names = "\n".join(f"- [{each.name}]({each.name})" for each in sorted((ROOT / FIGURES).iterdir()))
            files.append(File.generated(config, listing, content=f"# Figures\n\n{names}\n"))
    elif path.suffix == ".md":
        files.append(File.generated(config, place, content=path.read_text(encoding="utf-8")))
    elif path.is_dir():
        names = sorted(file for file in path.glob("*.yaml"))
        body = "\n\n".join(f"## {file.name}\n\n{_fenced(file)}" for file in names)
        files.append(File.generated(config, place, content=f"{LISTING}\n\n{body}\n"))
    else:
        head = "---\nsearch:\n  exclude: true\nhide: [toc]\n---\n"
        title = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, place, content=f"{head}# {title}\n\n{_fenced(path)}\n"))


def _fenced(file: Path) -> str:
    return f"````{LANGUAGES.get(file.suffix, 'text')}\n{file.read_text(encoding='utf-8')}````"


def _targets(path: Path) -> list[Path]:
    found = (_target(path, match[2]) for match in LINK.finditer(path.read_text(encoding="utf-8")))
    return [target for target in found if target is not None]


def _target(origin: Path, link: str) -> Path | None:
    """The file of the repository that a link leads to; None if it leads elsewhere."""
    if re.match(r"[a-z]+:", link):
        return None
    target = Path(os.path.normpath(origin.parent / link))
    return target if target.exists() and target.is_relative_to(ROOT) else None


def _place(path: Path) -> str:
    """Where a file of the repository stands on the site, as the source of a page."""
    inside = path.relative_to(ROOT)
    if inside == Path(HOME):
        return "index.md"
    if inside.parts[0] == "docs":
        return Path(*inside.parts[1:]).as_posix()
    if path.suffix == ".md" or path.is_relative_to(ROOT / WHOLE):
        return inside.as_posix()
    return f"{inside.as_posix()}.md"
