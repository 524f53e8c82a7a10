"""Cached pixels are those of the very files that were decoded: no name, size or time can stand in for others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_sweeps import sweep

from cnnsweep.datasets import decoded_cache as decoded
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.decoded_cache import cache_entry
from cnnsweep.datasets.folder_listing import ImageFile, Listing, list_images
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.streaming import StreamedImages
from cnnsweep.errors import DataError, FolderError
from cnnsweep.types import DatasetChoice

MOMENT_NS = 1_600_000_000_000_000_000
SWEEP = """
name: photos
dataset: {name: image_folder, path: photos}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: []}
params: {lr: 0.01, batch_size: 4, epochs: 1}
tensorboard: false
"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CNNSWEEP_CACHE", str(folder))
    monkeypatch.setattr(decoded, "_SETTLED_NS", 0)  # files that a test has just made may be kept
    return folder


def fill(photos: Path, shift: int = 0) -> Path:
    """Save pictures whose names, sizes and times are the same whatever they show."""
    for label, name in enumerate(("cat", "dog")):
        (photos / name).mkdir(parents=True, exist_ok=True)
        for number in range(6):
            file = photos / name / f"{number}.bmp"
            Image.fromarray(np.full((8, 8), 100 * label + 10 * number + shift, np.uint8)).save(file)
            os.utime(file, ns=(MOMENT_NS, MOMENT_NS))
    return photos


def load(photos: Path, memory_bytes: int = 1 << 20) -> Dataset:
    choice = DatasetChoice("image_folder", {"path": str(photos)})
    return load_dataset(choice, photos.parent, memory_bytes=memory_bytes)


def values(dataset: Dataset) -> set[int]:
    found: set[int] = set()
    for part in (dataset.train, dataset.test):
        assert part is not None
        for images, _ in part.batches([torch.arange(len(part))], torch.device("cpu")):
            found |= set(images.flatten().tolist())
    return found


EVERY = {100 * label + 10 * number for label in (0, 1) for number in range(6)}
SHIFTED = {value + 3 for value in EVERY}


def stamps(photos: Path) -> list[tuple[str, int, int]]:
    return [
        (str(path.relative_to(photos)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(photos.rglob("*.bmp"))
    ]


def written_over(photos: Path, _: Path) -> Path:
    return fill(photos, 3)


def unpacked_over(photos: Path, elsewhere: Path) -> Path:
    """As rsync and tar do: each file is replaced by another of the same name, size and time."""
    for file in sorted(fill(elsewhere, 3).rglob("*.bmp")):
        file.rename(photos / file.relative_to(elsewhere))
    return photos


def moved_into_its_place(photos: Path, elsewhere: Path) -> Path:
    fill(elsewhere, 3)
    photos.rename(photos.with_name("before"))
    elsewhere.rename(photos)
    return photos


def mapped(photos: Path, _: Path) -> Path:
    for file in photos.rglob("*.bmp"):
        content = bytearray(file.read_bytes())
        content[-64:] = bytes(value + 3 for value in content[-64:])
        with file.open("r+b") as opened:
            opened.write(content)
        os.utime(file, ns=(MOMENT_NS, MOMENT_NS))
    return photos


def another_folder(_: Path, elsewhere: Path) -> Path:
    return fill(elsewhere, 3)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("change", [written_over, unpacked_over, moved_into_its_place, mapped, another_folder])
def test_other_pixels_under_the_same_names_sizes_and_times_are_trained_on(change, streams, tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos")
    memory = 0 if streams else 1 << 20
    before, listed = load(photos, memory), stamps(photos)
    assert values(before) == EVERY
    changed = change(photos, tmp_path / "elsewhere")
    assert stamps(changed) == listed
    after = load(changed, memory)
    assert values(after) == SHIFTED
    assert after.fingerprint != before.fingerprint
    fresh = fill(tmp_path / "fresh", 3)
    assert load(fresh, memory).fingerprint == after.fingerprint


@pytest.mark.parametrize("field", ImageFile._fields)
def test_whatever_differs_of_a_file_is_another_entry(field: str, tmp_path: Path) -> None:
    file = ImageFile("cat/0.png", 0, 1, 2, 3, 4)
    other = file._replace(**{field: "cat/1.png" if field == "path" else 9})  # type: ignore[arg-type]
    listings = [Listing(tmp_path, ("cat", "dog"), (one,), None) for one in (file, other)]
    listings.append(Listing(tmp_path, ("cat", "dog"), (file,), None, (other,)))
    assert len({cache_entry(listing, (8, 8, 1)).key for listing in listings}) == 3


def test_a_copy_of_the_same_pictures_is_the_same_data_set(tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos")
    shutil.copytree(photos, tmp_path / "copy")
    assert load(tmp_path / "copy").fingerprint == load(photos).fingerprint


def test_a_sweep_does_not_go_on_with_other_pixels(tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos")
    sweep(tmp_path / "runs", SWEEP.replace("path: photos", f"path: {photos}"))
    fill(photos, 3)
    with pytest.raises(FolderError, match=r"cannot be compared with this one: the data changed \(SHA-256"):
        sweep(tmp_path / "runs", SWEEP.replace("path: photos", f"path: {photos}"))
    fill(photos)
    sweep(tmp_path / "runs", SWEEP.replace("path: photos", f"path: {photos}"))


def test_files_that_were_changed_a_moment_ago_are_not_kept(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a tick of the file system's clock a second change looks like the first."""
    photos = fill(tmp_path / "photos")
    monkeypatch.setattr(decoded, "_SETTLED_NS", 60_000_000_000)
    load(photos)
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(decoded, "_SETTLED_NS", 0)
    load(photos)
    assert {path.suffix for path in cache.iterdir()} == {".json", ".images"}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_streamed_file_that_changes_in_mid_training_is_told(workers: int, tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos")
    images = load(photos, 0).train
    assert isinstance(images, StreamedImages)
    images = images.with_workers(workers)
    values_before = [batch for batch, _ in images.batches([torch.arange(len(images))], torch.device("cpu"))]
    assert len(values_before) == 1
    fill(photos, 3)
    with pytest.raises(DataError, match=r"\.bmp: has changed during training; run again"):
        list(images.batches([torch.arange(len(images))], torch.device("cpu")))


def test_what_the_system_sets_by_itself_is_listed_of_every_file(tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos")
    listing = list_images(photos, 0.2)
    for file in listing.files:
        status = (photos / file.path).stat()
        assert (file.inode, file.changed_ns) == (status.st_ino, status.st_ctime_ns)
        assert file.is_still(status)
