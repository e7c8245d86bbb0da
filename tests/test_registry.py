"""Methods are found by name, by entry point and by path; collisions and misspellings are refused."""

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from i2ibench import registry
from i2ibench.errors import ConfigError
from i2ibench.method import Method

ONE = """from i2ibench.method import Method
class Mine(Method):
    pass
    def translate(self, a, *, rng):
        return a
"""
LEARNS = (
    ONE
    + """
    def step(self, batch, turn):
        return
"""
)


def test_every_built_in_file_holds_one_method() -> None:
    names = set(registry.methods())
    assert {"copy", "oracle", "vae", "cvae", "pix2pix", "cyclegan", "unit", "munit"} <= names
    for name in names:
        assert issubclass(registry.method(name), Method)


def test_a_path_is_a_method(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ONE)
    assert registry.method("mine.py", tmp_path).__name__ == "Mine"
    assert registry.method(str(tmp_path / "mine.py")) is registry.method("./mine.py", tmp_path), "imported once"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is imported, and from where, is as before when the test ends."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # whose clock counts in seconds
    monkeypatch.setattr(registry, "_OWNERS", {})
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        del sys.modules[name]


def test_what_a_file_imports_from_beside_it_is_as_on_disk_in_a_notebook_too(tmp_path: Path, modules: None) -> None:
    uses = f"import i2i_part\n{ONE.replace('pass', 'factor = i2i_part.FACTOR')}"
    for name, text in {"one.py": uses, "two.py": uses, "i2i_part.py": "from i2i_deep import FACTOR"}.items():
        (tmp_path / name).write_text(text)

    def factors() -> list[int]:
        return [getattr(registry.method(f"{name}.py", tmp_path), "factor") for name in ("one", "two")]  # noqa: B009

    for factor in (1, 20, 300):
        (tmp_path / "i2i_deep.py").write_text(f"FACTOR = {factor}")
        assert factors() == [factor, factor]
        part = sys.modules["i2i_part"]
        assert registry.method("one.py", tmp_path) is registry.method("one.py", tmp_path)
        assert sys.modules["i2i_part"] is part, "what is as it was stays"


def test_parts_in_a_folder_that_is_no_package_are_as_on_disk_too(tmp_path: Path, modules: None) -> None:
    (tmp_path / "i2i_parts").mkdir()
    (tmp_path / "mine.py").write_text(f"from i2i_parts import deep\n{ONE.replace('pass', 'factor = deep.FACTOR')}")
    for factor in (1, 20, 300):
        (tmp_path / "i2i_parts" / "deep.py").write_text(f"FACTOR = {factor}")
        assert getattr(registry.method("mine.py", tmp_path), "factor") == factor  # noqa: B009


def test_what_a_notebook_had_imported_before_an_edit_is_imported_anew(tmp_path: Path, modules: None) -> None:
    sys.path.insert(0, str(tmp_path))
    (tmp_path / "i2i_losses.py").write_text("FACTOR = 1")
    importlib.import_module("i2i_losses")
    (tmp_path / "i2i_losses.py").write_text("FACTOR = 20")
    (tmp_path / "mine.py").write_text(f"import i2i_losses\n{ONE.replace('pass', 'factor = i2i_losses.FACTOR')}")
    assert getattr(registry.method("mine.py", tmp_path), "factor") == 20  # noqa: B009


@pytest.mark.parametrize("late", [False, True])
def test_parts_of_one_name_in_two_folders_are_refused(tmp_path: Path, modules: None, late: bool) -> None:
    uses = ONE.replace("return a", "import i2i_part") if late else f"import i2i_part\n{ONE}"
    for i, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(uses)
        (tmp_path / folder / "i2i_part.py").write_text(f"FACTOR = {i}")
    registry.method("one/mine.py", tmp_path)
    with pytest.raises(
        ConfigError, match=r"imports 'i2i_part' from beside it, and .*one.i2i_part.py has this name too; rename"
    ):
        registry.method("two/mine.py", tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "exactly one subclass of Method, it has 0"),
        (ONE + "class Other(Method):\n    pass\n", "exactly one subclass of Method, it has 2"),
        ("import sys\nsys.exit(3)\n", "cannot be imported: SystemExit"),
        (ONE.replace("pass", "Params = 3"), "Params must be a class"),
        (ONE.replace("pass", "players = 'generator'"), "players must be a tuple"),
        (ONE.replace("translate", "translated"), r"bad.py': it must define translate\(self, a, \*, rng\)"),
        *(
            (ONE.replace("pass", f"class Params(Method.Params):\n        {field}"), said)
            for field, said in (
                ("rate: float = 'many'", r"bad.py': in Params, the default of rate should be a number, got 'many'$"),
                ("rate: float = None", "the default of rate should be a number, got nothing$"),
                ("deep: int = True", "the default of deep should not be true or false, got true$"),
                ("sizes: tuple[int, ...] = (3, 'x')", "the default of sizes should be a whole number, got 'x'$"),
            )
        ),
        (LEARNS, r"it defines step\(\), so players must name the networks"),
        (ONE.replace("pass", "players = ('generator',)"), "players names generator, so it must define step"),
        ("import nothing_of_this_name\n", "cannot be imported: ModuleNotFoundError"),
        ("def broken(:\n", "cannot be imported: SyntaxError"),
    ],
)
def test_files_that_are_no_method(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(source)
    with pytest.raises(ConfigError, match=message):
        registry.method("bad.py", tmp_path)


def test_defaults_that_are_right_or_worked_out_or_missing_are_no_error(tmp_path: Path) -> None:
    fields = "wanted: int\n        one: float = 1\n        some: list = Field(default_factory=list)"
    source = ONE.replace("pass", f"class Params(Method.Params):\n        {fields}")
    (tmp_path / "good.py").write_text("from pydantic import Field\n" + source)
    assert registry.method("good.py", tmp_path).Params(wanted=3).one == 1


@pytest.mark.parametrize("name", ["wavepix", "sub/wavepix"])
def test_a_file_of_the_name_is_hinted_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    file = tmp_path / f"{name}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(ONE)
    said = f"unknown method '{name}'; for the file of this name write ./{name}.py"
    with pytest.raises(ConfigError, match=said):
        registry.method(name, tmp_path)
    with pytest.raises(ConfigError, match=r"available: .*, or a path ending in .py"):
        registry.method(name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said):
        registry.method(name)


def test_an_entry_point_adds_a_method_and_a_collision_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(name: str):
        return lambda group: [EntryPoint(name, "tests_of_somebody.method", group)]

    monkeypatch.setattr(registry, "entry_points", points("theirs"))
    registry.methods.cache_clear()
    assert registry.methods()["theirs"] == "tests_of_somebody.method"
    monkeypatch.setattr(registry, "entry_points", points("pix2pix"))
    registry.methods.cache_clear()
    with pytest.raises(ConfigError, match="two methods are called 'pix2pix'"):
        registry.methods()
    registry.methods.cache_clear()


def test_a_source_tree_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "i2ibench.methods", None)
    registry.methods.cache_clear()
    with pytest.raises(ConfigError, match="only where it is installed"):
        registry.methods()
