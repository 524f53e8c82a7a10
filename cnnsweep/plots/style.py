"""Style of figures: sizes, colours, axes, and file formats.

The colours of Okabe and Ito (2008) remain distinct for colour-blind readers. Lines also differ in dashes and markers,
so that a copy in black and white can be read.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from cnnsweep.formatting.distinct import cut_texts
from cnnsweep.formatting.escape import safe_text
from cnnsweep.metrics.names import LOSS, is_on_validation, is_share, without_prefix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v")
BEST, OTHERS, INK = COLOURS[0], "#9A9A9A", "#222222"
SCALE = "cividis"  # its lightness rises evenly, so a copy without colours can be read
DPI = 300


@dataclass(frozen=True, slots=True)
class Format:
    """Medium of a figure; sizes in inches, type and lines in points.

    Attributes:
        longest: characters of a text from the sweep file, such as a trial in a legend.
    """

    name: str
    width: float
    height: float
    type: float
    line: float
    longest: int

    @property
    def row(self) -> float:
        """The height of a line of text."""
        return self.type * 1.5 / 72

    def cut(self, value: Any, share: float = 1.0) -> str:
        """Return text of unknown origin, safe to draw, and no longer than a share of `longest`."""
        text, most = safe_text(value), max(int(self.longest * share), 4)
        return text if len(text) <= most else text[: most - 1] + "…"

    def cut_all(self, values: Sequence[Any], share: float = 1.0) -> list[str]:
        """Return several such texts; different ones stay different."""
        return cut_texts([safe_text(value) for value in values], max(int(self.longest * share), 12))


COLUMN = Format("column", 3.35, 2.4, 8, 1.2, 44)  # of a paper in two columns
SLIDE = Format("slide", 10.0, 5.0, 18, 2.6, 60)
FORMATS = (COLUMN, SLIDE)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure before it is rendered.

    Attributes:
        name: the stem of its file names.
        caption: the text below the figure in a paper.
        draw: draws on an empty figure of a format.
        rows: lines of text that need extra height: a legend, or rows of a list.
    """

    name: str
    caption: str
    draw: Callable[[Figure, Format], None]
    rows: int = 0


def drawn(draw: Callable[[T], Drawing], chart: T | None) -> Drawing | None:
    """Return the drawing of a chart; None if the sweep has too few results for it."""
    return None if chart is None else draw(chart)


def render(drawing: Drawing, form: Format) -> dict[str, bytes]:
    """Return a drawing as PNG and as SVG, by file ending; equal values give equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_settings(form)), warnings.catch_warnings():
        # Letters that the font lacks are boxes in the PNG; viewers of the SVG have other fonts.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = Figure((form.width, form.height + drawing.rows * form.row), layout="constrained")
        drawing.draw(figure, form)
        written = {}
        for kind, about in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=about)
            written[kind] = buffer.getvalue()
    return written


def _settings(form: Format) -> Any:  # a mapping whose keys matplotlib's own types list one by one
    import matplotlib

    return {
        **matplotlib.rcParamsDefault,  # independent of the user's matplotlibrc
        "backend": "agg",
        "font.size": form.type,
        "axes.labelsize": form.type,
        "axes.titlesize": form.type,
        "xtick.labelsize": form.type * 0.9,
        "ytick.labelsize": form.type * 0.9,
        "legend.fontsize": form.type * 0.9,
        "legend.frameon": False,
        "lines.linewidth": form.line,
        "lines.markersize": form.line * 3,
        "axes.linewidth": form.line * 0.6,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "figure.constrained_layout.w_pad": form.type / 144,
        "figure.constrained_layout.h_pad": form.type / 144,
        "text.parse_math": False,  # a name with dollar signs is a name
        "svg.fonttype": "none",  # text stays text: searchable, and in the reader's font
        "svg.hashsalt": "cnnsweep",
    }


def metric_label(metric: str) -> str:
    """Return a metric's name with its unit: accuracies in percent, losses in nats (natural logarithms)."""
    name = without_prefix(metric)
    unit = " (%)" if is_share(name) else " (nats)" if name == LOSS else ""
    return f"{'validation' if is_on_validation(metric) else 'training'} {name.replace('_', ' ')}{unit}"


def in_unit(metric: str, value: float) -> float:
    """Return a value in the unit of `metric_label`."""
    return value * 100 if is_share(metric) else value


def use_whole_ticks(axes: Axes) -> None:
    """Put the ticks of the horizontal axis on whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def grid(axes: Axes, which: str) -> None:
    """Draw faint lines behind the data."""
    axes.set_axisbelow(True)
    axes.grid(axis=which, color="#E3E3E3", linewidth=axes.spines["left"].get_linewidth())  # type: ignore[arg-type]


def readable_on(scale: str, share: float) -> str:
    """Return black or white, whichever is readable on the colour at 0 to 1 of a scale."""
    from matplotlib import colormaps

    parts = [float(part) for part in colormaps[scale](share)][:3]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > math.sqrt(1.05 * 0.05) - 0.05 else "white"  # equal contrast at this luminance
