"""The keys that shape the space of trials: `zip`, `when`, `exclude`, `include`; checked against the axes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cnnsweep.config.axis import Values
from cnnsweep.config.conditions import Alternative, Comparison, Condition, is_number, read_alternatives
from cnnsweep.config.dump import as_written, flow_yaml
from cnnsweep.config.error_messages import Mistake
from cnnsweep.config.include import IncludedTrials
from cnnsweep.config.schema import Params, SweepFile
from cnnsweep.config.yaml import KeyPath
from cnnsweep.config.zips import no_such_axis, read_zips
from cnnsweep.field_types import found
from cnnsweep.samplers.space import Interval
from cnnsweep.types import ModelChoice

_MOST_SHOWN = 8  # values of a key, in a message


@dataclass(frozen=True, slots=True)
class SpaceRules:
    """See `SweepSpec` for the fields."""

    zips: tuple[tuple[str, ...], ...]
    when: Mapping[str, Condition]
    exclude: tuple[Condition, ...]
    include: tuple[Mapping[str, Any], ...]


def read_space_rules(
    sweep: SweepFile, axes: Mapping[str, Values], model: ModelChoice | None, folder: Path
) -> tuple[SpaceRules, list[Mistake]]:
    """Return the rules of a file for its space, and the mistakes in them.

    Args:
        sweep: the file, whose four keys are as they were written.
        axes: the checked axes, in the file's order.
        model: the top-level model.
        folder: the folder of a user's own code.
    """
    mistakes: list[Mistake] = []
    zips = tuple(read_zips(sweep.zip, axes, mistakes))
    when = _Reader(axes, folder, mistakes).read_when(sweep.when, model, zips)
    include = IncludedTrials(axes, when, model, folder).read(sweep.include, mistakes)
    # A trial beside the space may bring keys that no axis has; conditions may name them too.
    columns = dict(axes)
    for trial_params in include:
        for key, value in trial_params.items():
            known = columns.get(key, ())
            columns[key] = known if isinstance(known, Interval) else (*known, value)
    exclude = _Reader(columns, folder, mistakes).read_exclude(sweep.exclude)
    return SpaceRules(zips, when, exclude, include), mistakes


class _Reader:
    """Reads conditions on some keys.

    Args:
        values: of each key that may be named, all of its values.
        mistakes: the list that mistakes are added to.
    """

    def __init__(self, values: Mapping[str, Values], folder: Path, mistakes: list[Mistake]) -> None:
        self._values = values
        self._folder = folder
        self._mistakes = mistakes
        self._known: dict[str, frozenset[str]] = {}

    def read_when(
        self, value: Any, model: ModelChoice | None, zips: Sequence[tuple[str, ...]]
    ) -> Mapping[str, Condition]:
        """Return the condition of each key that has one."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            text = f"{found(value)}, allowed is a mapping such as {{momentum: {{optimizer: sgd}}}}"
            self._mistakes.append(Mistake(("when",), text))
            return {}
        when: dict[str, Condition] = {}
        for key, tests in value.items():
            problem = self._no_condition(key, model, zips)
            if problem is not None:
                self._mistakes.append(Mistake(("when", key), problem, at_key=True))
            elif isinstance(tests, dict) and key in tests:
                self._mistakes.append(Mistake(("when", key, key), "a key cannot depend on itself", at_key=True))
            elif (condition := self._read(tests, ("when", key))) is not None:
                when[key] = condition
        in_circles = [key for key in when if key in _needed(key, when)]
        for key in in_circles:
            text = f"depends on itself by way of others ({', '.join(in_circles)})"
            self._mistakes.append(Mistake(("when", key), text, at_key=True))
        return when

    def _no_condition(self, key: str, model: ModelChoice | None, zips: Sequence[tuple[str, ...]]) -> str | None:
        """Return the reason why a key cannot have a condition; None if it can."""
        if key not in self._values:
            return no_such_axis(key, self._values)
        if key == "model" and model is None:
            return "there is no model for the other trials; add a `model` at the top of the file"
        for names in zips:
            if key in names:
                others = ", ".join(name for name in names if name != key)
                return f"moves together with {others} (zip), so it has no condition of its own; leave one of them out"
        return None

    def read_exclude(self, value: Any) -> tuple[Condition, ...]:
        """Return the conditions of a list."""
        if value is None:
            return ()
        if not isinstance(value, list) or not value:
            text = f"{found(value)}, allowed is a list of conditions such as [{{lr: '> 0.1', optimizer: adam}}]"
            self._mistakes.append(Mistake(("exclude",), text))
            return ()
        conditions = [self._read(tests, ("exclude", position)) for position, tests in enumerate(value)]
        return tuple(condition for condition in conditions if condition is not None)

    def _read(self, tests: Any, path: KeyPath) -> Condition | None:
        if not isinstance(tests, dict) or not tests:
            what = "found an empty mapping" if tests == {} else found(tests)
            text = f"{what}, allowed is a mapping of keys and values such as {{optimizer: sgd, lr: '> 0.1'}}"
            self._mistakes.append(Mistake(path, text))
            return None
        read: dict[str, tuple[Alternative, ...]] = {}
        for key, value in tests.items():
            here = (*path, key)
            if key not in self._values:
                self._mistakes.append(Mistake(here, no_such_axis(key, self._values), at_key=True))
                continue
            try:
                alternatives = tuple(self._as_key_reads(key, one) for one in read_alternatives(value))
            except ValueError as error:
                self._mistakes.append(Mistake(here, str(error)))
                continue
            problem = self._value_problem(key, value, alternatives)
            if problem is None:
                read[key] = alternatives
            else:
                self._mistakes.append(Mistake(here, problem))
        return Condition(read) if len(read) == len(tests) else None

    def _as_key_reads(self, key: str, alternative: Alternative) -> Alternative:
        """Return a comparison as the key itself reads its value: `yes` is true, `crop+flip` is `flip+crop`."""
        return tuple(
            one if one.is_order else Comparison(one.operator, _read_as(key, one.value, self._folder))
            for one in alternative
        )

    def _value_problem(self, key: str, written: Any, alternatives: Sequence[Alternative]) -> str | None:
        """Return the message for values that a key never has: such a condition is a slip, and would never hold."""
        values = self._values[key]
        for one in (one for alternative in alternatives for one in alternative):
            if isinstance(values, Interval):
                if not is_number(one.value):
                    return f"{found(one.value)}, but {key} is a number"
            elif one.is_order:
                if not any(map(is_number, values)):
                    return f"{key} is not a number, so nothing is larger or smaller"
            elif _token(one.value) not in self._known_values(key, values):
                return self._no_value(key, written, one.value, values)
        return None

    def _known_values(self, key: str, values: Sequence[Any]) -> frozenset[str]:
        """Return the values of a key, and the bare names of those with arguments."""
        if key not in self._known:
            written = [as_written(value) for value in values]
            names = [value["name"] for value in written if isinstance(value, dict) and "name" in value]
            self._known[key] = frozenset(map(_token, [*written, *names]))
        return self._known[key]

    def _no_value(self, key: str, written: Any, value: Any, values: Sequence[Any]) -> str:
        if isinstance(value, str) and value.endswith("\n"):
            return "found a block of text; a comparison has to stand in quotes, such as '> 0.1'"
        if isinstance(written, list) and _token(written) in self._known_values(key, values):
            return f"a list means one of its values here; for the list itself write {flow_yaml([written])}"
        shown = [flow_yaml(as_written(one)) for one in values[:_MOST_SHOWN]]
        rest = f" and {len(values) - len(shown):,} more" if len(values) > len(shown) else ""
        return f"{found(value)}, which is none of the values of {key}: {', '.join(dict.fromkeys(shown))}{rest}"


def _read_as(key: str, value: Any, folder: Path) -> Any:
    if key not in Params.model_fields:
        return value
    try:
        params = Params.model_validate({key: [value]}, context={"folder": folder})
    except ValidationError:
        return value  # which will be none of the key's values, and be refused
    return as_written(getattr(params, key)[0])


def _token(value: Any) -> str:
    """Return text that is the same for equal values: 1 and 1.0, but not 1 and true."""
    return json.dumps(value if not isinstance(value, int) or isinstance(value, bool) else _as_float(value), default=str)


def _as_float(value: int) -> float | int:
    return float(value) if abs(value) < 2**53 else value


def _needed(key: str, when: Mapping[str, Condition]) -> set[str]:
    """Return the keys that a conditional key depends on, directly or not."""
    needed: set[str] = set()
    waiting = [key]
    while waiting:
        for name in when[waiting.pop()].tests:
            if name not in needed:
                needed.add(name)
                waiting += [name] if name in when else []
    return needed
