"""What trainings begin with (`init_from`, `freeze`): its part in the plan and the ids, and the weights themselves."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from i2ibench import benchmark, config, jobs, plan, registry, weights
from i2ibench.errors import ConfigError, TrialError
from i2ibench.executors.local import LocalExecutor
from i2ibench.method import Task
from i2ibench.spec import TrialSpec
from i2ibench.stopping import Stop
from i2ibench.store import Store

Write = Callable[..., Path]
LOG = logging.getLogger("test")

TRANSFER = """
    name: transfer
    seeds: [0, 1]
    store: {tmp}/runs
    reports: {tmp}/reports
    data:
      drawn: {{source: shapes, size: 16, train_images: 8, test_images: 2}}
      lit: {{source: shapes, kind: sim2real, size: 16, train_images: 8, test_images: 2}}
    methods:
      child: {{method: {tmp}/tiny.py, lr: 1.0e-9, init_from: {{method: parent, data: drawn}} {child}}}
      parent: {{method: {tmp}/tiny.py {parent}}}
    training: {{steps: 2, batch_size: 4, log_every: 1, checkpoint_every: 2}}
    evaluation: {{metrics: [psnr]}}
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def transfer(write: Write, child: str = "", parent: str = "") -> plan.Plan:
    text = TRANSFER.replace("{child}", child and f", {child}").replace("{parent}", parent and f", {parent}")
    return plan.make(config.load(write(text)))


def ids(the_plan: plan.Plan) -> dict[tuple[str, str, int], str]:
    return {(spec.label, spec.data, spec.seed): spec.id for spec in the_plan.trials}


def test_each_begins_with_the_trial_of_its_own_seed_and_rows_stay_in_the_files_order(benchmark_file: Write) -> None:
    the_plan = transfer(benchmark_file)
    found = ids(the_plan)
    assert [key[0] for key in found] == ["child"] * 2 + ["parent"] * 4
    for spec in the_plan.trials[:2]:
        first = found["parent", "drawn", spec.seed]
        assert spec.init_from == {"trial": first, "row": first, "partial": False}
        assert TrialSpec.from_json(spec.to_json()) == spec
    (skip,) = the_plan.skipped
    assert (skip.label, skip.data) == ("child", "drawn")
    assert "learned on this very data set" in skip.reason


def test_no_steps_score_what_another_has_learned_as_it_is(benchmark_file: Write) -> None:
    the_plan = transfer(benchmark_file, child="training: {steps: 0}")
    assert {spec.training["steps"] for spec in the_plan.trials if spec.label == "child"} == {0}
    with pytest.raises(ConfigError, match=r"methods\.parent: 0 steps train nothing on 'drawn'"):
        transfer(benchmark_file, parent="training: {steps: 0}")


def test_a_method_runs_where_it_is_told_to(benchmark_file: Write) -> None:
    found = ids(transfer(benchmark_file, parent="data: [drawn]"))
    assert set(found) == {("child", "lit", 0), ("child", "lit", 1), ("parent", "drawn", 0), ("parent", "drawn", 1)}
    with pytest.raises(ConfigError, match=r"methods\.parent\.data: unknown data set 'drown'.*did you mean 'drawn'"):
        transfer(benchmark_file, parent="data: [drown]")


def test_what_it_begins_with_is_part_of_its_id(benchmark_file: Write) -> None:
    plain, other = ids(transfer(benchmark_file)), ids(transfer(benchmark_file, parent="lr: 0.02"))
    assert plain["child", "lit", 0] != other["child", "lit", 0]
    frozen = ids(transfer(benchmark_file, child="freeze: generator.0.bias"))
    assert plain["child", "lit", 0] != frozen["child", "lit", 0]
    assert plain["parent", "lit", 0] == frozen["parent", "lit", 0]


def test_a_files_content_is_part_of_the_id_and_not_its_place(benchmark_file: Write, tmp_path: Path) -> None:
    def planned(name: str, value: float) -> str:
        buffer = io.BytesIO()  # torch.save writes a file's own name into it
        torch.save({"generator": {"0.weight": torch.full((3, 3, 3, 3), value)}}, buffer)
        (tmp_path / name).write_bytes(buffer.getvalue())
        text = TRANSFER.replace("{{method: parent, data: drawn}}", name).replace("{child}", "").replace("{parent}", "")
        return ids(plan.make(config.load(benchmark_file(text))))["child", "lit", 0]

    first = planned("a.pt", 1.0)
    assert planned("b.pt", 1.0) == first
    assert planned("a.pt", 2.0) != first


