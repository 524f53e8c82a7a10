"""Decoding of image files of any size and mode to uint8 arrays of one form."""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from cnnsweep.datasets.image_files import formats_of

T = TypeVar("T")
Bytes = npt.NDArray[np.uint8]

_BLOCK_BYTES = 32 << 20  # bytes of decoded images in flight per thread
_BLOCK_IMAGES = 128
_SMALL_FILE_BYTES = 4096
_MOST_FILE_BYTES = 1 << 30
_MOST_PIXELS = 89_478_485  # limit of Pillow's warning; with transparency 1.3 GB during decoding
_LARGE_PIXELS = 1 << 24
_one_large_image = threading.Lock()  # otherwise one per thread could be in memory at once
_GREY_MODES = frozenset(("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"))
FULL_WHITE = 65_535  # of 16 bits
_MOST_BITS_OF_SENSORS = 14  # not 15: a picture of 16 bits may well use half of its range


@dataclass(frozen=True, slots=True)
class Form:
    """Target format of every image of a data set."""

    height: int
    width: int
    channels: int  # 1 grey, 3 colour
    white: int = FULL_WHITE  # the value that becomes 255 in pictures of more than 8 bits

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width

    @property
    def image_bytes(self) -> int:
        return self.channels * self.height * self.width


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Header of an image file: displayed size, and absence of colours.

    Attributes:
        brightest: the brightest pixel of a decoded picture of more than 8 bits; 0 for others, and before decoding.
        is_cut: True for colours of 16 bits, of which Pillow keeps the upper 8.
    """

    height: int
    width: int
    is_grey: bool
    brightest: int = 0
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded neighbours: images (n, C, H, W), of which those in `broken` (place and reason) are void."""

    images: Bytes
    looks: list[ImageInfo | None]
    broken: dict[int, str]


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file and read only its header; images that could exhaust the memory are refused."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait forever
        raise ValueError("not a regular file")
    if status.st_size > _MOST_FILE_BYTES:
        raise ValueError(f"{status.st_size:,} bytes; at most {_MOST_FILE_BYTES:,} are read")
    with path.open("rb") as file, Image.open(file, formats=formats_of(path.name)) as image:
        if image.width * image.height > _MOST_PIXELS:
            raise Image.DecompressionBombError
        is_large = image.width * image.height > _LARGE_PIXELS
        with _one_large_image if is_large else nullcontext():  # before EXIF data, which decode a PNG
            yield image


def look_at(path: Path) -> ImageInfo | None:
    """Return the header without decoding, or None if it cannot be read."""
    try:
        with _opened(path) as image:
            return _look(image)
    except Exception:  # decoding raises it again, and reports it
        return None


def decode(path: Path, form: Form) -> Bytes:
    """Return the image as uint8 (C, H, W).

    It is rotated by its EXIF data, put on white where it is transparent, and cropped about its centre to the form's
    proportions. It is resampled (bilinear, antialiased) unless it has the size already. More than 8 bits become 8 by
    rounding, so that the form's `white` becomes 255.

    Raises:
        Exception: any, raised by Pillow for an incomplete image.
    """
    with _opened(path) as image:
        return _pixels(image, form)[0]


def white_of(looks: Iterable[ImageInfo]) -> int:
    """Return the value that becomes 255 in images of more than 8 bits, from the brightest of all their pixels.

    Cameras and scanners keep 10, 12 or 14 bits in 16 without scaling, which would be nearly black. So the range is the
    smallest usual number of sensor bits that holds every pixel, else 16 bits, or more if pixels need more.
    """
    bits = max((look.brightest for look in looks), default=0).bit_length()
    if bits == 0:
        return FULL_WHITE
    return FULL_WHITE if _MOST_BITS_OF_SENSORS < bits <= 16 else (1 << max(bits, 8)) - 1


def _orientation(image: Image.Image) -> int:
    """Return the orientation from EXIF data: 1 upright, 2 to 4 mirrored or upside down, from 5 rotated by 90°."""
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if isinstance(orientation, int) else 1


def _look(image: Image.Image) -> ImageInfo:
    width, height = image.size
    is_cut = _is_cut(image)  # first: Pillow decodes a PNG to find its EXIF data
    if _orientation(image) >= 5:
        width, height = height, width
    return ImageInfo(height, width, image.mode in _GREY_MODES, is_cut=is_cut)


