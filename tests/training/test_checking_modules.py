"""Losses written for other code, as classes of `torch.nn.Module` and functions of torch, are taken as they are."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from test_fused_equals_alone import ADAM, CNN, assert_same_training, make_runs, train_alone, train_together
from test_imbalance import task, with_every
from torch import nn
from torch.nn import functional

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import SpecError, UsageError
from cnnsweep.losses.base import UserLoss, loss_of
from cnnsweep.losses.of_runs import mean_of_runs, per_image_of_runs
from cnnsweep.losses.proven_form import Form
from cnnsweep.training.check_losses import check_losses
from cnnsweep.types import Choice

__all__ = ["task"]  # a fixture

COUNTS = [20, 5, 2]
CODE = """
import numpy as np
import torch
from functools import partial
from torch import nn
from torch.nn import functional

class Focal(nn.Module):
    def __init__(self, alpha=None, gamma=2.0, reduction='mean'):
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.reduction = reduction

    def forward(self, inputs, targets):
        entropy = functional.cross_entropy(inputs, targets, reduction='none', weight=self.alpha)
        focal = (1 - torch.exp(-entropy)) ** self.gamma * entropy
        return {'mean': focal.mean, 'sum': focal.sum, 'none': lambda: focal}[self.reduction]()

class Inherited(Focal):
    pass

class MeanFocal(Focal):
    def __init__(self, gamma=2.0, name='focal', _depth=1):
        super().__init__(gamma=gamma)

class OfTensors(nn.Module):
    def __init__(self, cls_num_list, tau=1.0):
        super().__init__()
        self.prior = tau * torch.log(cls_num_list / torch.sum(cls_num_list))

    def forward(self, logits, targets):
        return functional.cross_entropy(logits + self.prior, targets)

class OfLists(nn.Module):
    def __init__(self, cls_num_list, tau=1.0):
        super().__init__()
        prior = np.log(np.array(cls_num_list) / sum(cls_num_list))
        self.register_buffer('prior', torch.tensor(tau * prior, dtype=torch.float32))

    def forward(self, logits, targets):
        return functional.cross_entropy(logits + self.prior, targets, reduction='sum')

class Holding(OfLists):
    def __init__(self, cls_num_list):
        super().__init__(cls_num_list)
        self.plain = torch.ones(3)
        self.several = [torch.ones(1), {'of': (torch.zeros(1), torch.zeros(1, dtype=torch.int64))}]
        self.inner = OfLists(cls_num_list)

class Learned(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, logits, targets):
        return functional.cross_entropy(logits * self.scale, targets, reduction='none')

class Counting(nn.Module):
    def __init__(self, after=1000):
        super().__init__()
        self.steps, self.after = 0, after

    def forward(self, logits, targets):
        self.steps += 1
        factor = 1.0 if self.steps < self.after else 0.5
        return functional.cross_entropy(logits, targets, reduction='none') * factor

