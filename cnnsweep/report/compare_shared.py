"""The trials that several sweeps share, with their difference, as a table and in words."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cnnsweep.analysis.compare import Comparison, RankedTrial, SharedTrial, mean_difference
from cnnsweep.analysis.intervals import within
from cnnsweep.analysis.statistics import Difference
from cnnsweep.formatting.columns import Column, build_table, fit_columns, setting_column
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, align_points, count_text, metric_text, trials_text


def shared_section(comparison: Comparison, rows: int | None, width: int) -> RenderableType | None:
    """Return the trials that several sweeps share, with the difference, or None if there is none."""
    if not comparison.shared:
        return Text("No two sweeps share a trial.", "dim") if comparison.trials else None
    shown = comparison.shared[:rows]
    columns = _shared_columns(comparison, shown)
    parts: list[RenderableType] = [Text("Trials that several sweeps share", "bold"), Text()]
    parts.append(build_table(columns, width))
    if len(comparison.shared) > len(shown):
        parts.append(Text(f"… and {len(comparison.shared) - len(shown):,} more: --top 0 shows all", "dim"))
    parts += hidden_words(columns, comparison.axes, width)
    if any(one.difference.low is not None for one in comparison.shared):
        legend = "difference with its 95 % interval; by chance one interval in 20 excludes 0"
        if any(one.difference.pairs is None for one in comparison.shared):
            legend += "; – not in pairs: no common seeds on the same images"
        parts.append(Text(legend, "dim"))
    return Group(*parts, *_shared_words(comparison))


def _shared_columns(comparison: Comparison, shown: Sequence[SharedTrial]) -> list[Column]:
    metric = comparison.objective.metric
    axes = [axis for axis in comparison.axes if len({repr(one.first.values.get(axis)) for one in shown}) > 1]
    words = comparison.axes or [key for key in shown[0].first.values if not key.startswith("model.")]
    styles = [""] * len(shown)
    names = [Text(trials_text(one.first.values, words)) for one in shown]

    def texts(written: Sequence[str]) -> list[Text]:
        return [Text(text) for text in align_points(written)]

    def mean(one: RankedTrial) -> str:
        return metric_text(metric, None if one.trial.estimate is None else one.trial.estimate.mean)

    found = [one.difference for one in shown]
    intervals = [_difference_ends(metric, one) for one in found]
    return [
        *(setting_column(axis, [one.first.values.get(axis) for one in shown], styles, drop=4) for axis in axes),
        *([] if axes else [Column("trial", names, drop=4, justify="left", narrowest=12)]),
        *_mean_columns(comparison, shown, mean),
        Column("difference", [Text(text, "bold") for text in align_points([signed(metric, f.mean) for f in found])], 1),
        *([Column("95 % interval", [Text(i, "dim") for i in intervals], drop=3)] if {*intervals} - {UNKNOWN} else []),
        Column("pairs", texts([UNKNOWN if f.pairs is None else str(f.pairs) for f in found]), drop=7),
    ]


def _difference_ends(metric: str, found: Difference) -> str:
    if found.low is None or found.high is None:
        return UNKNOWN
    low, high = (signed(metric, within(metric, value, -1.0)) for value in (found.low, found.high))
    return f"{low} to {high}"


def _mean_columns(comparison: Comparison, shown: Sequence[SharedTrial], mean: Any) -> list[Column]:
    """Return both means: of two sweeps under their letters, else after a column that names the sweeps of a row."""
    firsts, seconds = [mean(one.first) for one in shown], [mean(one.second) for one in shown]
    if len(comparison.sources) == 2:
        headers = [source.letter for source in comparison.sources]
        pairs = []
    else:
        headers = ["first", "second"]
        words = [Text(f"{one.second.source.letter} − {one.first.source.letter}") for one in shown]
        pairs = [Column("sweeps", words, drop=0, justify="left")]
    return [
        *pairs,
        Column(headers[0], [Text(text) for text in align_points(firsts)], drop=5),
        Column(headers[1], [Text(text) for text in align_points(seconds)], drop=5),
    ]


def signed(metric: str, value: float | None) -> str:
    """Return a difference with its sign, `+0.0120` or `−0.0031`."""
    if value is None:
        return UNKNOWN
    text = metric_text(metric, abs(value))
    return text if value == 0 else f"{'+' if value > 0 else '−'}{text}"


def _shared_words(comparison: Comparison) -> list[Text]:
    """Return a sentence for each pair of sweeps, which sums up the changes of their shared trials."""
    groups: dict[tuple[str, str], list[SharedTrial]] = {}
    for one in comparison.shared:
        groups.setdefault((one.first.source.letter, one.second.source.letter), []).append(one)
    lines = []
    for (first, second), shared in groups.items():
        signs = [comparison.objective.is_better(one.difference.mean, 0.0) for one in shared]
        better = sum(signs)
        equal = sum(one.difference.mean == 0 for one in shared)
        counts = [f"better in {better:,}", f"worse in {len(shared) - better - equal:,}"]
        counts += [f"equal in {equal:,}"] if equal else []
        words = f"{second} against {first}, {count_text(len(shared), 'trial')}: {', '.join(counts)}; "
        words += f"on average {signed(comparison.objective.metric, mean_difference(shared))}."
        identical = sum(one.are_identical for one in shared)
        if identical:
            words += f" Metrics are identical to the last bit in {identical:,}."
        lines.append(Text(words))
    return lines


def hidden_words(columns: Sequence[Column], names: Sequence[str], width: int) -> list[RenderableType]:
    """Return the hyperparameters omitted for lack of room."""
    fitted = {id(column) for column, _ in fit_columns(columns, width)}
    trials = set(map(safe_text, names))
    hidden = [column.header for column in columns if id(column) not in fitted and column.header in trials]
    return [Text(f"too narrow for {', '.join(hidden)}: widen the terminal or use --json", "dim")] if hidden else []
