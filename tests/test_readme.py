"""README and docs say what is: their tables of keys are those of the models, and their commands exist."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from i2ibench import keys, registry
from i2ibench.cli import app
from i2ibench.config import Evaluation, Header, Resources, Training
from i2ibench.data.files import FileParams
from i2ibench.data.recipes import recipes
from i2ibench.data.source import SourceParams
from i2ibench.data.tasks import TASKS
from i2ibench.entries import DataKeys, MethodKeys
from i2ibench.method import MethodParams
from i2ibench.metrics.protocol import Protocol
from i2ibench.slurm.settings import Slurm

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
DOCS = "\n".join(PAGES.values())


def table(model: type[BaseModel], leave_out: type[BaseModel] | None = None) -> str:
    """The keys of a model as Markdown rows, in the order of their declaration."""
    fields = {k: f for k, f in model.model_fields.items() if leave_out is None or k not in leave_out.model_fields}
    return "\n".join(
        f"| `{key}` | {keys.default(field, '`')} | {keys.meaning(field).replace('|', chr(92) + '|')} |"
        for key, field in fields.items()
    )


def task_rows(name: str) -> str:
    """A task and its keys as one Markdown row each."""
    task = TASKS[name]
    first = (task.__doc__ or "").splitlines()[0]
    fields = {key: field for key, field in task.model_fields.items() if key != "name"}
    rows = [f"| | `{key}` | {keys.default(field, '`')} | {keys.meaning(field)} |" for key, field in fields.items()]
    return "\n".join([f"| `{name}` | | | {first} |", *rows])


def method_rows() -> str:
    """The methods that learn, a Markdown row each: what they need, what they can do, and how long their papers train."""
    rows = []
    for name in sorted(registry.methods()):
        method = registry.method(name)
        abilities = [word for word in ("multimodal", "bidirectional") if getattr(method, word)]
        if method.players:
            paper = keys.written(method.presets["paper"]["training"]).strip("{}")
            rows.append(f"| `{name}` | {method.paper} | {method.pairing} | {', '.join(abilities) or '–'} | {paper} |")
    return "\n".join(rows)


def set_rows() -> str:
    """The data sets known by name, a Markdown row each."""

    def count(numbers: tuple[int, ...] | None) -> str:
        return " + ".join(map(str, numbers[:1] if len(set(numbers)) == 1 else numbers)) if numbers else "–"

    return "\n".join(
        f"| [`{name}`]({r.home}) | {r.about} | {' → '.join(r.domains) if len(r.domains) < 3 else ', '.join(r.domains)} "
        f"| {count(r.train)} / {count(r.test)}, {r.pixels} | {r.how_large}; {r.licence} |"
        for name, r in recipes().items()
    )


@pytest.mark.parametrize(
    "model", [Training, Resources, Evaluation, Slurm, DataKeys, MethodKeys, SourceParams, MethodParams]
)
def test_the_tables_of_keys_are_those_of_the_models(model: type[BaseModel]) -> None:
    assert table(model) in DOCS, f"README.md or docs should have these rows:\n{table(model)}"


@pytest.mark.parametrize("source", sorted(registry.sources()))
def test_the_tables_of_data_sets_are_those_of_the_sources(source: str) -> None:
    params = registry.sources()[source].Params
    rows = table(params, leave_out=FileParams if issubclass(params, FileParams) else SourceParams)
    assert rows in DOCS, f"README.md or docs should have these rows:\n{rows}"


def test_the_table_of_image_files_is_that_of_the_model() -> None:
    assert table(FileParams, leave_out=SourceParams) in DOCS


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_tables_of_tasks_are_those_of_the_tasks(name: str) -> None:
    rows = task_rows(name)
    assert rows in DOCS, f"README.md or docs should have these rows:\n{rows}"


def test_the_table_of_data_sets_known_by_name_is_that_of_the_recipes() -> None:
    assert set_rows() in DOCS, f"README.md or docs should have these rows:\n{set_rows()}"


def test_the_tables_of_protocols_are_those_of_the_model() -> None:
    assert table(Protocol) in DOCS, f"README.md or docs should have these rows:\n{table(Protocol)}"


@pytest.mark.parametrize("name", sorted(n for n in registry.methods() if registry.method(n).players))
def test_the_tables_of_methods_are_those_of_the_methods(name: str) -> None:
    params = registry.method(name).Params
    rows = "\n".join(row for row in table(params).splitlines() if row not in table(MethodParams).splitlines())
    assert rows in DOCS, f"README.md or docs should have these rows:\n{rows}"


def test_the_table_of_methods_is_that_of_the_methods() -> None:
    assert method_rows() in DOCS, f"docs/methods.md should have these rows:\n{method_rows()}"


def test_the_top_level_keys_are_named() -> None:
    for key in Header.model_fields:
        assert re.search(rf"^(# )?{key}:", README, re.MULTILINE), key


def test_every_command_is_named_and_every_named_command_exists() -> None:
    shown = [command for command in app.registered_commands if not command.hidden]
    commands = {command.name or command.callback.__name__ for command in shown} | {"assets", "data"}
    named = set(re.findall(r"`i2ibench ([a-z]+)", DOCS)) | set(re.findall(r"^i2ibench ([a-z]+)", DOCS, re.MULTILINE))
    assert named == commands


def test_links_lead_somewhere() -> None:
    pages = [*PAGES, *(ROOT / "docs").glob("*/*.md"), ROOT / "slurm/README.md", ROOT / "benchmarks/RESULTS.md"]
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
