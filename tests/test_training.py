"""The loop: turns freeze and step the right player, schedules are those of the papers, and resume is exact."""

import logging
import math
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2ibench.checkpoints import Checkpoints
from i2ibench.config import Training
from i2ibench.errors import DivergedError, Interrupted, TrialError
from i2ibench.method import Batch, Method, Task, Turn
from i2ibench.randomness import rng_state, seed_everything, set_rng_state
from i2ibench.store import Store
from i2ibench.training import Loop, learning_rate
from i2ibench.turns import Turns

CPU = torch.device("cpu")
LOG = logging.getLogger("test")


class Two(Method):
    """Two players whose losses run through both networks."""

    players = ("generator", "discriminator")
    fail_at: ClassVar[int | None] = None
    nan_at: ClassVar[int | None] = None

    def build(self, task: Task) -> None:
        self.generator = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Dropout(0.5))
        self.discriminator = torch.nn.Conv2d(3, 1, 3)
        self.taken = 0

    def step(self, batch: Batch, turn: Turn) -> None:
        self.taken += 1
        if self.taken == self.fail_at:
            raise KeyboardInterrupt
        with turn("generator") as loss:
            fake = self.generator(batch.a)
            loss.l1 = (fake - batch.b).abs().mean()
            loss.gan = -self.discriminator(fake).mean()
            if self.taken == self.nan_at:
                loss.l1 = loss.l1 / 0 * 0
        with turn("discriminator") as loss:
            loss.gan = self.discriminator(fake.detach()).mean() + 0.1 * torch.randn(())


class Slow(Two):
    """A step of a fiftieth of a second."""

    def step(self, batch: Batch, turn: Turn) -> None:
        time.sleep(0.02)
        super().step(batch, turn)


class Noise:
    """Batches as a pure function of the step, like the real ones."""

    def at(self, step: int, part: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
        rng = torch.Generator().manual_seed(step)
        a, b = torch.rand(2, 2, 3, 8, 8, generator=rng) * 2 - 1
        return a[part], b[part]


def make(kind: type[Method] = Two) -> Method:
    seed_everything(0)
    return kind(Method.Params(), Task(3, 3, 8))


def loop(folder: Path, kind: type[Method] = Two, **settings: object) -> Loop:
    values = {"steps": 11, "batch_size": 2, "log_every": 3, "checkpoint_every": 2} | settings
    return Loop(make(kind), Noise(), Training(**values), Store(folder).trial("t"), CPU, LOG)


def state_of(method: Method) -> dict[str, torch.Tensor]:
    return {f"{m}.{k}": v for m, state in method.state_dict().items() for k, v in state.items()}


def without_seconds(curves: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in curves]


def test_only_the_player_whose_turn_it_is_learns() -> None:
    method = make()
    turns = Turns(method)
    before = {name: value.clone() for name, value in state_of(method).items()}
    with turns("generator") as loss:
        loss.gan = method.discriminator(method.generator(torch.ones(1, 3, 8, 8))).mean()
    after = state_of(method)
    assert all(p.grad is None for p in method.discriminator.parameters()), "a frozen player gets no gradient"
    for name, value in after.items():
        assert torch.equal(value, before[name]) == name.startswith("discriminator"), name


def test_an_exception_inside_a_turn_steps_nothing() -> None:
    method = make()
    turns = Turns(method)
    before = {name: value.clone() for name, value in state_of(method).items()}
    with pytest.raises(RuntimeError), turns("generator") as loss:
        loss.l1 = method.generator(torch.ones(1, 3, 8, 8)).mean() + method.generator(torch.ones(1, 5, 8, 8)).mean()
    assert all(torch.equal(value, before[name]) for name, value in state_of(method).items())


def test_losses_are_summed_and_their_means_reported() -> None:
    method = make()
    turns = Turns(method)
    for value in (1.0, 3.0):
        with turns("generator") as loss:
            loss.a = method.generator[0].bias.sum() * 0 + value
            loss.b = method.generator[0].bias.sum()
    means = turns.means()
    assert set(means) == {"generator.a", "generator.b"}
    assert means["generator.a"] == pytest.approx(2.0)
    turns.restart()
    assert turns.means() == {}


def test_losses_that_come_now_and_then_have_means_of_their_own() -> None:
    method = make()
    turns = Turns(method)
    for step, value in enumerate((1.0, 3.0, 8.0)):
        with turns("generator") as loss:
            loss.a = method.generator[0].bias.sum() * 0 + value
            if step == 1:
                loss.lazy = method.generator[0].bias.sum() * 0 + 5.0
    assert turns.means() == pytest.approx({"generator.a": 4.0, "generator.lazy": 5.0})
    assert turns.spoilt() is None


def test_of_losses_that_are_all_nan_in_the_end_the_first_is_named() -> None:
    method = make()
    turns = Turns(method)
    for step in range(4):
        with turns("generator") as loss:
            loss.a = method.generator[0].bias.sum() * 0 + (float("nan") if step > 1 else 1.0)
            loss.guilty = method.generator[0].bias.sum() * 0 + (float("inf") if step > 0 else 1.0)
    assert not any(map(math.isfinite, turns.means().values()))
    assert turns.spoilt() == "generator.guilty"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("with turn('gen') as loss: pass", "step() gives 'gen' a turn, and `players` names generator, discriminator"),
        (
            "with turn('generator') as loss: loss = method.generator(x)",
            "step() leaves no loss in the turn of generator",
        ),
        (
            "with turn('generator') as loss: loss.z = method.generator(x)",
            "loss.z of shape (1, 3, 8, 8) in the turn of generator: leave one number, as a tensor",
        ),
        ("with turn('generator') as loss: loss.z = 0.5", "loss.z of type float in the turn of generator"),
        (
            "with turn('generator') as loss, turn('discriminator') as other: pass",
            "a turn within that of generator: end one before the next",
        ),
    ],
)
def test_what_a_step_does_wrong_is_said_in_its_words(step: str, said: str) -> None:
    method = make()
    with pytest.raises(TrialError) as caught:
        exec(step, {"turn": (turns := Turns(method)), "method": method, "x": torch.ones(1, 3, 8, 8)})
    assert said in str(caught.value)
    with turns("generator") as loss:  # nothing is left open
        loss.l1 = method.generator(torch.ones(1, 3, 8, 8)).mean()
    assert len(turns.means()) == 1


