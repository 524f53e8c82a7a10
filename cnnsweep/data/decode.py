"""Image files of any size and mode to uint8 arrays of one form."""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

T = TypeVar("T")
Bytes = npt.NDArray[np.uint8]

_BLOCK_BYTES = 32 << 20  # decoded images on their way from one thread
_BLOCK_IMAGES = 128
_SMALL_FILE_BYTES = 4096
# What the endings stand for and no more: a file is opened as what it is, and for some formats Pillow starts programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_MOST_FILE_BYTES = 1 << 30
_MOST_PIXELS = 89_478_485  # where Pillow begins to warn; with transparency 1.3 GB while it is decoded
_LARGE_PIXELS = 1 << 24
_one_large_image = threading.Lock()  # or as many as there are threads would lie in memory at once
_GREY_MODES = frozenset(("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L"))


@dataclass(frozen=True, slots=True)
class Form:
    """What every image of a data set is brought to."""

    height: int
    width: int
    channels: int  # 1 grey, 3 colour

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width

    @property
    def image_bytes(self) -> int:
        return self.channels * self.height * self.width


@dataclass(frozen=True, slots=True)
class Look:
    """What an image file's header says: the size as it is shown, and whether it has no colours."""

    height: int
    width: int
    is_grey: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded neighbours: images (n, C, H, W), of which those in `broken` (place and reason) are void."""

    images: Bytes
    looks: list[Look | None]
    broken: dict[int, str]


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file whose header is read and nothing more; what could take the memory is refused."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        raise ValueError("not a regular file")
    if status.st_size > _MOST_FILE_BYTES:
        raise ValueError(f"{status.st_size:,} bytes; at most {_MOST_FILE_BYTES:,} are read")
    with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
        if image.width * image.height > _MOST_PIXELS:
            raise Image.DecompressionBombError
        is_large = image.width * image.height > _LARGE_PIXELS
        with _one_large_image if is_large else nullcontext():  # from here on: of a PNG, even EXIF data lie at the end
            yield image


def look_at(path: Path) -> Look | None:
    """Return what the header says, without decoding, or None where it cannot be read."""
    try:
        with _opened(path) as image:
            return _look(image)
    except Exception:  # decoding meets it again, and reports it
        return None


def decode(path: Path, form: Form) -> Bytes:
    """Return the image as uint8 (C, H, W).

    It is turned as its EXIF data say, laid on white where it is transparent, cut to the form's proportions about the
    centre, and resampled (bilinear, antialiased) unless it has the size already. 16 bits become 8 by rounding.

    Raises:
        Exception: whatever Pillow raises for a file that is no whole image.
    """
    with _opened(path) as image:
        return _pixels(image, form)


def _orientation(image: Image.Image) -> int:
    """Return how EXIF data say an image lies: 1 upright, 2 to 4 mirrored or upside down, from 5 on its side."""
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if isinstance(orientation, int) else 1


def _look(image: Image.Image) -> Look:
    width, height = image.size
    if _orientation(image) >= 5:
        width, height = height, width
    return Look(height, width, image.mode in _GREY_MODES)


def _pixels(opened: Image.Image, form: Form) -> Bytes:
    # Lets the JPEG decoder skip detail that would be averaged away; twice the size keeps the result smooth.
    longer = 2 * max(form.height, form.width)
    opened.draft(None, (longer, longer))  # None keeps the mode
    image = opened if _orientation(opened) == 1 else ImageOps.exif_transpose(opened)
    image = _in_mode(image, "L" if form.channels == 1 else "RGB")
    if image.size != (form.width, form.height):
        box = _centre_box(image.width, image.height, form.width / form.height)
        image = image.resize((form.width, form.height), Image.Resampling.BILINEAR, box)
    pixels = np.asarray(image)
    return pixels[None] if form.channels == 1 else pixels.transpose(2, 0, 1)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode.startswith("I"):  # whole numbers of 16 bits; Pillow would cut them off at 255
        wide = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("pixels are floating-point numbers of unknown range; save it with 8 or 16 bits")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _centre_box(width: int, height: int, proportion: float) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of the largest centred part with the proportion width / height."""
    kept_width, kept_height = min(width, height * proportion), min(height, width / proportion)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height


def look_at_all(paths: Sequence[Path], threads: int) -> Iterator[Look | None]:
    """Yield what each header says, in order."""
    for looks in _in_threads(lambda block: list(map(look_at, block)), paths, _BLOCK_IMAGES, threads):
        yield from looks


def decode_all(paths: Sequence[Path], form: Form, threads: int) -> Iterator[Block]:
    """Yield all images in order, block by block."""
    length = max(1, min(_BLOCK_IMAGES, _BLOCK_BYTES // form.image_bytes))
    return _in_threads(lambda block: _decode_block(block, form), paths, length, threads)


def thread_count(total_bytes: int, files: int) -> int:
    """Return how many threads decode files of this size soonest.

    Pillow decodes and resizes without holding the interpreter's lock, but opens a file with it: measured with JPEG
    files, a second thread costs half as much again at 1 KB a file, is even at 4 KB, and halves the time at 24 KB.
    """
    return usable_cores() if total_bytes > _SMALL_FILE_BYTES * files else 1


def _in_threads(work: Callable[[Sequence[Path]], T], paths: Sequence[Path], length: int, threads: int) -> Iterator[T]:
    """Yield the work's result for each block of paths, in order, while threads are a few blocks ahead."""
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
                block.looks[place] = _look(image)
                block.images[place] = _pixels(image, form)
        except Exception as error:  # Pillow's decoders raise nearly everything; the caller names file and reason
            block.broken[place] = one_line(error)
    return block


def one_line(error: Exception) -> str:
    """Return what went wrong without paths and line breaks, which the caller adds as it needs."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image that Pillow knows"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {_MOST_PIXELS:,} pixels"
    text = " ".join(str(error).split())
    return text or type(error).__name__


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
