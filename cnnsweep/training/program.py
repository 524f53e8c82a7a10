"""K models and their optimizers, trained in lock step; K = 1 is the person's plain module and a stock optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cnnsweep.models.registry import build_model
from cnnsweep.randomness import derive_seed
from cnnsweep.records import Run
from cnnsweep.training.optimizers import build_optimizer


class Program(Protocol):
    """What the trainer drives. A position is a run's place in the program, from 0 to K - 1.

    Images come as (K·N, C, H, W), run after run, in the device's fastest memory format; figures go back as (K,) tensors
    on the device, so that nothing waits for it.
    """

    def train_step(
        self, images: Tensor, labels: Tensor, rates: Sequence[float], seeds: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Move the weights by one batch.

        Args:
            images: (K·N, C, H, W) float.
            labels: (K, N) int64.
            rates: each run's learning rate for this step.
            seeds: each run's seed for what the forward pass draws, such as dropout.

        Returns:
            The mean loss of each run (K,), and the number of correct predictions (K,), before the step.
        """

    def measure(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summed cross-entropy (K,) float64 and correct predictions (K,) in eval mode.

        All runs see the same images (N, C, H, W) and labels (N,).
        """

    def weights(self, position: int) -> Mapping[str, Tensor]:
        """Return the plain model's state dict, on any device; valid until the next step."""

    def gradients(self, position: int) -> Mapping[str, Tensor]:
        """Return the last step's gradients by parameter name."""

    def optimizer_state(self, position: int) -> Mapping[str, Any]:
        """Return the stock optimizer's state dict."""

    def restore(self, position: int, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
        """Put a run back to where a checkpoint left it."""

    def keep(self, positions: Sequence[int]) -> None:
        """Let every other run leave."""


class PlainProgram:
    """One run's plain module and stock optimizer, behind the interface of K runs."""

    def __init__(
        self, run: Run, image_shape: tuple[int, int, int], num_classes: int, device: torch.device, precision: str
    ) -> None:
        h = run.hyperparameters
        model = build_model(run.model, image_shape, num_classes, h.seed)
        self.model: nn.Module = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks device with memory_format
        self.optimizer = build_optimizer(h, self.model.parameters(), device)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.grad_clip = h.grad_clip
        self.device = device
        self.loss = nn.CrossEntropyLoss(label_smoothing=h.label_smoothing)
        self.precision = precision

    def train_step(
        self, images: Tensor, labels: Tensor, rates: Sequence[float], seeds: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        targets = labels[0]
        self.optimizer.param_groups[0]["lr"] = rates[0]
        seed_device(self.device, seeds[0])
        self.model.train()
        with self._autocast():
            logits = self.model(images)
            loss = self.loss(logits, targets)
        self.optimizer.zero_grad()
        loss.backward()
        if self.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.grad_clip)
        self.optimizer.step()
        correct = (logits.detach().argmax(1) == targets).sum()
        return loss.detach()[None], correct[None]

    @torch.inference_mode()
    def measure(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.model.eval()
        with self._autocast():
            logits = self.model(images)
        losses = nn.functional.cross_entropy(logits.float(), labels, reduction="none")
        return losses.sum(dtype=_sum_dtype(self.device))[None], (logits.argmax(1) == labels).sum()[None]

    def weights(self, position: int) -> Mapping[str, Tensor]:
        assert position == 0
        return self.model.state_dict()

    def gradients(self, position: int) -> Mapping[str, Tensor]:
        assert position == 0
        return {n: p.grad for n, p in self.model.named_parameters() if p.grad is not None}

    def optimizer_state(self, position: int) -> Mapping[str, Any]:
        assert position == 0
        return self.optimizer.state_dict()

    def restore(self, position: int, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
        assert position == 0
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(dict(optimizer))

    def keep(self, positions: Sequence[int]) -> None:
        assert list(positions) == [0]

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the generator that a forward pass on this device draws from.

    `torch.manual_seed` would seed every device, which costs more than a small layer.
    """
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def forward_seed(run: Run, epoch: int, step: int) -> int:
    """Return the seed for what one training step of a run draws in its forward pass."""
    return derive_seed(run.hyperparameters.seed, "forward", epoch, step)


def _sum_dtype(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
