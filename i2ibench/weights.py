"""Puts first weights into a method before it trains (`init_from`), and holds parts of it fixed (`freeze`)."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file

from i2ibench.data.cache import digests
from i2ibench.errors import TrialError, absent, one_line
from i2ibench.method import Method
from i2ibench.store import Store

if TYPE_CHECKING:
    import logging

    from i2ibench.spec import TrialSpec

WRAPPERS = ("method", "state_dict")  # where files hide the weights among other things: the first is a checkpoint's


def begin(method: Method, spec: TrialSpec, store: Store, log: logging.Logger) -> None:
    """Make a freshly built method ready to train as its trial says.

    Raises:
        TrialError: the weights are not there, are no weights, or do not fit; or `freeze` names nothing, or all.
    """
    if spec.init_from:
        fill(method, _read(spec.init_from, store), _name(spec.init_from), spec.init_from["partial"], log)
    if spec.freeze:
        freeze(method, spec.freeze)


def fill(method: Method, state: Mapping[str, Any], name: str, partial: bool, log: logging.Logger) -> None:
    """Put the weights of a file into the networks that they belong to.

    Networks that the file has and the method has not are ignored, and those that only the method has stay as they are;
    one that both have must agree in all names and shapes, unless `partial`: then what agrees is taken.
    """
    state, modules, taken = _by_module(state, method), method.modules(), []
    if method.players[0] not in state:
        raise TrialError(f"init_from: {name} has {', '.join(sorted(state))}, and no {method.players[0]}")
    for module in sorted(modules.keys() & state.keys()):
        own, given = modules[module].state_dict(), state[module]
        fitting = {k: v for k, v in given.items() if k in own and _shape(v) == tuple(own[k].shape)}
        if not partial and (wrong := sorted((own.keys() | given.keys()) - fitting.keys())):
            there, here = (_shape(x.get(wrong[0])) or "missing" for x in (given, own))
            more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise TrialError(
                f"init_from: {module}.{wrong[0]} is {there} in {name} and {here} here{more}; "
                "choose the same settings, or add `partial: true` to take what fits"
            )
        modules[module].load_state_dict(own | fitting)
        taken += [f"{module}.{key}" for key in fitting]
    if not taken:
        raise TrialError(f"init_from: nothing in {name} fits this method, by names and shapes")
    total = sum(len(module.state_dict()) for module in modules.values())
    log.info("begins with %d of its %d tensors from %s", len(taken), total, name)


def freeze(method: Method, patterns: tuple[str, ...]) -> None:
    """Hold parameters fixed whose names (`generator.head.0.weight`) match a pattern, or lie below one.

    Running statistics of batch norm are no parameters, and go on.
    """
    named = {
        f"{player}.{key}": parameter
        for player in method.players
        for key, parameter in getattr(method, player).named_parameters()
    }
    for pattern in patterns:
        hit = [name for name in named if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")]
        if not hit:
            tops = sorted({".".join(name.split(".")[:2]) for name in named})
            shown = ", ".join(tops[:12]) + (", ..." if len(tops) > 12 else "")
            raise TrialError(f"freeze: no parameter is called '{pattern}'; there are {shown}")
        for name in hit:
            named[name].requires_grad_(False)
    for player in method.players:
        if not any(p.requires_grad for p in getattr(method, player).parameters()):
            raise TrialError(f"freeze: nothing is left of {player} to train; freeze less")


def _read(start: Mapping[str, Any], store: Store) -> Mapping[str, Any]:
    file = store.trial(start["trial"]).path / "weights.pt" if "trial" in start else Path(start["file"])
    try:
        if ("trial" in start and store.trial(start["trial"]).training() is None) or not file.is_file():
            raise FileNotFoundError
        if "sha256" in start and digests([file])[file] != start["sha256"]:
            raise TrialError(f"init_from: {file} changed while the benchmark was running; run it again")
        if file.suffix == ".safetensors":
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        reason = f"its first weights are those of {start['trial']}, which is not trained: see there"
        raise TrialError(reason if "trial" in start else f"init_from: {absent(file)}") from None
    except TrialError:
        raise
    except Exception as error:  # pickles that are no weights raise nearly anything
        reason = one_line(error)[:200]
        raise TrialError(f"init_from: {file} cannot be read as weights ({reason})") from None


def _by_module(state: Mapping[str, Any], method: Method) -> dict[str, dict[str, Any]]:
    """{network: {name: tensor}}, of a trial's weights, a checkpoint of the loop, or flat names as others save them."""
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not state:
        return {}
    if all(isinstance(value, Mapping) for value in state.values()):
        return {name: dict(value) for name, value in state.items()}
    flat = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    modules = method.modules()
    if not any(key.split(".")[0] in modules for key in flat):
        return {method.players[0]: flat}  # one network's own, as other software saves it
    found: dict[str, dict[str, Any]] = {}
    for key, value in flat.items():
        module, _, name = key.partition(".")
        found.setdefault(module, {})[name] = value
    return found


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None


def _name(start: Mapping[str, Any]) -> str:
    return str(start.get("trial") or start["file"])
