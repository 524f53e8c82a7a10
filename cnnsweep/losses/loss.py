"""The base of losses; `base.py` describes the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cnnsweep.registry import Component

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Component):
    """Base of losses.

    Attributes:
        takes_tensors: the formulas also hold where numeric fields are tensors (K, 1) or (K, 1, 1), one number a run, so
            that runs that differ in them have one formula.
    """

    takes_tensors: ClassVar[bool] = False

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example (..., N), for logits (..., N, classes) and labels (..., N) int64.

        A run alone has no leading dimension, fused runs have one. Operations along the last dimension fit both, and no
        arithmetic may cross from run to run.
        """
        raise NotImplementedError

    def per_label(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each label (..., N, classes), for logits and labels 0 or 1 of the same shape and type."""
        raise NotImplementedError

    @property
    def has_labels(self) -> bool:
        """True if it has a form for single labels, to which positive weights apply."""
        return type(self).per_label is not Loss.per_label

    def per_image(self, logits: Tensor, targets: Tensor, positive: Tensor | None = None) -> Tensor:
        """Return the loss of each example (..., N), with one label an image or several.

        Args:
            targets: (..., N) int64, or (..., N, classes) of 0 and 1.
            positive: (..., classes) weights of the labels that are 1, for several labels alone.
        """
        if targets.ndim < logits.ndim:
            return self.per_example(logits, targets)
        labels = targets.to(logits.dtype)
        if not self.has_labels:
            return self.per_example(logits, labels)
        each = self.per_label(logits, labels)
        if positive is not None:
            each = each * (labels * (positive[..., None, :] - 1) + 1)
        return each.mean(-1)

    def mean(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the examples, which training minimises: a scalar for a run alone."""
        return self.per_image(logits, targets).mean(-1)

    def weighted_mean(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the mean weighted by the class of each example, as `nn.CrossEntropyLoss(weight=...)` defines it.

        Args:
            weights: (..., classes); with several labels an image those of labels that are 1, as `pos_weight` of
                `nn.BCEWithLogitsLoss`.
        """
        if targets.ndim == logits.ndim:
            return self.per_image(logits, targets, weights).mean(-1)
        of_examples = weights.gather(-1, targets)
        return (self.per_example(logits, targets) * of_examples).sum(-1) / of_examples.sum(-1)

    def in_evaluation(self) -> Loss:
        """Return the loss for `val_loss`, without terms that only regularise training."""
        return self


def in_full_precision(logits: Tensor) -> Tensor:
    """Return logits of half precision as float32, and others as they are: logarithms need it."""
    return logits.float() if logits.dtype.itemsize < 4 else logits
