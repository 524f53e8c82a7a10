"""`cnnsweep evaluate SWEEP`: the chosen trial on test images, the look written down, and the refit."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from small_sweeps import SilentDisplay, sweep, tables

from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import FolderError, UsageError
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint, evaluate_chosen
from cnnsweep.evaluation.find_checkpoint import is_sweep
from cnnsweep.evaluation.record import note_tests
from cnnsweep.refit import refit_chosen
from cnnsweep.report.evaluation_json import trial_to_json
from cnnsweep.storage.best_weights import load_best
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.sweep import SweepOptions
from cnnsweep.types import DatasetChoice

SEEDED = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 90, test: 40}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8]}
params: {lr: [0.02, 0.0001], batch_size: 16, epochs: 3}
seeds: 3
tensorboard: false
"""


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeded") / "small"
    sweep(folder, SEEDED)
    return folder


@pytest.fixture
def copy(seeded, tmp_path):
    shutil.copytree(seeded, tmp_path / "small")
    return tmp_path / "small"


def options(folder):
    return EvaluationOptions(folder, device="cpu")


def test_the_best_setting_is_the_best_mean_and_all_its_seeds_are_measured(copy):
    rows = tables(copy)["runs"]
    means = {}
    for row in rows:
        means.setdefault(row["configuration"], []).append(row["val_accuracy"])
    best = max(means, key=lambda trial_id: sum(means[trial_id]))
    found = evaluate_chosen(copy, options(copy))
    assert found.trial_id == best
    assert [one.run for one in found.evaluations] == [row["run"] for row in rows if row["configuration"] == best]
    assert {one.images for one in found.evaluations} == {40}
    content = json.loads(trial_to_json(found))
    assert content["accuracy"]["runs"] == 3
    assert content["accuracy"]["mean"] == pytest.approx(sum(run["accuracy"] for run in content["runs"]) / 3)
    for run in content["runs"]:
        assert run["accuracy_low"] < run["accuracy"] < run["accuracy_high"]
    together = found.together
    assert together.images == 120
    assert together.correct == sum(one.correct for one in found.evaluations)


def test_a_look_at_the_test_set_is_written_down_once_a_run(copy):
    assert tables(copy)["tests"] == []
    found = evaluate_chosen(copy, options(copy))
    assert note_tests(copy, found.evaluations, found.trial_id) is None
    tests = tables(copy)["tests"]
    assert [test["run"] for test in tests] == [one.run for one in found.evaluations]
    assert [test["accuracy"] for test in tests] == [one.accuracy for one in found.evaluations]
    assert {(test["configuration"], test["split"], test["refit"]) for test in tests} == {
        (found.trial_id, "test", False)
    }
    assert all(test["time"].startswith("20") for test in tests)
    sweep(copy, SEEDED)  # the same command again keeps it
    assert tables(copy)["tests"] == tests


def test_one_checkpoint_counts_too_but_validation_images_do_not(copy):
    run = tables(copy)["runs"][4]
    one = evaluate_checkpoint(copy / run["run"], options(copy))
    assert note_tests(copy, [one]) is None
    assert [(test["run"], test["configuration"]) for test in tables(copy)["tests"]] == [
        (run["run"], run["configuration"])
    ]
    validation = evaluate_checkpoint(copy / run["run"], EvaluationOptions(copy, "val", "cpu"))
    assert note_tests(copy, [validation]) is None
    assert len(tables(copy)["tests"]) == 1


def test_a_sweep_that_is_running_is_not_written_to(copy):
    one = evaluate_checkpoint(copy / tables(copy)["runs"][0]["run"], options(copy))
    with locked(SweepPaths(copy)):
        problem = note_tests(copy, [one])
    assert problem is not None
    assert "is in use" in problem
    assert tables(copy)["tests"] == []


def test_a_refit_trains_the_best_setting_on_all_training_images(copy):
    display = SilentDisplay()
    result = refit_chosen(copy, SweepOptions(copy, copy), [display], device="cpu", allow_code=False)
    assert result.interrupted is None
    best = evaluate_chosen(copy, options(copy)).trial_id
    chosen = [row for row in tables(copy)["runs"] if row["configuration"] == best]
    again = tables(result.paths.folder)
    assert result.paths.folder == copy / "refit" / best
    assert [row["seed"] for row in again["runs"]] == [row["seed"] for row in chosen]
    epochs = sorted(row["best_epoch"] for row in chosen)[1]  # the median of three
    assert {row["epochs_done"] for row in again["runs"]} == {epochs}
    assert {row["val_accuracy"] for row in again["runs"]} == {None}
    about = load_best(result.paths.folder / again["runs"][0]["checkpoint"]).description
    assert about["split"]["validation"] == 0
    dataset = load_dataset(DatasetChoice("shapes", about["dataset"]["arguments"]), copy)
    images = next(dataset.train.batches([torch.arange(90)], torch.device("cpu")))[0]
    assert about["pixels"]["mean"][0] == pytest.approx(float(images.float().mean()) / 255, rel=1e-4)

    found = evaluate_chosen(result.paths.folder, options(copy), refit_of=copy)
    assert (found.trial_id, found.is_refit) == (best, True)
    assert note_tests(copy, found.evaluations, found.trial_id, refit=True) is None
    assert {test["refit"] for test in tables(copy)["tests"]} == {True}
    assert is_sweep(copy)
    # Once more trains nothing, and the sweep itself is as it was.
    display = SilentDisplay()
    refit_chosen(copy, SweepOptions(copy, copy), [display], device="cpu", allow_code=False)
    assert display.started == []
    assert [row["run"] for row in tables(copy)["runs"]] == [row["run"] for row in tables(copy)["runs"]]


def test_a_schedule_that_needs_its_end_keeps_all_epochs(tmp_path):
    folder = tmp_path / "small"
    text = (
        SEEDED.replace("epochs: 3", "epochs: 3, schedule: cosine")
        .replace("[0.02, 0.0001]", "0.3")
        .replace("seeds: 3\n", "")
    )
    sweep(folder, text)
    result = refit_chosen(folder, SweepOptions(folder, folder), [SilentDisplay()], device=None, allow_code=False)
    assert {row["epochs_done"] for row in tables(result.paths.folder)["runs"]} == {3}


def test_a_sweep_without_validation_cannot_be_refitted(tmp_path):
    folder = tmp_path / "small"
    sweep(folder, SEEDED + "validation: 0\n")
    with pytest.raises(UsageError, match="held no images out"):
        refit_chosen(folder, SweepOptions(folder, folder), [SilentDisplay()], device=None, allow_code=False)


@pytest.mark.parametrize("deep", [False, True])
def test_a_refit_is_not_led_out_of_the_sweep_by_a_link(copy, tmp_path, deep):
    outside = tmp_path / "outside"
    outside.mkdir()
    best = tables(copy)["runs"][0]["configuration"]
    best = evaluate_chosen(copy, options(copy)).trial_id if deep else best
    place = copy / "refit" / best if deep else copy / "refit"
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(outside)
    with pytest.raises(FolderError, match=rf"refit{'/' + best if deep else ''}: is a symbolic link"):
        refit_chosen(copy, SweepOptions(copy, copy), [SilentDisplay()], device="cpu", allow_code=False)
    assert list(outside.iterdir()) == []


def test_a_file_in_the_place_of_the_refit_is_named(copy):
    (copy / "refit").touch()
    with pytest.raises(FolderError, match="refit: cannot be written"):
        refit_chosen(copy, SweepOptions(copy, copy), [SilentDisplay()], device="cpu", allow_code=False)
