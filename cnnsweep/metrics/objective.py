"""Selection of epochs and runs, the same for checkpoints, tables, display, pruning and report."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from cnnsweep.metrics.names import MetricInfo, is_accuracy, loss_of, without_prefix
from cnnsweep.types import EpochRecord

BEST, LAST = "best", "last"  # scopes; the third is `mean of last K`
_MEAN = "mean of last "


@dataclass(frozen=True, slots=True)
class Objective:
    """The deciding metric, its direction (`max` or `min`), and the scope: the epochs of a run that count.

    `scope` is `best` (the best epoch), `last` (the last one), or `mean of last K` (the mean of the last K).
    """

    metric: str
    mode: str
    scope: str = BEST

    def is_better(self, candidate: float | None, incumbent: float | None) -> bool:
        """True if `candidate` beats `incumbent`; a missing or infinite value never wins, a tie keeps the first."""
        if candidate is None or not math.isfinite(candidate):
            return False
        if incumbent is None or not math.isfinite(incumbent):
            return True
        return candidate > incumbent if self.mode == "max" else candidate < incumbent

    def value(self, record: EpochRecord) -> float | None:
        """Return the record's value, or None if it was not measured or the run had diverged."""
        if record.divergence is not None:
            return None
        return record[self.metric]

    def selected(self, records: Sequence[EpochRecord]) -> EpochRecord | None:
        """Return the selected record of a run, or None if no epoch has a finite value.

        The run's best weights are from this record's epoch. For `best` it is the best epoch, the earliest of equal
        ones; for `last` the last finite one; for `mean of last K` also that one, with its metrics replaced by their
        means.
        """
        if self.scope == BEST:
            return self._best(records)
        last = [record for record in records if _is_finite(self.value(record))][-self.window :]
        if len(last) < 2:
            return last[0] if last else None
        means = {name: _mean([record[name] for record in last]) for name in last[-1].metrics}
        return dataclasses.replace(last[-1], metrics=means)

    def _best(self, records: Sequence[EpochRecord]) -> EpochRecord | None:
        # Without a call per record: this runs after every epoch, over all epochs so far.
        best, most, is_max = None, math.nan, self.mode == "max"
        for record in records:
            value = record.metrics.get(self.metric)
            if value is None or record.divergence is not None or not math.isfinite(value):
                continue
            if best is None or (value > most if is_max else value < most):
                best, most = record, value
        return best

    @property
    def window(self) -> int:
        """Number of last epochs that count; 1 for `best` and `last`."""
        return int(self.scope.removeprefix(_MEAN)) if self.scope.startswith(_MEAN) else 1

    @property
    def tie_breaker(self) -> str | None:
        """The metric that decides between equal accuracies, lower is better: their loss; else None."""
        return loss_of(self.metric)

    def rank(self, values: Sequence[float | None], losses: Sequence[float | None] | None = None) -> list[int]:
        """Return positions from best to worst; missing values come last, equal ones by loss, then in their order.

        Args:
            losses: the values of `tie_breaker`, if known.
        """
        sign = -1.0 if self.mode == "max" else 1.0
        by_loss = [None] * len(values) if losses is None or self.tie_breaker is None else losses

        def key(position: int) -> tuple[float, float]:
            value, loss = values[position], by_loss[position]
            if value is None or not math.isfinite(value):
                return math.inf, 0.0
            return sign * value, math.inf if loss is None or not math.isfinite(loss) else loss

        return sorted(range(len(values)), key=key)

    def rank_records(self, records: Sequence[EpochRecord | None]) -> list[int]:
        """Return the positions of trials, from best to worst, like `rank`."""
        losses = [_value(record, self.tie_breaker) for record in records]
        return self.rank([None if record is None else self.value(record) for record in records], losses)


def default_mode(metric: str, known: Iterable[MetricInfo] = ()) -> str:
    """Return `max` or `min`: as a further metric has it, else `max` for accuracies and `min` for losses."""
    name = without_prefix(metric)
    greater = next((one.greater_is_better for one in known if one.name == name), is_accuracy(name))
    return "max" if greater else "min"


def mean_of_last(epochs: int) -> str:
    """Return the scope that takes the mean of the last `epochs` epochs."""
    return LAST if epochs == 1 else f"{_MEAN}{epochs}"


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _value(record: EpochRecord | None, name: str | None) -> float | None:
    return None if record is None or name is None else record[name]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None
