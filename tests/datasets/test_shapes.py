import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.shapes import OUTLINES, ShapesOptions, draw_shapes
from cnnsweep.errors import DataError
from cnnsweep.types import DatasetChoice

DEFAULT = ShapesOptions()


@pytest.mark.parametrize("size", [12, 28, 33, 256])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [2, 10])
def test_images_have_the_asked_size_channels_and_classes(size: int, channels: int, classes: int) -> None:
    images, labels = draw_shapes(ShapesOptions(size, channels, classes), "train", 25)
    assert images.shape == (25, channels, size, size)
    assert images.dtype == torch.uint8
    assert images.is_contiguous()
    assert sorted(set(labels.tolist())) == list(range(classes))
    assert images.flatten(1).float().std(1).min() > 5  # every image shows something


def test_the_images_are_the_same_everywhere_for_ever() -> None:
    images, _ = draw_shapes(DEFAULT, "train", 300)
    colour, _ = draw_shapes(ShapesOptions(40, 3, 7, seed=5), "test", 130)
    assert hashlib.sha256(images.numpy()).hexdigest()[:16] == "e4ac2e0c4fca7681"
    assert hashlib.sha256(colour.numpy()).hexdigest()[:16] == "d5cf9748a4069a55"


def test_the_number_of_threads_changes_nothing() -> None:
    threads = torch.get_num_threads()
    drawn = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            drawn.append(draw_shapes(DEFAULT, "train", 200)[0])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*drawn)


def test_a_larger_set_begins_with_the_smaller_one() -> None:
    few, labels_of_few = draw_shapes(DEFAULT, "train", 150)
    many, labels_of_many = draw_shapes(DEFAULT, "train", 400)
    assert torch.equal(many[:150], few)
    assert torch.equal(labels_of_many[:150], labels_of_few)


def test_no_two_images_are_alike() -> None:
    drawn = [
        draw_shapes(options, part, 260)[0]
        for options, part in [(DEFAULT, "train"), (DEFAULT, "test"), (ShapesOptions(seed=1), "train")]
    ]
    distinct = {image.numpy().tobytes() for images in drawn for image in images}
    assert len(distinct) == 3 * 260


@pytest.mark.parametrize("name", OUTLINES)
def test_an_outline_fills_its_circle_and_stays_in_it(name: str) -> None:
    axis = np.linspace(-1.5, 1.5, 301, dtype=np.float32)
    u, v = np.meshgrid(axis, axis)
    inside = OUTLINES[name](u, v) < 0
    assert not inside[np.sqrt(u * u + v * v) > 1.12].any()
    assert 0.15 < inside.sum() / (np.pi * 100**2) < 0.9  # of the unit circle, whose radius is 100 steps


def test_shapes_are_a_data_set_by_name(tmp_path: Path) -> None:
    dataset = load_dataset(DatasetChoice("shapes", {"size": 16, "classes": 3, "train": 30, "test": 12}), tmp_path)
    assert dataset.classes == ("circle", "square", "triangle")
    assert len(dataset.train) == 30
    assert dataset.test is not None
    assert len(dataset.test) == 12
    assert dataset.train.image_shape == (1, 16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 4}, "dataset: shapes: size: found 4, allowed is a whole number from 12 to 256"),
        ({"channels": 2}, "dataset: shapes: channels: found 2, allowed is 1 or 3"),
        ({"classes": 11}, "dataset: shapes: classes: found 11, allowed is a whole number from 2 to 10"),
        ({"train": "many"}, "dataset: shapes: train: found 'many', allowed is a whole number from 1 to 10,000,000"),
        ({"seed": 2**63}, f"dataset: shapes: seed: found {2**63}, allowed is a whole number from 0 to {2**63 - 1:,}"),
        ({"classes": True}, "dataset: shapes: classes: found true, allowed is a whole number from 2 to 10"),
        (
            {"train": 10**7, "size": 256, "channels": 3},
            "dataset: shapes of 10,000,000 + 2,000 images take 1966.5 GB; allowed are 1.0 GB: "
            "give fewer (train, test) or smaller ones (size)",
        ),
        ({"sides": 4}, "dataset: shapes: takes no argument 'sides'; did you mean 'size'?"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(DatasetChoice("shapes", arguments), tmp_path, memory_bytes=10**9)
    assert str(caught.value) == message


def test_shapes_are_bounded_however_much_memory_there_is(tmp_path: Path) -> None:
    arguments = {"train": 10**7, "size": 29}
    with pytest.raises(DataError, match=r"take 8\.4 GB; allowed are 8\.0 GB"):
        load_dataset(DatasetChoice("shapes", arguments), tmp_path, memory_bytes=1 << 50)


def test_drawing_many_tells_how_far_it_is() -> None:
    told: list[tuple[str, int, int]] = []
    options = ShapesOptions(size=12)
    draw_shapes(options, "train", 8192, lambda *what: told.append(what))
    assert told == []  # over in a moment
    draw_shapes(options, "train", 8193, lambda *what: told.append(what))
    assert told == [("drawing train shapes", 8192, 8193), ("drawing train shapes", 8193, 8193)]


def test_a_small_network_learns_them_at_a_good_learning_rate_only() -> None:
    images, labels = draw_shapes(ShapesOptions(size=16, classes=4), "train", 1600)
    pixels = (images.float() - 128) / 64
    accuracies = {}
    for lr in (0.003, 1.0):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 5),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(3),
            torch.nn.Flatten(),
            torch.nn.Linear(128, 4),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr)
        for start in [*range(0, 1200, 50)] * 5:
            optimizer.zero_grad()
            batch = slice(start, start + 50)
            torch.nn.functional.cross_entropy(model(pixels[batch]), labels[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            accuracies[lr] = float((model(pixels[1200:]).argmax(1) == labels[1200:]).float().mean())
    assert accuracies[0.003] > 0.6  # chance is 0.25
    assert accuracies[0.003] > accuracies[1.0] + 0.1
