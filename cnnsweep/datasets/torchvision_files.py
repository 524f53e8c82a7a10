"""Reading of torchvision's data sets from its folders and files: downloaded when missing, checked when read."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnsweep.datasets.checksums import expected_checksum
from cnnsweep.datasets.custom_labels import read_whole
from cnnsweep.datasets.custom_values import read_images
from cnnsweep.datasets.download import DownloadFile, Progress, fetch_missing
from cnnsweep.datasets.idx import read_idx_images, read_idx_labels
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.torchvision_info import TorchvisionFiles
from cnnsweep.errors import DataError

_IDX_IMAGES = "-images-idx3-ubyte"
Parts = tuple[MemoryImages, MemoryImages, tuple[str, ...]]


def load_torchvision(name: str, facts: TorchvisionFiles, data_root: Path, progress: Progress) -> Parts:
    """Return the training part, the test part and the class names.

    Args:
        name: for messages.
        data_root: written to only if a file is missing.

    Raises:
        DataError: files are missing and cannot be downloaded, or are damaged; with instructions.
    """
    _fetch_missing(name, facts, data_root, progress)
    if not facts.train_files[0].endswith(_IDX_IMAGES):
        return _read_by_torchvision(name, facts, data_root)
    train, test = (_read_idx(facts, data_root, files) for files in (facts.train_files, facts.test_files))
    return train, test, facts.classes


def _fetch_missing(name: str, facts: TorchvisionFiles, data_root: Path, progress: Progress) -> None:
    missing = facts.missing_files(data_root)
    if not missing:
        return
    try:
        fetch_missing(_parcels(facts), data_root, progress)
    except DataError as error:
        files = ", ".join(str(data_root / file) for file in missing)
        raise DataError(
            f"{name}: files are missing and could not be downloaded ({error}). Put these files there: {files} "
            f"(they are what torchvision.datasets.{facts.reader} downloads), or set --data-root to their folder"
        ) from error


def _parcels(facts: TorchvisionFiles) -> Iterator[DownloadFile]:
    """Yield the files that torchvision would download; addresses and checksums are its own."""
    from torchvision import datasets  # takes half a second, which a present data set does not need

    reader = getattr(datasets, facts.reader)
    if hasattr(reader, "tgz_md5"):
        yield DownloadFile((reader.url,), reader.tgz_md5, {file: file for file in facts.files})
    elif facts.reader == "EMNIST":
        yield DownloadFile(
            (reader.url,), reader.md5, {file: f"gzip/{Path(file).name}.gz" for file in facts.files}, is_noted=True
        )
    elif hasattr(reader, "split_list"):
        for url, file, md5 in (reader.split_list["train"], reader.split_list["test"]):
            yield DownloadFile((url,), md5, {file: ""})
    elif facts.reader == "QMNIST":
        for url, md5 in (*reader.resources["train"], *reader.resources["test"]):
            yield DownloadFile((url,), md5, {f"QMNIST/raw/{Path(url).stem}": ""}, is_noted=True)
    else:
        for file, md5 in reader.resources:
            urls = tuple(f"{mirror}{file}" for mirror in reader.mirrors)
            yield DownloadFile(urls, md5, {f"{facts.reader}/raw/{Path(file).stem}": ""}, is_noted=True)


def _read_idx(facts: TorchvisionFiles, data_root: Path, files: tuple[str, ...]) -> MemoryImages:
    _, height, width = facts.image_shape
    image_file, label_file = (data_root / file for file in files)
    checksums = [expected_checksum(data_root / file, facts.contents.get(file)) for file in files]
    images = read_idx_images(image_file, height, width, checksums[0])
    is_letters = files[0].startswith("EMNIST/raw/emnist-letters")  # the only set whose labels begin at 1
    first = 1 if is_letters else 0
    labels = read_idx_labels(label_file, len(images), range(first, first + facts.class_count), checksums[1])
    if facts.reader == "EMNIST":
        images = images.transpose(2, 3).contiguous()  # its files hold every image transposed
    return MemoryImages(images, labels)


def _read_by_torchvision(name: str, facts: TorchvisionFiles, data_root: Path) -> Parts:
    """Return the parts as torchvision's own class reads them, without a copy for CIFAR and SVHN."""
    try:
        parts = [_part(facts, data_root, name=part) for part in ("train", "test")]
    except ModuleNotFoundError as error:
        raise DataError(f"{name}: reading its files needs {error.name}; install it with: pip install scipy") from error
    train, test = (MemoryImages(read_images(name, part.data), read_whole(name, _labels_of(part))) for part in parts)
    return train, test, facts.classes or tuple(parts[0].classes)


def _labels_of(part: Any) -> Any:
    return part.targets if hasattr(part, "targets") else part.labels


def _part(facts: TorchvisionFiles, data_root: Path, name: str) -> Any:
    """Return torchvision's data set of one part; most compare every file's MD5 before they read."""
    from torchvision import datasets

    reader = getattr(datasets, facts.reader)
    has_flag = "train" in inspect.signature(reader).parameters
    try:
        return reader(data_root, **({"train": name == "train"} if has_flag else {"split": name}))
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
    except RuntimeError as error:
        raise DataError(_damage(reader, facts, data_root) or f"{data_root}: {error}") from error


def _damage(reader: Any, facts: TorchvisionFiles, data_root: Path) -> str | None:
    """Return a message that names the damaged file, or None."""
    import hashlib

    expected = {file: md5 for _, file, md5 in getattr(reader, "split_list", {}).values()}
    if hasattr(reader, "train_list"):
        meta = [[reader.meta["filename"], reader.meta["md5"]]] if hasattr(reader, "meta") else []
        expected = {f"{reader.base_folder}/{file}": md5 for file, md5 in (*reader.train_list, *reader.test_list, *meta)}
    for file in facts.files:
        with (data_root / file).open("rb") as opened:
            found = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != expected.get(file, found):
            return (
                f"{data_root / file}: damaged: expected the MD5 {expected[file]}, found {found}; "
                "delete it and run again to download it, or copy it again from where it came"
            )
    return None
