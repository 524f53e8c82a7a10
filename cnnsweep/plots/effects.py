"""What each value of each hyperparameter loses against the best one, with its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnsweep.analysis.effects import Effect, best_values, effects
from cnnsweep.analysis.results import Results
from cnnsweep.metrics.objective import Objective
from cnnsweep.plots.style import BEST, INK, OTHERS, Drawing, Format, grid, in_unit, metric_label
from cnnsweep.report.effects_table import VALUES_SHOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_AXES = 6  # hyperparameters, those that matter most
_ROWS_WITHIN = 9  # that the format's own height holds


@dataclass(frozen=True, slots=True)
class _Row:
    """One value; figures as they are drawn."""

    value: str
    difference: float
    ends: tuple[float, float] | None
    is_best: bool
    is_paired: bool


def effects_figure(results: Results) -> Drawing | None:
    """Return the differences to the best value of each hyperparameter, or None where none has two values."""
    objective = results.sweep.objective
    found = [effect for effect in effects(results) if effect.spread is not None]
    groups = [(effect.name, _rows(objective, effect)) for effect in found[:MOST_AXES]]
    if not groups:
        return None
    kind, unit = metric_label(objective.metric).removesuffix(")").split(" (")
    unit = "percentage points" if unit == "%" else unit

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        axes.axvline(0, color=OTHERS, linewidth=form.line * 0.6)
        labels: list[str] = []
        headings = []
        for name, rows in groups:
            headings.append(len(labels))
            labels.append(form.cut(name, 0.5))
            for row in rows:
                _draw_row(axes, row, len(labels), form)
                labels.append(form.cut(row.value, 0.5))
        axes.set_yticks(range(len(labels)), labels)
        for heading in headings:
            axes.get_yticklabels()[heading].set_fontweight("bold")
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        # Below the whole figure: the axes are narrower than these words where values are long.
        figure.supxlabel(f"{kind}: difference\nto the best value ({unit})", fontsize=form.type)
        grid(axes, "x")

    is_paired = all(row.is_paired for _, rows in groups for row in rows)
    hollow = "" if is_paired else "; hollow: not in pairs, for lack of such runs, so other settings differ too"
    more = f"; {len(found) - MOST_AXES} more hyperparameters matter less" if len(found) > MOST_AXES else ""
    caption = (
        f"Mean {kind} of the runs with each value, less that of the best value of the same hyperparameter, with 95 % "
        f"intervals, between runs that are equal in all else{hollow}{more}."
    )
    return Drawing("effects", caption, draw, rows=max(sum(len(rows) + 1 for _, rows in groups) - _ROWS_WITHIN, 0))


def _draw_row(axes: Axes, row: _Row, place: int, form: Format) -> None:
    colour = BEST if row.is_best else INK
    if row.ends is not None:
        axes.plot(row.ends, (place, place), color=colour, linewidth=form.line, solid_capstyle="butt")
    fill = colour if row.is_paired else "white"
    axes.plot(row.difference, place, marker="D" if row.is_best else "o", color=colour, markerfacecolor=fill)


def _rows(objective: Objective, effect: Effect) -> list[_Row]:
    """Return the values of a hyperparameter in order, the best few where there are many."""
    order = objective.rank([value.mean if value.applies else None for value in effect.values])
    best = effect.values[order[0]]
    leading = best_values(objective, effect)
    rows = []
    for value in (effect.values[position] for position in sorted(order[:VALUES_SHOWN])):
        if value.mean is None or best.mean is None or not value.applies:
            continue
        found, ends = value.difference, None
        if found is not None and found.low is not None and found.high is not None:
            ends = (in_unit(objective.metric, found.low), in_unit(objective.metric, found.high))
        difference = in_unit(objective.metric, value.mean - best.mean if found is None else found.mean)
        is_paired = value is best or (found is not None and found.pairs is not None)
        rows.append(_Row(value.text, difference, ends, any(value is one for one in leading), is_paired))
    return rows
