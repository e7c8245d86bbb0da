"""Reads a model folder that `i2ibench pack` wrote: weights (safetensors), config.json, and no store.

<folder>/
    config.json           what the model is: method, settings, directions, sha256 of the weights
    model.safetensors     the networks that translation needs
    method.py             the method's own file, if it is no method that comes installed
    README.md             the model card, and
    samples.png           what its outputs look like
    model-AtoB.onnx       exported networks, if asked for (or .torchscript.pt)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError
from safetensors import SafetensorError

from i2ibench import registry
from i2ibench.disk import read_json, sha256_of
from i2ibench.errors import ConfigError, StoreError, did_you_mean, one_line
from i2ibench.method import Method, Task
from i2ibench.settings import Settings
from i2ibench.use.ask import Direction

if TYPE_CHECKING:
    import torch

    from i2ibench.use.model import Model

CONFIG, WEIGHTS, OWN_METHOD = "config.json", "model.safetensors", "method.py"


class Config(Settings):
    """The content of config.json."""

    format: Literal["i2ibench-model-1"] = "i2ibench-model-1"
    i2ibench: str  # the version that wrote it
    name: str
    method: str  # the name of an installed method, or method.py
    params: dict[str, Any]
    task: Task  # what the networks were built for
    directions: tuple[Direction, ...] = Field(min_length=1)
    forward: Direction
    multiples: dict[Direction, int | None]
    weights_sha256: str
    images: str = "uint8 RGB (N, H, W, 3) in and out; the networks themselves take float32 (N, 3, H, W) in [-1, 1]"
    about: dict[str, Any] = Field(default_factory=dict)


def is_packed(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def load(folder: Path | str, device: str | None = None, *, trust_code: bool = False) -> Model:
    """A model from its folder: `load("my-model").translate("photo.jpg")`.

    Args:
        folder: as written by `i2ibench pack`.
        device: such as "cuda:0"; default: the GPU, if there is one.
        trust_code: run the folder's method.py, where the method is none that comes installed. Look at it first.

    Raises:
        ConfigError: it is no such folder, of another version, or brings code and `trust_code` is not set.
        StoreError: its weights are damaged.
    """
    folder = Path(folder).expanduser()
    config = _config(folder)
    from i2ibench.use.model import Model, device_of  # torch, when what is asked for is there

    where = device_of(device)
    method = _method(folder, config, trust_code=trust_code)
    _fill(method, _weights(folder, config), folder)
    return Model(
        name=config.name,
        method=method.to(where),
        size=config.task.size,
        directions=config.directions,
        forward=config.forward,
        device=where,
        multiples=dict(config.multiples),
        about=config.about,
    )


def _config(folder: Path) -> Config:
    content = read_json(folder / CONFIG)
    if content is None:
        raise ConfigError(f"{folder}: is no packed model (no {CONFIG}); `i2ibench pack TRIAL --to FOLDER` writes one")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{folder / CONFIG}: {_first(error)} (was it written by another version?)") from None


def _method(folder: Path, config: Config, *, trust_code: bool) -> Method:
    """The method with networks freshly made; torch's chance is as before."""
    own = config.method == OWN_METHOD
    if own and not trust_code:
        raise ConfigError(
            f"{folder}: brings a method of its own: read {folder / OWN_METHOD}, and if you trust it, say so "
            "(--trust-code; in Python trust_code=True)"
        )
    if not own and config.method not in registry.methods():
        known = did_you_mean(config.method, registry.methods())
        raise ConfigError(f"{folder / CONFIG}: no method '{config.method}' is installed; {known}")
    method_class = registry.method(str(folder.absolute() / OWN_METHOD) if own else config.method)
    try:
        params = method_class.Params(**config.params)
    except ValidationError as error:
        raise ConfigError(f"{folder / CONFIG}: params: {_first(error)} (the method as installed is another)") from None
    import torch

    with torch.random.fork_rng(devices=[]):
        return method_class(params, config.task)


def _first(error: ValidationError) -> str:
    """The first complaint, in one line."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _weights(folder: Path, config: Config) -> dict[str, dict[str, torch.Tensor]]:
    """Attribute of the method -> state of its module."""
    from safetensors.torch import load_file

    file = folder / WEIGHTS
    try:
        if sha256_of(file) != config.weights_sha256:
            raise StoreError(f"{file}: is not what {CONFIG} says (sha256); fetch or pack the folder again")
        flat = load_file(file)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{file}: cannot be read ({error})") from None
    state: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in flat.items():
        module, key = name.split(".", 1)
        state.setdefault(module, {})[key] = tensor
    return state


def _fill(method: Method, state: dict[str, dict[str, torch.Tensor]], folder: Path) -> None:
    """Load the networks, and drop those that only training needs."""
    modules = method.modules()
    try:
        for name, values in state.items():
            modules[name].load_state_dict(values)
    except (KeyError, RuntimeError) as error:
        reason = one_line(error)[:200]
        raise StoreError(f"{folder}: its weights do not fit the method as it is installed: {reason}") from None
    for name, module in modules.items():
        if name not in state and len(module.state_dict()):
            delattr(method, name)
