"""What a data set may say of its images beyond their pixels: the colours of label maps, and the class of each image."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from i2ibench.errors import DataError, few, one_line
from i2ibench.lazy import np

MOST_CLASSES = 256
COLUMNS = ["name", "class"]  # of a CSV file of labels
LABELLED = ("train_a", "train_b", "test_b")  # the arrays whose classes a score may need


@dataclass(frozen=True)
class Palette:
    """The classes of label maps and their colours in RGB, 0 to 255, in the order of their class indices.

    domain: which one holds the label maps, as `direction` says: "a" those of inputs, "b" those of targets.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    domain: Literal["a", "b"] = "b"


@dataclass(frozen=True)
class ClassLabels:
    """The class of each image as an index into `classes`: int64 arrays in the order of the images' arrays."""

    classes: tuple[str, ...]
    train_a: np.ndarray
    train_b: np.ndarray
    test_b: np.ndarray

    @classmethod
    def of(cls, names: Mapping[str, Sequence[str]], where: str) -> ClassLabels:
        """From the class names of the images of each array.

        Raises:
            DataError: fewer than two classes, or one in test_b that a classifier never sees in train_a.
        """
        classes = sorted({name for array in LABELLED for name in names[array]})
        if len(set(names["train_a"])) < 2:
            raise DataError(f"{where}: the training images have one class; labels need two at least")
        unseen = sorted(set(names["test_b"]) - set(names["train_a"]))
        if unseen:
            raise DataError(
                f"{where}: no training image of the inputs has the class {few(unseen)}, "
                "which test images of the targets have: the classes must be the same"
            )
        index = {name: i for i, name in enumerate(classes)}
        return cls(
            tuple(classes), **{array: np.array([index[n] for n in names[array]], np.int64) for array in LABELLED}
        )


def digest(palette: Palette | None, labels: ClassLabels | None) -> str:
    """A short hash of what a data set declares, or "" if that is nothing: scores depend on it, training does not."""
    if palette is None and labels is None:
        return ""
    content: list[Any] = [palette and asdict(palette)]
    if labels is not None:
        content += [labels.classes, *(getattr(labels, array).tolist() for array in LABELLED)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]


def colours(value: Any) -> Any:
    """A palette as written in a benchmark file, with each colour brought to three whole numbers.

    Raises:
        ValueError: a colour is none, two classes share one, or there are too few or too many.
    """
    if not isinstance(value, Mapping):
        return value  # for pydantic to complain about
    found: dict[tuple[int, ...], str] = {}
    for name, given in value.items():
        colour = _colour(given)
        if colour is None:
            raise ValueError(f'{name}: write a colour as [r, g, b] with numbers from 0 to 255, or in quotes: "#rrggbb"')
        if colour in found:
            raise ValueError(f"{found[colour]} and {name} have the same colour; each class needs its own")
        found[colour] = str(name)
    if not 2 <= len(found) <= MOST_CLASSES:
        raise ValueError(f"a palette has 2 to {MOST_CLASSES} classes, this one {len(found)}")
    return {name: colour for colour, name in found.items()}


def _colour(given: Any) -> tuple[int, ...] | None:
    if isinstance(given, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", given):
        return tuple(bytes.fromhex(given[1:]))
    plain = isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 3
    if plain and all(type(part) is int and 0 <= part <= 255 for part in given):
        return tuple(given)
    return None


def read_csv(file: Path) -> dict[str, str]:
    """The class by image name (as written, less an image's ending) of a CSV file that begins with `name,class`.

    Raises:
        DataError: it cannot be read, has other columns, an empty class, or says two things of one image.
    """
    from i2ibench.data.pixels import ENDINGS

    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream, strict=True))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: is no CSV file ({one_line(error)})") from None
    if not rows or [cell.strip() for cell in rows[0]] != COLUMNS:
        raise DataError(f"{file}:1: a file of labels begins with the line {','.join(COLUMNS)}")
    found: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != 2 or not all(cells):
            raise DataError(f"{file}:{number}: a line holds an image's name and its class, this one {','.join(row)!r}")
        path = Path(cells[0])
        name = str(path.with_suffix("")) if path.suffix.lower() in ENDINGS else cells[0]
        if found.setdefault(name, cells[1]) != cells[1]:
            raise DataError(f"{file}:{number}: {name} has two classes, {found[name]} and {cells[1]}; keep one")
    return found
