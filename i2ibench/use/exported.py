"""Exports the networks of a model as TorchScript or ONNX, and holds what comes out against eager PyTorch."""

from __future__ import annotations

import importlib.util
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from i2ibench.disk import require_writable
from i2ibench.errors import ConfigError, StoreError, TrialError, counted
from i2ibench.use.ask import Direction
from i2ibench.use.model import Model

FORMATS = {"torchscript": ".torchscript.pt", "onnx": ".onnx"}
TOLERANCE = 1e-4  # largest difference allowed, of values in [-1, 1]
OPSET = 17
TIMED = 5  # runs of which the median is the latency

Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Exported:
    """A file that was written, and what the check found.

    Attributes:
        inputs: what it takes: images float32 (N, 3, H, W) in [-1, 1], and noise where the method draws it.
        sizes: (N, H, W) at which it gave what eager gives; N is 1 where it takes one image at a time.
        difference: the largest, of values in [-1, 1].
        milliseconds, eager_milliseconds: of one image of the size of training, on this machine's CPU.
    """

    file: str
    inputs: dict[str, str]
    sizes: tuple[tuple[int, int, int], ...]
    difference: float
    milliseconds: float
    eager_milliseconds: float

    def __str__(self) -> str:
        sizes = ", ".join(" x ".join(map(str, size)) for size in self.sizes)
        return (
            f"{self.file}: within {self.difference:.1e} of eager at {sizes}; "
            f"{self.milliseconds:.1f} ms an image on this CPU ({counted(torch.get_num_threads(), 'thread')}), "
            f"eager {self.eager_milliseconds:.1f} ms"
        )


class Translation(nn.Module):
    """A method's way in one direction: images (N, 3, H, W) in [-1, 1], and the noise that it would draw, to images."""

    def __init__(self, method: Any, *, backward: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(method.modules())
        self.train(method.inference == "train")
        self._go = method.translate_back if backward else method.translate

    def forward(self, images: Tensor, *noise: Tensor) -> Tensor:
        with _Drawn(noise):
            return self._go(images, rng=torch.Generator())

    def draws(self, images: Tensor) -> list[tuple[int, ...]]:
        """The shapes of the noise that it draws for these images."""
        with _Drawn(()) as drawn, torch.no_grad():
            self._go(images, rng=torch.Generator())
        return drawn.shapes


class _Drawn(TorchFunctionMode):
    """Answers `torch.randn` with what is given, and notes the shapes that were asked for."""

    def __init__(self, noise: Sequence[Tensor]) -> None:
        super().__init__()
        self.noise = list(noise)
        self.shapes: list[tuple[int, ...]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.randn:
            self.shapes.append(tuple(int(edge) for edge in args[0]))
            if self.noise:
                return self.noise.pop(0)
        return function(*args, **(kwargs or {}))


def available(name: str) -> bool:
    """Whether what a format needs is installed."""
    return name != "onnx" or all(importlib.util.find_spec(package) for package in ("onnx", "onnxruntime"))


def require(formats: Sequence[str]) -> None:
    """Raise ConfigError for a format that is not known, or whose packages are not installed."""
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"format '{name}' is none of {', '.join(FORMATS)}")
        if not available(name):
            raise ConfigError(f"format {name} needs packages that are not installed: pip install 'i2ibench[{name}]'")


def into(model: Model, to: Path, formats: Sequence[str], say: Callable[[str], None] = lambda line: None) -> list[Path]:
    """Export a model (on the CPU) into a folder, where files appear when all of them are checked; return those.

    Raises:
        ConfigError, TrialError: as `write`; or such a file is there already.
        StoreError: the folder cannot be written.
    """
    for name in formats:
        for direction in model.directions:
            if (file := to / _named(direction, name)).exists():
                raise ConfigError(f"{file}: is there already; choose another folder, or remove it")
    require_writable(to, "--to")
    try:
        to.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to, prefix=".aside-") as aside:
            for name in formats:
                for made in write(model, Path(aside), name):
                    say(str(made))
            return [file.replace(to / file.name) for file in sorted(Path(aside).iterdir())]
    except OSError as error:
        raise StoreError(f"{to}: cannot be written ({error.strerror or error})") from None


def write(model: Model, folder: Path, name: str) -> list[Exported]:
    """Export each direction of a model (on the CPU) into a folder, and check it.

    Raises:
        ConfigError: the method cannot be exported.
        TrialError: what was exported gives other images than eager.
    """
    return [_write(model, direction, folder, name) for direction in model.directions]


