"""Drawn data sets, which need no network and no files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cnnsweep.datasets.base import DatasetConfig, DatasetInfo, Loading
from cnnsweep.errors import DataError
from cnnsweep.field_types import OneOfNumbers, Whole
from cnnsweep.storage.free_memory import gigabytes

if TYPE_CHECKING:
    from cnnsweep.datasets.dataset import Dataset

_MOST_BYTES = 8 * 10**9  # enough for experiments: ten million images of the usual size


class Shapes(DatasetConfig, name="shapes"):
    """drawn shapes, built in: needs no network and no files."""

    size: Annotated[int, Whole(12, 256)] = Field(default=28, description="height and width in pixels")
    channels: Annotated[int, OneOfNumbers((1, 3))] = Field(default=1, description="1 for grey, 3 for colour")
    classes: Annotated[int, Whole(2, 10)] = Field(default=10, description="number of kinds of shapes")
    train: Annotated[int, Whole(1, 10_000_000)] = Field(default=10_000, description="number of training images")
    test: Annotated[int, Whole(1, 10_000_000)] = Field(default=2_000, description="number of test images")
    seed: Annotated[int, Whole(0, 2**63 - 1)] = Field(default=0, description="seed of the drawing")

    @property
    def info(self) -> DatasetInfo:
        shape = (self.channels, self.size, self.size)
        return DatasetInfo(shape, self.classes, self.train, self.test, "drawn by cnnsweep")

    @classmethod
    def is_present(cls, _root: Path) -> bool:
        return True

    def load(self, _root: Path, loading: Loading) -> Dataset:
        from cnnsweep.datasets.dataset import in_memory
        from cnnsweep.datasets.images import MemoryImages
        from cnnsweep.datasets.shapes import OUTLINES, ShapesOptions, draw_shapes

        needed = (self.train + self.test) * self.channels * self.size**2
        if needed > (most := min(loading.memory_bytes, _MOST_BYTES)):
            raise DataError(
                f"dataset: shapes of {self.train:,} + {self.test:,} images take {gigabytes(needed)}; allowed are "
                f"{gigabytes(most)}: give fewer (train, test) or smaller ones (size)"
            )
        options = ShapesOptions(**self.model_dump())
        train = MemoryImages(*draw_shapes(options, "train", self.train, loading.progress))
        test = MemoryImages(*draw_shapes(options, "test", self.test, loading.progress))
        return in_memory(self.name, train, test, tuple(OUTLINES)[: self.classes])
