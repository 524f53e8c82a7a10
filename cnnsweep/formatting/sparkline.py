"""Learning curves of one line: one block for a few epochs, higher for a larger metric."""

import itertools
import math
from collections.abc import Sequence
from statistics import fmean, quantiles

from rich.text import Text

from cnnsweep.formatting.columns import Column

BLOCKS = "▁▂▃▄▅▆▇█"
NOT_FINITE = "×"
WIDEST = 12
FEWEST_EPOCHS = 3  # fewer epochs show no curve
_DROP = 11  # dropped after the training metrics, before the deciding one's neighbours

Curve = Sequence[float | None]  # one value per epoch, from the first; None and NaN where it is not finite


def curve_column(curves: Sequence[Curve], epochs: int, styles: Sequence[str]) -> list[Column]:
    """Return the column of the runs' learning curves, or none without a visible curve.

    All share both scales, so that rows can be compared: the line of a half-finished run has half the length.

    Args:
        curves: one per row.
        epochs: planned epochs of the longest run.
    """
    if epochs < FEWEST_EPOCHS or all(len(curve) < 2 for curve in curves):
        return []
    low, high = _scale(curves)
    width = min(epochs, WIDEST)
    texts = [sparkline(curve, low, high, width, epochs) for curve in curves]
    cells = [Text(text, style) for text, style in zip(texts, styles, strict=True)]
    return [Column("curve", cells, _DROP, "left")]


def sparkline(curve: Curve, low: float, high: float, width: int, epochs: int) -> str:
    """Return a curve in `width` characters for `epochs` epochs, proportionally shorter while unfinished.

    Args:
        low, high: the values of the lowest and the highest block; values outside are clamped.
        width: at most `epochs`.
    """
    bounds = [position * epochs // width for position in range(width + 1)]
    parts = [curve[start:end] for start, end in itertools.pairwise(bounds)]
    return "".join(_block(part, low, high) for part in parts if part)


def _block(part: Curve, low: float, high: float) -> str:
    known = _finite(part)
    if not known:
        return NOT_FINITE
    share = (fmean(known) - low) / (high - low) if high > low else 0.5
    return BLOCKS[round(min(max(share, 0.0), 1.0) * (len(BLOCKS) - 1))]


def _scale(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the lowest and highest value, without outliers that would flatten the others, such as a diverging loss."""
    known = sorted(figure for curve in curves for figure in _finite(curve))
    if len(known) < 2:
        return (known[0], known[0]) if known else (0.0, 0.0)
    first, _, third = quantiles(known, n=4, method="inclusive")
    reach = 3 * (third - first)
    usual = [figure for figure in known if first - reach <= figure <= third + reach]
    return usual[0], usual[-1]


def _finite(curve: Curve) -> list[float]:
    return [figure for figure in curve if figure is not None and math.isfinite(figure)]
