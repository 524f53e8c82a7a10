"""Asymmetric loss, which counts the many absent labels less than the few present ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnsweep.field_types import Number
from cnnsweep.losses.base import Loss, in_full_precision, smallest

if TYPE_CHECKING:
    from torch import Tensor

Exponent = Annotated[float, Number(least=0, most=100)]


class Asymmetric(Loss, name="asymmetric"):
    """Asymmetric loss (Ridnik et al., arXiv:2009.14119), of several labels an image or of each class one by one.

    A label that is 1 has (1 - p)^gamma_pos · -log p. For one that is 0, p is first lowered by `clip`, to no less than
    0, and the loss is p^gamma_neg · -log(1 - p): with a probability below `clip` it counts nothing. The paper sums over
    the classes; here it is their mean, as of all losses. Gradients flow through the factors too, as in the paper.
    """

    takes_tensors: ClassVar[bool] = True
    gamma_neg: Exponent = 4.0
    gamma_pos: Exponent = 1.0
    clip: Annotated[float, Number(least=0, below=1)] = 0.05

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example, its class as the only label that is 1."""
        import torch

        classes = torch.arange(logits.shape[-1], device=logits.device)
        return self._each(logits, (targets[..., None] == classes).to(logits.dtype)).mean(-1)

    def per_label(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each label."""
        return self._each(logits, targets)

    def _each(self, logits: Tensor, labels: Tensor) -> Tensor:
        from torch.nn.functional import logsigmoid

        scores = in_full_precision(logits)
        gamma_neg, gamma_pos, clip = (_by_label(value, scores) for value in (self.gamma_neg, self.gamma_pos, self.clip))
        lowered = (scores.sigmoid() - clip).clamp_min(0)
        of_ones = _power((-scores).sigmoid(), gamma_pos) * logsigmoid(scores)
        of_zeros = _power(lowered, gamma_neg) * _log_of_rest(scores, clip)
        return -labels * of_ones - (1 - labels) * of_zeros


def _log_of_rest(scores: Tensor, clip: float | Tensor) -> Tensor:
    """Return the logarithm of 1 - p, with p lowered by `clip`; finite for all scores."""
    import torch
    from torch.nn.functional import logsigmoid

    unclipped = logsigmoid(-scores)
    if isinstance(clip, float | int) and clip == 0:
        return unclipped
    rest = ((-scores).sigmoid() + clip).clamp(smallest(scores), 1)
    return rest.log() if isinstance(clip, float | int) else torch.where(clip > 0, rest.log(), unclipped)


def _power(base: Tensor, exponent: float | Tensor) -> Tensor:
    return base.clamp_min(smallest(base)) ** exponent


def _by_label(value: float | Tensor, like: Tensor) -> float | Tensor:
    """Return a number of each run with as many dimensions as the logits."""
    if isinstance(value, float | int) or value.ndim == like.ndim:
        return value
    return value[..., None]
