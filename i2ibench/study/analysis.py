"""What the answers to a study say of each data set's methods. Needs numpy alone, and reads no images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from i2ibench.study import answers as kept
from i2ibench.study.answers import Answer
from i2ibench.study.estimates import Share, fleiss_kappa, krippendorff_alpha, share, strengths

if TYPE_CHECKING:
    from i2ibench.plan import Plan
    from i2ibench.store import Store

PASSED = 0.8  # of the checks that a rater has answered must be right, and one must be answered, or no answer counts
RULE = f"raters count who have answered an attention check, and {PASSED:.0%} of them or more rightly"


@dataclass(frozen=True)
class Preferred:
    """How often a method's translation was preferred to another's, and its strength (`estimates.bradley_terry`)."""

    label: str
    share: Share
    strength: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Pair:
    """How often the translations of `a` were preferred to those of `b`."""

    a: str
    b: str
    share: Share


@dataclass(frozen=True)
class Fooling:
    """How often a method's output was taken for the real image; 0.5 if nobody can tell."""

    label: str
    share: Share
    exposures: tuple[float | None, ...]  # seconds for which the images were shown; None: without limit


@dataclass(frozen=True)
class Agreement:
    """How far raters agree who answered the same question; 0: as by chance, 1: wholly.

    Which of two images is called the first is arbitrary, so each question counts under both names; chance is 1/2.
    """

    kind: str
    kappa: float  # Fleiss'
    alpha: float  # Krippendorff's
    questions: int  # that two raters or more answered
    answers: int  # to those


@dataclass(frozen=True)
class Findings:
    """A study's results on one data set; without the answers of raters who do not count."""

    data: str
    preferred: tuple[Preferred, ...]  # strongest first
    pairs: tuple[Pair, ...]
    fooling: tuple[Fooling, ...]  # best first
    agreement: tuple[Agreement, ...]
    answers: int
    raters: int
    images: int
    excluded: int  # raters who failed
    seconds: float | None  # median to an answer


def of_plan(plan: Plan, store: Store) -> list[Findings]:
    """What the store's answers say of the trials of a plan, in the order of its data sets.

    Raises:
        StoreError: the file of the answers is damaged.
    """
    homes: dict[Path, dict[str, tuple[str, str]]] = defaultdict(dict)  # of several runs that are compared, several
    for spec in reversed(plan.trials):
        lies = store.trial(spec.id).path
        homes[lies.parent][lies.name] = spec.data, spec.label
    answers, rows = [], {}
    for at, (folder, of) in enumerate(homes.items()):
        answers += [_apart(one, at) for one in kept.read(folder)]
        rows.update({_id(trial, at): row for trial, row in of.items()})
    found = {one.data: one for one in analyse(answers, rows)}
    return [found[data] for data in plan.data if data in found]


def _apart(one: Answer, home: int) -> Answer:
    """An answer whose rater and trials are not taken for those of another store."""
    cell = replace(one.cell, a=_id(one.cell.a, home), b=_id(one.cell.b, home))
    return replace(one, rater=one.rater + home * kept.MOST_RATERS, cell=cell)


def _id(trial: str, home: int) -> str:
    return f"{home}/{trial}" if home else trial


def analyse(answers: Sequence[Answer], rows: Mapping[str, tuple[str, str]]) -> list[Findings]:
    """Results for each data set that has answers of raters who count; see RULE.

    Args:
        rows: trial -> its data set and its row of the leaderboard. Answers about other trials are left out.
    """
    good = trusted(answers)
    told: dict[str, list[Answer]] = defaultdict(list)
    for one in answers:
        known = [trial for trial in (one.cell.a, one.cell.b) if trial in rows]
        if not one.check and len(known) == (1 if one.cell.kind == "real" else 2):
            told[rows[known[0]][0]].append(_named(one, rows))
    return [_findings(data, of, good) for data, of in told.items()]


def trusted(answers: Sequence[Answer]) -> frozenset[int]:
    """The raters who count."""
    checks: dict[int, list[bool]] = defaultdict(list)
    for one in answers:
        if one.check:
            checks[one.rater].append(one.chose_a)
    return frozenset(rater for rater, passed in checks.items() if np.mean(passed) >= PASSED)


