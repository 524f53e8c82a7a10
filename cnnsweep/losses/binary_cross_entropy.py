"""Binary cross-entropy of each class, as if each were a question of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnsweep.field_types import Number
from cnnsweep.losses.base import Loss
from cnnsweep.losses.cross_entropy import smoothed_binary_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


class BinaryCrossEntropy(Loss, name="binary_cross_entropy"):
    """Binary cross-entropy, mean over the classes (Wightman et al., ResNet strikes back, arXiv:2110.00476).

    On held-out images without label smoothing.
    """

    takes_tensors: ClassVar[bool] = True
    label_smoothing: Annotated[float, Number(least=0, below=1)] = 0.0

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example; smoothing spreads a share of its label over all classes."""
        import torch

        classes = torch.arange(logits.shape[-1], device=logits.device)
        one_hot = (targets[..., None] == classes).to(logits.dtype)  # torch's `one_hot` would wait for the device
        return self._each(logits, one_hot, logits.shape[-1]).mean(-1)

    def per_label(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each label; smoothing moves both 0 and 1 towards a half."""
        return self._each(logits, targets, 2)

    def _each(self, logits: Tensor, targets: Tensor, answers: int) -> Tensor:
        smoothing = self.label_smoothing
        if not isinstance(smoothing, float | int) and smoothing.ndim < logits.ndim:
            smoothing = smoothing[..., None]  # (K, 1, 1)
        return smoothed_binary_cross_entropy(logits, targets, smoothing, answers)

    def in_evaluation(self) -> Loss:
        """Return the loss without label smoothing."""
        return BinaryCrossEntropy()
