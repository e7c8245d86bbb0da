"""Figures of the scores: by seed, by image, and whether the metrics agree with each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from i2ibench.frames import PerImage
from i2ibench.report.board import Board, Column, Published, Row
from i2ibench.report.drawing import Drawing, left_out, legend_above, listed, panels, shorten, top
from i2ibench.report.style import INK, MUTED, REFERENCE_COLOUR, RULE, Looks, figure, house
from i2ibench.statistics import rank_correlation


def scores(board: Board, looks: Looks) -> Drawing | None:
    """Each seed's score and the mean, per metric; rows as in the leaderboard."""
    rows = [row for row in (*top(board), *board.references) if any(row.cells.get(c.name) for c in board.scores)]
    if not rows:
        return None
    with house():
        columns = min(3, len(board.scores))
        lines = math.ceil(len(board.scores) / columns)
        drawing = figure(11, lines * (0.9 + 0.3 * (len(rows) + len({one.name for one in board.published}))))
        for ax, column in zip(panels(drawing, len(board.scores), columns, sharey=True), board.scores, strict=True):
            _score_panel(ax, column, rows, board.published, looks)
    best = "; ".join(
        f"{column.title}: {listed(sorted(row.label for row in board.rows if column.name in row.best))}"
        for column in board.scores
    )
    return Drawing(
        f"scores-{board.slug}",
        "Scores with their spread over seeds",
        "Each marker is one seed, each bar the mean of a method. Grey rows and dotted lines are the references."
        + (
            " Hollow diamonds are published scores, under protocols of their own; see the table of them."
            if board.published
            else ""
        )
        + left_out(board),
        f"Scores on {board.data}, one panel per metric. Best mean of each: {best}.",
        drawing,
    )


def _score_panel(ax: Axes, column: Column, rows: Sequence[Row], published: Sequence[Published], looks: Looks) -> None:
    points = pd.DataFrame(
        [
            (y, row.label, value)
            for y, row in enumerate(rows)
            if (cell := row.cells.get(column.name))
            for value in cell.values
        ],
        columns=["row", "label", "value"],
    )
    for y, row in enumerate(rows):
        if (cell := row.cells.get(column.name)) is None:
            ax.text(
                0.03,
                y,
                "no score" if column.name in row.cells else "does not apply",
                transform=ax.get_yaxis_transform(),
                va="center",
                color=MUTED,
                fontsize=8.5,
                backgroundcolor="white",
            )
        else:
            ax.vlines(cell.mean, y - 0.32, y + 0.32, color=looks.colours[row.label], linewidth=2.4, zorder=3)
            if row.reference:
                ax.axvline(cell.mean, color=REFERENCE_COLOUR, linewidth=1, linestyle=":", zorder=1)
    sns.scatterplot(
        points, x="value", y="row", hue="label", palette=looks.colours, ax=ax,
        s=52, alpha=0.75, edgecolor="white", linewidth=0.8, legend=False, zorder=4,
    )  # fmt: skip
    names = list(dict.fromkeys(one.name for one in published))  # each a row of its own: its settings are its own
    for one in published:
        if one.metric == column.name:
            y = len(rows) + names.index(one.name)
            ax.plot(one.value, y, marker="D", markersize=6.5, markerfacecolor="none", color=INK, zorder=5)
    labels = [*(shorten(row.label) for row in rows), *(shorten(name, 34) for name in names)]
    ax.set(title=f"{column.head} {column.arrow}", xlabel=column.direction, ylabel="", ylim=(len(labels) - 0.4, -0.6))
    ax.set_yticks(range(len(labels)), labels, color=INK)
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    for edge in {len(rows) - sum(row.reference for row in rows), len(rows)} - {0, len(labels)}:
        ax.axhline(edge - 0.5, color=RULE, linewidth=1)


def distributions(board: Board, by_seed: PerImage, looks: Looks) -> Drawing | None:
    """How the values of single images spread, one panel per metric that has them; all seeds together.

    by_seed: label -> metric -> seed -> (images,), from `frames.per_image`.
    """
    per_image = {label: {m: np.stack([*of.values()]) for m, of in found.items()} for label, found in by_seed.items()}
    rows = [row for row in top(board) if per_image.get(row.label)]
    columns = [c for c in board.scores if any(c.name in per_image[row.label] for row in rows)]
    if not columns:
        return None
    with house():
        across = min(3, len(columns))
        lines = math.ceil(len(columns) / across)
        drawing = figure(11, lines * (0.9 + 0.42 * len(rows)))
        for ax, column in zip(panels(drawing, len(columns), across, sharey=True), columns, strict=True):
            _distribution_panel(ax, column, rows, per_image, looks)
    counts = sorted({values.shape for found in per_image.values() for values in found.values()})
    n = " or ".join(f"{images} images × {seeds} seed{'s' if seeds > 1 else ''}" for seeds, images in counts)
    medians = []
    for column in columns:
        of = {row.label: per_image[row.label][column.name] for row in rows if column.name in per_image[row.label]}
        said = [f"{label} {np.median(values):.3g}" for label, values in of.items()]
        medians.append(f"{column.title}: {listed(said)}")
    return Drawing(
        f"distributions-{board.slug}",
        "Scores of single images",
        f"The width of a shape is the density of images; the line inside is the median, the thin ones the quartiles "
        f"(n = {n})." + left_out(board),
        f"Distribution over the test images of {board.data}. Medians: {'; '.join(medians)}.",
        drawing,
    )


