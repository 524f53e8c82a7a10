"""Scores by class and confusion matrix of the best run, as paper figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.analysis.chart_classes import ClassChart, ConfusionChart, percent_text
from cnnsweep.analysis.class_counts import ends_of, value_of
from cnnsweep.plots.style import BEST, COLOURS, INK, OTHERS, SCALE, Drawing, Format, grid, readable_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 25  # classes in the chart of accuracies
MOST_WRITTEN = 12  # classes whose shares are written into the matrix
MOST_COUNTED = 6  # classes whose numbers of images are written too
MOST_NAMED = 40  # classes whose names are written along it
_ROWS_WITHIN = 8
_SCORES = {"recall": (-0.15, "o", BEST), "precision": (0.15, "s", COLOURS[1])}  # by score: shift, marker and colour
_GAMMA = 0.5  # exponent of the matrix's scale, which brings out the few misclassified images


def class_accuracy(chart: ClassChart) -> Drawing:
    """Return recall and precision of each class with their intervals, the hardest class at the top."""
    shown = [(row.label, counts) for row in chart.rows if (counts := row.counts[0]) is not None]
    together = chart.together[0].recall or 0.0

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        axes.axvline(together * 100, color=OTHERS, linestyle="--", linewidth=form.line * 0.7)
        for score, (shift, marker, colour) in _SCORES.items():
            for place, (_, counts) in enumerate(shown):
                value, ends = value_of(counts, score), ends_of(counts, score)
                if value is None or ends is None:
                    continue
                height = place + shift
                axes.plot([100 * end for end in ends], (height, height), color=INK, linewidth=form.line * 0.6)
                axes.plot(100 * value, height, marker, color=colour, label=score if not place else None)
        axes.set_yticks(range(len(shown)), form.cut_all([name for name, _ in shown], 0.5))
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.margins(x=0.04)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("recall, precision (%)")
        grid(axes, "x")
        figure.legend(loc="outside lower center", ncols=2, handletextpad=0.3, columnspacing=1.2)

    everything = "all labels" if chart.noun == "label" else "all classes"
    caption = " ".join([
        f"Recall and precision by {chart.noun} of the best run on {chart.images}, the hardest first, with 95 % "
        f"intervals and the number of images; dashed: {everything} together, {percent_text(together)}.",
        *chart.notes,
    ])  # fmt: skip
    return Drawing("class_accuracy", caption, draw, rows=max(len(shown) - _ROWS_WITHIN, 0))


def confusion_matrix(chart: ConfusionChart) -> Drawing:
    """Return the matrix in percent of the images of each true class, with the counts of few classes."""
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
            axes.set_xticks(range(count), form.cut_all(chart.classes, 0.3), rotation=90, fontsize=size)
            axes.set_yticks(range(count), form.cut_all(chart.true_labels, 0.4), fontsize=size)
        if count <= MOST_WRITTEN:
            for y, row in enumerate(shares):
                for x, share in enumerate(row):
                    if share >= 0.5:  # a field of zeros would hide the rest
                        colour = readable_on(SCALE, (share / 100) ** _GAMMA)
                        images = f"\n({chart.counts[y][x]:,})" if count <= MOST_COUNTED else ""
                        axes.text(
                            x, y, f"{share:.0f}{images}", ha="center", va="center", color=colour, fontsize=size * 0.8
                        )
        beside = axes.inset_axes((1.04, 0, 0.05, 1))  # as high as the matrix, which has square fields
        bar = figure.colorbar(image, cax=beside, label="images of the class (%)", ticks=[0, 10, 25, 50, 100])
        bar.outline.set_visible(False)

    caption = f"Confusion matrix of the best run, in percent of the images of each true class. {chart.diagnostic}"
    return Drawing("confusion_matrix", caption, draw, rows=5)
