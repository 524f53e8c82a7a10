"""Drawing of the data set `shapes`.

Pixels are computed only by additions, multiplications, divisions, square roots and comparisons, each rounded
separately. So the images are the same on every machine and with any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cnnsweep.seeding import derive_seed, uniform_per_item

Floats: TypeAlias = npt.NDArray[np.floating]  # float32 throughout; numpy's stubs lose the type

_BLOCK = 128  # images drawn at once; part of the definition, since noise is drawn by the block
_TOLD = 64 * _BLOCK  # images between two reports of progress; a few seconds
_STROKES = 3
_DRAWS = 12 + 5 * _STROKES

# Difficulty: LeNet, after three epochs with Adam, is good at lr 0.001 and bad at 0.1 and 0.0001.
_TURN = 0.15  # range of angles, in full turns
_RADIUS = (0.55, 0.8)  # in half images, like all lengths here
_REACH = 0.8  # share of the way to the edge
_CONTRAST = (70.0, 150.0)  # grey levels between shape and background
_STROKE_CONTRAST = 90.0
_DARK = 0.2  # share of shapes darker than their background
_NOISE = 0.15  # factor of the difference of two random bytes


@dataclass(frozen=True, slots=True)
class ShapesOptions:
    """Properties of the images: side in pixels, channels (1 or 3), number of classes and of images, seed."""

    size: int = 28
    channels: int = 1
    classes: int = 10
    train: int = 10000
    test: int = 2000
    seed: int = 0


def draw_shapes(
    options: ShapesOptions, part: str, count: int, progress: Callable[[str, int, int], None] | None = None
) -> tuple[Tensor, Tensor]:
    """Draw one part of the data set.

    Each image has one shape of its class, moved, rotated and scaled, lighter or darker than a shaded background, among
    short strokes and under noise. It depends on its position, the part and the options without the counts, so a larger
    set begins with the smaller one.

    Args:
        part: `train` or `test`, which have separate random streams.
        progress: called with the activity, the amount done and the total.

    Returns:
        (count, channels, size, size) uint8 and (count,) int64; the classes alternate.
    """
    images = np.empty((count, options.channels, options.size, options.size), np.uint8)
    for start in range(0, count, _BLOCK):
        images[start : start + _BLOCK] = _draw_block(options, part, start, min(_BLOCK, count - start))
        if progress and start % _TOLD == 0 < start:
            progress(f"drawing {part} shapes", start, count)
    if progress and count > _TOLD:
        progress(f"drawing {part} shapes", count, count)
    return torch.from_numpy(images), torch.arange(count) % options.classes


def _draw_block(options: ShapesOptions, part: str, start: int, count: int) -> npt.NDArray[np.uint8]:
    """Draw B images from `start`, the beginning of a block: (B, C, size, size)."""
    items = torch.arange(start, start + count)
    draws: Floats = uniform_per_item(options.seed, f"shapes {part}", 0, items, _DRAWS).numpy()
    turn, scale, left, top, polarity, contrast, *shading = draws.T[:12, :, None, None]  # (B, 1, 1) each
    ground, slope_x, slope_y, *tints = shading
    x = _pixel_centres(options.size)
    y = x[:, None]

    radius = _between(scale, _RADIUS)
    reach = (1 - radius) * _REACH
    u, v = _turned(x - (2 * left - 1) * reach, y - (2 * top - 1) * reach, (turn - 0.5) * _TURN)
    distance = np.empty_like(u)
    for label, outline in enumerate(list(OUTLINES.values())[: options.classes]):
        own = slice((label - start) % options.classes, None, options.classes)
        distance[own] = outline(u[own] / radius[own], v[own] / radius[own]) * radius[own]

    sign = np.where(polarity < _DARK, -1, 1)
    grey = 128 - 40 * sign + 40 * (ground - 0.5) + 60 * ((slope_x - 0.5) * x + (slope_y - 0.5) * y)
    for stroke in draws.T[12:, :, None, None].reshape(_STROKES, 5, count, 1, 1):
        grey += _coverage(_segment(x, y, stroke[:4]), options.size) * (_STROKE_CONTRAST * (2 * stroke[4] - 1))
    ink = _coverage(distance, options.size) * (sign * _between(contrast, _CONTRAST))

    images = np.empty((count, options.channels, options.size, options.size), np.uint8)
    noise = _noise(options, part, start)[:count]
    for channel in range(options.channels):
        value = grey + ink * (0.6 + 0.4 * tints[channel]) + noise[:, channel] * _NOISE
        images[:, channel] = np.rint(value.clip(0, 255))
    return images


def _noise(options: ShapesOptions, part: str, start: int) -> Floats:
    """Draw differences of two bytes for a whole block: (128, C, size, size) from -255 to 255."""
    shape = (2, _BLOCK, options.channels, options.size, options.size)
    bits = np.random.PCG64(derive_seed(options.seed, f"shapes {part} noise", start))
    # The raw stream is stable across numpy versions; 128 images make it a whole number of words.
    raw = bits.random_raw(int(np.prod(shape)) // 8).astype("<u8").view(np.uint8).reshape(shape).astype(np.float32)
    difference: Floats = raw[0] - raw[1]
    return difference


def _pixel_centres(size: int) -> Floats:
    """Return the positions of pixels along one side, from -1 to 1."""
    centres: Floats = (np.arange(size, dtype=np.float32) * 2 + (1 - size)) / size
    return centres


def _between(uniform: Floats, limits: tuple[float, float]) -> Floats:
    return limits[0] + (limits[1] - limits[0]) * uniform


def _coverage(distance: Floats, size: int) -> Floats:
    """Return the share of each pixel inside an outline, 0 to 1, from distances in half images."""
    covered: Floats = (0.5 - distance * (size / 2)).clip(0, 1)
    return covered


def _turned(x: Floats, y: Floats, turns: Floats) -> tuple[Floats, Floats]:
    angle = turns.astype(np.float64) * (2 * np.pi)
    # Rounded, because the last bits of sine and cosine differ between mathematics libraries.
    cosine = (np.rint(np.cos(angle) * 4096) / 4096).astype(np.float32)
    sine = (np.rint(np.sin(angle) * 4096) / 4096).astype(np.float32)
    return x * cosine + y * sine, y * cosine - x * sine


def _segment(x: Floats, y: Floats, ends: Floats) -> Floats:
    """Return distances to a thin stroke; `ends` are numbers in [0, 1): its start x, y and its extent x, y."""
    x0, y0 = 2 * ends[0] - 1, 2 * ends[1] - 1
    across, down = ends[2] - 0.5, ends[3] - 0.5
    u, v = x - x0, y - y0
    along = ((u * across + v * down) / (across * across + down * down + 1e-4)).clip(0, 1)
    return _length(u - along * across, v - along * down) - 0.04


def _length(u: Floats, v: Floats) -> Floats:
    length: Floats = np.sqrt(u * u + v * v)
    return length


# Signed distances to outlines that fill the unit circle, below 0 inside; v points down.
# After Inigo Quilez, "2D distance functions", iquilezles.org/articles/distfunctions2d.


def _circle(u: Floats, v: Floats) -> Floats:
    return _length(u, v) - 0.9


def _square(u: Floats, v: Floats) -> Floats:
    return np.maximum(abs(u), abs(v)) - 0.75


def _triangle(u: Floats, v: Floats) -> Floats:
    return np.maximum(abs(u) * 0.866 - v * 0.5, v) - 0.5


def _cross(u: Floats, v: Floats) -> Floats:
    a, b = abs(u), abs(v)
    return np.maximum(np.minimum(a, b) - 0.28, np.maximum(a, b) - 0.95)


def _ring(u: Floats, v: Floats) -> Floats:
    distance: Floats = abs(_length(u, v) - 0.72) - 0.2
    return distance


def _star(u: Floats, v: Floats) -> Floats:
    # Folded over its five axes of symmetry, a star is one edge, from the tip at (0, 1) inwards.
    across, down = 0.809017, 0.587785
    u, v = abs(u), -v
    fold: Floats = 2 * np.maximum(u * across - v * down, 0)
    u, v = u - fold * across, v + fold * down
    fold = 2 * np.maximum(-u * across - v * down, 0)
    u, v = abs(u + fold * across), v + fold * down - 1
    edge_u, edge_v = 0.45 * down, 0.45 * across - 1
    along = ((u * edge_u + v * edge_v) / (edge_u * edge_u + edge_v * edge_v)).clip(0, 1)
    signed: Floats = _length(u - edge_u * along, v - edge_v * along) * np.sign(v * edge_u - u * edge_v)
    return signed


def _crescent(u: Floats, v: Floats) -> Floats:
    distance: Floats = np.maximum(_length(u, v) - 0.95, 0.75 - _length(u - 0.5, v))
    return distance


def _frame(u: Floats, v: Floats) -> Floats:
    distance: Floats = abs(np.maximum(abs(u), abs(v)) - 0.62) - 0.18
    return distance


def _arrow(u: Floats, v: Floats) -> Floats:
    head = np.maximum(abs(u) * 0.78 - (v + 0.95) * 0.62, v)
    shaft = np.maximum(abs(u) - 0.22, abs(v - 0.35) - 0.6)
    distance: Floats = np.minimum(head, shaft)
    return distance


def _corner(u: Floats, v: Floats) -> Floats:
    upright = np.maximum(abs(u + 0.5) - 0.22, abs(v) - 0.8)
    foot = np.maximum(abs(u) - 0.72, abs(v - 0.58) - 0.22)
    distance: Floats = np.minimum(upright, foot)
    return distance


OUTLINES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "ring": _ring,
    "star": _star,
    "crescent": _crescent,
    "frame": _frame,
    "arrow": _arrow,
    "corner": _corner,
}
