"""A set of several domains: every ordered pair has its board, and a multi-domain method is trained once for all."""

from __future__ import annotations

import json
import logging
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2ibench import config, plan, trial
from i2ibench.build import make_batches, make_method
from i2ibench.data.batches import to_float, to_uint8
from i2ibench.dataset import load_images
from i2ibench.errors import ConfigError
from i2ibench.method import Batch, Method, Task, Turn
from i2ibench.plan import Plan
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.turns import Turns

Write = Callable[..., Path]

MANY = """
    name: many
    seeds: 1
    store: {tmp}/runs
    reports: {tmp}/reports
    data:
      animals: {{source: folder, path: animals, layout: domains, size: 32, {extra}}}
    methods:
      copy:
      tiny: {{method: ./tiny_gan.py}}
      stargan: {{preset: tiny}}
    training: {{steps: 4, batch_size: 3, log_every: 2, checkpoint_every: 2}}
    evaluation: {{metrics: [kid]}}
"""

TINY_GAN = '''
    """A method of two domains that goes both ways: one layer each."""

    from i2ibench.method import Batch, Method, Task, Turn


    class TinyGAN(Method):
        players = ("generator",)
        bidirectional = True

        def build(self, task: Task) -> None:
            import torch

            self.generator = torch.nn.ModuleDict({way: torch.nn.Conv2d(3, 3, 1) for way in ("ab", "ba")})

        def step(self, batch: Batch, turn: Turn) -> None:
            with turn("generator") as loss:
                loss.a = (self.generator["ba"](batch.b).mean() - batch.a.mean()) ** 2
                loss.b = (self.generator["ab"](batch.a).mean() - batch.b.mean()) ** 2

        def translate(self, a, *, rng):
            return self.generator["ab"](a).clamp(-1, 1)

        def translate_back(self, b, *, rng):
            return self.generator["ba"](b).clamp(-1, 1)
'''


@pytest.fixture
def file(tmp_path: Path, benchmark_file: Write, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A benchmark of three domains: images of one hue each."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for d, domain in enumerate(("cat", "dog", "wild")):
        for split, count in (("train", 6 + d), ("test", 3)):
            folder = tmp_path / "animals" / split / domain
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 60, (16, 16, 3)) + 180 * (np.arange(3) == d)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    (tmp_path / "tiny_gan.py").write_text(textwrap.dedent(TINY_GAN).lstrip(), encoding="utf-8")

    def write(extra: str = "", text: str = MANY) -> Path:
        return benchmark_file(text.replace("{extra}", extra))

    return write


def make(path: Path) -> Plan:
    return plan.make(config.load(path))


