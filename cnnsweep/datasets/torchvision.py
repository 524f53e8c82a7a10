"""The data sets of torchvision: a class each, with its properties and files as plain values."""

from __future__ import annotations

import string
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from cnnsweep.datasets.base import DatasetConfig, DatasetInfo, Loading
from cnnsweep.datasets.torchvision_info import (
    CIFAR10_FILES,
    DIGITS,
    EMNIST_SPLITS,
    TorchvisionFiles,
    emnist_files,
    idx_pair,
    mnist_like,
)
from cnnsweep.field_types import OneOf

if TYPE_CHECKING:
    from cnnsweep.datasets.dataset import Dataset


class TorchvisionDataset(DatasetConfig):
    """Base of torchvision's data sets.

    A further one is a subclass with `files`. torchvision's own class must have arrays as `data` and `targets` or
    `labels`. Its addresses must be of a known kind (`resources`, `tgz_md5`, `split_list`), unless the files are
    present.
    """

    @property
    @abstractmethod
    def files(self) -> TorchvisionFiles:
        """Properties and files for the arguments."""

    @property
    def info(self) -> DatasetInfo:
        files = self.files
        source = f"torchvision.datasets.{files.reader}, downloaded when missing"
        return DatasetInfo(files.image_shape, files.class_count, *files.counts, source, files.classes)

    def missing_files(self, root: Path) -> list[str]:
        return self.files.missing_files(root)

    def load(self, root: Path, loading: Loading) -> Dataset:
        from cnnsweep.datasets.dataset import in_memory
        from cnnsweep.datasets.torchvision_files import load_torchvision

        return in_memory(self.name, *load_torchvision(self.name, self.files, root, loading.progress))


class FashionMNIST(TorchvisionDataset, name="fashion_mnist"):
    """Fashion-MNIST: 60,000 + 10,000 grey 28×28 images of clothes, 10 classes."""

    files: ClassVar[TorchvisionFiles] = mnist_like(
        "FashionMNIST",
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    )


class MNIST(TorchvisionDataset, name="mnist"):
    """MNIST: 60,000 + 10,000 grey 28×28 handwritten digits, 10 classes."""

    files: ClassVar[TorchvisionFiles] = mnist_like(
        "MNIST",
        DIGITS,
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    )


class KMNIST(TorchvisionDataset, name="kmnist"):
    """Kuzushiji-MNIST: 60,000 + 10,000 grey 28×28 cursive Japanese characters, 10 classes."""

    files: ClassVar[TorchvisionFiles] = mnist_like(
        "KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    )


class EMNIST(TorchvisionDataset, name="emnist"):
    """EMNIST: grey 28×28 handwritten letters and digits, up to 62 classes."""

    split: Annotated[str, OneOf(EMNIST_SPLITS)] = Field(default="balanced", description="part of EMNIST")

    @property
    def files(self) -> TorchvisionFiles:
        return emnist_files(self.split)

    @classmethod
    def is_present(cls, root: Path) -> bool:
        """Return True if the files of any split are below the data root."""
        return any(not cls(split=split).missing_files(root) for split in EMNIST_SPLITS)


class QMNIST(TorchvisionDataset, name="qmnist"):
    """QMNIST: MNIST with its whole test set, 60,000 + 60,000 grey 28×28 digits, 10 classes."""

    files: ClassVar[TorchvisionFiles] = TorchvisionFiles(
        "QMNIST",
        (1, 28, 28),
        10,
        DIGITS,
        (60_000, 60_000),
        idx_pair("QMNIST", "qmnist-train", "labels-idx2-int"),
        idx_pair("QMNIST", "qmnist-test", "labels-idx2-int"),
    )


class CIFAR10(TorchvisionDataset, name="cifar10"):
    """CIFAR-10: 50,000 + 10,000 colour 32×32 photographs, 10 classes."""

    files: ClassVar[TorchvisionFiles] = TorchvisionFiles(
        "CIFAR10",
        (3, 32, 32),
        10,
        (),
        (50_000, 10_000),
        (*CIFAR10_FILES[0], "cifar-10-batches-py/batches.meta"),
        CIFAR10_FILES[1],
    )


class CIFAR100(TorchvisionDataset, name="cifar100"):
    """CIFAR-100: 50,000 + 10,000 colour 32×32 photographs, 100 classes."""

    files: ClassVar[TorchvisionFiles] = TorchvisionFiles(
        "CIFAR100",
        (3, 32, 32),
        100,
        (),
        (50_000, 10_000),
        ("cifar-100-python/train", "cifar-100-python/meta"),
        ("cifar-100-python/test",),
    )


class SVHN(TorchvisionDataset, name="svhn"):
    """SVHN: 73,257 + 26,032 colour 32×32 house-number digits, 10 classes."""

    files: ClassVar[TorchvisionFiles] = TorchvisionFiles(
        "SVHN",
        (3, 32, 32),
        10,
        tuple(string.digits),
        (73_257, 26_032),
        ("train_32x32.mat",),
        ("test_32x32.mat",),
    )
