"""The logits are found in whatever a model returns, and what is no logits is told."""

from __future__ import annotations

import math
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnsweep.errors import ModelError
from cnnsweep.models.build import check_model
from cnnsweep.models.logits import giving_logits, logits_of
from cnnsweep.models.outputs import notes_on_outputs
from cnnsweep.types import ModelChoice

LOGITS, FEATURES, OTHERS = torch.zeros(2, 5), torch.zeros(2, 8), torch.ones(2, 5)
Auxiliary = namedtuple("Auxiliary", ["logits", "aux"])


@dataclass
class Output:
    loss: Any
    hidden: Tensor
    logits: Tensor


@pytest.mark.parametrize(
    "output",
    [
        LOGITS,
        (LOGITS, FEATURES),
        [FEATURES, LOGITS, OTHERS],
        {"features": FEATURES, "aux": OTHERS, "logits": LOGITS},
        OrderedDict(loss=None, aux=OTHERS, out=LOGITS),
        Auxiliary(LOGITS, OTHERS),
        Output(None, OTHERS, LOGITS),
        {"loss": torch.zeros(()), "hidden": (FEATURES, [FEATURES]), "outputs": (LOGITS, OTHERS)},
    ],
    ids=["tensor", "tuple", "list", "dict", "other name", "named tuple", "object", "nested"],
)
def test_logits_are_found(output):
    assert logits_of(output, 5) is LOGITS


def test_no_logits_say_what_there_was():
    with pytest.raises(ModelError) as caught:
        logits_of({"a": FEATURES, "b": 3, "c": [torch.zeros(2, 5, 4)]}, 5)
    assert str(caught.value) == (
        "forward returned a dict with a (2, 8), c.[0] (2, 5, 4); it must hold one tensor of logits (batch, 5)"
    )
    with pytest.raises(ModelError, match="forward returned a int with no tensor; it must hold"):
        logits_of(3, 5)


def test_a_model_of_one_output_is_exported_as_it_is():
    model = nn.Flatten()
    assert giving_logits(model, torch.zeros(1, 5), 5) is model
    assert torch.equal(giving_logits(Ends("tuple"), torch.zeros(1, 3, 4, 4), 5)(torch.zeros(2, 3, 4, 4)), LOGITS)


class Ends(nn.Module):
    """A linear layer and an end of its own."""

    def __init__(self, end: str = "", num_classes: int = 5, zero: bool = False) -> None:
        super().__init__()
        self.fc = nn.Linear(48, num_classes)
        self.end = end
        if zero or end == "tuple":
            nn.init.zeros_(self.fc.weight)
            nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Any:
        y = self.fc(x.flatten(1))
        if self.end == "softmax in evaluation":
            return y if self.training else y.softmax(1)
        ends = {
            "softmax": lambda: y.softmax(1),
            "log_softmax": lambda: y.log_softmax(1),
            "sigmoid": y.sigmoid,
            "relu": y.relu,
            "tanh": y.tanh,
            "tuple": lambda: (y, x),
            "auxiliary": lambda: Auxiliary(y, 2 * y) if self.training else y,
            "pixels": lambda: y[:, :, None, None],
            "map": lambda: y[:, :, None, None].expand(-1, -1, 2, 2),
            "one more": lambda: torch.cat([y, y[:, :1]], 1),
            "nothing": lambda: {"a": x},
        }
        return ends.get(self.end, lambda: y)()


def choice(end: str, **arguments: Any) -> ModelChoice:
    return ModelChoice(f"{Path(__file__)}:Ends", {"end": end, **arguments})


def notes(end: str, classes: int = 5, **arguments: Any) -> str:
    return "; ".join(notes_on_outputs(choice(end, **arguments), (3, 4, 4), classes)).partition(":Ends: ")[2]


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("softmax", "its outputs are probabilities already, as after a softmax"),
        ("sigmoid", "every output is from 0 to 1, as after a sigmoid"),
        ("relu", "no output is ever negative, as after a ReLU"),
        ("log_softmax", "log_softmax again, which changes nothing: it trains as with logits"),
        ("softmax in evaluation", "its outputs in evaluation are not logits as in training (probabilities that sum"),
        ("tuple", "forward returns a tuple, of which [0] counts as the logits; [1] is left out of the loss"),
        ("auxiliary", "forward returns a Auxiliary in training, of which logits counts as the logits; aux is left out"),
    ],
)
def test_outputs_that_are_no_plain_logits_are_told(end, said):
    assert said in notes(end)


def test_the_loss_that_probabilities_cannot_fall_below_is_right():
    right = torch.eye(5, dtype=torch.float64)  # all the probability on the right class
    least = nn.functional.cross_entropy(right, torch.arange(5)).item()
    assert math.isclose(least, math.log(1 + 4 / math.e))
    assert f"cannot fall below {least:.2f}" in notes("softmax")


@pytest.mark.parametrize("classes", [2, 5, 10])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("end", ["", "tanh"])
def test_logits_are_not_warned_of(end, classes, zero):
    assert notes(end, classes, zero=zero) == ""


def test_a_linear_layer_whose_bias_hides_the_images_is_not_warned_of():
    # Few classes and small weights: as they are, every output is between 0 and 1.
    assert notes("", 2, zero=True) == ""
    assert notes_on_outputs(ModelChoice("lenet"), (1, 28, 28), 10) == []


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("pixels", r"shape \(2, 5, 1, 1\).*; flatten them at the end of forward, as x.flatten\(1\) does"),
        ("map", r"shape \(2, 5, 2, 2\).*; average over the pixels, then flatten them"),
        ("one more", r"each of the 5 classes, not 6: give the last layer that many outputs"),
        ("nothing", r"forward returned a dict with a \(2, 3, 4, 4\); it must hold one tensor of logits \(batch, 5\)"),
    ],
)
def test_outputs_that_cannot_train_are_refused(end, message):
    with pytest.raises(ModelError, match=message):
        check_model(choice(end), (3, 4, 4), 5)


@pytest.mark.parametrize("end", ["tuple", "auxiliary", ""])
def test_outputs_that_hold_logits_are_taken(end):
    assert check_model(choice(end), (3, 4, 4), 5) == 48 * 5 + 5
