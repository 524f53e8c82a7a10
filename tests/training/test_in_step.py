"""Groups of several programs in turn, of runs of several folds; and what decisions do to the runs of a group."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from test_fused_equals_alone import (
    ADAM,
    PLAIN_CNN,
    SGD,
    Collector,
    assert_same_training,
    different_rates,
    make_runs,
    train_alone,
    train_together,
)

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.datasets.splits import fold_indices
from cnnsweep.executors.inline import InProcessExecutor
from cnnsweep.planning.scheduling import Job
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training.data_module import DataModule, FoldData, training_batches
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import SingleLearner
from cnnsweep.training.trainer import train_group
from cnnsweep.types import Decision, ModelChoice, Run, RunGroup, RunStatus


@pytest.fixture(scope="module")
def task() -> DataModule:
    """28 images in 3 folds: 18, 19 and 19 to train on, in batches of 9: 2, 3 and 3 steps, the last one of 1 image."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(28) % 3
    images = torch.randint(0, 256, (28, 1, 12, 12), generator=random, dtype=torch.uint8)
    images[torch.arange(28), 0, labels * 2] = 255
    parts = tuple(
        FoldData(*fold_indices(labels, 3, fold, seed=0), PixelNormalize((0.4 + fold / 10,), (0.25,)))
        for fold in range(3)
    )
    return DataModule(MemoryImages(images, labels), parts, 3, torch.device("cpu"), "fp64")


def make_folded(count: int, folds: Sequence[int] = (0, 1, 2), model: ModelChoice = PLAIN_CNN) -> list[Run]:
    """Return so many runs of each fold."""
    h = dataclasses.replace(ADAM, batch_size=9, epochs=3)
    return [
        dataclasses.replace(run, id=f"{run.id}-{fold}", fold=fold)
        for fold in folds
        for run in make_runs(*different_rates(h, count), model=model)
    ]


def in_turn(*programs: Sequence[Run], is_threaded: bool = False) -> RunGroup:
    return RunGroup(tuple(tuple((run,) for run in program) for program in programs), is_threaded)


def train(task, group, checkpoints=None, **how) -> Collector:
    collector = Collector(**how)
    train_group(group, task, collector, checkpoints or {})
    return collector


def epochs_of(collector: Collector) -> dict[str, list[int]]:
    return {run_id: [report.record.epoch for report in reports] for run_id, reports in collector.reports.items()}


def endings(collector: Collector) -> dict[str, tuple[RunStatus, str | None]]:
    return {run_id: (outcome.status, outcome.cause) for run_id, outcome in collector.outcomes.items()}


@pytest.mark.parametrize("is_threaded", [False, True])
def test_programs_of_several_folds_train_as_each_run_alone(task, is_threaded):
    runs = make_folded(3)
    group = in_turn(runs[:3], runs[3:5], runs[5:6], runs[6:], is_threaded=is_threaded)
    together = train(task, group)
    assert_same_training(together, train_alone(task, runs))
    assert {fold: together.reports[f"run0-{fold}"][0].record.steps for fold in range(3)} == {0: 2, 1: 3, 2: 3}


def test_random_operations_are_drawn_alike_in_programs_that_take_turns(task):
    dropout = dataclasses.replace(PLAIN_CNN, arguments={**PLAIN_CNN.arguments, "dropout": 0.4})
    runs = make_folded(2, model=dropout)
    assert_same_training(train(task, in_turn(runs[:2], runs[2:3], runs[3:4], runs[4:])), train_alone(task, runs))


def test_a_run_of_a_fold_trains_as_one_whose_split_it_is(task):
    runs = make_folded(1)
    folded = train(task, in_turn(*([run] for run in runs)))
    for run, part in zip(runs, task.parts, strict=True):
        own = train(dataclasses.replace(task, parts=(part,)), in_turn([dataclasses.replace(run, fold=None)]))
        for mine, theirs in zip(folded.reports[run.id], own.reports[run.id], strict=True):
            untimed = {"epoch_duration": 0.0, "run_duration": 0.0}
            assert dataclasses.replace(mine.record, **untimed) == dataclasses.replace(theirs.record, **untimed)
            assert all(torch.equal(mine.weights[name], weight) for name, weight in theirs.weights.items())


