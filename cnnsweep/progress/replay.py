"""Replays a journal's events to a display."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cnnsweep.analysis.axes import canonical
from cnnsweep.callbacks import SweepOverview, UnderWay
from cnnsweep.metrics.objective import chance_of
from cnnsweep.progress.base import Display
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.rows import outcome_from_event, record_from_event
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState
from cnnsweep.types import CONSTANT, EpochRecord, Hyperparameters, ModelChoice, Run, RunOutcome, RunStatus

CUT_OFF = "the process that trained it is gone"


@dataclass(frozen=True, slots=True)
class _ReplayedEpoch:
    record: EpochRecord


class JournalReplay:
    """A sweep's history with what a display needs beside it: which runs the present command trains, and since when.

    Attributes:
        history: of all events so far; whoever calls `take` has applied the event to it before.
        ended: when the last command did; None while it trains.
    """

    def __init__(self) -> None:
        self.history = SweepState()
        self.ended: datetime | None = None
        self._planned: set[str] = set()  # by the present command, since it has chosen what trains together
        self._left_out: set[str] = set()  # where the journal does not say which runs are of an earlier sweep file
        self._before: dict[str, int] = {}  # epochs of each run as the present command began
        self._shown: list[str] = []  # the runs that train, as the display knows it

    def take(self, event: Mapping[str, Any]) -> None:
        """Note what an event means for the present command."""
        kind, runs = event["event"], self.history.runs
        if kind == "sweep":
            self._planned, self._left_out, self.ended = set(), set(), None
            self._before = {run.id: len(run.records) for run in runs.values()}
        elif kind == "resumed":
            self._before[event["run"]] = min(self._before.get(event["run"], 0), event["epoch"])
        elif kind == "planned":
            chosen = {
                run for group in event["groups"] for program in group["programs"] for ids in program for run in ids
            }
            if not self._planned and "former" not in (self.history.sweep or {}):
                # Not ended, and nobody trains them now.
                self._left_out = {run.id for run in runs.values() if not run.status.is_final} - chosen
            self._planned |= chosen
            self._left_out -= chosen
        elif kind == "epoch":
            self._left_out.discard(event["run"])
        elif kind == "left":
            self.ended = datetime.fromisoformat(event["time"])

    def active(self) -> list[str]:
        """Return the runs that train now: of the first groups that are not through, as many as train at once."""
        if self.history.status != "running":
            return []
        active: list[str] = []
        groups = 0
        for group in self.history.groups:  # in the order in which they begin
            rung = group.conditions.get("rung")
            stop_epochs = self.history.stop_epochs if group.conditions.get("leg") == self.history.stage else {}
            ids = [run for program in group.programs for trajectory in program for run in trajectory]
            known = [self.history.runs[run] for run in ids if run in self._planned and run in self.history.runs]
            stop_epoch_of = {run.id: stop_epochs.get(run.id, rung) for run in known}
            going = [run for run in known if run.outcome is None]
            behind = [run.id for run in going if (goal := stop_epoch_of[run.id]) is None or len(run.records) < goal]
            active += behind
            groups += bool(behind)
            if groups == group.conditions.get("places", 1):
                break
        return active

    def open(self, display: Display, paths: SweepPaths, source: Callable[[], str]) -> None:
        """Show all that was read so far; see `overview`."""
        display.on_sweep_start(self.overview(paths, source))
        self._shown = []
        self.show_active(display)

    def show(self, event: Mapping[str, Any], display: Display) -> None:
        """Pass on one event after `take`."""
        kind = event["event"]
        if kind == "asked":
            asked = set(event["configurations"])  # of an earlier search's runs some may come again
            known = [run for run in self.history.runs.values() if run.trial_id in asked]
            display.on_trials_added([self._run(run) for run in known], runs_to_come(self.history))
        elif kind == "run":
            display.on_trials_added((self._run(self.history.runs[event["run"]]),), runs_to_come(self.history))
        elif kind == "epoch":
            # By the event: the history may be ahead of it, where several came at once.
            record = record_from_event(event)
            self._start(record.run_id, display)
            display.on_epoch_end((_ReplayedEpoch(record),))
        elif kind == "ended":
            self._end(event["run"], outcome_from_event(event), display)

    def show_active(self, display: Display) -> None:
        """Show which runs train now, as far as no event said it: those before their first epoch, and at a rung."""
        active = self.active()
        for run in [run for run in self._shown if run not in active]:
            self._end(run, RunOutcome(run, RunStatus.WAITING), display)
        for run in active:
            self._start(run, display)

    def cut_off(self, display: Display) -> None:
        """Show that what trained does so no more."""
        for run in list(self._shown):
            self._end(run, RunOutcome(run, RunStatus.INTERRUPTED, CUT_OFF), display)

    def _start(self, run: str, display: Display) -> None:
        if run not in self._shown:
            display.on_run_start(self._run(self.history.runs[run]), None)
            self._shown.append(run)

    def _end(self, run: str, outcome: RunOutcome, display: Display) -> None:
        if run in self._shown:
            self._shown.remove(run)
        display.on_run_end(outcome)

    def overview(self, paths: SweepPaths, source: Callable[[], str], *, is_cut_off: bool = False) -> SweepOverview:
        """Return all that was read so far, but for which runs train now.

        Args:
            source: says who trains; see `UnderWay`.
            is_cut_off: nobody trains any more, though the journal does not say so.
        """
        history, sweep = self.history, self.history.sweep
        assert sweep is not None, "the journal has begun"
        known = [run for run in history.present if run.id not in self._left_out]
        outcomes = {run.id: run.outcome for run in known if run.outcome is not None}
        if is_cut_off:
            outcomes |= {run: RunOutcome(run, RunStatus.INTERRUPTED, CUT_OFF) for run in self.active()}
        return SweepOverview(
            name=str(sweep["name"]),
            folder=str(paths.folder),
            device=self._device(sweep),
            columns=_columns(known),
            runs=tuple(map(self._run, known)),
            objective=history.objective,
            history={run.id: tuple(run.records) for run in known if run.records},
            outcomes=outcomes,
            runs_to_come=runs_to_come(history),
            under_way=UnderWay(history.time.of_command, self._session_records(known), source),
            elapsed_before=history.time.before,
            elapsed=lambda: history.elapsed,
            chance=chance_of(sweep),
        )

    def _device(self, sweep: Mapping[str, Any]) -> str:
        under = self.history.groups[-1].conditions if self.history.groups else sweep
        places = under.get("places", 1)
        return f"{sweep['device']} ({places} groups at once)" if places > 1 else str(sweep["device"])

    def _run(self, known: RunState) -> Run:
        """Return a run as a display needs it: of its hyperparameters it looks at epochs and batch size alone."""
        epochs = self.history.planned_epochs(known) or max(len(known.records), 1)
        hyperparameters = Hyperparameters(
            lr=0.0, batch_size=known.params.get("batch_size", 0), shuffle=True, epochs=epochs, optimizer="",
            momentum=None, nesterov=None, beta1=None, beta2=None, eps=None, weight_decay=0.0, schedule=CONSTANT,
            label_smoothing=0.0, grad_clip=None, augment=(), seed=0,
        )  # fmt: skip
        model = ModelChoice(canonical(known.params.get("model")))
        return Run(known.id, known.name, model, hyperparameters, known.params, known.trial_id, known.fold)

    def _session_records(self, runs: list[RunState]) -> tuple[Any, ...]:
        return tuple(record for run in runs for record in run.records[self._before.get(run.id, 0) :])


def runs_to_come(history: SweepState) -> int:
    """Return how many runs a search is still to ask for, at most, by its journal alone."""
    search = (history.sweep or {}).get("search")
    if not isinstance(search, Mapping) or not isinstance(search.get("runs"), int):
        return 0  # a grid
    rounds = [asked for asked in history.rounds if asked.space == history.rounds[-1].space]
    if rounds and not rounds[-1].picks:  # nothing new was left in the space
        return 0
    replicates = Counter(run.trial_id for run in history.runs.values()).most_common(1)
    left = int(search["runs"]) - sum(len(asked.picks) for asked in rounds)
    return max(left, 0) * (replicates[0][1] if replicates else 1)


def _columns(runs: list[RunState]) -> tuple[str, ...]:
    """Return the trials that vary, all of them where none does."""
    names = list(dict.fromkeys(name for run in runs for name in run.params))
    varying = [name for name in names if len({canonical(run.params.get(name)) for run in runs}) > 1]
    return tuple(varying or names)
