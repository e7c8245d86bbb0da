"""Finds methods and data sources by name: built in, from an installed package, or from a file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from i2ibench.errors import ConfigError, absent, did_you_mean, one_line
from i2ibench.method import Method, MethodParams, Pairing
from i2ibench.sources import OF_FILE, reached
from i2ibench.validation import wrong_default

if TYPE_CHECKING:
    from types import ModuleType

    from i2ibench.data.source import Source

ENTRY_POINTS = "i2ibench.methods"
_VERSIONS: dict[str, dict[Path, tuple[int, int]]] = {}  # of a module from a path: the time and size of its files then
_BESIDE: dict[Path, tuple[int, int]] = {}  # the same of what such modules import from beside them
_OWNERS: dict[str, Path] = {}  # and which of those files a name of theirs stands for, in this process


@cache
def methods() -> dict[str, str]:
    """Every registered method: its name, and the module to import for it."""
    try:
        package = importlib.import_module("i2ibench.methods")
    except ModuleNotFoundError:
        raise ConfigError(
            f"{Path(__file__).parent}: is the source, of which the methods are a part only where it is installed; "
            "`pip install -e .` there, or call `i2ibench` in place of `python -m i2ibench`"
        ) from None
    found = {module.name: f"i2ibench.methods.{module.name}" for module in pkgutil.iter_modules(package.__path__)}
    for point in entry_points(group=ENTRY_POINTS):
        if point.name in found and found[point.name] != point.module:
            raise ConfigError(
                f"two methods are called '{point.name}': {found[point.name]} and {point.module}; rename one of them"
            )
        found[point.name] = point.module
    return found


def method(name: str, base: Path | None = None) -> type[Method]:
    """The class of a method.

    Args:
        name: a registered name, or the path of a Python file that holds one Method subclass.
        base: the folder that a relative path starts from.

    Raises:
        ConfigError: nothing has this name, or the file does not hold exactly one method.
    """
    if name.endswith(".py"):
        return _only_method(_load_file((base or Path()) / name), name)
    if name not in methods():
        file = Path(f"{name}.py")
        if ((base or Path()) / file).is_file():
            path = file if file.is_absolute() else f"./{file}"
            raise ConfigError(f"unknown method '{name}'; for the file of this name write {path}")
        raise ConfigError(f"unknown method '{name}'; {did_you_mean(name, methods())}, or a path ending in .py")
    return _only_method(_imported(lambda: importlib.import_module(methods()[name]), methods()[name]), name)


def method_file(method_class: type[Method]) -> Path:
    """The source file of a method: part of what a trial's numbers depend on."""
    return Path(inspect.getfile(method_class))


@cache
def sources() -> dict[str, type[Source]]:
    """The kinds of data set, by the name that `source:` takes."""
    from i2ibench.data.folder import Folder
    from i2ibench.data.glyphs import Glyphs
    from i2ibench.data.lists import List
    from i2ibench.data.named import sources as named
    from i2ibench.data.shapes import Shapes
    from i2ibench.data.shards import WebDataset

    kinds: tuple[type[Source], ...] = (Glyphs, Shapes, Folder, List, WebDataset)
    return {**{source.name: source for source in kinds}, **named()}


def _only_method(module: ModuleType, name: str) -> type[Method]:
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise ConfigError(
            f"method '{name}': {module.__file__} must define exactly one subclass of Method, it has {len(own)}"
        )
    (found,) = own
    if not (inspect.isclass(found.Params) and issubclass(found.Params, MethodParams)):
        raise ConfigError(f"method '{name}': Params must be a class that subclasses Method.Params")
    if wrong := wrong_default(found.Params):
        raise ConfigError(f"method '{name}': in Params, {wrong}")
    if not isinstance(found.players, tuple) or found.pairing not in get_args(Pairing):
        kinds = " or ".join(map(repr, get_args(Pairing)))
        raise ConfigError(f"method '{name}': players must be a tuple of names, and pairing {kinds}")
    if missing := _missing(found):
        raise ConfigError(f"method '{name}': {missing}")
    return found


def _missing(found: type[Method]) -> str:
    """What a class lacks of a method; "" if nothing."""
    learns = found.step is not Method.step
    if found.translate is Method.translate:
        return "it must define translate(self, a, *, rng)"
    if learns and not found.players:
        return 'it defines step(), so players must name the networks that learn, such as players = ("generator",)'
    if found.players and not learns:
        return f"players names {', '.join(found.players)}, so it must define step(self, batch, turn)"
    return ""


def _load_file(path: Path) -> ModuleType:
    """The module of a file as it is now: loaded anew if it was edited, or what it imports from beside it, and that too.

    A trial is named after all of these files as they are on disk, so that none may run as it was before.
    """
    path = path.expanduser().resolve()
    if not path.is_file():
        raise ConfigError(absent(path))
    name = OF_FILE + "".join(c if c.isalnum() else "_" for c in str(path))
    files = _imported(lambda: reached(path), str(path))
    version = {file: (status.st_mtime_ns, status.st_size) for file in files for status in (file.stat(),)}
    known = sys.modules.get(name)
    if known is not None and _VERSIONS.get(name) == version:
        return known
    beside = {file: seen for file, seen in version.items() if file != path}
    _forget(path, beside)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name], _VERSIONS[name] = module, version
    loader = spec.loader
    folder = str(path.parent)
    sys.path.insert(0, folder)  # as Python does for a script
    try:
        _imported(lambda: loader.exec_module(module), str(path))
    except ConfigError:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # for imports within functions, after all that is installed
    return module


def _forget(path: Path, beside: dict[Path, tuple[int, int]]) -> None:
    """Have what a file imports from beside it imported anew, if any of that was edited or is seen for the first time.

    Args:
        beside: the time and size of each.

    Raises:
        ConfigError: another module of the name is loaded, which the method would get in place of its own.
    """
    stale = any(_BESIDE.get(file) != seen for file, seen in beside.items())
    _BESIDE.update(beside)
    for file in beside:
        parts = file.relative_to(path.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        _require_own(".".join(parts), file, path)
        for i in range(len(parts), 0, -1) if stale else ():
            name = ".".join(parts[:i])  # with the folders that it is in: those without __init__.py hold on to it
            if i == len(parts) or not getattr(sys.modules.get(name), "__file__", None):
                sys.modules.pop(name, None)


def _require_own(name: str, file: Path, path: Path) -> None:
    """Raise ConfigError if the name of a file beside a method's stands for another, loaded or to be (in a function)."""
    source = getattr(sys.modules.get(name), "__file__", None) or _OWNERS.get(name)
    if source is not None and Path(source).resolve() != file.resolve():
        raise ConfigError(
            f"method file {path}: imports '{name}' from beside it, and {source} has this name too; rename one of them"
        )
    _OWNERS[name] = file


def _imported(load: Callable[[], Any], name: str) -> Any:
    try:
        return load()
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ConfigError(f"method file {name} cannot be imported: {reason}") from error
