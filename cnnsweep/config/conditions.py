"""Conditions on trials: `{optimizer: sgd, momentum: "> 0"}`, for `exclude` and `when`."""

import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cnnsweep.scalars import scalar_value

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_MOST_ALTERNATIVES = 1_000
_COMPARISON = re.compile(r"(>=|<=|==|!=|>|<)\s*(.+)")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One test of a value, in its written form: `> 0.1`, or equality, which is written as the value alone."""

    operator: str
    value: Any

    @property
    def is_order(self) -> bool:
        return self.operator not in ("==", "!=")

    def holds(self, value: Any) -> bool:
        """True if a value passes; a model or schedule with arguments equals its name too."""
        if self.is_order:
            return is_number(value) and _OPERATORS[self.operator](value, self.value)
        is_equal = _is_equal(value, self.value) or (isinstance(value, dict) and value.get("name") == self.value)
        return is_equal == (self.operator == "==")

    def as_written(self) -> Any:
        """Return the form of a sweep file."""
        return self.as_text() if self.operator != "==" or _has_sign(self.value) else self.value

    def as_text(self) -> str:
        """Return it with its sign, as it stands in a text of several."""
        is_text = isinstance(self.value, str)
        return f"{self.operator} {self.value if is_text else json.dumps(self.value)}"


Alternative = tuple[Comparison, ...]  # all of them must hold, such as `> 0.01 and < 0.1`


@dataclass(frozen=True, slots=True)
class Condition:
    """Condition on several keys at once: for each key, one of its alternatives."""

    tests: Mapping[str, tuple[Alternative, ...]]

    def holds(self, written: Mapping[str, Any]) -> bool:
        """True if a trial, with values in their written form, passes; a key that it lacks never does."""
        return all(key in written and self.allows(key, written[key]) for key in self.tests)

    def allows(self, key: str, value: Any) -> bool:
        """True if the value of one of its keys passes."""
        return any(all(one.holds(value) for one in alternative) for alternative in self.tests[key])

    def as_written(self) -> dict[str, Any]:
        """Return the mapping that a sweep file has."""
        written = {}
        for key, alternatives in self.tests.items():
            texts = [
                one[0].as_written() if len(one) == 1 else " and ".join(part.as_text() for part in one)
                for one in alternatives
            ]
            written[key] = texts[0] if len(texts) == 1 and not isinstance(texts[0], list) else texts
        return written


def read_alternatives(value: Any) -> tuple[Alternative, ...]:
    """Return the tests of one key: a value, a comparison, or a list of such, one of which must hold.

    Raises:
        ValueError: the message is the reason.
    """
    if value == []:
        raise ValueError("found an empty list, allowed is a value, a comparison such as '> 0.1', or a list of them")
    if isinstance(value, list) and len(value) > _MOST_ALTERNATIVES:
        raise ValueError(f"found a list of {len(value):,}, allowed are {_MOST_ALTERNATIVES:,} values at most")
    return tuple(map(_read_alternative, value)) if isinstance(value, list) else (_read_alternative(value),)


def _read_alternative(value: Any) -> Alternative:
    if not _has_sign(value):
        return (Comparison("==", value),)
    comparisons = []
    for part in re.split(r"\s+and\s+(?=[<>=!])", value.strip()):
        match = _COMPARISON.fullmatch(part)
        if match is None:
            raise ValueError(f"found {part!r}, allowed is a comparison such as '> 0.1', '<= 3', '!= adam'")
        sign, right = match[1], scalar_value(match[2])
        if sign in ("<", "<=", ">", ">=") and not (is_number(right) and math.isfinite(right)):
            raise ValueError(f"found {part!r}, but only numbers are larger or smaller than others")
        comparisons.append(Comparison(sign, right))
    return tuple(comparisons)


def _has_sign(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip().startswith(("<", ">", "=", "!"))


def is_number(value: Any) -> bool:
    """True for an int or float, which True and False are not here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_equal(value: Any, other: Any) -> bool:
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)
