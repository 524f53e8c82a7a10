"""Every optimizer and option trains as torch's own class in a loop written by hand, by each path that trains.

In float64, torch's fused kernels and its plain loops differ by the order of a few operations: some 1e-16 a step.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_trainer import ADAM, RMSPROP, SGD, Listener
from torch import Tensor, nn

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.models.build import build_model
from cnnsweep.optimizers.fused_step import RunOptimizer
from cnnsweep.seeding import derive_seed, generator
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training.data_module import DataModule, FoldData
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import SingleLearner
from cnnsweep.training.trainer import train_group
from cnnsweep.types import (
    Choice,
    Decision,
    EpochReport,
    Hyperparameters,
    ModelChoice,
    Run,
    RunGroup,
    RunOutcome,
    RunStatus,
)

CPU = torch.device("cpu")
TOLERANCE = 1e-12  # of an optimizer's steps with given gradients
# Of some steps of training. Adam divides by a root: where a gradient is zero but for rounding, eps keeps it small.
TOLERANCE_OF_TRAINING = 1e-9
EPS = 1e-5


def _adam(h: Hyperparameters) -> dict[str, object]:
    return {"betas": (h.beta1, h.beta2), "eps": h.eps}


def _momentum(h: Hyperparameters) -> dict[str, object]:
    return {"momentum": h.momentum}


OPTIONS: dict[str, tuple[Hyperparameters, type[torch.optim.Optimizer], dict[str, object]]] = {}
for name, base, kind, option_of, changes in [
    ("sgd", SGD, torch.optim.SGD, _momentum, {"momentum": 0.0, "nesterov": False}),
    ("sgd-decay", SGD, torch.optim.SGD, _momentum, {"momentum": 0.0, "nesterov": False, "weight_decay": 0.3}),
    ("momentum", SGD, torch.optim.SGD, _momentum, {"nesterov": False}),
    ("momentum-decay", SGD, torch.optim.SGD, _momentum, {"nesterov": False, "weight_decay": 0.3}),
    ("nesterov", SGD, torch.optim.SGD, _momentum, {}),
    ("nesterov-decay", SGD, torch.optim.SGD, _momentum, {"weight_decay": 0.3}),
    ("adam", ADAM, torch.optim.Adam, _adam, {}),
    ("adam-decay", ADAM, torch.optim.Adam, _adam, {"weight_decay": 0.3}),
    ("adam-betas-eps", ADAM, torch.optim.Adam, _adam, {"beta1": 0.5, "beta2": 0.8, "eps": 1e-2}),
    ("adamw", ADAM, torch.optim.AdamW, _adam, {"optimizer": "adamw"}),
    ("adamw-decay", ADAM, torch.optim.AdamW, _adam, {"optimizer": "adamw", "weight_decay": 0.3}),
    ("rmsprop", RMSPROP, torch.optim.RMSprop, _momentum, {}),
    ("rmsprop-momentum", RMSPROP, torch.optim.RMSprop, _momentum, {"momentum": 0.7}),
    ("rmsprop-decay-eps", RMSPROP, torch.optim.RMSprop, _momentum, {"momentum": 0.7, "weight_decay": 0.3}),
]:
    eps = {} if base is SGD else {"eps": EPS}
    h = dataclasses.replace(base, **{**eps, **changes})
    own = {**option_of(h), "lr": 123.0, "weight_decay": h.weight_decay}
    own |= {"eps": h.eps} if h.eps is not None else {"nesterov": h.nesterov}
    OPTIONS[name] = h, kind, own


def of_torch(kind: type[torch.optim.Optimizer], *used: str, **own: Any) -> None:
    """Add an optimizer with some of the keys of `params`, and arguments that are not torch's defaults."""
    flat = {"beta1": 0.8, "beta2": 0.95, "eps": EPS, "weight_decay": 0.3, "momentum": 0.7}
    given = {key: value if key in used else None for key, value in flat.items()}
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in own.items()}
    h = dataclasses.replace(ADAM, optimizer=kind.__name__.lower(), optimizer_arguments=listed, **given)
    expected = {key: value for key, value in given.items() if value is not None and not key.startswith("beta")}
    expected |= {"betas": (h.beta1, h.beta2)} if "beta1" in used else {}
    OPTIONS["-".join([h.optimizer, *used[-1:], *own])] = h, kind, {**expected, **own, "lr": 123.0}


