"""Whether the names of two domains' files look as if they were meant to be pairs, though they do not pair."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from i2ibench.data.items import Item


def doubt_of(files: Mapping[str, Sequence[Item]]) -> str | None:
    """How much in the names of A and B looks as if they were pairs, to follow what does not; None: they look unpaired.

    Where most names are equal, those that are not are a mistake; so it is where one side has all of them renamed.
    """
    names = {name: [item.name for item in items] for name, items in files.items()}
    if _shared(names["train_a"], names["train_b"]):
        return ""
    for split, one, other in (("train", "a", "b"), ("train", "b", "a"), ("test", "a", "b"), ("test", "b", "a")):
        if added := _added(names[f"{split}_{one}"], names[f"{split}_{other}"]):
            return f"; {split}{other.upper()} has the names of {split}{one.upper()} with '{added}' added"
    if set(names["test_a"]) == set(names["test_b"]):
        return "; the test images do pair: layout: hidden-pairs scores them so"
    return None


def _shared(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether most names are in both."""
    return len({*a} & {*b}) > 0.5 * max(len({*a}), len({*b}))


def _added(short: Sequence[str], long: Sequence[str]) -> str:
    """What all names of `long` begin or end with, if most are names of `short` without it; "" if there is no such."""
    for name, word in itertools.product(short, long[:3]):
        if word != name and word.endswith(name):
            added = word.removesuffix(name)
            if _shared(short, [each.removeprefix(added) for each in long if each.startswith(added)]):
                return added
        if word != name and word.startswith(name):
            added = word.removeprefix(name)
            if _shared(short, [each.removesuffix(added) for each in long if each.endswith(added)]):
                return added
    return ""
