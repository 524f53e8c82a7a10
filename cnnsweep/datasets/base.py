"""Base of the data sets: a config class each, which has the arguments of the sweep file and loads the images.

A new data set is a file in this package, or a class of another package behind an entry point `cnnsweep.datasets`:

    class Letters(DatasetConfig, name="letters"):
        \"\"\"Letters: 20,000 + 2,000 grey 28×28 images, 26 classes.\"\"\"
        size: Annotated[int, Whole(8, 64)] = Field(default=28, description="height and width in pixels")

        def load(self, root, loading):
            from cnnsweep.datasets.images import MemoryImages
            from cnnsweep.datasets.dataset import in_memory
            ...
            return in_memory(self.name, MemoryImages(images, labels), test, classes)

`cnnsweep datasets` shows the first line of the docstring.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnnsweep.registry import Component, Registry

if TYPE_CHECKING:
    from cnnsweep.datasets.dataset import Dataset

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """Properties of a data set that are known without reading it; None if they depend on the files.

    Attributes:
        image_shape: (C, H, W).
        classes: number of classes.
        train: number of training images.
        test: number of test images.
        source: origin of the images, for listings.
        class_names: empty if they are unknown.
    """

    image_shape: tuple[int, int, int] | None = None
    classes: int | None = None
    train: int | None = None
    test: int | None = None
    source: str = "another package"
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loading:
    """Conditions of loading.

    Attributes:
        memory_bytes: limit of the images in memory.
        progress: called with the activity, the amount done and the total.
    """

    memory_bytes: int
    progress: Progress


class DatasetConfig(Component):
    """Base of all data sets."""

    @property
    def info(self) -> DatasetInfo:
        """Properties that follow from the name and the arguments."""
        return DatasetInfo()

    def missing_files(self, _root: Path) -> Sequence[str] | None:
        """Return the files to download below the data root; None for a data set without downloads."""
        return None

    @classmethod
    def is_present(cls, root: Path) -> bool | None:
        """Return True if the files are below the data root; None if that depends on arguments.

        A class method: a listing has no arguments.
        """
        missing = cls.model_construct().missing_files(root)
        return None if missing is None else not missing

    @abstractmethod
    def load(self, root: Path, loading: Loading) -> Dataset:
        """Return the images, downloaded or decoded if necessary.

        Raises:
            DataError: the data are missing, damaged or of unexpected content.
        """


DATASETS = Registry("data set", "datasets", DatasetConfig)  # type: ignore[type-abstract]  # no instances are made of it
