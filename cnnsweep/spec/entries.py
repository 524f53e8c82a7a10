"""What is written as a name, or as a mapping of a name and its arguments: data sets, models, schedules, augmentation.

Each is checked against a pydantic model of its own and becomes a value of `records.py`; `as_written` is the way back.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, core_schema

from cnnsweep.records import Augmentation, DatasetChoice, ModelChoice, Normalization, Schedule
from cnnsweep.spec.names import DATASETS, EMNIST_SPLITS, MODELS, PRESET_MODELS, SCHEDULES, TORCHVISION_MODELS
from cnnsweep.spec.values import (
    JsonSchema,
    ListOf,
    Number,
    OneOf,
    Plain,
    Text,
    Whole,
    YesNo,
    found,
    mistake,
    not_allowed,
    unknown_name,
)

CLOSED = ConfigDict(frozen=True, extra="forbid")
OPEN = ConfigDict(frozen=True, extra="allow")

DEFAULT_CROP, DEFAULT_CUTOUT = 4, 8  # what `crop` and `cutout` mean without a number

CODE_PATTERN = r"^.+:[A-Za-z_]\w*$"


@dataclass(frozen=True, slots=True)
class Reference:
    """A data set or model by name; `code` is the content hash of a person's own file, whose path is absolute."""

    name: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class NameOrCode:
    """A known name, or a person's own `package.module:name` or `path.py:name`."""

    kind: str
    known: tuple[str, ...]
    see: str

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._reference)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        own = {"type": "string", "pattern": CODE_PATTERN, "description": "package.module:name or path.py:name"}
        return {"anyOf": [{"type": "string", "enum": list(self.known)}, own]}

    def _reference(self, value: object, info: Info) -> Reference:
        if not isinstance(value, str):
            raise not_allowed(value, f"the name of a {self.kind} (see `{self.see}`), or path.py:name")
        if value in self.known:
            return Reference(value)
        if ":" not in value:
            raise unknown_name(value, self.known, f"`{self.see}` lists what is known; your own code is path.py:name")
        file, _, attribute = value.rpartition(":")
        if file.endswith(".py") and attribute.isidentifier():
            return _code_in_file(file, attribute, (info.context or {}).get("folder", Path()))
        if attribute.isidentifier() and all(map(str.isidentifier, file.split("."))):
            return Reference(value)
        raise not_allowed(value, "package.module:name or path.py:name")


def _code_in_file(file: str, attribute: str, folder: Path) -> Reference:
    path = (folder / Path(file).expanduser()).absolute()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        looked_in = "" if Path(file).is_absolute() else " in the sweep file's folder"
        raise mistake(f"there is no file {found(file)[6:]}{looked_in}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise mistake(f"{found(file)} cannot be read: {reason}") from None
    return Reference(f"{path}:{attribute}", hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class Entry:
    """A name, or a mapping whose `name` decides which other keys there are.

    Args:
        names: the JSON Schema of the name.
        variants: the pydantic models of the mapping, by a tag in angle brackets.
        variant_of: gives the tag for a mapping; unknown and missing names need one too.
        build: makes the record from the checked model.
        allowed: the sentence for what is neither text nor a mapping.
    """

    names: JsonSchema
    variants: Mapping[str, type[BaseModel]]
    variant_of: Callable[[dict[str, Any]], str]
    build: Callable[[Any], Any]
    allowed: str

    def __get_pydantic_core_schema__(self, _source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        schemas = {tag: handler.generate_schema(variant) for tag, variant in self.variants.items()}
        checked = core_schema.tagged_union_schema(dict(schemas), discriminator=self.variant_of)
        built = core_schema.no_info_after_validator_function(self.build, checked)
        return core_schema.no_info_before_validator_function(self._as_mapping, built)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [self.names, *handler(schema)["oneOf"]]}

    def _as_mapping(self, value: object) -> object:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, dict):
            raise not_allowed(value, self.allowed)
        return value


@dataclass(frozen=True, slots=True)
class Refused:
    """An argument that may not be given; `why` says what decides it."""

    why: str

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._refuse)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"not": {}, "description": self.why}

    def _refuse(self, _value: object) -> None:
        raise mistake(f"may not be given; {self.why}")


