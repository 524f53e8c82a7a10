"""Rounds of a search: the sampler's next trials, from the sweep file and the journal alone.

So a resumed sweep has the same trials as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cnnsweep.config.grid import TrialParams, count_runs, is_excluded
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import make_runs
from cnnsweep.errors import ResultsError
from cnnsweep.formatting.numbers import count_text
from cnnsweep.samplers.base import Observation, Sampler, Suggestion
from cnnsweep.samplers.random import Random
from cnnsweep.storage.remembered import SuggestedRound
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState
from cnnsweep.tuner.pruning import average_curve
from cnnsweep.tuner.trial_space import TrialSpace
from cnnsweep.types import Run, RunStatus

_REFILL = 0.5  # the share of the trials that train at once that has to end before new ones are suggested
FIRST_ROUND = 10  # trials before any observation: the number that Optuna's TPE draws at random
_PATIENCE = 20  # consecutive refused suggestions, after which trials are drawn at random
_MOST_REFUSED = 1_000  # consecutive refused suggestions, after which little or nothing new is left in the space
_COMMON = ("runs", "seed", "round")  # keys of a sampler that are no options of its own
_MOST_LISTED = 10_000  # trials of a space that are gone through for what is left, which takes some seconds


@dataclass(frozen=True, slots=True)
class Round:
    """Trials suggested at once.

    Attributes:
        event: the fields of the journal's `asked` event.
        runs: the runs of these trials, one for each seed and fold.
    """

    event: Mapping[str, Any]
    runs: tuple[Run, ...]


@dataclass(slots=True)
class _Chosen:
    """A round in the making.

    Attributes:
        known: the ids of the trials of the sweep and of this round.
        useless: suggestions that were refused; they are observations too, or a sampler may repeat them.
    """

    known: set[str]
    suggestions: list[Suggestion] = field(default_factory=list)
    trials: list[TrialParams] = field(default_factory=list)
    trial_ids: list[str] = field(default_factory=list)
    useless: list[Suggestion] = field(default_factory=list)


class TrialSource:
    """Source of the trials of a search; a grid has none."""

    def __init__(self, spec: SweepSpec) -> None:
        """Take the space from a sweep.

        Raises:
            UsageError: the package that the sampler needs is not installed.
        """
        self._spec = spec
        self._sampler = spec.search
        self._replicates = count_runs(spec).replicates
        self._space = ""  # the hash that rounds of this search have in the journal
        if self._sampler is not None:
            self._trial_space = TrialSpace(spec)
            self._space = self._trial_space.hash_for(self._sampler)
            self._sampler.require_package()

    def known_runs(self, history: SweepState) -> tuple[Run, ...]:
        """Return the runs of all rounds that the journal holds.

        Raises:
            ResultsError: a round holds a suggestion that is not in this space.
        """
        every = [picks for asked in self._rounds(history) for picks in asked.picks]
        if not all(self._trial_space.holds(picks) for picks in every):
            raise ResultsError(
                "journal.jsonl: a round of the search holds trials that this sweep file has none of, so cnnsweep did "
                "not write it; restore it from a backup, or start over with --fresh"
            )
        return make_runs(self._spec, [self._trial_space.params(picks) for picks in every]).runs

    def runs_to_come(self, history: SweepState) -> int:
        """Return the most runs that are still to be suggested."""
        return self._left(history) * self._replicates

    @property
    def space_note(self) -> str | None:
        """The note that the space has fewer trials than the search is to try; None where it has enough."""
        if self._sampler is None or self._listed is None or len(self._listed) >= self._sampler.runs:
            return None
        count = count_text(len(self._listed), "trial")
        return f"the search asks for {count_text(self._sampler.runs, 'trial')}, but there are only {count} to try"

    @property
    def is_asynchronous(self) -> bool:
        """True if new trials are suggested in the place of some that have ended, while others still train.

        A pruner with rungs leaves few of a round for most of its epochs, and few together train hardly faster than one.
        TPE and Gaussian processes can use what running trials have reached; a generation of CMA-ES counts as a whole.
        """
        has_rungs = self._spec.early_stop is not None and self._spec.early_stop.has_rungs
        return self._sampler is not None and self._sampler.uses_running and has_rungs

    def ask(self, history: SweepState, runs: Sequence[Run]) -> Round | None:
        """Return the next round, or None if none is due.

        None is due for a grid, at the end of the search, and while enough trials of a sampler that learns are active.

        Args:
            runs: all runs of the sweep so far.
        """
        known = (run for run in runs if run.id in history.runs)
        under_way = {run.trial_id for run in known if not history.runs[run.id].status.is_final}
        if self._sampler is None:
            return None
        left, size = self._left(history), self._size(self._sampler, history)
        is_empty = not runs and not self._rounds(history)  # then a round says that there is nothing to try
        if not (left or is_empty):
            return None
        free = size
        if self._sampler.learns and under_way:
            free -= len(under_way)
            if not self.is_asynchronous or free < max(1, _REFILL * size):
                return None
        return self._choose(self._sampler, min(left, free), history, runs)

    def _rounds(self, history: SweepState) -> list[SuggestedRound]:
        """Return the rounds of this search; picks of another space mean nothing here."""
        return [asked for asked in history.rounds if asked.space == self._space]

    def _left(self, history: SweepState) -> int:
        rounds = self._rounds(history)
        if self._sampler is None or (rounds and not rounds[-1].picks):  # nothing new was left in the space
            return 0
        left = max(self._sampler.runs - sum(len(asked.picks) for asked in rounds), 0)
        if self._listed is None:
            return left
        known = self._included.union(*(asked.trial_ids for asked in rounds))
        return min(left, len(self._listed - known))

    @cached_property
    def _included(self) -> frozenset[str]:
        return frozenset(map(self._trial_space.identities.trial_id, self._spec.include))

    @cached_property
    def _listed(self) -> frozenset[str] | None:
        """The ids of the trials of a small space: all, or the number that the search tries."""
        if self._sampler is None or not self._trial_space.is_listed:
            return None
        enough = self._sampler.runs + len(self._included)
        listed: set[str] = set()
        for picks in self._trial_space.every_suggestion():
            params = self._trial_space.params(picks)
            if not is_excluded(self._spec, params):
                listed.add(self._trial_space.identities.trial_id(params))
            if len(listed) >= enough:
                break
        return frozenset(listed)

    def _size(self, sampler: Sampler, history: SweepState) -> int:
        """Return the size of a round: all trials, or, for a sampler that learns, the number that train at once."""
        if not sampler.learns:
            return sampler.runs
        if (size := getattr(sampler, "round", None)) is not None:
            return int(size)
        if not self._rounds(history):
            return FIRST_ROUND
        return max(history.most_at_once // self._replicates, 1)

    def _choose(self, sampler: Sampler, count: int, history: SweepState, runs: Sequence[Run]) -> Round:
        """Draw until there are `count` trials that are neither excluded nor known."""
        rounds = self._rounds(history)
        observations = self._observations(history, runs)
        drawn = rounds[-1].drawn if rounds else 0
        chosen = _Chosen({run.trial_id for run in runs})
        refused = 0
        while len(chosen.suggestions) < count and refused < _MOST_REFUSED:
            pending = [Observation(one, None, is_pending=True) for one in [*chosen.suggestions, *chosen.useless]]
            is_stuck = refused >= _PATIENCE and sampler.learns
            usual = Random(runs=sampler.runs, seed=sampler.seed) if is_stuck else sampler
            missing = count - len(chosen.suggestions)
            for suggestion in usual.suggest(self._trial_space.search_space, [*observations, *pending], drawn, missing):
                drawn += 1
                if self._take(chosen, suggestion):
                    refused = 0
                else:
                    refused += 1
                    chosen.useless.append(suggestion)
        for suggestion in self._trial_space.every_suggestion() if refused >= _MOST_REFUSED else ():
            if len(chosen.suggestions) < count:
                self._take(chosen, suggestion)
        new = make_runs(self._spec, chosen.trials, {one.name for one in history.runs.values()}).runs
        event = {"space": self._space, "drawn": drawn, "picks": chosen.suggestions}
        return Round({**event, "configurations": chosen.trial_ids}, new)

    def _take(self, chosen: _Chosen, suggestion: Suggestion) -> bool:
        """Add a trial to the round unless it is excluded or known; return whether it was added."""
        params = self._trial_space.params(suggestion)
        if is_excluded(self._spec, params):
            return False
        trial_id = self._trial_space.identities.trial_id(params)
        if trial_id in chosen.known:
            return False
        chosen.known.add(trial_id)
        chosen.suggestions.append(suggestion)
        chosen.trials.append(params)
        chosen.trial_ids.append(trial_id)
        return True

    def _observations(self, history: SweepState, runs: Sequence[Run]) -> list[Observation]:
        """Return one observation for each trial of `include` and of the search, in this order.

        A trial has the runs that the sweep has now: an edited file may have fewer seeds than before.
        """
        by_trial: dict[str, list[RunState]] = {}
        for run in runs:
            by_trial.setdefault(run.trial_id, []).append(history.runs[run.id])
        suggestion_of: dict[str, Suggestion] = {}
        for params in self._spec.include:
            if (suggestion := self._trial_space.suggestion(params)) is not None:
                suggestion_of.setdefault(self._trial_space.identities.trial_id(params), suggestion)
        for asked in self._rounds(history):
            for suggestion, trial_id in zip(asked.picks, asked.trial_ids, strict=True):
                suggestion_of.setdefault(trial_id, suggestion)
        return [
            self._observation(suggestion, trial_id, by_trial.get(trial_id, []))
            for trial_id, suggestion in suggestion_of.items()
        ]

    def _observation(self, suggestion: Suggestion, trial_id: str, runs: Sequence[RunState]) -> Observation:
        curve = average_curve(trial_id, runs, self._spec.objective)
        was_pruned = any(run.status is RunStatus.STOPPED for run in runs)
        is_under_way = any(not run.status.is_final for run in runs)
        by_epoch = {epoch: value for epoch, value in enumerate(curve.selected, start=1) if value is not None}
        value = curve.selected[-1] if curve.selected else None
        is_pending = is_under_way and value is None
        return Observation(suggestion, value, by_epoch if was_pruned or is_under_way else {}, is_pending)
