"""Writes a model folder that stands alone (see `packed`), and proves that it translates as its trial does."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from i2ibench import __version__, registry
from i2ibench.data.images import Images
from i2ibench.dataset import load_images
from i2ibench.disk import require_writable, sha256_of
from i2ibench.errors import ConfigError, DataError, StoreError, TrialError
from i2ibench.method import Method
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial
from i2ibench.use import card, exported, packed, trials
from i2ibench.use.ask import Ask
from i2ibench.use.model import Model


def write(trial: Trial, to: Path, formats: Sequence[str] = (), say: Callable[[str], None] = lambda line: None) -> Path:
    """Pack a trained trial into the folder `to`, which appears when it is whole and checked.

    Args:
        formats: "torchscript" or "onnx": the networks exported besides (see `exported`).
        say: is told what was checked.

    Raises:
        ConfigError: the folder holds something already, or the method cannot be packed or exported.
        StoreError, TrialError: as `trials.from_trial`; or the packed model translates otherwise.
    """
    to = to.expanduser().absolute()
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise ConfigError(f"{to}: is there already; choose another folder, or remove it")
    exported.require(formats)
    require_writable(to.parent, "--to")
    model, spec = trials.from_trial(trial, "cpu"), TrialSpec.of(trial)
    to.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=to.parent, prefix=f".{to.name}-"))
    try:
        images = _test_images(spec, Store(trial.path.parent))
        config = _fill(aside, model, spec)
        _require_equal(model, aside, images)
        say("the packed model gives the same pixels as the trial")
        files = []
        for name in formats:
            for file in exported.write(packed.load(aside, "cpu", trust_code=True), aside, name):
                say(str(file))
                files.append(file)
        card.write(aside, config, spec, trial, images, files)
        aside.chmod(0o755)  # mkdtemp's 0700 would hide the model from the rest of the group
        aside.replace(to)
    except OSError as error:
        raise StoreError(f"{to}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return to


def _fill(folder: Path, model: Model, spec: TrialSpec) -> packed.Config:
    """Weights, config and, where it is no installed one, the method's file."""
    method = model.method
    installed = spec.method in registry.methods()
    if not installed:
        shutil.copyfile(registry.method_file(type(method)), folder / packed.OWN_METHOD)
    multiples = {direction: model.multiple(direction) for direction in model.directions}
    used = _used(model)
    state = {
        f"{name}.{key}": tensor.detach().cpu().contiguous().clone()  # clone: networks may share tensors
        for name, module in method.modules().items()
        if name in used
        for key, tensor in module.state_dict().items()
        if isinstance(tensor, torch.Tensor)
    }
    save_file(state, folder / packed.WEIGHTS, metadata={"format": "pt"})
    config = packed.Config(
        i2ibench=__version__,
        name=model.name,
        method=spec.method if installed else packed.OWN_METHOD,
        params=_without_assets(type(method), spec.params),
        task=method.task,
        directions=model.directions,
        forward=model.forward,
        multiples=multiples,
        weights_sha256=sha256_of(folder / packed.WEIGHTS),
        about={
            **model.about,
            "method": Path(spec.method).stem,
            "paper": method.paper,
            "multimodal": method.multimodal,
            "takes_styles": method.exemplars,
            "training": {key: spec.training[key] for key in ("steps", "batch_size") if key in spec.training},
            "parameters": sum(tensor.numel() for tensor in state.values()),
        },
    )
    text = json.dumps(config.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / packed.CONFIG).write_text(text + "\n", encoding="utf-8")
    return config


def _used(model: Model) -> set[str]:
    """The attributes of the method that its translations look at: the others are for training."""
    method, seen = model.method, set[str]()
    kind = type(method)

    class Watched(kind):  # type: ignore[misc, valid-type]
        def __getattribute__(self, name: str) -> Any:
            seen.add(name)
            return super().__getattribute__(name)

    probe = np.zeros((1, model.size, model.size, 3), np.uint8)
    object.__setattr__(method, "__class__", Watched)
    try:
        for direction in model.directions:
            model.outputs([*probe], Ask(direction=direction))
            if method.exemplars:
                model.outputs([*probe], Ask(direction=direction, style_from=(probe[0],)))
    finally:
        object.__setattr__(method, "__class__", kind)
    return seen


def _without_assets(method_class: type[Method], params: dict[str, Any]) -> dict[str, Any]:
    """The settings, with the weight of a loss that looks through a pretrained network at 0: no translation needs it."""
    if not method_class.assets(method_class.Params(**params)):
        return params
    for key in params:
        fewer = {**params, key: 0.0}
        if key.startswith("lambda_") and not method_class.assets(method_class.Params(**fewer)):
            return fewer
    return params


def _test_images(spec: TrialSpec, store: Store) -> Images | None:
    """The data set of the trial; None if it is no longer where it was."""
    try:
        return load_images(spec, store)
    except (DataError, TrialError, OSError):
        return None


def _require_equal(model: Model, folder: Path, images: Images | None) -> None:
    """Raise TrialError if the packed model gives other pixels than the trial's, in any direction it goes."""
    again = packed.load(folder, "cpu", trust_code=True)
    if images is not None and len(images.test_a):
        probe = [np.asarray(image) for image in images.test_a[:2]]
    else:
        probe = [np.random.default_rng(0).integers(0, 256, (model.size, model.size, 3), np.uint8)]
    for direction in model.directions:
        ask = Ask(direction=direction)
        for one, other in zip(model.outputs(probe, ask), again.outputs(probe, ask), strict=True):
            if not np.array_equal(one, other):
                raise TrialError(
                    f"{model.name}: translates otherwise once packed: its method keeps something outside of its modules"
                )
