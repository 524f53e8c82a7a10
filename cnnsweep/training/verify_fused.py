"""Verification, before a group trains, that its fused learner equals its single runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cnnsweep.errors import FusionError
from cnnsweep.seeding import kept_generators
from cnnsweep.training.class_weights import class_weights
from cnnsweep.training.data_module import DataModule, one_of_each_batch, training_batches
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.label_mix import LabelMix, label_mix
from cnnsweep.training.learner import Learner, SingleLearner, forward_seed
from cnnsweep.types import Run

_IMAGES = 8  # images of a real batch, for each run
_FEWER_IMAGES = 3  # evaluated too, so that the check covers two numbers of images
# In float64 the two differ only by rounding, about 1e-15; normalising a few images with almost equal values can raise
# that to 1e-8. A wrong formula differs by 1e-5 or much more.
_TOLERANCE = 1e-6
_TOLERANCE_FP32 = 1e-2  # for devices without float64


def check_fused(runs: Sequence[Run], task: DataModule) -> None:
    """Compare a step of the fused learner with each run's own: losses, gradients, weights after it, evaluation.

    Both compute in float64 on some images of the first real batch, dropout and augmentation included.

    Raises:
        FusionError: they differ; the message names the tensor.
    """
    precision, tolerance = ("fp32", _TOLERANCE_FP32) if task.device.type == "mps" else ("fp64", _TOLERANCE)
    about = (task.images.image_shape, task.num_classes, task.device, precision)
    images, labels = next(training_batches(task, runs, [1] * len(runs)))
    images, labels = images[:_IMAGES], labels[:, :_IMAGES]
    representatives = one_of_each_batch([(run, 1) for run in runs])
    mix = label_mix(representatives, 0, labels, task.images.image_shape[1:])
    channels = task.images.image_shape[0]
    with kept_generators(task.device):
        weights = class_weights(runs, task)
        fused = FusedLearner(runs, *about, weights)
        losses = _step(fused, runs, images, labels, mix)
        first = [(images[:count, :channels], labels[0, :count]) for count in (_IMAGES, _FEWER_IMAGES)]
        measured = [fused.measure(*batch)[0] for batch in first]  # all runs are evaluated on the same images
        for position, run in enumerate(runs):
            copy = position * len(labels) // len(runs)
            own = images[:, copy * channels : (copy + 1) * channels]
            own_weights = None if weights is None else weights[position : position + 1]
            batch_of_run = own, labels[copy : copy + 1], None if mix is None else mix.part(copy)
            plain = SingleLearner(run, *about, own_weights)
            loss = _step(plain, [run], *batch_of_run)
            try:
                _compare("loss", {"": losses[position]}, {"": loss[0]}, tolerance)
                _compare("gradient", fused.gradients(position), plain.gradients(0), tolerance)
                _compare("weight after one step", fused.weights(position), plain.weights(0), tolerance)
                for batch, losses_of in zip(first, measured, strict=True):
                    expected, _ = plain.measure(*batch)
                    _compare("loss in evaluation", {"": losses_of[position]}, {"": expected[0]}, tolerance)
            except FusionError:
                again = _step(SingleLearner(run, *about, own_weights), [run], *batch_of_run)
                if not torch.allclose(again, loss, rtol=tolerance, equal_nan=True):
                    raise FusionError("alone it gives different values each time, with equal seeds") from None
                raise


def _step(program: Learner, runs: Sequence[Run], images: Tensor, labels: Tensor, mix: LabelMix | None) -> Tensor:
    rates = [run.hyperparameters.lr for run in runs]
    losses, _ = program.train_step(images.clone(), labels, rates, [forward_seed(run, 1, 0) for run in runs], mix)
    return losses


def _compare(what: str, fused: Mapping[str, Tensor], plain: Mapping[str, Tensor], tolerance: float) -> None:
    """Compare every element with `tolerance` times the largest one: some are zero up to rounding.

    Integers, booleans and infinite values have to be equal.
    """
    if fused.keys() != plain.keys():
        raise FusionError(f"its fused form has different {what}s: {', '.join(sorted(fused.keys() ^ plain.keys())[:3])}")
    found, expected = _as_float64(fused), _as_float64(plain)
    sizes = [t[t.isfinite()].abs() for name, t in expected.items() if _is_continuous(plain[name])]
    largest = max((float(size.max()) for size in sizes if size.numel()), default=0.0)
    for name, wanted in expected.items():
        difference = (found[name] - wanted).abs()
        allowed = tolerance * max(largest, 1e-12) if _is_continuous(plain[name]) else 0.0
        is_alike = (found[name] == wanted) | (difference <= allowed)
        if not bool(is_alike.all()):
            of = f" of '{name}'" if name else ""
            raise FusionError(
                f"its fused form differs from the model itself: the {what}{of} by "
                f"{float(difference[~is_alike].max()):.1e}, where the largest is {largest:.1e}"
            )


def _as_float64(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return values of any type as numbers that can be subtracted, a complex one as two."""
    real = {name: torch.view_as_real(t) if t.is_complex() else t for name, t in tensors.items()}
    return {name: t if t.device.type == "mps" else t.double() for name, t in real.items()}  # MPS has no float64


def _is_continuous(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
