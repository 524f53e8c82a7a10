"""Runs are put into groups by what they share, and what they will take is added up."""

from __future__ import annotations

import dataclasses

import pytest

from cnnsweep.planning.batching import (
    by_exact_model,
    family,
    runs_of_a_kind,
    split_evenly,
    split_lockstep,
    trajectories,
    whole_trials,
)
from cnnsweep.planning.cost import disk_bytes, group_seconds
from cnnsweep.types import CONSTANT, Choice, Hyperparameters, ModelChoice, Run, RunGroup, even_sizes

ADAM = Hyperparameters(
    lr=0.01, batch_size=16, shuffle=True, epochs=3, optimizer="adam", momentum=None, nesterov=None, beta1=0.9,
    beta2=0.999, eps=1e-8, weight_decay=0.0, schedule=CONSTANT, label_smoothing=0.0, grad_clip=None,
    augment=(), seed=1,
)  # fmt: skip


LENET = ModelChoice("lenet")


def make_run(name: str, model: ModelChoice = LENET, trial_id: str = "", fold: int | None = None, **changes) -> Run:
    return Run(name, name, model, dataclasses.replace(ADAM, **changes), {}, trial_id or name, fold)


def names(kinds):
    return [[[run.id for run in runs] for runs in members] for members in kinds]


def test_runs_of_a_kind_share_model_and_batch_size():
    runs = [
        make_run("a"),
        make_run("b", batch_size=32),
        make_run("c", optimizer="adamw"),
        make_run("d", model=ModelChoice("cnn")),
        make_run("e", model=ModelChoice("lenet", {"dropout": 0.1})),
        make_run("f", lr=0.1, beta1=0.5, weight_decay=0.1, label_smoothing=0.1, grad_clip=1.0, epochs=7),
        make_run("g", model=ModelChoice("lenet", {"hidden": [9]})),
    ]
    kinds = runs_of_a_kind(runs, {})
    assert names(kinds) == [[["a"], ["c"], ["e"], ["f"]], [["b"]], [["d"]], [["g"]]]
    assert names(by_exact_model(kinds[0])) == [[["a"], ["c"], ["f"]], [["e"]]]


def test_runs_that_are_at_different_epochs_are_of_different_kinds():
    runs = [make_run("a"), make_run("b", lr=0.1), make_run("c", lr=0.2)]
    assert names(runs_of_a_kind(runs, {"b": 2})) == [[["a"], ["c"]], [["b"]]]


def test_runs_that_see_the_same_batches_stand_side_by_side():
    runs = [
        make_run("a", seed=1),
        make_run("b", seed=2),
        make_run("c", shuffle=False, seed=1),
        make_run("d", seed=1, lr=0.1),
        make_run("e", shuffle=False, seed=3),
        make_run("f", shuffle=False, seed=3, augment=(Choice("flip"),)),
        make_run("g", seed=2, lr=0.1),
    ]
    (members,) = runs_of_a_kind(runs, {})
    assert [run.id for (run,) in members] == ["a", "d", "b", "g", "c", "e", "f"]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (CONSTANT, [["short", "long"], ["other"]]),
        (Choice("step", {"every": 2}), [["short", "long"], ["other"]]),
        (Choice("constant", {"warmup": 1.0}), [["short", "long"], ["other"]]),
        (Choice("cosine"), [["long"], ["short"], ["other"]]),
        (Choice("one_cycle"), [["long"], ["short"], ["other"]]),
    ],
)
def test_runs_that_differ_in_epochs_alone_are_one_trajectory_unless_their_schedule_looks_at_the_end(schedule, expected):
    runs = [
        make_run("long", schedule=schedule, epochs=9),
        make_run("short", schedule=schedule, epochs=2),
        make_run("other", schedule=schedule, seed=2),
    ]
    assert names([trajectories(runs)]) == [expected]


@pytest.mark.parametrize(
    ("count", "most", "sizes"),
    [(1, 1, [1]), (8, 8, [8]), (9, 8, [4, 5]), (33, 16, [11, 11, 11]), (3, 2, [1, 2]), (5, 1, [1] * 5)],
)
def test_groups_are_few_and_even(count, most, sizes):
    assert even_sizes(count, most) == sizes
    members = [(make_run(str(number)),) for number in range(count)]
    groups = split_evenly(members, most)
    assert [len(group.trajectories) for group in groups] == sizes
    assert [run.id for group in groups for run in group.runs] == [str(number) for number in range(count)]


def test_runs_of_different_folds_are_of_different_kinds_and_trajectories_but_of_one_family():
    runs = [make_run(f"{epochs}{fold}", fold=fold, epochs=epochs) for epochs in (2, 3) for fold in (0, 1)]
    assert names(runs_of_a_kind(runs, {})) == [[["20", "30"]], [["21", "31"]]]
    assert names([trajectories(runs)]) == [[["20", "30"], ["21", "31"]]]
    assert len({family(run) for run in [*runs, make_run("a", optimizer="sgd")]}) == 1
    others = [make_run("b", batch_size=32), make_run("c", ModelChoice("cnn"))]
    assert len({family(run) for run in [*runs, *others]}) == 3
    assert family(make_run("d", ModelChoice("lenet", {"dropout": 0.5}))) == family(runs[0])


