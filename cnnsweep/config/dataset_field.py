"""The `dataset` key: a data set by name, its arguments, and how its pixels are normalised."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.component_field import Checked, ComponentField, OwnCode
from cnnsweep.config.component_schema import CLOSED
from cnnsweep.datasets.base import DATASETS
from cnnsweep.field_types import ListOf, Number, OneOf, mistake, not_allowed
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


class DatasetKeys(BaseModel):
    """Keys that every data set has."""

    model_config = CLOSED
    normalize: Annotated[Normalization, Normalize()] = Field(
        default=Normalization(),
        description="standard (mean and deviation of the training images), none, or {mean: ..., std: ...}",
        json_schema_extra={"default": "standard"},
    )


def _dataset_choice(checked: Checked) -> DatasetChoice:
    """Return the data set with all its arguments; those of own code as given."""
    assert isinstance(checked.extra, DatasetKeys)
    arguments = checked.fields.model_dump(mode="json", exclude_none=checked.component is not None)
    return DatasetChoice(checked.origin.name, arguments, checked.extra.normalize, checked.origin.code)


DATASET = ComponentField(
    DATASETS,
    "{name: image_folder, path: photos}",
    extra=DatasetKeys,
    own=OwnCode.ANY,
    see="cnnsweep datasets",
    build=_dataset_choice,
)
