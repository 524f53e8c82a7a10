"""How much each hyperparameter, and each pair of them, matters."""

from collections.abc import Sequence

from cnnsweep.analysis.axes import setting_axes
from cnnsweep.analysis.configurations import Setting
from cnnsweep.analysis.importance import NEEDS_OPTUNA, SETTINGS_PER_AXIS, importance, interactions
from cnnsweep.analysis.results import Results
from cnnsweep.formatting.numbers import count_text
from cnnsweep.html.chart import Chart, DataTable, Figure, View, single
from cnnsweep.html.chart_style import BEST, layout
from cnnsweep.html.markup import chart_text, chart_texts
from cnnsweep.report.importance_table import AXES_SHOWN, FEW_PER_CELL, LEAST_SHARE

PAIRS_SHOWN = 10
PIXELS_A_BAR = 28
MARGIN = {"l": 56, "r": 16, "t": 24, "b": 8}


def importance_chart(results: Results, settings: Sequence[Setting]) -> tuple[Chart | None, str | None]:
    """Return the chart, or None where nothing can be said; and what is missing to say it, in words."""
    shares = importance(results, settings)
    if shares is None:
        return None, f"{NEEDS_OPTUNA[0].upper()}{NEEDS_OPTUNA[1:]}."
    if not shares:
        return None, None
    rows = list(shares.items())[:AXES_SHOWN]
    known = sum(setting.estimate is not None for setting in settings)
    needed = SETTINGS_PER_AXIS * len(setting_axes(results))
    notes = []
    if known < needed:
        few = f"{count_text(known, 'setting')} are few for {count_text(len(shares), 'hyperparameter')}"
        notes.append(f"{few}: a rough guess below {needed:,}.")
    sentence = (
        f"What tells the best settings from the rest (PED-ANOVA; the shares sum to 100 %): {rows[0][0]} with "
        f"{_percent(rows[0][1])}."
    )
    view = View(sentence, _bars(rows), _table("hyperparameter", rows))
    return single("importance", "Importance", view, height=PIXELS_A_BAR * len(rows) + 32, notes=notes), None


def interaction_chart(results: Results, settings: Sequence[Setting]) -> Chart | None:
    """Return the pairs of hyperparameters that do something only together, or None where there are none."""
    pairs = [pair for pair in interactions(results, settings) if pair.share >= LEAST_SHARE][:PAIRS_SHOWN]
    if not pairs:
        return None
    rows = [(f"{pair.first} × {pair.second}", pair.share) for pair in pairs]
    notes = []
    if any(pair.per_cell < FEW_PER_CELL for pair in pairs):
        fewest = min(pair.per_cell for pair in pairs)
        notes.append(f"{fewest:.1f} settings a combination are few: some of it is noise.")
    if any(pair.cells < pair.possible for pair in pairs):
        notes.append("Not every combination was trained: shares are of those that were.")
    sentence = (
        f"Share of the differences between combinations that two hyperparameters make only together: most of all "
        f"{rows[0][0]}, {_percent(rows[0][1])}. The heat map shows how."
    )
    view = View(sentence, _bars(rows), _table("pair", rows))
    return single("interaction", "Interaction", view, height=PIXELS_A_BAR * len(rows) + 32, notes=notes)


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _bars(rows: Sequence[tuple[str, float]]) -> Figure:
    labels = chart_texts([label for label, _ in rows], 26)
    texts = [_percent(share) for _, share in rows]
    places = [-n for n in range(len(rows))]
    bars = {
        **{"type": "bar", "orientation": "h", "x": [share for _, share in rows], "y": places, "text": texts},
        **{"textposition": "outside", "cliponaxis": False, "marker": {"color": BEST}, "hoverinfo": "text"},
        "hovertext": [f"{chart_text(label)}: {text}" for (label, _), text in zip(rows, texts, strict=True)],
    }
    y = {
        "tickvals": places,
        "ticktext": labels,
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }
    x = {"visible": False, "range": [0, max(share for _, share in rows) * 1.2], "fixedrange": True}
    return {"data": [bars], "layout": layout(x, y, bargap=0.35, showlegend=False, margin=MARGIN)}


def _table(heading: str, rows: Sequence[tuple[str, float]]) -> DataTable:
    return DataTable([heading, "share"], [[label, _percent(share)] for label, share in rows])
