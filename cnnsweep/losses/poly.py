"""Poly-1: cross-entropy with another first coefficient of its series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnsweep.field_types import Number
from cnnsweep.losses.base import Loss, in_full_precision

if TYPE_CHECKING:
    from torch import Tensor


class Poly(Loss, name="poly"):
    """PolyLoss, the form Poly-1 (Leng et al., arXiv:2204.12511): cross-entropy + epsilon (1 - p of the label)."""

    takes_tensors: ClassVar[bool] = True
    epsilon: Annotated[float, Number(least=-1, most=1000)] = 1.0

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example."""
        logarithms = in_full_precision(logits).log_softmax(-1)
        return self._of(logarithms.gather(-1, targets[..., None]).squeeze(-1))

    def per_label(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each label."""
        from torch.nn.functional import logsigmoid

        return self._of(logsigmoid(in_full_precision(logits) * (2 * targets - 1)))

    def _of(self, right: Tensor) -> Tensor:
        return -right - self.epsilon * right.expm1()
