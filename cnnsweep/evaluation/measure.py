"""Measurements of a model on images: loss, confusion matrix and most confident mistakes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn

from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.datasets.images import ImageSet
from cnnsweep.datasets.label_counts import count_labels
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.losses.base import Loss
from cnnsweep.metrics.names import ALWAYS
from cnnsweep.models.logits import logits_of
from cnnsweep.seeding import kept_generators, seed_step
from cnnsweep.training.data_module import evaluation_batch_size
from cnnsweep.training.metric_sums import MetricSums, Predictions
from cnnsweep.types import Choice

MOST_WRONG = 24  # maximum number of kept images
_LARGEST_SHOWN = 256  # maximum side in pixels; larger images are reduced


@dataclass(frozen=True, slots=True)
class Measurement:
    """Predictions of a model on images, compared with their labels.

    Attributes:
        loss: mean of the run's own loss.
        metrics: further metrics by name, with finite values.
        confusion: counts, one row a true class, one column a predicted class.
        wrong: up to 24 misclassified images, the most confident mistakes first.
    """

    loss: float
    confusion: tuple[tuple[int, ...], ...]
    wrong: tuple[WrongImage, ...]
    metrics: Mapping[str, float]


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
) -> Measurement:
    """Measure a model in eval mode on the images at some positions of a set.

    Args:
        loss: the loss for held-out images.
        order: memory order of the model.
        metrics: metrics to measure in addition to loss and accuracy.

    Raises:
        UsageError: the code of a metric cannot be imported.
        MetricError: a metric raised.
    """
    with kept_generators(device):
        seed_step(device, 0)  # some models draw in evaluation too
        return _measure(model.eval(), images, positions, pixels, classes, device, loss, order, metrics)


def _measure(
    model: nn.Module,
    images: ImageSet,
    positions: Tensor,
    pixels: PixelNormalize,
    classes: Sequence[str],
    device: torch.device,
    loss: Loss,
    order: torch.memory_format,
    metrics: Sequence[Choice],
) -> Measurement:
    loss_sum = torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
    pairs = torch.zeros(len(classes) ** 2, dtype=torch.int64, device=device)
    surest = _SurestMistakes()
    sums = MetricSums(metrics, count_labels(images.labels[positions], classes))
    chunks = torch.split(positions, evaluation_batch_size(images.image_shape))
    for chunk, (batch, labels) in zip(chunks, images.batches(chunks, device), strict=True):
        logits = logits_of(model(pixels.to_model_input(batch, order)), len(classes)).float()
        loss_sum += loss.per_image(logits, labels).sum(dtype=loss_sum.dtype)
        pairs += torch.bincount(labels * len(classes) + logits.argmax(1), minlength=len(pairs))
        surest.look_at(logits, labels, chunk)
        sums.add(Predictions(logits[None], labels[None]))
    confusion = pairs.view(len(classes), len(classes)).tolist()
    mean_loss = loss_sum.item() / len(positions)
    (values,) = sums.values([mean_loss], len(positions))
    return Measurement(
        mean_loss,
        tuple(tuple(row) for row in confusion),
        tuple(surest.wrong_images(images, classes)),
        {name: value for name, value in values.items() if name not in ALWAYS and value is not None},
    )


class _SurestMistakes:
    """The most confident mistakes so far; they stay on the device, so that nothing waits for it."""

    def __init__(self) -> None:
        self._found: tuple[Tensor, ...] = ()  # probability (-1: none), position, label, predicted class

    def look_at(self, logits: Tensor, labels: Tensor, positions: Tensor) -> None:
        probability, predicted = logits.softmax(1).max(1)
        probability = torch.where(predicted == labels, -1.0, probability.nan_to_num(0.0))
        batch = (probability, positions.to(labels.device), labels, predicted)
        both = tuple(map(torch.cat, zip(self._found, batch, strict=True))) if self._found else batch
        first = both[0].sort(descending=True, stable=True).indices[:MOST_WRONG]  # equal on all devices
        self._found = tuple(values[first] for values in both)

    def wrong_images(self, images: ImageSet, classes: Sequence[str]) -> list[WrongImage]:
        if not self._found:
            return []
        probability, position, label, predicted = (values.cpu() for values in self._found)
        count = int((probability >= 0).sum())
        if not count:
            return []
        pictures, _ = next(iter(images.batches([position[:count]], torch.device("cpu"))))
        return [
            WrongImage(
                index=int(position[place]),
                label=classes[int(label[place])],
                predicted=classes[int(predicted[place])],
                probability=float(probability[place]),
                png=_as_png(pictures[place]),
            )
            for place in range(count)
        ]


def _as_png(pixels: Tensor) -> bytes:
    """Return (C, H, W) uint8 as a PNG file; for other channel counts than 1 and 3, the first displayable channels."""
    shown = pixels[:3] if len(pixels) >= 3 else pixels[:1]
    picture = Image.fromarray(shown[0].numpy() if len(shown) == 1 else shown.permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((_LARGEST_SHOWN, _LARGEST_SHOWN))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
