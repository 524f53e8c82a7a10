"""Stochastic weight averaging: the mean of a run's weights after each of its last epochs, and its measurement.

As with torch's `AveragedModel` and `update_bn`: each epoch counts alike, and batch-norm statistics are estimated anew
by a pass over the training images, those of the last epoch. That and the measurement come after the last epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cnnsweep.training.data_module import DataModule, training_batches
from cnnsweep.training.learner import SingleLearner, forward_seed
from cnnsweep.types import Run


class WeightMean:
    """The mean of the weights after some epochs.

    Attributes:
        epochs: their number.
        weights: a state dict; what is not of floating point is that of the last epoch.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        """Begin with no epoch, or with the state in a checkpoint."""
        self.epochs: int = 0 if state is None else state["epochs"]
        given = {} if state is None else state["weights"]
        self.weights: dict[str, Tensor] = {name: tensor.clone() for name, tensor in given.items()}

    @torch.no_grad()
    def add(self, weights: Mapping[str, Tensor]) -> None:
        """Add the weights after an epoch."""
        self.epochs += 1
        for name, tensor in weights.items():
            if self.epochs > 1 and tensor.is_floating_point():
                # A mean from a checkpoint is on the CPU.
                self.weights[name] = self.weights[name].to(tensor.device).lerp_(tensor, 1 / self.epochs)
            else:
                self.weights[name] = tensor.detach().clone()

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"epochs": self.epochs, "weights": self.weights}


def mean_learner(run: Run, mean: WeightMean, task: DataModule) -> SingleLearner:
    """Return a learner with the mean of a run's weights; batch-norm statistics are estimated anew, in the mean too."""
    learner = SingleLearner(run, task.images.image_shape, task.num_classes, task.device, task.precision)
    learner.model.load_state_dict(mean.weights)
    if learner.forget_statistics():
        for batch, (images, _) in enumerate(training_batches(task, [run], [run.epochs])):
            learner.estimate_statistics(images, forward_seed(run, run.epochs, batch))
    mean.weights = {name: tensor.detach().clone() for name, tensor in learner.model.state_dict().items()}
    return learner
