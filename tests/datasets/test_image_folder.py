import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnsweep.datasets import decoded_cache as decoded
from cnnsweep.datasets import folder_decoding
from cnnsweep.datasets.cache import cache_folder
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.images import ImageSet, MemoryImages
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.streaming import StreamedImages
from cnnsweep.errors import DataError
from cnnsweep.types import DatasetChoice

SMALL, LARGE = 0, 1 << 30  # bytes of memory for images


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CNNSWEEP_CACHE", str(folder))
    monkeypatch.setattr(decoded, "_SETTLED_NS", 0)  # files that a test has just made may be kept
    return folder


def draw(folder: Path, count: int, mode: str = "RGB", size: tuple[int, int] = (8, 6), first: int = 0) -> None:
    """Save random images of (width, height)."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(hash_of(folder))
    for number in range(first, first + count):
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{number:03}.png")


def hash_of(folder: Path) -> int:
    return sum(map(ord, folder.name))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for part, count in (("train", 5), ("test", 3)):
        for name in ("cat", "dog"):
            draw(tmp_path / "photos" / part / name, count)
    return tmp_path / "photos"


def load(root: Path, memory_bytes: int = LARGE, **arguments: object) -> Dataset:
    choice = DatasetChoice("image_folder", {"path": "photos", **arguments})
    return load_dataset(choice, root.parent, memory_bytes=memory_bytes)


def pixels_of(images: ImageSet | None) -> np.ndarray:
    assert images is not None
    ((pixels, _),) = images.batches([torch.arange(len(images))], torch.device("cpu"))
    return pixels.numpy()


def files_as_arrays(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.rglob("*.png"))]).transpose(
        0, 3, 1, 2
    )


def test_two_parts_are_read_in_the_order_of_class_and_name(photos: Path) -> None:
    dataset = load(photos)
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.labels.tolist() == [0] * 5 + [1] * 5
    assert np.array_equal(pixels_of(dataset.train), files_as_arrays(photos / "train"))
    assert np.array_equal(pixels_of(dataset.test), files_as_arrays(photos / "test"))


def test_one_folder_is_split_by_class_and_always_alike(tmp_path: Path) -> None:
    for name, count in (("a", 10), ("b", 20)):
        draw(tmp_path / "photos" / name, count)
    first, again = load(tmp_path / "photos", test=0.3), load(tmp_path / "photos", test=0.3)
    assert first.test is not None
    assert torch.bincount(first.test.labels).tolist() == [3, 6]
    assert torch.bincount(first.train.labels).tolist() == [7, 14]
    assert first.fingerprint == again.fingerprint
    every = {image.tobytes() for part in (first.train, first.test) for image in pixels_of(part)}
    assert len(every) == 30
    assert load(tmp_path / "photos").test is not None


def test_hidden_and_other_files_are_passed_over_and_folders_may_be_nested(photos: Path) -> None:
    before = load(photos).fingerprint
    draw(photos / "train" / ".thumbnails", 2)
    draw(photos / "train" / "cat" / ".trash", 2)
    (photos / "train" / "cat" / "notes.txt").write_text("no image")
    (photos / "train" / "cat" / "._000.png").write_text("no image")
    (photos / "README").write_text("no class")
    assert load(photos).fingerprint == before
    draw(photos / "train" / "cat" / "more", 2)
    assert torch.bincount(load(photos).train.labels).tolist() == [7, 5]


def test_the_most_common_size_is_taken_unless_one_is_given(photos: Path) -> None:
    draw(photos / "train" / "cat", 3, size=(10, 10), first=50)
    assert load(photos).train.image_shape == (3, 6, 8)
    assert load(photos, size=5).train.image_shape == (3, 5, 5)
    assert load(photos, size=[4, 7]).train.image_shape == (3, 4, 7)


def test_a_sample_that_misleads_is_corrected(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat", "dog"):
        draw(photos / "train" / name, 9, size=(10, 10), first=50)
    monkeypatch.setattr(folder_decoding, "_SAMPLE", 1)  # the first file, one of the 16 smaller ones among 34
    assert load(photos).train.image_shape == (3, 10, 10)


def test_grey_images_have_one_channel_unless_one_has_colours(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in ("a", "b"):
        draw(photos / name, 5, mode="L")
    assert load(photos).train.image_shape == (1, 6, 8)
    assert load(photos, channels=3).train.image_shape == (3, 6, 8)
    draw(photos / "b", 1, first=9)
    assert load(photos).train.image_shape == (3, 6, 8)
    assert load(photos, channels=1).train.image_shape == (1, 6, 8)


def test_streaming_gives_the_same_images_labels_and_fingerprint_as_memory(photos: Path) -> None:
    draw(photos / "train" / "cat", 2, size=(20, 10), first=50)
    (photos / "train" / "dog" / "bad.png").write_bytes(b"no image")
    held = load(photos, broken="skip")
    for _ in range(2):  # without and with an index in the cache
        streamed = load(photos, memory_bytes=SMALL, broken="skip")
        assert isinstance(held.train, MemoryImages)
        assert isinstance(streamed.train, StreamedImages)
        assert streamed.fingerprint == held.fingerprint
        for one, other in ((held.train, streamed.train), (held.test, streamed.test)):
            assert np.array_equal(pixels_of(one), pixels_of(other))
            assert one is not None
            assert other is not None
            assert torch.equal(one.labels, other.labels)
        for file in cache_folder().iterdir():
            file.unlink()


def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the files that are decoded from now on."""
    counts: list[int] = []
    original = folder_decoding.decode_all
    monkeypatch.setattr(
        folder_decoding, "decode_all", lambda paths, *rest: (counts.append(len(paths)), original(paths, *rest))[1]
    )
    return counts


