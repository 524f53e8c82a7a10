"""Training in legs: under a rule with rungs, all runs train to the next one, the losers leave, the others go on.

Between two legs those that are left are grouped anew, so that what trains together is never half empty, and a setting
is judged against all others, whichever trained first. Without such a rule there is one leg, to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnsweep.grouping import choose_groups, foreseen_load
from cnnsweep.planning.placement import Costs, Load
from cnnsweep.recording.history import SweepHistory
from cnnsweep.records import Run, RunGroup
from cnnsweep.remembered_groups import Fuse, PlannedGroup, conditions
from cnnsweep.supervision import Supervisor
from cnnsweep.training.feeding import TrainingTask
from cnnsweep.workforce import Workforce


@dataclass(frozen=True, slots=True)
class LegTrainer:
    """Trains runs of a sweep to their ends.

    Attributes:
        in_step: see `choose_groups`.
    """

    task: TrainingTask
    fuse: Fuse
    in_step: bool
    history: SweepHistory
    workforce: Workforce
    supervisor: Supervisor

    def train(self, runs: Sequence[Run]) -> None:
        """Train runs until all have ended, or a person stops the sweep.

        Raises:
            FolderError: what is reported can no longer be written down.
            KeyboardInterrupt: a person wants to stop at once.
        """
        judge, supervisor = self.supervisor.judge, self.supervisor
        last_rung = 0
        # A crash may have come between a verdict and the end that it means.
        losers = supervisor.end_losers([run.id for run in runs])
        runs = [run for run in runs if run.id not in losers]
        while runs:
            ids = [run.id for run in runs]
            rung = judge.next_rung(ids)
            assert rung is None or rung > last_rung, "every setting was judged at the last rung"
            last_rung = rung or 0
            self._train_leg([run for run in runs if rung is None or self._epochs_done(run) <= rung], rung)
            if rung is None or supervisor.is_stopping:
                return
            supervisor.judge_waiting(ids)
            runs = [run for run in runs if not self.history.runs[run.id].status.is_final]

    def _train_leg(self, runs: Sequence[Run], rung: int | None) -> None:
        """Train runs up to a rung, or to their ends."""
        planned = self._choose(runs, rung)
        epochs_done = {run.id: self._epochs_done(run) for run in runs}

        def foresee(one: PlannedGroup) -> Load:
            return foreseen_load(one, self.task, epochs_done, rung)

        loads = [foresee(one) for one in planned]
        if self.workforce.grow_for(loads, lambda group, step_s: foresee(PlannedGroup(group, "", step_s))):
            planned = self._choose(runs, rung)
            loads = [foresee(one) for one in planned]
        executor = self.workforce.executor
        if executor.places > 1:  # the longest first: who watches takes the order in the journal for that of training
            costs = Costs(loads)
            order = sorted(range(len(loads)), key=lambda number: -costs.of(loads[number]))
            planned, loads = [planned[number] for number in order], [loads[number] for number in order]
        under = conditions(self.task, self.fuse, in_step=self.in_step, rung=rung, places=executor.places)
        self.supervisor.begin_leg(planned, under, rung)
        executor.execute([load for load in loads if self._is_behind(load.group, rung)], self.supervisor)

    def _choose(self, runs: Sequence[Run], rung: int | None) -> list[PlannedGroup]:
        return choose_groups(
            runs,
            self.history,
            self.task,
            self.fuse,
            self.supervisor.display.note,
            in_step=self.in_step,
            rung=rung,
            executor=self.workforce.executor,
        )

    def _is_behind(self, group: RunGroup, rung: int | None) -> bool:
        """True if some of a group have not come to the rung; after a crash, some others may be there already."""
        return rung is None or any(self._epochs_done(run) < rung for run in group.runs)

    def _epochs_done(self, run: Run) -> int:
        return len(self.history.runs[run.id].records)
