"""The trials that the axes of a sweep and the keys that shape the space allow; counted before they are made."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnsweep.config.axis import Values
from cnnsweep.config.conditions import Condition
from cnnsweep.config.dump import as_written
from cnnsweep.config.schema import SweepSpec
from cnnsweep.samplers.space import Interval

TrialParams = Mapping[str, Any]  # values by key of `params`, typed; a key that does not apply is left out

OptionIndices = tuple[int, ...]  # of each dimension the index of its option, or `_ABSENT`
Passing = Sequence[tuple[int, Sequence[bool]]]  # of a condition: by the number of a dimension, which options pass

_ABSENT = -1  # a key whose condition does not hold; in the order of trials it comes first

# Most combinations of the axes that conditions name; more are counted without conditions.
_MOST_COUNTED = 100_000
_MOST_CHECKED = 1_000_000  # tests of a condition, or of a part of one, for that


@dataclass(frozen=True, slots=True)
class Dimension:
    """Axes that move together, mostly a single one.

    Attributes:
        keys: their names.
        options: for each position the values of all keys; empty for an interval.
        interval: the numbers that a search draws the one key's value from.
    """

    keys: tuple[str, ...]
    options: tuple[tuple[Any, ...], ...] = ()
    interval: Interval | None = None

    @property
    def name(self) -> str:
        return "+".join(self.keys)

    @property
    def count(self) -> float:
        """Number of suggestions; infinite without steps."""
        return len(self.options) if self.interval is None else self.interval.count

    def at(self, suggestion: float) -> dict[str, Any]:
        """Return the values for a position among the options, or for a number of the interval."""
        if self.interval is not None:
            return {self.keys[0]: suggestion}
        return dict(zip(self.keys, self.options[int(suggestion)], strict=True))


@dataclass(frozen=True, slots=True)
class RunCount:
    """Number of runs of a sweep.

    Attributes:
        trials: without those of `include`; an upper bound where `is_exact` is False.
        replicates: seeds times folds.
    """

    trials: int
    included: int
    replicates: int
    is_exact: bool

    @property
    def runs(self) -> int:
        return (self.trials + self.included) * self.replicates


def dimensions(spec: SweepSpec) -> list[Dimension]:
    """Return the dimensions, in the file's order; zipped axes stand at the first of them."""
    found = []
    zipped = {names[0]: names for names in _zips_in_order(spec)}
    following = {name for names in zipped.values() for name in names[1:]}
    for key, values in spec.axes.items():
        if key not in following:
            found.append(_dimension(zipped.get(key, (key,)), values, spec.axes))
    return found


def count_runs(spec: SweepSpec) -> RunCount:
    """Return how many runs there will be, without making them; in well under a second for any sweep."""
    replicates = max(len(spec.seeds), 1) * (spec.folds or 1)
    if spec.search is not None:
        # A small space may have fewer trials: that many combinations, or less where some come to the same.
        most_tried = min(spec.search.runs, math.prod(dimension.count for dimension in dimensions(spec)))
        is_exact = most_tried == spec.search.runs
        return RunCount(int(most_tried), len(spec.include), replicates, is_exact)
    named = {key for condition in (*spec.exclude, *spec.when.values()) for key in condition.tests} | set(spec.when)
    all_dimensions = dimensions(spec)
    involved = [dimension for dimension in all_dimensions if named & set(dimension.keys)]
    others = math.prod(len(dimension.options) for dimension in all_dimensions if dimension not in involved)
    most = math.prod(len(dimension.options) for dimension in involved)
    conditions = [*spec.exclude, *spec.when.values()]
    checks = sum(len(alternatives) for condition in conditions for alternatives in condition.tests.values())
    longest = max((len(dimension.options) for dimension in involved), default=0)
    if most > _MOST_COUNTED or max(most * len(conditions), longest * checks) > _MOST_CHECKED:
        return RunCount(others * most, len(spec.include), replicates, is_exact=False)
    count = sum(1 for _ in _allowed_indices(spec, involved)) if involved else 1
    return RunCount(others * count, len(spec.include), replicates, is_exact=True)


def grid_params(spec: SweepSpec) -> Iterator[TrialParams]:
    """Yield every combination that the conditions allow, in the file's order, the last axis fastest."""
    of = dimensions(spec)
    indices: Iterable[OptionIndices] = _allowed_indices(spec, of)
    if any(key in spec.when for dimension in of for key in dimension.keys):
        indices = sorted(indices)  # an axis may come before the one that its condition names
    return (_params_at(each, of) for each in indices)


