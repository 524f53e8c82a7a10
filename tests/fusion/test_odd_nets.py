"""Networks of one habit each train as in a loop of PyTorch: alone always, and fused, or with a reason why not."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

import odd_nets
import pytest
import torch
from torch import Tensor, nn

from cnnsweep.errors import FusionError
from cnnsweep.models.build import build_model, memory_order
from cnnsweep.models.logits import logits_of
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import Learner, SingleLearner, forward_seed
from cnnsweep.types import CONSTANT, Hyperparameters, ModelChoice, Run

FILE = Path(odd_nets.__file__)
SHAPE, CLASSES, CPU, RATE = (3, 8, 8), odd_nets.CLASSES, torch.device("cpu"), 0.05
NAMES = [
    name
    for name, made in vars(odd_nets).items()
    if inspect.isclass(made) and issubclass(made, odd_nets.Net) and made is not odd_nets.Net
]
BATCH = "its Python code depends on the number of images in a batch"
# Those that train alone, and what they are told.
ALONE = {
    "CountsByAssignment": "it sets the attribute 'steps'",
    "CountsInPython": "it sets the attribute 'steps'",
    "HasScriptedLayer": "'layer' is compiled by torch.jit.script",
    "HasScriptedGates": "'blocks.0' is compiled by torch.jit.script",
    "KeepsTheFirst": "it sets the attribute 'first'",
    "FillsAList": "it sets the attribute 'seen'",
    "AsksForBatch": BATCH,
    "FreezesBatch": BATCH,
    "BranchesOnValues": "its Python code depends on the values of tensors",
}


def run_of(name: str, seed: int) -> Run:
    hyperparameters = Hyperparameters(
        lr=RATE,
        batch_size=6,
        shuffle=False,
        epochs=1,
        optimizer="sgd",
        momentum=0.9,
        nesterov=False,
        beta1=None,
        beta2=None,
        eps=None,
        weight_decay=1e-3,
        schedule=CONSTANT,
        label_smoothing=0.0,
        grad_clip=None,
        augment=(),
        seed=seed,
    )
    return Run(f"{name}{seed}", f"{name}{seed}", ModelChoice(f"{FILE}:{name}"), hyperparameters, {}, name)


def batches() -> list[tuple[Tensor, Tensor]]:
    """Batches of several sizes, so that nothing may hold for one alone."""
    random = torch.Generator().manual_seed(3)
    sizes = (6, 4, 5)
    images = [torch.randn(size, *SHAPE, generator=random, dtype=torch.float64) for size in sizes]
    return [(one, torch.randint(CLASSES, (len(one),), generator=random)) for one in images]


def train(program: Learner, runs: Sequence[Run]) -> list[dict[str, Tensor]]:
    """Return each run's weights after a step a batch, and its losses in evaluation then."""
    for step, (images, labels) in enumerate(batches()):
        ordered = images.contiguous(memory_format=torch.channels_last)
        program.train_step(ordered, labels[None], [RATE] * len(runs), [forward_seed(run, 1, step) for run in runs])
    losses = [program.measure(*batch)[0] for batch in batches()]
    weights = [dict(program.weights(position)) for position in range(len(runs))]
    return [{**w, "losses": torch.stack([loss[p] for loss in losses])} for p, w in enumerate(weights)]


def train_in_pytorch(run: Run) -> dict[str, Tensor]:
    """The same, written as PyTorch's tutorials do."""
    order = memory_order(run.model, SHAPE, CLASSES, CPU)  # random numbers are drawn in it
    model = build_model(run.model, SHAPE, CLASSES, seed=run.hyperparameters.seed).to(torch.float64)
    model = model.to(memory_format=order).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, RATE, momentum=0.9, weight_decay=1e-3)
    for step, (images, labels) in enumerate(batches()):
        torch.manual_seed(forward_seed(run, 1, step))
        optimizer.zero_grad()
        output = model(images.contiguous(memory_format=order))
        nn.functional.cross_entropy(logits_of(output, CLASSES), labels).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        losses = [
            nn.functional.cross_entropy(logits_of(model(images), CLASSES), labels, reduction="sum")
            for images, labels in batches()
        ]
    return {**model.state_dict(), "losses": torch.stack(losses)}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


@pytest.fixture(autouse=True)
def _own_generator():
    with torch.random.fork_rng(devices=[]):
        yield


def train_alone(run: Run) -> dict[str, Tensor]:
    return train(SingleLearner(run, SHAPE, CLASSES, CPU, "fp64"), [run])[0]


@pytest.mark.parametrize("name", NAMES)
def test_odd_net_trains_alone_as_in_pytorch(name):
    run = run_of(name, 0)
    assert_equal(train_alone(run), train_in_pytorch(run))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ALONE])
def test_odd_net_trains_fused_as_alone(name):
    runs = [run_of(name, seed) for seed in (0, 1)]
    fused = train(FusedLearner(runs, SHAPE, CLASSES, CPU, "fp64"), runs)
    for run, of_run in zip(runs, fused, strict=True):
        assert_equal(of_run, train_alone(run))


@pytest.mark.parametrize("name", ALONE)
def test_odd_net_that_cannot_be_fused_says_why_and_where(name):
    runs = [run_of(name, seed) for seed in (0, 1)]
    with pytest.raises(FusionError) as caught:
        FusedLearner(runs, SHAPE, CLASSES, CPU, "fp64")
    assert ALONE[name] in str(caught.value)
