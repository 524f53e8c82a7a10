"""Measurements of a model on images with several labels: metrics, thresholds, counts by label, and wrong images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnnsweep.analysis.confusion import names_text
from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.datasets.images import ImageSet
from cnnsweep.datasets.label_counts import count_label_sets, count_labels
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.evaluation.bootstrap import Interval, sums_interval
from cnnsweep.evaluation.choose_thresholds import choose_thresholds
from cnnsweep.evaluation.label_metrics import (
    LabelOutputs,
    average_precisions,
    counts_of_labels,
    label_metrics,
)
from cnnsweep.evaluation.metric_values import MetricValue, Progress
from cnnsweep.evaluation.thresholds import DEFAULT_THRESHOLD
from cnnsweep.evaluation.wrong_images import MOST_PICTURES
from cnnsweep.evaluation.wrong_labels import wrong_label_images
from cnnsweep.losses.base import Loss
from cnnsweep.models.logits import logits_of
from cnnsweep.seeding import kept_generators, seed_step
from cnnsweep.training.data_module import evaluation_batch_size
from cnnsweep.types import Choice


@dataclass(frozen=True, slots=True)
class LabelMeasurement:
    """Predictions of a model on images with several labels, compared with their labels.

    Attributes:
        loss, loss_interval, wrong, metrics, missing: as of `Measurement`.
        right: number of images with all labels right, at 0.5.
        thresholds: of each label, chosen on validation images.
        counts: for each label the images that have it, those given it, and those of both; at the thresholds.
        average_precision: of each label; None where no image has it.
        baseline: the share of the most frequent set of labels: the accuracy of always giving it.
        notes: remarks on the thresholds.
    """

    loss: float
    loss_interval: Interval | None
    images: int
    right: int
    thresholds: tuple[float, ...]
    counts: tuple[tuple[int, int, int], ...]
    average_precision: tuple[float | None, ...]
    wrong: tuple[WrongImage, ...]
    metrics: Mapping[str, MetricValue]
    baseline: float
    missing: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelModel:
    """A model in eval mode, and all that its outputs depend on."""

    model: nn.Module
    pixels: PixelNormalize
    classes: tuple[str, ...]
    device: torch.device
    loss: Loss
    order: torch.memory_format = torch.channels_last


def measure_labels(
    model: LabelModel,
    images: ImageSet,
    positions: Tensor,
    validation: tuple[ImageSet, Tensor],
    metrics: Sequence[Choice] = (),
    *,
    most_wrong: int = MOST_PICTURES,
    progress: Progress | None = None,
) -> LabelMeasurement:
    """Measure a model on the images at some positions of a set.

    Args:
        validation: the images and positions on which thresholds are chosen; without positions they are 0.5.
        metrics: metrics to measure in addition to the usual ones.
        most_wrong: maximum number of images with wrong labels.
        progress: called with (activity, done, total) if intervals take long.

    Raises:
        UsageError: the code of a metric cannot be imported.
        MetricError: a metric raised.
    """
    outputs, losses = _outputs(model, images, positions)
    is_same = images is validation[0] and torch.equal(positions, validation[1])
    held_out = outputs if is_same else _outputs(model, *validation)[0]
    thresholds, notes = _thresholds(held_out, model.classes)
    if is_same:
        notes = (*notes, "the thresholds were chosen on these images, so the metrics at the thresholds are optimistic")
    given = outputs.probabilities > torch.tensor(thresholds, dtype=outputs.probabilities.dtype)
    by_label = counts_of_labels(given, outputs.labels, model.classes)
    counts = count_label_sets(outputs.labels, model.classes)
    found = label_metrics(metrics, outputs, thresholds, counts, progress)
    mean_loss = float(losses.mean())
    wrong = wrong_label_images(
        images, model.classes, positions, outputs.labels, outputs.probabilities, thresholds, most_wrong
    )
    return LabelMeasurement(
        mean_loss,
        sums_interval(lambda sums, count: sums / count, losses, outputs.labels, mean_loss, (0.0, math.inf)),
        len(positions),
        int(((outputs.logits > 0) == (outputs.labels > 0)).all(1).sum()),
        thresholds,
        tuple((one.images, one.predicted, one.correct) for one in by_label),
        average_precisions(outputs),
        tuple(wrong),
        found.values,
        (counts.frequent_images or 0) / counts.images,
        found.missing,
        notes,
    )


@torch.inference_mode()
def _outputs(model: LabelModel, images: ImageSet, positions: Tensor) -> tuple[LabelOutputs, Tensor]:
    """Return the outputs for all images, and the loss of each (N,) float64."""
    parts: list[tuple[Tensor, ...]] = []
    chunks = torch.split(positions, evaluation_batch_size(images.image_shape))
    with kept_generators(model.device):
        seed_step(model.device, 0)  # some models draw in evaluation too
        network = model.model.eval()
        for batch, labels in images.batches(chunks, model.device) if len(positions) else ():
            output = network(model.pixels.to_model_input(batch, model.order))
            logits = logits_of(output, len(model.classes)).float()
            parts.append((logits, labels, model.loss.per_image(logits, labels)))
    if not parts:
        empty = torch.zeros(0, len(model.classes))
        return LabelOutputs(empty, empty, empty.to(torch.uint8)), torch.zeros(0, dtype=torch.float64)
    logits, labels, losses = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return LabelOutputs(logits, logits.sigmoid().nan_to_num(0.0), labels), losses.double()


def _thresholds(held_out: LabelOutputs, classes: Sequence[str]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return the thresholds, and notes on labels whose threshold cannot be chosen."""
    if not len(held_out.labels):
        note = f"thresholds are {DEFAULT_THRESHOLD}, since no images were held out for validation to choose them on"
        return (DEFAULT_THRESHOLD,) * len(classes), (note,)
    missing = count_labels(held_out.labels, classes).missing
    note = f"no validation image has the label {names_text(missing)}, so the threshold stays {DEFAULT_THRESHOLD}"
    return choose_thresholds(held_out.probabilities, held_out.labels), (note,) if missing else ()
