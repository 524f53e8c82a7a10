"""Muon moves matrices and filters as torch's Muon does, and AdamW everything else."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from test_torch_optimizers import runs_of

from cnnsweep.optimizers.fused_step import RunOptimizer
from cnnsweep.types import Hyperparameters

CPU = torch.device("cpu")
SHAPES = [(4, 3, 3, 3), (4,), (5, 7), (5,)]


def hyperparameters(**arguments: object) -> Hyperparameters:
    (run,) = runs_of("optimizer: muon, lr: 0.02, weight_decay: 0.05, beta1: 0.8, momentum: 0.9")
    return dataclasses.replace(run.hyperparameters, optimizer_arguments=arguments)


def weights(order: torch.memory_format = torch.channels_last) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    tensors = [torch.randn(shape, generator=random, dtype=torch.float64) for shape in SHAPES]
    tensors[0] = tensors[0].contiguous(memory_format=order)
    return tensors


def gradients(tensors: list[torch.Tensor], step: int) -> list[torch.Tensor | None]:
    found = [torch.sin(one.detach() * (step + 2)) for one in tensors]
    return [None if step == 2 and one.ndim == 2 else one for one in found]


def train(optimizer: RunOptimizer, tensors: list[torch.Tensor], steps: range) -> list[torch.Tensor]:
    for step in steps:
        optimizer.step(gradients(tensors, step), 0.02 / (1 + step))
    return tensors


def by_hand(adamw_lr: float, **muon: object) -> list[torch.Tensor]:
    """Train by torch's classes, with the filter as a matrix from the start."""
    tensors = [one.contiguous().requires_grad_() for one in weights()]
    matrices = [tensors[0].detach().reshape(4, -1).requires_grad_(), tensors[2]]
    first = torch.optim.Muon(matrices, lr=0.02, weight_decay=0.05, momentum=0.9, **muon)
    second = torch.optim.AdamW([tensors[1], tensors[3]], weight_decay=0.05, betas=(0.8, 0.999))
    for step in range(5):
        found = gradients([matrices[0].reshape(SHAPES[0]), *tensors[1:]], step)
        matrices[0].grad = found[0].reshape(4, -1)
        for tensor, gradient in zip(tensors[1:], found[1:], strict=True):
            tensor.grad = gradient
        first.param_groups[0]["lr"], second.param_groups[0]["lr"] = 0.02 / (1 + step), adamw_lr * 0.02 / (1 + step)
        first.step()
        second.step()
    return [matrices[0].reshape(SHAPES[0]), *tensors[1:]]


@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("given", [{}, {"ns_steps": 3, "adjust_lr_fn": "match_rms_adamw", "adamw_lr": 0.1}])
def test_muon_and_adamw_are_torchs_own(given, order):
    tensors = weights(order)
    train(RunOptimizer(hyperparameters(**given), tensors, CPU), tensors, range(5))
    expected = by_hand(given.get("adamw_lr", 1.0), **{key: given[key] for key in given if key != "adamw_lr"})
    for mine, theirs in zip(tensors, expected, strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-12, atol=1e-12)


def test_a_resume_of_muon_equals_no_break_to_the_last_bit():
    whole = weights()
    train(RunOptimizer(hyperparameters(), whole, CPU), whole, range(5))
    for cut in range(1, 5):
        tensors = weights()
        first = RunOptimizer(hyperparameters(), tensors, CPU)
        train(first, tensors, range(cut))
        again = RunOptimizer(hyperparameters(), tensors, CPU)
        again.load_state_dict(copy.deepcopy(first.state_dict()))
        train(again, tensors, range(cut, 5))
        assert all(map(torch.equal, tensors, whole)), f"after step {cut}"
