"""The settings of a sweep: what its axes, and the keys that shape the space, allow; counted before they are made."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnsweep.spec.axis import Values
from cnnsweep.spec.conditions import Condition
from cnnsweep.spec.distributions import Interval
from cnnsweep.spec.dump import as_written
from cnnsweep.spec.schema import SweepSpec

Setting = Mapping[str, Any]  # values by key of `params`, typed; a key that does not apply is left out

# So many combinations of the axes that conditions name are looked at to count exactly; more are counted without them.
_MOST_COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class Dimension:
    """Axes that move together, mostly a single one.

    Attributes:
        keys: their names.
        options: for each position the values of all keys; empty for an interval.
        interval: what a search draws the one key's value from.
    """

    keys: tuple[str, ...]
    options: tuple[tuple[Any, ...], ...] = ()
    interval: Interval | None = None

    @property
    def name(self) -> str:
        return "+".join(self.keys)

    def at(self, pick: float) -> dict[str, Any]:
        """Return the values for a position among the options, or for a number of the interval."""
        if self.interval is not None:
            return {self.keys[0]: pick}
        return dict(zip(self.keys, self.options[int(pick)], strict=True))


@dataclass(frozen=True, slots=True)
class RunCount:
    """How many runs a sweep has.

    Attributes:
        settings: without those of `include`; an upper bound where `is_exact` is False.
        replicates: seeds times folds.
    """

    settings: int
    included: int
    replicates: int
    is_exact: bool

    @property
    def runs(self) -> int:
        return (self.settings + self.included) * self.replicates


def dimensions(spec: SweepSpec) -> list[Dimension]:
    """Return what moves independently, in the file's order; zipped axes stand where their first one does."""
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
    if spec.search.method != "grid":
        return RunCount(spec.search.runs, len(spec.include), replicates, is_exact=True)
    named = {key for condition in (*spec.exclude, *spec.when.values()) for key in condition.tests} | set(spec.when)
    all_dimensions = dimensions(spec)
    involved = [dimension for dimension in all_dimensions if named & set(dimension.keys)]
    others = math.prod(len(dimension.options) for dimension in all_dimensions if dimension not in involved)
    most = math.prod(len(dimension.options) for dimension in involved)
    if most > _MOST_COUNTED:
        return RunCount(others * most, len(spec.include), replicates, is_exact=False)
    count = sum(1 for _ in _settings(spec, involved)) if involved else 1
    return RunCount(others * count, len(spec.include), replicates, is_exact=True)


def grid_settings(spec: SweepSpec) -> Iterator[Setting]:
    """Yield every combination that the conditions allow, in the file's order, the last axis fastest."""
    return _settings(spec, dimensions(spec))


def apply_conditions(spec: SweepSpec, setting: Setting) -> Setting:
    """Return a setting without the keys whose conditions do not hold."""
    if not spec.when:
        return setting
    kept = {key: value for key, value in setting.items() if key not in spec.when}
    written = {key: as_written(value) for key, value in kept.items()}
    for key in _in_order_of_need(spec.when):
        if key in setting and spec.when[key].holds(written):
            kept[key], written[key] = setting[key], as_written(setting[key])
    return {key: kept[key] for key in setting if key in kept}


def is_excluded(spec: SweepSpec, setting: Setting) -> bool:
    """True if one of the conditions under `exclude` holds."""
    if not spec.exclude:
        return False
    written = {key: as_written(value) for key, value in setting.items()}
    return any(condition.holds(written) for condition in spec.exclude)


def _settings(spec: SweepSpec, of: Sequence[Dimension]) -> Iterator[Setting]:
    """Yield the settings of some dimensions; all that conditions name must be among them."""
    always = [dimension for dimension in of if dimension.keys[0] not in spec.when]
    optional = {dimension.keys[0]: dimension for dimension in of if dimension.keys[0] in spec.when}
    combinations = _combinations(always)
    if optional:
        ordered = [optional[key] for key in _in_order_of_need(spec.when) if key in optional]
        extended = (whole for setting in combinations for whole in _extended(spec.when, setting, ordered))
        combinations = iter(_in_file_order(extended, of))
    return (setting for setting in combinations if not is_excluded(spec, setting))


def _combinations(of: Sequence[Dimension]) -> Iterator[Setting]:
    keys = [key for dimension in of for key in dimension.keys]
    for options in itertools.product(*(dimension.options for dimension in of)):
        yield dict(zip(keys, itertools.chain.from_iterable(options), strict=True))


def _extended(when: Mapping[str, Condition], setting: Setting, optional: Sequence[Dimension]) -> Iterator[Setting]:
    """Yield a setting with every value of the optional keys that apply to it."""
    if not optional:
        yield setting
        return
    first, rest = optional[0], optional[1:]
    key = first.keys[0]
    if not when[key].holds({name: as_written(value) for name, value in setting.items()}):
        yield from _extended(when, setting, rest)
        return
    for (value,) in first.options:
        yield from _extended(when, {**setting, key: value}, rest)


def _in_file_order(settings: Iterable[Setting], of: Sequence[Dimension]) -> list[Setting]:
    """Return settings as `itertools.product` would order them, each with its keys in the file's order."""
    keys = [key for dimension in of for key in dimension.keys]
    # By identity: the values are the very objects of the axes, and a model or schedule has no order of its own.
    place = {
        (key, id(option[n])): position
        for dimension in of
        for n, key in enumerate(dimension.keys)
        for position, option in reversed(list(enumerate(dimension.options)))
    }
    ordered = [{key: setting[key] for key in keys if key in setting} for setting in settings]
    return sorted(ordered, key=lambda one: [place.get((key, id(one.get(key))), -1) for key in keys])


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
