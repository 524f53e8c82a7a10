"""The tuning loop: train all pending runs to the pruner's next rung, prune, regroup the survivors, repeat.

Between two stages the survivors are grouped anew, so that no group is half empty. If all trials are known beforehand,
all train to the same rung: each is compared with all others, whichever trained first. A sampler that learns adds trials
between two stages; their runs train together with the active ones. Without rungs there is one stage, to the last epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, suppress

from cnnsweep.executors.factory import ExecutorFactory
from cnnsweep.planning.scheduling import CostModel, Job
from cnnsweep.planning.stage import TO_THE_ENDS, Stage
from cnnsweep.training.data_module import DataModule
from cnnsweep.tuner.group_cache import Fuse, PlannedGroup, conditions
from cnnsweep.tuner.grouping import choose_groups, foreseen_job
from cnnsweep.tuner.training_events import TrainingEvents
from cnnsweep.tuner.trials import TrialQueue
from cnnsweep.types import Run


class Tuner:
    """Trains the runs of a sweep, stage by stage.

    Args:
        fuse: see `SweepOptions`.
    """

    def __init__(
        self,
        trials: TrialQueue,
        task: DataModule,
        executors: ExecutorFactory,
        events: TrainingEvents,
        *,
        fuse: Fuse,
    ) -> None:
        self._trials = trials
        self._task = task
        self._executors = executors
        self._events = events
        self._pruner = events.pruner
        self._history = events.writer.history
        self._fuse = fuse
        self._active: list[Run] = []  # that are to train on

    @property
    def is_complete(self) -> bool:
        """True if all runs have ended, and nothing stops the sweep."""
        return self._trials.is_complete and not self._events.is_interrupted

    def run(self) -> None:
        """Train until no run is pending, or the sweep stops.

        Raises:
            ExecutionError: no worker is left.
            FolderError: the folder can no longer be written.
        """
        with closing(self._executors), self._events.work_may_fail(), suppress(KeyboardInterrupt):
            for stage, runs in self._stages():
                due = {run.id for run in runs if self._is_due(run, stage)}
                if due:
                    jobs = self._jobs(runs, stage)
                    self._executors.executor.execute(jobs, self._events)
                self._end_stage(stage, runs, due)
        self._events.end(is_complete=self._trials.is_complete)

    def _stages(self) -> Iterator[tuple[Stage, list[Run]]]:
        """Yield each stage with its runs: the one that the last command left unfinished, then the next ones."""
        self._pruner.add_runs(self._trials.runs)
        self._active = self._trials.pop_pending()
        # A crash may have come between a decision and the end that it means.
        self._remove(self._events.end_pruned(_ids(self._active)))
        if self._trials.mixed_epochs:
            unfinished = Stage.in_passing(self._history.stage, self._history.stop_epochs)
            yield unfinished, [run for run in self._active if run.id in unfinished.stop_epochs]
            if not self._events.is_stopping:  # a journal of an earlier version has no goals, but runs at a rung
                self._remove(self._events.prune_waiting(_ids(self._active)))
        while not self._events.is_stopping and self._add_pending():
            self._pruner.add_runs(self._trials.runs)
            stage = self._next_stage()
            yield stage, [run for run in self._active if not stage.stop_epochs or run.id in stage.stop_epochs]

    def _add_pending(self) -> bool:
        """Add the runs that are to train now, with those of new trials; return whether there are any."""
        is_suggested = True
        while is_suggested:
            is_suggested = self._trials.suggest(self._events.writer, self._events.callbacks)
            self._active += self._trials.pop_pending()
            if self._active:
                return True
        return False

    def _next_stage(self) -> Stage:
        ids = _ids(self._active)
        if self._trials.mixed_epochs:
            return Stage.in_passing(self._history.stage + 1, self._pruner.epochs_to_next_look(ids))
        rung = self._pruner.next_rung(ids)
        if rung is None:
            return TO_THE_ENDS
        return Stage.to_rung(rung, [run.id for run in self._active if self._epochs_done(run) <= rung])

    def _jobs(self, runs: Sequence[Run], stage: Stage) -> list[Job]:
        """Group the runs of a stage, with worker processes if these turn out to be faster, and journal the groups."""
        epochs_done = {run.id: self._epochs_done(run) for run in runs}

        def foresee(planned: PlannedGroup) -> Job:
            return foreseen_job(planned, self._task, epochs_done)

        planned = self._group(runs, stage)
        jobs = list(map(foresee, planned))
        if self._executors.maybe_scale_out(jobs, lambda group, step_s: foresee(PlannedGroup(group, "", step_s))):
            planned = self._group(runs, stage)
            jobs = list(map(foresee, planned))
        slots = self._executors.executor.slots
        if slots > 1:  # the longest first: `watch` takes the order in the journal for that of training
            costs = CostModel(jobs)
            order = sorted(range(len(jobs)), key=lambda number: -costs.of(jobs[number]))
            planned, jobs = [planned[number] for number in order], [jobs[number] for number in order]
        under = conditions(self._task, self._fuse, lockstep=self._trials.lockstep, stage=stage, slots=slots)
        self._events.begin_stage(planned, under, stage)
        return [job for job in jobs if any(self._is_due(run, stage) for run in job.group.runs)]

    def _group(self, runs: Sequence[Run], stage: Stage) -> list[PlannedGroup]:
        return choose_groups(
            runs,
            self._history,
            self._task,
            self._fuse,
            self._events.log_detail,
            lockstep=self._trials.lockstep,
            stage=stage,
            executor=self._executors.executor,
            everyone=self._trials.runs,
        )

    def _end_stage(self, stage: Stage, runs: Sequence[Run], due: Collection[str]) -> None:
        """Prune the runs of a stage, and keep the survivors."""
        if not stage.stop_epochs and not stage.mixed_epochs:
            self._active = []
            return
        # Of these only: a failed run that is to be tried again has an end until it trains.
        self._remove([run_id for run_id in due if self._history.runs[run_id].status.is_final])
        if stage.stop_epochs and not self._events.is_stopping:
            self._remove(self._events.prune_waiting(_ids(runs)))

    def _is_due(self, run: Run, stage: Stage) -> bool:
        """True for a run that is not at its stop epoch, or whose end is not journaled; a crash may leave others."""
        done = self._epochs_done(run)
        return not stage.stop_epochs or done < stage.stop_epochs[run.id] or done >= run.hyperparameters.epochs

    def _epochs_done(self, run: Run) -> int:
        return len(self._history.runs[run.id].records)

    def _remove(self, run_ids: Collection[str]) -> None:
        self._active = [run for run in self._active if run.id not in run_ids]


def _ids(runs: Sequence[Run]) -> list[str]:
    return [run.id for run in runs]
