"""The code that a method is made of, by which its trials are named: a file that was edited since is another method."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from i2ibench import registry
from i2ibench.method import Method
from i2ibench.provenance import code_digest

INSTALLED = {"site-packages", "dist-packages"}  # folders of other people's code


def built_in(method: type[Method]) -> bool:
    return method.__module__.startswith("i2ibench.")


def digest(method: type[Method]) -> str:
    """A hash of what its files do (see `code_digest`)."""
    return code_digest(*files(method))


def files(method: type[Method]) -> list[Path]:
    """The files that a method is made of: its own, and what it imports from its folder or package; and they in turn."""
    own, module = registry.method_file(method), sys.modules[method.__module__]
    if built_in(method):  # what it may import counts as code of the harness
        return [own]
    top = sys.modules[module.__name__.partition(".")[0]]
    home = own.parent if top is module else Path(top.__file__ or own).parent
    found, waiting = {own: None}, [*_imports(own, module.__package__ or "")]
    while waiting and home.name not in INSTALLED:  # a module that lies there alone is a home to none of the others
        module = sys.modules.get(waiting.pop(0), module)
        file = Path(getattr(module, "__file__", None) or "")  # a built-in one has none
        if file in found or file.suffix != ".py" or not file.is_relative_to(home):
            continue
        if not INSTALLED & {*file.relative_to(home).parts}:  # an environment in the folder of the benchmark
            found[file] = None
            waiting += _imports(file, module.__package__ or "")
    return [*found]


def _imports(file: Path, package: str) -> Iterator[str]:
    """Names of the modules that a file may import, and of what it takes from them, which may be modules too."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
