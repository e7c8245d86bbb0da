"""The house style of all figures: fonts, sizes, and one colour and marker per method, safe for colour-blind readers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# seaborn's "colorblind" palette (Okabe-Ito), less its grey, which is kept for reference rows, and its pink and
# yellow, which are too pale for lines on white; then three dark ones.
COLOURS = (
    "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#56b4e9", "#ca9161", "#7a1f3d", "#3b3b98", "#7d7a1c",
)  # fmt: skip
# Paul Tol's "muted" palette, its pale yellow and cyan darkened: for what is not a method.
TERM_COLOURS = ("#332288", "#cc6677", "#117733", "#b8a233", "#44aa99", "#882255", "#5aa9d6", "#aa4499", "#661100")
MARKERS = (
    "o",
    "s",
    "^",
    "D",
    "v",
    "P",
    "X",
    "<",
    ">",
    "p",
    "h",
)  # 10 and 11 are coprime: 110 methods before a pair repeats
REFERENCE_COLOUR = "#6b7280"
INK, MUTED, RULE = "#1f2430", "#5b6270", "#e3e5ea"

DPI = 150
RC: Any = {  # matplotlib types its keys one by one
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same picture on every machine
    "font.size": 10,
    "pdf.fonttype": 42,  # TrueType: many a conference refuses matplotlib's default, Type 3
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 10,
    "axes.edgecolor": "#9aa0ab",
    "axes.linewidth": 0.8,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,  # a method named "$x" shows as it is
    "svg.hashsalt": "i2ibench",  # the same figure is the same file
}


@contextmanager
def house() -> Iterator[None]:
    """The style, for the length of a block; the caller's own matplotlib settings come back after it."""
    with mpl.rc_context(RC), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from font"
        )  # a label in Chinese: boxes, but a figure
        yield


def figure(width: float, height: float, *, constrained: bool = True) -> Figure:
    """An empty figure (inches) that draws itself with Agg and is known to no pyplot, so it needs no closing."""
    drawing = Figure(figsize=(width, height), dpi=DPI, layout="constrained" if constrained else None)
    FigureCanvasAgg(drawing)
    return drawing


class Looks:
    """Colour and marker of each label: by the order of the benchmark file, so that no ranking repaints a method."""

    def __init__(self, methods: Sequence[str], references: Sequence[str]) -> None:
        self.colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(methods)}
        self.markers = {label: MARKERS[i % len(MARKERS)] for i, label in enumerate(methods)}
        self.colours |= dict.fromkeys(references, REFERENCE_COLOUR)
        self.markers |= dict.fromkeys(references, "|")
