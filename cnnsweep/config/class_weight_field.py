"""The key `class_weight`: none, balanced, sqrt, or a mapping of classes and their weights."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.component_errors import Wrong, refused
from cnnsweep.config.yaml import KeyPath, Position
from cnnsweep.field_types import JsonSchema, found, mistake, not_allowed, unknown_name
from cnnsweep.types import ClassWeights

CLASS_WEIGHT = "class_weight"
_NAMES = ("none", "balanced", "sqrt")
_LEAST, _MOST = 1e-6, 1e6  # beyond, float32 soon has only 0 and infinity
_ALLOWED = f"one of {', '.join(_NAMES)}, or a mapping of classes and weights such as {{truck: 5, ship: 2}}"


class ClassWeightField:
    """One value of the key."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(read_class_weights)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        weight = {"type": "number", "minimum": _LEAST, "maximum": _MOST}
        weights = {
            "type": "object",
            "description": "the weight of each class by its name; of others it is 1",
            "additionalProperties": weight,
            "minProperties": 1,
        }
        return {"anyOf": [{"enum": list(_NAMES)}, weights]}


def read_class_weights(value: object) -> ClassWeights:
    """Return the weights that a value of the sweep file means.

    Raises:
        PydanticCustomError: it is neither a known name nor a mapping.
        ValidationError: weights in the mapping are wrong.
    """
    if isinstance(value, str):
        if value not in _NAMES:
            raise unknown_name(value, _NAMES, f"allowed is {_ALLOWED}")
        return ClassWeights(value)
    if not isinstance(value, dict) or not value:
        what = "found an empty mapping" if value == {} else found(value)
        raise mistake(f"{what}, allowed is {_ALLOWED}")
    wrong: list[Wrong] = [
        ((str(name),), not_allowed(weight, f"a number from {_LEAST} to {_MOST:,.0f}"), weight)
        for name, weight in value.items()
        if not _is_weight(weight)
    ]
    if wrong:
        raise refused(wrong)
    # Whole numbers look alike in conditions, tables and names: 2 and 2.0.
    return ClassWeights("given", tuple(sorted((str(name), _plain(weight)) for name, weight in value.items())))


def _plain(weight: float) -> float:
    return int(weight) if float(weight).is_integer() else weight


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _LEAST <= value <= _MOST


def class_places(key_places: Mapping[KeyPath, Position]) -> dict[str, Position]:
    """Return where a sweep file first names each class that it gives a weight."""
    found: dict[str, Position] = {}
    for path, place in key_places.items():
        if path[0] in ("params", "include") and CLASS_WEIGHT in path[1:-1]:
            found.setdefault(str(path[-1]), place)
    return found