class Moving(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer('seen', torch.zeros(3))

    def forward(self, logits, targets):
        self.seen += torch.bincount(targets, minlength=3)
        return functional.cross_entropy(logits, targets, reduction='none')

class Caching(nn.Module):
    def forward(self, logits, targets):
        self.last = functional.cross_entropy(logits, targets, reduction='none')
        return self.last

class WithFeatures(nn.Module):
    def forward(self, logits, targets, features):
        return logits.mean(-1)

class Raising(nn.Module):
    def __init__(self, gamma=2):
        super().__init__()
        self.gamma = gamma.nothing

    def forward(self, logits, targets):
        return logits.mean(-1)

class Weighted(nn.Module):
    def forward(self, logits, targets):
        return functional.cross_entropy(logits, targets, weight=logits.new_tensor([1, 2, 3]))

made = Focal(gamma=3)
half = partial(functional.cross_entropy, reduction='none', label_smoothing=0.5)
nothing = 3
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("public") / "losses.py"
    file.write_text(CODE)
    return file


def line_of(text: str) -> int:
    return CODE[: CODE.index(text)].count("\n") + 1


def checked(reference: str, *, several: bool = False, **arguments: object) -> UserLoss:
    choice = Choice(reference, arguments)
    check_losses(make_runs(dataclasses.replace(ADAM, loss_function=choice)), 3, several=several)
    loss = loss_of(choice)
    assert isinstance(loss, UserLoss)
    return loss


def focal(logits: torch.Tensor, targets: torch.Tensor, gamma: float, alpha: list[float] | None = None) -> torch.Tensor:
    weight = None if alpha is None else logits.new_tensor(alpha)
    entropy = functional.cross_entropy(logits, targets, reduction="none", weight=weight)
    return (1 - torch.exp(-entropy)) ** gamma * entropy


def adjusted(logits: torch.Tensor, targets: torch.Tensor, tau: float = 1.0) -> torch.Tensor:
    counts = logits.new_tensor(COUNTS)
    return functional.cross_entropy(logits + tau * (counts / counts.sum()).log(), targets, reduction="none")


TAKEN = {
    "Focal": ({}, Form.RUNS, lambda x, y: focal(x, y, 2)),
    "Focal of lists": ({"alpha": [1, 2, 3], "gamma": 1}, Form.RUNS, lambda x, y: focal(x, y, 1, [1, 2, 3])),
    "Focal of a mean": ({"reduction": "mean"}, Form.IMAGES, lambda x, y: focal(x, y, 2)),
    "Inherited": ({"gamma": 3}, Form.RUNS, lambda x, y: focal(x, y, 3)),
    "MeanFocal": ({}, Form.IMAGES, lambda x, y: focal(x, y, 2)),
    "OfTensors": ({"cls_num_list": COUNTS, "tau": 2}, Form.IMAGES, lambda x, y: adjusted(x, y, 2)),
    "OfLists": ({"cls_num_list": COUNTS}, Form.IMAGES, adjusted),
    "Caching": ({}, Form.RUNS, lambda x, y: functional.cross_entropy(x, y, reduction="none")),
    "made": ({}, Form.IMAGES, lambda x, y: focal(x, y, 3)),
    "half": ({}, Form.RUNS, lambda x, y: functional.cross_entropy(x, y, reduction="none", label_smoothing=0.5)),
}


@pytest.mark.parametrize(("name", "taken"), TAKEN.items(), ids=TAKEN)
def test_modules_give_their_formula_alone_and_for_runs(code, name, taken):
    arguments, form, expected = taken
    loss = checked(f"{code}:{name.partition(' ')[0]}", **arguments)
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 9, 3, generator=random, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 3, (2, 9), generator=random)
    assert loss._form(logits, several=False) is form
    each = torch.stack([expected(*one) for one in zip(logits, targets, strict=True)])
    # A module may keep numbers in single precision, as this one does before its buffer is moved.
    tolerance = 1e-6 if name == "OfLists" else 1e-12
    for found in (per_image_of_runs([loss, loss])(logits, targets), loss.in_evaluation().per_image(logits, targets)):
        torch.testing.assert_close(found, each, rtol=tolerance, atol=tolerance)
    means = [loss.mean(*one) for one in zip(logits, targets, strict=True)]
    gradients = torch.autograd.grad(sum(means), logits), torch.autograd.grad(each.mean(1).sum(), logits)
    torch.testing.assert_close(*gradients, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(mean_of_runs([loss, loss])(logits, targets), torch.stack(means))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_of_a_module_have_the_precision_of_the_logits(code, dtype):
    module = checked(f"{code}:Holding", cls_num_list=COUNTS).made_for(torch.zeros(1, 3, dtype=dtype), several=False)
    first, rest = module.several
    for tensor in (module.plain, module.prior, module.inner.prior, first, rest["of"][0]):
        assert tensor.dtype is dtype
    assert rest["of"][1].dtype is torch.int64
    assert module.training


def test_a_module_is_in_eval_mode_on_held_out_images(code):
    loss = checked(f"{code}:Holding", cls_num_list=COUNTS).in_evaluation()
    assert not loss.made_for(torch.zeros(1, 3), several=False).training


REFUSED = {
    "Learned": ("class Learned", r"has parameters of its own to train \(scale\), allowed is a loss without any"),
    "Counting": ("class Counting", "changes its steps in each call, so that a resumed run would differ"),
    "Moving": ("class Moving", "changes its seen in each call"),
    "WithFeatures": ("class WithFeatures", "raised TypeError: .*missing 1 required positional argument: 'features'"),
    "Raising": ("self.gamma = gamma.nothing", "raised AttributeError: 'int' object has no attribute 'nothing', for"),
    "Weighted": ("class Weighted", "returned a single number for .* weights of classes are `class_weight`"),
}


@pytest.mark.parametrize(("name", "line", "words"), [(name, *one) for name, one in REFUSED.items()], ids=REFUSED)
def test_modules_that_cannot_train_are_refused_with_their_line(code, name, line, words):
    with pytest.raises(UsageError, match=words) as refused:
        checked(f"{code}:{name}", **({"gamma": 2} if name == "Raising" else {}))
    assert str(refused.value).startswith(f"{code}:{line_of(line)}: loss ")


def test_anything_else_is_refused(code):
    with pytest.raises(UsageError, match=r"found 3, allowed is a function, a torch.nn.Module, or a subclass of cnnsw"):
        checked(f"{code}:nothing")


OF_TORCH = {
    "torch.nn:CrossEntropyLoss": ({"weight": [1, 2, 3]}, False),
    "torch.nn:MultiMarginLoss": ({"margin": 2}, False),
    "torch.nn.functional:cross_entropy": ({}, False),
    "torch.nn.functional:multi_margin_loss": ({"p": 2}, False),
    "torch.nn:BCEWithLogitsLoss": ({"pos_weight": [1, 2, 3]}, True),
    "torch.nn:MultiLabelSoftMarginLoss": ({}, True),
    "torchvision.ops:sigmoid_focal_loss": ({"alpha": 0.5}, True),
}


@pytest.mark.parametrize(("name", "given"), OF_TORCH.items(), ids=OF_TORCH)
def test_losses_of_torch_are_taken_by_name(name, given):
    arguments, several = given
    loss = checked(name, several=several, **arguments)
    assert loss._form(torch.zeros(2, 2, 3), several=several) is Form.RUNS
    (run,) = expand_runs(parse_sweep(f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{loss: '{name}'}}\n", "s")).runs
    assert run.hyperparameters.loss_function == Choice(name)  # without the content of torch's files


def test_of_several_labels_a_loss_of_each_is_averaged():
    loss = checked("torch.nn:BCEWithLogitsLoss", several=True, pos_weight=[1, 2, 3])
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 9, 3, generator=random, dtype=torch.float64)
    labels = torch.randint(0, 2, (2, 9, 3), generator=random)
    reference = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2, 3]))
    expected = [reference(*one) for one in zip(logits, labels.double(), strict=True)]
    torch.testing.assert_close(mean_of_runs([loss, loss])(logits, labels), torch.stack(expected), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["torch.nn:NLLLoss", "torch.nn.functional:nll_loss"])
