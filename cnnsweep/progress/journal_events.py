"""Callback events of a sweep that another process trains: made from its journal and the state that it folds into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cnnsweep.analysis.axes import canonical
from cnnsweep.callbacks import SweepOverview, UnderWay
from cnnsweep.progress.base import Display
from cnnsweep.storage.overview import make_overview
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.rows import outcome_from_event, record_from_event
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState
from cnnsweep.types import EpochRecord, RunOutcome, RunStatus

CUT_OFF = "the training process is gone"


@dataclass(frozen=True, slots=True)
class JournalRun:
    """A run as the journal announces it; see `RunInfo`."""

    id: str
    name: str
    params: Mapping[str, Any]
    epochs: int


@dataclass(frozen=True, slots=True)
class JournalEpoch:
    """An epoch without tensors; see `HasRecord`."""

    record: EpochRecord


def send_start(state: SweepState, display: Display, paths: SweepPaths, source: Callable[[], str]) -> None:
    """Start a display with everything that the journal holds so far.

    Args:
        source: see `UnderWay`.
    """
    display.on_sweep_start(overview(state, paths, source))
    send_active(state, display)


def send_event(state: SweepState, event: Mapping[str, Any], display: Display) -> None:
    """Send one event of the journal to a display that was started.

    Args:
        state: after this event, or ahead of it if several were read at once.
    """
    kind = event["event"]
    if kind == "asked":
        suggested = set(event["configurations"])  # an earlier search may have suggested some of them before
        _add_runs(state, (run for run in state.runs.values() if run.trial_id in suggested), display)
    elif kind == "run":
        _add_runs(state, [state.runs[event["run"]]], display)
    elif kind == "epoch":
        record = record_from_event(event)
        _start(state, record.run_id, display)
        display.on_epoch_end((JournalEpoch(record),))
    elif kind == "ended":
        display.on_run_end(outcome_from_event(event))


def send_active(state: SweepState, display: Display) -> None:
    """Send the starts and waits that the journal implies: before a run's first epoch, and at a rung."""
    active = active_runs(state)
    for run_id in [run_id for run_id in display.progress.active if run_id not in active]:
        display.on_run_end(RunOutcome(run_id, RunStatus.WAITING))
    for run_id in active:
        _start(state, run_id, display)


def send_cut_off(display: Display) -> None:
    """Send the end of the runs whose training process is gone."""
    for run_id in list(display.progress.active):
        display.on_run_end(RunOutcome(run_id, RunStatus.INTERRUPTED, CUT_OFF))


def _start(state: SweepState, run_id: str, display: Display) -> None:
    if run_id not in display.progress.runs:  # an earlier journal did not say that it is of the present file
        _add_runs(state, [state.runs[run_id]], display)
    if run_id not in display.progress.active:
        display.on_run_start(_run_info(state, state.runs[run_id]), None)


def _add_runs(state: SweepState, runs: Iterable[RunState], display: Display) -> None:
    display.on_trials_added([_run_info(state, run) for run in runs], runs_to_come(state))


def _run_info(state: SweepState, run: RunState) -> JournalRun:
    return JournalRun(run.id, run.name, run.params, state.planned_epochs(run) or max(len(run.records), 1))


def overview(state: SweepState, paths: SweepPaths, source: Callable[[], str]) -> SweepOverview:
    """Return the argument of `on_sweep_start` for everything that the journal holds so far.

    Args:
        source: see `UnderWay`.
    """
    runs = _shown_runs(state)
    records = [record for run in runs for record in run.records[run.epochs_before :]]
    return make_overview(
        state,
        folder=str(paths.folder),
        device=_device(state),
        columns=_columns(runs),
        runs=[_run_info(state, run) for run in runs],
        runs_to_come=runs_to_come(state),
        under_way=UnderWay(state.time.of_command, records, source),
    )


def _shown_runs(state: SweepState) -> list[RunState]:
    """Return the runs of the present sweep file; of an earlier journal, which does not list the others, a guess."""
    if not state.planned or "former" in (state.sweep or {}):
        return state.present
    return [run for run in state.present if run.status.is_final or run.id in state.planned]


def _device(state: SweepState) -> str:
    facts = state.sweep or {}
    slots = (state.groups[-1].conditions if state.groups else facts).get("places", 1)
    return f"{facts['device']} ({slots} groups at once)" if slots > 1 else str(facts["device"])


def _columns(runs: list[RunState]) -> list[str]:
    """Return the parameters that vary, all of them if none does."""
    names = list(dict.fromkeys(name for run in runs for name in run.params))
    return [name for name in names if len({canonical(run.params.get(name)) for run in runs}) > 1] or names


def active_runs(state: SweepState) -> list[str]:
    """Return the runs that train now: those of the first unfinished groups, up to the number of slots."""
    active: list[str] = []
    groups = 0
    for group in state.groups if state.status == "running" else ():  # in the order in which they begin
        rung = group.conditions.get("rung")
        stop_epochs = state.stop_epochs if group.conditions.get("leg") == state.stage else {}
        ids = [run for program in group.programs for trajectory in program for run in trajectory]
        known = [state.runs[run] for run in ids if run in state.planned and run in state.runs]
        behind = [run.id for run in known if _is_behind(run, stop_epochs.get(run.id, rung))]
        active += behind
        groups += bool(behind)
        if groups == group.conditions.get("places", 1):
            break
    return active


def _is_behind(run: RunState, stop_epoch: int | None) -> bool:
    return run.outcome is None and (stop_epoch is None or len(run.records) < stop_epoch)


def runs_to_come(state: SweepState) -> int:
    """Return the most runs that a search will still suggest, by its journal alone."""
    search = (state.sweep or {}).get("search")
    if not isinstance(search, Mapping) or not isinstance(search.get("runs"), int):
        return 0  # a grid
    rounds = [asked for asked in state.rounds if asked.space == state.rounds[-1].space]
    if rounds and not rounds[-1].picks:  # nothing new was left in the space
        return 0
    replicates = Counter(run.trial_id for run in state.runs.values()).most_common(1)
    left = int(search["runs"]) - sum(len(asked.picks) for asked in rounds)
    return max(left, 0) * (replicates[0][1] if replicates else 1)
