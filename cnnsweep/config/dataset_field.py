"""The `dataset` key: a data set by name, its arguments, and how its pixels are normalised."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.choice_field import CLOSED, OPEN, Entry, NameOrCode, name_of
from cnnsweep.config.names import DATASETS, EMNIST_SPLITS
from cnnsweep.field_types import ListOf, Number, OneOf, OneOfNumbers, Plain, Text, Whole, mistake, not_allowed
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


DATASET_NAME = NameOrCode("data set", tuple(DATASETS), "cnnsweep datasets")
_NORMALIZE = Field(
    default=Normalization(),
    description="standard (mean and deviation of the training images), none, or {mean: ..., std: ...}",
    json_schema_extra={"default": "standard"},
)
DOWNLOADED = tuple(name for name, dataset in DATASETS.items() if not dataset.arguments)
_SIDE = Annotated[int, Whole(1, 10_000)]


class DownloadedDataset(BaseModel):
    """A data set of torchvision's that takes no arguments."""

    model_config = CLOSED
    name: Annotated[Any, DATASET_NAME.offering(*DOWNLOADED)] = Field(description="the data set")
    normalize: Annotated[Normalization, Normalize()] = _NORMALIZE


class EmnistDataset(BaseModel):
    """EMNIST, which has six splits."""

    model_config = CLOSED
    name: Annotated[Any, DATASET_NAME.offering("emnist")] = Field(description="EMNIST")
    normalize: Annotated[Normalization, Normalize()] = _NORMALIZE
    split: Annotated[str, OneOf(EMNIST_SPLITS)] = Field(default="balanced", description="which part of EMNIST")


class ImageFolderDataset(BaseModel):
    """A person's own images, one folder a class."""

    model_config = CLOSED
    name: Annotated[Any, DATASET_NAME.offering("image_folder")] = Field(description="your own images")
    normalize: Annotated[Normalization, Normalize()] = _NORMALIZE
    path: Annotated[str, Text()] = Field(
        description="the folder with train/, validation/, test/, or one folder a class; in data root or current folder",
        examples=["photos"],
    )
    size: Annotated[
        int | list[int] | None,
        ListOf(_SIDE, "a whole number of pixels above 0, or [height, width]", (2, 2), or_single=True),
    ] = Field(default=None, description="pixels that every image is brought to; without it the most common size")
    channels: Annotated[int | None, OneOfNumbers((1, 3))] = Field(
        default=None, description="1 for grey, 3 for colour; without it 1 if all images are grey, else 3"
    )
    test: Annotated[float, Number(least=0, below=1)] = Field(
        default=0.2, description="share of the images kept for testing, where no folder says which; 0 for none"
    )
    broken: Annotated[str, OneOf(("stop", "skip"))] = Field(
        default="stop", description="what to do at an image that cannot be read"
    )


class ShapesDataset(BaseModel):
    """Drawn shapes, built in."""

    model_config = CLOSED
    name: Annotated[Any, DATASET_NAME.offering("shapes")] = Field(description="drawn shapes, built in")
    normalize: Annotated[Normalization, Normalize()] = _NORMALIZE
    size: Annotated[int, Whole(12, 256)] = Field(default=28, description="height and width in pixels")
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
    name = name_of(mapping)
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
    names=DATASET_NAME.known,
    own_code=True,
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
