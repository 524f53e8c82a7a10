"""Estimate of a run's training memory, from two images."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnsweep.datasets.memory import free_memory_bytes
from cnnsweep.metrics.base import make_metric
from cnnsweep.metrics.confusion import ConfusionMetric
from cnnsweep.metrics.scores import ScoreMetric
from cnnsweep.training.data_module import DataModule, training_batches
from cnnsweep.training.learner import SingleLearner, forward_seed
from cnnsweep.training.metric_sums import gathered_images
from cnnsweep.types import Run

_SAMPLE = 2  # images
_WORKSPACE = 1.5  # gradients of activations, layout changes, and workspaces of convolutions
_SCORE_COPIES = 2  # as they are gathered, and behind each other
_SHARE = 0.7  # share of the free memory for a group


def run_bytes(run: Run, task: DataModule) -> int:
    """Return the expected bytes of one run in training: weights, gradients, optimizer, averages, activations."""
    program = SingleLearner(run, task.images.image_shape, task.num_classes, task.device, task.precision)
    images, labels = next(training_batches(task, [run], [1]))
    seen: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        program.train_step(images[:_SAMPLE].clone(), labels[:, :_SAMPLE], [0.0], [forward_seed(run, 1, 0)])
    weights = sum(tensor.nbytes for tensor in program.weights(0).values())
    # Tensors saved for the backward pass include the weights; the rest grows with the batch.
    longest = max(run.hyperparameters.batch_size, *task.batch_lengths(run))
    activations = max(sum(seen.values()) - weights, 0) / min(_SAMPLE, len(images)) * longest
    averages = (run.hyperparameters.ema is not None) + (run.hyperparameters.swa is not None)
    return int((4 + averages) * weights + _WORKSPACE * activations) + _metric_bytes(run, task)


def _metric_bytes(run: Run, task: DataModule) -> int:
    """Return the bytes of a run's metrics: gathered logits, the confusion matrix, the scores of all measured images."""
    kinds = {metric.shared for metric in map(make_metric, task.metrics)}
    number = 8 if task.precision == "fp64" else 4
    confusion = 2 * 8 * task.num_classes**2 if ConfusionMetric.shared in kinds else 0
    scored = task.part(run).validation if task.is_held_out else task.part(run).training
    scores = _SCORE_COPIES * number * len(scored) * task.num_classes if ScoreMetric.shared in kinds else 0
    gathered = min(gathered_images(task.num_classes), len(task.part(run).training)) * task.num_classes
    return confusion + scores + 2 * number * gathered


def runs_that_fit(run: Run, task: DataModule) -> int:
    """Return the number of runs like this one that fit in memory."""
    free = torch.cuda.mem_get_info(task.device)[0] if task.device.type == "cuda" else free_memory_bytes()
    return max(1, int(_SHARE * free / max(run_bytes(run, task), 1)))
