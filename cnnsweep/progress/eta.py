"""Estimate of the time left, from the epochs so far."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from cnnsweep.types import EpochRecord, Run

# Below these, an estimate made inside the very first epoch says more about warm-up than about the sweep.
FIRST_ESTIMATE_AFTER_S = 5.0
FIRST_ESTIMATE_SHARE = 0.05


class TimeLeft:
    """Weighs remaining epochs by what epochs of their kind took, and divides by the pace of this session.

    Runs are of one kind if they share model and batch size, which decide what an epoch costs. The pace (seconds of
    epochs done per second on the clock) holds what the durations leave out: runs training side by side, recording,
    start-up. So a fast kind trained first does not promise the same of a slow kind still waiting.
    """

    def __init__(self, runs: Iterable[Run], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started: float | None = None
        self._kind: dict[str, str] = {}
        self._left_of: dict[str, int] = {}
        self._left: Counter[str] = Counter()  # by kind
        self._seconds: defaultdict[str, float] = defaultdict(float)  # by kind, of epochs ended in this session
        self._epochs: Counter[str] = Counter()  # by kind, the number of these
        for run in runs:
            self.add(run)

    @property
    def epochs_left(self) -> int:
        return self._left.total()

    def add(self, run: Run) -> None:
        """Take in a run that was not known before; nothing of it is left until `set_left` says so."""
        self._kind[run.id] = _kind(run)
        self._left_of[run.id] = 0

    def start(self, already: float = 0.0) -> None:
        """Start the clock; call it when the first run starts, so that loading data does not count.

        Args:
            already: seconds for which it ran before.
        """
        if self._started is None:
            self._started = self._clock() - already

    def elapsed(self) -> float:
        """Return the seconds since the first run started."""
        return 0.0 if self._started is None else self._clock() - self._started

    def learn(self, record: EpochRecord) -> None:
        """Take in what an epoch of this session took."""
        kind = self._kind[record.run_id]
        self._seconds[kind] += record.epoch_duration
        self._epochs[kind] += 1

    def set_left(self, run_id: str, epochs: int) -> None:
        """Set how many epochs a run still has to train: fewer after each, none once it has ended."""
        self._left[self._kind[run_id]] += epochs - self._left_of[run_id]
        self._left_of[run_id] = epochs

    def seconds(self, shares: Mapping[str, float], epochs_to_come: float = 0.0) -> float | None:
        """Return the seconds left, or None while too little is known.

        Args:
            shares: by id of a run that trains now, the share of its present epoch that is through (0 to 1).
            epochs_to_come: of runs that are not known yet; each is taken to cost what epochs cost in the mean.
        """
        elapsed = self.elapsed()
        begun = sum(shares.values())
        if not self._epochs and (elapsed < FIRST_ESTIMATE_AFTER_S or begun < FIRST_ESTIMATE_SHARE):
            return None
        in_progress = sum(share * self._cost(self._kind[run_id]) for run_id, share in shares.items())
        done = sum(self._seconds.values()) + in_progress
        left = sum(epochs * self._cost(kind) for kind, epochs in self._left.items()) - in_progress
        left += epochs_to_come * self._mean_cost()
        return max(left, 0.0) * elapsed / done if done > 0 else None

    def _cost(self, kind: str) -> float:
        """Return the mean seconds of an epoch of this kind, or of all epochs if none was seen."""
        return self._seconds[kind] / self._epochs[kind] if self._epochs[kind] else self._mean_cost()

    def _mean_cost(self) -> float:
        """Return the mean seconds of all epochs, or 1 if there are none."""
        epochs = self._epochs.total()
        return sum(self._seconds.values()) / epochs if epochs else 1.0


def _kind(run: Run) -> str:
    arguments = json.dumps(dict(run.model.arguments), sort_keys=True, default=str)
    return f"{run.model.name} {arguments} {run.hyperparameters.batch_size}"
