"""K runs as one fused model, with the same interface as one run alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from cnnsweep.fusion.fused_module import FusedModel
from cnnsweep.losses.base import make_loss
from cnnsweep.losses.of_runs import mean_of_runs, per_image_of_runs
from cnnsweep.models.batch_norm import freeze_batch_norm
from cnnsweep.models.build import build_model, memory_order
from cnnsweep.models.memory_format import in_order
from cnnsweep.optimizers.fused_step import RunOptimizer
from cnnsweep.training.accumulation import WHOLE_STEP, StepPart
from cnnsweep.training.class_weights import is_weighted
from cnnsweep.training.failures import calls_a_model
from cnnsweep.training.label_mix import LabelMix, mixed_mean
from cnnsweep.training.metric_sums import Predictions
from cnnsweep.training.precision import autocast, sum_dtype, weight_dtype
from cnnsweep.training.weight_averages import WeightAverages, averaged_names, of_optimizer, with_average
from cnnsweep.types import EMA, ModelChoice, Run

_EXAMPLE_IMAGES = 2  # enough for batch normalisation


@calls_a_model
class FusedLearner:
    """K runs' models stacked into one, each with its own stock optimizer over its slices of the stacked parameters.

    So every hyperparameter of an optimizer may differ between the runs. One run's gradients never reach another:
    no arithmetic crosses from slice to slice.

    Raises:
        FusionError: the model cannot be fused; the message has the reason.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        image_shape: tuple[int, int, int],
        num_classes: int,
        device: torch.device,
        precision: str,
        class_weights: Tensor | None = None,  # (K, classes), see `class_weights.py`
    ) -> None:
        self._device, self._precision = device, precision
        self._dtype = weight_dtype(precision)
        built: dict[tuple[str, int], nn.Module] = {}  # shared by runs with equal initial weights
        for run in runs:
            key = repr(run.model), run.hyperparameters.seed
            if key not in built:
                model = build_model(run.model, image_shape, num_classes, run.hyperparameters.seed)
                if run.hyperparameters.freeze_bn:
                    freeze_batch_norm(model)
                order = memory_order(run.model, image_shape, num_classes, device)
                built[key] = in_order(model, order, device, self._dtype)
        models = [built[repr(run.model), run.hyperparameters.seed] for run in runs]  # stacking copies them
        example = torch.rand(_EXAMPLE_IMAGES, *image_shape, generator=torch.Generator().manual_seed(0))
        example = example.to(device, self._dtype, memory_format=torch.channels_last)
        with self._autocast():
            alone = memory_order(runs[0].model, image_shape, num_classes, device)
            variants = _numbered([run.model for run in runs])
            self.model = FusedModel(models, example, variants, alone, num_classes)
        self._averaged_names = averaged_names(models[0])
        self._runs = list(runs)
        self._class_weights = None if class_weights is None else class_weights.to(device, self._dtype)
        self._begin()

    def train_step(
        self,
        images: Tensor,
        labels: Tensor,
        rates: Sequence[float],
        seeds: Sequence[int],
        mix: LabelMix | None = None,
        part: StepPart = WHOLE_STEP,
    ) -> tuple[Tensor, Predictions]:
        runs, copies = len(self._runs), len(labels)
        self._switch_optimizers(True)
        self.model.generators.seed(seeds)
        if part.is_first:
            for parameter in self._leaves:
                parameter.grad = None
        with self._autocast():
            logits = self.model(images.to(self._dtype), copies, training=True)  # (K, N, classes)
            targets = labels.repeat_interleave(runs // copies, 0) if copies < runs else labels  # (K, N)
            if mix is None:
                losses = self._mean_losses(logits, targets)  # (K,)
            else:
                of_runs = mix.for_runs(runs)
                losses = mixed_mean(self._mean_losses, logits, targets, of_runs.others, of_runs.shares)
        total = losses.sum()  # the sum, so that each run's gradient is that of its own loss
        (total if part.share == 1 else total * part.share).backward()
        if part.is_last:
            self._move_weights(rates)
        return losses.detach(), Predictions(logits.detach(), targets)

    def _move_weights(self, rates: Sequence[float]) -> None:
        runs = len(self._runs)
        gradients = [[None] * runs if leaf.grad is None else leaf.grad.unbind(0) for leaf in self._leaves]
        for optimizer, rate, *of_run in zip(self._optimizers, rates, *gradients, strict=True):
            optimizer.step(of_run, rate)
        if self.averages is not None:
            self.averages.update()

    @torch.inference_mode()
    def measure(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Predictions]:
        self._switch_optimizers(False)
        with self._autocast():
            logits = self.model(images.to(self._dtype), 1, training=False)
        scores = logits if self._precision == "fp64" else logits.float()
        targets = labels.expand(len(self._runs), *labels.shape)  # (K, N)
        losses = self._evaluation_losses(scores, targets)  # (K, N)
        return losses.sum(1, dtype=sum_dtype(self._device)), Predictions(logits, targets)

    def weights(self, position: int) -> Mapping[str, Tensor]:
        self._optimizers[position].set_training(False)
        return self.model.state_of(position)

    def gradients(self, position: int) -> Mapping[str, Tensor]:
        named = self.model.parameters.items()
        return {name: leaf.grad[position] for name, leaf in named if leaf.grad is not None}

    def optimizer_state(self, position: int) -> Mapping[str, Any]:
        return with_average(self._optimizers[position].state_dict(), self.averages, position)

    def _switch_optimizers(self, is_training: bool) -> None:
        for optimizer in self._optimizers:
            optimizer.set_training(is_training)

    @torch.no_grad()
    def restore(self, position: int, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
        for name, tensor in self.model.state_of(position).items():
            tensor.copy_(weights[name])
        self._restore_optimizer(position, optimizer)

    def _restore_optimizer(self, position: int, state: Mapping[str, Any]) -> None:
        self._optimizers[position].load_state_dict(of_optimizer(state))
        if self.averages is not None and EMA in state:
            self.averages.restore(position, state[EMA])

    def keep(self, positions: Sequence[int]) -> None:
        states = [self.optimizer_state(position) for position in positions]
        self.model.keep(positions)
        self._runs = [self._runs[position] for position in positions]
        if self._class_weights is not None:
            are_left = any(is_weighted(run) for run in self._runs)  # as if they alone had begun together
            self._class_weights = self._class_weights[list(positions)] if are_left else None
        self._begin()
        for position, state in enumerate(states):
            self._restore_optimizer(position, state)

    def _begin(self) -> None:
        """Make an optimizer for each run over its slices of the parameters, the averages, and the losses."""
        self._leaves = list(self.model.parameters.values())
        slices = [leaf.detach().unbind(0) for leaf in self._leaves]
        self._optimizers = [
            RunOptimizer(run.hyperparameters, [s[position] for s in slices], self._device)
            for position, run in enumerate(self._runs)
        ]
        decays = [run.hyperparameters.ema for run in self._runs]
        self.averages = WeightAverages(decays, self._averaged, is_stacked=True) if any(decays) else None
        losses = [make_loss(run.hyperparameters) for run in self._runs]
        self._mean_losses = mean_of_runs(losses, self._class_weights)
        self._evaluation_losses = per_image_of_runs([loss.in_evaluation() for loss in losses])

    def _averaged(self) -> Mapping[str, Tensor]:
        """Return the present stacked tensors of the averages."""
        return {name: self.model.tensors[name].tensor for name in self._averaged_names}

    def _autocast(self) -> AbstractContextManager[Any]:
        return autocast(self._device, self._precision)


def _numbered(choices: Sequence[ModelChoice]) -> list[int]:
    """Return for each choice the index of its value among the distinct values, from 0."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(repr(choice), len(numbers)) for choice in choices]
