"""Which groups are chosen, what the journal remembers of it, and what is measured again."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from test_groups import make_run

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.datasets.splits import fold_indices
from cnnsweep.errors import FusionError
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState
from cnnsweep.training.autotune import ALONE, TOO_SHORT, FusionPlan, TuningResult
from cnnsweep.training.data_module import DataModule, FoldData
from cnnsweep.tuner import group_planner
from cnnsweep.tuner.group_cache import AUTO, OFF, conditions, event_from_groups
from cnnsweep.tuner.grouping import choose_groups
from cnnsweep.types import ModelChoice

NET = ModelChoice("cnn", {"channels": [2], "kernel_size": 3, "hidden": [4]})
WITH_DROPOUT = ModelChoice("cnn", {"channels": [2], "kernel_size": 3, "hidden": [4], "dropout": 0.5})


@pytest.fixture(scope="module")
def task() -> DataModule:
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20) % 3
    parts = tuple(FoldData(*fold_indices(labels, 2, fold, 0), PixelNormalize((0.5,), (0.25,))) for fold in range(2))
    return DataModule(MemoryImages(images, labels), parts, 3, torch.device("cpu"), "fp32")


@pytest.fixture
def measured(monkeypatch):
    """Replace measuring: it chooses groups of at most four; return how many trajectories were measured each time."""
    calls: list[int] = []

    def autotune(runs, epochs, task, most):
        calls.append(len(runs))
        way = FusionPlan(min(4, len(runs)))
        return TuningResult(way, "2.0 times as fast as alone", 1.0, {way: 0.5})

    monkeypatch.setattr(group_planner, "autotune", autotune)
    monkeypatch.setattr(group_planner, "runs_that_fit", lambda *_: 100)  # whatever else goes on in this machine
    return calls


def settings(names, seeds=1, folds=(0,), **changes):
    """Return configurations, each with so many seeds in each fold."""
    changes.setdefault("model", NET)
    return [
        make_run(f"{name}{seed}{fold}", trial_id=name, lr=0.01 * (1 + ord(name)), seed=seed, fold=fold, **changes)
        for name in names
        for seed in range(seeds)
        for fold in folds
    ]


class Journal:
    """A folder's memory, as the recorder keeps it: what was planned goes through JSON into a history."""

    def __init__(self, task, fuse=AUTO, lockstep=False):
        self.history = SweepState()
        self.notes = []
        self._task, self._fuse, self._lockstep = task, fuse, lockstep

    def choose(self, runs):
        planned = choose_groups(runs, self.history, self._task, self._fuse, self.notes.append, lockstep=self._lockstep)
        under = conditions(self._task, self._fuse, lockstep=self._lockstep)
        event = {"event": "planned", "time": "now", **event_from_groups(planned, under)}
        self.history.apply(json.loads(json.dumps(event)))
        return [[" ".join(run.id for (run,) in program) for program in one.group.programs] for one in planned]


def test_a_way_that_was_measured_serves_later_rounds_of_up_to_twice_as_many(task, measured):
    journal = Journal(task)
    assert journal.choose(settings("abc")) == [["a00 b00 c00"]]
    assert journal.choose(settings("defghi")) == [["d00 e00 f00"], ["g00 h00 i00"]]  # of a size that was measured
    assert measured == [3]
    assert journal.notes == ["3 runs of cnn, batch size 16: 3 at once, 2.0 times as fast as alone"]
    (remembered,) = journal.history.ways.values()
    assert (remembered.size, remembered.threads, remembered.of, remembered.step_s) == (3, 1, 3, 0.5)
    assert journal.choose(settings("jklmnop")) == [["j00 k00 l00"], ["m00 n00 o00 p00"]]
    assert measured == [3, 7]
    (remembered,) = journal.history.ways.values()
    assert (remembered.size, remembered.of) == (4, 7)


def test_a_sweep_that_was_interrupted_between_rounds_chooses_as_one_that_was_not(task, measured):
    whole, first = Journal(task), Journal(task)
    groups = [whole.choose(settings(names)) for names in ("abcd", "efg", "hijklmno")]
    first.choose(settings("abcd"))
    resumed = Journal(task)
    resumed.history = first.history  # folded from JSON
    # What was planned is missing still; then the rounds go on as before.
    assert [resumed.choose(settings(names)) for names in ("abcd", "efg", "hijklmno")] == groups
    assert resumed.history.ways == whole.history.ways


