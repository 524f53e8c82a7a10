"""Training in legs: under a rule with rungs, runs train until some come to one, the losers leave, the others go on.

Between two legs those that are left are grouped anew, so that what trains together is never half empty. Where all
settings are known beforehand, all train to the same rung: each is judged against all others, whichever trained first.
A search that learns asks for further settings between two legs; they train together with those that are on their way.
Without such a rule there is one leg, to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cnnsweep.executors.factory import Workforce
from cnnsweep.planning.scheduling import Costs, Load
from cnnsweep.planning.stage import TO_THE_ENDS, Leg
from cnnsweep.storage.state import SweepHistory
from cnnsweep.training.data_module import TrainingTask
from cnnsweep.tuner.callbacks import Supervisor
from cnnsweep.tuner.group_cache import Fuse, PlannedGroup, conditions
from cnnsweep.tuner.grouping import choose_groups, foreseen_load
from cnnsweep.types import Run, RunGroup


@dataclass(frozen=True, slots=True)
class LegTrainer:
    """Trains runs of a sweep, leg after leg.

    Attributes:
        in_step: see `choose_groups`.
        mixes_epochs: further settings come between two legs, so runs go on together wherever they are.
        everyone: gives every run of the sweep.
    """

    task: TrainingTask
    fuse: Fuse
    in_step: bool
    mixes_epochs: bool
    history: SweepHistory
    workforce: Workforce
    supervisor: Supervisor
    everyone: Callable[[], Sequence[Run]] = tuple

    def finish_leg(self, runs: Sequence[Run]) -> list[Run]:
        """Bring a leg to its end that was cut short when the sweep last ran; return the runs that go on.

        Raises:
            FolderError, KeyboardInterrupt: as `train_leg`.
        """
        # A crash may have come between a verdict and the end that it means.
        losers = self.supervisor.end_losers([run.id for run in runs])
        runs = [run for run in runs if run.id not in losers]
        if not self.mixes_epochs:
            return runs
        cut_short = [run for run in runs if run.id in self.history.goals]
        ended = self._train(cut_short, Leg.in_passing(self.history.leg, self.history.goals))
        if not self.supervisor.is_stopping:  # a journal of an earlier version has no goals, but runs at a rung
            ended.update(self.supervisor.judge_waiting([run.id for run in runs if run.id not in ended]))
        return [run for run in runs if run.id not in ended]

    def train_leg(self, runs: Sequence[Run]) -> list[Run]:
        """Train runs until some are to be judged, or a person stops the sweep; return those that go on.

        Raises:
            FolderError: what is reported can no longer be written down.
            KeyboardInterrupt: a person wants to stop at once.
        """
        if not runs:  # a search found nothing new
            return []
        leg = self._next_leg(runs)
        ended = self._train([run for run in runs if not leg.goals or run.id in leg.goals], leg)
        return [run for run in runs if run.id not in ended] if leg.goals else []

    def _next_leg(self, runs: Sequence[Run]) -> Leg:
        judge, ids = self.supervisor.judge, [run.id for run in runs]
        if self.mixes_epochs:
            return Leg.in_passing(self.history.leg + 1, judge.epochs_to_next_look(ids))
        rung = judge.next_rung(ids)
        if rung is None:
            return TO_THE_ENDS
        return Leg.to_rung(rung, [run.id for run in runs if self._epochs_done(run) <= rung])

    def _train(self, runs: Sequence[Run], leg: Leg) -> set[str]:
        """Train runs as far as a leg goes, and judge those that have come there; return the ids of those that ended."""
        due = [run.id for run in runs if self._has_to_train(run, leg.goals)]
        if due:
            self._train_groups(runs, leg)
        # Of these only: a failed run that is to be tried again has an end until it trains.
        ended = {run_id for run_id in due if self.history.runs[run_id].status.is_final}
        if leg.goals and not self.supervisor.is_stopping:
            ended.update(self.supervisor.judge_waiting([run.id for run in runs]))
        return ended

    def _train_groups(self, runs: Sequence[Run], leg: Leg) -> None:
        planned = self._choose(runs, leg)
        epochs_done = {run.id: self._epochs_done(run) for run in runs}

        def foresee(one: PlannedGroup) -> Load:
            return foreseen_load(one, self.task, epochs_done)

        loads = [foresee(one) for one in planned]
        if self.workforce.grow_for(loads, lambda group, step_s: foresee(PlannedGroup(group, "", step_s))):
            planned = self._choose(runs, leg)
            loads = [foresee(one) for one in planned]
        executor = self.workforce.executor
        if executor.places > 1:  # the longest first: who watches takes the order in the journal for that of training
            costs = Costs(loads)
            order = sorted(range(len(loads)), key=lambda number: -costs.of(loads[number]))
            planned, loads = [planned[number] for number in order], [loads[number] for number in order]
        under = conditions(self.task, self.fuse, in_step=self.in_step, leg=leg, places=executor.places)
        self.supervisor.begin_leg(planned, under, leg)
        executor.execute([load for load in loads if self._is_behind(load.group)], self.supervisor)

    def _choose(self, runs: Sequence[Run], leg: Leg) -> list[PlannedGroup]:
        return choose_groups(
            runs,
            self.history,
            self.task,
            self.fuse,
            self.supervisor.display.note,
            in_step=self.in_step,
            leg=leg,
            executor=self.workforce.executor,
            everyone=self.everyone(),
        )

    def _is_behind(self, group: RunGroup) -> bool:
        return any(self._has_to_train(run, group.goals) for run in group.runs)

    def _has_to_train(self, run: Run, goals: Mapping[str, int]) -> bool:
        """True for a run that is not at its goal, or is to be told that it is at its end; a crash may leave others."""
        done = self._epochs_done(run)
        return not goals or done < goals[run.id] or done >= run.hyperparameters.epochs

    def _epochs_done(self, run: Run) -> int:
        return len(self.history.runs[run.id].records)
