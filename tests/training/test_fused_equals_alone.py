"""A run in a fused group gets what it would get alone: every weight, buffer and figure, at every epoch.

In float64 the two differ by the order of sums only: 1e-9, relative to the largest element of a tensor, leaves room for
rounding to grow over a few dozen steps and for nothing else. Adam's eps is 1e-5 here: the gradient of a bias before
batch normalisation is zero but for rounding, some 1e-17, which the usual 1e-8 would raise to 1e-9.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence

import pytest
import torch

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training import learner as program
from cnnsweep.training.data_module import DataModule, FoldData, training_batches
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import SingleLearner
from cnnsweep.training.trainer import GroupError, build_learners, train_group
from cnnsweep.types import (
    CONSTANT,
    Choice,
    DatasetChoice,
    Decision,
    EpochReport,
    Hyperparameters,
    ModelChoice,
    Run,
    RunGroup,
    RunOutcome,
    RunStatus,
)

TOLERANCE = 1e-9
CNN = ModelChoice("cnn", {"channels": [3, 4], "kernel_size": 3, "hidden": [6], "dropout": 0.3, "batch_norm": True})
PLAIN_CNN = ModelChoice("cnn", {"channels": [3], "kernel_size": 3, "hidden": [6]})
ADAM = Hyperparameters(
    lr=0.01, batch_size=8, shuffle=True, epochs=2, optimizer="adam", momentum=None, nesterov=None, beta1=0.9,
    beta2=0.999, eps=1e-5, weight_decay=0.0, schedule=CONSTANT, label_smoothing=0.0, grad_clip=None,
    augment=(), seed=1,
)  # fmt: skip
SGD = dataclasses.replace(ADAM, optimizer="sgd", momentum=0.9, nesterov=False, beta1=None, beta2=None, eps=None)
RMSPROP = dataclasses.replace(ADAM, optimizer="rmsprop", momentum=0.0, beta1=None, beta2=None)


@pytest.fixture(scope="module")
def task() -> DataModule:
    """27 training images of 3 channels, so that batches of 8 leave a last one of 3, and 9 held out."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(36) % 3
    images = torch.randint(0, 256, (36, 3, 12, 12), generator=random, dtype=torch.uint8)
    images[torch.arange(36), 0, labels * 2] = 255
    part = FoldData(torch.arange(27), torch.arange(27, 36), PixelNormalize((0.5,) * 3, (0.25,) * 3))
    return DataModule(MemoryImages(images, labels), (part,), 3, torch.device("cpu"), "fp64")


