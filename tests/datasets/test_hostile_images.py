"""Folders with images that are broken, or made to do harm."""

import inspect
import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnsweep.datasets import decode as decode_module
from cnnsweep.datasets import folder_listing as folders
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.decode import Form, decode_all, look_at
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.streaming import StreamedImages
from cnnsweep.errors import DataError
from cnnsweep.types import DatasetChoice

FORM = Form(8, 8, 3)
TOO_MANY = "more than 89,478,485 pixels"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def load(root: Path, **arguments: object) -> Dataset:
    choice = DatasetChoice("image_folder", {"path": str(root), "test": 0, **arguments})
    return load_dataset(choice, root, memory_bytes=1 << 20)


def refusal(root: Path, **arguments: object) -> str:
    with pytest.raises(DataError) as caught:
        load(root, **arguments)
    return str(caught.value)


def png(width: int, height: int, data: bytes, kind: int = 0) -> bytes:
    """Return a PNG that says to be of this size; `kind` 0 is grey, 6 with colour and transparency."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def jpeg(root: Path) -> bytes:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(root / "whole.jpg")
    return (root / "whole.jpg").read_bytes()


def huge_bitmap(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


BOMB = png(50_000, 50_000, bytes(60_000_000))
HOSTILE = {
    "empty.png": (lambda _: b"", "not an image that Pillow knows"),
    "cut.jpg": (lambda root: jpeg(root)[:-800], "truncated"),
    "head.jpg": (lambda root: jpeg(root)[:30], ""),  # in Pillow's words
    "cut.png": (lambda _: png(64, 64, os.urandom(64 * 65))[:2000], ""),
    "bomb.png": (lambda _: BOMB, TOO_MANY),
    "warned.png": (lambda _: png(10_000, 10_000, b""), TOO_MANY),
    "long.png": (lambda _: png(2**31 - 1, 2**31 - 1, b""), TOO_MANY),
    "bomb.bmp": (lambda _: huge_bitmap(60_000, 60_000), TOO_MANY),
    "bomb.ppm": (lambda _: b"P6 60000 60000 255\n", TOO_MANY),
    "shell.png": (lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n", "not an image that"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_broken_or_hostile_image_is_named_and_passed_over_if_asked(name: str, photos: Path) -> None:
    make, reason = HOSTILE[name]
    bad = photos / "cat" / name
    bad.write_bytes(make(photos))
    message = refusal(photos, size=8)
    assert message.startswith(f"1 of 9 images cannot be read: {bad} (")
    assert reason in message
    dataset = load(photos, size=8, broken="skip")
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 4


def test_a_pipe_and_a_device_are_not_waited_for(photos: Path) -> None:
    os.mkfifo(photos / "cat" / "pipe.png")
    (photos / "dog" / "zeros.png").symlink_to("/dev/zero")
    assert refusal(photos).startswith(
        f"2 of 10 images cannot be read: {photos / 'cat' / 'pipe.png'} (not a regular file); "
        f"{photos / 'dog' / 'zeros.png'} (not a regular file)."
    )


def test_a_file_of_a_size_that_no_image_has_is_not_read(photos: Path) -> None:
    with (photos / "cat" / "large.webp").open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBPVP8 ")
        file.truncate((1 << 30) + 1)  # takes no room on the disk
    assert "large.webp (1,073,741,825 bytes; at most 1,073,741,824 are read)" in refusal(photos)


def test_memory_stays_bounded_with_hostile_images(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(BOMB)
    assert (tmp_path / "0.png").stat().st_size < 70_000
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from cnnsweep.datasets.decode import Form, decode_all\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "(block,) = decode_all(sorted(Path(sys.argv[1]).iterdir()), Form(8, 8, 3), 4)\n"
        "assert len(block.broken) == 4, block.broken\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True, timeout=30
    )
    assert int(done.stdout) < 50_000  # kilobytes


def test_large_images_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, most = 0, 0
    original = decode_module._pixels

    def slow(*arguments: object) -> object:
        nonlocal now, most
        now += 1
        most = max(most, now)
        time.sleep(0.01)
        now -= 1
        return original(*arguments)  # type: ignore[arg-type]

    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path in paths:
        Image.new("L", (8, 8)).save(path)
    monkeypatch.setattr(decode_module, "_pixels", slow)
    monkeypatch.setattr(decode_module, "_BLOCK_IMAGES", 1)
    list(decode_all(paths, FORM, threads=3))
    assert most > 1
    most = 0
    monkeypatch.setattr(decode_module, "_LARGE_PIXELS", 63)
    list(decode_all(paths, FORM, threads=3))
    assert most == 1


def test_a_file_that_cannot_be_opened_is_a_broken_image(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.open

    def guarded(path: Path, *arguments: object, **more: object) -> object:
        if path.name == "2.png":
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", guarded)
    assert refusal(photos).startswith(
        f"2 of 8 images cannot be read: {photos}/cat/2.png (Permission denied); {photos}/dog/2.png (Permission denied)."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_cannot_be_opened_is_named(photos: Path) -> None:
    (photos / "dog").chmod(0)
    try:
        assert refusal(photos) == f"{photos / 'dog'}: cannot be read (Permission denied); repair or remove it"
    finally:
        (photos / "dog").chmod(0o700)


def test_files_that_vanish_between_listing_and_decoding_are_broken_images(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = folders._files

    def vanishing(*arguments: object) -> Iterator[folders.ImageFile]:
        yield from list(original(*arguments))  # type: ignore[arg-type]
        (photos / "cat" / "3.png").unlink(missing_ok=True)

    monkeypatch.setattr(folders, "_files", vanishing)
    assert refusal(photos).startswith(f"1 of 8 images cannot be read: {photos}/cat/3.png (No such file or directory).")


def test_a_class_folder_that_vanishes_is_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = folders.find_layout

    def vanishing(folder: Path) -> object:
        found = original(folder)
        shutil.rmtree(photos / "dog")
        return found

    monkeypatch.setattr(folders, "find_layout", vanishing)
    assert refusal(photos) == f"{photos}/dog: cannot be read (No such file or directory); repair or remove it"


def test_links_in_a_circle_are_told(photos: Path) -> None:
    (photos / "cat" / "again").symlink_to(photos / "cat")
    expected = (
        f"{photos}/cat/again: is the same folder as {photos}/cat, so its images would count twice; remove the link"
    )
    assert refusal(photos) == expected


def test_links_that_multiply_are_told_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "cat"
    for depth in range(40):  # 2 to the power of 40 paths
        (tmp_path / f"{depth}").mkdir()
    folder.mkdir(parents=True)
    for depth, place in enumerate([folder, *(tmp_path / f"{depth}" for depth in range(39))]):
        for name in ("a", "b"):
            (place / name).symlink_to(tmp_path / f"{depth}")
    start = time.monotonic()
    assert "is the same folder as" in refusal(tmp_path / "photos")
    assert time.monotonic() - start < 5


def test_a_link_to_itself_is_named(photos: Path) -> None:
    (photos / "cat" / "loop.png").symlink_to(photos / "cat" / "loop.png")
    told = f"{photos}/cat/loop.png: cannot be read (Too many levels of symbolic links); repair or remove it"
    assert refusal(photos) == told


def test_folders_may_lie_deeper_than_python_recurses(photos: Path) -> None:
    deep = [str(photos / "cat")]
    for _ in range(300):
        deep.append(f"{deep[-1]}/d")
        Path(deep[-1]).mkdir()
    shutil.copy(photos / "cat" / "0.png", f"{deep[-1]}/0.png")
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 200)
    try:
        assert len(load(photos).train) == 9
    finally:
        sys.setrecursionlimit(usual)


def test_a_link_to_another_folder_is_followed(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "dog", tmp_path / "more dogs")
    (photos / "dog" / "more").symlink_to(tmp_path / "more dogs")
    assert load(photos).train.labels.tolist() == [0] * 4 + [1] * 8


EVIL = "a\n\x1b[2J\u202eb"
SHOWN = "a\\n\\x1b[2J\\u202eb"


def test_names_are_shown_escaped(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    (photos / EVIL).mkdir()
    assert refusal(photos).startswith(f"{photos}: no images in {SHOWN}; ")
    (photos / EVIL / f"{EVIL}.png").write_bytes(b"")
    assert f": {photos}/{SHOWN}/{SHOWN}.png (" in refusal(photos)
    assert refusal(photos, broken="skip").endswith(f"Without them these classes have no images: {SHOWN}")
    shutil.copy(photos / "cat" / "0.png", photos / EVIL / "good.png")
    dataset = load(photos, broken="skip")
    assert f"{SHOWN}.png" in caplog.messages[-1]
    assert caplog.messages[-1].isprintable()
    assert EVIL in dataset.classes  # as it is; who prints it escapes it
    assert refusal(photos / EVIL).startswith(f"{photos}/{SHOWN}: 2 images lie in no class folder")


def test_a_name_that_is_no_utf8_can_be_written_to_a_file(photos: Path) -> None:
    (photos / "cat").rename(os.fsdecode(os.fsencode(photos) + b"/cat\xff"))
    dataset = load(photos)
    assert dataset.classes == ("cat\\udcff", "dog")
    assert len(dataset.train) == 8


def test_a_streamed_image_that_is_gone_is_told_with_its_name_escaped(tmp_path: Path) -> None:
    images = StreamedImages([tmp_path / f"{EVIL}.png"], torch.zeros(1, dtype=torch.int64), FORM, workers=0)
    with pytest.raises(DataError) as caught:
        list(images.batches([torch.arange(1)], torch.device("cpu")))
    assert str(caught.value).startswith(f"{tmp_path}/{SHOWN}.png: cannot be read any more (No such file or directory)")


def test_a_header_of_a_hostile_image_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(50_000, 50_000, b""))
    assert look_at(tmp_path / "bomb.png") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 10_001}, "size: found 10001, allowed is a whole number from 1 to 10,000"),
        ({"size": 0}, "size: found 0, allowed is a whole number from 1 to 10,000"),
        ({"size": True}, "size: found true, allowed is a whole number of pixels above 0, or [height, width]"),
        ({"size": [8, 8, 8]}, "size: found a list, allowed is a whole number of pixels above 0, or [height, width]"),
        ({"size": "8"}, "size: found '8' in quotes, allowed is a whole number of pixels above 0, or [height, width]"),
        ({"channels": 10**9}, "channels: found 1000000000, allowed is 1 or 3"),
        ({"channels": [1]}, "channels: found a list, allowed is 1 or 3"),
        ({"test": float("nan")}, "test: found nan, allowed is a number of at least 0 and below 1"),
        ({"test": "much"}, "test: found 'much', allowed is a number of at least 0 and below 1"),
        ({"broken": "x" * 10**6}, f"broken: unknown '{57 * 'x'}...'; allowed are stop, skip"),
        ({"path": 7}, "path: found 7, allowed is text"),
    ],
)
def test_arguments_that_no_sweep_file_may_have_are_refused(
    arguments: dict[str, object], message: str, photos: Path
) -> None:
    assert refusal(photos, **arguments) == f"dataset: image_folder: {message}"


@pytest.mark.parametrize("size", [5000, None])
def test_images_that_are_too_large_to_train_on_are_refused_before_they_are_decoded(
    size: int | None, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in photos.rglob("*.png"):
        path.write_bytes(b"P6 5000 5000 255\n")
    monkeypatch.setattr("cnnsweep.datasets.folder_decoding.decode_all", lambda *_: pytest.fail("decoded"))
    assert refusal(photos, **({"size": size} if size else {})) == (
        f"{photos}: images of 5,000×5,000 with 3 channels take 75,000,000 bytes each; allowed are 67,108,864: "
        "give a smaller `size`"
    )


@pytest.mark.parametrize("path", ["~nobody-of-this-name/photos", "x" * 300, "a\0b", EVIL])
def test_a_path_that_leads_nowhere_is_told(path: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(DatasetChoice("image_folder", {"path": path}), tmp_path)
    assert str(caught.value).isprintable()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as outside of tests, where it stops nothing
def test_an_image_that_pillow_only_warns_of_is_refused(tmp_path: Path) -> None:
    (tmp_path / "warned.png").write_bytes(png(10_000, 10_000, b""))
    (block,) = decode_all([tmp_path / "warned.png"], FORM, threads=1)
    assert block.broken == {0: TOO_MANY}