def test_the_loss_of_a_fold_is_weighted_by_the_lengths_of_its_own_batches(task):
    reports = train(task, in_turn(*([run] for run in make_folded(1)))).reports
    for fold, lengths in enumerate([[9, 9], [9, 9, 1], [9, 9, 1]]):
        first = reports[f"run0-{fold}"][0]
        weighted = [n * loss for n, loss in zip(lengths, first.batch_losses.tolist(), strict=True)]
        assert first.record["loss"] == pytest.approx(sum(weighted) / sum(lengths), rel=1e-6)
        assert first.record["accuracy"] * sum(lengths) == pytest.approx(round(first.record["accuracy"] * sum(lengths)))
        held_out = 28 - sum(lengths)
        assert first.record["val_accuracy"] * held_out == pytest.approx(round(first.record["val_accuracy"] * held_out))


def test_a_group_in_turn_resumes_bit_for_bit(task):
    task = dataclasses.replace(task, precision="fp32")
    runs = make_folded(2)
    group = in_turn(runs[:2], runs[2:4], runs[4:])
    whole, first = train(task, group), train(task, group, interrupt_after=1)
    last = {run_id: kept[-1] for run_id, kept in first.checkpoints.items()}
    rest = train(task, group, last)
    assert rest.resumptions == [[run.id for run in runs]]
    for run in runs:
        for name, expected in whole.reports[run.id][-1].weights.items():
            assert torch.equal(rest.reports[run.id][-1].weights[name], expected)


def count_steps(monkeypatch) -> list[int]:
    """Return a list that gets the number of runs of each step of a fused program."""
    steps: list[int] = []
    step = FusedLearner.train_step

    def train_step(self, images, labels, rates, seeds, *further):
        steps.append(len(rates))
        return step(self, images, labels, rates, seeds)

    monkeypatch.setattr(FusedLearner, "train_step", train_step)
    return steps


def test_a_program_that_is_ahead_as_a_whole_just_waits_though_it_be_by_several_epochs(task, monkeypatch):
    task = dataclasses.replace(task, precision="fp32")
    runs = make_folded(2, folds=(0, 1))
    group = in_turn(runs[:2], runs[2:])
    whole = train(task, group)
    ahead = {run.id: whole.checkpoints[run.id][1] for run in runs[2:]}
    steps = count_steps(monkeypatch)
    rest = train(task, group, ahead)
    assert len(steps) == 3 * 2 + 1 * 3  # three epochs of the one, the last of the other
    assert rest.resumptions == []
    assert epochs_of(rest) == {"run0-0": [1, 2, 3], "run1-0": [1, 2, 3], "run0-1": [3], "run1-1": [3]}
    for run in runs:
        for name, expected in whole.reports[run.id][-1].weights.items():
            assert torch.equal(rest.reports[run.id][-1].weights[name], expected)


def test_runs_that_are_two_epochs_ahead_are_interrupted_with_the_others(task):
    runs = make_folded(1, folds=(0, 1))
    group = in_turn(runs[:1], runs[1:])
    whole = train(task, group)
    collector = train(task, group, {"run0-1": whole.checkpoints["run0-1"][1]}, interrupt_after=1)
    assert endings(collector) == {
        "run0-0": (RunStatus.INTERRUPTED, "interrupted after epoch 1"),
        "run0-1": (RunStatus.INTERRUPTED, "interrupted after epoch 2"),
    }


@pytest.fixture(scope="module")
def single(task) -> DataModule:
    return dataclasses.replace(task, parts=task.parts[:1])


def stop(*run_ids: str) -> dict[str, Decision]:
    return dict.fromkeys(run_ids, Decision.STOP)


STOPPED_AFTER_1 = (RunStatus.STOPPED, "stopped early after epoch 1")
FINISHED = (RunStatus.FINISHED, None)


def test_a_run_that_is_stopped_leaves_and_those_without_a_decision_go_on(single):
    runs = make_runs(*different_rates(dataclasses.replace(SGD, epochs=3), 4), model=PLAIN_CNN)
    collector = train(single, in_turn(runs[:3], runs[3:]), decisions={1: stop("run1", "run3", "elsewhere")})
    assert epochs_of(collector) == {"run0": [1, 2, 3], "run1": [1], "run2": [1, 2, 3], "run3": [1]}
    assert endings(collector) == {
        "run0": FINISHED,
        "run1": STOPPED_AFTER_1,
        "run2": FINISHED,
        "run3": STOPPED_AFTER_1,
    }
    for gone in ("run1", "run3"):
        del collector.reports[gone], collector.outcomes[gone]
    assert_same_training(collector, train_alone(single, [runs[0], runs[2]]))


