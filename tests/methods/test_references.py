"""copy and oracle: the floor and the ceiling of every leaderboard."""

from __future__ import annotations

from typing import Any

import torch

from i2ibench import registry
from i2ibench.method import Task

Copy: Any = registry.method("copy")
Oracle: Any = registry.method("oracle")


def test_copy_returns_its_input() -> None:
    a = torch.rand(2, 3, 8, 8) * 2 - 1
    assert torch.equal(Copy(Copy.Params(), Task(3, 3, 8)).translate(a, rng=torch.Generator()), a)


def oracle(b: torch.Tensor, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    method = Oracle(Oracle.Params(), Task(3, 3, 2))
    method.fit(torch.zeros_like(b), b)
    return method


def test_oracle_gives_each_real_image_once_before_it_repeats() -> None:
    b = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1).expand(10, 3, 2, 2)
    method, rng, a = oracle(b), torch.Generator(), torch.zeros(4, 3, 2, 2)
    given = torch.cat([method.translate(a, rng=rng) for _ in range(5)])
    numbers = ((given + 1) * 127.5).round()[:, 0, 0, 0].tolist()
    assert sorted(numbers[:10]) == list(range(10))
    assert numbers[:10] == numbers[10:]
    assert numbers[:10] != sorted(numbers[:10])
    assert not Oracle.scores_pairs


def test_the_seed_shuffles_the_oracle() -> None:
    b = torch.randint(0, 256, (20, 3, 2, 2), dtype=torch.uint8)
    a, rng = torch.zeros(20, 3, 2, 2), torch.Generator()
    one, same, other = (oracle(b, seed).translate(a, rng=rng) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
