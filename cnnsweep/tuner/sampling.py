"""Which settings a search tries next: asked for in rounds, from nothing but the sweep file and the journal.

So a resumed sweep goes on with the very settings that an uninterrupted one would have asked for.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cnnsweep.config.conditions import is_number
from cnnsweep.config.dump import as_written
from cnnsweep.config.grid import Dimension, Setting, apply_conditions, count_runs, dimensions, is_excluded
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.search_entry import Search
from cnnsweep.config.trials import Identities, make_runs
from cnnsweep.errors import ResultsError
from cnnsweep.formatting.numbers import count_text
from cnnsweep.samplers.base import Dimension as SearchDimension
from cnnsweep.samplers.base import Picks, Suggester, Told
from cnnsweep.samplers.methods import make_suggester
from cnnsweep.storage.atomic_files import to_json
from cnnsweep.storage.state import AskedRound, RunHistory, SweepHistory
from cnnsweep.tuner.pruning import average_curve
from cnnsweep.types import Choice, ModelChoice, Run, RunStatus

_REFILL = 0.5  # of the settings that train at once have ended, before a search asks for others in their place
FIRST_ROUND = 10  # before anything is known: as many as Optuna's TPE draws at random
_PATIENCE = 20  # refused one after the other, before a search that learns draws at random
_MOST_REFUSED = 1_000  # one after the other: little or nothing new is left in the space
_MOST_LISTED = 10_000  # settings of a space that are gone through for what is left, which takes some seconds


@dataclass(frozen=True, slots=True)
class Round:
    """Settings chosen at once.

    Attributes:
        event: the fields of the journal's `asked` event.
        runs: the new runs that they come to, with every seed and fold.
    """

    event: Mapping[str, Any]
    runs: tuple[Run, ...]


class Asker:
    """Asks a search for settings; for a grid there is nothing to ask."""

    def __init__(self, spec: SweepSpec) -> None:
        """Take the space from a sweep.

        Raises:
            UsageError: what the method needs is not installed.
        """
        self._spec = spec
        self._search = spec.search
        self._identities = Identities(spec)
        self._replicates = count_runs(spec).replicates
        every = [] if self._is_grid else dimensions(spec)
        self._dimensions = {one.name: one for one in every if one.interval is not None or len(one.options) > 1}
        self._fixed: dict[str, Any] = {}
        for one in every:
            if one.name not in self._dimensions:
                self._fixed |= one.at(0)
        self._space = "" if self._is_grid else self._hash_of_space()
        self._suggester = None if self._is_grid else self._make_suggester(self._search)

    def known_runs(self, history: SweepHistory) -> tuple[Run, ...]:
        """Return the runs of all rounds that the journal holds.

        Raises:
            ResultsError: a round holds what no search in this space asks for.
        """
        every = [picks for asked in self._rounds(history) for picks in asked.picks]
        if not all(self._is_of_space(picks) for picks in every):
            raise ResultsError(
                "journal.jsonl: a round of the search holds settings that this sweep file has none of, so cnnsweep did "
                "not write it; restore it from a backup, or start over with --fresh"
            )
        return make_runs(self._spec, [self._setting(picks) for picks in every]).runs

    def _is_of_space(self, picks: Picks) -> bool:
        return picks.keys() == self._dimensions.keys() and all(
            one.interval is not None or (isinstance(picks[name], int) and 0 <= picks[name] < len(one.options))
            for name, one in self._dimensions.items()
        )

    def runs_to_come(self, history: SweepHistory) -> int:
        """Return how many runs are still to be asked for, at most."""
        return self._left(history) * self._replicates

    @property
    def space_note(self) -> str | None:
        """That the space has fewer settings than are asked for, in words; None where it has enough."""
        if self._is_grid or self._listed is None or len(self._listed) >= self._search.runs:
            return None
        count = count_text(len(self._listed), "setting")
        return f"the search asks for {count_text(self._search.runs, 'setting')}, but there are only {count} to try"

    @property
    def asks_in_passing(self) -> bool:
        """True for a search that asks for settings in the place of some that have ended, while others are on their way.

        A rule with rungs leaves few of a round for most of its epochs, and few together train hardly faster than one.
        TPE and Gaussian processes make do with what those on their way have reached; a generation of CMA-ES is judged
        as a whole.
        """
        has_rungs = self._spec.early_stop is not None and self._spec.early_stop.has_rungs
        return self._search.method in ("tpe", "gp") and has_rungs

    def ask(self, history: SweepHistory, runs: Sequence[Run]) -> Round | None:
        """Return the next settings to try, or None where none is due: for a grid, at the end, and while a search
        that learns has enough runs under way.

        Args:
            runs: all of the sweep so far.
        """
        known = (run for run in runs if run.id in history.runs)
        under_way = {run.configuration for run in known if not history.runs[run.id].status.is_final}
        left, size = self._left(history), self._size(history)
        is_empty = not runs and not self._rounds(history)  # then a round says that there is nothing to try
        if self._suggester is None or not (left or is_empty):
            return None
        free = size
        if self._search.learns and under_way:
            free -= len(under_way)
            if not self.asks_in_passing or free < max(1, _REFILL * size):
                return None
        return self._choose(min(left, free), history, runs)

    @property
    def _is_grid(self) -> bool:
        return self._search.method == "grid"

    def _make_suggester(self, search: Search) -> Suggester:
        space = [
            SearchDimension(one.name, interval=one.interval)
            if one.interval is not None
            else SearchDimension(one.name, options=len(one.options))
            for one in self._dimensions.values()
        ]
        return make_suggester(search, space, self._spec.mode)

    def _rounds(self, history: SweepHistory) -> list[AskedRound]:
        """Return the rounds of this search; picks of another space mean nothing here."""
        return [asked for asked in history.rounds if asked.space == self._space]

    def _left(self, history: SweepHistory) -> int:
        rounds = self._rounds(history)
        if self._is_grid or (rounds and not rounds[-1].picks):  # nothing new was left in the space
            return 0
        left = max(self._search.runs - sum(len(asked.picks) for asked in rounds), 0)
        if self._listed is None:
            return left
        known = self._included.union(*(asked.configurations for asked in rounds))
        return min(left, len(self._listed - known))

    @cached_property
    def _included(self) -> frozenset[str]:
        return frozenset(map(self._identities.configuration, self._spec.include))

    @cached_property
    def _listed(self) -> frozenset[str] | None:
        """The settings of a small space, by configuration: all, or as many as are ever asked for."""
        if self._is_grid or self._combinations > _MOST_LISTED:
            return None
        enough = self._search.runs + len(self._included)
        listed: set[str] = set()
        for picks in self._every_pick():
            setting = self._setting(picks)
            if not is_excluded(self._spec, setting):
                listed.add(self._identities.configuration(setting))
            if len(listed) >= enough:
                break
        return frozenset(listed)

    def _size(self, history: SweepHistory) -> int:
        """Return how many settings train at once: all, or, where results count, as many as are trained together."""
        if not self._search.learns:
            return self._search.runs
        if self._search.round is not None:
            return self._search.round
        if not self._rounds(history):
            return FIRST_ROUND
        return max(history.most_at_once // self._replicates, 1)

    def _choose(self, count: int, history: SweepHistory, runs: Sequence[Run]) -> Round:
        """Draw until there are `count` settings that are neither excluded nor known."""
        assert self._suggester is not None
        rounds = self._rounds(history)
        told = self._told(history, runs)
        drawn = rounds[-1].drawn if rounds else 0
        known = {run.configuration for run in runs}
        at_random = self._make_suggester(Search("random", self._search.runs, self._search.seed))
        chosen: list[Picks] = []
        settings: list[Setting] = []
        configurations: list[str] = []
        useless: list[Picks] = []  # told as well, or a search may insist on them
        refused = 0

        def take(picks: Picks) -> bool:
            """Choose a setting, unless it is excluded or known."""
            setting = self._setting(picks)
            configuration = None if is_excluded(self._spec, setting) else self._identities.configuration(setting)
            if configuration is None or configuration in known:
                return False
            known.add(configuration)
            chosen.append(picks)
            settings.append(setting)
            configurations.append(configuration)
            return True

        while len(chosen) < count and refused < _MOST_REFUSED:
            pending = [Told(picks, None, is_pending=True) for picks in [*chosen, *useless]]
            suggester = self._suggester if refused < _PATIENCE or not self._search.learns else at_random
            for picks in suggester.suggest([*told, *pending], drawn, count - len(chosen)):
                drawn += 1
                if take(picks):
                    refused = 0
                else:
                    refused += 1
                    useless.append(picks)
        for picks in self._every_pick() if refused >= _MOST_REFUSED else ():
            if len(chosen) < count:
                take(picks)
        new = make_runs(self._spec, settings, {one.name for one in history.runs.values()}).runs
        event = {"space": self._space, "drawn": drawn, "picks": chosen, "configurations": configurations}
        return Round(event, new)

    def _hash_of_space(self) -> str:
        """Return what two commands must agree in for picks of one to mean the same in the other; `runs` may differ."""
        options = {
            one.name: one.interval.as_written()
            if one.interval is not None
            else [[_identity(value) for value in option] for option in one.options]
            for one in self._dimensions.values()
        }
        # One setting stands for what all have in common, such as data, model, and what the file does not vary.
        some = {name: 0 if one.interval is None else one.interval.at(0.5) for name, one in self._dimensions.items()}
        shape = {
            "common": self._identities.configuration(self._setting(some)),
            "fixed": {key: _identity(value) for key, value in self._fixed.items() if key in self._spec.when},
            "when": {key: condition.as_written() for key, condition in self._spec.when.items()},
            "exclude": [condition.as_written() for condition in self._spec.exclude],
            "method": self._search.method,
            "seed": self._search.seed,
        }
        return hashlib.sha256(to_json([options, shape]).encode()).hexdigest()[:16]

    @property
    def _combinations(self) -> float:
        """How many picks there are; infinite where a number of an interval is not counted in steps."""
        return math.prod(one.count for one in self._dimensions.values())

    def _every_pick(self) -> Iterable[Picks]:
        """Return all picks of a small space; none of another."""
        if self._combinations > _MOST_LISTED:
            return ()
        picks = [
            range(len(one.options)) if one.interval is None else list(one.interval.values())
            for one in self._dimensions.values()
        ]
        return (dict(zip(self._dimensions, each, strict=True)) for each in itertools.product(*picks))

    def _setting(self, picks: Picks) -> Setting:
        values = dict(self._fixed)
        for name, pick in picks.items():
            values |= self._dimensions[name].at(pick)
        ordered = {key: values[key] for key in self._spec.axes if key in values}
        return apply_conditions(self._spec, ordered)

    def _told(self, history: SweepHistory, runs: Sequence[Run]) -> list[Told]:
        """Return what became of the settings asked for, in their order, after those of `include`; each once.

        A setting is what the sweep has now: seeds that an edited file no longer names may never have been trained.
        """
        by_configuration: dict[str, list[RunHistory]] = {}
        for run in runs:
            by_configuration.setdefault(run.configuration, []).append(history.runs[run.id])
        picks_of: dict[str, Picks] = {}
        for setting in self._spec.include:
            if (picks := self._picks(setting)) is not None:
                picks_of.setdefault(self._identities.configuration(setting), picks)
        for asked in self._rounds(history):
            for picks, configuration in zip(asked.picks, asked.configurations, strict=True):
                picks_of.setdefault(configuration, picks)
        told = []
        for configuration, picks in picks_of.items():
            of_setting = by_configuration.get(configuration, [])
            curve = average_curve(configuration, of_setting, self._spec.objective)
            is_stopped = any(run.status is RunStatus.STOPPED for run in of_setting)
            is_under_way = any(not run.status.is_final for run in of_setting)
            by_epoch = {epoch: value for epoch, value in enumerate(curve.standing, start=1) if value is not None}
            value = curve.standing[-1] if curve.standing else None
            is_pending = is_under_way and value is None
            told.append(Told(picks, value, by_epoch if is_stopped or is_under_way else {}, is_pending))
        return told

    def _picks(self, setting: Setting) -> Picks | None:
        """Return the picks that would give a setting, or None if none do."""
        picks: dict[str, float | int] = {}
        for name, dimension in self._dimensions.items():
            does_not_apply = not any(key in setting for key in dimension.keys) and dimension.keys[0] in self._spec.when
            pick = 0 if does_not_apply and dimension.interval is None else _pick(dimension, setting)
            if does_not_apply and dimension.interval is not None:
                pick = dimension.interval.at(0.5)  # any will do: it is left out of the setting again
            if pick is None:
                return None
            picks[name] = pick
        return picks if to_json(_written(self._setting(picks))) == to_json(_written(setting)) else None


def _pick(dimension: Dimension, setting: Setting) -> float | int | None:
    values = [setting.get(key) for key in dimension.keys]
    if dimension.interval is not None:
        value: Any = values[0]
        inside = is_number(value) and dimension.interval.low <= value <= dimension.interval.high
        return dimension.interval.nearest(value) if inside else None
    return next((n for n, option in enumerate(dimension.options) if list(option) == values), None)


def _written(setting: Setting) -> dict[str, Any]:
    return {key: as_written(value) for key, value in setting.items()}


def _identity(value: Any) -> Any:
    """Return a value of a setting as plain JSON; a user's own code counts by its content too."""
    if isinstance(value, ModelChoice):
        return [as_written(value), value.code]
    choices = value if isinstance(value, tuple) else (value,)
    codes = [one.code for one in choices if isinstance(one, Choice) and one.code is not None]
    return [as_written(value), *codes] if codes else as_written(value)
