"""The code that a method is made of, by which its trials are named: a file that was edited since is another method."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from i2ibench.method import Method
from i2ibench.provenance import code_digest

OF_FILE = "i2ibench_file_"  # how the names of modules begin that were loaded from the path of their file


def built_in(method: type[Method]) -> bool:
    return method.__module__.startswith("i2ibench.")


def digest(method: type[Method]) -> str:
    """A hash of what its files do (see `code_digest`)."""
    return code_digest(*files(method))


def files(method: type[Method]) -> list[Path]:
    """The files that a method is made of: its own, and what it imports from its folder or package; and they in turn."""
    own, module = Path(inspect.getfile(method)), method.__module__
    package, dot, _ = module.partition(".")
    if module.startswith(OF_FILE):
        return reached(own)
    if built_in(method) or not dot:  # what lies alone among installed packages
        return [own]
    levels = module.count(".") + (own.name == "__init__.py")
    return reached(own, own.parents[levels], package)


def reached(own: Path, root: Path | None = None, package: str | None = None) -> list[Path]:
    """A file and what it imports from `root` (default: its folder), of `package` alone if you say so; and they in turn.

    They are found by the names in their import statements alone, wherever these stand, and not by what happens to be
    imported: a trial must be called the same in every process.

    Raises:
        SyntaxError: of one of them.
    """
    root = root or own.parent  # the folder that its modules' names start from
    found: dict[Path, None] = {}
    waiting = [own]
    while waiting:
        file = waiting.pop(0)
        if file not in found:
            found[file] = None
            status = file.stat()
            names = _imports(file, ".".join(file.parent.relative_to(root).parts), status.st_mtime_ns, status.st_size)
            for name in names:
                top = name.partition(".")[0]
                if top != "i2ibench" and package in (None, top):  # the harness counts otherwise
                    waiting += _at(root, name)
    return [*found]


@lru_cache(maxsize=1024)
def _imports(file: Path, package: str, *version: int) -> tuple[str, ...]:
    """Names of the modules that a file may import, and of what it takes from them, which may be modules too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_bytes(), file.name)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(dict.fromkeys(names))


def _at(root: Path, name: str) -> Iterator[Path]:
    """The files of a module and of the packages that it is in, as far as they are there."""
    folder = root
    for part in name.split("."):
        for file in (folder / f"{part}.py", folder / part / "__init__.py"):
            if file.is_file():
                yield file
        folder /= part
