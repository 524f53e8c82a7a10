"""Contract of losses: one formula for a run alone and for K runs that train fused.

    class Focal(Loss, name="focal"):
        \"\"\"Focal loss (Lin et al., arXiv:1708.02002).\"\"\"

        gamma: float = 2.0

        def per_example(self, logits, targets):
            right = logits.log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1)
            return -((1 - right.exp()) ** self.gamma) * right

`loss` and `val_loss` of a run, in all tables and charts, are means of its own loss, so runs with different losses must
be compared by accuracy. The key `label_smoothing` of `params` goes to a loss that has a field of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cnnsweep.registry import Component, Registry
from cnnsweep.types import Choice, Hyperparameters

if TYPE_CHECKING:
    from torch import Tensor

LABEL_SMOOTHING = "label_smoothing"
MeanLoss = Callable[["Tensor", "Tensor"], "Tensor"]  # (K, N, classes), (K, N) -> (K,)


class Loss(Component):
    """Base of losses."""

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example (..., N), for logits (..., N, classes) and labels (..., N) int64.

        A run alone has no leading dimension, fused runs have one. Operations along the last dimension fit both, and no
        arithmetic may cross from run to run.
        """
        raise NotImplementedError

    def mean(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the examples, which training minimises: a scalar for a run alone."""
        return self.per_example(logits, targets).mean(-1)

    def in_evaluation(self) -> Loss:
        """Return the loss for `val_loss`, without terms that only regularise training."""
        return self

    @classmethod
    def mean_of(cls, losses: Sequence[Any]) -> MeanLoss | None:
        """Return one formula for K losses of this class that differ in their fields; None if there is none."""
        del losses
        return None


LOSSES = Registry("loss", "losses", Loss)


def make_loss(h: Hyperparameters) -> Loss:
    """Return the loss of a run, from its hyperparameters.

    Raises:
        UsageError: it is unknown or does not take its arguments.
    """
    has_smoothing = LABEL_SMOOTHING in LOSSES.get(h.loss_function.name).model_fields
    return LOSSES.make(h.loss_function, **({LABEL_SMOOTHING: h.label_smoothing} if has_smoothing else {}))


def make_evaluation_loss(loss: Choice) -> Loss:
    """Return the loss for a run's held-out images."""
    return LOSSES.make(loss).in_evaluation()


def mean_of_runs(losses: Sequence[Loss]) -> MeanLoss:
    """Return the mean loss of each of K runs: by a single formula if all are equal or their class has one."""
    if all(loss == losses[0] for loss in losses):
        return losses[0].mean
    if all(type(loss) is type(losses[0]) for loss in losses) and (formula := losses[0].mean_of(losses)) is not None:
        return formula
    return _one_by_one([loss.mean for loss in losses])


def per_example_of_runs(losses: Sequence[Loss]) -> MeanLoss:
    """Return the loss (K, N) of each of K runs' examples."""
    if all(loss == losses[0] for loss in losses):
        return losses[0].per_example
    return _one_by_one([loss.per_example for loss in losses])


def _one_by_one(formulas: Sequence[MeanLoss]) -> MeanLoss:
    def stacked(logits: Tensor, targets: Tensor) -> Tensor:
        import torch

        return torch.stack([formula(*one) for formula, *one in zip(formulas, logits, targets, strict=True)])

    return stacked