BETAS = ("beta1", "beta2", "eps")
of_torch(torch.optim.Adam, *BETAS, amsgrad=True)
of_torch(torch.optim.AdamW, *BETAS, "weight_decay", amsgrad=True)
of_torch(torch.optim.SGD, "momentum", dampening=0.4)
of_torch(torch.optim.RMSprop, "eps", alpha=0.8, centered=True)
of_torch(torch.optim.NAdam, *BETAS)
of_torch(torch.optim.NAdam, *BETAS, "weight_decay", momentum_decay=0.1, decoupled_weight_decay=True)
of_torch(torch.optim.RAdam, *BETAS)
of_torch(torch.optim.RAdam, *BETAS, "weight_decay", decoupled_weight_decay=True)
of_torch(torch.optim.Adagrad, "eps")
of_torch(torch.optim.Adagrad, "eps", "weight_decay", lr_decay=0.1, initial_accumulator_value=0.2)
of_torch(torch.optim.Adadelta, "eps")
of_torch(torch.optim.Adadelta, "eps", "weight_decay", rho=0.7)
of_torch(torch.optim.Adamax, *BETAS)
of_torch(torch.optim.Adamax, *BETAS, "weight_decay")
of_torch(torch.optim.ASGD)
of_torch(torch.optim.ASGD, "weight_decay", lambd=0.1, alpha=0.5, t0=2.0)
of_torch(torch.optim.Rprop)
of_torch(torch.optim.Rprop, etas=(0.4, 1.3), step_sizes=(1e-3, 0.5))
of_torch(torch.optim.Adafactor)
of_torch(torch.optim.Adafactor, "weight_decay", beta2_decay=-0.5, d=2.0)

# For each of four parameters, in which of seven steps it has a gradient.
STEPS = 7
GRADIENTS = {
    "always": ["1111111"] * 4,
    "one comes late": ["1111111", "0011111", "1111111", "1111111"],
    "one comes and goes": ["1111111", "1010011", "1111111", "1111111"],
    "all come and go": ["1011001", "0110101", "0010110", "1111011"],
    "one never comes": ["1111111", "0000000", "1111111", "1111111"],
    "one came once": ["1111111", "1000000", "1111111", "1111111"],
    "one goes away": ["1111111", "1111000", "1111111", "1111111"],
    "none in a step": ["1011111", "1011111", "1011111", "1011111"],
}


def random_parameters() -> list[Tensor]:
    """Return four, of which one is a filter in channels-last order, as those of a model are."""
    random = torch.Generator().manual_seed(1)
    shapes = [(4, 3, 3, 3), (4,), (5, 7), (5,)]
    tensors = [torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]
    tensors[0] = tensors[0].contiguous(memory_format=torch.channels_last)
    return tensors


def gradients_of(parameters: Sequence[Tensor], masks: Sequence[str], step: int) -> list[Tensor | None]:
    """Return gradients that depend on the weights, so that a mistake in one step grows in the next."""
    given = zip(parameters, masks, strict=True)
    return [torch.sin(p.detach() * (step + 2)) if mask[step] == "1" else None for p, mask in given]


def rate(step: int) -> float:
    return 0.05 / (1 + step)


def by_hand(
    make: Callable[[list[Tensor]], torch.optim.Optimizer], masks: Sequence[str], clip: float | None
) -> tuple[list[list[Tensor]], torch.optim.Optimizer]:
    """Return the parameters after each step of a stock optimizer, and the optimizer."""
    parameters = [tensor.requires_grad_() for tensor in random_parameters()]
    optimizer = make(parameters)
    after = []
    for step in range(STEPS):
        for parameter, gradient in zip(parameters, gradients_of(parameters, masks, step), strict=True):
            parameter.grad = gradient
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
        after.append([parameter.detach().clone() for parameter in parameters])
    return after, optimizer


