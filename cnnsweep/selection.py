"""Which epoch stands for a run and which run is best: one rule, for checkpoints, tables, display, stopping, report."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from cnnsweep.records import EpochRecord

METRICS = ("val_accuracy", "val_loss", "accuracy", "loss")


BEST, LAST = "best", "last"  # scopes; the third is `mean of last K`
_MEAN = "mean of last "


@dataclass(frozen=True, slots=True)
class Objective:
    """The figure that decides, whether more (`max`) or less (`min`) of it is better, and which epochs of a run count.

    `scope` is `best` (the best epoch), `last` (the last one), or `mean of last K` (the mean of the last K).
    """

    metric: str
    mode: str
    scope: str = BEST

    def is_better(self, candidate: float | None, incumbent: float | None) -> bool:
        """True if `candidate` beats `incumbent`; what is missing or not finite never wins, a tie keeps the first."""
        if candidate is None or not math.isfinite(candidate):
            return False
        if incumbent is None or not math.isfinite(incumbent):
            return True
        return candidate > incumbent if self.mode == "max" else candidate < incumbent

    def value(self, record: EpochRecord) -> float | None:
        """Return the record's figure, or None where it was not measured or the run had diverged."""
        if record.divergence is not None:
            return None
        figure: float | None = getattr(record, self.metric)
        return figure

    def standing(self, records: Sequence[EpochRecord]) -> EpochRecord | None:
        """Return the record that stands for a run, or None if no epoch has a finite figure.

        The run's checkpoint is of this record's epoch. By `best` it is the best epoch, the earliest where several are
        equal; by `last` the last sound one; by `mean of last K` that one too, its figures replaced by their means.
        """
        if self.scope == BEST:
            best: EpochRecord | None = None
            for record in records:
                if self.is_better(self.value(record), None if best is None else self.value(best)):
                    best = record
            return best
        last = [record for record in records if _is_finite(self.value(record))][-self.window :]
        if len(last) < 2:
            return last[0] if last else None
        means: dict[str, Any] = {name: _mean([getattr(record, name) for record in last]) for name in METRICS}
        return dataclasses.replace(last[-1], **means)

    @property
    def window(self) -> int:
        """How many of the last epochs count; 1 for `best` and `last`."""
        return int(self.scope.removeprefix(_MEAN)) if self.scope.startswith(_MEAN) else 1

    def rank(self, figures: Sequence[float | None]) -> list[int]:
        """Return positions from best to worst; equal figures keep their order, missing ones come last."""
        sign = -1.0 if self.mode == "max" else 1.0

        def key(position: int) -> float:
            figure = figures[position]
            return math.inf if figure is None or not math.isfinite(figure) else sign * figure

        return sorted(range(len(figures)), key=key)


def default_mode(metric: str) -> str:
    """Return `max` for accuracies and `min` for losses."""
    return "max" if metric.endswith("accuracy") else "min"


def mean_of_last(epochs: int) -> str:
    """Return the scope that takes the mean of the last `epochs` epochs."""
    return LAST if epochs == 1 else f"{_MEAN}{epochs}"


def _is_finite(figure: float | None) -> bool:
    return figure is not None and math.isfinite(figure)


def _mean(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return fmean(known) if len(known) == len(figures) else None
