"""State of a sweep: the journal's events folded into one state per run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnsweep.errors import ResultsError
from cnnsweep.metrics.names import info_of, recorded_names
from cnnsweep.metrics.objective import BEST, Objective
from cnnsweep.storage.event_schema import check_event
from cnnsweep.storage.journal import VERSION, read_journal
from cnnsweep.storage.remembered import RememberedGroup, RememberedWay, SuggestedRound, group_from_event
from cnnsweep.storage.rows import decision_from_event, outcome_from_event, record_from_event
from cnnsweep.storage.run_state import RunState, run_state_from_event
from cnnsweep.storage.training_time import TrainingTime
from cnnsweep.types import PruneDecision, RunStatus


@dataclass(slots=True)
class SweepState:
    """State of a sweep after the events so far.

    Attributes:
        sweep: the last `sweep` event.
        runs: by id, in the order of their announcement.
        groups: the groups of runs that train together, as chosen last.
        ways: fusion plans by family; they outlast the groups.
        most_at_once: the most trajectories that were ever to train at the same time; at least one for each slot.
        stage, stop_epochs: the number and stop epochs of the last numbered stage; no stop epochs after one without a
            number. See `planning.stage`.
        rounds: the suggestions of a sampler.
        decisions: of the pruner, by trial and epoch.
        tests: the `tested` events, one for each use of the test set.
        cleaned: runs whose best weights the user had removed.
        former: runs that neither the present sweep file nor its search has.
        time: the time that training took.
        planned: runs that the present command has put into groups.
    """

    sweep: Mapping[str, Any] | None = None
    runs: dict[str, RunState] = field(default_factory=dict)
    groups: list[RememberedGroup] = field(default_factory=list)
    ways: dict[str, RememberedWay] = field(default_factory=dict)
    most_at_once: int = 0
    stage: int = 0
    stop_epochs: Mapping[str, int] = field(default_factory=dict)
    rounds: list[SuggestedRound] = field(default_factory=list)
    decisions: dict[tuple[str, int], PruneDecision] = field(default_factory=dict)
    tests: list[Mapping[str, Any]] = field(default_factory=list)
    cleaned: set[str] = field(default_factory=set)
    former: set[str] = field(default_factory=set)
    time: TrainingTime = field(default_factory=TrainingTime)
    planned: set[str] = field(default_factory=set)
    started: str | None = None
    updated: str | None = None
    status: str = "running"

    @property
    def objective(self) -> Objective:
        assert self.sweep is not None
        return Objective(self.sweep["metric"], self.sweep["mode"], self.sweep.get("scope", BEST))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The recorded metrics by name, in the order of the columns of tables."""
        return recorded_names(map(info_of, (self.sweep or {}).get("metrics", ())))

    @property
    def elapsed(self) -> float:
        """Seconds that all commands have trained, see `TrainingTime`."""
        return self.time.elapsed

    def planned_epochs(self, run: RunState) -> int | None:
        """Return the number of epochs that a run is to train; None if unknown.

        In a journal of an earlier version it is a parameter of the trial, or equal for all runs.
        """
        if run.epochs is not None:
            return run.epochs
        own = run.params.get("epochs")
        if isinstance(own, int) and not isinstance(own, bool):
            return own
        finished = [len(one.records) for one in self.runs.values() if one.status is RunStatus.FINISHED]
        return max(finished, default=None)

    @property
    def present(self) -> list[RunState]:
        """The runs of the present sweep file and of its search."""
        return [run for run in self.runs.values() if run.id not in self.former]

    def at_epoch(self, epoch: int, run_ids: Iterable[str]) -> list[str]:
        """Return the runs, of those given, whose last record is of an epoch."""
        return [run_id for run_id in run_ids if len(self.runs[run_id].records) == epoch]

    def pruning_decision(self, run: RunState) -> PruneDecision | None:
        """Return the decision that ended a run early; None without one."""
        if run.status is not RunStatus.STOPPED or not run.records:
            return None
        decision = self.decisions.get((run.trial_id, run.records[-1].epoch))
        return decision if decision is not None and decision.stops else None

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take one more event into account."""
        check_event(event)
        self.updated = event["time"]
        self.time.apply(event)
        _APPLY[event["event"]](self, event)

    def _apply_sweep(self, event: Mapping[str, Any]) -> None:
        self.sweep = event
        self.former = set(event.get("former", ()))  # earlier journals do not have it
        self.started = self.started or event["time"]
        self.status = "running"
        self.planned = set()
        for run in self.runs.values():
            run.epochs_before = len(run.records)

    def _apply_run(self, event: Mapping[str, Any]) -> None:
        known = self.runs.get(event["run"])
        if known is None:
            known = self.runs[event["run"]] = run_state_from_event(event)
        known.params = event["settings"]  # an edited file may show more columns; the folder's name stays
        # Journals of earlier versions have these only where a later command wrote the run once more.
        known.trial_id = event.get("configuration", known.trial_id)
        known.epochs = event.get("epochs", known.epochs)

    def _apply_planned(self, event: Mapping[str, Any]) -> None:
        self._remember(event)
        sizes = sorted(sum(len(program) for program in group["programs"]) for group in event["groups"])
        slots = event["conditions"].get("places", 1)
        self.most_at_once = max(self.most_at_once, slots, sum(sizes[-slots:]))
        self.stage = event["conditions"].get("leg", self.stage)
        self.stop_epochs = event.get("goals", {})

    def _apply_asked(self, event: Mapping[str, Any]) -> None:
        picks = tuple(dict(one) for one in event["picks"])
        self.rounds.append(SuggestedRound(event["space"], event["drawn"], picks, tuple(event["configurations"])))
        again = set(event["configurations"])  # some may be trials of an earlier search
        self.former = {run for run in self.former if run in self.runs and self.runs[run].trial_id not in again}

    def _apply_judged(self, event: Mapping[str, Any]) -> None:
        for fields in event["verdicts"]:
            decision = decision_from_event(fields)
            self.decisions[decision.trial_id, decision.epoch] = decision

    def _apply_epoch(self, event: Mapping[str, Any]) -> None:
        run = self.runs[event["run"]]
        if event["epoch"] != len(run.records) + 1:
            raise ValueError(f"epoch {event['epoch']} follows {len(run.records)}")
        run.records.append(record_from_event(event))
        if event["checkpoint"] is not None:
            run.checkpoints[event["checkpoint"]] = event["epoch"]
        if event.get("best") is not None:  # earlier journals do not have it
            run.best_weights[event["epoch"]] = event["best"]

    def _apply_resumed(self, event: Mapping[str, Any]) -> None:
        self.runs[event["run"]].forget_after(event["epoch"])
        self.cleaned.discard(event["run"])

    def _apply_ended(self, event: Mapping[str, Any]) -> None:
        self.runs[event["run"]].outcome = outcome_from_event(event)

    def _apply_tested(self, event: Mapping[str, Any]) -> None:
        self.tests.append(event)

    def _apply_cleaned(self, event: Mapping[str, Any]) -> None:
        self.cleaned.update(event["runs"])

    def _apply_left(self, event: Mapping[str, Any]) -> None:
        self.status = event["status"]

    def _remember(self, event: Mapping[str, Any]) -> None:
        """Add groups in place of all that hold one of their runs: parts of a group have its turn."""
        new = [group_from_event(group, event["conditions"]) for group in event["groups"]]
        for group in event["groups"]:
            if group.get("way") is not None:
                self.ways[group["kind"]] = RememberedWay(**group["way"], conditions=event["conditions"])
        for one, group in zip(new, event["groups"], strict=True):
            for run_id in one.runs & self.runs.keys() - group.get("companions", {}).keys():
                self.runs[run_id].remember(one)
        planned = {run for group in new for run in group.runs}
        self.planned |= planned
        is_kept = [not group.runs & planned for group in self.groups]
        turn = is_kept.index(False) if False in is_kept else len(is_kept)
        kept = [group for group, stays in zip(self.groups, is_kept, strict=True) if stays]
        self.groups = [*kept[:turn], *new, *kept[turn:]]  # before the first that goes, all are kept


_APPLY: Mapping[str, Callable[[SweepState, Mapping[str, Any]], None]] = {
    "sweep": SweepState._apply_sweep,
    "run": SweepState._apply_run,
    "planned": SweepState._apply_planned,
    "asked": SweepState._apply_asked,
    "judged": SweepState._apply_judged,
    "tested": SweepState._apply_tested,
    "epoch": SweepState._apply_epoch,
    "resumed": SweepState._apply_resumed,
    "ended": SweepState._apply_ended,
    "cleaned": SweepState._apply_cleaned,
    "left": SweepState._apply_left,
}


def read_state(path: Path) -> SweepState:
    """Fold a journal; a missing file gives an empty state.

    Raises:
        ResultsError: the journal is damaged, or of a later version.
    """
    return fold(read_journal(path), path)


def fold(events: Iterable[Mapping[str, Any]], path: Path) -> SweepState:
    """Fold events; `path` is for messages only."""
    history = SweepState()
    for number, event in enumerate(events, start=1):
        apply_checked(history, event, path, number)
    return history


def apply_checked(history: SweepState, event: Mapping[str, Any], path: Path, number: int) -> None:
    """Take one more event of a file into account; the file may hold anything.

    Raises:
        ResultsError: it is no event of a sweep, or of a later version; the message names the file and the line.
    """
    try:
        if event["event"] == "sweep" and event["version"] > VERSION:
            raise ResultsError(
                f"{path}: written by a later cnnsweep (journal version {event['version']}, this one reads up to "
                f"{VERSION}); upgrade cnnsweep"
            )
        history.apply(event)
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # its checksum is right all the same
        raise ResultsError(
            f"{path}:{number}: is no event of a sweep ({type(error).__name__}: {error}); "
            f"keep what is whole with: cnnsweep doctor {path.parent} --repair"
        ) from error
