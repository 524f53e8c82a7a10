"""Estimate of the time left, from the epochs so far."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from cnnsweep.callbacks import RunInfo
from cnnsweep.types import EpochRecord

# Below these, an estimate made inside the very first epoch says more about warm-up than about the sweep.
FIRST_ESTIMATE_AFTER_S = 5.0
FIRST_ESTIMATE_SHARE = 0.05


class TimeLeft:
    """Weighs remaining epochs by the mean duration of their kind, and divides by the pace of this session.

    Runs are of one kind if they share model and batch size, which decide the cost of an epoch. The pace (seconds of
    epochs done per second on the clock) covers everything outside the durations: runs that train side by side,
    recording, start-up. So a fast kind trained first does not promise the same of a slow kind still waiting.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started: float | None = None
        self._kind: dict[str, str] = {}
        self._left_of: dict[str, int] = {}
        self._left: Counter[str] = Counter()  # by kind
        self._seconds: defaultdict[str, float] = defaultdict(float)  # by kind, of epochs ended in this session
        self._epochs: Counter[str] = Counter()  # by kind, the number of these

    @property
    def epochs_left(self) -> int:
        return self._left.total()

    def add(self, run: RunInfo) -> None:
        """Add a run with no epochs left; `set_left` follows."""
        self._kind[run.id] = _kind(run)
        self._left_of[run.id] = 0

    def start(self, already: float = 0.0) -> None:
        """Start the clock; call it when the first run starts, so that loading data does not count.

        Args:
            already: seconds that have passed on it.
        """
        if self._started is None:
            self._started = self._clock() - already

    def elapsed(self) -> float:
        """Return the seconds since the first run started."""
        return 0.0 if self._started is None else self._clock() - self._started

    def learn(self, record: EpochRecord) -> None:
        """Add the duration of an epoch of this session."""
        kind = self._kind[record.run_id]
        self._seconds[kind] += record.epoch_duration
        self._epochs[kind] += 1

    def set_left(self, run_id: str, epochs: int) -> None:
        """Set the epochs that a run still has to train: fewer after each, none once it has ended."""
        self._left[self._kind[run_id]] += epochs - self._left_of[run_id]
        self._left_of[run_id] = epochs

    def seconds(self, shares: Mapping[str, float], epochs_to_come: float = 0.0) -> float | None:
        """Return the seconds left, or None while too little is known.

        Args:
            shares: the finished share (0 to 1) of the present epoch, by id of a run that trains now.
            epochs_to_come: of runs that are not known yet; each costs as much as the mean of all epochs.
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


def _kind(run: RunInfo) -> str:
    """Return the parameters that decide the cost of an epoch; without one, it is the same for all runs."""
    deciding = {name: value for name, value in run.params.items() if name.startswith(("model", "batch_size"))}
    return json.dumps(deciding, sort_keys=True, default=str)
