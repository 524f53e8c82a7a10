"""A key of `params`: one value, a list of them, or a distribution to draw from."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cnnsweep.config.distributions import (
    CHOICE,
    distribution_schema,
    is_choice,
    is_distribution,
    misspelt_distribution,
    read_distribution,
)
from cnnsweep.field_types import JsonSchema, mistake, not_allowed
from cnnsweep.samplers.space import Interval

Values = tuple[Any, ...] | Interval  # the values of an axis, or the numbers that a search draws from


@dataclass(frozen=True)
class AsAxis:
    """Reads a single value as a list of one, and a distribution as an `Interval`.

    Args:
        of_mappings: the key's values may be mappings of any keys, so that only a `choice` is drawn from.
    """

    of_mappings: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        items = handler(schema)["items"]
        values = {"type": "array", "items": items, "minItems": 1}
        choice = {"type": "object", "properties": {CHOICE: values}, "required": [CHOICE]}
        return {"anyOf": [items, values, choice if self.of_mappings else distribution_schema(values)]}

    def _read(self, value: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Any:
        if is_choice(value) if self.of_mappings else is_distribution(value):
            return read_distribution(value, check)
        try:
            return check(axis_values(value))
        except (ValidationError, PydanticCustomError):
            if not self.of_mappings and (text := misspelt_distribution(value)):
                raise mistake(text) from None
            raise


def axis_values(value: object) -> list[Any]:
    """Return the values of a key of `params`: a list's items, or the one value."""
    if value == []:
        raise not_allowed(value, "one value, or a list of one or more")
    return value if isinstance(value, list) else [value]


_T = TypeVar("_T")

Axis = Annotated[tuple[_T, ...], AsAxis()]
MappingAxis = Annotated[tuple[_T, ...], AsAxis(of_mappings=True)]
