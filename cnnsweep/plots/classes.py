"""Accuracy by class and confusion matrix of the best run, as paper figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.analysis.chart_classes import ClassChart, ConfusionChart
from cnnsweep.plots.style import BEST, INK, OTHERS, SCALE, Drawing, Format, grid, readable_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 25  # classes in the chart of accuracies
MOST_WRITTEN = 12  # classes whose shares are written into the matrix
MOST_NAMED = 40  # classes whose names are written along it
_ROWS_WITHIN = 8
_GAMMA = 0.5  # exponent of the matrix's scale, which brings out the few misclassified images


def class_accuracy(chart: ClassChart) -> Drawing:
    """Return the share of each class with its interval, the hardest class at the top."""
    shown = [(row.name, share) for row in chart.rows if (share := row.shares[0]) is not None]
    together = chart.together[0]

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        axes.axvline(together.share * 100, color=OTHERS, linestyle="--", linewidth=form.line * 0.7)
        for place, (_, share) in enumerate(shown):
            low, high = share.ends
            axes.plot((low * 100, high * 100), (place, place), color=INK, linewidth=form.line * 0.8)
            axes.plot(100 * share.share, place, "o", color=BEST)
        axes.set_yticks(range(len(shown)), [form.cut(name, 0.5) for name, _ in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.margins(x=0.04)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"accuracy on {chart.images} (%)")
        grid(axes, "x")

    caption = " ".join([
        f"Accuracy by class of the best run on {chart.images}, the hardest first, with 95 % intervals; dashed: all "
        f"classes together, {together.text}.",
        *chart.notes,
    ])  # fmt: skip
    return Drawing("class_accuracy", caption, draw, rows=max(len(shown) - _ROWS_WITHIN, 0))


def confusion_matrix(chart: ConfusionChart) -> Drawing:
    """Return the matrix in percent of the images of each true class."""
    count = len(chart.classes)
    shares = [[100 * share for share in row] for row in chart.shares]

    def draw(figure: Figure, form: Format) -> None:
        from matplotlib.colors import PowerNorm

        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap=SCALE, norm=PowerNorm(_GAMMA, 0, 100))
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xlabel("predicted class")
        axes.set_ylabel(f"true class of {chart.images}")
        size = form.type * min(0.9, 11 / count)
        if count <= MOST_NAMED:
            names = [form.cut(name, 0.3) for name in chart.classes]
            axes.set_xticks(range(count), names, rotation=90, fontsize=size)
            axes.set_yticks(range(count), names, fontsize=size)
        if count <= MOST_WRITTEN:
            for y, row in enumerate(shares):
                for x, share in enumerate(row):
                    if share >= 0.5:  # a field of zeros would hide the rest
                        colour = readable_on(SCALE, (share / 100) ** _GAMMA)
                        axes.text(x, y, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=size * 0.8)
        beside = axes.inset_axes((1.04, 0, 0.05, 1))  # as high as the matrix, which has square fields
        bar = figure.colorbar(image, cax=beside, label="images of the class (%)", ticks=[0, 10, 25, 50, 100])
        bar.outline.set_visible(False)

    caption = f"Confusion matrix of the best run, in percent of the images of each true class. {chart.diagnostic}"
    return Drawing("confusion_matrix", caption, draw, rows=5)
