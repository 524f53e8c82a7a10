"""Learning curves: a metric of each trial by epoch, as the mean and the range over its seeds and folds."""

from collections.abc import Sequence
from dataclasses import dataclass

from cnnsweep.analysis.baseline import is_praised
from cnnsweep.analysis.learning_curves import CurvePoint, learning_curve
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import Trial, all_words, trial_words
from cnnsweep.formatting.numbers import metric_text
from cnnsweep.metrics.names import ACCURACY, LOSS, is_on_validation, on_validation

MOST_CURVES = 5  # the number of different colours, dashes and markers
MOST_FAINT = 150  # limit of curves of other trials; more would be a grey block


@dataclass(frozen=True, slots=True)
class Curve:
    """The curve of one trial."""

    place: int
    words: str
    points: tuple[CurvePoint, ...]

    @property
    def label(self) -> str:
        """The legend entry: `1  lr=0.1 batch_size=20`."""
        return f"{self.place}  {self.words}"

    @property
    def has_band(self) -> bool:
        """True if the mean is over several runs."""
        return any(point.runs > 1 for point in self.points)

    def point_text(self, point: CurvePoint) -> str:
        """Return `epoch 3: 0.8, 0.7 to 0.9 over 5 runs`."""
        spread = f", {point.low:.4g} to {point.high:.4g} over {point.runs} runs" if point.runs > 1 else ""
        return f"epoch {point.epoch}: {point.mean:.4g}{spread}"


@dataclass(frozen=True, slots=True)
class LearningChart:
    """One metric by epoch.

    Attributes:
        curves: of the best trials, the best first.
        others: curves of other trials, thinned, to be drawn faintly.
        diagnostic: a sentence about the last value of the first curve.
    """

    metric: str
    curves: tuple[Curve, ...]
    others: tuple[Curve, ...]
    description: str
    diagnostic: str
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.metric} by epoch"

    @property
    def last_epoch(self) -> int:
        return max(curve.points[-1].epoch for curve in (*self.curves, *self.others))


def learning_charts(results: Results, trials: Sequence[Trial]) -> list[LearningChart]:
    """Return a chart of each metric, the objective first; none if no trial has two epochs."""
    objective = results.sweep.objective.metric
    names = (ACCURACY, LOSS, *(metric.name for metric in results.sweep.metrics))
    metrics = [on_validation(name) if is_on_validation(objective) else name for name in names]
    metrics.sort(key=lambda name: name != objective)
    return [chart for metric in metrics if (chart := _chart(results, trials, metric)) is not None]


def _chart(results: Results, trials: Sequence[Trial], metric: str) -> LearningChart | None:
    placed = [trial for trial in trials if trial.place is not None]
    best, rest = placed[:MOST_CURVES], placed[MOST_CURVES:]
    step = -(-len(rest) // MOST_FAINT) or 1
    curves, others = _curves(results, best, metric), _curves(results, rest[::step], metric)
    if all(len(curve.points) < 2 for curve in curves):
        return None
    first = "best" if is_praised(results, trials) else "first"
    count = f"the {first} {len(curves)} of {len(placed):,} trials"
    if len(curves) == len(placed):
        count = f"all {len(curves)} trials" if len(curves) > 1 else f"the {first} trial"
    band = "; bands reach from the lowest to the highest run of a trial" if any(c.has_band for c in curves) else ""
    last = curves[0].points[-1]
    words = next(trial_words(results, one, ", ") for one in best if one.place == curves[0].place)
    return LearningChart(
        metric,
        curves,
        others,
        description=f"by epoch, {count}{band}",
        diagnostic=f"The {first}, {words}, ends at {metric_text(metric, last.mean)} after epoch {last.epoch}.",
        notes=(f"Of {len(rest):,} other trials every {step}th is drawn.",) if step > 1 else (),
    )


def _curves(results: Results, trials: Sequence[Trial], metric: str) -> tuple[Curve, ...]:
    curves = []
    for trial, words in zip(trials, all_words(results, trials), strict=True):
        points = learning_curve(results, trial, metric)
        if points and trial.place is not None:
            curves.append(Curve(trial.place, words, tuple(points)))
    return tuple(curves)
