"""Contract of losses: one formula for a run alone and for K runs that train fused.

    class Focal(Loss, name="focal"):
        \"\"\"Focal loss (Lin et al., arXiv:1708.02002).\"\"\"

        gamma: float = 2.0

        def per_example(self, logits, targets):
            right = logits.log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1)
            return -((1 - right.exp()) ** self.gamma) * right

Where images have several labels, a loss is the mean of `per_label` over the classes; a class without that method gets
the labels in `per_example`. Weights of classes are applied here, so that all losses have them alike.

`loss` and `val_loss` of a run, in all tables and charts, are means of its own loss, so runs with different losses must
be compared by accuracy. The key `label_smoothing` of `params` goes to a loss that has a field of that name.
"""

from __future__ import annotations

from cnnsweep.losses.loss import Loss
from cnnsweep.losses.own_function import loss_of_function
from cnnsweep.registry import Registry
from cnnsweep.types import Choice, Hyperparameters

__all__ = ["LABEL_SMOOTHING", "LOSSES", "Loss", "loss_of", "make_evaluation_loss", "make_loss"]

LABEL_SMOOTHING = "label_smoothing"
LOSSES = Registry("loss", "losses", Loss, of_function=loss_of_function, leading=2)


def make_loss(h: Hyperparameters) -> Loss:
    """Return the loss of a run, from its hyperparameters.

    Raises:
        UsageError: it is unknown or does not take its arguments.
    """
    return loss_of(h.loss_function, h.label_smoothing)


def loss_of(choice: Choice, label_smoothing: float = 0.0) -> Loss:
    """Return a loss, with label smoothing if it has that.

    Raises:
        UsageError: it is unknown or does not take its arguments.
    """
    has_smoothing = LABEL_SMOOTHING in LOSSES.get(choice.name).model_fields
    return LOSSES.make(choice, **({LABEL_SMOOTHING: label_smoothing} if has_smoothing else {}))


def make_evaluation_loss(loss: Choice) -> Loss:
    """Return the loss for a run's held-out images."""
    return LOSSES.make(loss).in_evaluation()
