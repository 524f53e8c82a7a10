"""Focal loss, which counts examples less that are predicted well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from cnnsweep.field_types import Number
from cnnsweep.losses.base import Loss, in_full_precision, smallest

if TYPE_CHECKING:
    from torch import Tensor


class Focal(Loss, name="focal"):
    """Focal loss (Lin et al., arXiv:1708.02002), of several labels an image that of each; gamma 0 is cross-entropy.

    The paper's alpha is `class_weight`.
    """

    takes_tensors: ClassVar[bool] = True
    gamma: Annotated[float, Number(least=0, most=100)] = 2.0

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example."""
        logarithms = in_full_precision(logits).log_softmax(-1)
        right = logarithms.gather(-1, targets[..., None]).squeeze(-1)
        return -self._share(right) * right

    def per_label(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each label, as `torchvision.ops.sigmoid_focal_loss` without alpha."""
        from torch.nn.functional import logsigmoid

        right = logsigmoid(in_full_precision(logits) * (2 * targets - 1))
        return -self._share(right) * right

    def _share(self, right: Tensor) -> Tensor:
        """Return how much an example counts, by the logarithm of the probability of its label."""
        wrong = -right.expm1()  # 1 - p, exact where p is near 1
        return wrong.clamp_min(smallest(wrong)) ** self.gamma