def test_ways_outlast_their_groups_and_hold_for_their_family_and_conditions_alone(task, measured):
    journal = Journal(task)
    journal.choose(settings("abcd"))
    journal.choose(settings("ab"))  # which replaces the group
    journal.choose(settings("efgh", model=WITH_DROPOUT))
    assert measured == [4]
    journal.choose(settings("ijkl", batch_size=8))
    assert measured == [4, 4]
    assert len(journal.history.ways) == 2
    lockstep = Journal(task, lockstep=True)
    lockstep.history = journal.history
    lockstep.choose(settings("pqrs"))
    assert measured == [4, 4, 4]


def test_a_reused_way_is_checked_and_foresees_its_time(task, measured, monkeypatch):
    history = SweepState()
    (first,) = choose_groups(settings("abcd"), history, task, AUTO, lambda _: None)
    history.apply({"event": "planned", "time": "", **event_from_groups([first], conditions(task, AUTO))})
    (planned,) = choose_groups(settings("efgh"), history, task, AUTO, lambda _: None)
    assert (planned.step_s, planned.why) == (0.5, "2.0 times as fast as alone")
    assert planned.way == first.way

    def refuse(runs, task):
        raise FusionError("wrong")

    monkeypatch.setattr(group_planner, "check_fused", refuse)
    refused = choose_groups(settings("efgh"), history, task, AUTO, lambda _: None)
    assert [(len(one.group.runs), one.why, one.way) for one in refused] == [(1, "wrong", None)] * 4


def test_what_was_not_measured_is_not_remembered(task, monkeypatch):
    monkeypatch.setattr(group_planner, "autotune", lambda *_: TuningResult(ALONE, "a group does not fit into memory"))
    for journal in (Journal(task), Journal(task, fuse=2), Journal(task, fuse=OFF)):
        journal.choose(settings("abc"))
        assert journal.history.ways == {}


def test_too_little_to_measure_is_said_once_and_looked_at_again(task, measured, monkeypatch):
    measure, said = group_planner.autotune, []
    monkeypatch.setattr(group_planner, "autotune", lambda *_: TOO_SHORT)
    history = SweepState()
    for names in ("abc", "def"):
        (planned, *_) = choose_groups(settings(names), history, task, AUTO, said.append)
        history.ways[group_planner.family(settings("a")[0])] = planned.way
    assert (len(said), planned.step_s) == (1, None)
    assert choose_groups(settings("gk"), history, task, AUTO, said.append, measure_all=True)[0].step_s > 0
    monkeypatch.setattr(group_planner, "autotune", measure)  # more epochs, say
    assert [len(one.group.runs) for one in choose_groups(settings("hij"), history, task, AUTO, said.append)] == [3]
    assert len(said) == 2


def test_a_journal_without_ways_is_read(task):
    journal = Journal(task)
    group = {"programs": [[["a00"], ["b00"]]], "threaded": False, "why": "", "step_s": None}
    journal.history.apply({"event": "planned", "time": "", "groups": [group], "conditions": conditions(task, AUTO)})
    assert journal.history.ways == {}
    assert journal.choose(settings("ab")) == [["a00 b00"]]


def test_folds_train_apart_and_are_measured_once(task, measured):
    journal = Journal(task)
    assert journal.choose(settings("abc", folds=(0, 1))) == [["a00 b00 c00"], ["a01 b01 c01"]]
    assert measured == [3]


@pytest.mark.parametrize("fuse", [AUTO, 4])
def test_in_step_every_configuration_is_in_one_group(task, measured, fuse):
    journal = Journal(task, fuse, lockstep=True)
    assert journal.choose(settings("abc", seeds=2, folds=(0, 1))) == [
        ["a00 a10", "a01 a11"],
        ["b00 c00 b10 c10", "b01 c01 b11 c11"],
    ]
    assert measured == ([6] if fuse == AUTO else [])
    assert journal.choose(settings("abc", seeds=2, folds=(0, 1))) == [
        ["a00 a10", "a01 a11"],
        ["b00 c00 b10 c10", "b01 c01 b11 c11"],
    ]