def test_configurations_are_kept_whole_with_those_that_share_a_trajectory():
    def run(trial_id, seed):
        return make_run(f"{trial_id}{seed}", trial_id=trial_id, seed=seed)

    members = [(run("a", 0),), (run("b", 0), run("c", 0)), (run("d", 0),), (run("a", 1),), (run("c", 1), run("d", 1))]
    members.append((run("e", 0),))
    assert names(whole_trials(members)) == [[["a0"], ["a1"]], [["b0", "c0"], ["d0"], ["c1", "d1"]], [["e0"]]]
    many = [(make_run(str(number)),) for number in range(3000)]
    assert whole_trials(many) == [[runs] for runs in many]


def replicates(trial_ids, seeds, folds=(None,)):
    """Return the kinds of configurations that are repeated with seeds and folds."""
    runs = [
        make_run(f"{c}{seed}{'' if fold is None else fold}", trial_id=c, lr=n + 1.0, seed=seed, fold=fold)
        for n, c in enumerate(trial_ids)
        for seed in range(seeds)
        for fold in folds
    ]
    return runs_of_a_kind(runs, {})


def programs(groups):
    return [[" ".join(run.id for (run,) in program) for program in group.programs] for group in groups]


def test_as_many_configurations_as_fit_are_a_group_in_step():
    kinds = replicates("abcde", seeds=2)
    assert programs(split_lockstep(kinds, 10)) == [["a0 b0 c0 d0 e0 a1 b1 c1 d1 e1"]]
    assert programs(split_lockstep(kinds, 7)) == [["a0 b0 a1 b1"], ["c0 d0 e0 c1 d1 e1"]]
    assert programs(split_lockstep(kinds, 10, most=4)) == [["a0 a1"], ["b0 c0 b1 c1"], ["d0 e0 d1 e1"]]
    assert programs(split_lockstep(kinds[:1], 1)) == [[f"{c}0", f"{c}1"] for c in "abcde"]
    assert not any(group.is_threaded for group in split_lockstep(kinds, 7))


def test_a_configuration_larger_than_a_program_is_several_in_one_group():
    assert programs(split_lockstep(replicates("ab", seeds=5), 3)) == [["a0 a1", "a2 a3 a4"], ["b0 b1", "b2 b3 b4"]]
    three_folds = replicates("ab", seeds=2, folds=(0, 1, 2))
    assert programs(split_lockstep(three_folds, 4)) == [["a00 b00 a10 b10", "a01 b01 a11 b11", "a02 b02 a12 b12"]]
    assert programs(split_lockstep(three_folds, 4, most=11)) == [
        ["a00 a10", "a01 a11", "a02 a12"],
        ["b00 b10", "b01 b11", "b02 b12"],
    ]
    assert programs(split_lockstep(three_folds, 1))[0] == ["a00", "a10", "a01", "a11", "a02", "a12"]


def test_a_group_in_step_is_divided_among_threads():
    (group,) = split_lockstep(replicates("ab", seeds=3), 6, threads=2)
    assert (programs([group]), group.is_threaded) == ([["a0 b0 a1", "b1 a2 b2"]], True)
    (group,) = split_lockstep(replicates("a", seeds=4, folds=(0, 1)), 4, threads=2)
    assert (programs([group]), group.is_threaded) == ([["a00 a10", "a20 a30", "a01 a11", "a21 a31"]], True)


def test_a_groups_time_counts_each_trajectory_once_and_the_held_out_images_by_a_third():
    group = RunGroup.of(((make_run("a", epochs=2), make_run("b", epochs=5)), (make_run("c", epochs=4),)))
    # 100 images in batches of 16 are 7 steps; 30 held out cost as much as 10; 5 + 4 epochs, less the one of c.
    assert group_seconds(group, 0.5, 7, 0.3, {"c": 1}) == pytest.approx(0.5 * 7 * 1.1 * (5 + 3))
    assert group_seconds(group, None, 7, 0.3, {}) is None
    # Up to the next rung: one run has an epoch to go, the longest of the other trajectory, which is there, none.
    stop_epochs = {run.id: 2 for run in group.runs}
    to_the_rung = group.up_to(stop_epochs)
    assert group_seconds(to_the_rung, 0.5, 7, 0.3, {"a": 2, "b": 2, "c": 1}) == pytest.approx(0.5 * 7 * 1.1 * 1)


def test_disk_holds_weights_optimizer_state_and_what_each_epoch_adds():
    run = make_run("a", epochs=10)
    small = disk_bytes([run], {"a": 1000}, 160, histograms=False)
    assert small == 4 * 1000 * 4 + 10 * 10 * 90
    assert disk_bytes([run], {"a": 1000}, 160, histograms=True) > small
    assert disk_bytes([run, make_run("b", optimizer="sgd")], {"a": 1000, "b": 1000}, 160, histograms=False) > small