def assert_all_near(found: Sequence[Tensor], expected: Sequence[Tensor], about: object) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE, msg=lambda m: f"{about}: {m}")


@pytest.mark.parametrize("clip", [None, 0.5], ids=["", "clipped"])
@pytest.mark.parametrize("pattern", GRADIENTS)
@pytest.mark.parametrize("option", OPTIONS)
def test_steps_are_those_of_torchs_own_class_whichever_gradients_there_are(option, pattern, clip):
    h, kind, own = OPTIONS[option]
    masks = GRADIENTS[pattern]
    expected, theirs = by_hand(lambda parameters: kind(parameters, **own), masks, clip)
    parameters = random_parameters()
    optimizer = RunOptimizer(dataclasses.replace(h, grad_clip=clip), parameters, CPU)
    for step in range(STEPS):
        optimizer.step(gradients_of(parameters, masks, step), rate(step))
        assert_all_near(parameters, expected[step], f"step {step + 1}")
    mine, of_theirs = optimizer.state_dict()["state"], theirs.state_dict()["state"]
    assert {key for key, values in mine.items() if values} == {key for key, values in of_theirs.items() if values}
    for key, values in of_theirs.items():
        for name, value in values.items():
            if isinstance(value, Tensor):  # SGD without momentum keeps a None
                assert_all_near([mine[key][name].double()], [value.double()], f"{name} of {key}")


@pytest.mark.parametrize("pattern", ["all come and go", "one comes late"])
@pytest.mark.parametrize("option", OPTIONS)
def test_a_resume_after_any_step_goes_on_to_the_last_bit(option, pattern):
    h, _, _ = OPTIONS[option]
    masks = GRADIENTS[pattern]

    def train(parameters: list[Tensor], optimizer: RunOptimizer, steps: range) -> None:
        for step in steps:
            optimizer.step(gradients_of(parameters, masks, step), rate(step))

    whole = random_parameters()
    train(whole, RunOptimizer(h, whole, CPU), range(STEPS))
    for cut in range(1, STEPS):
        parameters = random_parameters()
        first = RunOptimizer(h, parameters, CPU)
        train(parameters, first, range(cut))
        again = RunOptimizer(h, parameters, CPU)
        again.load_state_dict(copy.deepcopy(first.state_dict()))
        train(parameters, again, range(cut, STEPS))
        assert all(map(torch.equal, parameters, whole)), f"after step {cut}"


@pytest.mark.parametrize("option", OPTIONS)
def test_a_saved_state_says_the_learning_rate_of_the_last_step(option):
    h, _, _ = OPTIONS[option]
    parameters = random_parameters()
    optimizer = RunOptimizer(h, parameters, CPU)
    for step in range(4):
        optimizer.step(gradients_of(parameters, GRADIENTS["always"], step), rate(step))
        (group,) = optimizer.state_dict()["param_groups"]
        assert group["lr"] == rate(step)
    again = RunOptimizer(h, parameters, CPU)
    again.load_state_dict(optimizer.state_dict())
    assert again.state_dict()["param_groups"][0]["lr"] == rate(3)


# Training: nets as a person writes them, and the loop as a notebook has it.

NETS = """
import torch
from torch import nn

class Static(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, num_classes)
    def forward(self, x):
        return self.fc(torch.tanh(self.norm(self.conv(x))).mean((2, 3)))

class Unused(Static):
    '''A layer is never used, so that its weights never have a gradient; they must not decay either.'''
    def __init__(self, in_channels, num_classes):
        super().__init__(in_channels, num_classes)
        self.unused = nn.Linear(3, 2)

class Skips(nn.Module):
    '''Blocks are skipped at random.'''
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3)
        self.blocks = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.fc = nn.Linear(4, num_classes)
    def forward(self, x):
        x = torch.tanh(self.conv(x))
        for block in self.blocks:
            if not self.training or torch.rand(()).item() < 0.5:
                x = x + torch.tanh(block(x))
        return self.fc(x.mean((2, 3)))
"""
BATCH, IMAGES, SHAPE, CLASSES = 8, 22, (2, 7, 7), 3


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("code") / "optimized_nets.py"
    file.write_text(NETS)
    return file


