"""Accuracy by class and the confusion matrix of runs that were evaluated."""

from collections.abc import Sequence

from cnnsweep.analysis.run_evaluation import RunEvaluation
from cnnsweep.formatting.numbers import UNKNOWN, count_text
from cnnsweep.html.chart import Chart, Choice, DataTable, View, single
from cnnsweep.html.chart_style import SERIES, SYMBOLS, axis, layout
from cnnsweep.html.markup import chart_text, chart_texts

MOST_CLASSES = 60  # in one chart; of more the hardest
MOST_IN_MATRIX = 100
MOST_WRITTEN = 20  # classes; in a larger matrix there is no room for counts
MOST_PAIRS = 15
IMAGES = {"test": "test images", "val": "validation images", "train": "training images"}

Evaluated = Sequence[tuple[str, RunEvaluation]]  # what to call a run, and how it did


def class_accuracy_chart(evaluated: Evaluated) -> Chart | None:
    """Return the accuracy by class of each run; of different splits or classes only those like the first."""
    alike = comparable(evaluated)
    if not alike:
        return None
    first = alike[0][1]
    shares = [one.class_accuracies() for _, one in alike]
    known = [n for n in range(len(first.classes)) if any(of_run[n] is not None for of_run in shares)]
    # Runs of one split have the same images, so a class that one of them knows, all of them know.
    hardest = sorted(known, key=lambda n: min(of_run[n] or 0.0 for of_run in shares))
    shown = hardest[:MOST_CLASSES]
    places = [-n for n in range(len(shown))]
    traces = [
        {
            **{"type": "scatter", "mode": "markers", "x": [of_run[n] for n in shown], "y": places},
            **{"name": chart_text(name, 44), "marker": {"color": SERIES[k], "symbol": SYMBOLS[k], "size": 10}},
            "hoverinfo": "text",
            "text": [f"{chart_text(first.classes[n])}: {_percent(of_run[n])}<br>{chart_text(name, 80)}" for n in shown],
        }
        for k, ((name, _), of_run) in enumerate(zip(alike, shares, strict=True))
    ]
    y = {"tickvals": places, "ticktext": chart_texts([first.classes[n] for n in shown], 20), "automargin": True,
         "range": [0.6 - len(shown), 0.6], "fixedrange": True, "zeroline": False}  # fmt: skip
    figure = {
        "data": traces,
        "layout": layout(axis("accuracy", tickformat=".6~%"), y, showlegend=len(alike) > 1),
    }
    worst, best = shown[0], hardest[-1]
    images = count_text(first.images, IMAGES[first.split][:-1])
    sentence = (
        f"Accuracy by class on {images}, the hardest first: {first.classes[worst]} with "
        f"{_percent(shares[0][worst])}; the easiest is {first.classes[best]} with {_percent(shares[0][best])}."
    )
    rows = [[first.classes[n], *(_percent(of_run[n]) for of_run in shares)] for n in shown]
    table = DataTable(["class", *(name for name, _ in alike)], rows)
    height = max(20 * len(shown) + 130, 260)
    return single("classes", "Accuracy by class", View(sentence, figure, table), height=height)


def confusion_chart(evaluated: Evaluated) -> Chart | None:
    """Return the confusion matrix of each run, None where none has a matrix that can be drawn."""
    views: dict[str, View] = {}
    options = []
    for name, one in evaluated:
        if len(one.classes) <= MOST_IN_MATRIX and one.images:
            views[str(len(views))] = _confusion(name, one)
            options.append(f"{name}, {IMAGES[one.split]}")
    if not views:
        return None
    height = 560
    if len(views) == 1:
        return Chart("confusion", "Confusion matrix", {"": views["0"]}, height=height)
    return Chart("confusion", "Confusion matrix", views, [Choice("Run", options)], "0", height=height)


def comparable(evaluated: Evaluated) -> Evaluated:
    """Return those that have split and classes of the first, and images."""
    sound = [(name, one) for name, one in evaluated if one.images]
    return [part for part in sound if (part[1].split, part[1].classes) == (sound[0][1].split, sound[0][1].classes)]


def _confusion(name: str, one: RunEvaluation) -> View:
    size = len(one.classes)
    shares = [[count / (sum(row) or 1) for count in row] for row in one.confusion]
    labels = chart_texts(one.classes, 14)
    hovers = [
        [
            f"{chart_text(one.classes[true])} taken for {chart_text(one.classes[predicted])}<br>"
            f"{count:,} of {count_text(sum(row), 'image')}"
            for predicted, count in enumerate(row)
        ]
        for true, row in enumerate(one.confusion)
    ]
    places = list(range(size))
    ticks = {"tickvals": places, "ticktext": labels, "showgrid": False, "zeroline": False, "fixedrange": True}
    heat = {
        **{
            "type": "heatmap",
            "z": shares,
            "zmin": 0,
            "zmax": 1,
            "text": one.confusion,
            "hovertext": hovers,
            "hoverinfo": "text",
        },
        **{"colorscale": [[0, "colour:ground"], [0.03, "scale:0.25"], [0.5, "scale:0.6"], [1, "scale:1"]]},
        "colorbar": {"thickness": 12, "outlinewidth": 0, "tickformat": ".0%"},
        **({"texttemplate": "%{text}"} if size <= MOST_WRITTEN else {}),
    }
    figure = {
        "data": [heat],
        "layout": layout(
            axis("predicted class", tickangle=-45, **ticks), axis("true class", autorange="reversed", **ticks)
        ),
    }
    pairs = one.most_confused(MOST_PAIRS)
    common = (
        f" Most often {pairs[0][0]} is taken for {pairs[0][1]}: {count_text(pairs[0][2], 'image')}." if pairs else ""
    )
    right = sum(row[k] for k, row in enumerate(one.confusion))
    images = count_text(one.images, IMAGES[one.split][:-1])
    sentence = (
        f"Which classes {name} takes for which: {right:,} of {images} are right "
        f"({right / one.images:.2%}).{common}".replace("%)", " %)")
    )
    rows = [[true, predicted, f"{count:,}"] for true, predicted, count in pairs]
    return View(sentence, figure, DataTable(["true class", "taken for", "images"], rows))


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share * 100:.1f} %"
