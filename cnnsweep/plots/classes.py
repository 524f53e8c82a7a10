"""What the best run recognises: accuracy by class and confusion matrix, where it was evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.analysis.run_evaluation import RunEvaluation
from cnnsweep.analysis.statistics import wilson
from cnnsweep.formatting.numbers import count_text
from cnnsweep.plots.style import BEST, INK, OTHERS, SCALE, Drawing, Format, grid, readable_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WRITTEN = 12  # classes whose shares are written into the matrix
MOST_NAMED = 40  # classes whose names are written along it
MOST_LISTED = 25  # classes, those recognised worst
_ROWS_WITHIN = 8
_GAMMA = 0.5  # of the matrix' scale: the few images that are taken for others are what it is drawn for
_IMAGES = {"test": "test images", "val": "validation images", "train": "training images"}


def class_accuracy(evaluation: RunEvaluation) -> Drawing | None:
    """Return the share of each class that was recognised, with its interval; None without any image."""
    known = [
        (name, row[k], sum(row))
        for k, (name, row) in enumerate(zip(evaluation.classes, evaluation.confusion, strict=True))
        if sum(row)
    ]
    shown = known if len(known) <= MOST_LISTED else sorted(known, key=lambda one: one[1] / one[2])[:MOST_LISTED]
    if not shown:
        return None

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        axes.axvline(evaluation.accuracy * 100, color=OTHERS, linestyle="--", linewidth=form.line * 0.7)
        for place, (_, correct, images) in enumerate(shown):
            low, high = wilson(correct, images)
            axes.plot((low * 100, high * 100), (place, place), color=INK, linewidth=form.line * 0.8)
            axes.plot(100 * correct / images, place, "o", color=BEST)
        axes.set_yticks(range(len(shown)), [form.cut(name, 0.5) for name, *_ in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.margins(x=0.04)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"recognised {_IMAGES[evaluation.split]} (%)")
        grid(axes, "x")

    worst = "" if len(shown) == len(known) else f", the {len(shown)} of {len(known):,} classes recognised worst"
    caption = (
        f"Share of the {_IMAGES[evaluation.split]} of each class that the best run recognises, with 95 % intervals"
        f"{worst}; dashed: all classes together, {evaluation.accuracy * 100:.2f} %."
    )
    return Drawing("class_accuracy", caption, draw, rows=max(len(shown) - _ROWS_WITHIN, 0))


def confusion_matrix(evaluation: RunEvaluation) -> Drawing | None:
    """Return for which class the images of each class are taken; None without any image."""
    if not evaluation.images:
        return None
    count = len(evaluation.classes)
    shares = [[100 * n / sum(row) if sum(row) else 0.0 for n in row] for row in evaluation.confusion]

    def draw(figure: Figure, form: Format) -> None:
        from matplotlib.colors import PowerNorm

        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap=SCALE, norm=PowerNorm(_GAMMA, 0, 100))
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xlabel("taken for")
        axes.set_ylabel(f"true class of {_IMAGES[evaluation.split]}")
        size = form.type * min(0.9, 11 / count)
        if count <= MOST_NAMED:
            names = [form.cut(name, 0.3) for name in evaluation.classes]
            axes.set_xticks(range(count), names, rotation=90, fontsize=size)
            axes.set_yticks(range(count), names, fontsize=size)
        if count <= MOST_WRITTEN:
            for y, row in enumerate(shares):
                for x, share in enumerate(row):
                    if share >= 0.5:  # a field of zeros hides what matters
                        colour = readable_on(SCALE, (share / 100) ** _GAMMA)
                        axes.text(x, y, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=size * 0.8)
        beside = axes.inset_axes((1.04, 0, 0.05, 1))  # as high as the matrix, whose fields are squares
        bar = figure.colorbar(image, cax=beside, label="images of the class (%)", ticks=[0, 10, 25, 50, 100])
        bar.outline.set_visible(False)

    images = count_text(evaluation.images, _IMAGES[evaluation.split][:-1])
    caption = (
        f"Confusion matrix of the best run on {images}, in percent of the images of each class; "
        f"accuracy {evaluation.accuracy * 100:.2f} %."
    )
    return Drawing("confusion_matrix", caption, draw, rows=5)