@pytest.mark.parametrize("stopped", ["run0", "run1", "run2"])
def test_runs_of_one_trajectory_are_stopped_one_by_one(single, stopped):
    runs = make_runs(*(dataclasses.replace(ADAM, epochs=e) for e in (2, 3, 4)), model=PLAIN_CNN)
    group = RunGroup.of((tuple(runs),))
    collector = train(single, group, decisions={1: stop(stopped)})
    expected = {f"run{k}": [1] if f"run{k}" == stopped else list(range(1, k + 3)) for k in range(3)}
    assert epochs_of(collector) == expected
    assert endings(collector) == {f"run{k}": STOPPED_AFTER_1 if f"run{k}" == stopped else FINISHED for k in range(3)}
    alone = train_alone(single, runs)
    for run_id, reports in collector.reports.items():
        for mine, theirs in zip(reports, alone.reports[run_id], strict=False):
            assert mine.record["loss"] == theirs.record["loss"]


def test_a_run_that_was_ahead_and_had_nothing_to_report_is_stopped_too(single):
    runs = make_runs(*different_rates(dataclasses.replace(SGD, epochs=4), 3), model=PLAIN_CNN)
    whole = train_together(single, runs)
    ahead = {"run1": whole.checkpoints["run1"][1], "run2": whole.checkpoints["run2"][1]}
    behind = {"run0": whole.checkpoints["run0"][0]}
    decisions = {2: {**stop("run0", "run1"), "run2": Decision.CONTINUE}}
    collector = train(single, in_turn(runs), ahead | behind, decisions=decisions)
    assert epochs_of(collector) == {"run0": [2], "run2": [3, 4]}
    after_2 = (RunStatus.STOPPED, "stopped early after epoch 2")
    assert endings(collector) == {"run0": after_2, "run1": after_2, "run2": FINISHED}
    assert collector.resumptions == []


def test_a_decision_about_a_run_that_is_further_has_no_effect(single):
    runs = make_folded(1, folds=(0,)) + make_runs(dataclasses.replace(ADAM, epochs=3), model=PLAIN_CNN)
    runs = [dataclasses.replace(run, fold=None) for run in runs]
    group = in_turn(runs[:1], runs[1:])
    whole = train(single, group)
    collector = train(single, group, {"run0": whole.checkpoints["run0"][1]}, decisions={1: stop("run0")})
    assert epochs_of(collector) == {"run0-0": [1, 2, 3], "run0": [3]}


def test_a_decision_about_a_member_that_is_further_than_its_lane_has_no_effect(single):
    runs = make_runs(dataclasses.replace(ADAM, epochs=3), dataclasses.replace(ADAM, epochs=4), model=PLAIN_CNN)
    group = RunGroup.of((tuple(runs),))
    whole = train(single, group)
    collector = train(single, group, {"run1": whole.checkpoints["run1"][1]}, decisions={1: stop("run1")})
    assert epochs_of(collector) == {"run0": [1, 2, 3], "run1": [3, 4]}
    assert endings(collector) == {"run0": FINISHED, "run1": FINISHED}
    assert collector.resumptions == []


def test_what_was_not_decided_before_a_crash_is_decided_at_the_resume(single):
    runs = make_runs(*different_rates(dataclasses.replace(SGD, epochs=3), 3), model=PLAIN_CNN)
    first = train(single, in_turn(runs), interrupt_after=1)
    assert first.resumptions == []
    last = {run_id: kept[-1] for run_id, kept in first.checkpoints.items()}
    rest = train(single, in_turn(runs), last, decisions={0: stop("run0", "run2")})
    assert rest.resumptions == [["run0", "run1", "run2"]]
    assert epochs_of(rest) == {"run1": [2, 3]}
    assert endings(rest) == {"run0": STOPPED_AFTER_1, "run1": FINISHED, "run2": STOPPED_AFTER_1}
    none = train(single, in_turn(runs), last, decisions={0: dict.fromkeys(last, Decision.INTERRUPT)})
    assert {outcome.status for outcome in none.outcomes.values()} == {RunStatus.INTERRUPTED}
    assert none.reports == {}


def test_a_run_whose_last_epoch_was_recorded_is_finished_whatever_is_decided_at_the_resume(single):
    runs = make_runs(*different_rates(dataclasses.replace(SGD, epochs=1), 2), model=PLAIN_CNN)
    last = {run_id: kept[-1] for run_id, kept in train(single, in_turn(runs)).checkpoints.items()}
    rest = train(single, in_turn(runs), last, decisions={0: stop("run0")})
    assert endings(rest) == {"run0": FINISHED, "run1": FINISHED}


