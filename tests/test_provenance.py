"""The hash of a file of code: of what it does, in whatever version of Python."""

from __future__ import annotations

import ast
from pathlib import Path

import i2ibench
from i2ibench import provenance

SOURCE = 'def f(x):\n    """Say it."""\n    return [x, 1.5]\n\n\nclass C:\n    y = f"{f(2)}"\n'


def test_comments_docstrings_and_layout_do_not_count_and_all_else_does(tmp_path: Path) -> None:
    def digest(source: str) -> str:
        file = tmp_path / f"{abs(hash(source))}.py"
        file.write_text(source)
        return provenance.code_digest(file)

    assert digest(SOURCE) == digest(SOURCE.replace("Say it.", "Else.").replace("x, 1.5", "x,  1.5")) != ""
    assert digest(SOURCE) != digest(SOURCE.replace("1.5", "1.25"))


def test_a_file_is_called_the_same_in_a_python_that_knows_type_parameters() -> None:
    """Python 3.12 gave functions and classes a field `type_params`."""
    older, newer = ast.parse(SOURCE), ast.parse(SOURCE)
    for node in ast.walk(newer):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and "type_params" not in node._fields:
            node._fields = (*node._fields, "type_params")  # type: ignore[misc]
            node.type_params = []  # type: ignore[attr-defined]
    for node in ast.walk(older):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node._fields = tuple(field for field in node._fields if field != "type_params")  # type: ignore[misc]
    assert provenance._plain(older) == provenance._plain(newer)
    for node in ast.walk(newer):
        if isinstance(node, ast.FunctionDef):
            node.type_params = [ast.Name("T")]  # type: ignore[attr-defined, list-item]
    assert provenance._plain(older) != provenance._plain(newer)


def test_a_file_is_called_the_same_in_a_python_that_ends_formats_with_nothing() -> None:
    """Python 3.12.1 parses the format of `f"{x:{width}}"` as the width and an empty string, 3.11 and 3.13 as the width."""

    def ended_with(text: str) -> ast.Module:
        tree = ast.parse('f"{x:{width}}"')
        *_, layout = (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr))
        layout.values.append(ast.Constant(text))
        return tree

    plain = provenance._plain(ast.parse('f"{x:{width}}"'))
    assert provenance._plain(ended_with("")) == plain
    assert provenance._plain(ended_with(" ")) != plain


def test_all_code_that_trainings_run_through_is_named() -> None:
    package = Path(i2ibench.__file__).parent
    assert all(list(package.glob(pattern)) for pattern in provenance.TRAINING_CODE)
    assert {"policy.py", "turns.py", "training.py", "widening.py"} <= set(provenance.TRAINING_CODE)