def test_in_step_runs_that_train_alone_take_turns(task, monkeypatch):
    monkeypatch.setattr(group_planner, "autotune", lambda *_: TuningResult(ALONE, "slower", 1.0))
    runs = settings("ab", seeds=2, folds=(0, 1))
    expected = [["a00", "a10", "a01", "a11"], ["b00", "b10", "b01", "b11"]]
    assert Journal(task, lockstep=True).choose(runs) == expected
    assert Journal(task, OFF, lockstep=True).choose(runs) == expected
    assert Journal(task, lockstep=True).choose(settings("a", seeds=1, folds=(0, 1))) == [["a00", "a01"]]
    planned = choose_groups(runs, SweepState(), task, OFF, lambda _: None, lockstep=True)
    assert {one.why for one in planned} == {"one by one, epoch by epoch, to be compared: --fuse off"}


def test_in_step_memory_bounds_all_programs_of_a_group(task, measured, monkeypatch):
    monkeypatch.setattr(group_planner, "runs_that_fit", lambda *_: 4)
    journal = Journal(task, lockstep=True)
    assert journal.choose(settings("abcd", folds=(0, 1))) == [["a00 b00", "a01 b01"], ["c00 d00", "c01 d01"]]
    monkeypatch.setattr(group_planner, "runs_that_fit", lambda *_: 400)
    assert journal.choose(settings("efgh", folds=(0, 1))) == [["e00 f00", "e01 f01"], ["g00 h00", "g01 h01"]]


def test_in_step_new_seeds_join_what_is_left_of_their_configuration(task, measured):
    journal = Journal(task, lockstep=True)
    assert journal.choose(settings("abcd")) == [["a00 b00 c00 d00"]]
    assert journal.choose(settings("efgh")) == [["e00 f00 g00 h00"]]
    (a0, a1), (b0, _), *_ = (settings(name, seeds=2) for name in "abcd")
    # Nothing changes for e to h; b, c and d were in one group with a.
    assert journal.choose([a0, a1, b0, *settings("cdefgh")]) == [["a00 b00 a10"], ["c00 d00"], ["e00 f00 g00 h00"]]


def test_in_step_models_that_do_not_fuse_with_others_dropout_stay_whole(task, measured, monkeypatch):
    def check(runs, task):
        if len({repr(run.model) for run in runs}) > 1:
            raise FusionError("dropout changes more")

    monkeypatch.setattr(group_planner, "check_fused", check)
    runs = [
        run
        for name, model in zip("abcd", [NET, WITH_DROPOUT] * 2, strict=True)
        for run in settings(name, seeds=2, folds=(0, 1), model=model)
    ]
    assert Journal(task, lockstep=True).choose(runs) == [
        ["a00 c00 a10 c10", "a01 c01 a11 c11"],
        ["b00 d00 b10 d10", "b01 d01 b11 d11"],
    ]


def test_in_step_replicates_that_are_at_different_epochs_are_in_one_group(task, measured):
    runs = settings("ab", seeds=2)
    journal = Journal(task, lockstep=True)
    epochs = {"a00": 2, "b00": 2}

    for run in runs:
        known = RunState(run.id, run.name, run.params, 1, run.trial_id)
        known.records = [None] * epochs.get(run.id, 0)
        journal.history.runs[run.id] = known
    assert journal.choose(runs) == [["a00 b00", "a10 b10"]]


def test_groups_chosen_out_of_step_are_not_taken_over(task, measured):
    runs = settings("abc", seeds=2)
    free = Journal(task, 3)
    assert free.choose(runs) == [["a00 b00 c00"], ["a10 b10 c10"]]
    lockstep = Journal(task, 3, lockstep=True)
    lockstep.history = free.history
    assert lockstep.choose(runs) == [["a00 a10"], ["b00 b10"], ["c00 c10"]]


def test_a_remembered_group_of_several_programs_keeps_the_programs_of_those_left(task, measured):
    journal = Journal(task, lockstep=True)
    runs = settings("ab", seeds=2, folds=(0, 1))
    journal.choose(runs)
    (remembered,) = journal.history.groups
    left = [run for run in runs if run.id not in ("a00", "b00", "a10", "b11")]
    assert journal.choose(left) == [["b10", "a01 b01 a11"]]
    assert not remembered.is_threaded
    assert dataclasses.asdict(journal.history.groups[0])["is_threaded"] is False
