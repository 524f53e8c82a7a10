"""The search space of a sweep: the trial of a suggestion, and the suggestion of a trial."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from cnnsweep.config.conditions import is_number
from cnnsweep.config.dump import as_written, short_name
from cnnsweep.config.grid import Dimension, TrialParams, apply_conditions, dimensions
from cnnsweep.config.identity import Identities
from cnnsweep.config.schema import SweepSpec
from cnnsweep.samplers.base import Sampler, Suggestion
from cnnsweep.samplers.space import Dimension as SearchDimension
from cnnsweep.samplers.space import SearchSpace
from cnnsweep.storage.atomic_files import to_json
from cnnsweep.types import Choice, ModelChoice

_MOST_LISTED = 10_000  # suggestions of a space that are listed, which takes some seconds
_COMMON = ("runs", "seed", "round")  # keys of every sampler


class TrialSpace:
    """The dimensions of a sweep file in which a sampler suggests trials, and the values that all trials share.

    Attributes:
        identities: the ids of trials.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self.identities = Identities(spec)
        self._spec = spec
        every = dimensions(spec)
        self._dimensions = {one.name: one for one in every if one.interval is not None or len(one.options) > 1}
        self._fixed: dict[str, Any] = {}
        for one in every:
            if one.name not in self._dimensions:
                self._fixed |= one.at(0)

    @cached_property
    def search_space(self) -> SearchSpace:
        """The space as samplers see it."""
        found = [
            SearchDimension(one.name, interval=one.interval)
            if one.interval is not None
            else SearchDimension(one.name, options=len(one.options))
            for one in self._dimensions.values()
        ]
        return SearchSpace(tuple(found), self._spec.mode)

    def holds(self, picks: Suggestion) -> bool:
        """Return True if a suggestion is one of this space."""
        return picks.keys() == self._dimensions.keys() and all(
            one.interval is not None or (isinstance(picks[name], int) and 0 <= picks[name] < len(one.options))
            for name, one in self._dimensions.items()
        )

    def hash_for(self, sampler: Sampler) -> str:
        """Return a hash of the space and the sampler: suggestions are valid for all commands in which it is equal.

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
            "common": self.identities.trial_id(self.params(some)),
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
    def is_listed(self) -> bool:
        """True if the space is small enough to list all suggestions."""
        return self.combinations <= _MOST_LISTED

    @property
    def combinations(self) -> float:
        """The number of possible suggestions; infinite where a number of an interval is not counted in steps."""
        return math.prod(one.count for one in self._dimensions.values())

    def every_suggestion(self) -> Iterable[Suggestion]:
        """Return all suggestions of a small space; none of another."""
        if self.combinations > _MOST_LISTED:
            return ()
        picks = [
            range(len(one.options)) if one.interval is None else list(one.interval.values())
            for one in self._dimensions.values()
        ]
        return (dict(zip(self._dimensions, each, strict=True)) for each in itertools.product(*picks))

    def params(self, picks: Suggestion) -> TrialParams:
        """Return the trial of a suggestion."""
        values = dict(self._fixed)
        for name, pick in picks.items():
            values |= self._dimensions[name].at(pick)
        ordered = {key: values[key] for key in self._spec.axes if key in values}
        return apply_conditions(self._spec, ordered)

    def suggestion(self, params: TrialParams) -> Suggestion | None:
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
        return picks if to_json(_written(self.params(picks))) == to_json(_written(params)) else None


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
