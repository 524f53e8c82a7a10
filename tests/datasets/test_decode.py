from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnsweep.datasets import decode as decode_module
from cnnsweep.datasets.decode import Form, ImageInfo, decode, decode_all, look_at, look_at_all, thread_count

COLOUR, GREY = Form(4, 4, 3), Form(4, 4, 1)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def constant(mode: str, value: object, folder: Path, name: str = "image.png") -> Path:
    return saved(Image.new(mode, (4, 4), value), folder / name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "value", "name", "grey", "red_green_blue"),
    [
        ("L", 100, "a.png", 100, (100, 100, 100)),
        ("1", 1, "a.png", 255, (255, 255, 255)),
        ("RGB", (255, 0, 0), "a.png", 76, (255, 0, 0)),  # ITU-R 601-2: 0.299 of red
        ("RGBA", (10, 20, 30, 255), "a.png", 18, (10, 20, 30)),
        ("RGBA", (0, 0, 0, 0), "a.png", 255, (255, 255, 255)),  # transparent: the white below
        ("RGBA", (0, 0, 0, 51), "a.png", 204, (204, 204, 204)),
        ("LA", (0, 51), "a.png", 204, (204, 204, 204)),
        ("I;16", 65535, "a.png", 255, (255, 255, 255)),
        ("I;16", 25700, "a.png", 100, (100, 100, 100)),
        ("I;16", 128, "a.png", 0, (0, 0, 0)),
        ("I;16", 129, "a.png", 1, (1, 1, 1)),
        ("I", 25700, "a.tif", 100, (100, 100, 100)),
        ("CMYK", (0, 255, 255, 0), "a.tif", 76, (255, 0, 0)),
    ],
)
def test_every_mode_becomes_grey_or_colour(
    mode: str, value: object, name: str, grey: int, red_green_blue: tuple[int, int, int], tmp_path: Path
) -> None:
    path = constant(mode, value, tmp_path, name)
    assert np.array_equal(decode(path, GREY), np.full((1, 4, 4), grey))
    assert np.array_equal(decode(path, COLOUR), np.broadcast_to(np.reshape(red_green_blue, (3, 1, 1)), (3, 4, 4)))


def test_a_palette_is_looked_up_and_its_transparent_colour_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 9, 8, 7, 50, 60, 70])
    image.putpixel((0, 0), 2)
    path = saved(image, tmp_path / "a.png", transparency=1)
    pixels = decode(path, COLOUR)
    assert pixels[:, 0, 0].tolist() == [50, 60, 70]
    assert pixels[:, 1, 1].tolist() == [255, 255, 255]


def test_an_image_of_the_right_size_is_not_touched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    assert np.array_equal(decode(path, Form(5, 7, 3)), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(orientation: int, tmp_path: Path) -> None:
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    # How each orientation stores an upright image, by the EXIF standard.
    as_stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(np.ascontiguousarray(as_stored)), tmp_path / "a.png", exif=exif)
    assert look_at(path) == ImageInfo(2, 3, is_grey=True)
    assert np.array_equal(decode(path, Form(2, 3, 1))[0], upright)


def test_a_wide_image_loses_its_sides_and_a_tall_one_its_ends(tmp_path: Path) -> None:
    pixels = np.zeros((4, 8), np.uint8)
    pixels[:, :2] = pixels[:, 6:] = 255  # the sides
    wide = saved(Image.fromarray(pixels), tmp_path / "wide.png")
    tall = saved(Image.fromarray(np.ascontiguousarray(pixels.T)), tmp_path / "tall.png")
    assert (decode(wide, GREY) == 0).all()
    assert (decode(tall, GREY) == 0).all()


def test_shrinking_averages(tmp_path: Path) -> None:
    chequered = np.indices((64, 64)).sum(0) % 2 * 255
    path = saved(Image.fromarray(chequered.astype(np.uint8)), tmp_path / "a.png")
    # Any sampling without antialiasing gives 0 and 255; the mean is 127.5.
    assert np.abs(decode(path, Form(8, 8, 1)).astype(int) - 127.5).max() < 4


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff"])
def test_what_is_no_image_is_reported_and_its_neighbours_are_decoded(content: bytes, tmp_path: Path) -> None:
    good = constant("L", 7, tmp_path)
    (tmp_path / "bad.png").write_bytes(content)
    paths = [good, tmp_path / "bad.png", good, tmp_path / "absent.png"]
    (block,) = decode_all(paths, GREY, threads=1)
    assert block.broken == {1: "not an image that Pillow knows", 3: "No such file or directory"}
    assert [look is None for look in block.looks] == [False, True, False, True]
    assert (block.images[[0, 2]] == 7).all()
    assert list(look_at_all(paths, 1)) == block.looks


def test_a_truncated_image_is_broken(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "a.png"):
        path = saved(Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)), tmp_path / name)
        path.write_bytes(path.read_bytes()[:-500])
        (block,) = decode_all([path], COLOUR, threads=1)
        assert "truncated" in block.broken[0]


def test_floating_point_images_are_refused_with_a_reason(tmp_path: Path) -> None:
    path = constant("F", 0.5, tmp_path, "a.tif")
    (block,) = decode_all([path], COLOUR, threads=1)
    assert block.broken == {0: "pixels are floating-point numbers of unknown range; save it with 8 or 16 bits"}


@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_come_in_the_order_of_the_files(threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "_BLOCK_IMAGES", 2)
    paths = [constant("L", value, tmp_path, f"{value}.png") for value in range(25)]
    blocks = list(decode_all(paths, GREY, threads))
    assert [len(block.images) for block in blocks] == [2] * 12 + [1]
    assert np.concatenate([block.images for block in blocks])[:, 0, 0, 0].tolist() == list(range(25))


def test_small_files_are_decoded_by_one_thread() -> None:
    assert thread_count(100 * 1000, 100) == 1
    assert thread_count(100 * 100_000, 100) == decode_module.usable_cores()
