"""Estimate of a run's training memory, from two images."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnsweep.datasets.memory import free_memory_bytes
from cnnsweep.training.data_module import DataModule, training_batches
from cnnsweep.training.learner import SingleLearner, forward_seed
from cnnsweep.types import Run

_SAMPLE = 2  # images
_WORKSPACE = 1.5  # gradients of activations, layout changes, and workspaces of convolutions
_SHARE = 0.7  # share of the free memory for a group


def run_bytes(run: Run, task: DataModule) -> int:
    """Return the expected bytes of one run in training: weights, gradients, optimizer, activations."""
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
    return int(4 * weights + _WORKSPACE * activations)


def runs_that_fit(run: Run, task: DataModule) -> int:
    """Return the number of runs like this one that fit in memory."""
    free = torch.cuda.mem_get_info(task.device)[0] if task.device.type == "cuda" else free_memory_bytes()
    return max(1, int(_SHARE * free / max(run_bytes(run, task), 1)))