def test_a_step_equals_torchs_own_adam() -> None:
    method, reference = make(), make()
    turns = Turns(method)
    adam = torch.optim.Adam(reference.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    x = torch.ones(1, 3, 8, 8)
    for _ in range(3):
        torch.manual_seed(1)
        with turns("generator") as loss:
            loss.l = method.generator(x).square().mean()
        torch.manual_seed(1)
        adam.zero_grad()
        reference.generator(x).square().mean().backward()
        adam.step()
    for ours, theirs in zip(method.generator.parameters(), reference.generator.parameters(), strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-7)


def test_clipping_bounds_the_gradient() -> None:
    method = make()
    turns = Turns(method, Training(clip=0.01))
    with turns("generator") as loss:
        loss.l = 1000 * method.generator(torch.ones(1, 3, 8, 8)).square().mean()
    total = torch.stack([p.grad.norm() for p in method.generator.parameters()]).norm()
    assert total == pytest.approx(0.01, rel=1e-3)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_schedules(step: int, progress: float) -> None:
    linear, halve, constant = (
        Method.Params(lr=1.0, decay=kind, decay_every=100) for kind in ("linear", "halve", "constant")
    )
    expected = 1.0 if progress < 0.5 else 2 * (1 - progress)
    assert learning_rate(linear, step, progress) == pytest.approx(expected), (
        "Zhu et al. 2017: flat, then linear to zero"
    )
    assert learning_rate(halve, step, progress) == 0.5 ** (step // 100)
    assert learning_rate(constant, step, progress) == 1.0


@pytest.mark.parametrize("stop", range(1, 12))
def test_a_training_killed_at_any_step_ends_bit_identical(tmp_path: Path, stop: int) -> None:
    whole = loop(tmp_path / "whole")
    expected = whole.run()
    with pytest.raises(KeyboardInterrupt):
        loop(tmp_path / "cut", type("Cut", (Two,), {"fail_at": stop})).run()
    resumed = loop(tmp_path / "cut")
    outcome = resumed.run()
    for name, value in state_of(resumed.method).items():
        assert torch.equal(value, state_of(whole.method)[name]), name
    assert without_seconds(outcome.curves) == without_seconds(expected.curves)
    assert outcome.steps == 11


@pytest.mark.parametrize("stop", range(12))
def test_a_training_stopped_at_any_step_ends_bit_identical(tmp_path: Path, stop: int) -> None:
    """Wherever the checkpoints of its own fall: here at every fourth step."""
    whole = loop(tmp_path / "whole", checkpoint_every=4)
    expected = whole.run()
    cut = loop(tmp_path / "cut", checkpoint_every=4)
    cut.should_stop = lambda: cut.step >= stop
    if stop < 11:
        with pytest.raises(Interrupted, match=f"at step {stop} of 11"):
            cut.run()
    else:
        assert cut.run().steps == 11, "a training that is over is not stopped any more"
        return
    names = [file.name[:9] for file in sorted((tmp_path / "cut" / "t" / "checkpoints").glob("*.pt"))]
    assert names[-1:] == ([f"{stop:09d}"] if stop else [])
    again = loop(tmp_path / "cut", checkpoint_every=4)
    again.should_stop = lambda: True
    with pytest.raises(Interrupted):
        again.run()
    assert again.step == stop, "a stop that comes before the first step takes none"
    resumed = loop(tmp_path / "cut", checkpoint_every=4)
    outcome = resumed.run()
    for name, value in state_of(resumed.method).items():
        assert torch.equal(value, state_of(whole.method)[name]), name
    assert without_seconds(outcome.curves) == without_seconds(expected.curves)


def test_a_training_over_its_time_limit_fails_and_goes_on_with_a_higher_one(tmp_path: Path) -> None:
    first = loop(tmp_path, Slow, limit_minutes=0.12 / 60, checkpoint_every=100)
    with pytest.raises(TrialError, match=r"used up its limit of 0\.002 minutes at step \d+ of 11; .*limit_minutes"):
        first.run()
    assert 1 < first.step < 11
    again = loop(tmp_path, Slow, limit_minutes=0.12 / 60)
    with pytest.raises(TrialError, match=f"used up its limit .* at step {first.step} of 11"):
        again.run()
    assert again.step == first.step, "the limit holds over all attempts"
    outcome = loop(tmp_path, Slow, limit_minutes=10).run()
    assert outcome.steps == 11


def test_the_time_of_an_attempt_that_was_killed_counts_for_the_limit(tmp_path: Path) -> None:
    """Though the checkpoint, which was never written, knows nothing of it."""
    total = 0.0
    for _ in range(3):
        killed = loop(tmp_path, type("Killed", (Slow,), {"fail_at": 6}), hang_seconds=0.01, checkpoint_every=100)
        with pytest.raises(KeyboardInterrupt):
            killed.run()
        total += killed.seconds
    assert killed.checkpoints.spent() == pytest.approx(total, rel=0.1)
    with pytest.raises(TrialError, match="used up its limit"):
        loop(tmp_path, limit_minutes=0.8 * total / 60).run()


def test_it_says_how_far_it_is_more_often_than_it_would_be_taken_for_hung(tmp_path: Path) -> None:
    for hang_seconds, expected in ((0.04, set(range(1, 12))), (None, {1, 11})):  # a step takes half of 0.04 seconds
        said: list[dict[str, Any]] = []
        silent = loop(tmp_path / str(hang_seconds), Slow, hang_seconds=hang_seconds, log_every=100)
        silent.say = lambda state, said=said, **fields: said.append({"state": state, **fields})
        began = time.time()
        silent.run()
        assert [fields["step"] for fields in said if fields["state"] == "starting"] == [0], "until the first step"
        assert {fields["step"] for fields in said if fields["state"] == "training"} == expected
        assert [fields["step_at"] for fields in said] == sorted(fields["step_at"] for fields in said)
        assert began <= said[0]["step_at"] <= said[-1]["step_at"] <= time.time()


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    loop(tmp_path).run()
    folder = tmp_path / "t" / "checkpoints"
    torn = folder / ".000000012-0123456789abcdef.pt-x2f1"
    torn.write_bytes(b"half of a check")
    loop(tmp_path).run()
    assert not torn.exists()
    assert len(list(folder.glob("*.pt"))) == 2


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        checkpoints.save(step, {"step": step})
    files = sorted(tmp_path.glob("*.pt"))
    assert len(files) == 2, "the last two are kept"
    content = bytearray(files[-1].read_bytes())
    content[len(content) // 2] ^= 1
    files[-1].write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert checkpoints.latest(CPU, LOG) == {"step": 2}
    assert "damaged" in caplog.text
    files[0].write_bytes(files[0].read_bytes()[:-7])
    assert checkpoints.latest(CPU, LOG) is None


def test_divergence_names_the_loss_and_the_step(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"loss generator\.l1 became nan .* up to step 6"):
        loop(tmp_path, type("Nan", (Two,), {"nan_at": 5}), checkpoint_every=100).run()


def test_no_checkpoint_is_written_after_the_weights_have_diverged(tmp_path: Path) -> None:
    class Overflowing(Two):
        """Its loss stays finite, and its gradient does not."""

        def step(self, batch: Batch, turn: Turn) -> None:
            super().step(batch, turn)
            if self.taken == 5:
                with turn("generator") as loss:
                    loss.root = (self.generator[0].weight * 0).abs().sqrt().sum()

    with pytest.raises(DivergedError, match=r"^generator\.0\.weight holds NaN .* at step 5"):
        loop(tmp_path, Overflowing, log_every=100, checkpoint_every=1).run()
    kept = Checkpoints(tmp_path / "t" / "checkpoints").latest(CPU, LOG)
    assert kept is not None
    assert kept["step"] == 4
    assert all(v.isfinite().all() for state in kept["method"].values() for v in state.values())


def test_no_checkpoint_is_written_after_a_loss_has_diverged(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"loss generator\.l1 became nan .* up to step 6"):
        loop(tmp_path, type("Nan", (Two,), {"nan_at": 5}), log_every=100).run()
    assert [file.name[:9] for file in sorted((tmp_path / "t" / "checkpoints").glob("*.pt"))] == [
        "000000002",
        "000000004",
    ]


def test_a_wall_clock_budget_ends_the_training(tmp_path: Path) -> None:
    outcome = loop(tmp_path, steps=10_000_000, minutes=0.01).run()
    assert 0 < outcome.steps < 10_000_000
    assert outcome.seconds == pytest.approx(0.6, abs=0.3)
    assert outcome.curves[-1]["step"] == outcome.steps, "the curve reaches the end"


def test_random_generators_come_back_where_they_were() -> None:
    import random

    seed_everything(3)
    state = rng_state(CPU)
    draw = lambda: (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: E731
    first = draw()
    set_rng_state(state, CPU)
    assert draw() == first


def kept(folder: Path) -> dict[int, dict[str, torch.Tensor]]:
    """The weights, average and all, of each step that a training kept."""
    trial = Store(folder).trial("t")
    states = {step: torch.load(file, weights_only=True) for step, file in trial.snapshots().items()}
    return {
        step: {f"{module}.{key}": value for module, own in state["method"].items() for key, value in own.items()}
        | {f"average.{i}": value for i, value in enumerate(state["options"]["average"])}
        for step, state in states.items()
    }


def test_keeping_networks_on_the_way_changes_no_training(tmp_path: Path) -> None:
    settings = {"ema": 0.9, "spectral_norm": True}
    plain = loop(tmp_path / "plain", **settings)
    expected = plain.run()
    keeps = loop(tmp_path / "keeps", **settings, score_every=2)
    outcome = keeps.run()
    assert without_seconds(outcome.curves) == without_seconds(expected.curves)
    assert all(torch.equal(value, state_of(plain.method)[name]) for name, value in state_of(keeps.method).items())
    assert not kept(tmp_path / "plain")
    assert list(kept(tmp_path / "keeps")) == [2, 4, 6, 8, 10]


@pytest.mark.parametrize("fail_at", [2, 5, 7, 10])  # after and before what is kept; checkpoints are of steps 3, 6 and 9
def test_a_crash_loses_no_point_and_leaves_none_twice(tmp_path: Path, fail_at: int) -> None:
    settings = {"checkpoint_every": 3, "score_every": 2, "log_every": 1, "ema": 0.9}
    whole = loop(tmp_path / "whole", **settings)
    whole.run()
    broken = loop(tmp_path / "broken", **settings)
    broken.method.fail_at = fail_at
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    trial = broken.trial
    assert [point["step"] for point in trial.curves()] == list(range(1, fail_at)), "seen while it trains"
    with (trial.path / "curves.jsonl").open("a") as file:
        file.write('{"step": 99, "gen')  # the line that it was writing
    loop(tmp_path / "broken", **settings).run()
    assert without_seconds(trial.curves()) == without_seconds(whole.trial.curves())
    expected, found = kept(tmp_path / "whole"), kept(tmp_path / "broken")
    assert list(found) == list(expected) == [2, 4, 6, 8, 10]
    for step, state in expected.items():
        assert all(torch.equal(found[step][name], value) for name, value in state.items()), step
