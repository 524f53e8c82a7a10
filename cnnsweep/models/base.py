"""Base of the models: a config class each, which has the arguments of the sweep file and builds the network.

A new model is a file in this package, or a class of another package behind an entry point `cnnsweep.models`:

    class Linear(ModelConfig, name="linear"):
        \"\"\"one linear layer.\"\"\"
        bias: bool = True

        def build(self, in_channels, num_classes, image_size):
            from torch import nn

            height, width = image_size
            return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * height * width, num_classes, self.bias))

`cnnsweep models` shows the first line of the docstring. `build` draws weights from torch's generator, which is seeded
before.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from cnnsweep.registry import Component, Registry

if TYPE_CHECKING:
    from torch import nn


class ModelConfig(Component):
    """Base of all models.

    Attributes:
        list_arguments: arguments whose value is a list; in `params`, their axis is a list of lists.
    """

    list_arguments: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def accepted(cls) -> Sequence[str] | None:
        """Return the arguments of a class that checks them only in `build`; None if all are fields."""
        return None

    @abstractmethod
    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        """Return a network with random weights for images (N, in_channels, *image_size), giving (N, num_classes).

        Raises:
            Exception: any, if the arguments do not fit the images.
        """


MODELS = Registry("model", "models", ModelConfig)  # type: ignore[type-abstract]  # no instances are made of it