class Sweep(Collector):
    """Also keeps which groups start, and hands each the last checkpoints of its runs."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[RunGroup] = []

    def on_group_start(self, group: RunGroup) -> dict[str, LastCheckpoint]:
        self.groups.append(group)
        return {run.id: self.checkpoints[run.id][-1] for run in group.runs if run.id in self.checkpoints}

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        pass

    @property
    def programs(self) -> list[list[str]]:
        return [[" ".join(run.id for run in program.runs) for program in as_groups(group)] for group in self.groups]


def as_groups(group: RunGroup) -> list[RunGroup]:
    return [RunGroup((program,)) for program in group.programs]


def replicates(*trial_ids: str, seeds: int = 2) -> list[Run]:
    runs = make_runs(
        *(dataclasses.replace(SGD, lr=0.01 * (1 + n), seed=s) for n in range(len(trial_ids)) for s in range(seeds)),
        model=PLAIN_CNN,
    )
    names = [(c, s) for c in trial_ids for s in range(seeds)]
    return [dataclasses.replace(run, id=f"{c}{s}", trial_id=c) for run, (c, s) in zip(runs, names, strict=True)]


def fail_where(monkeypatch, program, error, is_wrong) -> None:
    step = program.train_step

    def train_step(self, images, labels, rates, seeds, *further):
        if is_wrong(rates):
            raise error
        return step(self, images, labels, rates, seeds)

    monkeypatch.setattr(program, "train_step", train_step)


def execute(task, group, *, lockstep=True) -> Sweep:
    sweep = Sweep()
    InProcessExecutor(task, lockstep=lockstep).execute([Job(group, None)], sweep)
    return sweep


def test_out_of_memory_configurations_stay_whole_and_then_become_smaller_programs(single, monkeypatch):
    runs = replicates("a", "b", seeds=3)
    fail_where(monkeypatch, FusedLearner, torch.OutOfMemoryError("full"), lambda rates: len(rates) > 2)
    sweep = execute(single, in_turn(runs))
    assert sweep.programs == [
        ["a0 a1 a2 b0 b1 b2"],
        ["a0 a1 a2"],
        ["a0", "a1 a2"],
        ["b0 b1 b2"],
        ["b0", "b1 b2"],
    ]
    assert {outcome.status for outcome in sweep.outcomes.values()} == {RunStatus.FINISHED}
    assert_same_training(sweep, train_alone(single, runs))


def test_a_bug_leaves_configurations_whole_with_each_run_a_program(single, monkeypatch):
    runs = replicates("a", "b")
    fail_where(monkeypatch, FusedLearner, ValueError("a bug"), bool)
    sweep = execute(single, in_turn(runs))
    assert sweep.programs == [["a0 a1 b0 b1"], ["a0", "a1"], ["b0", "b1"]]
    monkeypatch.undo()
    assert_same_training(sweep, train_alone(single, runs))


def test_a_run_that_fails_alone_tears_only_its_own_configuration_apart(single, monkeypatch):
    runs = replicates("a", "b")
    runs[2] = dataclasses.replace(runs[2], hyperparameters=dataclasses.replace(runs[2].hyperparameters, lr=0.5))
    fail_where(monkeypatch, SingleLearner, ValueError("a bug"), lambda rates: rates[0] == 0.5)
    sweep = execute(single, in_turn(*([run] for run in runs)))
    assert sweep.programs == [["a0", "a1", "b0", "b1"], ["a0", "a1"], ["b0", "b1"], ["b0"], ["b1"]]
    statuses = {run_id: outcome.status for run_id, outcome in sweep.outcomes.items()}
    assert statuses == dict.fromkeys(["a0", "a1", "b1"], RunStatus.FINISHED) | {"b0": RunStatus.FAILED}


def test_threads_are_given_up_before_a_configuration_is_torn_apart(single, monkeypatch):
    runs = replicates("a")
    calls: list[float] = []

    def is_first(rates: Sequence[float]) -> bool:
        calls.extend(rates)
        return len(calls) == 1

    fail_where(monkeypatch, SingleLearner, torch.OutOfMemoryError("full"), is_first)
    sweep = execute(single, in_turn(*([run] for run in runs), is_threaded=True))
    assert sweep.programs == [["a0", "a1"], ["a0", "a1"]]
    assert [group.is_threaded for group in sweep.groups] == [True, False]


def test_out_of_step_a_group_is_halved_as_its_runs_come(single, monkeypatch):
    runs = replicates("a", "b", "c")
    fail_where(monkeypatch, FusedLearner, torch.OutOfMemoryError("full"), lambda rates: len(rates) > 3)
    sweep = execute(single, in_turn([runs[0], runs[2], runs[4], runs[1], runs[3], runs[5]]), lockstep=False)
    assert sweep.programs == [["a0 b0 c0 a1 b1 c1"], ["a0 b0 c0"], ["a1 b1 c1"]]


def test_a_program_trains_runs_of_one_fold(task):
    with pytest.raises(AssertionError):
        next(training_batches(task, folded := make_folded(1), [1] * len(folded)))