def test_the_second_start_reads_the_cache(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(photos)
    decoded = decodings(monkeypatch)
    second = load(photos)
    assert decoded == []
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(pixels_of(second.train), pixels_of(first.train))
    assert np.array_equal(pixels_of(second.test), pixels_of(first.test))


@pytest.mark.parametrize("change", ["touch", "add", "remove", "rename", "size"])
def test_a_changed_folder_is_decoded_again(photos: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load(photos)
    decoded = decodings(monkeypatch)
    file = photos / "train" / "cat" / "001.png"
    if change == "touch":
        os.utime(file, ns=(0, 1))
    elif change == "add":
        draw(photos / "train" / "dog", 1, first=70)
    elif change == "remove":
        file.unlink()
    elif change == "rename":
        file.rename(file.with_name("000a.png"))
    load(photos, **({"size": 4} if change == "size" else {}))
    assert sum(decoded) >= 15


def test_a_damaged_cache_is_built_anew(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load(photos).fingerprint
    decoded = decodings(monkeypatch)
    for count, (suffix, damage) in enumerate(
        [
            ("images", lambda content: content[:-1]),
            ("images", lambda content: content[:40] + bytes([content[40] ^ 1]) + content[41:]),
            ("images", lambda content: content[:0]),
            ("json", lambda content: content[:-3]),
            ("json", lambda content: content.replace(b"6", b"7", 1)),
            ("json", lambda content: b"[]" + content[:0]),
        ],
        1,
    ):
        (file,) = cache.glob(f"*.{suffix}")
        file.write_bytes(damage(file.read_bytes()))
        dataset = load(photos)
        assert dataset.fingerprint == expected
        assert np.array_equal(pixels_of(dataset.train), files_as_arrays(photos / "train"))
        assert len(decoded) == 2 * count  # both parts


def test_a_cache_that_cannot_be_written_costs_time_only(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path / "file"))
    assert len(load(photos).train) == 10
    assert "decoded images are not cached: " in caplog.text


def test_the_data_themselves_are_never_written_to(photos: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*")}
    load(photos)
    assert {path: path.stat().st_mtime_ns for path in photos.rglob("*")} == before


def test_the_cache_lies_where_the_platform_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CNNSWEEP_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cnnsweep"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "cnnsweep"


def refusal(root: Path, **arguments: object) -> str:
    with pytest.raises(DataError) as caught:
        load(root, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_broken_images_are_counted_and_named(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(4):
        (photos / "train" / "cat" / f"bad{number}.png").write_bytes(b"no image")
    named = "; ".join(f"{photos}/train/cat/bad{n}.png (not an image that Pillow knows)" for n in range(3))
    told = f"4 of 20 images cannot be read: {named}; and 1 more"
    assert refusal(photos) == f"{told}. Replace or remove them, or write `broken: skip` to leave them out"
    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # decoded, and from the cache
            caplog.clear()
            dataset = load(photos, broken="skip")
            assert caplog.messages == [f"{told}. They are skipped."]
            assert dataset.train.labels.tolist() == [0] * 5 + [1] * 5
            assert np.array_equal(pixels_of(dataset.train)[5:], files_as_arrays(photos / "train" / "dog"))
    assert refusal(photos).startswith(told)  # `stop` is not fooled by the cache of `skip`


def test_a_broken_image_shifts_none_of_those_after_it(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnsweep.datasets.decode._BLOCK_IMAGES", 2)
    broken = [
        photos / "train" / name / file for name, file in (("cat", "000.png"), ("cat", "003.png"), ("dog", "001.png"))
    ]
    for file in broken:
        file.write_bytes(b"no image")
    dataset = load(photos, broken="skip")
    for file in broken:
        file.unlink()
    assert dataset.train.labels.tolist() == [0] * 3 + [1] * 4
    assert np.array_equal(pixels_of(dataset.train), files_as_arrays(photos / "train"))


def test_a_class_without_one_readable_image_is_refused(photos: Path) -> None:
    for file in (photos / "test" / "dog").iterdir():
        file.write_bytes(b"no image")
    assert refusal(photos, broken="skip").endswith("Without them these classes have no images: dog")


def test_a_folder_of_no_images_at_all_is_refused(photos: Path) -> None:
    for file in photos.rglob("*.png"):
        file.write_bytes(b"no image")
    first = photos / "train" / "cat" / "000.png"
    assert refusal(photos, broken="skip") == f"{photos}: none of its 16 files is an image, such as {first}"


def test_classes_that_differ_are_named(photos: Path) -> None:
    (photos / "test" / "dog").rename(photos / "test" / "dogs")
    assert refusal(photos) == (
        f"image_folder: the class folders differ: dog only in {photos / 'train'} and dogs only in {photos / 'test'}; "
        "both parts need the same classes"
    )


def test_empty_class_folders_are_named(photos: Path) -> None:
    (photos / "train" / "bird").mkdir()
    (photos / "test" / "bird").mkdir()
    assert refusal(photos) == (
        f"{photos / 'train'}: no images in bird; put images there (.avif .bmp .gif .jpeg .jpg .png .tif .tiff .webp "
        "and others that Pillow reads), or remove the folder if it is no class"
    )


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    expected = f"{tmp_path / 'photos'}: no class folders; expected train/<class>/ and test/<class>/, or <class>/"
    assert refusal(tmp_path / "photos") == expected


def test_a_test_share_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "photos" / "a", 1)
    draw(tmp_path / "photos" / "b", 1)
    assert refusal(tmp_path / "photos") == (
        "image_folder: test: 0.2 of 2 images would leave 2 for training and 0 for testing; both need at least one"
    )


def test_a_link_to_nowhere_is_named(photos: Path) -> None:
    (photos / "train" / "cat" / "lost.png").symlink_to(photos / "nowhere.png")
    expected = f"{photos}/train/cat/lost.png: cannot be read (No such file or directory); repair or remove it"
    assert refusal(photos) == expected


def test_the_folder_is_looked_for_below_the_data_root_and_then_here(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    expected = load(photos).fingerprint
    for path, root, here in [
        ("photos", tmp_path, elsewhere),
        ("photos", elsewhere, tmp_path),
        (photos, elsewhere, elsewhere),
    ]:
        monkeypatch.chdir(here)
        dataset = load_dataset(DatasetChoice("image_folder", {"path": str(path)}), root)
        assert dataset.fingerprint == expected
    monkeypatch.chdir(elsewhere)
    with pytest.raises(DataError) as caught:
        load_dataset(DatasetChoice("image_folder", {"path": "fotos"}), tmp_path)
    assert str(caught.value) == (
        f"image_folder: no folder {tmp_path / 'fotos'} nor {elsewhere / 'fotos'}; give another path, or set --data-root"
    )


def test_progress_reaches_the_end(photos: Path) -> None:
    told: list[tuple[str, int, int]] = []
    choice = DatasetChoice("image_folder", {"path": "photos"})
    load_dataset(choice, photos.parent, lambda what, done, total: told.append((what, done, total)))
    assert told[-1] == ("decoding images", 6, 6)
    assert ("decoding images", 10, 10) in told


def test_the_index_is_plain_json(photos: Path, cache: Path) -> None:
    dataset = load(photos)
    (file,) = cache.glob("*.json")
    body = json.loads(json.loads(file.read_text())["body"])
    assert body == {
        "form": {"height": 6, "width": 8, "channels": 3, "white": 65535},
        "broken": {},
        "fingerprint": dataset.fingerprint,
        "sizes": {"different": 1, "smallest": [6, 8], "largest": [6, 8]},
        "fingerprint_before": None,
        "is_dark": False,
    }