def _name_of(mapping: dict[str, Any]) -> str:
    name = mapping.get("name")
    return name if isinstance(name, str) else ""


# Normalization

_PER_CHANNEL = "one number, or a list of one number a channel"


class NormalizationValues(BaseModel):
    """Mean and deviation as numbers, for pixels scaled to 0..1."""

    model_config = CLOSED
    mean: Annotated[Any, ListOf(Annotated[float, Number()], _PER_CHANNEL, (1, 1000), or_single=True)] = Field(
        description="what is subtracted: one number, or one a channel"
    )
    std: Annotated[Any, ListOf(Annotated[float, Number(above=0)], _PER_CHANNEL, (1, 1000), or_single=True)] = Field(
        description="what the difference is divided by: one number, or one a channel"
    )


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
        schemas = {"<given>": given, "<named>": named}
        union = core_schema.tagged_union_schema(
            dict(schemas), discriminator=lambda value: "<given>" if isinstance(value, dict) else "<named>"
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


# Data sets

DATASET_NAME = NameOrCode("data set", tuple(DATASETS), "cnnsweep datasets")
_NORMALIZE = Field(
    default=Normalization(),
    description="standard (mean and deviation of the training images), none, or {mean: ..., std: ...}",
)
_SIDE = Annotated[int, Whole(1, 10_000)]


class DownloadedDataset(BaseModel):
    """A data set of torchvision's that takes no arguments."""

    model_config = CLOSED
    name: Annotated[Any, DATASET_NAME] = Field(description="the data set")
    normalize: Annotated[Normalization, Normalize()] = _NORMALIZE


class EmnistDataset(BaseModel):
    """EMNIST, which has six splits."""

    model_config = CLOSED
    name: Annotated[Any, DATASET_NAME] = Field(description="emnist")
    normalize: Annotated[Normalization, Normalize()] = _NORMALIZE
    split: Annotated[str, OneOf(EMNIST_SPLITS)] = Field(default="balanced", description="which part of EMNIST")


class ImageFolderDataset(BaseModel):
    """A person's own images, one folder a class."""

    model_config = CLOSED
    name: Annotated[Any, DATASET_NAME] = Field(description="image_folder")
    normalize: Annotated[Normalization, Normalize()] = _NORMALIZE
    path: Annotated[str, Text()] = Field(
        description="the folder with train/ and test/, or with one folder a class", examples=["photos"]
    )
    size: Annotated[
        int | list[int] | None,
        ListOf(_SIDE, "a whole number of pixels above 0, or [height, width]", (2, 2), or_single=True),
    ] = Field(default=None, description="pixels that every image is brought to; without it the most common size")
    channels: Annotated[int | None, OneOfNumbers((1, 3))] = Field(
        default=None, description="1 for grey, 3 for colour; without it what most images are"
    )
    test: Annotated[float, Number(above=0, below=1)] = Field(
        default=0.2, description="share of the images kept for testing, where there is no test/ folder"
    )
    broken: Annotated[str, OneOf(("stop", "skip"))] = Field(
        default="stop", description="what to do at an image that cannot be read"
    )


class ShapesDataset(BaseModel):
    """Drawn shapes, built in."""

    model_config = CLOSED
    name: Annotated[Any, DATASET_NAME] = Field(description="shapes")
    normalize: Annotated[Normalization, Normalize()] = _NORMALIZE
    size: Annotated[int, Whole(8, 512)] = Field(default=28, description="height and width in pixels")
    channels: Annotated[int, OneOfNumbers((1, 3))] = Field(default=1, description="1 for grey, 3 for colour")
    classes: Annotated[int, Whole(2, 10)] = Field(default=10, description="how many kinds of shapes")
    train: Annotated[int, Whole(1, 10_000_000)] = Field(default=10_000, description="how many training images")
    test: Annotated[int, Whole(1, 10_000_000)] = Field(default=2_000, description="how many test images")
    seed: Annotated[int, Whole(0, 2**63 - 1)] = Field(default=0, description="which images are drawn")


class OwnDataset(BaseModel):
    """A person's own function, with any arguments."""

    model_config = OPEN
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    name: Annotated[Any, DATASET_NAME] = Field(description="package.module:function or path.py:function")
    normalize: Annotated[Normalization, Normalize()] = _NORMALIZE


def _dataset_variant(mapping: dict[str, Any]) -> str:
    name = _name_of(mapping)
    special = {"emnist": "<emnist>", "image_folder": "<image_folder>", "shapes": "<shapes>"}
    return special.get(name, "<downloaded>" if name in DATASETS else "<own dataset>")


def _dataset_choice(
    entry: DownloadedDataset | EmnistDataset | ImageFolderDataset | ShapesDataset | OwnDataset,
) -> DatasetChoice:
    arguments = entry.model_dump(mode="json", exclude={"name", "normalize"})
    if not isinstance(entry, OwnDataset):
        arguments = {key: value for key, value in arguments.items() if value is not None}
    return DatasetChoice(entry.name.name, arguments, entry.normalize, entry.name.code)


DATASET = Entry(
    names=DATASET_NAME.json_schema(),
    variants={
        "<downloaded>": DownloadedDataset,
        "<emnist>": EmnistDataset,
        "<image_folder>": ImageFolderDataset,
        "<shapes>": ShapesDataset,
        "<own dataset>": OwnDataset,
    },
    variant_of=_dataset_variant,
    build=_dataset_choice,
    allowed="the name of a data set (see `cnnsweep datasets`), or a mapping with its name and arguments",
)

# Models

MODEL_NAME = NameOrCode("model", MODELS, "cnnsweep models")
_COUNT = Annotated[int, Whole(1, 1_000_000)]
_DATA_DECIDES = Refused("the data set decides it")


class PresetModel(BaseModel):
    """The configurable CNN, and the presets of it; an argument replaces the preset's."""

    model_config = CLOSED
    name: Annotated[Any, MODEL_NAME] = Field(description="cnn, or a preset of it")
    channels: Annotated[list[int], ListOf(_COUNT, "a list of whole numbers such as [6, 12]", (1, 100))] = Field(
        default=[], description="output channels of each convolution"
    )
    kernel_size: Annotated[
        int | list[int], ListOf(_COUNT, "a whole number above 0, or a list of them", (1, 100), or_single=True)
    ] = Field(default=0, description="side of the kernels in pixels; a list gives one a convolution")
    hidden: Annotated[list[int], ListOf(_COUNT, "a list of whole numbers such as [120, 60], or []", (0, 100))] = Field(
        default=[], description="sizes of the linear layers before the last; may be empty"
    )
    batch_norm: Annotated[bool, YesNo()] = Field(default=False, description="batch norm after each convolution")
    dropout: Annotated[float, Number(least=0, below=1)] = Field(
        default=0.0, description="probability of dropping a value before each linear layer"
    )
    padding: Annotated[str, OneOf(("valid", "same"))] = Field(
        default="valid", description="valid: a convolution shrinks the image; same: it keeps the size"
    )
    pool: Annotated[int, Whole(1, 1000)] = Field(default=2, description="side of the max-pooling windows in pixels")


class TorchvisionModel(BaseModel):
    """A classification model of torchvision's; it checks its own arguments when it is built."""

    model_config = OPEN
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    name: Annotated[Any, MODEL_NAME] = Field(description="a classification model of torchvision's")
    weights: Annotated[None, Refused("every run trains from fresh weights")] = None
    num_classes: Annotated[None, _DATA_DECIDES] = None


class OwnModel(BaseModel):
    """A person's own class or function; it checks its own arguments when it is called."""

    model_config = OPEN
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    name: Annotated[Any, MODEL_NAME] = Field(description="package.module:Class or path.py:Class")
    in_channels: Annotated[None, _DATA_DECIDES] = None
    num_classes: Annotated[None, _DATA_DECIDES] = None
    image_size: Annotated[None, _DATA_DECIDES] = None


def _model_variant(mapping: dict[str, Any]) -> str:
    name = _name_of(mapping)
    if name in PRESET_MODELS:
        return "<preset>"
    return "<torchvision>" if name in TORCHVISION_MODELS else "<own model>"


def _model_choice(entry: PresetModel | TorchvisionModel | OwnModel) -> ModelChoice:
    # Only what is given: the presets know their own defaults.
    arguments = entry.model_dump(mode="json", exclude={"name"}, exclude_unset=True)
    return ModelChoice(entry.name.name, arguments, entry.name.code)


MODEL = Entry(
    names=MODEL_NAME.json_schema(),
    variants={"<preset>": PresetModel, "<torchvision>": TorchvisionModel, "<own model>": OwnModel},
    variant_of=_model_variant,
    build=_model_choice,
    allowed="the name of a model (see `cnnsweep models`), or a mapping with its name and arguments",
)

# Schedules of the learning rate: each has only the keys that it uses

_SCHEDULE_NAME = Field(description="how the learning rate moves")
_WARMUP = Field(default=0.0, description="epochs in which the rate first climbs from 0 to lr")


class ConstantSchedule(BaseModel):
    """The learning rate stays."""

    model_config = CLOSED
    name: Annotated[str, OneOf(("constant",))] = _SCHEDULE_NAME
    warmup: Annotated[float, Number(least=0)] = _WARMUP


class CosineSchedule(BaseModel):
    """The learning rate falls along half a cosine."""

    model_config = CLOSED
    name: Annotated[str, OneOf(("cosine",))] = _SCHEDULE_NAME
    warmup: Annotated[float, Number(least=0)] = _WARMUP
    final: Annotated[float, Number(least=0, most=1)] = Field(default=0.0, description="the last rate, as a share of lr")


class OneCycleSchedule(BaseModel):
    """The learning rate climbs to lr and falls again."""

    model_config = CLOSED
    name: Annotated[str, OneOf(("one_cycle",))] = _SCHEDULE_NAME
    peak: Annotated[float, Number(above=0, below=1)] = Field(
        default=0.3, description="the share of training at which lr is reached"
    )


class StepSchedule(BaseModel):
    """The learning rate drops every few epochs."""

    model_config = CLOSED
    name: Annotated[str, OneOf(("step",))] = _SCHEDULE_NAME
    warmup: Annotated[float, Number(least=0)] = _WARMUP
    every: Annotated[int, Whole(1, 1_000_000)] = Field(default=1, description="epochs between two drops")
    factor: Annotated[float, Number(above=0, most=1)] = Field(
        default=0.1, description="what each drop multiplies the rate by"
    )


class UnknownSchedule(BaseModel):
    """Takes every other key, so that a mistyped name is one mistake and not several."""

    model_config = ConfigDict(frozen=True, extra="allow", json_schema_extra={"not": {}})
    name: Annotated[str, OneOf(SCHEDULES)] = _SCHEDULE_NAME


def _schedule_variant(mapping: dict[str, Any]) -> str:
    name = _name_of(mapping)
    return f"<{name}>" if name in SCHEDULES else "<unknown schedule>"


SCHEDULE = Entry(
    names={"enum": list(SCHEDULES)},
    variants={
        "<constant>": ConstantSchedule,
        "<cosine>": CosineSchedule,
        "<one_cycle>": OneCycleSchedule,
        "<step>": StepSchedule,
        "<unknown schedule>": UnknownSchedule,
    },
    variant_of=_schedule_variant,
    build=lambda entry: Schedule(**entry.model_dump()),
    allowed=f"one of {', '.join(SCHEDULES)}, or a mapping such as {{name: cosine, warmup: 2}}",
)
