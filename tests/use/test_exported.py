"""Exported networks give what eager gives, at sizes and batches that the export did not see; or there is no export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from i2ibench.errors import ConfigError, TrialError
from i2ibench.method import Method, Task
from i2ibench.nn import UNet
from i2ibench.store import Store
from i2ibench.use import exported, packing, trials
from i2ibench.use.exported import Translation
from i2ibench.use.model import Model

CPU = torch.device("cpu")
ONNX = pytest.param(
    "onnx", marks=pytest.mark.skipif(not exported.available("onnx"), reason="the extra `onnx` is not installed")
)


def images(n: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(n, 3, height, width) * 2 - 1


def made(kind: type[Method], size: int = 16) -> Model:
    return Model("m", kind(kind.Params(), Task(3, 3, size)), size, ("AtoB",), "AtoB", CPU)


class Net(Method):
    """One layer, in eval mode or with dropout, and something that an export may get wrong."""

    def build(self, task: Task) -> None:
        self.generator = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Tanh())

    def translate(self, a: torch.Tensor, *, rng: torch.Generator) -> torch.Tensor:
        return self.generator(a)


class Drops(Net):
    inference = "train"

    def build(self, task: Task) -> None:
        self.generator = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Dropout(), torch.nn.Tanh())


class Frozen(Net):
    """Its number of pixels becomes a constant of the trace."""

    def translate(self, a: torch.Tensor, *, rng: torch.Generator) -> torch.Tensor:
        return self.generator(a) * (16 / int(a.shape[3]))


class Draws(Net):
    multimodal = True

    def translate(self, a: torch.Tensor, *, rng: torch.Generator) -> torch.Tensor:
        return self.generator(a + torch.randn(a.shape, generator=rng) + torch.randn(a.shape, generator=rng))


@pytest.mark.parametrize("name", ["torchscript", ONNX])
def test_pack_exports_both_directions(store: Path, tmp_path: Path, name: str) -> None:
    said: list[str] = []
    folder = packing.write(trials.find("munit", Store(store)), tmp_path / "munit", [name], said.append)
    files = [f"model-{way}{exported.FORMATS[name]}" for way in ("AtoB", "BtoA")]
    card = (folder / "README.md").read_text()
    for file in files:
        assert (folder / file).stat().st_size > 100_000
        assert any(line.startswith(f"{file}: within ") and "ms an image" in line for line in said)
        assert f"`{file}`" in card
    model = trials.opened(str(folder), Store("unused"), "cpu")
    batch, noise = images(1, 48, 70), torch.randn(1, 8, 1, 1)
    for file, backward in zip(files, (False, True), strict=True):
        with torch.no_grad():
            expected = Translation(model.method, backward=backward)(batch, noise)
        torch.testing.assert_close(runner(folder / file)(batch, noise), expected, atol=1e-4, rtol=0)


def runner(file: Path) -> Callable[..., torch.Tensor]:
    """An exported network as its own runtime loads it."""
    if file.suffix == ".pt":
        return torch.jit.load(str(file))
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*given: torch.Tensor) -> torch.Tensor:
        feed = {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)}
        return torch.from_numpy(session.run(None, feed)[0])

    return run


class Deep(Net):
    """With convolutions of few pixels, which a training on a CPU rewrites."""

    def build(self, task: Task) -> None:
        self.generator = UNet(3, 3, task.size, 8)


@pytest.mark.parametrize("name", ["torchscript", ONNX])
def test_a_deep_network_is_exported_as_it_translates(tmp_path: Path, name: str) -> None:
    (found,) = exported.write(made(Deep, 32), tmp_path, name)
    assert found.difference < 1e-5


def test_the_noise_that_is_given_stands_for_what_would_be_drawn() -> None:
    way = Translation(made(Draws).method, backward=False)
    batch = images(1, 16, 16)
    assert way.draws(batch) == [(1, 3, 16, 16)] * 2
    zero = torch.zeros(1, 3, 16, 16)
    torch.testing.assert_close(way(batch, zero, zero), way.parts["generator"](batch))


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (Drops, ConfigError, "keeps dropout on"),
        (Draws, ConfigError, "draws noise 2 times"),
        (Frozen, TrialError, "differs from eager by .* at 1 x 16 x 32"),
    ],
)
def test_what_would_not_be_equal_is_refused(
    tmp_path: Path, kind: type[Method], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        exported.write(made(kind), tmp_path, "torchscript")


def test_an_unknown_format_is_refused_before_anything_is_written(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of torchscript, onnx"):
        packing.write(trials.find("plain", Store(store)), tmp_path / "new", ["tflite"])
    assert list(tmp_path.iterdir()) == []


def test_export_on_the_command_line(
    command_line: Callable[..., tuple[int, str, str]], store: Path, tmp_path: Path
) -> None:
    ask = ("export", "plain", "--format", "torchscript", "--store", store, "--to", tmp_path / "out")
    code, said, error = command_line(*ask)
    assert code == 0, error
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["model-AtoB.torchscript.pt"]
    assert "model-AtoB.torchscript.pt: within" in said
    assert "ms an image" in said
    (trial,) = (folder for folder in store.glob("plain-*"))
    model = trials.opened(trial.name, Store(store), "cpu")
    batch = images(1, 21, 40)
    with torch.no_grad():
        expected = Translation(model.method, backward=False)(batch)
        torch.testing.assert_close(torch.jit.load(str(tmp_path / "out" / "model-AtoB.torchscript.pt"))(batch), expected)
    code, _, error = command_line(*ask)
    assert (code, error.count("\n")) == (2, 1)
    assert "is there already" in error
