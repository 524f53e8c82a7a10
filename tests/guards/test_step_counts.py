"""What a training step asks of torch is counted instead of timed, so that it is the same on every machine.

Two kinds of claims. What follows from the design is exact and holds with any torch: a fused step grows with the number
of runs by the optimizers' calls alone, and by no view and no allocation. The absolute numbers depend on how torch
splits its work into operators; they were counted with torch 2.15 and may be exceeded by a tenth (`at_most`), which is
less than what one more operator a layer would add, and more than what releases of torch have changed so far.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import partial

import pytest
import torch
from operator_counts import OperatorCounts, counted

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.training.data_module import DataModule, FoldData, training_batches
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import Learner, SingleLearner
from cnnsweep.training.trainer import train_group
from cnnsweep.types import CONSTANT, Choice, EpochReport, Hyperparameters, ModelChoice, Run, RunGroup

BATCH = 16
LENET = ModelChoice("lenet", {})
BATCH_NORM = ModelChoice("cnn", {"channels": [4, 8], "kernel_size": 3, "hidden": [16], "batch_norm": True})
CPU = torch.device("cpu")
ADAM = Hyperparameters(
    lr=0.01, batch_size=BATCH, shuffle=True, epochs=1, optimizer="adam", momentum=None, nesterov=None, beta1=0.9,
    beta2=0.999, eps=1e-8, weight_decay=0.0, schedule=CONSTANT, label_smoothing=0.0, grad_clip=None,
    augment=(), seed=1,
)  # fmt: skip
SGD = dataclasses.replace(ADAM, optimizer="sgd", momentum=0.9, nesterov=True, beta1=None, beta2=None, eps=None)
RMSPROP = dataclasses.replace(ADAM, optimizer="rmsprop", momentum=0.0, beta1=None, beta2=None)
# How many calls a run's own optimizer makes: one kernel, and for Adam one that counts the steps.
CALLS_OF_OPTIMIZER = {"sgd": 1, "adam": 2}


def at_most(counted_with_torch_2_15: int) -> int:
    return math.ceil(1.1 * counted_with_torch_2_15)


def make_runs(count: int, hyperparameters: Hyperparameters = ADAM, model: ModelChoice = LENET) -> list[Run]:
    """Return runs that differ in the learning rate."""
    each = [dataclasses.replace(hyperparameters, lr=0.001 * (1 + number)) for number in range(count)]
    return [Run(f"{n:016}", f"run-{n}", model, own, {}, f"trial-{n}") for n, own in enumerate(each)]


def program_of(runs: list[Run], class_weights: torch.Tensor | None = None) -> Learner:
    about = ((1, 28, 28), 10, CPU, "fp32", class_weights)
    return SingleLearner(runs[0], *about) if len(runs) == 1 else FusedLearner(runs, *about)


def a_batch() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, 1, 28, 28, generator=random)
    # Of one channel, channels-last is a matter of strides alone; batches come so.
    images = images.as_strided(images.shape, (784, 1, 28, 1))
    return images, torch.randint(0, 10, (1, BATCH), generator=random)


def training_step(count: int, hyperparameters: Hyperparameters = ADAM, model: ModelChoice = LENET) -> OperatorCounts:
    runs, (images, labels) = make_runs(count, hyperparameters, model), a_batch()
    program, rates = program_of(runs), [run.hyperparameters.lr for run in runs]
    return counted(lambda: program.train_step(images, labels, rates, list(range(count))))


def step_with(count: int, own: list[Hyperparameters], class_weights: torch.Tensor | None = None) -> OperatorCounts:
    runs, (images, labels) = make_runs(count), a_batch()
    runs = [dataclasses.replace(run, hyperparameters=own[n % len(own)]) for n, run in enumerate(runs)]
    program = program_of(runs, class_weights)
    return counted(partial(program.train_step, images, labels, [0.01] * count, list(range(count))))


def evaluation_batch(count: int, model: ModelChoice = LENET) -> OperatorCounts:
    program, (images, labels) = program_of(make_runs(count, model=model)), a_batch()
    return counted(lambda: program.measure(images, labels[0]))


def test_step_alone_calls_what_its_layers_need():
    step = training_step(1)
    assert step.calls.total() <= at_most(39)
    assert step.views.total() <= at_most(45)
    assert step.allocations <= at_most(39)
    assert step.allocated_bytes <= at_most(1_060_156)


def test_step_together_calls_what_its_layers_need():
    step = training_step(8)
    own = 8 * CALLS_OF_OPTIMIZER["adam"]
    assert step.calls.total() - own <= at_most(44)
    assert step.views.total() <= at_most(86)
    assert step.allocations <= at_most(47)


@pytest.mark.parametrize("model", [LENET, BATCH_NORM], ids=["lenet", "batch norm"])
@pytest.mark.parametrize("hyperparameters", [ADAM, SGD], ids=["adam", "sgd"])
def test_step_together_grows_with_the_runs_by_the_optimizers_calls_alone(model, hyperparameters):
    few, many = training_step(2, hyperparameters, model), training_step(8, hyperparameters, model)
    grown = many.calls - few.calls
    own = CALLS_OF_OPTIMIZER[hyperparameters.optimizer]
    assert grown.total() <= (8 - 2) * own, grown
    assert many.views.total() <= few.views.total()
    assert many.allocations <= few.allocations


def test_step_of_an_optimizer_without_a_kernel_grows_by_its_own_few_calls():
    """RMSprop has no kernel for all its arithmetic: torch takes six list operations and two notes to its profiler."""
    few, many = training_step(2, RMSPROP), training_step(8, RMSPROP)
    assert (many.calls - few.calls).total() <= (8 - 2) * at_most(8)


WITH_LOSS = {
    "cross_entropy": [ADAM],
    "smoothing": [dataclasses.replace(ADAM, label_smoothing=share) for share in (0.0, 0.1)],
    "focal": [dataclasses.replace(ADAM, loss_function=Choice("focal", {"gamma": gamma})) for gamma in (1.0, 2.5)],
    "binary": [dataclasses.replace(ADAM, loss_function=Choice("binary_cross_entropy"))],
    "poly": [dataclasses.replace(ADAM, loss_function=Choice("poly", {"epsilon": value})) for value in (2.0, 3.0)],
}


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("own", WITH_LOSS.values(), ids=WITH_LOSS)
def test_losses_and_class_weights_of_many_runs_are_computed_at_once(own, is_weighted):
    """And nothing waits for the device: weights and numbers are there from the beginning."""
    few, many = (step_with(count, own, torch.rand(count, 10) if is_weighted else None) for count in (2, 8))
    grown = many.calls - few.calls
    assert grown.total() <= (8 - 2) * CALLS_OF_OPTIMIZER["adam"], grown
    assert not [name for name in many.calls if "item" in name or "local_scalar" in name or "nonzero" in name]
    assert (many.calls - step_with(8, [ADAM]).calls).total() <= at_most(32)


def test_moving_averages_of_many_runs_are_one_kernel_a_tensor():
    """Decays differ from run to run, and nothing waits for the device."""
    averaged = [dataclasses.replace(ADAM, ema=decay) for decay in (0.9, 0.999, None)]
    few, many = step_with(2, averaged), step_with(8, averaged)
    grown = many.calls - few.calls
    assert grown.total() <= (8 - 2) * CALLS_OF_OPTIMIZER["adam"], grown
    tensors = 10  # of LeNet; one more for what each run's average takes of its weights
    assert (many.calls - step_with(8, [ADAM]).calls).total() <= tensors + 1
    assert not [name for name in many.calls if "item" in name or "local_scalar" in name or "nonzero" in name]


def test_memory_of_a_step_together_is_that_of_its_runs():
    """Beside what the runs take alone, filters' gradients are brought into the memory order of their stack: 2 %."""
    assert training_step(8).allocated_bytes <= 1.03 * 8 * training_step(1).allocated_bytes


