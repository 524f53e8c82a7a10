"""An evaluation for TensorBoard: metrics, and classes, confusion matrix and wrong images as pictures and text."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence

from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary_v2 import text_pb

from cnnsweep.analysis.chart_classes import ClassChart, class_chart, ends_text, percent_text
from cnnsweep.analysis.evaluation import Evaluation
from cnnsweep.analysis.label_rows import HEADINGS, label_rows
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.evaluation.pictures import draw_classes, draw_confusion, draw_mistakes
from cnnsweep.formatting.escape import safe_text
from cnnsweep.metrics.names import ACCURACY, LOSS

_MOST_CLASSES = 100  # maximum classes: one scalar each, and distinguishable cells of a matrix
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+.!|~-])")


def evaluation_summary(evaluation: Evaluation) -> Summary:
    """Return the scalars, images and texts of an evaluation, in one group of tags per split."""
    group = f"evaluation_{evaluation.split}"
    scalars = {ACCURACY: evaluation.accuracy, LOSS: evaluation.loss, **evaluation.metrics}
    pictures: dict[str, Image.Image] = {}
    # No text has a picture's tag: TensorBoard takes the kind of a tag from its first value.
    texts: dict[str, str] = {}
    if len(evaluation.classes) <= _MOST_CLASSES:
        of_classes = zip(evaluation.classes, evaluation.class_accuracies(), strict=True)
        scalars |= {f"accuracy_of_{safe_text(name)}": share for name, share in of_classes if share is not None}
        if evaluation.confusion:
            pictures["confusion_matrix"] = draw_confusion(evaluation.classes, evaluation.confusion)
    if (chart := class_chart([("", evaluation)])) is not None:
        pictures["classes"] = draw_classes(chart)
        labels = evaluation if isinstance(evaluation, Labelled) else None
        texts["scores_by_class"] = _classes_text(chart) if labels is None else _labels_text(labels)
    if shown := [one for one in evaluation.wrong if one.png]:
        pictures["mistakes"] = draw_mistakes(shown)
        texts["wrong_images"] = _mistakes_text(shown)
    values = [Summary.Value(tag=f"{group}/{name}", simple_value=value) for name, value in scalars.items()]
    values += [Summary.Value(tag=f"{group}/{name}", image=_encoded(picture)) for name, picture in pictures.items()]
    for name, text in texts.items():
        values += text_pb(f"{group}/{name}", text).value
    return Summary(value=values)


def _labels_text(evaluation: Labelled) -> str:
    return _table(HEADINGS, label_rows(evaluation))


def _classes_text(chart: ClassChart) -> str:
    rows = [
        [
            row.name,
            f"{row.images:,}",
            row.texts("recall")[0],
            ends_text(row.ends("recall")[0]),
            *(row.texts(score)[0] for score in ("precision", "f1")),
        ]
        for row in chart.rows
    ]
    return _table(["class", "images", "recall", "95 %", "precision", "F1"], rows)


def _mistakes_text(wrong: Sequence[WrongImage]) -> str:
    if any(one.missed or one.invented for one in wrong):
        return _wrong_labels_text(wrong)
    rows = [[one.name, one.label, one.predicted, percent_text(one.probability)] for one in wrong]
    return _table(["file", "true class", "predicted class", "probability"], rows)


def _wrong_labels_text(wrong: Sequence[WrongImage]) -> str:
    rows = [
        [one.name, one.label, ", ".join(one.missed), ", ".join(one.invented), percent_text(one.probability)]
        for one in wrong
    ]
    return _table(["file", "labels", "missed", "invented", "certainty"], rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, in which no value is markup."""
    lines = [headings, ["---"] * len(headings), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plain(value: str) -> str:
    return html.escape(_MARKUP.sub(r"\\\1", safe_text(value)))


def _encoded(picture: Image.Image) -> Summary.Image:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return Summary.Image(height=picture.height, width=picture.width, colorspace=3, encoded_image_string=file.getvalue())