def _distribution_panel(
    ax: Axes, column: Column, rows: Sequence[Row], per_image: Mapping[str, Mapping[str, np.ndarray]], looks: Looks
) -> None:
    from scipy.stats import gaussian_kde  # takes a second to import

    for y, row in enumerate(rows):
        values = per_image[row.label].get(column.name)
        if values is None:
            continue
        flat = values.ravel()
        if np.ptp(flat) > 0:
            # As seaborn's violinplot, which takes ten times as long.
            xs = np.linspace(flat.min(), flat.max(), 60)
            density = gaussian_kde(flat)(xs)
            half = 0.41 * density / density.max()
            ax.fill_between(xs, y - half, y + half, color=looks.colours[row.label], linewidth=0, alpha=0.45)
        low, middle, high = np.quantile(flat, (0.25, 0.5, 0.75))
        ax.hlines(y, low, high, color=looks.colours[row.label], linewidth=1.6)
        ax.vlines(middle, y - 0.3, y + 0.3, color=INK, linewidth=1.8, zorder=3)
    ax.set(title=f"{column.head} {column.arrow}", xlabel=column.direction, ylabel="", ylim=(len(rows) - 0.4, -0.6))
    ax.set_yticks(range(len(rows)), [shorten(row.label) for row in rows], color=INK)
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(5))


def agreement(board: Board, looks: Looks) -> Drawing | None:
    """Three pairs of metrics against each other, and Spearman's correlation of all: do they tell the same story?"""
    rows = top(board)
    columns = [c for c in board.scores if sum(row.cells.get(c.name) is not None for row in rows) > 2]
    if len(columns) < 2:
        return None
    first = sorted(columns, key=lambda c: ["fid", "kid", "lpips", c.name].index(c.name))[:3]
    means = {c.name: np.array([row.mean(c.name) for row in rows]) * (1 if c.higher_is_better else -1) for c in columns}
    with house():
        pairs = list(itertools.combinations(first, 2))
        heat = len(columns) > 2
        drawing = figure(11, 3.5 if len(pairs) + heat < 3 else 7.2)
        axes = panels(drawing, len(pairs) + heat, 2)
        for ax, (a, b) in zip(axes, pairs, strict=False):
            _agreement_panel(ax, a, b, rows, board.references, looks, rank_correlation(means[a.name], means[b.name]))
        if heat:
            _correlations(axes[-1], columns, means)
        legend_above(drawing, axes[0])
    said = [
        f"{a.title} and {b.title} {rho:.2f} (n = {n} methods)"
        for a, b in itertools.combinations(columns, 2)
        for rho, n in [rank_correlation(means[a.name], means[b.name])]
        if math.isfinite(rho)
    ]
    return Drawing(
        f"agreement-{board.slug}",
        "Do the metrics agree?",
        "Each marker is the mean of a method; grey ones are the references and do not count. ρ is Spearman’s rank "
        "correlation over the methods, turned so that 1 means the same order from best to worst." + left_out(board),
        f"Rank correlations on {board.data}: {listed(said)}.",
        drawing,
    )


def _agreement_panel(
    ax: Axes, a: Column, b: Column, rows: Sequence[Row], references: Sequence[Row], looks: Looks, rho: tuple[float, int]
) -> None:
    hollow = {row.label: "oDs^"[i % 4] for i, row in enumerate(references)}
    for row in (*rows, *references):
        x, y = row.mean(a.name), row.mean(b.name)
        if math.isfinite(x) and math.isfinite(y):
            colour = looks.colours[row.label]
            ax.plot(
                x, y, linestyle="none", marker=hollow.get(row.label, looks.markers[row.label]), markersize=9,
                color="white" if row.reference else colour, markeredgecolor=colour if row.reference else "white",
                label=shorten(row.label), zorder=2 if row.reference else 3, alpha=0.8,
            )  # fmt: skip
    verdict = f"ρ = {rho[0]:.2f}, n = {rho[1]}" if math.isfinite(rho[0]) else f"n = {rho[1]}"
    ax.set(title=f"{a.title} and {b.title}: {verdict}", xlabel=f"{a.head} {a.arrow}", ylabel=f"{b.head} {b.arrow}")
    ax.margins(0.1)


def _correlations(ax: Axes, columns: Sequence[Column], means: Mapping[str, np.ndarray]) -> None:
    titles = [column.title for column in columns]
    table = pd.DataFrame(
        [[rank_correlation(means[a.name], means[b.name])[0] for b in columns] for a in columns], titles, titles
    )
    sns.heatmap(
        table, ax=ax, vmin=-1.6, vmax=1.6, cmap="vlag_r", annot=len(columns) < 10, fmt=".2f", linewidths=1.5,
        square=False, cbar=False, annot_kws={"size": 9, "color": INK}, xticklabels=titles, yticklabels=titles,
    )  # fmt: skip
    ax.set_title("Rank correlation of all scores")
    ax.tick_params(labelsize=8.5)
    ax.set_xticklabels(ax.get_xticklabels(), rotation=30, ha="right")
    ax.tick_params(axis="y", rotation=0)
