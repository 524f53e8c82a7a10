"""Rounds of a search: the sampler's next trials, from the sweep file and the journal alone.

So a resumed sweep goes on with the same trials as an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cnnsweep.config.conditions import is_number
from cnnsweep.config.dump import as_written, short_name
from cnnsweep.config.grid import Dimension, TrialParams, apply_conditions, count_runs, dimensions, is_excluded
from cnnsweep.config.identity import Identities
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import make_runs
from cnnsweep.errors import ResultsError
from cnnsweep.formatting.numbers import count_text
from cnnsweep.samplers.base import Observation, Sampler, Suggestion
from cnnsweep.samplers.random import Random
from cnnsweep.samplers.space import Dimension as SearchDimension
from cnnsweep.samplers.space import SearchSpace
from cnnsweep.storage.atomic_files import to_json
from cnnsweep.storage.state import RunState, SuggestedRound, SweepState
from cnnsweep.tuner.pruning import average_curve
from cnnsweep.types import Choice, ModelChoice, Run, RunStatus

_REFILL = 0.5  # of the trials that train at once have ended, before a search asks for others in their place
FIRST_ROUND = 10  # before anything is known: as many as Optuna's TPE draws at random
_PATIENCE = 20  # refused one after the other, before a search that learns draws at random
_MOST_REFUSED = 1_000  # one after the other: little or nothing new is left in the space
_COMMON = ("runs", "seed", "round")  # keys of a sampler that are no options of its own
_MOST_LISTED = 10_000  # trials of a space that are gone through for what is left, which takes some seconds


@dataclass(frozen=True, slots=True)
class Round:
    """Trials chosen at once.

    Attributes:
        event: the fields of the journal's `asked` event.
        runs: their runs, one for each seed and fold.
    """

    event: Mapping[str, Any]
    runs: tuple[Run, ...]


@dataclass(slots=True)
class _Chosen:
    """A round in the making.

    Attributes:
        known: the configurations of the sweep and of this round.
        useless: suggestions that were refused; observed as well, or a sampler may insist on them.
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
        self._identities = Identities(spec)
        self._replicates = count_runs(spec).replicates
        every = [] if self._sampler is None else dimensions(spec)
        self._dimensions = {one.name: one for one in every if one.interval is not None or len(one.options) > 1}
        self._fixed: dict[str, Any] = {}
        for one in every:
            if one.name not in self._dimensions:
                self._fixed |= one.at(0)
        self._space = "" if self._sampler is None else self._hash_of_space(self._sampler)
        if self._sampler is not None:
            self._sampler.require_package()

    def known_runs(self, history: SweepState) -> tuple[Run, ...]:
        """Return the runs of all rounds that the journal holds.

        Raises:
            ResultsError: a round holds a suggestion that is not in this space.
        """
        every = [picks for asked in self._rounds(history) for picks in asked.picks]
        if not all(self._is_of_space(picks) for picks in every):
            raise ResultsError(
                "journal.jsonl: a round of the search holds trials that this sweep file has none of, so cnnsweep did "
                "not write it; restore it from a backup, or start over with --fresh"
            )
        return make_runs(self._spec, [self._setting(picks) for picks in every]).runs

    @cached_property
    def _search_space(self) -> SearchSpace:
        found = [
            SearchDimension(one.name, interval=one.interval)
            if one.interval is not None
            else SearchDimension(one.name, options=len(one.options))
            for one in self._dimensions.values()
        ]
        return SearchSpace(tuple(found), self._spec.mode)

    def _is_of_space(self, picks: Suggestion) -> bool:
        return picks.keys() == self._dimensions.keys() and all(
            one.interval is not None or (isinstance(picks[name], int) and 0 <= picks[name] < len(one.options))
            for name, one in self._dimensions.items()
        )

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
        """Return the next round, or None where none is due: for a grid, at the end, and while a sampler that learns has
        enough trials under way.

        Args:
            runs: all of the sweep so far.
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
        return frozenset(map(self._identities.trial_id, self._spec.include))

    @cached_property
    def _listed(self) -> frozenset[str] | None:
        """The trials of a small space, by configuration: all, or as many as the search tries."""
        if self._sampler is None or self._combinations > _MOST_LISTED:
            return None
        enough = self._sampler.runs + len(self._included)
        listed: set[str] = set()
        for picks in self._every_pick():
            params = self._setting(picks)
            if not is_excluded(self._spec, params):
                listed.add(self._identities.trial_id(params))
            if len(listed) >= enough:
                break
        return frozenset(listed)

    def _size(self, sampler: Sampler, history: SweepState) -> int:
        """Return the size of a round: all trials, or, where results count, as many as train together."""
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
            for suggestion in usual.suggest(self._search_space, [*observations, *pending], drawn, missing):
                drawn += 1
                if self._take(chosen, suggestion):
                    refused = 0
                else:
                    refused += 1
                    chosen.useless.append(suggestion)
        for suggestion in self._every_pick() if refused >= _MOST_REFUSED else ():
            if len(chosen.suggestions) < count:
                self._take(chosen, suggestion)
        new = make_runs(self._spec, chosen.trials, {one.name for one in history.runs.values()}).runs
        event = {"space": self._space, "drawn": drawn, "picks": chosen.suggestions}
        return Round({**event, "configurations": chosen.trial_ids}, new)

    def _take(self, chosen: _Chosen, suggestion: Suggestion) -> bool:
        """Choose a trial, unless it is excluded or known."""
        params = self._setting(suggestion)
        if is_excluded(self._spec, params):
            return False
        trial_id = self._identities.trial_id(params)
        if trial_id in chosen.known:
            return False
        chosen.known.add(trial_id)
        chosen.suggestions.append(suggestion)
        chosen.trials.append(params)
        chosen.trial_ids.append(trial_id)
        return True

    def _hash_of_space(self, sampler: Sampler) -> str:
        """Return a hash that is equal in two commands if suggestions of one mean the same in the other.

        The number of trials, and of those in a round, may differ.
        """
        options = {
            one.name: one.interval.as_written()
            if one.interval is not None
            else [[_identity(value) for value in option] for option in one.options]
            for one in self._dimensions.values()
        }
        # One trial stands for what all have in common, such as data, model, and what the file does not vary.
        some = {name: 0 if one.interval is None else one.interval.at(0.5) for name, one in self._dimensions.items()}
        shape = {
            "common": self._identities.trial_id(self._setting(some)),
            "fixed": {key: _identity(value) for key, value in self._fixed.items() if key in self._spec.when},
            "when": {key: condition.as_written() for key, condition in self._spec.when.items()},
            "exclude": [condition.as_written() for condition in self._spec.exclude],
            "method": short_name(sampler),
            "seed": sampler.seed,
            **{
                key: value
                for key, value in sampler.model_dump(mode="json", exclude_defaults=True).items()
                if key not in _COMMON
            },
        }
        return hashlib.sha256(to_json([options, shape]).encode()).hexdigest()[:16]

    @property
    def _combinations(self) -> float:
        """The number of possible suggestions; infinite where a number of an interval is not counted in steps."""
        return math.prod(one.count for one in self._dimensions.values())

    def _every_pick(self) -> Iterable[Suggestion]:
        """Return all suggestions of a small space; none of another."""
        if self._combinations > _MOST_LISTED:
            return ()
        picks = [
            range(len(one.options)) if one.interval is None else list(one.interval.values())
            for one in self._dimensions.values()
        ]
        return (dict(zip(self._dimensions, each, strict=True)) for each in itertools.product(*picks))

    def _setting(self, picks: Suggestion) -> TrialParams:
        values = dict(self._fixed)
        for name, pick in picks.items():
            values |= self._dimensions[name].at(pick)
        ordered = {key: values[key] for key in self._spec.axes if key in values}
        return apply_conditions(self._spec, ordered)

    def _observations(self, history: SweepState, runs: Sequence[Run]) -> list[Observation]:
        """Return the observations of all trials of the search, in their order, after those of `include`; each once.

        A trial has the runs that the sweep has now: seeds that an edited file no longer names may never have been
        trained.
        """
        by_trial: dict[str, list[RunState]] = {}
        for run in runs:
            by_trial.setdefault(run.trial_id, []).append(history.runs[run.id])
        suggestion_of: dict[str, Suggestion] = {}
        for params in self._spec.include:
            if (suggestion := self._suggestion(params)) is not None:
                suggestion_of.setdefault(self._identities.trial_id(params), suggestion)
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

    def _suggestion(self, params: TrialParams) -> Suggestion | None:
        """Return the suggestion that would give a trial, or None if none does."""
        picks: dict[str, float | int] = {}
        for name, dimension in self._dimensions.items():
            does_not_apply = not any(key in params for key in dimension.keys) and dimension.keys[0] in self._spec.when
            pick = 0 if does_not_apply and dimension.interval is None else _pick(dimension, params)
            if does_not_apply and dimension.interval is not None:
                pick = dimension.interval.at(0.5)  # any will do: it is left out of the trial again
            if pick is None:
                return None
            picks[name] = pick
        return picks if to_json(_written(self._setting(picks))) == to_json(_written(params)) else None


def _pick(dimension: Dimension, params: TrialParams) -> float | int | None:
    values = [params.get(key) for key in dimension.keys]
    if dimension.interval is not None:
        value: Any = values[0]
        inside = is_number(value) and dimension.interval.low <= value <= dimension.interval.high
        return dimension.interval.nearest(value) if inside else None
    return next((n for n, option in enumerate(dimension.options) if list(option) == values), None)


def _written(params: TrialParams) -> dict[str, Any]:
    return {key: as_written(value) for key, value in params.items()}


def _identity(value: Any) -> Any:
    """Return a value of a trial as plain JSON; a user's own code counts by its content too."""
    if isinstance(value, ModelChoice):
        return [as_written(value), value.code]
    choices = value if isinstance(value, tuple) else (value,)
    codes = [one.code for one in choices if isinstance(one, Choice) and one.code is not None]
    return [as_written(value), *codes] if codes else as_written(value)
