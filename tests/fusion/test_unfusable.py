"""A model that cannot run as one says why in one line, and where."""

# ruff: noqa: ARG005 - every forward is given the module and its images
from __future__ import annotations

import random
from pathlib import Path

import numpy
import pytest
import torch
from fused_and_alone import CHANNELS, Forward, build, fuse
from torch import nn

from cnnsweep.errors import FusionError

CODE = Path(__file__)


def here(code: str) -> str:
    """Return the place of a line of this file, as messages name it."""
    (number,) = [n for n, line in enumerate(CODE.read_text().splitlines(), 1) if line.strip() == code]
    return f"{CODE.name}:{number}: {code}"


def conv() -> nn.Module:
    return nn.Conv2d(CHANNELS, 4, 3)


def branches_on_values(m, x):
    x = m.conv(x)
    if x.sum() > 0:
        x = -x
    return x


def branches_on_sizes(m, x):
    if x.shape[0] > 2:
        return m.conv(x) * 2
    return m.conv(x)


def loops_over_images(m, x):
    return torch.stack([m.conv(image) for image in x])


def draws_in_torch(m, x):
    return m.conv(x) if torch.rand(()) < 0.5 else 2 * m.conv(x)


def draws_in_python(m, x):
    return m.conv(x) * random.random()


def draws_in_numpy(m, x):
    return m.conv(x) * float(numpy.random.rand())


def adds_values_up(m, x):
    m.total = m.total + x.mean()
    return m.conv(x)


def counts(m, x):
    m.steps += 1
    return m.conv(x) / m.steps


def changes_a_view(m, x):
    x = m.conv(x)
    x.flatten(2).mul_(2)
    return x


def changes_a_chunk(m, x):
    x = m.conv(x)
    first, _ = x.chunk(2, 1)[0], x.chunk(2, 1)[1]
    first.relu_()
    return x


def changes_what_is_viewed(m, x):
    x = m.conv(x)
    rows = x[:, :, 0]
    m.relu(x)
    return rows


TRACING = "its forward cannot be traced: "
BATCH = f"{TRACING}its Python code depends on the number of images in a batch, at "
VALUES = f"{TRACING}its Python code depends on the values of tensors, at "
MESSAGES = {
    branches_on_values: VALUES + here("if x.sum() > 0:"),
    branches_on_sizes: BATCH + here("if x.shape[0] > 2:"),
    loops_over_images: BATCH + here("return torch.stack([m.conv(image) for image in x])"),
    draws_in_torch: f"{TRACING}it draws random numbers in Python code",
    draws_in_python: f"{TRACING}it draws random numbers in Python code",
    draws_in_numpy: f"{TRACING}it draws random numbers in Python code",
    adds_values_up: f"{TRACING}it sets the attribute 'total'",
    counts: f"{TRACING}it sets the attribute 'steps'",
    lambda m, x: (m.conv(x), x): "its forward returns a tuple that is not a tensor of logits",
    lambda m, x: [m.conv(x)]: "its forward returns a list that is not a tensor of logits",
    lambda m, x: {"logits": m.conv(x)}: "its forward returns a dict that is not a tensor of logits",
    lambda m, x: x.shape[0]: "its forward returns a int that is not a tensor of logits",
    changes_a_view: "mul_: changes values in place that have several views",
    changes_a_chunk: "relu_: changes values in place that have several views",
    changes_what_is_viewed: "ReLU 'relu': changes values in place that have several views",
    lambda m, x: (m.conv(x) > 0).nonzero(): "nonzero: gives values of other shapes from run to run",
    lambda m, x: (lambda y: y[y > 0])(m.conv(x)): "getitem: gives values of other shapes from run to run",
}  # fmt: skip


@pytest.mark.parametrize("function", MESSAGES, ids=lambda function: function.__name__)
def test_message_says_what_cannot_run_as_one(function):
    models = build(lambda: Forward(function, conv=conv(), relu=nn.ReLU(True), total=torch.zeros(()), steps=0), 2)
    with pytest.raises(FusionError) as caught:
        fuse(models)
    assert str(caught.value) == MESSAGES[function]


def test_python_numbers_that_differ_between_runs_are_named():
    models = build(lambda: Forward(lambda m, x: m.conv(x) * m.conv.weight.sum().item(), conv=conv()), 2)
    with pytest.raises(FusionError) as caught:
        fuse(models)
    assert (
        str(caught.value)
        == f"item: gives {models[0].conv.weight.sum().item()!r} to one run and another value to others"
    )


def test_plain_tensors_that_differ_between_runs_are_named():
    models = build(lambda: Forward(None, conv=conv()), 2)
    for seed, model in enumerate(models):
        model.factor = torch.tensor([1.0 + seed])
        model.function = lambda m, x: m.conv(x) * m.factor
    with pytest.raises(FusionError) as caught:
        fuse(models)
    assert str(caught.value) == "'factor' has different values from run to run, but is no parameter or buffer"


def test_hooks_of_the_whole_model_are_refused():
    models = build(conv, 2)
    for model in models:
        model.register_forward_hook(lambda _, args, output: output * 2)
    with pytest.raises(FusionError) as caught:
        fuse(models)
    assert str(caught.value) == "its forward cannot be traced: it has hooks"


def test_parameter_of_another_shape_is_named():
    models = [*build(lambda: nn.Conv2d(CHANNELS, 4, 3), 1), *build(lambda: nn.Conv2d(CHANNELS, 5, 3), 1)]
    with pytest.raises(FusionError) as caught:
        fuse(models)
    assert str(caught.value) == "'weight' has different shapes from run to run"


def test_parameters_of_other_names_are_refused():
    models = [*build(lambda: nn.Conv2d(CHANNELS, 4, 3), 1), *build(lambda: nn.Conv2d(CHANNELS, 4, 3, bias=False), 1)]
    with pytest.raises(FusionError) as caught:
        fuse(models)
    assert str(caught.value) == "its parameters have different names from run to run"


def test_failed_fusion_leaves_the_models_and_the_generator_as_they_were():
    models = build(lambda: nn.Sequential(conv(), nn.BatchNorm2d(4), nn.Dropout(), Forward(lambda m, x: (x, x))), 2)
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with pytest.raises(FusionError):
        fuse(models)
    assert torch.equal(torch.rand(2), expected)
    for model, state in zip(models, before, strict=True):
        for name, value in model.state_dict().items():
            assert torch.equal(value, state[name])
