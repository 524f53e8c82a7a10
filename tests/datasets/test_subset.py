"""A subset of the training images: stratified, the same in every command, and a part of what the data are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_sweeps import SilentDisplay, sweep

from cnnsweep.config.dump import dump_spec
from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.datasets.dataset import Dataset, in_memory, with_subset
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.streaming import StreamedImages
from cnnsweep.errors import DataError, FolderError
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
from cnnsweep.types import DatasetChoice

SWEEP = """
name: sub
dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 9%s}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: []}
params: {lr: 0.01, batch_size: 8, epochs: 1}
tensorboard: false
"""


def numbered(labels: list[int] | torch.Tensor) -> Dataset:
    """Return a data set in which the first pixel of each image is its position."""
    labels = torch.as_tensor(labels)
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 2, 2)
    classes = tuple(map(str, range(labels.shape[1] if labels.ndim > 1 else int(labels.max()) + 1)))
    return in_memory("numbered", MemoryImages(images, labels), None, classes)


def positions_in(dataset: Dataset) -> list[int]:
    every = torch.arange(len(dataset.train))
    ((images, _),) = dataset.train.batches([every], torch.device("cpu"))
    return [int(image[0, 0, 0]) for image in images]


def test_each_class_keeps_its_share() -> None:
    whole = numbered([0] * 100 + [1] * 50 + [2] * 10)
    part = with_subset(whole, 0.1, seed=3)
    assert part.train.labels.bincount().tolist() == [10, 5, 1]
    assert part.whole == 160
    assert part.fingerprint == whole.fingerprint
    assert [int(whole.train.labels[one]) for one in positions_in(part)] == part.train.labels.tolist()


def test_it_follows_from_the_seed() -> None:
    whole = numbered([0, 1] * 100)
    first, again, other = (positions_in(with_subset(whole, 20, seed)) for seed in (1, 1, 2))
    assert first == again == sorted(first)
    assert first != other


def test_a_number_may_be_all_images() -> None:
    assert positions_in(with_subset(numbered([0, 1, 1]), 3, 0)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("subset", "text"),
    [
        (5, "found 5, but the data set has 4 training images; leave it out for all"),
        (1, "found 1, but its 2 classes need an image each"),
        (0.1, "found 0.1, which is 0 images of 4, but its 2 classes need an image each"),
    ],
)
def test_a_subset_that_cannot_be(subset: float, text: str) -> None:
    with pytest.raises(DataError, match=f"^dataset: subset: {text}$"):
        with_subset(numbered([0, 1, 0, 1]), subset, 0)


def test_several_labels_are_stratified() -> None:
    labels = torch.zeros(200, 3, dtype=torch.uint8)
    labels[:100, 0], labels[50:150, 1], labels[:20, 2] = 1, 1, 1
    part = with_subset(numbered(labels), 0.1, seed=0)
    assert part.train.labels.sum(0).tolist() == [10, 10, 2]


def photos(folder: Path) -> Path:
    for part, count in (("train", 10), ("val", 3)):
        for label, name in enumerate(("cat", "dog")):
            (folder / "photos" / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.full((8, 8), 100 * (part == "val") + 50 * label + number, np.uint8)
                Image.fromarray(pixels).save(folder / "photos" / part / name / f"{number}.png")
    return folder / "photos"


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_a_folder_keeps_its_own_validation_part_whole(
    memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path / "cache"))
    folder = photos(tmp_path)
    choice = DatasetChoice("image_folder", {"path": str(folder)}, subset=0.3)
    load_dataset(choice, folder)  # decodes
    part = load_dataset(choice, folder, memory_bytes=memory, seed=4)
    assert isinstance(part.train, StreamedImages if memory == 0 else MemoryImages)
    ((training, validation),) = part.split(0.1, None, seed=4)
    assert (part.whole, len(training), len(validation)) == (20, 6, 6)
    values = positions_in(part)
    assert values[6:] == [100, 101, 102, 150, 151, 152]
    assert [value // 50 for value in values[:6]] == [0, 0, 0, 1, 1, 1]
    assert [part.train.file_name(place) for place in range(6)] == [
        f"train/{'dog' if value >= 50 else 'cat'}/{value % 50}.png" for value in values[:6]
    ]


def test_commands_agree_on_the_images(tmp_path: Path) -> None:
    display = SilentDisplay()
    sweep(tmp_path, SWEEP % ", subset: 0.5", display)
    assert "subset: 30 of 60 images to train and validate on" in display.notes
    weights = next(tmp_path.glob("*/best.safetensors"))
    counts = {
        split: evaluate_checkpoint(weights, EvaluationOptions(tmp_path, split)).images
        for split in ("train", "val", "test")
    }
    assert counts == {"train": 27, "val": 3, "test": 9}
    with pytest.raises(FolderError, match=r"cannot be compared with this one: subset was 0\.5, is now null"):
        sweep(tmp_path, SWEEP % "", SilentDisplay())


def test_the_accuracy_of_the_best_epoch_is_measured_again(tmp_path: Path) -> None:
    display = SilentDisplay()
    sweep(tmp_path, SWEEP % ", subset: 45", display, ["validation=0.4"])
    weights = next(tmp_path.glob("*/best.safetensors"))
    again = evaluate_checkpoint(weights, EvaluationOptions(tmp_path, "val"))
    assert again.accuracy == display.records[-1]["val_accuracy"]


def test_it_is_a_part_of_the_runs_and_of_the_frozen_file() -> None:
    specs = [parse_sweep(SWEEP % text, "f") for text in ("", ", subset: 30", ", subset: 0.5")]
    assert len({expand_runs(spec).runs[0].id for spec in specs}) == 3
    for spec in specs:
        assert parse_sweep(dump_spec(spec), "f").dataset_choice == spec.dataset_choice


def test_a_function_with_an_argument_of_this_name_gets_it(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text("def load(subset=3): ...\ndef other(fold=1): ...\n")
    text = "name: s\nmodel: lenet\ndataset: {name: data.py:%s, subset: 5}\n"
    own, ours = (parse_sweep(text % name, "f", folder=tmp_path).dataset_choice for name in ("load", "other"))
    assert (own.arguments, own.subset) == ({"subset": 5}, None)
    assert (ours.arguments, ours.subset) == ({}, 5)
