"""A validation part of a person's own: held out as it is, never trained on, and part of what the data are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_sweeps import SilentDisplay, sweep, tables

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.normalize import pixel_normalize
from cnnsweep.errors import DataError, FolderError
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
from cnnsweep.storage.best_weights import read_description
from cnnsweep.types import DatasetChoice, Normalization

SWEEP = """
name: photos
dataset: {{name: image_folder, path: {path}}}
model: {{name: cnn, channels: [2], kernel_size: 3, hidden: []}}
params: {{lr: 0.01, batch_size: 4, epochs: 1}}
tensorboard: false
"""
# Every pixel of an image has one value, which says what the image is.
FIRST = {"train": 0, "val": 100, "test": 200}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for part, count in (("train", 5), ("val", 3), ("test", 2)):
        for label, name in enumerate(("cat", "dog")):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                value = FIRST[part] + 10 * label + number
                Image.fromarray(np.full((8, 8), value, np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def load(photos: Path, memory_bytes: int = 1 << 20) -> Dataset:
    choice = DatasetChoice("image_folder", {"path": str(photos), "broken": "skip"})
    return load_dataset(choice, photos, memory_bytes=memory_bytes)


def values_at(dataset: Dataset, positions: torch.Tensor) -> list[int]:
    ((images, _),) = dataset.train.batches([positions], torch.device("cpu"))
    return [int(image.flatten()[0]) for image in images]


def run(photos: Path, folder: Path, *overrides: str) -> SilentDisplay:
    display = SilentDisplay()
    sweep(folder, SWEEP.format(path=photos), display, overrides)
    return display


TRAIN, VAL = [0, 1, 2, 3, 4, 10, 11, 12, 13, 14], [100, 101, 102, 110, 111, 112]


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_it_is_held_out_and_the_rest_is_trained_on(memory: int, photos: Path) -> None:
    (photos / "train" / "dog" / "0a.png").write_bytes(b"broken")  # leaves no gap between the two
    for _ in range(2):  # decoded, and from the cache
        dataset = load(photos, memory)
        ((training, validation),) = dataset.split(0.1, None, 0)
        assert values_at(dataset, training) == TRAIN
        assert values_at(dataset, validation) == VAL
        assert dataset.train.labels[validation].tolist() == [0, 0, 0, 1, 1, 1]
        assert dataset.test is not None
        assert len(dataset.test) == 4


def test_without_validation_all_is_trained_on(photos: Path) -> None:
    dataset = load(photos)
    ((training, validation),) = dataset.split(0, None, 0)
    assert sorted(values_at(dataset, training)) == TRAIN + VAL
    assert len(validation) == 0


@pytest.mark.parametrize(("validation", "folds"), [(0.2, None), (5, None), (0.1, 3)])
def test_another_share_beside_it_is_refused(validation: float, folds: int | None, photos: Path) -> None:
    with pytest.raises(
        DataError, match=r"the data set has a validation part of its own \(6 images\), which is held out"
    ):
        load(photos).split(validation, folds, 0)


def test_normalisation_is_measured_without_it(photos: Path) -> None:
    dataset = load(photos)
    ((training, _),) = dataset.split(0.1, None, 0)
    assert pixel_normalize(Normalization(), dataset.train, training).mean == (pytest.approx(np.mean(TRAIN) / 255),)


def test_the_data_differ_where_an_image_moves_from_training_to_validation(photos: Path) -> None:
    before = load(photos)
    (photos / "train" / "dog" / "4.png").rename(photos / "val" / "dog" / "4.png")
    (photos / "train" / "dog" / "3.png").rename(photos / "val" / "dog" / "3.png")
    after = load(photos)
    assert len(after.train) == len(before.train)
    assert after.fingerprint != before.fingerprint


def test_a_sweep_that_passed_it_over_is_not_gone_on_with_and_told_why(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "val").rename(photos / ".val")  # as an earlier version saw the folder
    run(photos, tmp_path / "runs")
    before = load(photos).fingerprint
    (photos / ".val").rename(photos / "val")
    assert load(photos).fingerprint_before == before
    with pytest.raises(FolderError, match="own validation part is held out now, and was not when this sweep began"):
        run(photos, tmp_path / "runs")


def test_one_that_took_it_for_the_test_part_is_told_the_same(photos: Path, tmp_path: Path) -> None:
    shutil.rmtree(photos / "test")
    (photos / "val").rename(photos / "test")
    before = load(photos).fingerprint
    (photos / "test").rename(photos / "val")
    assert load(photos).fingerprint_before == before


def test_a_sweep_chooses_by_it_and_evaluates_it(photos: Path, tmp_path: Path) -> None:
    display = run(photos, tmp_path / "runs")
    assert any("10 to train on, 6 for validation (its own), 4 for testing" in note for note in display.data)
    (row,) = tables(tmp_path / "runs")["runs"]
    found = evaluate_checkpoint(tmp_path / "runs", EvaluationOptions(tmp_path, "val", "cpu"))
    assert found.images == 6
    assert found.accuracy == row["val_accuracy"]
    assert evaluate_checkpoint(tmp_path / "runs", EvaluationOptions(tmp_path, "train", "cpu")).images == 10
    assert evaluate_checkpoint(tmp_path / "runs", EvaluationOptions(tmp_path, "test", "cpu")).images == 4


def test_without_a_test_part_evaluation_says_so(photos: Path, tmp_path: Path) -> None:
    shutil.rmtree(photos / "test")
    display = run(photos, tmp_path / "runs")
    assert any("6 for validation (its own), none for testing" in note for note in display.data)
    with pytest.raises(DataError, match="image_folder: no test images; use --split val or --split train"):
        evaluate_checkpoint(tmp_path / "runs", EvaluationOptions(tmp_path, "test", "cpu"))


def test_a_share_in_the_sweep_file_is_refused_before_anything_trains(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^validation: 0\.3: the data set has a validation part of its own"):
        run(photos, tmp_path / "runs", "validation=0.3")
    with pytest.raises(DataError, match=r"^validation: \{folds: 3\}: the data set has a validation part of its own"):
        run(photos, tmp_path / "runs", "validation={folds: 3}")


def test_checkpoints_of_pictures_of_8_bits_say_nothing_of_their_range(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "runs")
    (weights,) = (tmp_path / "runs").glob("*/best.safetensors")
    assert "white" not in read_description(weights)
