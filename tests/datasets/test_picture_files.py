"""Every kind of picture file is read with the right values, and what is none, or more than that, is passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_sweeps import sweep

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.decode import FULL_WHITE, Form, ImageInfo, decode, decode_all, white_of
from cnnsweep.datasets.image_files import image_endings, is_image_name
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import CheckpointError
from cnnsweep.evaluation.model_card import describe
from cnnsweep.evaluation.predict import PredictionOptions, Predictor, find_pictures
from cnnsweep.storage.best_weights import read_description
from cnnsweep.types import DatasetChoice

COLOURS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
GREYS = COLOURS[..., 0]
LOSSY = {".jpg", ".jpeg", ".jfif", ".jpe", ".mpo", ".avif", ".webp"}
# Of these endings Pillow reads files and writes none, or the format holds no colours.
NOT_WRITTEN = {".avifs", ".dib", ".pbm", ".pgm", ".pnm", ".bw", ".gif", ".icb", ".vda", ".vst", ".apng", ".rgba"}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path_factory.mktemp("cache")))


def smooth() -> np.ndarray:
    """Colours without detail, which a lossy format keeps."""
    steps = np.arange(16, dtype=np.uint8) * 12
    return np.stack(np.broadcast_arrays(steps[:, None], steps[None] // 2 + 40, np.uint8(90)), -1)


@pytest.mark.parametrize("ending", sorted(set(image_endings()) - NOT_WRITTEN))
def test_a_picture_of_every_ending_is_read(ending: str, tmp_path: Path) -> None:
    is_lossy = ending in LOSSY
    pixels = smooth() if is_lossy else COLOURS
    file = tmp_path / f"a{ending.upper()}"
    options = {"quality": 100} if is_lossy else {"sizes": [(16, 16)]} if ending == ".ico" else {}
    Image.fromarray(pixels).save(file, **options)  # type: ignore[arg-type]
    assert is_image_name(file.name)
    differences = np.abs(decode(file, Form(16, 16, 3)).astype(int) - pixels.transpose(2, 0, 1))
    assert differences.mean() < 5 if is_lossy else differences.max() == 0


@pytest.mark.parametrize("ending", [".eps", ".ps", ".pdf", ".wmf", ".fits", ".psd", ".pfm", ".mpg", ".svg", ".txt"])
def test_what_starts_programs_or_is_no_picture_is_not_taken_for_one(ending: str) -> None:
    assert not is_image_name(f"a{ending}")


def test_a_file_is_what_its_content_says_whatever_its_ending(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.webp", "PNG")
    assert np.array_equal(decode(tmp_path / "a.webp", Form(16, 16, 3)), COLOURS.transpose(2, 0, 1))


def test_a_format_without_a_signature_is_believed_of_its_own_ending_alone(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.tga")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.tga").read_bytes())
    (block,) = decode_all([tmp_path / "a.tga", tmp_path / "a.png"], Form(16, 16, 3), 1)
    assert block.broken == {1: "not an image that Pillow knows"}


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_read(format_name: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (40, 200)]
    file = tmp_path / f"a.{format_name.lower()}"
    options = {"lossless": True} if format_name == "WEBP" else {}
    frames[0].save(file, format_name, save_all=True, append_images=frames[1:], **options)  # type: ignore[arg-type]
    assert (decode(file, Form(8, 8, 1)) == 40).all()


# ---- more than 8 bits ---------------------------------------------------------------------------------------------

WIDE = np.random.default_rng(1).integers(0, 4096, (16, 16)).astype(np.uint16)


def scaled(wide: np.ndarray, white: int) -> np.ndarray:
    return np.floor(wide.astype(np.float64) * 255 / white + 0.5).astype(np.uint8)


def save_wide(pixels: np.ndarray, file: Path, mode: str | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(file)


@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize(("name", "dtype"), [("a.png", "<u2"), ("a.tif", "<u2"), ("b.tif", ">u2"), ("c.tif", "<i4")])
def test_pictures_of_more_than_8_bits_are_scaled_by_their_range(
    name: str, dtype: str, white: int, tmp_path: Path
) -> None:
    wide = (WIDE.astype(np.int64) * white // 4095).astype(dtype)
    if dtype == ">u2":
        Image.frombytes("I;16B", (16, 16), wide.tobytes()).save(tmp_path / name)
    else:
        Image.fromarray(wide).save(tmp_path / name)
    assert np.array_equal(decode(tmp_path / name, Form(16, 16, 1, white))[0], scaled(wide, white))


@pytest.mark.parametrize(
    ("brightest", "white"),
    [
        (0, 65535),  # pictures of 8 bits
        (200, 255),
        (256, 511),
        (1023, 1023),
        (4095, 4095),
        (4096, 8191),
        (16383, 16383),
        (16384, 65535),  # as bright as a dark picture of 16 bits may be
        (40000, 65535),
        (65535, 65535),
        (70000, 131071),
    ],
)
def test_the_range_is_the_fewest_bits_that_hold_every_pixel(brightest: int, white: int) -> None:
    assert (
        white_of([ImageInfo(1, 1, True), ImageInfo(1, 1, True, brightest), ImageInfo(1, 1, True, brightest // 2)])
        == white
    )
    assert white_of([]) == FULL_WHITE


def fill(photos: Path, brightest: int) -> Path:
    for label, name in enumerate(("cat", "dog")):
        for number in range(5):
            wide = np.full((8, 8), brightest // 10 * (5 * label + number), np.uint16)
            save_wide(wide, photos / name / f"{number}.png")
    wide[0, 0] = brightest
    save_wide(wide, photos / "dog" / "4.png")
    return photos


def load(photos: Path, memory_bytes: int = 1 << 20, **arguments: object) -> Dataset:
    choice = DatasetChoice("image_folder", {"path": str(photos), "test": 0, **arguments})
    return load_dataset(choice, photos, memory_bytes=memory_bytes)


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_one_range_is_found_for_the_whole_data_set(memory: int, tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", 4095)
    for arguments in ({}, {"size": 8, "channels": 1}):
        dataset = load(photos, memory, **arguments)
        ((images, _),) = dataset.train.batches([torch.arange(10)], torch.device("cpu"))
        expected = [scaled(np.uint16(409 * number), 4095) for number in range(10)]
        assert images[:, 0, 7, 7].tolist() == expected
        assert int(images.max()) == 255
        assert dataset.white == 4095
        assert "the brightest pixels need 12 bits, so 4,095 becomes white (255)" in dataset.found


def test_pictures_that_fill_16_bits_are_read_as_before(tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", 65535)
    dataset = load(photos)
    ((images, _),) = dataset.train.batches([torch.arange(10)], torch.device("cpu"))
    assert images[:, 0, 7, 7].tolist() == [(6553 * number + 128) // 257 for number in range(10)]
    assert dataset.white == FULL_WHITE


def test_a_broken_picture_does_not_count_for_the_range(tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", 4095)
    bright = photos / "cat" / "bright.png"
    save_wide(np.random.default_rng(0).integers(0, 65536, (64, 64)).astype(np.uint16), bright)
    bright.write_bytes(bright.read_bytes()[:2000])
    assert load(photos, broken="skip", size=8).white == 4095


SWEEP = """
name: wide
dataset: {{name: image_folder, path: {path}}}
model: {{name: cnn, channels: [2], kernel_size: 3, hidden: []}}
params: {{lr: 0.01, batch_size: 4, epochs: 1}}
tensorboard: false
"""


def test_a_checkpoint_knows_the_range_of_its_pictures(tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", 4095)
    sweep(tmp_path / "runs", SWEEP.format(path=photos))
    (weights,) = (tmp_path / "runs").glob("*/best.safetensors")
    assert read_description(weights)["white"] == 4095
    assert describe(weights, read_description(weights), tmp_path, allow_code=False).white == 4095
    predictor = Predictor(tmp_path / "runs", PredictionOptions("cpu"))
    (picture,) = predictor.predict_files([photos / "dog" / "3.png"])
    seen = torch.full((1, 1, 8, 8), int(scaled(np.uint16(8 * 409), 4095)), dtype=torch.uint8)
    assert picture.probabilities == pytest.approx(predictor.predict(seen)[0].tolist(), abs=1e-6)


@pytest.mark.parametrize("white", [0, 254, 2**31, "4095", 4095.5])
def test_a_range_that_no_checkpoint_of_ours_has_is_refused(white: object, tmp_path: Path) -> None:
    sweep(tmp_path / "runs", SWEEP.format(path=fill(tmp_path / "photos", 4095)))
    (weights,) = (tmp_path / "runs").glob("*/best.safetensors")
    about = {**read_description(weights), "white": white}
    with pytest.raises(CheckpointError, match="white"):
        describe(weights, about, tmp_path, allow_code=False)


def test_pixels_below_zero_are_refused_with_a_reason(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), -3, np.int32)).save(tmp_path / "a.tif")
    (block,) = decode_all([tmp_path / "a.tif"], Form(4, 4, 1), 1)
    assert block.broken == {0: "pixels are below 0, of unknown range; save it with 8 or 16 bits"}


def png_of_16_bits_in_colour(pixels: np.ndarray) -> bytes:
    """Return a PNG file (H, W, 3) of 16 bits, which Pillow does not write."""
    import struct
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("brightest", "is_dark"), [(4095, True), (16383, True), (65535, False)])
def test_colours_of_16_bits_that_come_out_black_are_told(brightest: int, is_dark: bool, tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, brightest + 1, (8, 8, 3))
    colours[0, 0] = brightest
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "0.png").write_bytes(png_of_16_bits_in_colour(colours))
    dataset = load(tmp_path / "photos")
    ((images, _),) = dataset.train.batches([torch.arange(1)], torch.device("cpu"))
    assert np.array_equal(images[0].numpy(), (colours >> 8).transpose(2, 0, 1))
    assert any(line.startswith("nearly black") for line in dataset.found) == is_dark


# ---- folders to predict -------------------------------------------------------------------------------------------


def test_predicting_a_folder_passes_over_what_training_passes_over(tmp_path: Path) -> None:
    for place in ("a.jfif", "more/b.png", ".thumbnails/c.png", "more/.trash/d.png", "__MACOSX/e.png", "more/._b.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"")
    assert [str(path.relative_to(tmp_path)) for path in find_pictures([tmp_path])] == ["a.jfif", "more/b.png"]
    given = tmp_path / ".thumbnails"
    assert find_pictures([given]) == [given / "c.png"]  # a person who names it means it
