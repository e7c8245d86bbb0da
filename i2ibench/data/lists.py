"""list: a CSV, TSV or JSONL file that names image files, with columns for pairs, domains and splits."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, field_validator

from i2ibench.data.files import FileParams, Files
from i2ibench.data.items import Item, held_out
from i2ibench.data.paths import expand
from i2ibench.data.source import DomainParams
from i2ibench.errors import DataError, absent, did_you_mean, few, one_line

ROLES = ("a", "b", "image", "domain", "split")
SPLIT_OF = {"train": "train", "training": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}


class ListParams(FileParams, DomainParams):
    path: str = Field(
        description="a .csv, .tsv or .jsonl file; the paths in it start from its folder. Pairs have the columns a and "
        "b; unpaired images have image and domain; single images, for a task, have image"
    )
    columns: dict[str, str] = Field(
        {}, description="what those columns are called, where it is something else: {a: photo, b: label map}"
    )
    domains: tuple[str, ...] | None = Field(
        None,
        description="which values of the column domain are A and B, or several; needed where there are more than two",
    )
    test_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="without a column split: the share of rows to hold out, by the names of their images",
    )

    @field_validator("columns")
    @classmethod
    def _known_roles(cls, value: dict[str, str]) -> dict[str, str]:
        for role in value:
            if role not in ROLES:
                raise ValueError(f"unknown column '{role}'; {did_you_mean(role, ROLES)}")
        return value


class Row(NamedTuple):
    """One line of the file: its number, and the cells that it fills, by role."""

    line: int
    cells: dict[str, str]


class List(Files):
    """Image files named by a table. Rows whose split is `val` are test rows where no row says `test`."""

    name = "list"
    description = "image files named by a CSV, TSV or JSONL file: pairs, domains, or single images"
    Params = ListParams
    params: ListParams

    def __init__(self, params: ListParams, base: Path | None = None) -> None:
        super().__init__(params, base)
        self.path = self.base / expand(params.path)
        names = {role: params.columns.get(role, role) for role in ROLES}
        rows = list(_read(self.path))
        columns = {role for role, name in names.items() if any(name in row for _, row in rows)}
        self.rows = [
            Row(line, {role: cell for role, name in names.items() if (cell := _cell(row.get(name)))})
            for line, row in rows
        ]
        self._paired = {"a", "b"} <= columns
        if not self._paired and "image" not in columns:
            raise DataError(f"{self.path}: has neither the columns a and b nor image; name them with `columns:`")
        if not self._paired and "domain" not in columns and params.task is None:
            raise DataError(f"{self.path}: has single images and no column domain; add a task, such as task: colorize")
        self.files = self._items()
        for name, items in self.files.items():
            if not items:
                split, domain = name.split("_")
                raise DataError(f"{self.path}: names no {split} images of domain {domain.upper()}")

    @property
    def kind_paired(self) -> bool:
        return self._paired

    def _items(self) -> dict[str, list[Item]]:
        files: dict[str, list[Item]] = {f"{split}_{domain}": [] for split in ("train", "test") for domain in "ab"}
        domains = self._domains()
        has_test = any(SPLIT_OF.get(row.cells.get("split", "").lower()) == "test" for row in self.rows)
        for row in self.rows:
            split = self._split(row, has_test)
            if split is None:
                continue
            if self._paired:
                roles = {"a": "a", "b": "b"}
            elif domains is None:
                roles = {"a": "image", "b": "image"}
            else:
                self._need(row, "domain")
                roles = {
                    domain: "image" for domain, value in zip("ab", domains, strict=True) if row.cells["domain"] == value
                }
            for domain, role in roles.items():
                self._need(row, role)
                file = self.path.parent / row.cells[role]
                if not file.is_file():
                    raise DataError(f"{self.path}:{row.line}: {absent(file)}")
                files[f"{split}_{domain}"].append(Item(file))
        return files

    def _need(self, row: Row, role: str) -> None:
        if role not in row.cells:
            raise DataError(f"{self.path}:{row.line}: the column {self.params.columns.get(role, role)} is empty")

    def _split(self, row: Row, has_test: bool) -> str | None:
        """train or test; None for a validation row that is not needed."""
        given = row.cells.get("split")
        share = self.params.test_share
        if given is None:
            if share is None:
                raise DataError(
                    f"{self.path}:{row.line}: names no split; add a column split (train or test), or hold out a share "
                    "by name, such as test_share: 0.1"
                )
            return "test" if held_out(row.cells.get("a") or row.cells.get("image", ""), share) else "train"
        split = SPLIT_OF.get(given.lower())
        if split is None:
            raise DataError(f"{self.path}:{row.line}: the split is {given!r}; write train or test (or val)")
        if split == "val":
            return None if has_test else "test"
        return split

    def _domains(self) -> tuple[str, ...] | None:
        """The values of the column domain that are A and B; None for pairs and single images."""
        found = list(dict.fromkeys(row.cells["domain"] for row in self.rows if "domain" in row.cells))
        if self._paired or not found:
            return None
        wanted = self.params.domains
        if wanted is None:
            if len(found) != 2:
                raise DataError(
                    f"{self.path}: has the domains {few(found)}; say which, such as domains: [{', '.join(found[:2])}]"
                )
            return tuple(found)
        for domain in wanted:
            if domain not in found:
                raise DataError(f"{self.path}: has no domain {domain!r}; {did_you_mean(domain, found)}")
        return tuple(wanted[end] for end in self.params.ends)


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of each row that is not empty."""
    kind = path.suffix.lower()
    if kind not in (".csv", ".tsv", ".jsonl"):
        raise DataError(f"{path}: a list is a .csv, .tsv or .jsonl file")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if kind == ".jsonl":
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        row = json.loads(line)
                        if not isinstance(row, dict):
                            raise DataError(f"{path}:{number}: a line of JSONL is an object, {{...}}")
                        yield number, row
            else:
                reader = csv.DictReader(file, delimiter="\t" if kind == ".tsv" else ",", strict=True)
                for row in reader:
                    if None in row:
                        raise DataError(f"{path}:{reader.line_num}: has more cells than the first line has columns")
                    yield reader.line_num, row
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, csv.Error) as error:  # JSON and encoding errors are ValueErrors
        raise DataError(f"{path}: is not valid {kind[1:].upper()} ({one_line(error)})") from None