def _is_cut(image: Image.Image) -> bool:
    """True for colours of 16 bits: Pillow's raw mode has the format of the file, its mode has 8 bits."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ()
    raw_mode = arguments if isinstance(arguments, str) else next(iter(arguments or ()), "")
    return isinstance(raw_mode, str) and ";16" in raw_mode and not image.mode.startswith("I")


def _pixels(opened: Image.Image, form: Form) -> tuple[Bytes, int]:
    """Return the pixels (C, H, W), and the brightest of a picture of more than 8 bits, else 0."""
    # The JPEG decoder may skip detail that would be averaged away; twice the size keeps the result smooth.
    longer = 2 * max(form.height, form.width)
    opened.draft(None, (longer, longer))  # None keeps the mode
    image = opened if _orientation(opened) == 1 else ImageOps.exif_transpose(opened)
    brightest = 0
    if image.mode.startswith("I"):
        image, brightest = _of_8_bits(image, form.white)
    image = _in_mode(image, "L" if form.channels == 1 else "RGB")
    if image.size != (form.width, form.height):
        box = _centre_box(image.width, image.height, form.width / form.height)
        image = image.resize((form.width, form.height), Image.Resampling.BILINEAR, box)
    pixels = np.asarray(image)
    return pixels[None] if form.channels == 1 else pixels.transpose(2, 0, 1), brightest


def _of_8_bits(image: Image.Image, white: int) -> tuple[Image.Image, int]:
    """Return a grey picture of more than 8 bits with 8 bits, and its brightest pixel; Pillow would clip it at 255."""
    wide = np.asarray(image).astype(np.int64)
    if wide.min() < 0:
        raise ValueError("pixels are below 0, of unknown range; save it with 8 or 16 bits")
    scaled = (wide.clip(max=white) * 255 + white // 2) // white
    return Image.fromarray(scaled.astype(np.uint8)), int(wide.max())


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers of unknown range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _centre_box(width: int, height: int, proportion: float) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the largest centred part with the proportion width / height."""
    kept_width, kept_height = min(width, height * proportion), min(height, width / proportion)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height


def look_at_all(paths: Sequence[Path], threads: int) -> Iterator[ImageInfo | None]:
    """Yield the headers, in order."""
    for looks in _in_threads(lambda block: list(map(look_at, block)), paths, _BLOCK_IMAGES, threads):
        yield from looks


def decode_all(paths: Sequence[Path], form: Form, threads: int) -> Iterator[Block]:
    """Yield all images in order, block by block."""
    length = max(1, min(_BLOCK_IMAGES, _BLOCK_BYTES // form.image_bytes))
    return _in_threads(lambda block: _decode_block(block, form), paths, length, threads)


def thread_count(total_bytes: int, files: int) -> int:
    """Return the number of threads that decode files of this size fastest.

    Pillow decodes and resizes without holding the interpreter's lock, but opens a file with it: measured with JPEG
    files, a second thread costs half as much again at 1 KB a file, is even at 4 KB, and halves the time at 24 KB.
    """
    return usable_cores() if total_bytes > _SMALL_FILE_BYTES * files else 1


def _in_threads(work: Callable[[Sequence[Path]], T], paths: Sequence[Path], length: int, threads: int) -> Iterator[T]:
    """Yield the work's result for each block of paths, in order; threads work a few blocks ahead."""
    ahead: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(paths), length):
            ahead.append(pool.submit(work, paths[start : start + length]))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _decode_block(paths: Sequence[Path], form: Form) -> Block:
    block = Block(np.zeros((len(paths), *form.shape), np.uint8), [None] * len(paths), {})
    for place, path in enumerate(paths):
        try:
            with _opened(path) as image:
                block.looks[place] = look = _look(image)
                block.images[place], brightest = _pixels(image, form)
            if brightest:
                block.looks[place] = replace(look, brightest=brightest)
        except Exception as error:  # Pillow's decoders raise nearly any type; the caller names file and reason
            block.broken[place] = one_line(error)
    return block


def one_line(error: Exception) -> str:
    """Return an error's text without paths and line breaks, which callers add."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image that Pillow knows"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {_MOST_PIXELS:,} pixels"
    text = " ".join(str(error).split())
    return text or type(error).__name__


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
