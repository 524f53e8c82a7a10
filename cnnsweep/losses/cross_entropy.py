"""Cross-entropy, optionally with label smoothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnsweep.field_types import Number
from cnnsweep.losses.base import Loss, in_full_precision

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Loss, name="cross_entropy"):
    """Cross-entropy; on held-out images without label smoothing, so that runs can be compared.

    Of several labels an image, it is the binary cross-entropy of each.
    """

    takes_tensors: ClassVar[bool] = True
    label_smoothing: Annotated[float, Number(least=0, below=1)] = 0.0

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each example, as `nn.CrossEntropyLoss` defines it."""
        from torch.nn.functional import cross_entropy

        smoothing = self.label_smoothing
        if not isinstance(smoothing, float | int):
            return _smoothed(logits, targets, smoothing)
        if logits.ndim <= 2:
            return cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        flat = logits.flatten(0, -2), targets.reshape(-1)
        return cross_entropy(*flat, reduction="none", label_smoothing=smoothing).view(targets.shape)

    def per_label(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the binary cross-entropy of each label; smoothing moves both 0 and 1 towards a half."""
        return smoothed_binary_cross_entropy(logits, targets, self.label_smoothing, 2)

    def mean(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean, by one kernel for a run alone."""
        from torch.nn.functional import cross_entropy

        if logits.ndim <= 2 and targets.ndim < 2:
            return cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return super().mean(logits, targets)

    def in_evaluation(self) -> Loss:
        """Return plain cross-entropy."""
        return CrossEntropy()


def _smoothed(logits: Tensor, targets: Tensor, smoothing: Tensor) -> Tensor:
    """Return the cross-entropy for smoothing (K, 1) of runs that differ in it."""
    logarithms = logits.log_softmax(-1)
    right = -logarithms.gather(-1, targets[..., None]).squeeze(-1)
    spread = -logarithms.sum(-1) / logits.shape[-1]
    return (1 - smoothing) * right + smoothing * spread


def smoothed_binary_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float, answers: int) -> Tensor:
    """Return the binary cross-entropy of each label, a share of which is spread over some number of answers."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    if not isinstance(smoothing, float | int) or smoothing:
        targets = targets * (1 - smoothing) + smoothing / answers
    return binary_cross_entropy_with_logits(in_full_precision(logits), targets, reduction="none")