def test_a_loss_of_log_probabilities_is_refused(name):
    with pytest.raises(UsageError, match="is of log-probabilities; of logits it is cross_entropy"):
        checked(name)


def test_arguments_are_known_before_the_code_runs(code):
    def read(loss: str) -> object:
        return parse_sweep(
            f"name: s\ndataset: shapes\nmodel: lenet\nparams:\n  loss: {loss}\n", "s.yaml", (), code.parent
        )

    assert len(expand_runs(read("[{name: 'losses.py:Inherited', gamma: 1}, 'losses.py:OfTensors']")).runs) == 2
    for name in ("Focal", "Inherited"):
        with pytest.raises(SpecError, match=r"s.yaml:5:\d+  params.loss.gama: unknown key; did you mean 'gamma'\?"):
            read(f"{{name: 'losses.py:{name}', gama: 1}}")
    with pytest.raises(UsageError, match=re.escape("needs the argument 'cls_num_list'")):
        checked(f"{code}:OfTensors")


def test_modules_train_fused_as_alone(task, code):
    losses = [
        Choice(f"{code}:Focal", {"gamma": 1}),
        Choice(f"{code}:Focal", {"alpha": [1, 2, 3]}),
        Choice(f"{code}:OfTensors", {"cls_num_list": COUNTS}),
        Choice(f"{code}:Caching"),
        Choice("torch.nn:MultiMarginLoss"),
        Choice("torch.nn.functional:cross_entropy"),
    ]
    runs = make_runs(*with_every(loss_function=losses, sampling=["natural", "balanced"]), model=CNN)
    check_losses(runs, 3, several=False)
    assert_same_training(train_together(task, runs), train_alone(task, runs))
