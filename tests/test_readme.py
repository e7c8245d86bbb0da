"""The README says what is: its tables of keys are those of the models, and its commands exist."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from i2ibench import registry
from i2ibench.cli import app
from i2ibench.config import DataKeys, Evaluation, Header, MethodKeys, Resources, Training
from i2ibench.data.source import SourceParams
from i2ibench.method import MethodParams
from i2ibench.metrics.protocol import Protocol

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value in (None, "", {}):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table(model: type[BaseModel], leave_out: type[BaseModel] | None = None) -> str:
    """The keys of a model as Markdown rows, in the order of their declaration."""
    fields = {k: f for k, f in model.model_fields.items() if leave_out is None or k not in leave_out.model_fields}
    return "\n".join(
        f"| `{key}` | {default(field)} | {(field.description or '').replace('|', chr(92) + '|')} |"
        for key, field in fields.items()
    )


@pytest.mark.parametrize("model", [Training, Resources, Evaluation, DataKeys, MethodKeys, SourceParams, MethodParams])
def test_the_tables_of_keys_are_those_of_the_models(model: type[BaseModel]) -> None:
    assert table(model) in README, f"README.md should have these rows:\n{table(model)}"


@pytest.mark.parametrize("source", sorted(registry.sources()))
def test_the_tables_of_data_sets_are_those_of_the_sources(source: str) -> None:
    rows = table(registry.sources()[source].Params, leave_out=SourceParams)
    assert rows in README, f"README.md should have these rows:\n{rows}"


def test_the_tables_of_protocols_are_those_of_the_model() -> None:
    assert table(Protocol) in README, f"README.md should have these rows:\n{table(Protocol)}"


@pytest.mark.parametrize("name", sorted(n for n in registry.methods() if registry.method(n).players))
def test_the_tables_of_methods_are_those_of_the_methods(name: str) -> None:
    params = registry.method(name).Params
    rows = "\n".join(row for row in table(params).splitlines() if row not in table(MethodParams).splitlines())
    assert rows in README, f"README.md should have these rows:\n{rows}"


def test_the_top_level_keys_are_named() -> None:
    for key in Header.model_fields:
        assert re.search(rf"^(# )?{key}:", README, re.MULTILINE), key


def test_every_command_is_named_and_every_named_command_exists() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands} | {"assets"}
    named = set(re.findall(r"`i2ibench ([a-z]+)", README)) | set(
        re.findall(r"^i2ibench ([a-z]+)", README, re.MULTILINE)
    )
    assert named == commands


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
