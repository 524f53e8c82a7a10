"""What a sweep says of its data before it trains."""

from __future__ import annotations

import torch
from small_sweeps import SMALL, SilentDisplay, sweep

from cnnsweep.config.load import parse_sweep
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.part_counts import count_parts
from cnnsweep.datasets.summary import describe_data, missing_images
from cnnsweep.tuner.label_summary import summarize_labels


def images(labels: list[int]) -> MemoryImages:
    return MemoryImages(torch.zeros(len(labels), 3, 8, 6, dtype=torch.uint8), torch.tensor(labels))


def dataset(train: list[int], test: list[int] | None) -> Dataset:
    found = ("3 files left out: 3 .txt",)
    held = None if test is None else images(test)
    return Dataset("image_folder", images(train), held, ("cat", "dog", "elk"), "", found=found)


def test_classes_parts_balance_and_what_was_left_out_are_told() -> None:
    data = dataset([0] * 20 + [1] * 10 + [2] * 10, [0, 1, 2])
    assert describe_data(data, data.split(0.1, None, 0)) == [
        "data: image_folder, 3 classes (cat, dog, elk); colour images of 8×6",
        "images: 36 to train on, 4 for validation, 3 for testing",
        "images: 3 files left out: 3 .txt",
    ]
    assert describe_data(data, data.split(0.1, 4, 0))[1].startswith("images: 40 in 4 folds, 3 for testing")


def test_a_class_without_images_in_a_part_is_told() -> None:
    data = dataset([0] * 20 + [1] * 19 + [2], [0, 1])
    assert missing_images(data, data.split(0.1, None, 0)) == [
        "no image is left for validation of elk (at most 1 to train and validate on)",
        "no image is left for testing of elk (at most 1 to train and validate on)",
    ]
    whole = dataset([0, 1, 2] * 10, [0, 1, 2])
    assert missing_images(whole, whole.split(0.2, None, 0)) == []


def test_a_fold_that_lacks_a_class_is_told() -> None:
    data = dataset([0] * 20 + [1] * 19 + [2], None)
    assert missing_images(data, data.split(0.1, 4, 0)) == [
        "in one fold no image is left to train on of elk (at most 1 to train and validate on)",
        "in one fold no image is left for validation of elk (at most 1 to train and validate on)",
    ]


def test_every_sweep_begins_with_its_data(tmp_path) -> None:
    display = SilentDisplay()
    sweep(tmp_path, SMALL, display, ["params.lr=0.01", "validation=1"])
    assert display.data[:2] == [
        "data: shapes, 3 classes (circle, square, triangle); grey images of 12×12",
        "images: 59 to train on, 1 for validation, 30 for testing",
    ]
    assert display.messages[0].startswith("no image is left for validation of ")


def test_classes_are_counted_in_each_part() -> None:
    data = dataset([0] * 20 + [1] * 10 + [2] * 10, [0, 1, 1])
    parts = count_parts(data, data.split(0.1, None, 0))
    assert [part.counts for part in parts.parts.values()] == [(18, 9, 9), (2, 1, 1), (1, 2, 0)]
    assert list(count_parts(dataset([0, 1, 2], None), [(torch.arange(3), torch.arange(0))]).parts) == ["training"]


def test_of_folds_the_least_balanced_is_counted() -> None:
    data = dataset([0, 0, 0, 1, 1, 2], None)
    positions = torch.arange(6)
    held_out = ([0, 3], [0, 1, 3], [4, 5])
    splits = [(positions[[n for n in range(6) if n not in part]], torch.tensor(part)) for part in held_out]
    parts = count_parts(data, splits)
    assert (parts.fold, parts.training.counts, parts.validation.counts) == (1, (1, 1, 1), (2, 1, 0))


def test_several_labels_an_image_are_counted_by_label() -> None:
    labels = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]], dtype=torch.uint8)
    several = images([0] * 4)
    several.labels = labels
    data = Dataset("own", several, several, ("cat", "dog", "elk"), "")
    splits = [(torch.tensor([0, 1]), torch.tensor([2, 3]))]
    parts = count_parts(data, splits)
    assert [part.counts for part in parts.parts.values()] == [(2, 1, 0), (2, 1, 0), (4, 2, 0)]
    assert parts.training.is_multi_label
    assert "no image is left to train on of elk" in missing_images(data, splits)[0]
    summary = summarize_labels(parse_sweep(SMALL, "small.yaml"), data, splits)
    assert summary.baselines["val_accuracy"] == 1 / 2
    assert summary.lines[0] == "images: label  training  validation  test"