def test_every_ordered_pair_is_a_data_set_and_networks_are_trained_once_where_they_can_be(
    file: Callable[..., Path],
) -> None:
    the_plan = make(file())
    ways = ["cat to dog", "cat to wild", "dog to cat", "dog to wild", "wild to cat", "wild to dog"]
    assert list(the_plan.data) == [f"animals {way}" for way in ways]
    rows = {label: [s for s in the_plan.trials if s.label == label] for label in ("tiny", "stargan")}
    assert all(len({s.id for s in specs}) == len(specs) == 6 for specs in rows.values())
    assert len({s.trained_as for s in rows["tiny"]}) == 3, "one training for each two domains"
    (home,) = {s.trained_as for s in rows["stargan"]}
    assert [s.id.removeprefix(home) for s in rows["stargan"]] == ["", "-0to2", "-1to0", "-1to2", "-2to0", "-2to1"]
    assert [s.backward for s in rows["stargan"]] == [False, False, True, False, True, True]
    for spec in the_plan.trials:
        assert TrialSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_one_pair_of_several_or_two_domains_alone(file: Callable[..., Path]) -> None:
    whole = {s.id for s in make(file()).trials}
    names = "domains: [cat, dog, wild]"
    one = make(file(f"{names}, pair: [dog, wild]"))
    assert list(one.data) == ["animals"]
    assert {s.id for s in one.trials} < whole, "it is the trial that the whole set has"
    two = make(file("domains: [dog, wild]"))
    ids = {label: next(s.id for s in two.trials if s.label == label) for label in ("tiny", "stargan")}
    assert ids["tiny"] in whole, "a method of two domains learns the same"
    assert ids["stargan"] not in whole, "and this one learned from three"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            "direction: BtoA",
            r"benchmark.yaml:7: .*direction: of more than two domains each is translated into each: leave",
        ),
        ("domains: [cat, dog, lion]", "train has no folder 'lion'"),
        ("domains: [cat, dog, wild], pair: [cat, cow]", "cat and cow should be two of `domains`"),
    ],
)
def test_a_mistake_is_named_with_its_place(file: Callable[..., Path], extra: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(file(extra))


def test_a_new_image_of_a_third_domain_concerns_a_multi_domain_method_alone(file: Callable[..., Path]) -> None:
    path = file()
    before, after = {}, {}
    for found in (before, after):
        for spec in make(path).trials:
            found[spec.label, spec.data] = spec.id
        Image.new("RGB", (16, 16)).save(path.parent / "animals" / "train" / "wild" / "new.png")
    changed = {key for key in before if before[key] != after[key]}
    assert {key for key in before if key[0] == "stargan" or "wild" in key[1]} == changed


def test_it_is_trained_once_for_all_pairs_and_translates_between_each(
    file: Callable[..., Path], tmp_path: Path
) -> None:
    the_plan, store, cpu = make(file()), Store(tmp_path / "runs"), torch.device("cpu")
    specs = [s for s in the_plan.trials if s.label == "stargan"]
    for spec in specs[::-1]:  # any of them may be the first
        trial.train_and_translate(spec, store, logging.getLogger("test"))
    assert [(store.trial(s.id).path / "weights.pt").exists() for s in specs] == [True] + 5 * [False]
    weights = torch.load(store.trial(specs[0].trained_as).path / "weights.pt", weights_only=True)
    for spec in specs:
        method = make_method(spec, store, cpu)
        method.load_state_dict(weights)
        start, end = (("cat", "dog", "wild").index(name) for name in spec.data.split()[1::2])
        images = load_images(spec, store)
        assert images.test_a[..., start].mean() > 180, "they are of the domain that it starts from"
        with torch.inference_mode():
            expected = method.generator(to_float(images.test_a), torch.full((3,), end))
        outputs = store.trial(spec.id).outputs()
        assert outputs is not None
        assert np.array_equal(outputs, to_uint8(expected))


def test_all_ways_learn_from_the_same_batches(file: Callable[..., Path], tmp_path: Path) -> None:
    specs = [s for s in make(file()).trials if s.label == "stargan"]
    store = Store(tmp_path / "runs")
    first, *others = (
        [*make_batches(spec, store, torch.device("cpu")).at(3)] for spec in (specs[0], specs[3], specs[5])
    )
    assert len(first) == 4
    for batch in others:
        assert all(torch.equal(x, y) for x, y in zip(first, batch, strict=True))


class Watched(Method):
    """Notes which domains its images are said to be of."""

    pairing = "multi-domain"
    players = ("generator",)

    def build(self, task: Task) -> None:
        self.generator = torch.nn.Conv2d(3, 3, 1)
        self.seen: list[tuple[list[int], list[int]]] = []

    def step(self, batch: Batch, turn: Turn) -> None:
        of_a, of_b = batch.domains
        self.seen.append((of_a.tolist(), of_b.tolist()))
        with turn("generator") as loss:
            loss.l1 = (self.generator(batch.a) - batch.b).abs().mean()


def test_micro_batches_keep_each_image_with_its_domain_and_two_domains_need_no_labels() -> None:
    method = Watched(Watched.Params(), Task(3, 3, 4))
    a, b, of_a, of_b = torch.rand(3, 3, 4, 4), torch.rand(3, 3, 4, 4), torch.tensor([0, 2, 1]), torch.tensor([1, 0, 2])
    Turns(method).step(method, Batch(a, b, 0.0, 0, of_a, of_b), 3, parts=2)
    Turns(method).step(method, Batch(a, b), 3)
    assert method.seen == [([0, 2], [1, 0]), ([1], [2]), ([0, 0, 0], [1, 1, 1])]
