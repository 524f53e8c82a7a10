"""Which epoch and which run is best: one rule, used by checkpoints, tables, the live display and the report."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cnnsweep.records import EpochRecord

METRICS = ("val_accuracy", "val_loss", "accuracy", "loss")


@dataclass(frozen=True, slots=True)
class Objective:
    """The figure that decides, and whether more (`max`) or less (`min`) of it is better."""

    metric: str
    mode: str

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

    def best_epoch(self, records: Iterable[EpochRecord]) -> EpochRecord | None:
        """Return the best of a run's records, the earliest where several are equal, or None if none is finite."""
        best: EpochRecord | None = None
        for record in records:
            if self.is_better(self.value(record), None if best is None else self.value(best)):
                best = record
        return best

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
