"""How much each hyperparameter matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnsweep.analysis.configurations import Setting
from cnnsweep.analysis.importance import importance
from cnnsweep.analysis.results import Results
from cnnsweep.plots.style import BEST, Drawing, Format, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_AXES = 10
_ROWS_WITHIN = 6


def importance_figure(results: Results, settings: Sequence[Setting]) -> Drawing | None:
    """Return a bar a hyperparameter, or None where importance cannot be told."""
    shares = list((importance(results, settings) or {}).items())[:MOST_AXES]
    if not shares:
        return None

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        names = [form.cut(name, 0.5) for name, _ in shares]
        places = range(len(shares))
        bars = axes.barh(places, [share * 100 for _, share in shares], height=0.62, color=BEST)
        axes.bar_label(bars, [f" {share * 100:.0f}" for _, share in shares], fontsize=form.type * 0.9)
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set_xlim(0, max(share for _, share in shares) * 112)  # room for the label of the longest
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("importance (%)")
        grid(axes, "x")

    caption = "Importance of each hyperparameter: what tells the best tenth of the settings from the rest (PED-ANOVA)."
    return Drawing("importance", caption, draw, rows=max(len(shares) - _ROWS_WITHIN, 0))