@pytest.mark.parametrize("model", [LENET, BATCH_NORM], ids=["lenet", "batch norm"])
def test_evaluation_batch_does_not_grow_with_the_runs(model):
    alone, few, many = (evaluation_batch(count, model) for count in (1, 2, 8))
    assert many.calls.total() <= few.calls.total() <= alone.calls.total()
    assert many.views.total() <= few.views.total()
    assert many.allocations <= few.allocations
    assert many.allocated_bytes <= 1.01 * 8 * alone.allocated_bytes  # the predictions have a form of their own


def test_evaluation_batch_calls_what_its_layers_need():
    assert evaluation_batch(1).calls.total() <= at_most(16)
    assert evaluation_batch(8).views.total() <= at_most(29)


@pytest.mark.parametrize("count", [1, 8])
def test_neither_training_nor_evaluating_waits_for_a_figure(count):
    """`.item()` would stop a GPU's queue at every step."""
    waiting = {"aten._local_scalar_dense", "aten.item", "aten.is_nonzero", "aten.nonzero", "aten.equal"}
    assert not waiting & {*training_step(count).calls, *evaluation_batch(count).calls}


class GoesOn:
    """A watcher that lets every run go on."""

    def on_batch_end(self, *_: object) -> None:
        pass

    def on_epoch_end(self, reports: list[EpochReport]) -> Mapping[str, object]:
        return {}

    def on_resume(self, run_ids: object) -> Mapping[str, object]:
        return {}

    def on_run_end(self, outcome: object) -> None:
        pass


def images_of(steps: int) -> DataModule:
    images, labels = torch.zeros(steps * BATCH + 10, 1, 28, 28, dtype=torch.uint8), torch.zeros(steps * BATCH + 10)
    training, held_out = torch.arange(steps * BATCH), torch.arange(steps * BATCH, steps * BATCH + 10)
    part = FoldData(training, held_out, PixelNormalize((0.5,), (0.25,)))
    return DataModule(MemoryImages(images, labels.long()), (part,), 10, CPU, "fp32")


def epoch_of(count: int, steps: int) -> OperatorCounts:
    runs = make_runs(count)
    group = RunGroup((tuple((run,) for run in runs),))
    with OperatorCounts() as counts:
        train_group(group, images_of(steps), GoesOn(), {})  # type: ignore[arg-type]
    return counts


@pytest.mark.parametrize("count", [1, 8])
def test_loop_adds_to_a_step_the_making_of_its_batch_and_the_accuracy(count):
    per_step = (epoch_of(count, 13).calls.total() - epoch_of(count, 3).calls.total()) / 10
    making_of_batch = 5  # two selections, conversion, scale and shift
    accuracy = 3  # prediction, comparison, sum
    assert per_step <= training_step(count).calls.total() + making_of_batch + accuracy


def test_runs_that_see_the_same_batches_share_their_making():
    task = images_of(4)

    def batches(count: int) -> OperatorCounts:
        return counted(lambda: list(training_batches(task, make_runs(count), [1] * count)))

    alone, together = batches(1), batches(8)
    assert together.calls == alone.calls
    assert together.allocated_bytes == alone.allocated_bytes
