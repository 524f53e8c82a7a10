"""Pruning in a sweep: calls the pruner with the curves of all trials so far, and applies its decisions."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import fmean

from cnnsweep.formatting.distinct import number_texts
from cnnsweep.metrics.objective import BEST, Objective
from cnnsweep.pruners.base import Curve, Pruner, prune
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState
from cnnsweep.types import EpochRecord, PruneDecision, Run, RunStatus


class PrunerDriver:
    """Calls the pruner for trials of which all runs have reached an epoch.

    Decisions follow from the journal alone: the runs, their epochs, and the decisions before.
    """

    def __init__(self, pruner: Pruner | None, history: SweepState) -> None:
        self._pruner = pruner
        self._history = history
        self._trial_of: dict[str, str] = {}  # by run id
        self._runs: dict[str, list[Run]] = {}  # by trial
        self._positions: dict[str, int] = {}  # by trial, in the order of the sweep
        self._curves: dict[str, Curve] = {}
        self._longest = 0  # the most epochs that any run is to train
        self._changed: dict[str, None] = {}  # a set that keeps the order: their curves have to be made anew

    def add_runs(self, runs: Iterable[Run]) -> None:
        """Take in runs of the sweep, and what the journal knows of them."""
        for run in runs:
            if run.id not in self._trial_of:
                self._trial_of[run.id] = run.trial_id
                self._runs.setdefault(run.trial_id, []).append(run)
                self._positions.setdefault(run.trial_id, len(self._positions))
                self._changed[run.trial_id] = None
                self._longest = max(self._longest, run.hyperparameters.epochs)

    def run_changed(self, run_id: str) -> None:
        """Note that the journal has a new event of a run: an epoch, its end, or its resumption.

        Skipping this call makes decisions that a resume would not reproduce.
        """
        self._changed[self._trial_of[run_id]] = None

    def epochs_to_next_look(self, run_ids: Iterable[str]) -> dict[str, int]:
        """Return each run's last epoch of the next stage, by run id.

        All runs train the same number of epochs: up to the nearest rung or end of any of them. A run that is ahead of
        others of its trial, as only a crash or a failure leaves it, is left out: it waits for them.
        """
        assert self._pruner is not None, "without rungs no run waits"
        by_trial: dict[str, list[str]] = {}
        for run_id in run_ids:
            by_trial.setdefault(self._trial_of[run_id], []).append(run_id)
        done: dict[str, int] = {}
        to_go: list[int] = []
        for trial_id, members in by_trial.items():
            lengths = {run_id: len(self._history.runs[run_id].records) for run_id in members}
            slowest = min(lengths.values())
            done.update((run_id, slowest) for run_id, length in lengths.items() if length == slowest)
            ends = [run.hyperparameters.epochs for run in self._runs[trial_id] if run.id in lengths]
            rungs = self._pruner.rungs(self._longest, trial_id)
            ahead = [rung for rung in rungs if rung > slowest and self._is_open(trial_id, rung, slowest)]
            to_go += [stop - slowest for stop in (*ahead[:1], *ends) if stop > slowest]
        epochs = min(to_go, default=1)  # 1 for a run that is at its end, but crashed before it noticed
        return {run_id: length + epochs for run_id, length in done.items()}

    def next_rung(self, run_ids: Iterable[str]) -> int | None:
        """Return the next epoch at which the trials of some runs are compared.

        None if there is no such epoch left for them, or the pruner looks at each trial after every epoch.
        """
        if self._pruner is None or not self._pruner.has_rungs:
            return None
        found = []
        for trial_id in self._trials(run_ids):
            under_way = self._under_way(trial_id)
            done, epochs = self._epoch(trial_id), max((run.hyperparameters.epochs for run in under_way), default=0)
            found += [
                rung
                for rung in self._pruner.rungs(self._longest, trial_id)
                if done <= rung < epochs and self._is_open(trial_id, rung, done)
            ][:1]
        return min(found, default=None)

    def _is_open(self, trial_id: str, rung: int, done: int) -> bool:
        """True if a rung has no decision, or one that ends runs which have started over and not reached it yet."""
        decision = self._history.decisions.get((trial_id, rung))
        return decision is None or (decision.stops and done < rung)

    @property
    def decides_every_epoch(self) -> bool:
        """True for a pruner without rungs."""
        return self._pruner is not None and not self._pruner.has_rungs

    def new_decisions(self, run_ids: Sequence[str]) -> list[PruneDecision]:
        """Return the pruner's decisions about the trials of these runs, which have just ended an epoch.

        A trial is due once per epoch, when the last of its runs has reached it.
        """
        if self._pruner is None:
            return []
        due: dict[int, list[str]] = {}
        for trial_id in self._trials(run_ids):
            epoch = self._epoch(trial_id)
            if epoch and (trial_id, epoch) not in self._history.decisions:
                due.setdefault(epoch, []).append(trial_id)
        if not due:
            return []
        for trial_id in self._changed:
            self._curves[trial_id] = self._curve(trial_id)
        self._changed.clear()
        objective = self._history.objective
        found = [prune(self._pruner, objective, names, self._curves, self._longest) for _, names in sorted(due.items())]
        return list(itertools.chain.from_iterable(found))

    def stopped(self, run_ids: Sequence[str]) -> list[str]:
        """Return the runs that end here, by the decisions in the journal: all of a trial that are under way.

        Args:
            run_ids: runs that have just ended an epoch.
        """
        if self._pruner is None:  # taken out of the sweep file, so that the runs continue
            return []
        ended = []
        for trial_id in self._trials(run_ids):
            for run in self._under_way(trial_id):
                decision = self._history.decisions.get((trial_id, len(self._history.runs[run.id].records)))
                if decision is not None and decision.stops:
                    ended.append(run.id)
        return ended

    def why_stopped(self, run_id: str) -> str | None:
        """Return the decision that ends a run after its last epoch, as one line; None if a callback stopped it."""
        run = self._history.runs[run_id]
        decision = self._history.decisions.get((self._trial_of[run_id], len(run.records)))
        if decision is None:
            return None
        metric = self._history.objective.metric
        value, threshold = number_texts([decision.value, decision.threshold], 4)
        reached = "has no finite value" if decision.value is None else f"is {value}"
        needed = "" if decision.threshold is None else f", needed was {threshold}"
        if decision.value is not None and decision.value == decision.threshold:
            needed = ", not better than that of others which survive"
        return f"epoch {decision.epoch}: {metric} {reached}{needed} ({decision.rule})"

    def _trials(self, run_ids: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(self._trial_of[run_id] for run_id in run_ids))

    def _under_way(self, trial_id: str) -> list[Run]:
        runs = [run for run in self._runs[trial_id] if not self._history.runs[run.id].status.is_final]
        return [run for run in runs if not _has_diverged(self._history.runs[run.id])]

    def _epoch(self, trial_id: str) -> int:
        """Return the epoch that all active runs have reached; 0 if one has not begun, or none is active."""
        lengths = [len(self._history.runs[run.id].records) for run in self._under_way(trial_id)]
        return min(lengths, default=0)

    def _curve(self, trial_id: str) -> Curve:
        runs = [self._history.runs[run.id] for run in self._runs[trial_id] if run.id in self._history.runs]
        curve = average_curve(trial_id, runs, self._history.objective)
        return dataclasses.replace(curve, position=self._positions[trial_id])


def average_curve(trial_id: str, runs: Sequence[RunState], objective: Objective) -> Curve:
    """Return the mean over a trial's runs, up to the last epoch that all of them have reached.

    From the epoch in which a run diverged, the mean is not finite: its other seeds and folds were lucky. A run that
    failed, for which its hyperparameters need not be the reason, is left out.
    """
    counted = [run for run in runs if run.status is not RunStatus.FAILED]
    going = [run for run in counted if not _has_diverged(run)]
    epochs = max((run.epochs or len(run.records) for run in runs), default=0)
    length = min((len(run.records) for run in going or counted), default=0)
    values, selected, losses = [], [], []
    for run in counted:
        found = [objective.value(record) for record in run.records[:length]]
        found += [None] * (length - len(found))
        finite = [value if value is not None and math.isfinite(value) else None for value in found]
        values.append(finite)
        deciding = [_deciding_loss(record, objective) for record in run.records[:length]]
        deciding += [None] * (length - len(deciding))
        diverged_after = len(run.records) if _has_diverged(run) else None
        selected_values = _selected(finite, deciding, objective, diverged_after)
        selected.append([value for value, _ in selected_values])
        losses.append([loss for _, loss in selected_values])
    return Curve(trial_id, _means(values), _means(selected), epochs, _means(losses))


Selected = tuple[float | None, float | None]  # the metric, and the loss that decides between equal ones


def _selected(
    values: Sequence[float | None], losses: Sequence[float | None], objective: Objective, diverged_after: int | None
) -> list[Selected]:
    """Return the metric of a run that counts after each epoch, by the objective's scope."""
    result: list[Selected] = []
    best: Selected = None, None
    window: deque[Selected] = deque(maxlen=objective.window)
    for position, (value, loss) in enumerate(zip(values, losses, strict=True)):
        best = (value, loss) if objective.is_better(value, best[0]) else best
        if value is not None:
            window.append((value, loss))
        last = _mean([value for value, _ in window]), _mean([loss for _, loss in window])
        has_diverged = diverged_after is not None and position + 1 >= diverged_after
        result.append((None, None) if has_diverged else best if objective.scope == BEST else last)
    return result


def _deciding_loss(record: EpochRecord, objective: Objective) -> float | None:
    loss: float | None = None if objective.tie_breaker is None else record[objective.tie_breaker]
    return loss if loss is not None and math.isfinite(loss) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _means(columns: Sequence[Sequence[float | None]]) -> tuple[float | None, ...]:
    """Return the mean of each epoch; None if one of the runs has no finite value."""
    return tuple(_mean(values) for values in zip(*columns, strict=True))


def _has_diverged(run: RunState) -> bool:
    return bool(run.records) and run.records[-1].divergence is not None
