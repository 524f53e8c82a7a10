"""What training draws depends on the run's seed, the epoch and the step, and on nothing else.

Weights are frozen and equal here, and all images are one image, so that the loss of a batch says what was drawn for it:
no two losses of any runs, epochs and steps may be equal, and each must come again whoever trains beside it.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from test_trainer import SGD

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import FusionError
from cnnsweep.models.build import build_model, check_model
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training.data_module import DataModule, FoldData
from cnnsweep.training.trainer import train_group
from cnnsweep.training.verify_fused import check_fused
from cnnsweep.types import Choice, Decision, EpochReport, ModelChoice, Run, RunGroup, RunOutcome, RunStatus

NETS = """
import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

class Frozen(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3)
        self.fc = nn.Linear(4 * 6 * 6, num_classes)
        for place, parameter in enumerate(self.parameters()):  # the same for every seed
            with torch.no_grad():
                parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).sub(place / 99).reshape(parameter.shape))
    def forward(self, x):
        return self.fc(self.drawn(self.conv(x)).flatten(1))
    def drawn(self, x):
        return x

class Dropout(Frozen):
    def drawn(self, x):
        return F.dropout(x, 0.5, self.training)

class DropoutModule(Frozen):
    def __init__(self, in_channels, num_classes):
        super().__init__(in_channels, num_classes)
        self.drop = nn.Dropout2d(0.5)
        self.drawn = lambda x: F.dropout(self.drop(x), 0.1, self.training)

class Torch(Frozen):
    def drawn(self, x):
        return x * torch.rand(()).item()

class Python(Frozen):
    def drawn(self, x):
        return x * random.random()

class Numpy(Frozen):
    def drawn(self, x):
        return x * float(np.random.normal())

class Shuffled(Frozen):
    def drawn(self, x):
        scales = [number / 7 for number in range(1, 13)]
        random.shuffle(scales)
        factor = 1 + float(np.random.permutation(99)[0]) / 99
        return x * factor * torch.tensor(scales[:4], dtype=x.dtype)[:, None, None]

class Noisy(Frozen):
    '''Draws in evaluation too.'''
    def drawn(self, x):
        return x * (random.random() + float(np.random.rand()) + torch.rand(()).item())

class Built(nn.Module):
    '''Draws its weights from all generators.'''
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.fc = nn.Linear(in_channels, num_classes)
        with torch.no_grad():
            self.fc.weight.mul_(random.random()).add_(float(np.random.rand()))
    def forward(self, x):
        return self.fc(x.mean((2, 3)))
"""
PYTHON = ["Torch", "Python", "Numpy", "Shuffled"]
SHAPE, CLASSES, BATCH, STEPS, EPOCHS = (1, 8, 8), 3, 6, 4, 3


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("code") / "drawing_nets.py"
    file.write_text(NETS)
    return file


def task_of(pixels: torch.Tensor) -> DataModule:
    labels = torch.zeros(len(pixels), dtype=torch.int64)
    training, held_out = torch.arange(BATCH * STEPS), torch.arange(BATCH * STEPS, len(pixels))
    part = FoldData(training, held_out, PixelNormalize((0.5,), (0.25,)))
    return DataModule(MemoryImages(pixels, labels), (part,), CLASSES, torch.device("cpu"), "fp64")


@pytest.fixture(scope="module")
def task() -> DataModule:
    """One picture again and again, 24 times to train on and twice held out."""
    picture = torch.randint(0, 256, (1, *SHAPE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return task_of(picture.repeat(BATCH * STEPS + 2, 1, 1, 1))


def make_runs(model: ModelChoice, count: int, **changes: object) -> list[Run]:
    h = dataclasses.replace(
        SGD, lr=0.0, momentum=0.0, nesterov=False, batch_size=BATCH, epochs=EPOCHS, shuffle=False, **changes
    )
    each = [dataclasses.replace(h, seed=seed) for seed in range(count)]
    return [Run(f"run{k}", f"run{k}", model, own, {}, f"c{k}") for k, own in enumerate(each)]


class Collector:
    """Keeps all losses by run, epoch and step, and what a resume needs; stops all after an epoch if told so."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.losses: dict[tuple[str, int, int], float] = {}
        self.held_out: dict[tuple[str, int], float | None] = {}
        self.saved: dict[str, LastCheckpoint] = {}
        self.outcomes: list[RunOutcome] = []
        self._interrupt_after = interrupt_after

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        pass

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> dict[str, Decision]:
        for report in reports:
            run_id, epoch = report.record.run_id, report.record.epoch
            for step, loss in enumerate(report.batch_losses.tolist()):
                self.losses[run_id, epoch, step] = loss
            self.held_out[run_id, epoch] = report.record["val_loss"]
            weights = {name: tensor.clone() for name, tensor in report.weights.items()}
            self.saved[run_id] = LastCheckpoint(report.record, weights, copy.deepcopy(dict(report.optimizer)))
        stops = reports[0].record.epoch == self._interrupt_after
        return {report.record.run_id: Decision.INTERRUPT for report in reports} if stops else {}

    def on_resume(self, run_ids: Sequence[str]) -> dict[str, Decision]:
        return {}

    def on_run_end(self, outcome: RunOutcome) -> None:
        self.outcomes.append(outcome)


