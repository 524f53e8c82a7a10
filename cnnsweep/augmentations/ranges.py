"""Fields of augmentations that are a range, such as `scale: [0.5, 1]`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from cnnsweep.field_types import JsonSchema, found, mistake

Range = tuple[float, float]


@dataclass(eq=False, repr=False)
class Between:
    """Two numbers [low, high] within bounds; where `or_single`, also one number for its meaning around the middle.

    Args:
        most: the largest number; None for any.
    """

    least: float
    most: float | None
    above: bool = False
    or_single: bool = False

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        bounds: dict[str, Any] = {"gt" if self.above else "ge": self.least, "le": self.most}
        number = core_schema.float_schema(strict=True, allow_inf_nan=False, **bounds)
        ranges: CoreSchema = core_schema.tuple_positional_schema([number, number])
        if self.or_single:
            single = core_schema.float_schema(strict=True, allow_inf_nan=False, ge=0, le=self.most)
            ranges = core_schema.union_schema([single, ranges], mode="left_to_right")
        return core_schema.no_info_wrap_validator_function(self._checked, ranges)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        most = {} if self.most is None else {"maximum": self.most}
        number = {"type": "number", "exclusiveMinimum" if self.above else "minimum": self.least, **most}
        pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        return {"anyOf": [{"type": "number", "minimum": 0, **most}, pair]} if self.or_single else pair

    def _checked(self, value: object, handler: Callable[[object], Range | float]) -> Range | float:
        try:
            checked = handler(value)
            if isinstance(checked, float) or checked[0] <= checked[1]:
                return checked
        except ValidationError:
            pass
        is_short = isinstance(value, list) and 0 < len(value) <= 4
        shown = f"found {value!r:.60}" if is_short else found(value)
        raise mistake(f"{shown}, allowed is {self._allowed}")

    @property
    def _allowed(self) -> str:
        most = "" if self.most is None else f" and at most {self.most:g}"
        pair = f"two numbers [low, high] {'above' if self.above else 'of at least'} {self.least:g}{most}"
        return f"a number of at least 0{most}, or {pair}" if self.or_single else pair