def apply_conditions(spec: SweepSpec, params: TrialParams) -> TrialParams:
    """Return a trial without the keys whose conditions do not hold."""
    if not spec.when:
        return params
    kept = {key: value for key, value in params.items() if key not in spec.when}
    written = {key: as_written(value) for key, value in kept.items()}
    for key in _in_order_of_need(spec.when):
        if key in params and spec.when[key].holds(written):
            kept[key], written[key] = params[key], as_written(params[key])
    return {key: kept[key] for key in params if key in kept}


def is_excluded(spec: SweepSpec, params: TrialParams) -> bool:
    """True if one of the conditions under `exclude` holds."""
    if not spec.exclude:
        return False
    written = {key: as_written(value) for key, value in params.items()}
    return any(condition.holds(written) for condition in spec.exclude)


def _params_at(indices: OptionIndices, of: Sequence[Dimension]) -> TrialParams:
    params: dict[str, Any] = {}
    for index, dimension in zip(indices, of, strict=True):
        if index != _ABSENT:
            params.update(zip(dimension.keys, dimension.options[index], strict=True))
    return params


def _allowed_indices(spec: SweepSpec, of: Sequence[Dimension]) -> Iterator[OptionIndices]:
    """Yield the trials of some dimensions, as indices; all that conditions name must be among them."""
    numbers = {dimension.keys[0]: number for number, dimension in enumerate(of)}
    optional = [(numbers[key], _passing(spec.when[key], of)) for key in _in_order_of_need(spec.when) if key in numbers]
    numbers_optional = {number for number, _ in optional}
    excluded = [_passing(condition, of) for condition in spec.exclude]
    choices = [
        (_ABSENT,) if number in numbers_optional else range(len(dimension.options))
        for number, dimension in enumerate(of)
    ]
    for always in itertools.product(*choices):
        for indices in _extended(always, optional, of):
            if not any(_hold(condition, indices) for condition in excluded):
                yield indices


def _extended(
    indices: OptionIndices, optional: Sequence[tuple[int, Passing | None]], of: Sequence[Dimension]
) -> Iterator[OptionIndices]:
    """Yield a trial with every option of the optional dimensions that apply to it."""
    if not optional:
        yield indices
        return
    (number, condition), rest = optional[0], optional[1:]
    if not _hold(condition, indices):
        yield from _extended(indices, rest, of)
        return
    for index in range(len(of[number].options)):
        yield from _extended((*indices[:number], index, *indices[number + 1 :]), rest, of)


def _passing(condition: Condition, of: Sequence[Dimension]) -> Passing | None:
    """Return which options pass, by the number of the dimension; None where a key is none of theirs."""
    passing = []
    for key in condition.tests:
        number = next((number for number, dimension in enumerate(of) if key in dimension.keys), None)
        if number is None:
            return None  # only trials of `include` have it
        position = of[number].keys.index(key)
        passes = [condition.allows(key, as_written(option[position])) for option in of[number].options]
        passing.append((number, passes))
    return passing


def _hold(condition: Passing | None, indices: OptionIndices) -> bool:
    return condition is not None and all(
        indices[number] != _ABSENT and passes[indices[number]] for number, passes in condition
    )


def _in_order_of_need(when: Mapping[str, Condition]) -> list[str]:
    """Return the conditional keys so that each comes after those that its condition names."""
    ordered: list[str] = []
    while len(ordered) < len(when):
        ordered += [
            key
            for key, condition in when.items()
            if key not in ordered and all(name in ordered or name not in when for name in condition.tests)
        ]
    return ordered


def _zips_in_order(spec: SweepSpec) -> list[tuple[str, ...]]:
    """Return the groups of axes that move together, the axes of each in the file's order."""
    return [tuple(key for key in spec.axes if key in names) for names in spec.zips]


def _dimension(keys: tuple[str, ...], values: Values, axes: Mapping[str, Values]) -> Dimension:
    if isinstance(values, Interval):
        return Dimension(keys, interval=values)
    columns: list[Sequence[Any]] = [column for key in keys if not isinstance(column := axes[key], Interval)]
    return Dimension(keys, tuple(zip(*columns, strict=True)))
