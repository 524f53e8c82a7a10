"""`image_folder`: the user's own images, one folder a class or with a file of labels, of any size and mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cnnsweep.datasets.base import DatasetConfig, DatasetInfo, Loading
from cnnsweep.datasets.folder_options import DEFAULT_TEST_SHARE, FolderOptions
from cnnsweep.field_types import ListOf, Number, OneOf, OneOfNumbers, Text, Whole

if TYPE_CHECKING:
    from cnnsweep.datasets.dataset import Dataset

_SIDE = Annotated[int, Whole(1, 10_000)]


class ImageFolder(DatasetConfig, name="image_folder"):
    """your own images, one folder a class, any size and mode."""

    path: Annotated[str, Text()] = Field(
        description="the folder with train/, validation/, test/, or one folder a class; in data root or current folder",
        examples=["photos"],
    )
    size: Annotated[
        int | list[int] | None,
        ListOf(_SIDE, "a whole number of pixels above 0, or [height, width]", (2, 2), or_single=True),
    ] = Field(default=None, description="size of all images after resizing, in pixels; without it the most common size")
    channels: Annotated[int | None, OneOfNumbers((1, 3))] = Field(
        default=None, description="1 for grey, 3 for colour; without it 1 if all images are grey, else 3"
    )
    test: Annotated[float, Number(least=0, below=1)] = Field(
        default=DEFAULT_TEST_SHARE,
        description="share of the images kept for testing, if no folder determines it; 0 for none",
    )
    broken: Annotated[str, OneOf(("stop", "skip"))] = Field(
        default="stop", description="treatment of images that cannot be read"
    )
    labels: Annotated[str | None, Text()] = Field(
        default=None,
        description="CSV file in the folder with several labels an image, instead of one folder a class",
        examples=["labels.csv"],
    )

    @property
    def info(self) -> DatasetInfo:
        return DatasetInfo(source="your own files")

    def load(self, root: Path, loading: Loading) -> Dataset:
        from cnnsweep.datasets.folder_loading import load_image_folder

        side = self.size
        size = None if side is None else (side, side) if isinstance(side, int) else (side[0], side[1])
        options = FolderOptions(self.path, size, self.channels, self.test, self.broken, self.labels)
        return load_image_folder(options, root, loading)
