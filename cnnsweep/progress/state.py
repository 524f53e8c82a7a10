"""State of a sweep, updated by its events; the source of the live table and the plain lines."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cnnsweep.callbacks import RunInfo, SweepOverview
from cnnsweep.progress.eta import TimeLeft
from cnnsweep.types import EpochRecord, FailureKind, RunOutcome, RunStatus

FAILURES = (RunStatus.DIVERGED, RunStatus.FAILED)
LEADERS = 5  # the number of best runs that are kept in order
RECENT_FAILURES = 5


@dataclass(slots=True, eq=False)  # compared by identity, not by metrics
class RunProgress:
    """State of one run.

    Attributes:
        number: its place in the sweep, from 1.
        records: its epochs so far.
        selected: the record that counts by the sweep's objective; None while no metric is finite.
        share: the finished share of the epoch in progress, 0 to 1.
        failure: the kind, for a run that failed.
    """

    number: int
    run: RunInfo
    status: RunStatus = RunStatus.WAITING
    records: list[EpochRecord] = field(default_factory=list)
    selected: EpochRecord | None = None
    share: float = 0.0
    failure: FailureKind | None = None

    @property
    def latest(self) -> EpochRecord | None:
        return self.records[-1] if self.records else None

    @property
    def epochs_done(self) -> int:
        return self.records[-1].epoch if self.records else 0

    @property
    def epochs_left(self) -> int:
        return 0 if self.status.is_final else max(self.run.epochs - self.epochs_done, 0)

    @property
    def shown(self) -> EpochRecord | None:
        """Record to show: the last epoch while the run trains, then the selected one."""
        return self.latest if self.status is RunStatus.RUNNING else self.selected or self.latest


@dataclass(frozen=True, slots=True)
class BatchCount:
    """Progress of a group within its epoch."""

    run_ids: tuple[str, ...]
    epoch: int
    done: int
    total: int


class SweepProgress:
    """The state of every run, the best of them, and the time left."""

    def __init__(self, overview: SweepOverview, clock: Callable[[], float] = time.monotonic) -> None:
        self.overview = overview
        self.runs: dict[str, RunProgress] = {}
        self.runs_to_come = 0
        self.active: dict[str, RunProgress] = {}  # in the order they started
        self.failures: list[RunProgress] = []  # the most recent last
        self.batches: BatchCount | None = None  # the last report
        self.leaders: list[RunProgress] = []  # the best first; runs that failed are not among them
        self.counts: Counter[RunStatus] = Counter()
        self.epochs_done = 0
        self.time_left = TimeLeft(clock)
        self.runs_added(overview.runs, overview.runs_to_come)
        if overview.under_way is not None:
            self.time_left.start(overview.under_way.elapsed_s)
            for record in overview.under_way.records:
                self.time_left.learn(record)

    @property
    def best(self) -> RunProgress | None:
        """The leading run; None while there is none, or none that is better than a constant answer."""
        if not self.leaders:
            return None
        baseline = self.overview.baseline
        # The accuracy that stands in for a loss does not decide between runs of which one is better than its baseline.
        is_deciding = baseline is None or baseline.metric == self.overview.objective.metric
        candidates = self.leaders[:1] if is_deciding else self.leaders
        return None if all(map(self.is_at_baseline, candidates)) else self.leaders[0]

    def is_at_baseline(self, row: RunProgress) -> bool:
        """True for a run that is no better than a constant answer; False if that is unknown."""
        baseline = self.overview.baseline
        if baseline is None or row.selected is None:
            return False
        return not baseline.is_beaten_by(row.selected[baseline.metric])

    @property
    def is_tied(self) -> bool:
        """True if another run has the same value as the leading one."""
        first, *others = (self._value(row.selected) for row in self.leaders[:2])
        return first in others

    @property
    def elapsed(self) -> float:
        """Seconds for which this sweep has trained, by all commands.

        The clock runs while something trains; in between, the recorded time counts and nothing after it.
        """
        if self.overview.elapsed is not None and not self.active:
            return self.overview.elapsed()
        return self.overview.elapsed_before + self.time_left.elapsed()

    @property
    def size(self) -> int:
        """Number of runs, including those to come."""
        return len(self.runs) + self.runs_to_come

    @property
    def epochs_to_come(self) -> int:
        """Expected epochs of the runs to come: the mean of the known runs for each.

        Known runs count with their epochs done and left: if many are stopped early, later ones will be too.
        """
        known = self.epochs_done + self.time_left.epochs_left
        return round(self.runs_to_come * known / len(self.runs)) if self.runs else 0

    @property
    def epochs_left(self) -> int:
        """Epochs to do; fewer once a run has ended early."""
        return self.time_left.epochs_left + self.epochs_to_come

    @property
    def epochs_total(self) -> int:
        """Epochs done and to do."""
        return self.epochs_done + self.epochs_left

    def runs_added(self, runs: Sequence[RunInfo], to_come: int) -> None:
        """Add the runs that are not known yet, with their earlier epochs and ends, and note the number to come."""
        self.runs_to_come = to_come
        added = [self._add(run) for run in runs if run.id not in self.runs]
        if any(row.selected is not None for row in added):
            self._rank_all()

    def _add(self, run: RunInfo) -> RunProgress:
        row = self.runs[run.id] = RunProgress(len(self.runs) + 1, run)
        row.records = list(self.overview.history.get(run.id, ()))
        row.selected = self.overview.objective.selected(row.records)
        if (outcome := self.overview.outcomes.get(run.id)) is not None:
            self._set_status(row, outcome.status, outcome.failure)
        self.counts[row.status] += 1
        self.epochs_done += row.epochs_done
        self.time_left.add(run)
        self.time_left.set_left(run.id, row.epochs_left)
        return row

    def run_started(self, run_id: str) -> RunProgress:
        """Mark a run as training and return it."""
        row = self.runs[run_id]
        self.failures = [failure for failure in self.failures if failure is not row]  # it is tried again
        self._change_status(row, RunStatus.RUNNING)
        self.active[run_id] = row
        self.time_left.start()
        return row

    def batches_done(self, batches: BatchCount) -> None:
        """Note the finished share of the epoch in progress."""
        self.batches = batches
        for run_id in batches.run_ids:
            self.runs[run_id].share = batches.done / batches.total if batches.total else 0.0

    def epoch_ended(self, record: EpochRecord) -> RunProgress:
        """Add an epoch to its run and return the run."""
        row = self.runs[record.run_id]
        # Not one more: a run that is tried again, or lost its last checkpoint, goes back some epochs.
        self.epochs_done += record.epoch - row.epochs_done
        row.records[record.epoch - 1 :] = [record]
        row.share = 0.0
        self.batches = None
        self.time_left.learn(record)
        self.time_left.set_left(record.run_id, row.epochs_left)
        objective = self.overview.objective
        before, selected = row.selected, objective.selected(row.records)
        row.selected = selected
        if row in self.leaders and selected != before and objective.rank_records([selected, before])[0] == 1:
            self._rank_all()  # a run that was not among the leaders may be ahead of it now
        elif selected is not None:
            self._place(row)
        return row

    def run_ended(self, outcome: RunOutcome) -> RunProgress:
        """Mark a run as ended and return it."""
        row = self.runs[outcome.run_id]
        row.share = 0.0
        self.active.pop(outcome.run_id, None)
        self._change_status(row, outcome.status, outcome.failure)
        if row in self.leaders and outcome.status in FAILURES:
            self._rank_all()  # rare, so looking at every run again costs nothing
        return row

    def seconds_left(self) -> float | None:
        """Return the estimated seconds until the sweep is through, or None while too little is known."""
        return self.time_left.seconds({run_id: row.share for run_id, row in self.active.items()}, self.epochs_to_come)

    def _change_status(self, row: RunProgress, status: RunStatus, failure: FailureKind | None = None) -> None:
        self.counts[row.status] -= 1
        self.counts[status] += 1
        self._set_status(row, status, failure)
        self.time_left.set_left(row.run.id, row.epochs_left)

    def _set_status(self, row: RunProgress, status: RunStatus, failure: FailureKind | None) -> None:
        row.status, row.failure = status, failure
        if status in FAILURES:
            self.failures = [*self.failures, row][-RECENT_FAILURES:]

    def _place(self, row: RunProgress) -> None:
        """Put a run into its place; no other can rise by it, so only the leaders are ranked."""
        self.leaders = self._ranked([leader for leader in self.leaders if leader is not row] + [row])

    def _rank_all(self) -> None:
        self.leaders = self._ranked([row for row in self.runs.values() if row.selected and row.status not in FAILURES])

    def _ranked(self, rows: list[RunProgress]) -> list[RunProgress]:
        # By number first: if value and loss are equal, the run that comes first in the sweep stays ahead.
        rows = sorted(rows, key=lambda row: row.number)
        order = self.overview.objective.rank_records([row.selected for row in rows])
        return [rows[position] for position in order[:LEADERS]]

    def _value(self, selected: EpochRecord | None) -> float | None:
        return None if selected is None else self.overview.objective.value(selected)
