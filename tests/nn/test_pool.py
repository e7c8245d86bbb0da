"""The image pool: fills, then exchanges half of what it is given, and survives a checkpoint."""

from __future__ import annotations

import io

import torch

from i2ibench import nn


def numbered(first: int, n: int) -> torch.Tensor:
    """Images (n, 1, 2, 2) that carry a number."""
    return torch.arange(first, first + n, dtype=torch.float).reshape(n, 1, 1, 1).expand(n, 1, 2, 2).clone()


def test_size_zero_turns_it_off() -> None:
    pool, fakes = nn.ImagePool(0), numbered(0, 4).requires_grad_()
    out = pool(fakes)
    assert torch.equal(out, fakes)
    assert not out.requires_grad
    assert pool.state_dict()["_extra_state"].numel() == 0


def test_fills_first_and_then_exchanges_half() -> None:
    torch.manual_seed(0)
    pool = nn.ImagePool(50)
    assert torch.equal(pool(numbered(0, 50)), numbered(0, 50))
    old, seen = 0, list(range(50))
    for step in range(50, 2050, 4):
        out = pool(numbered(step, 4)).flatten(1)[:, 0]
        old += int((out < step).sum())
        seen += [step + i for i in range(4)]
        inside = pool.images[:, 0, 0, 0].tolist()
        assert len(inside) == len(set(inside)) == 50
        assert set(inside) <= set(seen)
    assert 0.45 < old / 2000 < 0.55
    assert min(inside) > 500  # old images leave


def test_an_image_that_left_is_in_the_pool_or_handed_out_but_never_lost() -> None:
    torch.manual_seed(1)
    pool = nn.ImagePool(3)
    pool(numbered(0, 3))
    before = set(pool.images[:, 0, 0, 0].tolist())
    out = pool(numbered(3, 5))
    assert before | {3.0, 4, 5, 6, 7} == set(pool.images[:, 0, 0, 0].tolist()) | set(out[:, 0, 0, 0].tolist())


def test_gives_copies_without_gradient() -> None:
    torch.manual_seed(0)
    pool = nn.ImagePool(2)
    fakes = numbered(0, 2).requires_grad_()
    assert not pool(fakes).requires_grad
    with torch.no_grad():
        fakes.fill_(-1)
    assert (pool.images >= 0).all()
    for step in range(2, 40, 2):
        out = pool(numbered(step, 2))
        held = pool.images.clone()
        out.fill_(-1)
        assert torch.equal(pool.images, held)


def test_content_survives_a_checkpoint_into_an_empty_pool() -> None:
    pool = nn.ImagePool(4)
    pool(numbered(0, 3))
    file = io.BytesIO()
    torch.save(torch.nn.ModuleDict({"pool": pool}).state_dict(), file)
    pool(numbered(3, 1))

    file.seek(0)
    fresh = nn.ImagePool(4)
    torch.nn.ModuleDict({"pool": fresh}).load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(fresh.images, numbered(0, 3))
    fresh(numbered(3, 1))
    torch.manual_seed(0)
    ours = [pool(numbered(step, 2)) for step in range(10, 30, 2)]
    torch.manual_seed(0)
    theirs = [fresh(numbered(step, 2)) for step in range(10, 30, 2)]
    assert torch.equal(torch.cat(ours), torch.cat(theirs))


def test_an_empty_pool_is_saved_and_loaded_too() -> None:
    full = nn.ImagePool(4)
    full(numbered(0, 4))
    full.load_state_dict(nn.ImagePool(4).state_dict())
    assert torch.equal(full(numbered(9, 2)), numbered(9, 2))
    assert len(full.images) == 2