class Collector:
    """Keeps copies of all that is reported, by run; interrupts everything after an epoch if told so.

    Args:
        decisions: by epoch; 0 for a group that goes on.
    """

    def __init__(
        self, interrupt_after: int | None = None, decisions: Mapping[int, Mapping[str, Decision]] | None = None
    ) -> None:
        self.decisions = decisions or {}
        self.resumptions: list[list[str]] = []
        self.reports: dict[str, list[EpochReport]] = {}
        self.checkpoints: dict[str, list[LastCheckpoint]] = {}
        self.outcomes: dict[str, RunOutcome] = {}
        self._interrupt_after = interrupt_after

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        pass

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        for report in reports:
            copy = torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, report.optimizer)
            weights = {name: tensor.clone() for name, tensor in report.weights.items()}
            gradients = {name: tensor.clone() for name, tensor in report.gradients.items()}
            kept = dataclasses.replace(report, weights=weights, gradients=gradients, optimizer=copy)
            self.reports.setdefault(report.record.run_id, []).append(kept)
            last = LastCheckpoint(report.record, weights, copy)
            self.checkpoints.setdefault(report.record.run_id, []).append(last)
        epoch = reports[0].record.epoch
        if self._interrupt_after is not None and epoch >= self._interrupt_after:
            return {report.record.run_id: Decision.INTERRUPT for report in reports}
        return self.decisions.get(epoch, {})

    def on_resume(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        self.resumptions.append(list(run_ids))
        return self.decisions.get(0, {})

    def on_run_end(self, outcome: RunOutcome) -> None:
        assert outcome.run_id not in self.outcomes
        self.outcomes[outcome.run_id] = outcome


def make_runs(*hyperparameters: Hyperparameters, model: ModelChoice = CNN) -> list[Run]:
    return [Run(f"run{number}", f"run{number}", model, h, {}, f"c{number}") for number, h in enumerate(hyperparameters)]


def train_alone(task: DataModule, runs: Sequence[Run]) -> Collector:
    collector = Collector()
    for run in runs:
        train_group(RunGroup.of(((run,),)), task, collector, {})
    return collector


def train_together(task: DataModule, runs: Sequence[Run]) -> Collector:
    collector = Collector()
    train_group(RunGroup.of(tuple((run,) for run in runs)), task, collector, {})
    return collector


def assert_same_tensors(fused: dict[str, torch.Tensor], alone: dict[str, torch.Tensor], about: str) -> None:
    assert fused.keys() == alone.keys(), about
    for name, expected in alone.items():
        scale = max(expected.abs().max().item(), 1e-30) if expected.numel() else 1.0
        difference = (fused[name] - expected).abs().max().item() if expected.numel() else 0.0
        assert difference <= TOLERANCE * max(scale, 1e-3), f"{about}: {name} by {difference:.1e} of {scale:.1e}"


def assert_same_training(fused: Collector, alone: Collector) -> None:
    assert fused.reports.keys() == alone.reports.keys()
    assert {i: (o.status, o.cause) for i, o in fused.outcomes.items()} == {
        i: (o.status, o.cause) for i, o in alone.outcomes.items()
    }
    for run_id, expected in alone.reports.items():
        assert len(fused.reports[run_id]) == len(expected)
        for mine, theirs in zip(fused.reports[run_id], expected, strict=True):
            about = f"{run_id} epoch {theirs.record.epoch}"
            untimed = {"epoch_duration", "run_duration", "others"}
            assert mine.record.others.keys() == theirs.record.others.keys(), about
            for weights, metrics in theirs.record.others.items():
                assert mine.record.others[weights] == pytest.approx(metrics, rel=TOLERANCE), about
            for field in {f.name for f in dataclasses.fields(theirs.record)} - untimed:
                value, other = getattr(mine.record, field), getattr(theirs.record, field)
                assert value == (pytest.approx(other, rel=TOLERANCE) if isinstance(other, float | dict) else other), (
                    about
                )
            torch.testing.assert_close(mine.batch_losses, theirs.batch_losses, rtol=2e-7, atol=0)  # kept as float32
            assert_same_tensors(mine.weights, theirs.weights, about)
            assert_same_tensors(mine.gradients, theirs.gradients, about)


def different_rates(h: Hyperparameters, count: int) -> list[Hyperparameters]:
    return [dataclasses.replace(h, lr=h.lr * (1 + k / 4), seed=k % 3) for k in range(count)]


@pytest.mark.parametrize("model", [CNN, PLAIN_CNN], ids=["batch-norm-dropout", "plain"])
@pytest.mark.parametrize(
    "hyperparameters",
    [
        ADAM,
        dataclasses.replace(ADAM, weight_decay=0.1),
        dataclasses.replace(ADAM, optimizer="adamw", weight_decay=0.1, beta1=0.8),
        dataclasses.replace(SGD, momentum=0.0),
        SGD,
        dataclasses.replace(SGD, nesterov=True, weight_decay=0.01),
        RMSPROP,
        dataclasses.replace(RMSPROP, momentum=0.5, weight_decay=0.01),
    ],
    ids=["adam", "adam-decay", "adamw", "sgd", "momentum", "nesterov", "rmsprop", "rmsprop-momentum"],
)
def test_every_optimizer_trains_a_group_as_it_trains_each_run(task, hyperparameters, model):
    runs = make_runs(*different_rates(hyperparameters, 3), model=model)
    assert_same_training(train_together(task, runs), train_alone(task, runs))


@pytest.mark.parametrize("count", [2, 5, 33])
def test_groups_of_every_size_train_alike(task, count):
    runs = make_runs(*different_rates(dataclasses.replace(ADAM, epochs=1), count))
    assert_same_training(train_together(task, runs), train_alone(task, runs))


def test_runs_of_a_group_may_differ_in_everything_but_model_and_batch_size(task):
    runs = make_runs(
        ADAM,
        dataclasses.replace(ADAM, shuffle=False, seed=5, epochs=3),
        dataclasses.replace(ADAM, shuffle=False, seed=6, label_smoothing=0.2),
        dataclasses.replace(ADAM, schedule=Choice("cosine", {"warmup": 0.5}), epochs=4, beta1=0.5, beta2=0.9),
        dataclasses.replace(ADAM, schedule=Choice("one_cycle"), grad_clip=0.1, eps=1e-3),
        dataclasses.replace(
            ADAM,
            schedule=Choice("step", {"every": 1}),
            augment=(Choice("flip"), Choice("crop", {"padding": 2}), Choice("cutout", {"side": 3})),
            weight_decay=0.1,
        ),
        dataclasses.replace(ADAM, augment=(Choice("flip"),), grad_clip=10.0, seed=9),
        SGD,
        dataclasses.replace(SGD, momentum=0.0, seed=9, weight_decay=0.01),
        dataclasses.replace(RMSPROP, epochs=3, grad_clip=1.0),
        dataclasses.replace(ADAM, optimizer="adamw", weight_decay=0.1),
    )
    assert_same_training(train_together(task, runs), train_alone(task, runs))


@pytest.mark.parametrize(
    "views",
    [
        [(True, 0), (True, 0), (False, 0), (False, 1)],  # two by two
        [(True, 0), (True, 0), (True, 0), (True, 0), (False, 0), (True, 1)],  # 4, 1 and 1
        [(True, 0), (False, 0), (True, 0)],  # equal ones apart
    ],
)
def test_runs_that_share_batches_train_as_those_that_do_not(task, views):
    runs = make_runs(
        *(
            dataclasses.replace(ADAM, shuffle=shuffle, seed=seed, lr=0.01 / (1 + k))
            for k, (shuffle, seed) in enumerate(views)
        )
    )
    assert_same_training(train_together(task, runs), train_alone(task, runs))


@pytest.mark.parametrize("hyperparameters", [ADAM, SGD, RMSPROP], ids=["adam", "sgd", "rmsprop"])
def test_a_resume_in_another_grouping_equals_training_alone(task, hyperparameters):
    first, second, third = runs = make_runs(*different_rates(dataclasses.replace(hyperparameters, epochs=4), 3))
    collector = Collector(interrupt_after=2)
    train_group(RunGroup.of(((first,), (second,), (third,))), task, collector, {})
    assert {o.status for o in collector.outcomes.values()} == {RunStatus.INTERRUPTED}
    last = {run_id: kept[-1] for run_id, kept in collector.checkpoints.items()}
    collector.outcomes.clear()
    collector._interrupt_after = None
    train_group(RunGroup.of(((third,), (first,))), task, collector, last)
    train_group(RunGroup.of(((second,),)), task, collector, last)
    assert_same_training(collector, train_alone(task, runs))


def test_runs_of_a_group_may_differ_in_dropout(task):
    runs = [
        Run(
            f"run{k}",
            f"run{k}",
            ModelChoice("cnn", {**CNN.arguments, "dropout": p}),
            dataclasses.replace(ADAM, seed=k),
            {},
            f"c{k}",
        )
        for k, p in enumerate([0.5, 0.0, 0.2, 0.5])
    ]
    assert_same_training(train_together(task, runs), train_alone(task, runs))


def test_runs_that_are_an_epoch_ahead_wait_for_the_others(task):
    runs = make_runs(*different_rates(dataclasses.replace(ADAM, epochs=3), 3))
    whole = train_together(task, runs)
    behind, *ahead = runs
    checkpoints = {run.id: whole.checkpoints[run.id][1] for run in ahead} | {behind.id: whole.checkpoints[behind.id][0]}
    rest = Collector()
    train_group(RunGroup.of(tuple((run,) for run in runs)), task, rest, checkpoints)
    assert [report.record.epoch for report in rest.reports[behind.id]] == [2, 3]
    for run in runs:
        if run is not behind:
            assert [report.record.epoch for report in rest.reports[run.id]] == [3]
        for name, expected in whole.reports[run.id][-1].weights.items():
            assert torch.equal(rest.reports[run.id][-1].weights[name], expected)  # bit for bit: the group is the same


def towards(*stop_epochs: tuple[Run, int]) -> RunGroup:
    """Return the group of some runs, each of which waits after an epoch of its own."""
    return RunGroup.of([(run,) for run, _ in stop_epochs]).up_to({run.id: goal for run, goal in stop_epochs})


def go_on(task: DataModule, collector: Collector, *stop_epochs: tuple[Run, int]) -> None:
    last = {run_id: kept[-1] for run_id, kept in collector.checkpoints.items()}
    for run, _ in stop_epochs:
        collector.outcomes.pop(run.id, None)
    train_group(towards(*stop_epochs), task, collector, last)


def test_runs_at_different_epochs_train_together_as_they_do_alone(task):
    """Each sees its own images, learning rates and masks, wherever the others are."""
    changing = dataclasses.replace(
        ADAM,
        epochs=4,
        schedule=Choice("cosine", {"warmup": 1.0}),
        augment=(Choice("flip"), Choice("crop", {"padding": 1}), Choice("cutout", {"side": 3})),
    )
    rates = different_rates(changing, 4)
    a, b, c, d = runs = make_runs(*(dataclasses.replace(h, seed=1) for h in rates))
    collector = Collector()
    go_on(task, collector, (a, 1), (b, 1))
    assert {o.status for o in collector.outcomes.values()} == {RunStatus.WAITING}
    go_on(task, collector, (c, 2), (d, 2), (a, 3), (b, 3))
    assert {i: len(reports) for i, reports in collector.reports.items()} == {a.id: 3, b.id: 3, c.id: 2, d.id: 2}
    go_on(task, collector, (a, 4), (b, 4), (c, 3), (d, 3))
    waiting, finished = RunStatus.WAITING, RunStatus.FINISHED
    assert [collector.outcomes[run.id].status for run in runs] == [finished, finished, waiting, waiting]
    go_on(task, collector, (c, 4), (d, 4))
    assert_same_training(collector, train_alone(task, runs))


@pytest.mark.parametrize(("changes", "batches"), [({"shuffle": False}, 1), ({"shuffle": True}, 2)])
def test_runs_at_different_epochs_share_batches_that_no_epoch_changes(task, changes, batches):
    runs = make_runs(*[dataclasses.replace(ADAM, **changes)] * 2)
    _, labels = next(training_batches(task, runs, [1, 4]))
    assert len(labels) == batches


def test_of_runs_at_different_epochs_too_those_that_are_ahead_wait_for_the_others(task):
    newcomer, first, second = runs = make_runs(*different_rates(dataclasses.replace(ADAM, epochs=5), 3))
    collector = Collector()
    go_on(task, collector, (first, 2), (second, 2))
    before = {run_id: kept[-1] for run_id, kept in collector.checkpoints.items()}
    group = towards((newcomer, 2), (first, 4), (second, 4))
    whole, rest = Collector(), Collector()
    train_group(group, task, whole, before)
    # Two of them have had the first of their two epochs, as after a crash.
    ahead = {run.id: whole.checkpoints[run.id][0] for run in (newcomer, first)}
    train_group(group, task, rest, {**before, **ahead})
    assert {i: [r.record.epoch for r in reports] for i, reports in rest.reports.items()} == {
        newcomer.id: [2], first.id: [4], second.id: [3, 4],
    }  # fmt: skip
    assert {o.status for o in rest.outcomes.values()} == {RunStatus.WAITING}
    for run in runs:
        for name, expected in whole.reports[run.id][-1].weights.items():
            assert torch.equal(rest.reports[run.id][-1].weights[name], expected)  # bit for bit: the group is the same


def test_runs_that_wait_are_interrupted_with_the_others(task):
    runs = make_runs(*different_rates(dataclasses.replace(ADAM, epochs=4), 2))
    whole = train_together(task, runs)
    behind, ahead = runs
    checkpoints = {ahead.id: whole.checkpoints[ahead.id][1], behind.id: whole.checkpoints[behind.id][0]}
    collector = Collector(interrupt_after=2)
    train_group(RunGroup.of([(run,) for run in runs]), task, collector, checkpoints)
    assert list(collector.reports) == [behind.id]
    assert {i: (o.status, o.cause) for i, o in collector.outcomes.items()} == dict.fromkeys(
        [behind.id, ahead.id], (RunStatus.INTERRUPTED, "interrupted after epoch 2")
    )


def test_runs_that_differ_in_epochs_alone_are_trained_once_and_recorded_for_each(task, monkeypatch):
    short, long = runs = make_runs(dataclasses.replace(ADAM, epochs=2), dataclasses.replace(ADAM, epochs=4))
    epochs = []

    def batches(task: DataModule, runs: Sequence[Run], of_each: Sequence[int]):
        epochs.extend(of_each)
        return training_batches(task, runs, of_each)

    monkeypatch.setattr("cnnsweep.training.trainer.training_batches", batches)
    collector = Collector()
    train_group(RunGroup.of(((short, long),)), task, collector, {})
    assert epochs == [1, 2, 3, 4]
    assert_same_training(collector, train_alone(task, runs))


def test_a_run_that_diverges_changes_no_bit_of_the_others_and_leaves(task):
    good = different_rates(dataclasses.replace(SGD, epochs=3), 2)
    wild = dataclasses.replace(SGD, lr=1e300, epochs=3)  # float64 takes a good deal
    tame = dataclasses.replace(SGD, lr=1e-3, epochs=3)
    model = PLAIN_CNN
    with_wild = train_together(task, make_runs(good[0], wild, good[1], model=model))
    with_tame = train_together(task, make_runs(good[0], tame, good[1], model=model))
    assert with_wild.outcomes["run1"].status is RunStatus.DIVERGED
    for run_id in ("run0", "run2"):
        mine, theirs = with_wild.reports[run_id], with_tame.reports[run_id]
        # Bit for bit in the epoch in which both groups have three runs; after it the one has two.
        assert torch.equal(mine[0].batch_losses, theirs[0].batch_losses)
        assert all(torch.equal(mine[0].weights[name], weight) for name, weight in theirs[0].weights.items())
        assert len(mine) == 3
        assert all(math.isfinite(report.record["loss"]) for report in mine)
    alone = train_alone(task, make_runs(good[0], wild, good[1], model=model))
    for run_id in ("run0", "run2"):
        for mine, theirs in zip(with_wild.reports[run_id], alone.reports[run_id], strict=True):
            assert_same_tensors(mine.weights, theirs.weights, run_id)
    assert alone.outcomes["run1"].cause == with_wild.outcomes["run1"].cause


def test_a_rate_of_1e9_beside_good_ones_changes_no_bit_of_theirs_in_float32(task):
    single = dataclasses.replace(task, precision="fp32")
    h = dataclasses.replace(SGD, epochs=1, weight_decay=0.01)
    good = different_rates(h, 2)
    wild, tame = (
        train_together(single, make_runs(good[0], dataclasses.replace(h, lr=lr), good[1], model=CNN))
        for lr in (1e9, 1e-3)
    )
    assert wild.outcomes["run1"].status is RunStatus.DIVERGED
    for run_id in ("run0", "run2"):
        (mine,), (theirs,) = wild.reports[run_id], tame.reports[run_id]
        assert torch.equal(mine.batch_losses, theirs.batch_losses)
        assert all(torch.equal(mine.weights[name], weight) for name, weight in theirs.weights.items())
        assert mine.record["val_loss"] == theirs.record["val_loss"]


def test_float32_groups_stay_within_rounding_of_runs_alone(task):
    """One epoch of four steps at a small rate: each step adds some units of 2**-24, relative to the largest weight."""
    single = dataclasses.replace(task, precision="fp32")
    runs = make_runs(*different_rates(dataclasses.replace(SGD, epochs=1, lr=0.001), 4), model=PLAIN_CNN)
    fused, alone = train_together(single, runs), train_alone(single, runs)
    for run in runs:
        for name, expected in alone.reports[run.id][0].weights.items():
            difference = (fused.reports[run.id][0].weights[name] - expected).abs().max()
            assert difference <= 20 * 2**-24 * expected.abs().max(), name


def test_a_fused_program_checkpoints_what_a_plain_one_takes(task):
    runs = make_runs(*different_rates(ADAM, 2))
    fused = train_together(task, runs).checkpoints["run1"][-1]
    plain = train_alone(task, runs).checkpoints["run1"][-1]
    assert {n: (t.shape, t.dtype) for n, t in fused.weights.items()} == {
        n: (t.shape, t.dtype) for n, t in plain.weights.items()
    }
    assert fused.optimizer["param_groups"] == plain.optimizer["param_groups"]
    assert fused.optimizer["state"].keys() == plain.optimizer["state"].keys()
    for number, expected in plain.optimizer["state"].items():
        assert_same_tensors(fused.optimizer["state"][number], expected, f"state of parameter {number}")


def test_a_group_is_one_program(task):
    runs = make_runs(ADAM, SGD)
    group = RunGroup.of([(run,) for run in runs])
    assert build_learners(group, task).map(lambda program, part: (type(program), part)) == [(FusedLearner, slice(0, 2))]


THREADED = [
    [(True, 0)] * 4,  # all see the same batches
    [(True, 0), (True, 0), (True, 1), (True, 1)],
    [(True, 0), (True, 0), (True, 0), (False, 0), (True, 1)],  # 3 and 2 runs; the second program shares no batch
]


@pytest.mark.parametrize("views", THREADED)
@pytest.mark.parametrize("threads", [2, 3])
def test_programs_on_a_thread_each_train_as_each_run_alone(task, views, threads):
    hyperparameters = [
        dataclasses.replace(ADAM, shuffle=shuffle, seed=seed, lr=0.01 / (1 + k), epochs=2 + k % 2)
        for k, (shuffle, seed) in enumerate(views)
    ]
    runs = make_runs(*hyperparameters, model=PLAIN_CNN)
    collector = Collector()
    train_group(RunGroup.of([(run,) for run in runs], threads), task, collector, {})
    assert_same_training(collector, train_alone(task, runs))


def test_runs_alone_on_a_thread_each_train_as_alone(task):
    runs = make_runs(ADAM, dataclasses.replace(ADAM, seed=2), model=PLAIN_CNN)
    group = RunGroup.of([(run,) for run in runs], threads=2)
    assert [len(program) for program in group.programs] == [1, 1]
    collector = Collector()
    train_group(group, task, collector, {})
    assert_same_training(collector, train_alone(task, runs))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_group_whose_runs_end_one_after_the_other_resumes_bit_for_bit(task, threads, stop_after):
    task = dataclasses.replace(task, precision="fp32")  # where sizes of groups show in the last bits
    epochs = [2, 4, 3, 1, 4] if threads == 2 else [2, 4, 3]
    runs = make_runs(
        *[dataclasses.replace(h, epochs=e) for h, e in zip(different_rates(SGD, len(epochs)), epochs, strict=True)],
        model=PLAIN_CNN,
    )
    group = RunGroup.of([(run,) for run in runs], threads)
    whole, first, rest = Collector(), Collector(interrupt_after=stop_after), Collector()
    train_group(group, task, whole, {})
    train_group(group, task, first, {})
    left = {run.id for run in runs if run.hyperparameters.epochs > stop_after}
    programs = [tuple(runs for runs in program if runs[0].id in left) for program in group.programs]
    again = RunGroup(tuple(program for program in programs if program), group.is_threaded)
    train_group(again, task, rest, {run_id: kept[-1] for run_id, kept in first.checkpoints.items()})
    for run in (run for run in runs if run.id in left):
        for name, expected in whole.reports[run.id][-1].weights.items():
            assert torch.equal(rest.reports[run.id][-1].weights[name], expected)


def test_a_failure_on_one_thread_stops_the_others_and_is_the_cause(task, monkeypatch):
    steps = []
    step = SingleLearner.train_step

    def train_step(self, images, labels, rates, seeds, *further):
        steps.append(rates[0])
        if rates[0] == 0.05:
            raise ValueError("a bug")
        time.sleep(0.05)
        return step(self, images, labels, rates, seeds)

    monkeypatch.setattr(SingleLearner, "train_step", train_step)
    runs = make_runs(dataclasses.replace(ADAM, batch_size=1), dataclasses.replace(ADAM, lr=0.05), model=PLAIN_CNN)
    with pytest.raises(GroupError, match="ValueError: a bug") as caught:
        train_group(RunGroup.of([(run,) for run in runs], threads=2), task, Collector(), {})
    assert [run.id for run in caught.value.remaining.runs] == ["run0", "run1"]
    assert not caught.value.is_memory
    assert steps.count(0.01) < 10  # of 27


def test_lenet_on_real_images_trains_together_as_alone(shared_data):
    """Fashion-MNIST in float64, two whole epochs of 2,050 images, the last batch of 50."""
    images = load_dataset(DatasetChoice("fashion_mnist"), shared_data).train
    part = FoldData(torch.arange(2050), torch.arange(2050, 3050), PixelNormalize((0.286,), (0.353,)))
    task = DataModule(images, (part,), 10, torch.device("cpu"), "fp64")
    h = dataclasses.replace(ADAM, batch_size=100, lr=0.001, eps=1e-8)
    runs = make_runs(
        h,
        dataclasses.replace(h, lr=0.01, shuffle=False),
        dataclasses.replace(h, schedule=Choice("cosine", {"warmup": 0.5}), seed=3),
        dataclasses.replace(
            h, augment=(Choice("flip"), Choice("crop", {"padding": 2})), label_smoothing=0.1, grad_clip=1.0
        ),
        model=ModelChoice("lenet"),
    )
    assert_same_training(train_together(task, runs), train_alone(task, runs))


class FrozenPart(torch.nn.Module):
    """A model whose constructor leaves a part in evaluation mode, as one that loads weights may."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(in_channels).eval()
        self.last = torch.nn.Linear(in_channels * 144, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(x).flatten(1))


def test_a_model_trains_as_a_whole_whatever_mode_its_constructor_left(task, monkeypatch):
    model = FrozenPart(3, 3)
    monkeypatch.setattr(program, "build_model", lambda *_args: model)
    alone = SingleLearner(make_runs(ADAM)[0], (3, 12, 12), 3, task.device, "fp64")
    images, labels = next(training_batches(task, runs := make_runs(ADAM), [1] * len(runs)))
    alone.train_step(images, labels, [0.01], [0])
    assert model.norm.training
    assert not torch.equal(model.norm.running_mean, torch.zeros(3))
    alone.measure(images, labels[0])
    assert not model.norm.training
    alone.train_step(images, labels, [0.01], [0])
    assert model.norm.training