@pytest.fixture(scope="module")
def task() -> DataModule:
    """22 training images, so that batches of 8 leave a last one of 6, and none held out; 0 to 3 go in as they are."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 4, (IMAGES, *SHAPE), generator=random, dtype=torch.uint8)
    labels = torch.arange(IMAGES) % CLASSES
    part = FoldData(torch.arange(IMAGES), torch.arange(0), PixelNormalize((0.0, 0.0), (1 / 255, 1 / 255)))
    return DataModule(MemoryImages(images, labels), (part,), CLASSES, CPU, "fp64")


def trained_by_hand(task: DataModule, run: Run, option: str, epochs: int) -> dict[str, Tensor]:
    """Train as a notebook does, with torch's class; the learning rate falls to a half after each epoch."""
    h, (_, kind, own) = run.hyperparameters, OPTIONS[option]
    model = build_model(run.model, SHAPE, CLASSES, seed=h.seed).double()
    optimizer = kind(model.parameters(), **{**own, "lr": h.lr})
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    images = task.images.images.double()
    model.train()
    for epoch in range(1, epochs + 1):
        order = torch.randperm(IMAGES, generator=generator(h.seed, "order", epoch))
        for step, batch in enumerate(order.split(BATCH)):
            torch.manual_seed(derive_seed(h.seed, "forward", epoch, step))
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images[batch]), task.images.labels[batch])
            loss.backward()
            if h.grad_clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), h.grad_clip)
            optimizer.step()
        scheduler.step()
    return model.state_dict()


def runs_of(model: ModelChoice, option: str, count: int, clip: float | None = None) -> list[Run]:
    h = dataclasses.replace(
        OPTIONS[option][0],
        batch_size=BATCH, epochs=2, lr=0.02, grad_clip=clip, schedule=Choice("step", {"every": 1, "factor": 0.5}),
    )  # fmt: skip
    each = [dataclasses.replace(h, lr=h.lr * (k + 1), seed=k) for k in range(count)]
    return [Run(f"run{k}", f"run{k}", model, own, {}, f"c{k}") for k, own in enumerate(each)]


