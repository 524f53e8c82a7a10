"""The `model` key, at the top and in `params`: a model by name, and its arguments."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from cnnsweep.config.choice_field import CLOSED, OPEN, Entry, NameOrCode, Refused, name_of
from cnnsweep.config.names import MODELS, PRESET_MODELS, TORCHVISION_MODELS
from cnnsweep.field_types import ListOf, Number, OneOf, Plain, Whole, YesNo
from cnnsweep.types import ModelChoice

MODEL_NAME = NameOrCode("model", MODELS, "cnnsweep models")
_COUNT = Annotated[int, Whole(1, 1_000_000)]
_DATA_DECIDES = Refused("the data set decides it")


LIST_ARGUMENTS = ("channels", "hidden")  # a list is one value of these, not an axis


class PresetModel(BaseModel):
    """The configurable CNN, and the presets of it; an argument replaces the preset's."""

    model_config = CLOSED
    name: Annotated[Any, MODEL_NAME.offering(*PRESET_MODELS)] = Field(description="cnn, or a preset of it")
    channels: Annotated[list[int] | None, ListOf(_COUNT, "a list of whole numbers such as [6, 12]", (1, 100))] = Field(
        default=None, description="output channels of each convolution"
    )
    kernel_size: Annotated[
        int | list[int] | None, ListOf(_COUNT, "a whole number above 0, or a list of them", (1, 100), or_single=True)
    ] = Field(default=None, description="side of the kernels in pixels; a list gives one a convolution")
    hidden: Annotated[
        list[int] | None, ListOf(_COUNT, "a list of whole numbers such as [120, 60], or []", (0, 100))
    ] = Field(default=None, description="sizes of the linear layers before the last; may be empty")
    batch_norm: Annotated[bool | None, YesNo()] = Field(default=None, description="batch norm after each convolution")
    dropout: Annotated[float | None, Number(least=0, below=1)] = Field(
        default=None, description="probability of dropping a value before each linear layer"
    )
    padding: Annotated[str | None, OneOf(("valid", "same"))] = Field(
        default=None, description="valid: a convolution shrinks the image; same: it keeps the size"
    )
    pool: Annotated[int | None, Whole(1, 1000)] = Field(
        default=None, description="side of the max-pooling windows in pixels"
    )


class TorchvisionModel(BaseModel):
    """A classification model of torchvision's; it checks its own arguments when it is built."""

    model_config = OPEN
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    name: Annotated[Any, MODEL_NAME.offering(*TORCHVISION_MODELS)] = Field(
        description="a classification model of torchvision's"
    )
    weights: Annotated[None, Refused("pretrained weights are not supported: every run starts from random ones")] = None
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
    name = name_of(mapping)
    if name in PRESET_MODELS:
        return "<preset>"
    return "<torchvision>" if name in TORCHVISION_MODELS else "<own model>"


def _model_choice(entry: PresetModel | TorchvisionModel | OwnModel) -> ModelChoice:
    # Only what is given: the presets know their own defaults.
    arguments = entry.model_dump(mode="json", exclude={"name"}, exclude_unset=True)
    return ModelChoice(entry.name.name, arguments, entry.name.code)


MODEL = Entry(
    names=MODEL_NAME.known,
    own_code=True,
    variants={"<preset>": PresetModel, "<torchvision>": TorchvisionModel, "<own model>": OwnModel},
    variant_of=_model_variant,
    build=_model_choice,
    allowed="the name of a model (see `cnnsweep models`), or a mapping with its name and arguments",
)
