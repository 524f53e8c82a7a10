"""The keys `ema` and `swa`: averages of a run's weights, or none."""

from __future__ import annotations

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cnnsweep.field_types import JsonSchema, as_int, not_allowed

_MOST_EPOCHS = 1_000_000


class EmaField:
    """The decay of an exponential moving average, or `none`."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_decay)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, {"enum": ["none", None]}]}


class SwaField:
    """A number of last epochs, a share of all epochs, or `none`."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_last_epochs)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        epochs = {"type": "integer", "minimum": 1, "maximum": _MOST_EPOCHS}
        share = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
        return {"anyOf": [epochs, share, {"enum": ["none", None]}]}


def _decay(value: object) -> float | None:
    if value is None or value == "none":
        return None
    if isinstance(value, float) and 0 < value < 1:
        return value
    raise not_allowed(value, "a number above 0 and below 1 such as 0.999, or none")


def _last_epochs(value: object) -> int | float | None:
    if value is None or value == "none":
        return None
    if isinstance(value, float) and 0 < value < 1:
        return value
    # 1.0 is refused: it may be meant as all epochs or as one.
    whole = None if isinstance(value, float) and value == 1 else as_int(value)
    if isinstance(whole, int) and not isinstance(whole, bool) and 1 <= whole <= _MOST_EPOCHS:
        return whole
    raise not_allowed(value, "a number of last epochs from 1, a share of them above 0 and below 1, or none")
