"""K models and their optimizers, trained in lockstep; K = 1 is the user's plain module and a stock optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cnnsweep.losses.base import make_loss
from cnnsweep.models.batch_norm import forget_statistics, freeze_batch_norm
from cnnsweep.models.build import build_model, memory_order
from cnnsweep.models.logits import logits_of
from cnnsweep.models.memory_format import in_order
from cnnsweep.optimizers.fused_step import RunOptimizer
from cnnsweep.seeding import derive_seed, seed_step
from cnnsweep.training.accumulation import WHOLE_STEP, StepPart
from cnnsweep.training.failures import calls_a_model
from cnnsweep.training.label_mix import LabelMix, mixed_mean
from cnnsweep.training.metric_sums import Predictions
from cnnsweep.training.precision import autocast, sum_dtype, weight_dtype
from cnnsweep.training.weight_averages import WeightAverages, averaged_names, of_optimizer, with_average
from cnnsweep.types import EMA, Run


class Learner(Protocol):
    """The trainer's interface to K models. A position is that of a run in the learner, from 0 to K - 1.

    Runs with the same batches share them: images of G ≤ K different batches are side by side in the channels, in
    channels-last memory order, and batch g belongs to K/G consecutive runs. Losses are (K,) tensors on the device, so
    that nothing waits for it.
    """

    averages: WeightAverages | None  # of the weights, where a run has `ema`

    def train_step(
        self,
        images: Tensor,
        labels: Tensor,
        rates: Sequence[float],
        seeds: Sequence[int],
        mix: LabelMix | None = None,
        part: StepPart = WHOLE_STEP,
    ) -> tuple[Tensor, Predictions]:
        """Update the weights by one batch, or add its gradient to those of the step that it is a part of.

        Args:
            images: (N, G·C, H, W) float32.
            labels: (G, N) int64; with several labels an image (G, N, classes) uint8 of 0 and 1.
            rates: each run's learning rate for this step.
            seeds: each run's seed for the draws of the forward pass, such as dropout.
            mix: the labels of the images that are mixed into these.
            part: the batch's part in its optimizer step, the same for all runs.

        Returns:
            The mean loss of each run (K,) before the step, and the output behind it.
        """

    def measure(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Predictions]:
        """Return the summed losses (K,) float64 and the output behind them, in eval mode.

        All runs get the same images (N, C, H, W) and labels (N,) or (N, classes).
        """

    def weights(self, position: int) -> Mapping[str, Tensor]:
        """Return the plain model's state dict, on any device; valid until the next step."""

    def gradients(self, position: int) -> Mapping[str, Tensor]:
        """Return the last step's gradients by parameter name."""

    def optimizer_state(self, position: int) -> Mapping[str, Any]:
        """Return the stock optimizer's state dict, after `weights`, which switches it to evaluation.

        Where there is one, the average of the weights is in it below `ema`.
        """

    def restore(self, position: int, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
        """Restore a run from a checkpoint."""

    def keep(self, positions: Sequence[int]) -> None:
        """Drop every other run."""


@calls_a_model
class SingleLearner:
    """One run's plain module and stock optimizer, with the interface of K runs."""

    def __init__(
        self,
        run: Run,
        image_shape: tuple[int, int, int],
        num_classes: int,
        device: torch.device,
        precision: str,
        class_weights: Tensor | None = None,  # (1, classes), see `class_weights.py`
    ) -> None:
        h = run.hyperparameters
        model = build_model(run.model, image_shape, num_classes, h.seed)
        self.dtype = weight_dtype(precision)
        model.train()  # all submodules, independent of the constructor
        if h.freeze_bn:
            freeze_batch_norm(model)
        self.order = memory_order(run.model, image_shape, num_classes, device)
        self.model: nn.Module = in_order(model, self.order, device, self.dtype)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = RunOptimizer(h, self.parameters, device)
        self.device, self.classes = device, num_classes
        loss = make_loss(h)
        weights = None if class_weights is None else class_weights[0].to(device, self.dtype)
        self.mean_loss = loss.mean if weights is None else partial(loss.weighted_mean, weights=weights)
        self.evaluation_loss = loss.in_evaluation()
        self.precision = precision
        self._gradients: list[Tensor | None] = [None] * len(self.parameters)
        self.averages = None if h.ema is None else WeightAverages([h.ema], self._averaged(), is_stacked=False)

    def train_step(
        self,
        images: Tensor,
        labels: Tensor,
        rates: Sequence[float],
        seeds: Sequence[int],
        mix: LabelMix | None = None,
        part: StepPart = WHOLE_STEP,
    ) -> tuple[Tensor, Predictions]:
        targets = labels[0]
        seed_step(self.device, seeds[0])
        self._set_training(True)
        self.optimizer.set_training(True)
        if part.is_first:
            for parameter in self.parameters:
                parameter.grad = None
        with autocast(self.device, self.precision):
            logits = logits_of(self.model(images.to(self.dtype, memory_format=self.order)), self.classes)
            if mix is None:
                loss = self.mean_loss(logits, targets)
            else:
                loss = mixed_mean(self.mean_loss, logits, targets, mix.others[0], mix.shares[0])
        (loss if part.share == 1 else loss * part.share).backward()
        if part.is_last:
            self._gradients = [parameter.grad for parameter in self.parameters]
            self.optimizer.step(self._gradients, rates[0])
            if self.averages is not None:
                self.averages.update()
        return loss.detach()[None], Predictions(logits.detach()[None], labels)

    @torch.inference_mode()
    def measure(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Predictions]:
        self._set_training(False)
        self.optimizer.set_training(False)
        with autocast(self.device, self.precision):
            logits = logits_of(self.model(images.to(self.dtype, memory_format=self.order)), self.classes)
        scores = logits if self.precision == "fp64" else logits.float()
        losses = self.evaluation_loss.per_image(scores, labels)
        return losses.sum(dtype=sum_dtype(self.device))[None], Predictions(logits[None], labels[None])

    def forget_statistics(self) -> bool:
        """Prepare to estimate batch-norm statistics anew; False if the model has none."""
        return forget_statistics(self.model)

    @torch.no_grad()
    def estimate_statistics(self, images: Tensor, seed: int) -> None:
        """Add a batch to the batch-norm statistics."""
        seed_step(self.device, seed)
        self._set_training(True)
        with autocast(self.device, self.precision):
            self.model(images.to(self.dtype, memory_format=self.order))

    def _averaged(self) -> Callable[[], Mapping[str, Tensor]]:
        """Return what gives the present tensors of the average; a model may put new ones in place of its buffers."""
        places = [(name, *name.rpartition(".")[::2]) for name in averaged_names(self.model)]
        owners = [(name, self.model.get_submodule(owner), own) for name, owner, own in places]
        return lambda: {name: getattr(owner, own) for name, owner, own in owners}

    def _set_training(self, training: bool) -> None:
        if self.model.training is not training:  # in every step it would cost as much as a small optimizer
            self.model.train(training)

    def weights(self, position: int) -> Mapping[str, Tensor]:
        assert position == 0
        self.optimizer.set_training(False)
        return self.model.state_dict()

    def gradients(self, position: int) -> Mapping[str, Tensor]:
        assert position == 0
        named = [name for name, parameter in self.model.named_parameters() if parameter.requires_grad]
        return {name: g for name, g in zip(named, self._gradients, strict=True) if g is not None}

    def optimizer_state(self, position: int) -> Mapping[str, Any]:
        assert position == 0
        return with_average(self.optimizer.state_dict(), self.averages, 0)

    def restore(self, position: int, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
        assert position == 0
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(of_optimizer(optimizer))
        if self.averages is not None:
            self.averages.restore(0, optimizer[EMA])

    def keep(self, positions: Sequence[int]) -> None:
        assert list(positions) == [0]


def forward_seed(run: Run, epoch: int, step: int) -> int:
    """Return the seed of a run's forward pass in one training step."""
    return derive_seed(run.hyperparameters.seed, "forward", epoch, step)
