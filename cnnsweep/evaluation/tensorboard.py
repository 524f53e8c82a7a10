"""An evaluation for TensorBoard: accuracy by class, and the confusion matrix and most confident mistakes as images."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from tensorboard.compat.proto.summary_pb2 import Summary

from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.formatting.escape import safe_text
from cnnsweep.report.evaluation import Evaluation

_MOST_CLASSES = 100  # maximum classes: one scalar each, and distinguishable cells of a matrix
_TEXT, _MARGIN, _LINE = 12, 8, 16  # pixels
_LABEL_WIDTH, _LABEL_LENGTH = 130, 18  # pixels, characters
_TILE, _TILES_A_ROW = 112, 6
_COLOR = (0x1F, 0x4E, 0x9E)  # darkness of a cell with all images of its class


def evaluation_summary(evaluation: Evaluation) -> Summary:
    """Return the scalars and images of an evaluation, in one group of tags per split."""
    group = f"evaluation_{evaluation.split}"
    scalars = {"accuracy": evaluation.accuracy, "loss": evaluation.loss, **evaluation.metrics}
    if len(evaluation.classes) <= _MOST_CLASSES:
        of_classes = zip(evaluation.classes, evaluation.class_accuracies(), strict=True)
        scalars |= {f"accuracy_of_{safe_text(name)}": share for name, share in of_classes if share is not None}
    values = [Summary.Value(tag=f"{group}/{name}", simple_value=value) for name, value in scalars.items()]
    if len(evaluation.classes) <= _MOST_CLASSES:
        matrix = draw_confusion(evaluation.classes, evaluation.confusion)
        values.append(Summary.Value(tag=f"{group}/confusion_matrix", image=_encoded(matrix)))
    if evaluation.wrong:
        values.append(Summary.Value(tag=f"{group}/mistakes", image=_encoded(draw_mistakes(evaluation.wrong))))
    return Summary(value=values)


def draw_confusion(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> Image.Image:
    """Return a picture of the matrix: a darker cell has a larger share of its row's images."""
    count = len(classes)
    cell = max(8, min(44, 640 // count))
    top, left = 2 * _LINE + _MARGIN, _LABEL_WIDTH + _MARGIN
    picture = Image.new("RGB", (left + count * cell + _MARGIN, top + count * cell + _MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_TEXT)
    draw.text((_MARGIN, _MARGIN), "rows: true class, columns: predicted", "black", font)
    shows_numbers, shows_labels = cell >= 30, cell >= 14
    for row, (name, counts) in enumerate(zip(classes, confusion, strict=True)):
        middle = top + row * cell + cell // 2
        if shows_labels:
            draw.text((left - 6, middle), f"{_short(name)} {row}", "black", font, anchor="rm")
            draw.text((left + row * cell + cell // 2, top - 4), str(row), "black", font, anchor="mb")
        total = max(sum(counts), 1)
        for column, images in enumerate(counts):
            share = images / total
            box = (left + column * cell, top + row * cell, left + (column + 1) * cell - 1, top + (row + 1) * cell - 1)
            draw.rectangle(box, _shade(share), "#dddddd")
            if images and shows_numbers:
                color = "white" if share > 0.5 else "black"
                draw.text((left + column * cell + cell // 2, middle), str(images), color, font, anchor="mm")
    return picture


def draw_mistakes(wrong: Sequence[WrongImage]) -> Image.Image:
    """Return a picture of the images, each with its class, and its predicted class below."""
    height = _TILE + 3 * _LINE
    rows = -(-len(wrong) // _TILES_A_ROW)
    picture = Image.new("RGB", (min(len(wrong), _TILES_A_ROW) * _TILE, rows * height), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_TEXT)
    for number, one in enumerate(wrong):
        row, column = divmod(number, _TILES_A_ROW)
        x, y = column * _TILE, row * height
        with Image.open(io.BytesIO(one.png), formats=("PNG",)) as image:
            shown = image.convert("RGB")
        scale = (_TILE - _MARGIN) / max(shown.size)
        size = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
        picture.paste(shown.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR), (x, y))
        sure = "" if one.probability is None else f" {one.probability:.0%}"
        draw.text((x, y + _TILE), _short(one.label), "black", font)
        draw.text((x, y + _TILE + _LINE), f"taken for{sure}", "#666666", font)
        draw.text((x, y + _TILE + 2 * _LINE), _short(one.predicted), "#b00020", font)
    return picture


def _short(name: str) -> str:
    text = safe_text(name)
    return text if len(text) <= _LABEL_LENGTH else text[: _LABEL_LENGTH - 1] + "…"


def _shade(share: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 + (channel - 255) * share) for channel in _COLOR)
    return red, green, blue


def _encoded(picture: Image.Image) -> Summary.Image:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return Summary.Image(height=picture.height, width=picture.width, colorspace=3, encoded_image_string=file.getvalue())