def train(task: DataModule, runs: Sequence[Run], *, together: bool = False, collector: Collector | None = None,
          checkpoints: dict[str, LastCheckpoint] | None = None) -> Collector:  # fmt: skip
    collector = collector or Collector()
    groups = [runs] if together else [[run] for run in runs]
    for group in groups:
        train_group(RunGroup.of(tuple((run,) for run in group)), task, collector, checkpoints or {})
    assert {outcome.status for outcome in collector.outcomes} <= {RunStatus.FINISHED, RunStatus.INTERRUPTED}
    return collector


def assert_all_different(losses: dict[tuple[str, int, int], float]) -> None:
    seen: dict[float, tuple[str, int, int]] = {}
    for where, loss in losses.items():
        assert loss not in seen, f"{where} has drawn what {seen[loss]} had"
        seen[loss] = where


def test_without_draws_all_losses_are_equal(task, nets):
    """What the tests of this file rest on."""
    losses = train(task, make_runs(ModelChoice(f"{nets}:Frozen"), 2)).losses
    assert len(losses) == 2 * EPOCHS * STEPS
    assert len(set(losses.values())) == 1


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a group"])
@pytest.mark.parametrize("net", ["Dropout", "DropoutModule"])
def test_dropout_is_drawn_anew_in_each_step_and_epoch_of_each_run(task, nets, net, together):
    losses = train(task, make_runs(ModelChoice(f"{nets}:{net}"), 3), together=together).losses
    assert len(losses) == 3 * EPOCHS * STEPS
    assert_all_different(losses)


@pytest.mark.parametrize("net", PYTHON)
def test_what_python_code_draws_is_new_in_each_step_and_epoch_of_each_run(task, nets, net):
    assert_all_different(train(task, make_runs(ModelChoice(f"{nets}:{net}"), 3)).losses)


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a group"])
def test_augmentation_is_drawn_anew_in_each_epoch_of_each_run(task, nets, together):
    runs = make_runs(
        ModelChoice(f"{nets}:Frozen"),
        3,
        augment=(Choice("flip"), Choice("crop", {"padding": 3}), Choice("cutout", {"side": 3})),
    )
    assert_all_different(train(task, runs, together=together).losses)


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a group"])
def test_order_of_images_is_drawn_anew_in_each_epoch_of_each_run(nets, together):
    random_pixels = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (BATCH * STEPS, *SHAPE), generator=random_pixels, dtype=torch.uint8)
    runs = [
        dataclasses.replace(run, hyperparameters=dataclasses.replace(run.hyperparameters, shuffle=True))
        for run in make_runs(ModelChoice(f"{nets}:Frozen"), 3)
    ]
    assert_all_different(train(task_of(pixels), runs, together=together).losses)


def test_a_run_draws_the_same_in_a_group_as_alone(task, nets):
    runs = make_runs(ModelChoice(f"{nets}:DropoutModule"), 3)
    alone, together = train(task, runs).losses, train(task, runs, together=True).losses
    assert together == pytest.approx(alone, rel=1e-6)  # losses are kept as float32


@pytest.mark.parametrize("net", ["Dropout", *PYTHON, "Noisy"])
def test_a_run_draws_the_same_whatever_was_drawn_before_and_after_a_resume(task, nets, net):
    first, second = make_runs(ModelChoice(f"{nets}:{net}"), 2)
    whole = train(task, [first, second])
    random.seed(5)
    np.random.seed(6)
    torch.manual_seed(7)
    cut = train(task, [second, first], collector=Collector(interrupt_after=1))
    resumed = train(task, [second, first], checkpoints=cut.saved)
    assert {**cut.losses, **resumed.losses} == whole.losses
    assert {**cut.held_out, **resumed.held_out} == whole.held_out


def test_initial_weights_depend_on_the_seed_alone_whichever_generator_they_are_drawn_from(nets):
    choice = ModelChoice(f"{nets}:Built")
    first = build_model(choice, SHAPE, CLASSES, seed=1).fc.weight
    random.random(), np.random.rand(), torch.rand(())
    assert torch.equal(build_model(choice, SHAPE, CLASSES, seed=1).fc.weight, first)
    assert not torch.equal(build_model(choice, SHAPE, CLASSES, seed=2).fc.weight, first)


def test_initial_weights_do_not_depend_on_whether_the_file_was_imported_just_then(tmp_path):
    text = "import torch\nfrom torch import nn\nNOISE = torch.rand(3)\nclass Net(nn.Linear):\n"
    text += "    def __init__(self):\n        super().__init__(2, 2)\n"
    (tmp_path / "drawing_at_import.py").write_text(text)
    choice = ModelChoice(f"{tmp_path / 'drawing_at_import.py'}:Net")
    first, again = (build_model(choice, SHAPE, CLASSES, seed=1) for _ in range(2))
    assert torch.equal(first.weight, again.weight)


@pytest.mark.parametrize("net", ["Noisy", "Built"])
def test_caller_keeps_the_generators(task, nets, net):
    choice = ModelChoice(f"{nets}:{net}")

    def states() -> tuple[object, ...]:
        return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()

    random.random(), np.random.rand(), torch.rand(())
    before = states()
    check_model(choice, SHAPE, CLASSES)
    build_model(choice, SHAPE, CLASSES, seed=3)
    train(task, make_runs(choice, 1))
    with contextlib.suppress(FusionError):  # one of them draws in Python code
        check_fused(make_runs(choice, 2), task)
    assert states() == before
