"""The configurable CNN, and presets of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from cnnsweep.field_types import ListOf, Number, OneOf, Whole, YesNo
from cnnsweep.models.base import ModelConfig

if TYPE_CHECKING:
    from torch import nn

_COUNT = Annotated[int, Whole(1, 1_000_000)]


class ConfigurableCNN(ModelConfig):
    """Base of the presets; an argument replaces the preset's value."""

    preset: ClassVar[Mapping[str, Any]] = {}
    list_arguments: ClassVar[tuple[str, ...]] = ("channels", "hidden")

    channels: Annotated[list[int] | None, ListOf(_COUNT, "a list of whole numbers such as [6, 12]", (1, 100))] = Field(
        default=None, description="output channels of each convolution"
    )
    kernel_size: Annotated[
        int | list[int] | None, ListOf(_COUNT, "a whole number above 0, or a list of them", (1, 100), or_single=True)
    ] = Field(default=None, description="side of the kernels in pixels; a list has one per convolution")
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

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        from cnnsweep.models.cnn_module import CNN

        return CNN(in_channels, num_classes, image_size, **{**self.preset, **self.model_dump(exclude_unset=True)})


class LeNet(ConfigurableCNN, name="lenet"):
    """2 convolutions of 5×5 (6 and 12 channels), 2 hidden linear layers (120 and 60); 44,426 parameters."""

    # The Fashion-MNIST tutorial's network: 28×28 → 24 → 12 → 8 → 4, so 12·4·4 = 192 features.
    preset = {"channels": (6, 12), "kernel_size": 5, "hidden": (120, 60)}  # noqa: RUF012 - declared in the base


class CifarCNN(ConfigurableCNN, name="cifar_cnn"):
    """3 convolutions with pooling and 2 linear layers, for small colour images."""

    # Like the CIFAR-10 tutorial: three convolutions and two linear layers, 32×32 → 16 → 8 → 4.
    preset = {  # noqa: RUF012 - declared in the base
        "channels": (32, 64, 128),
        "kernel_size": 3,
        "padding": "same",
        "hidden": (256,),
    }


class PlainCNN(ConfigurableCNN, name="cnn"):
    """a stack of convolutions and linear layers, every size given by arguments."""
