"""The `dataset` key: a data set by name, its arguments, and how its pixels are normalised."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.choice_field import CLOSED, OPEN, Entry, NameOrCode, name_of
from cnnsweep.config.component_entry import checked_arguments, entry_variants
from cnnsweep.datasets.base import DATASETS
from cnnsweep.field_types import ListOf, Number, OneOf, Plain, mistake, not_allowed
from cnnsweep.plugins import is_reference
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


DATASET_NAME = NameOrCode("data set", DATASETS.names, "cnnsweep datasets")
_NORMALIZE = Field(
    default=Normalization(),
    description="standard (mean and deviation of the training images), none, or {mean: ..., std: ...}",
    json_schema_extra={"default": "standard"},
)


class CustomDataset(BaseModel):
    """A function of the user's, or a data set of another package, with any arguments; its own code checks them."""

    model_config = OPEN
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    name: Annotated[Any, DATASET_NAME] = Field(description="package.module:function or path.py:function")
    normalize: Annotated[Normalization, Normalize()] = _NORMALIZE


_BUILT_IN = entry_variants(DATASETS, DATASET_NAME, {"normalize": (Annotated[Normalization, Normalize()], _NORMALIZE)})


def _dataset_choice(entry: Any) -> DatasetChoice:
    name, arguments = entry.name.name, entry.model_dump(mode="json", exclude={"name", "normalize"}, exclude_unset=True)
    if not is_reference(name):
        arguments = checked_arguments(DATASETS, name, arguments).model_dump(mode="json", exclude_none=True)
    return DatasetChoice(name, arguments, entry.normalize, entry.name.code)


DATASET = Entry(
    names=DATASET_NAME.known,
    own_code=True,
    variants={**_BUILT_IN.models, "<own dataset>": CustomDataset},
    variant_of=lambda mapping: _BUILT_IN.tags.get(name_of(mapping), "<own dataset>"),
    build=_dataset_choice,
    allowed="the name of a data set (see `cnnsweep datasets`), or a mapping with its name and arguments",
)