class Collector(Listener):
    """Takes reports of several runs, and keeps the last weights of each; stops all after an epoch if told so."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        super().__init__()
        self.last: dict[str, dict[str, Tensor]] = {}
        self.saved: dict[str, LastCheckpoint] = {}
        self._interrupt_after = interrupt_after

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> dict[str, Decision]:
        for report in reports:
            weights = {name: tensor.clone() for name, tensor in report.weights.items()}
            optimizer = copy.deepcopy(dict(report.optimizer))
            self.last[report.record.run_id] = weights
            self.saved[report.record.run_id] = LastCheckpoint(report.record, weights, optimizer)
            assert optimizer["param_groups"][0]["lr"] == report.record.lr  # what the journal says
        if reports[0].record.epoch == self._interrupt_after:
            return {report.record.run_id: Decision.INTERRUPT for report in reports}
        return {}

    def on_run_end(self, outcome: RunOutcome) -> None:
        self.outcomes.append(outcome)


def assert_trained_alike(found: dict[str, Tensor], expected: dict[str, Tensor], about: str) -> None:
    assert found.keys() == expected.keys()
    # A bias before batch norm has no gradient but for rounding, of which Rprop takes the sign, and Adafactor all.
    takes_rounding = "norm.weight" in found and about.startswith(("rprop", "adafactor"))
    for name, tensor in expected.items():
        if takes_rounding and name in ("conv.bias", "norm.running_mean"):
            continue
        torch.testing.assert_close(
            found[name], tensor, rtol=TOLERANCE_OF_TRAINING, atol=TOLERANCE_OF_TRAINING,
            msg=lambda m: f"{about}, {name}: {m}",  # noqa: B023
        )  # fmt: skip


@pytest.mark.parametrize("net", ["Static", "Unused", "Skips"])
@pytest.mark.parametrize("option", OPTIONS)
def test_trainer_trains_a_run_alone_as_a_loop_written_by_hand(task, nets, option, net):
    (run,) = runs_of(ModelChoice(f"{nets}:{net}"), option, 1, clip=0.3)
    collector = Collector()
    train_group(RunGroup.of(((run,),)), task, collector, {})
    assert [outcome.status for outcome in collector.outcomes] == [RunStatus.FINISHED]
    assert_trained_alike(collector.last[run.id], trained_by_hand(task, run, option, 2), option)


@pytest.mark.parametrize(("net", "clip"), [("Static", None), ("Static", 0.3), ("Unused", None)])
@pytest.mark.parametrize("option", OPTIONS)
def test_trainer_trains_a_group_as_loops_written_by_hand(task, nets, option, net, clip):
    runs = runs_of(ModelChoice(f"{nets}:{net}"), option, 3, clip)
    collector = Collector()
    train_group(RunGroup.of(tuple((run,) for run in runs)), task, collector, {})
    for run in runs:
        assert_trained_alike(collector.last[run.id], trained_by_hand(task, run, option, 2), f"{option}, {run.id}")


def test_group_of_all_optimizers_trains_as_loops_written_by_hand(task, nets):
    kinds = list(OPTIONS)
    model = ModelChoice(f"{nets}:Static")
    runs = [dataclasses.replace(runs_of(model, kind, 1)[0], id=kind) for kind in kinds]
    collector = Collector()
    train_group(RunGroup.of(tuple((run,) for run in runs)), task, collector, {})
    for kind, run in zip(kinds, runs, strict=True):
        assert_trained_alike(collector.last[run.id], trained_by_hand(task, run, kind, 2), kind)


@pytest.mark.parametrize("option", ["momentum-decay", "nesterov", "adam-decay", "adamw-decay", "rmsprop-momentum"])
def test_resumed_run_whose_gradients_come_and_go_equals_one_that_was_not_cut(task, nets, option):
    (run,) = runs_of(ModelChoice(f"{nets}:Skips"), option, 1)
    whole, cut = Collector(), Collector(interrupt_after=1)
    train_group(RunGroup.of(((run,),)), task, whole, {})
    train_group(RunGroup.of(((run,),)), task, cut, {})
    again = Collector()
    train_group(RunGroup.of(((run,),)), task, again, cut.saved)
    assert again.last[run.id].keys() == whole.last[run.id].keys()
    assert all(torch.equal(again.last[run.id][name], tensor) for name, tensor in whole.last[run.id].items())


@pytest.mark.parametrize("option", OPTIONS)
def test_steps_of_both_programs_are_those_of_torchs_own_class(task, nets, option):
    """Each step is compared, so that what is wrong from the second one on cannot hide behind the first."""
    runs = runs_of(ModelChoice(f"{nets}:Static"), option, 2)
    fused = FusedLearner(runs, SHAPE, CLASSES, CPU, "fp64")
    plain = [SingleLearner(run, SHAPE, CLASSES, CPU, "fp64") for run in runs]
    _, kind, own = OPTIONS[option]
    by_torch = [build_model(run.model, SHAPE, CLASSES, seed=run.hyperparameters.seed).double() for run in runs]
    optimizers = [kind(model.parameters(), **{**own, "lr": 0.05}) for model in by_torch]
    random = torch.Generator().manual_seed(2)
    for step in range(5):
        images = torch.randn(6, *SHAPE, generator=random, dtype=torch.float64)
        labels = torch.arange(6)[None] % CLASSES
        fused.train_step(images.contiguous(memory_format=torch.channels_last), labels, [0.05, 0.05], [0, 0])
        for place, (model, optimizer) in enumerate(zip(by_torch, optimizers, strict=True)):
            plain[place].train_step(images.clone(), labels, [0.05], [0])
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels[0]).backward()
            optimizer.step()
            expected = model.state_dict()
            assert_trained_alike(dict(plain[place].weights(0)), expected, f"{option}, step {step + 1} alone")
            assert_trained_alike(dict(fused.weights(place)), expected, f"{option}, step {step + 1} in a group")