def _named(one: Answer, rows: Mapping[str, tuple[str, str]]) -> Answer:
    """The answer with rows of the leaderboard in place of trials, so that seeds of a method stand together."""
    a, b = (rows[trial][1] if trial in rows else trial for trial in (one.cell.a, one.cell.b))
    return replace(one, cell=replace(one.cell, group=(a, b)))


def _findings(data: str, every: Sequence[Answer], good: frozenset[int]) -> Findings:
    counted = [one for one in every if one.rater in good]
    better = [one for one in counted if one.cell.kind == "better"]
    real = [one for one in counted if one.cell.kind == "real"]
    agreements = (_agreement(kind, of) for kind, of in (("better", better), ("real", real)))
    return Findings(
        data=data,
        preferred=_preferred(better),
        pairs=_pairs(better),
        fooling=_fooling(real),
        agreement=tuple(one for one in agreements if one is not None),
        answers=len(counted),
        raters=len({one.rater for one in counted}),
        images=len({one.cell.image for one in counted}),
        excluded=len({one.rater for one in every} - good),
        seconds=float(np.median([one.seconds for one in counted])) if counted else None,
    )


def _share(yes: Sequence[bool], of: Sequence[Answer]) -> Share:
    return share(np.array(yes), np.array([one.rater for one in of]), np.array([one.cell.image for one in of]))


def _preferred(answers: Sequence[Answer]) -> tuple[Preferred, ...]:
    labels = sorted({label for one in answers for label in one.cell.group})
    if not labels:
        return ()
    number = {label: i for i, label in enumerate(labels)}
    ends = np.array([[number[label] for label in one.cell.group] for one in answers])
    chose_a = np.array([one.chose_a for one in answers])
    raters, images = np.array([one.rater for one in answers]), np.array([one.cell.image for one in answers])
    winners, losers = np.where(chose_a, ends.T, ends.T[::-1])
    strength, intervals = strengths(winners, losers, raters, images, len(labels))
    found = []
    for label, i in number.items():
        of = (winners == i) | (losers == i)
        # Who always won, or never, does so in every resampling: that tells nothing of how far the strength may be off.
        unanimous = not of.any() or (winners[of] == i).mean() in (0, 1)
        low, high = (None, None) if intervals is None or unanimous else map(float, intervals[i])
        found.append(Preferred(label, share(winners[of] == i, raters[of], images[of]), float(strength[i]), low, high))
    return tuple(sorted(found, key=lambda one: -one.strength))


def _pairs(answers: Sequence[Answer]) -> tuple[Pair, ...]:
    of: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for one in answers:
        a, b = one.cell.group
        # Whichever stood first in the file then, a pair is one pair.
        turned = one if a <= b else replace(one, chose_a=not one.chose_a)
        of[min(a, b), max(a, b)].append(turned)
    return tuple(Pair(a, b, _share([one.chose_a for one in found], found)) for (a, b), found in sorted(of.items()))


def _fooling(answers: Sequence[Answer]) -> tuple[Fooling, ...]:
    of: dict[str, list[Answer]] = defaultdict(list)
    for one in answers:
        of[one.cell.group[1]].append(one)
    found = [
        Fooling(
            label,
            _share([not one.chose_a for one in those], those),
            tuple(sorted({one.exposure for one in those}, key=lambda seconds: seconds or float("inf"))),
        )
        for label, those in sorted(of.items())
    ]
    return tuple(sorted(found, key=lambda one: -one.share.value))


def _agreement(kind: str, answers: Sequence[Answer]) -> Agreement | None:
    counts: dict[tuple, Counter[bool]] = defaultdict(Counter)
    for one in answers:
        counts[one.cell.key][one.chose_a] += 1
    several = np.array([[of[True], of[False]] for of in counts.values() if of.total() > 1])
    if not len(several):
        return None
    both_ways = np.vstack([several, several[:, ::-1]])
    return Agreement(kind, fleiss_kappa(both_ways), krippendorff_alpha(both_ways), len(several), int(several.sum()))
