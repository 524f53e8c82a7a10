"""The metric against the cost of a trial: training time, and number of parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cnnsweep.analysis.baseline import is_praised
from cnnsweep.analysis.pareto import parameters, pareto, training_time
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import Trial, all_words
from cnnsweep.formatting.numbers import count_text, duration_text, metric_text

LOG_SPAN = 30  # ratio from which costs are drawn by their logarithm


@dataclass(frozen=True, slots=True)
class CostPoint:
    """One trial: `cost` in the unit of the chart, the mean of the metric, and both as text."""

    place: int | None
    words: str
    cost: float
    mean: float
    cost_text: str


@dataclass(frozen=True, slots=True)
class CostSeries:
    """Trials of one kind: `efficient`, `other trials`, `stopped early` or `a run failed`."""

    label: str
    points: tuple[CostPoint, ...]


@dataclass(frozen=True, slots=True)
class CostChart:
    """The metric against one cost.

    Attributes:
        cost: `training time` or `parameters`.
        axis: the label of the axis with its unit.
        efficient: no other trial is both better and cheaper; the cheapest first, so the metric improves.
        others: further series, without empty ones.
        is_log: the cost is drawn by its logarithm.
        is_starred: the last efficient trial is the best of the sweep, and better than chance.
        superlative: word for the cheapest, `fastest` or `smallest`.
        legend: the meaning of the cost.
    """

    metric: str
    cost: str
    axis: str
    efficient: CostSeries
    others: tuple[CostSeries, ...]
    is_log: bool
    is_starred: bool
    superlative: str
    legend: str

    @property
    def diagnostic(self) -> str:
        points = self.efficient.points
        whole = len(points) + sum(len(one.points) for one in self.others if one.label == OTHERS)
        apart = "".join(
            f" {count_text(len(one.points), 'trial')} ({one.label}) "
            f"{'is' if len(one.points) == 1 else 'are'} not compared."
            for one in self.others
            if one.label != OTHERS
        )
        if not points:
            return f"{count_text(whole, 'trial')} by their cost.{apart}"
        first, last = points[0], points[-1]
        return (
            f"{len(points):,} of {count_text(whole, 'trial')} {'is' if len(points) == 1 else 'are'} efficient: no "
            f"other is both better and cheaper. The cheapest takes {first.cost_text} and reaches {self.metric} "
            f"{metric_text(self.metric, first.mean)}, the best {last.cost_text} for "
            f"{metric_text(self.metric, last.mean)}.{apart}"
        )


EFFICIENT, OTHERS, STOPPED, FAILED = "efficient", "other trials", "stopped early", "a run failed"


def cost_charts(results: Results, trials: Sequence[Trial]) -> list[CostChart]:
    """Return a chart of training time and one of parameters, each if two trials differ in it."""
    times = [time for trial in trials if (time := training_time(trial)) is not None]
    unit, seconds = time_unit(max(times, default=0.0))
    legends = (
        "time: training time of a run; its share if runs train together",
        "parameters: number of weights of the model",
    )
    charts = (
        _chart(
            *(results, trials, training_time, f"training time of a run ({unit})", seconds, duration_text),
            *("training time", "fastest", legends[0]),
        ),
        _chart(
            *(results, trials, parameters, "parameters of the model", 1.0, lambda count: f"{count:,.0f}"),
            *("parameters", "smallest", legends[1]),
        ),
    )
    return [chart for chart in charts if chart is not None]


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the most readable unit of a time, and its seconds."""
    return next(((name, size) for name, size in (("h", 3600.0), ("min", 60.0)) if seconds >= 2 * size), ("s", 1.0))


def _chart(
    results: Results,
    trials: Sequence[Trial],
    cost: Callable[[Trial], float | None],
    axis: str,
    unit: float,
    write: Callable[[float], str],
    name: str,
    superlative: str,
    legend: str,
) -> CostChart | None:
    def kind(trial: Trial) -> str:
        # The time of a trial that was stopped early is no measure of speed.
        if cost is training_time and trial.was_cut_short:
            return STOPPED
        return FAILED if trial.failed else EFFICIENT if trial.trial_id in efficient else OTHERS

    sound = [trial for trial in trials if not (cost is training_time and trial.was_cut_short)]
    efficient = [trial.trial_id for trial, _ in pareto(results.sweep.objective, sound, cost)]
    series: dict[str, list[CostPoint]] = {label: [] for label in (EFFICIENT, OTHERS, STOPPED, FAILED)}
    for trial, words in zip(trials, all_words(results, trials), strict=True):
        value = cost(trial)
        if value is not None and trial.estimate is not None:
            point = CostPoint(trial.place, words, value / unit, trial.estimate.mean, write(value))
            series[kind(trial)].append(point)
    costs = [point.cost for points in series.values() for point in points]
    if len(costs) < 2 or min(costs) == max(costs):
        return None
    first, *rest = (CostSeries(label, tuple(points)) for label, points in series.items())
    points = tuple(sorted(first.points, key=lambda point: point.cost))
    return CostChart(
        results.sweep.objective.metric,
        name,
        axis,
        CostSeries(first.label, points),
        tuple(one for one in rest if one.points),
        min(costs) > 0 and max(costs) / min(costs) >= LOG_SPAN,
        bool(points) and points[-1].place == 1 and is_praised(results, trials),
        superlative,
        legend,
    )
