"""The `augment` key of `params`: `none`, names joined with `+`, or a mapping with sizes."""

from typing import Annotated

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.choice_field import CLOSED
from cnnsweep.field_types import JsonSchema, Whole, YesNo, not_allowed, unknown_name
from cnnsweep.types import Augmentation

DEFAULT_SIZES = {"flip": True, "crop": 4, "cutout": 8}  # what a name means without a size

_ALLOWED = "none, flip, crop, cutout, some of them joined as flip+crop, or a mapping {flip: true, crop: 4, cutout: 8}"


class AugmentSizes(BaseModel):
    """Which augmentations, and how large."""

    model_config = CLOSED
    flip: Annotated[bool, YesNo()] = Field(default=False, description="mirror left to right, every second image")
    crop: Annotated[int, Whole(0, 1000)] = Field(
        default=0, description="pixels of padding before a random crop back to size; 0 is off"
    )
    cutout: Annotated[int, Whole(0, 1000)] = Field(
        default=0, description="side of a random square that is blanked, in pixels; 0 is off"
    )


class Augment:
    """`none`, `flip+crop`, or a mapping of sizes."""

    def __get_pydantic_core_schema__(self, _source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        sizes = handler.generate_schema(AugmentSizes)
        built = core_schema.no_info_after_validator_function(lambda entry: Augmentation(**entry.model_dump()), sizes)
        return core_schema.no_info_before_validator_function(self._as_mapping, built)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        names = "(flip|crop|cutout)"
        examples = ["none", "flip", "flip+crop", "flip+crop+cutout"]
        text = {"type": "string", "pattern": rf"^(none|{names}(\s*\+\s*{names})*)$", "examples": examples}
        return {"anyOf": [text, handler(schema)]}

    def _as_mapping(self, value: object) -> object:
        if isinstance(value, dict):
            return value
        if not isinstance(value, str):
            raise not_allowed(value, _ALLOWED)
        if value == "none":
            return {}
        names = [name.strip() for name in value.split("+")]
        for name in names:
            if name == "none":
                raise not_allowed(value, _ALLOWED)
            if name not in DEFAULT_SIZES:
                raise unknown_name(name, (*DEFAULT_SIZES, "none"), f"allowed is {_ALLOWED}")
        return {name: DEFAULT_SIZES[name] for name in names}
