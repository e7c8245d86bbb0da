"""Reads YAML with the line of every key, so that an error can say `benchmark.yaml:12`."""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Any

import yaml

from i2ibench.errors import ConfigError, absent, one_line

Path = tuple[str | int, ...]  # the keys that lead to a value: ("methods", "pix2pix", "width")


_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where PyYAML was built with it: ten times faster


class _Loader(_Fast):  # type: ignore[misc]
    """YAML 1.2's reading of plain values: PyYAML takes `1e-4` for a string, `10:30` for 630 and `no` for false."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if tag.split(":")[-1] not in ("bool", "int", "float", "timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


class Document:
    """A parsed YAML file: `content`, and `where(path)` for messages."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._lines: dict[Path, int] = {}
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            self.content = {} if node is None else self._construct(loader, node, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = f":{mark.line + 1}" if mark else ""
            problem = error.problem or error.context
            if mark and text[mark.index : mark.index + 1] == "\t":
                problem = "a tab in the indentation; use spaces"
            raise ConfigError(f"{name}{line}: not valid YAML: {problem}") from None
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"{name}: not valid YAML: {one_line(error)}") from None
        except RecursionError:
            raise ConfigError(f"{name}: not valid YAML: nested too deeply, or an alias of itself") from None

    def where(self, path: Path) -> str:
        """`file:line: dotted.key` of the value at `path`, or of its nearest ancestor that the file holds."""
        while path and path not in self._lines:
            path = path[:-1]
        place = f"{self.name}:{self._lines.get(path, 1)}"
        return f"{place}: {'.'.join(map(str, path))}" if path else place

    def _construct(self, loader: _Loader, node: yaml.Node, path: Path) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.CollectionNode) and node.tag.split(":")[-1] not in ("map", "seq"):
            raise ConfigError(f"{self.name}:{node.start_mark.line + 1}: the tag {node.tag} is not allowed; remove it")
        if isinstance(node, yaml.MappingNode):
            self._refuse_odd_keys(node)
            loader.flatten_mapping(node)  # puts what `<<` merges in before the mapping's own keys, which so win
            result: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key, line = str(key_node.value), key_node.start_mark.line + 1
                child = (*path, key)
                self._lines[child] = line
                result[key] = self._construct(loader, value_node, child)
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self._construct(loader, item, (*path, i)) for i, item in enumerate(node.value)]
        return loader.construct_object(node, deep=True)

    def _refuse_odd_keys(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key_node, _ in node.value:
            place = f"{self.name}:{key_node.start_mark.line + 1}"
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{place}: a key must be plain text")
            if key_node.value in seen:
                raise ConfigError(f"{place}: the key '{key_node.value}' stands twice; remove one")
            seen.add(key_node.value)


def read(path: FilePath) -> tuple[str, Document]:
    """The text of a YAML file and its parsed document.

    Raises:
        ConfigError: the file cannot be read, or is not valid YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(absent(path)) from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: this is a folder; name the YAML file itself") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file (byte {error.start} is not UTF-8)") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    return text, Document(text, str(path))