@pytest.mark.parametrize(
    ("init_from", "message"),
    [
        ("{{method: parant}}", "unknown method 'parant'.*did you mean 'parent'"),
        ("{{method: child}}", "'child' begins with the weights of 'child' in turn"),
        ("{{method: parent, data: drown}}", "unknown data set 'drown'.*did you mean 'drawn'"),
        ("nowhere.pt", r"nowhere.pt: there is no such file \(a method of this benchmark is"),
        ("$NOWHERE/x.pt", "the environment variable NOWHERE is not set"),
        ("{{file: a.pt, method: parent}}", "should be a file, or {method: LABEL}"),
        ("{{data: drawn}}", "should be a file, or {method: LABEL}"),
        ("{{mehtod: parent}}", "unknown key 'mehtod'; did you mean 'method'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_with_its_place(
    benchmark_file: Write, init_from: str, message: str
) -> None:
    text = TRANSFER.replace("{{method: parent, data: drawn}}", init_from).replace("{child}", "").replace("{parent}", "")
    file = benchmark_file(text)
    with pytest.raises(ConfigError, match=message) as error:
        plan.make(config.load(file))
    assert str(error.value).startswith(f"{file}:10: ")
    assert "\n" not in str(error.value)


def test_a_method_that_trains_nothing_cannot_be_begun_with(benchmark_file: Write) -> None:
    text = TRANSFER.replace("{{method: {tmp}/tiny.py {parent}}}", "{{method: copy}}").replace("{child}", "")
    with pytest.raises(ConfigError, match="'parent' trains nothing that one could begin with"):
        plan.make(config.load(benchmark_file(text)))


def trained_alone(file: Path) -> tuple[plan.Plan, Store, list[str]]:
    """A benchmark's plan, its store after all trainings, and how they ended; without scores and report."""
    the_plan, store = benchmark.load(file)
    work = [job for job in jobs.make(the_plan, store, the_plan.trials) if job.kind == "train"]
    assert work[0].spec["label"] == "child", "the order comes from what waits for what"
    return the_plan, store, [outcome.state for _, outcome in LocalExecutor().run(work, Stop())]


def test_a_run_trains_the_first_one_first_and_goes_on_from_its_weights(benchmark_file: Write) -> None:
    text = TRANSFER.replace("{child}", ", freeze: generator.0.bias").replace("{parent}", ", lr: 0.1")
    the_plan, store, states = trained_alone(benchmark_file(text))
    assert states == ["done"] * 6
    found = ids(the_plan)

    def trained(label: str, data: str, seed: int) -> dict[str, torch.Tensor]:
        return torch.load(store.trial(found[label, data, seed]).path / "weights.pt", weights_only=True)["generator"]

    for seed in (0, 1):
        first, then = trained("parent", "drawn", seed), trained("child", "lit", seed)
        torch.testing.assert_close(then, first, atol=1e-6, rtol=0)  # its rate is next to nothing
        assert torch.equal(then["0.bias"], first["0.bias"])
        assert not torch.allclose(then["0.weight"], trained("parent", "lit", seed)["0.weight"], atol=1e-3)


def test_if_the_first_one_fails_the_other_says_so(benchmark_file: Write) -> None:
    text = TRANSFER.replace("{child}", "").replace("{parent}", ", poison_at: 1").replace("[0, 1]", "[0]")
    the_plan, store, states = trained_alone(benchmark_file(text))
    assert states == ["failed"] * 3
    child = ids(the_plan)["child", "lit", 0]
    error = store.trial(child).error()
    assert error is not None
    assert (
        f"its first weights are those of {ids(the_plan)['parent', 'drawn', 0]}, which is not trained" in error["error"]
    )


# -- weights -----------------------------------------------------------------------------------------------------------


def make(name: str = "edsr", seed: int = 0, **params: Any) -> Any:
    method_class = registry.method(name)
    torch.manual_seed(seed)
    small = {"width": 4, "blocks": 1}
    return method_class(method_class.Params(**small | params), Task(3, 3, 16))


def same(method: Any, other: Any, player: str = "generator") -> bool:
    states = (getattr(m, player).state_dict() for m in (method, other))
    return all(torch.equal(x, y) for x, y in zip(*(s.values() for s in states), strict=True))


@pytest.mark.parametrize("kind", ["weights", "checkpoint", "flat", "named", "safetensors"])
def test_files_of_all_kinds(kind: str, tmp_path: Path) -> None:
    source, target = make(seed=0), make(seed=1)
    assert not same(source, target)
    file = tmp_path / ("x.safetensors" if kind == "safetensors" else "x.pt")
    own = source.generator.state_dict()
    content: Any = {
        "weights": source.state_dict(),
        "checkpoint": {"method": source.state_dict(), "optimisers": {}, "step": 3},
        "flat": own,
        "named": {f"generator.{key}": value for key, value in own.items()},
        "safetensors": own,
    }[kind]
    save_file(content, file) if kind == "safetensors" else torch.save(content, file)
    start = {"file": str(file), "sha256": weights.digests([file])[file], "partial": False}
    spec: Any = type("Spec", (), {"init_from": start, "freeze": ()})
    weights.begin(target, spec, Store(tmp_path / "runs"), LOG)
    assert same(source, target)


def test_a_generator_goes_where_another_method_has_the_same_one() -> None:
    source, target = make("srresnet", seed=0), make("srgan", seed=1, content="mse")
    judge = {key: value.clone() for key, value in target.discriminator.state_dict().items()}
    weights.fill(target, source.state_dict(), "it", False, LOG)
    assert same(source, target)
    torch.testing.assert_close(target.discriminator.state_dict(), judge, rtol=0, atol=0)


def test_what_does_not_fit_is_named_and_partial_takes_the_rest() -> None:
    source, target = make(scale=2), make(seed=1, scale=4)
    with pytest.raises(TrialError, match=r"generator.tail.0.2.bias is missing in it and \(16,\) here, and 1 more"):
        weights.fill(target, source.state_dict(), "it", False, LOG)
    with pytest.raises(TrialError, match=r"generator.body.0.body.0.bias is \(4,\) in it and \(8,\) here"):
        weights.fill(make(width=8), make().state_dict(), "it", False, LOG)
    weights.fill(target, source.state_dict(), "it", True, LOG)
    assert torch.equal(target.generator.head[0].weight, source.generator.head[0].weight)
    assert torch.equal(target.generator.tail[1].weight, source.generator.tail[1].weight)
    for state, message in (
        ({"discriminator": {}}, "has discriminator, and no generator"),
        ({"x": torch.ones(1)}, "nothing in it fits"),
    ):
        with pytest.raises(TrialError, match=message):
            weights.fill(target, state, "it", True, LOG)


def test_a_file_that_holds_no_weights_or_changed(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    file.write_bytes(b"no weights")
    for sha256, message in (("0" * 64, "changed while"), (weights.digests([file])[file], "cannot be read as weights")):
        start = {"file": str(file), "sha256": sha256, "partial": False}
        spec: Any = type("Spec", (), {"init_from": start, "freeze": ()})
        with pytest.raises(TrialError, match=message) as error:
            weights.begin(make(), spec, Store(tmp_path / "runs"), LOG)
        assert "\n" not in str(error.value)


def test_freezing() -> None:
    method = make()
    weights.freeze(method, ("generator.head", "generator.body.*.weight"))
    fixed = {name for name, p in method.generator.named_parameters() if not p.requires_grad}
    assert fixed == {"head.0.weight", "head.0.bias", *(n for n in fixed if n.startswith("body."))}
    assert "body.1.weight" in fixed
    assert "body.1.bias" not in fixed
    with pytest.raises(TrialError, match=r"no parameter is called 'generator.haed'; there are generator.body, "):
        weights.freeze(make(), ("generator.haed",))
    with pytest.raises(TrialError, match="nothing is left of generator to train"):
        weights.freeze(make(), ("generator",))
