"""The mean of the metric for each value of each hyperparameter."""

from collections.abc import Sequence
from typing import Any

from cnnsweep.analysis.configurations import Setting
from cnnsweep.analysis.effects import Effect, ValueEffect, best_values, effects
from cnnsweep.analysis.results import Results
from cnnsweep.formatting.numbers import UNKNOWN, count_text, figure_text
from cnnsweep.html.chart import Chart, DataTable, View, single
from cnnsweep.html.chart_style import BEST, PLAIN, axis, layout, tick_format
from cnnsweep.html.markup import chart_text, chart_texts
from cnnsweep.metrics.objective import Objective
from cnnsweep.report.effects_table import VALUES_SHOWN, difference_text, noise_words

MOST_AXES = 20
LONGEST_LABEL = 26
PIXELS_A_ROW = 24


def effects_chart(results: Results, settings: Sequence[Setting]) -> Chart | None:
    """Return the chart, or None where no hyperparameter has two values with a mean."""
    objective = results.sweep.objective
    found = [effect for effect in effects(results) if effect.spread is not None]
    if not found:
        return None
    traces, separators, row = [], [], 0
    labels: list[tuple[int, str]] = []
    rows: list[list[str]] = []
    for effect in found[:MOST_AXES]:
        shown, best = _shown(effect, objective), best_values(objective, effect)
        places = [-(row + n) for n in range(len(shown))]
        traces.append(_trace(objective, effect, shown, best, places))
        labels += zip(places, _labels(effect.name, shown), strict=True)
        rows += [_row(objective, effect.name, value, _is_among(value, best)) for value in shown]
        row += len(shown) + 1
        separators.append(-(row - 1))
    first = found[0]
    best_value = " and ".join(value.text for value in best_values(objective, first))
    apart = figure_text(objective.metric, first.spread)
    largest = (
        f"{first.name} makes the largest difference: its means lie {apart} apart, best with {best_value}."
        if first.spread
        else "No hyperparameter makes a difference: all means are exactly equal."
    )
    sentence = (
        f"Mean {objective.metric} of the runs with each value. {largest} Bars are 95 % intervals of the difference to "
        "the best value, between runs that are equal in all else."
    )
    noise = noise_words(objective, settings)
    y = {"tickvals": [place for place, _ in labels], "ticktext": [label for _, label in labels], "zeroline": False,
         "showgrid": False, "automargin": True, "range": [-row + 1.4, 0.7], "fixedrange": True}  # fmt: skip
    figure = {
        "data": traces,
        "layout": layout(
            axis(f"mean {objective.metric}", tickformat=tick_format(objective.metric), nticks=6),
            y,
            showlegend=False,
            shapes=[_separator(place) for place in separators[:-1]],
        ),
    }
    table = DataTable(["value", "mean", "difference to the best", "runs"], rows)
    notes = [f"{len(found) - MOST_AXES:,} more hyperparameters make smaller differences."] * (len(found) > MOST_AXES)
    notes += [f"{noise}."] if noise else []
    height = PIXELS_A_ROW * row + 90
    return single("effects", "Effect of each hyperparameter", View(sentence, figure, table), height=height, notes=notes)


def _shown(effect: Effect, objective: Objective) -> list[ValueEffect]:
    """Return the best values in the order of the file."""
    order = objective.rank([value.mean if value.applies else None for value in effect.values])
    return [effect.values[position] for position in sorted(order[:VALUES_SHOWN])]


def _is_among(value: ValueEffect, some: Sequence[ValueEffect]) -> bool:
    return any(value is one for one in some)


def _value_text(value: ValueEffect) -> str:
    return value.text if value.applies else UNKNOWN


def _labels(name: str, values: Sequence[ValueEffect]) -> list[str]:
    return chart_texts([f"{name} {_value_text(value)}" for value in values], LONGEST_LABEL)


def _trace(
    objective: Objective,
    effect: Effect,
    shown: Sequence[ValueEffect],
    best: Sequence[ValueEffect],
    places: Sequence[int],
) -> dict[str, Any]:
    above, below = [], []
    for value in shown:
        found = value.difference
        is_known = found is not None and found.low is not None and found.high is not None
        above.append(found.high - found.mean if is_known else 0)  # type: ignore[union-attr, operator]
        below.append(found.mean - found.low if is_known else 0)  # type: ignore[union-attr, operator]
    return {
        **{"type": "scatter", "mode": "markers", "x": [value.mean for value in shown], "y": places},
        "marker": {
            "size": [13 if _is_among(value, best) else 9 for value in shown],
            "color": [BEST if _is_among(value, best) else PLAIN for value in shown],
            "opacity": 1,
            "symbol": ["star" if _is_among(value, best) else "circle" for value in shown],
        },
        "error_x": {"type": "data", "array": above, "arrayminus": below, "thickness": 1.5, "width": 4, "color": PLAIN},
        "hoverinfo": "text",
        "text": [_hover(objective, effect.name, value) for value in shown],
    }


def _hover(objective: Objective, name: str, value: ValueEffect) -> str:
    difference = difference_text(objective, value.difference)
    parts = [
        chart_text(f"{name} = {_value_text(value)}"),
        f"mean {objective.metric} {figure_text(objective.metric, value.mean)}",
        *([f"to the best {chart_text(difference)}"] if difference else []),
        _runs_words(value),
    ]
    return "<br>".join(parts)


def _runs_words(value: ValueEffect) -> str:
    return count_text(value.runs, "run") + (f", {value.failed:,} failed" if value.failed else "")


def _row(objective: Objective, name: str, value: ValueEffect, is_best: bool) -> list[str]:
    difference = "best" if is_best else difference_text(objective, value.difference) or UNKNOWN
    return [f"{name} = {_value_text(value)}", figure_text(objective.metric, value.mean), difference, _runs_words(value)]


def _separator(place: float) -> dict[str, Any]:
    line = {"color": "colour:line", "width": 1}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": place, "y1": place, "line": line}
