"""Properties and files of torchvision's data sets, as plain values."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TorchvisionContent:
    """Size and checksum of a published file."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TorchvisionFiles:
    """Properties and files of a data set that torchvision can download.

    Attributes:
        reader: the class in torchvision.datasets.
        image_shape: (C, H, W).
        classes: names by label; empty if they are read from the files.
        counts: training and test images.
        train_files, test_files: paths below the data root. In the MNIST family: images, then labels.
        contents: files with a known SHA-256. torchvision has the MD5 of others (CIFAR, SVHN); the download records the
            rest.
    """

    reader: str
    image_shape: tuple[int, int, int]
    class_count: int
    classes: tuple[str, ...]
    counts: tuple[int, int]
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    contents: Mapping[str, TorchvisionContent] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.train_files, *self.test_files)))

    def missing_files(self, data_root: Path) -> list[str]:
        """Return the files that are missing below the data root."""
        return [name for name in self.files if not (data_root / name).is_file()]


def idx_pair(folder: str, part: str, labels: str = "labels-idx1-ubyte") -> tuple[str, str]:
    """Return the paths of images and labels of one part."""
    return f"{folder}/raw/{part}-images-idx3-ubyte", f"{folder}/raw/{part}-{labels}"


def mnist_like(reader: str, classes: tuple[str, ...], checksums: Sequence[str] = ()) -> TorchvisionFiles:
    """Return a data set with MNIST's files; `checksums` are their SHA-256, in the order of the files."""
    files = idx_pair(reader, "train"), idx_pair(reader, "t10k")
    counts = 60_000, 10_000
    sizes = [size for count in counts for size in (16 + count * 28 * 28, 8 + count)]  # header and values
    names = [name for pair in files for name in pair]
    contents = dict(zip(names, map(TorchvisionContent, sizes, checksums), strict=False))
    return TorchvisionFiles(reader, (1, 28, 28), len(classes), classes, counts, *files, contents)


def emnist_files(split: str) -> TorchvisionFiles:
    """Return the files of a split of EMNIST."""
    counts = {
        "byclass": (697_932, 116_323),
        "bymerge": (697_932, 116_323),
        "balanced": (112_800, 18_800),
        "letters": (124_800, 20_800),
        "digits": (240_000, 40_000),
        "mnist": (60_000, 10_000),
    }[split]
    # Letters whose cases look alike are one class in `bymerge` and `balanced`.
    lower_case = "".join(c for c in string.ascii_lowercase if c not in "cijklmopsuvwxyz")
    names = {
        "byclass": string.digits + string.ascii_uppercase + string.ascii_lowercase,
        "bymerge": string.digits + string.ascii_uppercase + lower_case,
        "balanced": string.digits + string.ascii_uppercase + lower_case,
        "letters": string.ascii_lowercase,
        "digits": string.digits,
        "mnist": string.digits,
    }[split]
    files = idx_pair("EMNIST", f"emnist-{split}-train"), idx_pair("EMNIST", f"emnist-{split}-test")
    return TorchvisionFiles("EMNIST", (1, 28, 28), len(names), tuple(names), counts, *files)


EMNIST_SPLITS = ("balanced", "byclass", "bymerge", "letters", "digits", "mnist")
_NUMERALS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = tuple(f"{digit} - {word}" for digit, word in enumerate(_NUMERALS))
CIFAR10_FILES = tuple(f"cifar-10-batches-py/data_batch_{k}" for k in range(1, 6)), ("cifar-10-batches-py/test_batch",)
