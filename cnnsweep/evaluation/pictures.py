"""Pictures of an evaluation for TensorBoard: the confusion matrix, scores by class, and wrong images."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from cnnsweep.analysis.chart_classes import ClassChart
from cnnsweep.analysis.class_counts import Interval
from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.formatting.escape import safe_text

_TEXT, _SMALL, _MARGIN, _LINE = 12, 10, 8, 16  # pixels
_LABEL_WIDTH, _LABEL_LENGTH = 170, 18  # pixels, characters
_TILE, _TILES_A_ROW = 112, 6
_COLOR = (0x1F, 0x4E, 0x9E)  # darkness of a cell with all images of its class
_BAR_WIDTH, _ROW = 320, 34  # pixels, of the chart by class
_SCORES = {"recall": "#1f4e9e", "precision": "#d55e00"}


def draw_confusion(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> Image.Image:
    """Return a picture of the matrix: a darker cell has a larger share of its row's images, which it names too."""
    count = len(classes)
    cell = max(8, min(52, 640 // count))
    top, left = 2 * _LINE + _MARGIN, _LABEL_WIDTH + _MARGIN
    picture = Image.new("RGB", (left + count * cell + _MARGIN, top + count * cell + _MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    font, small = ImageFont.load_default(_TEXT), ImageFont.load_default(_SMALL)
    draw.text((_MARGIN, _MARGIN), "rows: true class (images), columns: predicted", "black", font)
    shows_numbers, shows_labels = cell >= 30, cell >= 14
    for row, (name, counts) in enumerate(zip(classes, confusion, strict=True)):
        middle = top + row * cell + cell // 2
        if shows_labels:
            label = f"{_short(name)} ({sum(counts):,}) {row}"
            draw.text((left - 6, middle), label, "black", font, anchor="rm")
            draw.text((left + row * cell + cell // 2, top - 4), str(row), "black", font, anchor="mb")
        total = max(sum(counts), 1)
        for column, images in enumerate(counts):
            share = images / total
            box = (left + column * cell, top + row * cell, left + (column + 1) * cell - 1, top + (row + 1) * cell - 1)
            draw.rectangle(box, _shade(share), "#dddddd")
            if images and shows_numbers:
                color, x = "white" if share > 0.5 else "black", left + column * cell + cell // 2
                shift = 7 if cell >= 40 else 0
                draw.text((x, middle - shift), f"{images:,}", color, font, anchor="mm")
                if shift:
                    draw.text((x, middle + shift), f"{share:.0%}", color, small, anchor="mm")
    return picture


def draw_classes(chart: ClassChart) -> Image.Image:
    """Return a picture of recall and precision by class of the first run, with 95 % intervals, the hardest first."""
    left, top = _LABEL_WIDTH + 2 * _MARGIN, 2 * _LINE + _MARGIN
    size = (left + _BAR_WIDTH + 2 * _LINE, top + _ROW * len(chart.rows) + _LINE + _MARGIN)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    font, small = ImageFont.load_default(_TEXT), ImageFont.load_default(_SMALL)
    draw.text((_MARGIN, _MARGIN), f"{chart.noun} (images)", "black", font)
    for number, (score, color) in enumerate(_SCORES.items()):
        draw.text((left + number * 80, _MARGIN), score, color, font)
    bottom = top + _ROW * len(chart.rows)
    for tenths in range(0, 11, 2):
        x = left + _BAR_WIDTH * tenths // 10
        draw.line((x, top, x, bottom), "#dddddd")
        draw.text((x, bottom + 2), f"{tenths * 10} %", "#666666", small, anchor="ma")
    for place, row in enumerate(chart.rows):
        middle = top + place * _ROW + _ROW // 2
        label = f"{_short(row.name)} ({row.images:,})"
        draw.text((left - _MARGIN, middle), label, "black", font, anchor="rm")
        for shift, (score, color) in zip((-7, 7), _SCORES.items(), strict=True):
            _draw_share(draw, (left, middle + shift), row.values(score)[0], row.ends(score)[0], color)
    return picture


def _draw_share(
    draw: ImageDraw.ImageDraw, origin: tuple[int, int], value: float | None, ends: Interval | None, color: str
) -> None:
    """Draw a point with its interval to the right of an origin, which is 0."""
    if value is None or ends is None:
        return
    x, y = origin
    low, high = (x + _BAR_WIDTH * end for end in ends)
    draw.line((low, y, high, y), color, 2)
    for end in (low, high):
        draw.line((end, y - 3, end, y + 3), color, 2)
    middle = x + _BAR_WIDTH * value
    draw.ellipse((middle - 4, y - 4, middle + 4, y + 4), color)


def draw_mistakes(wrong: Sequence[WrongImage]) -> Image.Image:
    """Return a picture of the images by true class, each with its class, file and predicted class below."""
    labels = list(dict.fromkeys(one.label for one in wrong))
    ordered = sorted(wrong, key=lambda one: labels.index(one.label))
    height = _TILE + 4 * _LINE + _MARGIN
    rows = -(-len(ordered) // _TILES_A_ROW)
    picture = Image.new("RGB", (min(len(ordered), _TILES_A_ROW) * _TILE, rows * height), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_TEXT)
    for number, one in enumerate(ordered):
        row, column = divmod(number, _TILES_A_ROW)
        x, y = column * _TILE, row * height
        with Image.open(io.BytesIO(one.png), formats=("PNG",)) as image:
            shown = image.convert("RGB")
        scale = (_TILE - _MARGIN) / max(shown.size)
        size = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
        picture.paste(shown.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR), (x, y))
        sure = "" if one.probability is None else f" {one.probability:.0%}"
        draw.text((x, y + _TILE), _short(one.label), "black", font)
        second, third = _mistake_words(one)
        draw.text((x, y + _TILE + _LINE), second, "#666666", font)
        draw.text((x, y + _TILE + 2 * _LINE), _short(third, _LABEL_LENGTH - len(sure)) + sure, "#b00020", font)
        draw.text((x, y + _TILE + 3 * _LINE), _end_of(one.name), "#666666", font)
    return picture


def _mistake_words(one: WrongImage) -> tuple[str, str]:
    """Return two lines below the true class: what the image is taken for, or its wrong labels with + and -."""
    if not one.missed and not one.invented:
        return "taken for", one.predicted
    return "wrong", ", ".join([*(f"-{name}" for name in one.missed), *(f"+{name}" for name in one.invented)])


def _short(name: str, most: int = _LABEL_LENGTH) -> str:
    text = safe_text(name)
    return text if len(text) <= most else text[: most - 1] + "…"


def _end_of(name: str) -> str:
    """Return the end of a file's name, which differs most."""
    text, most = safe_text(name), _LABEL_LENGTH - 3
    return text if len(text) <= most else "…" + text[len(text) - most + 1 :]


def _shade(share: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 + (channel - 255) * share) for channel in _COLOR)
    return red, green, blue
