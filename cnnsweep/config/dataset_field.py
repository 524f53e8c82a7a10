"""The `dataset` key: a data set by name, its arguments, and how its pixels are normalised."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.component_field import Checked, ComponentField, OwnCode
from cnnsweep.config.component_schema import CLOSED
from cnnsweep.datasets.base import DATASETS
from cnnsweep.field_types import JsonSchema, ListOf, Number, OneOf, as_int, mistake, not_allowed
from cnnsweep.types import DatasetChoice, Normalization

_PER_CHANNEL = "one number, or a list of one number a channel"


class NormalizationValues(BaseModel):
    """Mean and deviation as numbers, for pixels scaled to 0..1."""

    model_config = CLOSED
    mean: Annotated[Any, ListOf(Annotated[float, Number()], _PER_CHANNEL, (1, 1000), or_single=True)] = Field(
        description="what is subtracted: one number, or one a channel", examples=[0.5]
    )
    std: Annotated[Any, ListOf(Annotated[float, Number(above=0)], _PER_CHANNEL, (1, 1000), or_single=True)] = Field(
        description="what the difference is divided by: one number, or one a channel", examples=[0.5]
    )


NORMALIZE_TAGS = ("<given>", "<named>")


class Normalize:
    """`standard`, `none`, or a mapping of mean and deviation."""

    kinds = ("standard", "none")

    def __get_pydantic_core_schema__(self, _source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        given = core_schema.no_info_after_validator_function(
            _given_normalization, handler.generate_schema(NormalizationValues)
        )
        named = core_schema.no_info_after_validator_function(
            Normalization, handler.generate_schema(Annotated[str, OneOf(self.kinds)])
        )
        union = core_schema.tagged_union_schema(
            dict(zip(NORMALIZE_TAGS, (given, named), strict=True)),
            discriminator=lambda value: NORMALIZE_TAGS[0] if isinstance(value, dict) else NORMALIZE_TAGS[1],
        )
        return core_schema.no_info_before_validator_function(self._text_or_mapping, union)

    def _text_or_mapping(self, value: object) -> object:
        if not isinstance(value, str | dict):
            raise not_allowed(value, "standard, none or a mapping {mean: ..., std: ...}")
        return value


def _given_normalization(values: NormalizationValues) -> Normalization:
    mean, std = (tuple(value) if isinstance(value, list) else (value,) for value in (values.mean, values.std))
    if len(mean) != len(std) and 1 not in (len(mean), len(std)):
        raise mistake(f"mean has {len(mean)} numbers and std {len(std)}, allowed is one, or one a channel")
    return Normalization("given", mean, std)


class SubsetSize:
    """A share of the training images (0 to 1), or a whole number of them."""

    allowed = "a share of the training images above 0 and below 1, or a whole number of images from 1"

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        share = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
        return {"anyOf": [share, {"type": "integer", "minimum": 1}]}

    def _check(self, value: object) -> int | float:
        if isinstance(value, float) and 0 < value < 1:
            return value
        # 1.0 is refused, as in `validation`: it may be meant as everything or as one image.
        whole = None if value == 1.0 and isinstance(value, float) else as_int(value)
        if isinstance(whole, int) and not isinstance(whole, bool) and 1 <= whole <= 1_000_000_000:
            return whole
        raise not_allowed(value, self.allowed)


class DatasetKeys(BaseModel):
    """Keys that every data set has."""

    model_config = CLOSED
    normalize: Annotated[Normalization, Normalize()] = Field(
        default=Normalization(),
        description="standard (mean and deviation of the training images), none, or {mean: ..., std: ...}",
        json_schema_extra={"default": "standard"},
    )
    subset: Annotated[int | float | None, SubsetSize()] = Field(
        default=None,
        description="use only a share or a number of the training images, drawn by the sweep's seed in each class",
        examples=[0.1],
    )


def _dataset_choice(checked: Checked) -> DatasetChoice:
    """Return the data set with all its arguments; those of own code as given."""
    assert isinstance(checked.extra, DatasetKeys)
    arguments = checked.fields.model_dump(mode="json", exclude_none=checked.component is not None)
    keys = checked.extra
    return DatasetChoice(checked.origin.name, arguments, keys.normalize, checked.origin.code, keys.subset)


DATASET = ComponentField(
    DATASETS,
    "{name: image_folder, path: photos}",
    extra=DatasetKeys,
    yields=("subset",),
    own=OwnCode.ANY,
    see="cnnsweep datasets",
    build=_dataset_choice,
)
