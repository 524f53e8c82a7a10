"""Measurements of a model on images: loss, confusion matrix, metrics with intervals, and misclassified images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnnsweep.analysis.confusion import Counts
from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.datasets.images import ImageSet
from cnnsweep.datasets.label_counts import count_labels
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.evaluation.bootstrap import Interval, sums_interval
from cnnsweep.evaluation.metric_values import MetricValue, MetricValues, Outputs, Progress
from cnnsweep.evaluation.mistakes import ImageLosses, most_likely_other, with_mistakes
from cnnsweep.evaluation.wrong_images import MOST_PICTURES, wrong_images
from cnnsweep.losses.base import Loss
from cnnsweep.metrics.base import column_of
from cnnsweep.metrics.names import ALWAYS
from cnnsweep.models.logits import logits_of
from cnnsweep.seeding import kept_generators, seed_step
from cnnsweep.training.data_module import evaluation_batch_size
from cnnsweep.types import Choice

_LIMITS = (0.0, math.inf)  # of the loss
# Measured in every evaluation beside loss and accuracy: both weigh all classes alike.
ALSO_MEASURED = ("balanced_accuracy", "macro_f1")


@dataclass(frozen=True, slots=True)
class Measurement:
    """Predictions of a model on images, compared with their labels.

    Attributes:
        loss: mean of the run's own loss.
        loss_interval: its 95 % interval; None if it is unknown.
        confusion: counts, one row a true class, one column a predicted class.
        wrong: misclassified images, in turns of one from each class; the first ones have pictures.
        metrics: metrics other than loss and accuracy by name, with finite values.
        missing: for each metric without a value, the reason.
    """

    loss: float
    loss_interval: Interval | None
    confusion: tuple[tuple[int, ...], ...]
    wrong: tuple[WrongImage, ...]
    metrics: Mapping[str, MetricValue]
    missing: Mapping[str, str]


@torch.inference_mode()
def measure(
    model: nn.Module,
    images: ImageSet,
    positions: Tensor,
    pixels: PixelNormalize,
    classes: Sequence[str],
    device: torch.device,
    loss: Loss,
    order: torch.memory_format = torch.channels_last,
    metrics: Sequence[Choice] = (),
    *,
    most_wrong: int = MOST_PICTURES,
    progress: Progress | None = None,
) -> Measurement:
    """Measure a model in eval mode on the images at some positions of a set.

    Args:
        loss: the loss for held-out images.
        order: memory order of the model.
        metrics: metrics to measure in addition to loss, accuracy, balanced accuracy and macro F1.
        most_wrong: maximum number of misclassified images.
        progress: called with (activity, done, total) if intervals take long.

    Raises:
        UsageError: the code of a metric cannot be imported.
        MetricError: a metric raised.
    """
    counts = count_labels(images.labels[positions], classes)
    values = MetricValues(with_usual(metrics), counts)
    with kept_generators(device):
        seed_step(device, 0)  # some models draw in evaluation too
        found = _run(model.eval(), images, positions, pixels, classes, device, loss, order, values)
    confused = Counts("", tuple(classes), found.confusion())
    labels, losses = found.labels.cpu(), found.losses.cpu().double()
    mean_loss = float(losses.mean())
    of_images = ImageLosses(losses, found.mistaken.cpu().double(), (found.predicted != found.labels).cpu())
    drawn = sums_interval(lambda sums, count: sums / count, losses, labels, mean_loss, _LIMITS)
    own = values.values(Outputs(found.logits, found.labels, confused), progress)
    wrong = wrong_images(images, classes, positions, labels, found.predicted.cpu(), found.probability.cpu(), most_wrong)
    return Measurement(
        mean_loss,
        with_mistakes(drawn, mean_loss, of_images, _LIMITS) if math.isfinite(mean_loss) else None,
        confused.confusion,
        tuple(wrong),
        own,
        values.missing,
    )


def with_usual(metrics: Sequence[Choice]) -> list[Choice]:
    """Return the metrics of an evaluation: the usual ones first, none twice, without loss and accuracy."""
    by_name = {column_of(choice): choice for choice in (*map(Choice, ALSO_MEASURED), *metrics)}
    return [choice for name, choice in by_name.items() if name not in ALWAYS]


@dataclass(frozen=True, slots=True)
class _Found:
    """Values of all images, on the device: (N,) each, and logits (N, classes) if they are needed.

    Attributes:
        mistaken: the loss if the label were the most likely other class.
    """

    classes: int
    labels: Tensor
    predicted: Tensor
    probability: Tensor
    losses: Tensor
    mistaken: Tensor
    logits: Tensor | None

    def confusion(self) -> tuple[tuple[int, ...], ...]:
        pairs = torch.bincount(self.labels * self.classes + self.predicted, minlength=self.classes**2)
        return tuple(tuple(row) for row in pairs.view(self.classes, self.classes).tolist())


def _run(
    model: nn.Module,
    images: ImageSet,
    positions: Tensor,
    pixels: PixelNormalize,
    classes: Sequence[str],
    device: torch.device,
    loss: Loss,
    order: torch.memory_format,
    values: MetricValues,
) -> _Found:
    parts: list[tuple[Tensor, ...]] = []
    chunks = torch.split(positions, evaluation_batch_size(images.image_shape))
    for batch, labels in images.batches(chunks, device):
        logits = logits_of(model(pixels.to_model_input(batch, order)), len(classes)).float()
        predicted = logits.argmax(1)
        probability = logits.softmax(1).gather(1, predicted[:, None])[:, 0].nan_to_num(0.0)
        values.add(logits, labels)
        kept = (logits,) if values.needs_logits else ()
        both = [loss.per_image(logits, of) for of in (labels, most_likely_other(logits, labels))]
        parts.append((labels, predicted, probability, *both, *kept))
    labels, predicted, probability, losses, mistaken, *logits_kept = map(torch.cat, zip(*parts, strict=True))
    return _Found(
        len(classes), labels, predicted, probability, losses, mistaken, logits_kept[0] if logits_kept else None
    )