def _write(model: Model, direction: Direction, folder: Path, name: str) -> Exported:
    way = Translation(model.method, backward=direction != model.forward)
    small = _images(1, model.size, model.size)
    shapes = way.draws(small)
    if len(shapes) > 1:
        raise ConfigError(f"{model.name}: draws noise {len(shapes)} times for an image; export is for one draw or none")
    noise = _noise(shapes)
    with torch.no_grad():
        if not torch.equal(way(small, *noise), way(small, *noise)):
            raise ConfigError(f"{model.name}: keeps dropout on when it translates, so no two runs agree: not exported")
    file = folder / _named(direction, name)
    run = (_torchscript if name == "torchscript" else _onnx)(way, (small, *noise), file)
    other = model.multiple(direction)
    needed = [(1, model.size, model.size)]
    if other is not None:
        needed += [(1, model.size, 2 * model.size), (1, 2 * model.size, model.size + max(other, 4) // other * other)]
    found = {size: _difference(way, run, size) for size in needed}
    wrong = {size: gap for size, gap in found.items() if not gap <= TOLERANCE}
    if wrong:
        size, gap = next(iter(wrong.items()))
        raise TrialError(f"{file.name}: differs from eager by {gap:.2g} at {' x '.join(map(str, size))}: not exported")
    batch = (2, model.size, model.size)
    if model.method.inference == "eval" and (gap := _difference(way, run, batch)) <= TOLERANCE:
        found[batch] = gap
    inputs = {"images": f"float32 ({'N' if batch in found else '1'}, 3, H, W) in [-1, 1]"}
    if shapes:
        inputs["noise"] = f"float32 {shapes[0]}, N(0, 1)"
    arguments = (small, *noise)
    took = _milliseconds(run, arguments), _milliseconds(way, arguments)
    return Exported(file.name, inputs, tuple(found), max(found.values()), *took)


def _named(direction: Direction, name: str) -> str:
    return f"model-{direction}{FORMATS[name]}"


def _torchscript(way: Translation, arguments: tuple[Tensor, ...], file: Path) -> Function:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer, on numbers that it keeps; the check at other sizes finds those
        traced: Any = torch.jit.trace(way, arguments, check_trace=False)
        torch.jit.save(traced, str(file))
        return torch.jit.load(str(file))


def _onnx(way: Translation, arguments: tuple[Tensor, ...], file: Path) -> Function:
    names = ["images", "noise"][: len(arguments)]
    flexible = {0: "n", 2: "h", 3: "w"}
    axes = {name: flexible if a.ndim == 4 else {0: "n"} for name, a in zip(names, arguments, strict=True)}
    with warnings.catch_warnings(), torch.no_grad():  # with gradients, networks take the ways of a training
        warnings.simplefilter("ignore")  # as above
        torch.onnx.export(
            way,
            arguments,
            str(file),
            dynamo=False,  # the tracer takes Python's numbers as they come; torch.export would want a bound for each
            opset_version=OPSET,
            input_names=names,
            output_names=["translated"],
            dynamic_axes={**axes, "translated": flexible},
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says of sizes that it does not take is found by the check
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(*given: Tensor) -> Tensor:
        feed = {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)}
        return torch.from_numpy(session.run(None, feed)[0])

    return run


def _difference(way: Translation, run: Function, size: tuple[int, int, int]) -> float:
    """The largest difference at a size (N, H, W); infinite if the exported network does not take it."""
    images = _images(*size)
    noise = _noise(way.draws(images))
    with torch.no_grad():
        expected = way(images, *noise)
        try:
            found = run(images, *noise)
        except Exception:  # TorchScript and onnxruntime have errors of their own for a size that was kept as a number
            return float("inf")
    return float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")


def _milliseconds(run: Function, arguments: tuple[Tensor, ...]) -> float:
    """The median of a few runs, after one to warm up."""
    took = []
    with torch.no_grad():
        for _ in range(1 + TIMED):
            started = time.perf_counter()
            run(*arguments)
            took.append(1000 * (time.perf_counter() - started))
    return sorted(took[1:])[TIMED // 2]


def _images(n: int, height: int, width: int) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _noise(shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    return [torch.randn(shape, generator=torch.Generator().manual_seed(1)) for shape in shapes]
