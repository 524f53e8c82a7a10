"""The published data sets: their facts and files, as plain values, without torch."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cnnsweep.config.names import DATASETS, EMNIST_SPLITS
from cnnsweep.types import DatasetChoice


@dataclass(frozen=True, slots=True)
class PublishedContent:
    """What a published file is."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Published:
    """A data set that torchvision knows how to fetch.

    Attributes:
        reader: the class in torchvision.datasets.
        image_shape: (C, H, W).
        classes: by label; empty where the files themselves say it.
        counts: training and test images.
        train_files, test_files: below the data root. Of the MNIST family: images, then labels.
        contents: of the files whose content is known beforehand; that of the others torchvision knows (CIFAR, SVHN), or
            is noted when they are downloaded.
    """

    reader: str
    image_shape: tuple[int, int, int]
    class_count: int
    classes: tuple[str, ...]
    counts: tuple[int, int]
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    contents: Mapping[str, PublishedContent] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.train_files, *self.test_files)))

    def missing_files(self, data_root: Path) -> list[str]:
        """Return which files are not below the data root."""
        return [name for name in self.files if not (data_root / name).is_file()]


def _idx_pair(folder: str, part: str, labels: str = "labels-idx1-ubyte") -> tuple[str, str]:
    return f"{folder}/raw/{part}-images-idx3-ubyte", f"{folder}/raw/{part}-{labels}"


def _mnist_like(reader: str, classes: tuple[str, ...], checksums: Sequence[str] = ()) -> Published:
    """Return the facts of a set with MNIST's files; `checksums` are their SHA-256, in the order of the files."""
    files = _idx_pair(reader, "train"), _idx_pair(reader, "t10k")
    counts = 60_000, 10_000
    sizes = [size for count in counts for size in (16 + count * 28 * 28, 8 + count)]  # header and values
    names = [name for pair in files for name in pair]
    contents = dict(zip(names, map(PublishedContent, sizes, checksums), strict=False))
    return Published(reader, (1, 28, 28), len(classes), classes, counts, *files, contents)


def _emnist(split: str) -> Published:
    counts = {
        "byclass": (697_932, 116_323),
        "bymerge": (697_932, 116_323),
        "balanced": (112_800, 18_800),
        "letters": (124_800, 20_800),
        "digits": (240_000, 40_000),
        "mnist": (60_000, 10_000),
    }[split]
    # Letters whose two cases look alike are one class in `bymerge` and `balanced`.
    lower_case = "".join(c for c in string.ascii_lowercase if c not in "cijklmopsuvwxyz")
    names = {
        "byclass": string.digits + string.ascii_uppercase + string.ascii_lowercase,
        "bymerge": string.digits + string.ascii_uppercase + lower_case,
        "balanced": string.digits + string.ascii_uppercase + lower_case,
        "letters": string.ascii_lowercase,
        "digits": string.digits,
        "mnist": string.digits,
    }[split]
    files = _idx_pair("EMNIST", f"emnist-{split}-train"), _idx_pair("EMNIST", f"emnist-{split}-test")
    return Published("EMNIST", (1, 28, 28), len(names), tuple(names), counts, *files)


_NUMERALS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGITS = tuple(f"{digit} - {word}" for digit, word in enumerate(_NUMERALS))
_CIFAR10 = tuple(f"cifar-10-batches-py/data_batch_{k}" for k in range(1, 6)), ("cifar-10-batches-py/test_batch",)

_PUBLISHED: Mapping[str, Published] = {
    "fashion_mnist": _mnist_like(
        "FashionMNIST",
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    "mnist": _mnist_like(
        "MNIST",
        _DIGITS,
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "kmnist": _mnist_like("KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
    "qmnist": Published(
        "QMNIST",
        (1, 28, 28),
        10,
        _DIGITS,
        (60_000, 60_000),
        _idx_pair("QMNIST", "qmnist-train", "labels-idx2-int"),
        _idx_pair("QMNIST", "qmnist-test", "labels-idx2-int"),
    ),
    "cifar10": Published(
        "CIFAR10",
        (3, 32, 32),
        10,
        (),
        (50_000, 10_000),
        (*_CIFAR10[0], "cifar-10-batches-py/batches.meta"),
        _CIFAR10[1],
    ),
    "cifar100": Published(
        "CIFAR100",
        (3, 32, 32),
        100,
        (),
        (50_000, 10_000),
        ("cifar-100-python/train", "cifar-100-python/meta"),
        ("cifar-100-python/test",),
    ),
    "svhn": Published(
        "SVHN",
        (3, 32, 32),
        10,
        tuple(string.digits),
        (73_257, 26_032),
        ("train_32x32.mat",),
        ("test_32x32.mat",),
    ),
}
PUBLISHED_NAMES = frozenset((*_PUBLISHED, "emnist"))


def published(name: str, split: str = "balanced") -> Published:
    """Return the facts of a published data set; `split` matters for EMNIST alone."""
    return _emnist(split) if name == "emnist" else _PUBLISHED[name]


def images_and_classes(dataset: DatasetChoice) -> tuple[tuple[int, int, int], int] | None:
    """Return (C, H, W) and the number of classes, where the data set's name or arguments say both without its files."""
    arguments = dataset.arguments
    if dataset.name in PUBLISHED_NAMES:
        facts = published(dataset.name, arguments.get("split", "balanced"))
        return facts.image_shape, facts.class_count
    if dataset.name == "shapes":
        return (arguments["channels"], arguments["size"], arguments["size"]), arguments["classes"]
    return None


@dataclass(frozen=True, slots=True)
class DatasetDescription:
    """One line of `cnnsweep datasets`; what depends on a person's files or arguments is None."""

    name: str
    description: str
    image_shape: tuple[int, int, int] | None
    classes: int | None
    train: int | None
    test: int | None
    source: str
    is_present: bool | None


def describe_datasets(data_root: Path) -> list[DatasetDescription]:
    """Return every data set that a sweep file can name, and whether its files lie below the data root.

    EMNIST stands for its `balanced` split, and is present if any of its splits is.
    """
    rows = []
    for name, known in DATASETS.items():
        if name in PUBLISHED_NAMES:
            facts = published(name)
            splits = EMNIST_SPLITS if name == "emnist" else ("",)
            present = any(not published(name, split).missing_files(data_root) for split in splits)
            where = f"torchvision.datasets.{facts.reader}, downloaded when missing"
            rows.append(
                DatasetDescription(
                    name, known.description, facts.image_shape, facts.class_count, *facts.counts, where, present
                )
            )
        elif name == "shapes":
            rows.append(
                DatasetDescription(name, known.description, (1, 28, 28), 10, 10_000, 2_000, "drawn by cnnsweep", True)
            )
        else:
            rows.append(DatasetDescription(name, known.description, None, None, None, None, "your own files", None))
    own = "your own function, which returns images and labels"
    rows.append(DatasetDescription("package.module:function", own, None, None, None, None, "your own code", None))
    rows.append(DatasetDescription("path/to/file.py:function", own, None, None, None, None, "your own code", None))
    return rows
