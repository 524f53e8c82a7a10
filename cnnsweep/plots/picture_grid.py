"""A picture of many small ones in rows and columns, with headings; drawn by Pillow alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cnnsweep.formatting.escape import safe_text

_CELL = 96  # pixels of the longer side of a small picture, about
_MARGIN, _GAP, _LINE = 12, 4, 18  # pixels
_LONGEST = 16  # characters of a row's name
_INK, _FAINT = "black", "#666666"


@dataclass(frozen=True, slots=True)
class Block:
    """Pictures under one title.

    Attributes:
        pictures: (rows, columns, C, H, W) uint8.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    pictures: Tensor


def grid_as_png(blocks: Sequence[Block]) -> bytes:
    """Return the blocks below each other, all of one shape, as PNG."""
    scale = _scale(blocks[0].pictures.shape[-2:])
    drawn = [_draw(block, scale) for block in blocks]
    whole = Image.new("RGB", (max(one.width for one in drawn), sum(one.height for one in drawn)), "white")
    top = 0
    for one in drawn:
        whole.paste(one, (0, top))
        top += one.height
    content = BytesIO()
    whole.save(content, "png")
    return content.getvalue()


def _scale(size: Sequence[int]) -> float:
    """Return the factor to a visible size: whole for small pictures, so that their pixels stay squares."""
    longest = max(size)
    return max(1, round(_CELL / longest)) if longest <= 2 * _CELL else 2 * _CELL / longest


def _draw(block: Block, scale: float) -> Image.Image:
    height, width = (max(1, round(side * scale)) for side in block.pictures.shape[-2:])
    font, bold = ImageFont.load_default(12), ImageFont.load_default(15)
    names = [_short(name) for name in block.rows]
    left = _MARGIN + round(max(font.getlength(name) for name in names)) + 2 * _GAP
    first = _MARGIN + 2 * _LINE
    right = left + len(block.columns) * (width + _GAP) + _MARGIN
    title = safe_text(block.title)
    whole = Image.new(
        "RGB", (max(right, round(bold.getlength(title)) + 2 * _MARGIN), first + len(names) * (height + _GAP)), "white"
    )
    draw = ImageDraw.Draw(whole)
    draw.text((_MARGIN, _MARGIN), title, _INK, bold)
    for column, text in enumerate(block.columns):
        draw.text((left + column * (width + _GAP), _MARGIN + _LINE + 2), _fitting(text, font, width), _FAINT, font)
    for row, name in enumerate(names):
        y = first + row * (height + _GAP)
        draw.text((_MARGIN, y + height // 2 - 7), name, _FAINT, font)
        for column in range(len(block.columns)):
            picture = _as_image(block.pictures[row, column]).resize((width, height), _resampling(scale))
            whole.paste(picture, (left + column * (width + _GAP), y))
    return whole


def _resampling(scale: float) -> Image.Resampling:
    return Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS


def _as_image(picture: Tensor) -> Image.Image:
    """Return a picture (C, H, W) in colour if it has three channels or more, else its first channel."""
    pixels = picture[:3] if len(picture) >= 3 else picture[:1].expand(3, -1, -1)
    return Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))


def _short(name: str) -> str:
    text = safe_text(name)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Return a heading, or only its last word where a narrow column has no room."""
    return text if font.getlength(text) <= width else text.split()[-1]
