"""The optimizers are torch's own, to the last bit, without torch's compiler."""

from __future__ import annotations

import copy
import dataclasses
import subprocess
import sys

import pytest
import torch
from test_trainer import ADAM, RMSPROP, SGD

from cnnsweep.optimizers.base import make_optimizer
from cnnsweep.types import Hyperparameters

CPU = torch.device("cpu")
ADAMW = dataclasses.replace(ADAM, optimizer="adamw", weight_decay=0.1)
KINDS = {
    "sgd": (SGD, torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "fused": True}),
    "adam": (ADAM, torch.optim.Adam, {"betas": (0.9, 0.999), "eps": 1e-8, "fused": True}),
    "adamw": (ADAMW, torch.optim.AdamW, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1, "fused": True}),
    "rmsprop": (RMSPROP, torch.optim.RMSprop, {"momentum": 0.0, "eps": 1e-8, "foreach": True}),
}


def build_optimizer(h: Hyperparameters, weights: list[torch.Tensor]) -> torch.optim.Optimizer:
    return make_optimizer(h).build(weights, h.lr, CPU)


def parameters() -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return [torch.randn(size, generator=random).requires_grad_() for size in [(4, 3), (5,)]]


def train(optimizer: torch.optim.Optimizer, weights: list[torch.Tensor], steps: int) -> None:
    """Take steps with gradients that change, and with gradients switched on, as a plain loop has them."""
    for step in range(steps):
        for weight in weights:
            weight.grad = torch.sin(weight.detach() * (step + 1))
        optimizer.step()


def plain(state: object) -> object:
    """Return a state dict with lists in place of tensors, so that `==` compares every number."""
    if isinstance(state, torch.Tensor):
        return state.tolist()
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    return [plain(value) for value in state] if isinstance(state, list | tuple) else state


@pytest.mark.parametrize("kind", KINDS)
def test_optimizer_is_torchs_own_to_the_last_bit_also_after_a_resume(kind):
    hyperparameters, stock, options = KINDS[kind]
    ours, theirs = parameters(), parameters()
    our_optimizer = build_optimizer(hyperparameters, ours)
    their_optimizer = stock(theirs, lr=hyperparameters.lr, **options)
    assert isinstance(our_optimizer, stock)
    train(our_optimizer, ours, 3)
    train(their_optimizer, theirs, 3)
    state = copy.deepcopy(our_optimizer.state_dict())
    assert plain(state) == plain(their_optimizer.state_dict())
    our_optimizer = build_optimizer(hyperparameters, ours)
    our_optimizer.load_state_dict(state)
    train(our_optimizer, ours, 2)
    train(their_optimizer, theirs, 2)
    assert plain(our_optimizer.state_dict()) == plain(their_optimizer.state_dict())
    assert [weight.tolist() for weight in ours] == [weight.tolist() for weight in theirs]


def test_step_of_an_optimizer_is_not_recorded_for_gradients():
    weights = parameters()
    train(build_optimizer(SGD, weights), weights, 1)
    assert all(weight.is_leaf for weight in weights)


def test_torchs_own_classes_stay_what_they_are():
    before = dict(vars(torch.optim.Adam)), dict(vars(torch.optim.Optimizer))
    weights = parameters()
    train(build_optimizer(ADAM, weights), weights, 1)
    assert (dict(vars(torch.optim.Adam)), dict(vars(torch.optim.Optimizer))) == before


def test_training_with_any_optimizer_leaves_torchs_compiler_alone(request):
    """The compiler takes as long to import as all the rest of torch's Python."""
    code = (
        "import sys; from test_stock_optimizers import *\n"
        "from cnnsweep.optimizers.base import OPTIMIZERS; from cnnsweep.types import Choice\n"
        "for name in OPTIMIZERS.names:\n"
        "    weights = parameters()\n"
        "    optimizer = OPTIMIZERS.make(Choice(name)).build(weights, 0.1, CPU)\n"
        "    train(optimizer, weights, 2)\n"
        "    optimizer.load_state_dict(optimizer.state_dict())\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=request.path.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
