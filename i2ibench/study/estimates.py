"""What follows from choices between two: shares with intervals, Bradley–Terry strengths, agreement. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from i2ibench.statistics import t_quantile

PRIOR = 0.5  # an answer's half, each way, for each pair of methods: a method that always lost has a strength too
DRAWS = 400  # of the bootstrap


@dataclass(frozen=True)
class Share:
    """A share of answers, with its 95 % interval over raters and images; None where there is one rater or image."""

    value: float
    low: float | None
    high: float | None
    n: int  # answers
    raters: int


def share(yes: np.ndarray, raters: np.ndarray, images: np.ndarray) -> Share:
    """The share of answers that are yes, as what other raters would say of other images.

    Wilson's interval (1927) at the effective number of answers p(1 - p) / V, as surveys do (Korn & Graubard 1998). V is
    the variance of the share with answers clustered both by raters and by images (Cameron, Gelbach & Miller 2011), and
    the quantile is Student's, of as many degrees of freedom as there are raters (or images, if fewer) less one.

    Args:
        yes, raters, images: of each answer (N,), N > 0: the answer, who gave it and of which image.
    """
    yes = np.asarray(yes, dtype=float)
    n, p = len(yes), float(yes.mean())
    clusters = [np.unique(of, return_inverse=True)[1] for of in (raters, images)]
    counts = [int(of.max()) + 1 for of in clusters]
    if min(counts) < 2:
        return Share(p, None, None, n, counts[0])
    both = np.unique(clusters[0] * counts[1] + clusters[1], return_inverse=True)[1]
    rest = yes - p
    by_raters, by_images = (
        k / (k - 1) * np.sum(np.bincount(of, rest) ** 2) for of, k in zip(clusters, counts, strict=True)
    )
    variance = max(by_raters + by_images - np.sum(np.bincount(both, rest) ** 2), by_raters, by_images) / n**2
    effective = min(n, p * (1 - p) / variance) if variance > 1e-12 else n
    z = t_quantile(min(counts))
    centre = (p + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z / (1 + z**2 / effective) * (p * (1 - p) / effective + z**2 / (4 * effective**2)) ** 0.5
    return Share(p, max(0.0, centre - half), min(1.0, centre + half), n, counts[0])


def bradley_terry(wins: np.ndarray) -> np.ndarray:
    """Log-strengths (k,) with mean 0: i is preferred to j with probability 1 / (1 + exp(s[j] - s[i])).

    Maximum likelihood (Bradley & Terry 1952) by choix (Maystre & Grossglauser, NeurIPS 2015), with PRIOR wins of each
    over each other added.

    Args:
        wins: (k, k), how often i was preferred to j; k > 1.
    """
    import choix

    padded = np.asarray(wins, dtype=float) + PRIOR
    np.fill_diagonal(padded, 0)
    return choix.ilsr_pairwise_dense(padded)


def strengths(
    winners: np.ndarray, losers: np.ndarray, raters: np.ndarray, images: np.ndarray, k: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """Bradley–Terry strengths (k,) and their 95 % intervals (k, 2) over raters and images.

    The bootstrap draws raters and images anew, both with replacement, and keeps the answers of drawn ones to drawn ones
    (Owen 2007, "pigeonhole"): wider than either alone. No intervals where there is one rater or image.

    Args:
        winners, losers: numbers (N,) below `k` of the methods of each answer.
        raters, images: of each answer.
    """
    of_raters, of_images = (np.unique(of, return_inverse=True)[1] for of in (raters, images))
    counts = [int(of.max()) + 1 for of in (of_raters, of_images)]

    def fitted(weights: np.ndarray) -> np.ndarray:
        wins = np.bincount(winners * k + losers, weights, minlength=k * k).reshape(k, k)
        return bradley_terry(wins)

    found = fitted(np.ones(len(winners)))
    if min(counts) < 2:
        return found, None
    rng = np.random.default_rng(seed)
    drawn = [rng.multinomial(count, np.full(count, 1 / count), size=DRAWS) for count in counts]
    replicates = [fitted(r[of_raters] * i[of_images]) for r, i in zip(*drawn, strict=True)]
    return found, np.quantile(replicates, [0.025, 0.975], axis=0).T


def fleiss_kappa(counts: np.ndarray) -> float:
    """Fleiss' kappa (1971), for items that may have different numbers of ratings, two at least.

    Args:
        counts: (items, categories), how many raters put each item into each category.
    """
    counts = np.asarray(counts, dtype=float)
    n = counts.sum(axis=1)
    observed = float(np.mean((np.sum(counts**2, axis=1) - n) / (n * (n - 1))))
    chance = float(np.sum((counts.sum(axis=0) / counts.sum()) ** 2))
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def krippendorff_alpha(counts: np.ndarray) -> float:
    """Krippendorff's alpha of nominal data (2011), for items that may have different numbers of ratings.

    Args:
        counts: (items, categories); items with fewer than two ratings say nothing and are left out.
    """
    counts = np.asarray(counts, dtype=float)
    counts = counts[counts.sum(axis=1) > 1]
    n, of = counts.sum(axis=1), counts.sum(axis=0)
    total = of.sum()
    disagreed = float(np.sum((n**2 - np.sum(counts**2, axis=1)) / (n - 1)))
    expected = float(total**2 - np.sum(of**2)) / (total - 1)
    return 1 - disagreed / expected if expected else float("nan")
