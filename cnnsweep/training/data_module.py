"""The data module: images, folds and batches of all runs; a shared batch is made only once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnsweep.augmentations.augment import augment
from cnnsweep.config.dump import without_folder
from cnnsweep.config.schema import SweepSpec
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.images import ImageSet, to_device
from cnnsweep.datasets.label_counts import count_labels
from cnnsweep.datasets.normalize import PixelNormalize, epoch_order, pixel_normalize
from cnnsweep.datasets.sampling import balanced_order, repeats
from cnnsweep.errors import DataError, FusionError, ModelError
from cnnsweep.metrics.base import describe_metrics
from cnnsweep.metrics.names import ACCURACY, on_validation, recorded_names
from cnnsweep.metrics.objective import Objective
from cnnsweep.models.build import memory_order
from cnnsweep.training.check_augmentations import check_augmentations
from cnnsweep.training.check_class_weights import check_classes
from cnnsweep.training.check_metric import check_metrics, metric_warnings
from cnnsweep.training.last_batch import why_not_a_single_image
from cnnsweep.training.metric_sums import MetricSums
from cnnsweep.types import Choice, LabelCounts, Run, named_classes

_USUAL = Objective(on_validation(ACCURACY), "max")
NO_BATCH = (
    "drop_last leaves no batch of {} training images, since batch_size is {}; take a smaller batch_size, or "
    "drop_last: false"
)


@dataclass(frozen=True, slots=True)
class FoldData:
    """Training and held-out images, of the sweep or of one fold.

    Attributes:
        training, validation: positions in the images, int64; no validation is an empty tensor.
        pixels: normalisation of pixels, as measured on the training images.
    """

    training: Tensor
    validation: Tensor
    pixels: PixelNormalize


@dataclass(frozen=True, slots=True)
class DataModule:
    """The data that all runs of a sweep share.

    Attributes:
        parts: one for each fold, in order; a single one without k-fold.
        metrics: recorded metrics other than loss and accuracy.
        classes: names of the classes; empty for their numbers.
        objective: the metric that decides; it chooses between a run's weights and their averages.
    """

    images: ImageSet
    parts: tuple[FoldData, ...]
    num_classes: int
    device: torch.device
    precision: str
    metrics: tuple[Choice, ...] = ()
    classes: tuple[str, ...] = ()
    objective: Objective = _USUAL

    @classmethod
    def load(cls, spec: SweepSpec, dataset: Dataset, device: torch.device) -> DataModule:
        """Split the images, and measure mean and deviation of the training images, for each fold its own.

        Raises:
            UsageError: an augmentation or a metric cannot be used, or the metric that decides cannot be computed on
                the held-out images.
        """
        check_classes(spec, dataset.classes)
        images = dataset.train
        check_augmentations(spec, dataset, device)
        splits = dataset.split(spec.validation, spec.folds, spec.seed)
        parts = tuple(
            FoldData(training, validation, pixel_normalize(spec.dataset_choice.normalize, images, training))
            for training, validation in splits
        )
        about = spec.precision, spec.metrics, dataset.classes, spec.objective
        data = cls(images, parts, len(dataset.classes), device, *about)
        check_metrics(spec, data.measured_labels, data.class_names)
        return data

    def training_counts(self, run: Run) -> LabelCounts:
        """Return the images of each class that a run trains on."""
        return self._counts(self.part(run).training)

    def validation_counts(self, run: Run) -> LabelCounts:
        """Return the held-out images of each class."""
        return self._counts(self.part(run).validation)

    def _counts(self, positions: Tensor) -> LabelCounts:
        return count_labels(self.images.labels[positions], self.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, by default their numbers."""
        return self.classes or named_classes(self.num_classes)

    @property
    def is_held_out(self) -> bool:
        """True if images are held out."""
        return len(self.parts[0].validation) > 0

    @property
    def measured_labels(self) -> list[Tensor]:
        """The labels that decide, of each fold: those of the held-out images, or of all where none are held out."""
        measured = [part.validation if self.is_held_out else part.training for part in self.parts]
        return [self.images.labels[positions] for positions in measured]

    def metric_warnings(self, spec: SweepSpec) -> list[str]:
        """Return a line about each metric that is recorded and cannot be computed, or is slow."""
        return metric_warnings(spec, self.measured_labels, self.class_names)

    @property
    def columns(self) -> tuple[str, ...]:
        """The recorded metrics by name, in the order of the columns of tables."""
        return recorded_names(describe_metrics(self.metrics, is_held_out=self.is_held_out))

    def metric_sums(self, run: Run, *, is_training: bool) -> MetricSums:
        """Return empty sums of the metrics, for the training or the held-out images of a run."""
        if not self.metrics:
            return MetricSums()
        counts = self.training_counts(run) if is_training else self.validation_counts(run)
        return MetricSums(self.metrics, counts, scores=not is_training or not self.is_held_out)

    def part(self, run: Run) -> FoldData:
        """Return the training and held-out images of a run."""
        if run.fold is not None:
            return self.parts[run.fold]
        (only,) = self.parts
        return only

    def why_last_image_joins(self, run: Run) -> str | None:
        """Return the reason why an epoch's last image joins the batch before; None if it does not.

        This happens if it would be alone in a batch, and the network cannot train on a single image: see
            `last_batch.py`.
        """
        images, batch_size = len(self.part(run).training), run.hyperparameters.batch_size
        if run.hyperparameters.drop_last:
            return None
        is_left_over = images > batch_size > 1 and images % batch_size == 1
        return self._why_not_a_single_image(run) if is_left_over else None

    def batch_lengths(self, run: Run) -> list[int]:
        """Return the number of images in each batch of an epoch; the last may have fewer, or one more.

        With `drop_last` all have the same number.
        """
        images, batch_size = len(self.part(run).training), run.hyperparameters.batch_size
        if run.hyperparameters.drop_last:
            return [batch_size] * (images // batch_size)
        lengths = [min(batch_size, images - start) for start in range(0, images, batch_size)]
        if self.why_last_image_joins(run) is not None:
            lengths[-2:] = [batch_size + 1]
        return lengths

    def refuse_single_images(self, run: Run) -> None:
        """Raise if all batches of a run have one image, on which its network cannot train.

        Raises:
            ModelError: this is the case.
        """
        images, batch_size = len(self.part(run).training), run.hyperparameters.batch_size
        if min(images, batch_size) == 1 and (why := self._why_not_a_single_image(run)) is not None:
            wrong = "batch_size is 1; use 2 or more" if images > 1 else "there is only one training image; add more"
            name = without_folder(run.model.name, run.model.code)
            raise ModelError(f"model {name}: cannot train on a single image ({why}), and {wrong}")

    @property
    def is_multi_label(self) -> bool:
        """True if an image may have any number of labels."""
        return self.images.labels.ndim > 1

    def _why_not_a_single_image(self, run: Run) -> str | None:
        labels = torch.zeros(1, *self.images.labels.shape[1:], dtype=self.images.labels.dtype)
        return why_not_a_single_image(
            run, self.images.image_shape, self.num_classes, self.device, self.precision, labels
        )


def foresee_single_images(runs: Sequence[Run], task: DataModule) -> list[str]:
    """Return a warning for each model that cannot train on a last batch of one image, with the batch sizes.

    Args:
        runs: the pending ones.

    Raises:
        ModelError: all batches of a run have one image, and its network cannot train on that.
    """
    sizes: dict[tuple[str, str], dict[int, None]] = {}
    for run in runs:
        task.refuse_single_images(run)
        if (why := task.why_last_image_joins(run)) is not None:
            name = without_folder(run.model.name, run.model.code)
            sizes.setdefault((name, why), {})[run.hyperparameters.batch_size] = None
    return [
        f"batch_size {_listed(sorted(of_model))} {'leaves' if len(of_model) == 1 else 'leave'} a last batch of one "
        f"image, on which {name} ({why}) cannot train: it joins the batch before"
        for (name, why), of_model in sizes.items()
    ]


def _listed(numbers: Sequence[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} and {last}" if others else last


def training_batches(task: DataModule, runs: Sequence[Run], epochs: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of an epoch for the runs of one learner, which have one fold.

    Args:
        epochs: the epoch of each run.

    Yields:
        Images (N, G·C, H, W) float32 and labels (G, N) or (G, N, classes), on the device; batch g belongs to K/G
        consecutive runs.

    Raises:
        DataError: the images cannot be read.
        FusionError: only some of their models can train on a single image.
        ModelError: all batches have one image, and the network cannot train on that; or there is no batch.
    """
    assert len({run.fold for run in runs}) == 1
    part = task.part(runs[0])
    task.refuse_single_images(runs[0])
    lengths = task.batch_lengths(runs[0])
    if not lengths:
        raise ModelError(NO_BATCH.format(len(part.training), runs[0].hyperparameters.batch_size))
    if any(task.batch_lengths(run) != lengths for run in runs[1:]):
        raise FusionError("an argument that should change only random draws also decides about training on one image")
    representatives = one_of_each_batch(list(zip(runs, epochs, strict=True)))
    orders = torch.stack([_positions(task, run, epoch) for run, epoch in representatives], 1)  # (images, G)
    items_of_all = _items(task, orders, representatives)
    count = sum(lengths)
    chunks, drawn = torch.split(orders[:count], lengths), torch.split(items_of_all[:count], lengths)
    order = _order(task, runs)
    for step, (items, (images, labels)) in enumerate(zip(drawn, _read(task, chunks), strict=True)):
        augmented = _augmented(images, items, representatives, step)
        yield part.pixels.to_model_input(augmented, order), labels.transpose(0, 1)


def _positions(task: DataModule, run: Run, epoch: int) -> Tensor:
    """Return the images of a run's epoch in their order (images,)."""
    training, h = task.part(run).training, run.hyperparameters
    if h.is_balanced:
        return balanced_order(training, task.images.labels[training], h.seed, epoch)
    return epoch_order(training, h.shuffle, h.seed, epoch)


def _items(task: DataModule, orders: Tensor, representatives: Sequence[tuple[Run, int]]) -> Tensor:
    """Return the numbers that augmentations draw by (images, G): another one each time that an image is repeated."""
    if not any(run.hyperparameters.is_balanced and run.hyperparameters.augment for run, _ in representatives):
        return orders  # each position once
    return orders + len(task.images) * torch.stack([repeats(order) for order in orders.unbind(1)], 1)


def validation_batches(task: DataModule, runs: Sequence[Run]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the held-out images (N, C, H, W) and labels (N, ...) of one fold, in batches that suit this number of runs.

    Raises:
        DataError: the images cannot be read.
    """
    part = task.part(runs[0])
    chunks = torch.split(part.validation, evaluation_batch_size(task.images.image_shape, len(runs)))
    order = _order(task, runs)
    for images, labels in _read(task, chunks):
        yield part.pixels.to_model_input(images, order), labels


def _order(task: DataModule, runs: Sequence[Run]) -> torch.memory_format:
    """Return the memory order of a learner's images: the model's own for one run, channels-last for fused runs."""
    if len(runs) > 1:
        return torch.channels_last
    return memory_order(runs[0].model, task.images.image_shape, task.num_classes, task.device)


def _read(task: DataModule, chunks: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the images and labels of each chunk, on the device.

    Raises:
        DataError: a file or a disk failed.
    """
    try:
        yield from task.images.batches(chunks, task.device)
    except OSError as error:
        raise DataError(f"the images cannot be read ({type(error).__name__}: {error})") from error


def evaluation_batch_size(image_shape: tuple[int, int, int], runs: int = 1) -> int:
    """Return the batch size of an evaluation: smaller for large images, and for many runs."""
    alone = min(1000, 4_000_000 // math.prod(image_shape))
    # Nothing is kept for a backward pass, so that a few runs take no more memory than in training.
    return max(16, min(alone, 4 * alone // runs))


def one_of_each_batch(runs: Sequence[tuple[Run, int]]) -> Sequence[tuple[Run, int]]:
    """Return G of K runs with their epochs; each represents K/G consecutive runs with the same augmented images."""
    views = (run.hyperparameters.data_key_in(epoch) for run, epoch in runs)
    lengths = [len(list(same)) for _, same in itertools.groupby(views)]
    return runs[:: math.gcd(*lengths)]


def _augmented(images: Tensor, items: Tensor, representatives: Sequence[tuple[Run, int]], step: int) -> Tensor:
    """Return the images (N, G, C, H, W), each batch with the augmentation of its run in its epoch."""
    hows = [run.hyperparameters.augment for run, _ in representatives]
    if not any(hows):
        return images
    items = to_device(items, images.device)
    return torch.stack(
        [
            augment(images[:, g], items[:, g], how, run.hyperparameters.seed, epoch, step)
            for g, (how, (run, epoch)) in enumerate(zip(hows, representatives, strict=True))
        ],
        1,
    )
