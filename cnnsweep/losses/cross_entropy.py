"""Cross-entropy, optionally with label smoothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cnnsweep.field_types import Number
from cnnsweep.losses.base import Loss, MeanLoss

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Loss, name="cross_entropy"):
    """Cross-entropy; on held-out images without label smoothing, so that runs can be compared."""

    label_smoothing: Annotated[float, Number(least=0, below=1)] = 0.0

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each example, as `nn.CrossEntropyLoss` defines it."""
        from torch.nn.functional import cross_entropy

        smoothing = self.label_smoothing
        if targets.ndim == logits.ndim:
            return _binary(logits, targets, smoothing)
        if logits.ndim <= 2:
            return cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        flat = logits.flatten(0, -2), targets.reshape(-1)
        return cross_entropy(*flat, reduction="none", label_smoothing=smoothing).view(targets.shape)

    def mean(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean, by one kernel for a run alone."""
        from torch.nn.functional import cross_entropy

        if logits.ndim <= 2 and targets.ndim < logits.ndim:
            return cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return super().mean(logits, targets)

    def in_evaluation(self) -> Loss:
        """Return plain cross-entropy."""
        return CrossEntropy()

    @classmethod
    def mean_of(cls, losses: Sequence[Any]) -> MeanLoss:
        """Return the formula for runs that differ in label smoothing."""
        import torch

        shares = [[loss.label_smoothing] for loss in losses]
        on_device: list[Tensor] = []

        def mean(logits: Tensor, targets: Tensor) -> Tensor:
            if not on_device:  # once: a copy in each step would wait for the device
                precision = torch.float64 if logits.dtype is torch.float64 else torch.float32
                on_device.append(torch.tensor(shares, device=logits.device, dtype=precision))  # (K, 1)
            (smoothing,) = on_device
            if targets.ndim == logits.ndim:
                return _binary(logits, targets, smoothing[..., None]).mean(1)
            logarithms = logits.log_softmax(-1)
            right = -logarithms.gather(-1, targets[..., None]).squeeze(-1)
            spread = -logarithms.sum(-1) / logits.shape[-1]
            return ((1 - smoothing) * right + smoothing * spread).mean(1)

        return mean


def _binary(logits: Tensor, targets: Tensor, smoothing: Any) -> Tensor:
    """Return the binary cross-entropy of each example (..., N), the mean over the classes."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    smoothed = targets.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    return binary_cross_entropy_with_logits(logits, smoothed, reduction="none").mean(-1)
