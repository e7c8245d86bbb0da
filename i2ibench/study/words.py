"""What a study found, in words: for the terminal and for the report."""

from __future__ import annotations

from i2ibench.study.analysis import RULE, Findings, Fooling, Preferred
from i2ibench.study.estimates import Share

DASH = "–"
FEW = 5  # raters below which an interval over raters is a rough thing


def share(it: Share) -> str:
    return f"{it.value:.0%}"


def interval(it: Share) -> str:
    return DASH if it.low is None or it.high is None else f"{it.low:.0%} … {it.high:.0%}"


def strength(row: Preferred) -> str:
    return f"{row.strength:+.2f}".replace("-", "−")


def strength_interval(row: Preferred) -> str:
    if row.low is None or row.high is None:
        return DASH
    return f"{row.low:+.2f} … {row.high:+.2f}".replace("-", "−")


def exposure(row: Fooling) -> str:
    return ", ".join("no limit" if seconds is None else f"{seconds:g} s" for seconds in row.exposures)


def note(found: Findings) -> str:
    """Who answered what, who was left out, and how far raters agree."""
    words = []
    if found.seconds is not None:
        words.append(
            f"{found.answers} answers of {found.raters} rater{'s' * (found.raters != 1)} to {found.images} images, "
            f"{found.seconds:.1f} s each (median)."
        )
    words.append(f"{found.excluded or 'Nobody'} left out: {RULE}.")
    for one in found.agreement:
        words.append(
            f"Agreement on which is {one.kind}: Krippendorff’s α {one.alpha:.2f}, Fleiss’ κ {one.kappa:.2f} "
            f"(n = {one.questions} questions with two answers or more)."
        )
    if found.answers and not found.agreement:
        words.append("No question has two answers yet, so agreement is not known.")
    if 0 < found.raters < FEW:
        words.append(f"With fewer than {FEW} raters the intervals are rough.")
    return " ".join(words)
