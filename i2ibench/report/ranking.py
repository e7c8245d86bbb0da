"""The critical-difference diagram: mean places over data sets, and which of them could be chance (Demšar 2006)."""

from __future__ import annotations

from matplotlib.axes import Axes

from i2ibench.report.drawing import Drawing, listed, shorten
from i2ibench.report.overall import Overall
from i2ibench.report.style import INK, MUTED, Looks, figure, house
from i2ibench.statistics import Friedman

MOST = 24  # methods in the diagram


def diagram(overall: Overall, looks: Looks) -> Drawing | None:
    """Methods on a scale of their mean places; a bar joins those that the data sets do not tell apart."""
    test = overall.friedman
    if test is None or len(test.mean_ranks) > MOST:
        return None
    names = list(test.mean_ranks)
    groups = test.groups()
    with house():
        drawing = figure(11, 1.3 + 0.3 * ((len(names) + 1) // 2) + 0.13 * len(groups))
        _draw(drawing.subplots(), test, groups, looks)
    places = listed([f"{name} {rank:.2f}" for name, rank in test.mean_ranks.items()])
    once = " (ways, directions and sizes of the same images count as one)" if overall.shared else ""
    alike = "; ".join(listed(list(group)) for group in groups) or "none"
    return Drawing(
        "critical-difference",
        "Critical difference",
        f"Mean places over n = {test.data} data sets{once}, 1 the best. Friedman’s test: χ² = {test.statistic:.1f}, "
        f"p = {test.p:.2g}. Methods joined by a bar differ by less than the critical difference of "
        f"{test.critical_difference:.2f} (Nemenyi, 95%): their order could be chance. Both tests are approximations; "
        "ten data sets and more make them good ones.",
        f"Critical-difference diagram. Mean places: {places}. Not told apart: {alike}.",
        drawing,
    )


def _draw(ax: Axes, test: Friedman, groups: list[tuple[str, ...]], looks: Looks) -> None:
    names, places = list(test.mean_ranks), list(test.mean_ranks.values())
    k, half = len(names), (len(names) + 1) // 2
    bars = 0.42 * len(groups)
    ax.set(xlim=(0.2, k + 0.8), ylim=(half + bars + 0.4, -1.3))
    ax.set_axis_off()
    ax.hlines(0, 1, k, color=INK, linewidth=1.2)
    for tick in range(1, k + 1):
        ax.vlines(tick, -0.12, 0, color=INK, linewidth=1)
        ax.text(tick, -0.22, str(tick), ha="center", va="bottom", color=MUTED, size=9)
    ax.hlines(-1.0, 1, 1 + test.critical_difference, color=INK, linewidth=2)
    ax.text(1 + test.critical_difference + 0.05, -1.0, f"CD = {test.critical_difference:.2f}", va="center", size=9)
    for i, (name, place) in enumerate(zip(names, places, strict=True)):
        left = i < half
        level = bars + 0.45 + (i if left else k - 1 - i)
        edge = 0.95 if left else k + 0.05
        ax.plot([place, place, edge], [0, level, level], color=looks.colours[name], linewidth=1.6)
        ax.text(
            edge + (-0.04 if left else 0.04), level,
            f"{shorten(name)}  {place:.2f}" if left else f"{place:.2f}  {shorten(name)}",
            ha="right" if left else "left", va="center", size=9.5, color=INK,
        )  # fmt: skip
    for i, group in enumerate(groups):
        low, high = test.mean_ranks[group[0]], test.mean_ranks[group[-1]]
        ax.hlines(0.32 + 0.42 * i, low - 0.04, high + 0.04, color=INK, linewidth=4, zorder=4)
