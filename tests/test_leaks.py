"""Nothing leaks from part to part: trained, chosen and tested on are different images, by the path that trains."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sweeps import SMALL, SilentDisplay, sweep, tables
from torch import nn

import cnnsweep
from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.shapes import ShapesOptions, draw_shapes
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint, evaluate_chosen
from cnnsweep.refit import refit_chosen
from cnnsweep.storage.best_weights import read_description
from cnnsweep.sweep import SweepOptions
from cnnsweep.training.data_module import DataModule, training_batches, validation_batches
from cnnsweep.types import Choice

TRAIN, TEST, SIDE = 24, 6, 4


def pictures(count: int, seed: int, low: int = 1, high: int = 256) -> np.ndarray:
    """Return images no two of which are alike, nor are their mirror images."""
    return np.random.default_rng(seed).integers(low, high, (count, 1, SIDE, SIDE), dtype=np.uint8)


# An own network that writes down every image that it is given, and whether it was in training mode.
CODE = """
import json
import uuid
import numpy as np
import torch
from torch import nn


def pictures(count, seed):
    return np.random.default_rng(seed).integers(1, 256, (count, 1, 4, 4), dtype=np.uint8)


def data():
    train, test = pictures(24, 0), pictures(6, 1)
    return (train, np.arange(24) % 3), (test, np.arange(6) % 3)


class Spy(nn.Module):
    def __init__(self, in_channels, num_classes, image_size, log):
        super().__init__()
        self.log, self.name = log, uuid.uuid4().hex
        self.linear = nn.Linear(16, num_classes)

    def forward(self, x):
        seen = (x.detach() * 255).round().to(torch.uint8).flatten(1).tolist()
        with open(self.log, "a") as file:
            file.write(json.dumps([self.name, self.training, seen]) + "\\n")
        return self.linear(x.flatten(1))
"""
SWEEP = """
name: spied
dataset: {name: own.py:data, normalize: none}
model: {name: own.py:Spy, log: LOG}
params: {lr: 0.01, batch_size: 5, epochs: 2}
tensorboard: false
"""


@dataclasses.dataclass
class Seen:
    """The images that a network saw, by part and place, and how many that are none: [measured, trained on]."""

    training: list[tuple[str, int]]
    measured: list[tuple[str, int]]
    strangers: list[int]


class Spied:
    """A sweep in a folder, and which images its network saw in which mode."""

    def __init__(self, root: Path) -> None:
        (root / "own.py").write_text(textwrap.dedent(CODE))
        self.folder = root / "runs"
        self._log = root / "seen.jsonl"
        self._text = SWEEP.replace("own.py", f"{root}/own.py").replace("LOG", str(self._log))
        self._names = {
            image.tobytes(): (part, place)
            for part, images in (("train", pictures(TRAIN, 0)), ("test", pictures(TEST, 1)))
            for place, image in enumerate(images)
        }

    def run(self, *overrides: str) -> None:
        sweep(self.folder, self._text, overrides=overrides)

    def networks(self) -> list[Seen]:
        """Return what each network saw, but for those that saw no image of the data set: they were only tried."""
        found: dict[str, Seen] = {}
        for line in self._log.read_text().splitlines():
            name, is_training, images = json.loads(line)
            seen = found.setdefault(name, Seen([], [], [0, 0]))
            for image in map(bytes, images):
                if image in self._names:
                    (seen.training if is_training else seen.measured).append(self._names[image])
                else:
                    seen.strangers[is_training] += 1
        return [seen for seen in found.values() if seen.measured or seen.training]

    def forget(self) -> None:
        self._log.write_text("")

    def evaluate(self, split: str, checkpoint: Path | None = None) -> None:
        self.forget()
        evaluate_checkpoint(checkpoint or self.folder, EvaluationOptions(self.folder, split, "cpu", allow_code=True))


@pytest.fixture
def spied(tmp_path: Path) -> Spied:
    return Spied(tmp_path)


def expected_parts(validation: float = 0.25, folds: int | None = None) -> list[tuple[set[Any], set[Any]]]:
    labels = torch.arange(TRAIN) % 3
    dataset = Dataset("own", MemoryImages(torch.from_numpy(pictures(TRAIN, 0)), labels), None, ("a", "b", "c"), "")
    return [
        ({("train", int(k)) for k in training}, {("train", int(k)) for k in held_out})
        for training, held_out in dataset.split(validation, folds, 0)
    ]


def test_each_part_is_seen_where_it_should_be_and_nowhere_else(spied: Spied) -> None:
    spied.run("validation=0.25")
    ((training, held_out),) = expected_parts()
    assert len(training) + len(held_out) == TRAIN
    (trained,) = [seen for seen in spied.networks() if seen.training]
    assert sorted(trained.training) == sorted([*training, *training])  # each image once an epoch
    assert {image for seen in spied.networks() for image in seen.measured} == held_out
    for split, part in (("train", training), ("val", held_out), ("test", {("test", k) for k in range(TEST)})):
        spied.evaluate(split)
        (seen,) = spied.networks()
        assert sorted(seen.measured) == sorted(part)
        assert seen.training == []


def test_in_folds_each_image_is_held_out_once_and_never_trained_on_then(spied: Spied) -> None:
    spied.run("validation={folds: 3}", "params.epochs=1")
    parts = expected_parts(0.1, 3)
    trained = [seen for seen in spied.networks() if seen.training]
    assert len(trained) == 3
    for seen, (training, held_out) in zip(trained, parts, strict=True):  # alone and one after the other, by fold
        assert set(seen.training) == training
        assert set(seen.measured) == held_out
        assert not training & held_out
    assert sorted(image for seen in trained for image in seen.measured) == [("train", k) for k in range(TRAIN)]
    for weights in spied.folder.glob("*/best.safetensors"):
        training, held_out = parts[read_description(weights)["split"]["fold"]]
        for split, part in (("train", training), ("val", held_out)):
            spied.evaluate(split, weights)
            (seen,) = spied.networks()
            assert sorted(seen.measured) == sorted(part)


def test_held_out_and_test_images_are_not_augmented(spied: Spied) -> None:
    spied.run("validation=0.25", "params.augment={flip: true, crop: 2, cutout: 2}")
    (trained,) = [seen for seen in spied.networks() if seen.strangers[True] > 10]  # changed images
    assert trained.strangers[False] == 0
    assert {image for seen in spied.networks() for image in seen.measured} == expected_parts()[0][1]
    for split in ("train", "val", "test"):
        spied.evaluate(split)
        (seen,) = spied.networks()
        assert seen.strangers == [0, 0]


def test_a_refit_trains_on_training_and_validation_images_and_on_no_test_image(spied: Spied) -> None:
    spied.run("validation=0.25")
    spied.forget()
    options = SweepOptions(spied.folder, spied.folder, fuse="off")
    refit_chosen(spied.folder, options, [SilentDisplay()], device="cpu", allow_code=True)
    for seen in spied.networks():
        assert set(seen.training) == {("train", k) for k in range(TRAIN)}
        assert seen.measured == []


# ---- splits, for any sizes -----------------------------------------------------------------------------------------


def dataset_with(labels: list[int], own_validation: int = 0) -> Dataset:
    images = MemoryImages(torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8), torch.tensor(labels))
    return Dataset("any", images, None, tuple("abcde"), "", own_validation)


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=120),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31),
)
def test_training_and_validation_part_any_images_between_them(labels: list[int], share: float, seed: int) -> None:
    count = round(share * len(labels))
    if not 0 < count < len(labels):
        return
    for validation in (share, count):
        ((training, held_out),) = dataset_with(labels).split(validation, None, seed)
        assert len(held_out) == count
        assert sorted(training.tolist() + held_out.tolist()) == list(range(len(labels)))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), labels=st.lists(st.integers(0, 4), min_size=2, max_size=120), seed=st.integers(0, 2**31))
def test_folds_part_any_images_between_them(data: st.DataObject, labels: list[int], seed: int) -> None:
    folds = data.draw(st.integers(2, min(12, len(labels))))
    parts = dataset_with(labels).split(0.1, folds, seed)
    assert len(parts) == folds
    for training, held_out in parts:
        assert sorted(training.tolist() + held_out.tolist()) == list(range(len(labels)))
    assert sorted(int(k) for _, held_out in parts for k in held_out) == list(range(len(labels)))
    ((training, held_out),) = dataset_with(labels).split(0.1, folds, seed, only_fold=folds - 1)
    assert torch.equal(held_out, parts[-1][1])
    assert torch.equal(training, parts[-1][0])


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=2, max_size=60), own=st.integers(1, 59))
def test_an_own_validation_part_is_the_last_images(labels: list[int], own: int) -> None:
    own = min(own, len(labels) - 1)
    ((training, held_out),) = dataset_with(labels, own).split(0.1, None, 0)
    assert training.tolist() + held_out.tolist() == list(range(len(labels)))
    assert len(held_out) == own


# ---- what is measured, by hand -------------------------------------------------------------------------------------


NUMBERS = """
name: numbers
dataset: {name: OWN:data}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: []}
params: {lr: 0.01, batch_size: 5, epochs: 1}
tensorboard: false
"""
# The held-out images are white and the others dark, so that a mean over both is far from that of either.
NUMBERS_CODE = """
import numpy as np

def data(white=()):
    images = np.random.default_rng(0).integers(0, 100, (24, 3, 4, 4), dtype=np.uint8)
    images[list(white)] = 255
    return (images, np.arange(24) % 3), (np.full((6, 3, 4, 4), 180, np.uint8), np.arange(6) % 3)
"""


@pytest.mark.parametrize("validation", ["0.25", "6", "{folds: 3}"])
def test_mean_and_deviation_are_of_the_images_trained_on_alone(validation: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(NUMBERS_CODE)
    text = NUMBERS.replace("OWN", f"{tmp_path}/own.py")
    folds = 3 if "folds" in validation else None
    held_out = expected_parts(0.25, folds)[-1][1]
    white = sorted(k for _, k in held_out)
    text = text.replace("data}", f"data, white: {white}}}")
    spec = parse_sweep(text, "numbers.yaml", [f"validation={validation}"])
    dataset = load_dataset(spec.dataset_choice, tmp_path)
    ((images, _),) = dataset.train.batches([torch.arange(TRAIN)], torch.device("cpu"))
    task = DataModule.load(spec, dataset, torch.device("cpu"))
    for part in task.parts:
        own = images.numpy()[part.training] / 255
        assert part.pixels.mean == pytest.approx(own.mean((0, 2, 3)), abs=1e-12)
        assert part.pixels.std == pytest.approx(own.std((0, 2, 3)), abs=1e-12)
    last = task.parts[-1]
    assert sorted(last.validation.tolist()) == white
    everything = images.numpy() / 255
    assert np.abs(np.array(last.pixels.mean) - everything.mean((0, 2, 3))).min() > 0.1
    # And so it is in the checkpoint, with which the sweep goes into the world.
    sweep(tmp_path / "runs", text, overrides=[f"validation={validation}"])
    written = [
        read_description(path)["pixels"]["mean"] for path in sorted((tmp_path / "runs").glob("*/best.safetensors"))
    ]
    assert sorted(written) == [pytest.approx(list(mean)) for mean in sorted(part.pixels.mean for part in task.parts)]


# Takes each image for the class that its first pixel says. Test images say another class than their label.
ORACLE_CODE = """
import numpy as np
import torch
from torch import nn

def data():
    def part(count, shift, seed):
        images = np.random.default_rng(seed).integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)
        labels = np.arange(count) % 3
        images[:, 0, 0, 0] = (labels + shift) % 3
        return images, labels
    return part(24, 0, 0), part(9, 1, 1), ["a", "b", "c"]


class Oracle(nn.Module):
    def __init__(self, in_channels, num_classes, image_size):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, x):
        said = (x[:, 0, 0, 0] * 255).round().long().clamp(0, 2)
        return self.scale * nn.functional.one_hot(said, 3).to(x.dtype)
"""
ORACLE = """
name: oracle
dataset: {name: OWN:data, normalize: none}
model: OWN:Oracle
params: {lr: 1.0e-6, batch_size: 5, epochs: 1}
tensorboard: false
"""


def test_what_is_right_on_the_images_trained_on_and_wrong_on_all_test_images_is_measured_so(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(ORACLE_CODE)
    folder = tmp_path / "runs"
    sweep(folder, ORACLE.replace("OWN", f"{tmp_path}/own.py"))
    assert tables(folder)["runs"][0]["val_accuracy"] == 1
    for split, accuracy, images in (("train", 1.0, 22), ("val", 1.0, 2), ("test", 0.0, 9)):
        options = EvaluationOptions(tmp_path, split, "cpu", allow_code=True)
        found = evaluate_checkpoint(folder, options)
        assert (found.accuracy, found.images) == (accuracy, images)
        (chosen,) = evaluate_chosen(folder, options).evaluations
        assert (chosen.accuracy, chosen.images) == (accuracy, images)
    assert [list(row) for row in found.confusion] == [[0, 3, 0], [0, 0, 3], [3, 0, 0]]


def test_test_figures_are_those_of_a_loop_by_hand_over_the_test_images(tmp_path: Path) -> None:
    sweep(tmp_path, SMALL, overrides=["params.lr=0.01"])
    found = evaluate_checkpoint(tmp_path, EvaluationOptions(tmp_path, "test", "cpu"))
    (weights,) = tmp_path.glob("*/best.safetensors")
    pixels = read_description(weights)["pixels"]
    model = cnnsweep.load(tmp_path).best.model()
    options = ShapesOptions(size=12, classes=3, train=60, test=30)
    expected = {}
    for part, count in (("test", 30), ("train", 60)):
        images, labels = draw_shapes(options, part, count, lambda *_: None)
        with torch.no_grad():
            logits = model((images / 255 - pixels["mean"][0]) / pixels["std"][0])
        confusion = [[int(((labels == t) & (logits.argmax(1) == p)).sum()) for p in range(3)] for t in range(3)]
        expected[part] = confusion, nn.functional.cross_entropy(logits, labels).item()
    assert [list(row) for row in found.confusion] == expected["test"][0]
    assert found.loss == pytest.approx(expected["test"][1], rel=1e-5)
    assert found.loss != pytest.approx(expected["train"][1], rel=1e-3)


# ---- the batches of runs that train as one program -----------------------------------------------------------------


def test_runs_that_train_together_see_their_own_part_alone(tmp_path: Path) -> None:
    text = SMALL.replace("augment: flip", "augment: none").replace("dropout: 0.2", "dropout: 0")
    spec = parse_sweep(text, "small.yaml", ["validation=0.25", "dataset.normalize=none"])
    dataset = load_dataset(spec.dataset_choice, tmp_path)
    images = MemoryImages(
        torch.arange(60, dtype=torch.uint8).view(60, 1, 1, 1).expand(60, 1, 12, 12).contiguous(), dataset.train.labels
    )
    task = DataModule.load(spec, dataclasses.replace(dataset, train=images), torch.device("cpu"))
    runs = expand_runs(spec, 100).runs
    other = dataclasses.replace(runs[1], hyperparameters=dataclasses.replace(runs[1].hyperparameters, seed=9))
    (part,) = task.parts
    seen = torch.cat(
        [(x[:, :, 0, 0] * 255).round().long() for x, _ in training_batches(task, [runs[0], other], [1, 2])]
    )
    assert seen.shape == (45, 2)
    for lane in range(2):
        assert sorted(seen[:, lane].tolist()) == part.training.tolist()
    assert seen[:, 0].tolist() != seen[:, 1].tolist()
    augmented = [
        dataclasses.replace(
            run,
            hyperparameters=dataclasses.replace(
                run.hyperparameters,
                augment=(Choice("flip"), Choice("crop", {"padding": 2}), Choice("cutout", {"side": 2})),
            ),
        )
        for run in (runs[0], other)
    ]
    held_out = torch.cat([(x * 255).round().long() for x, _ in validation_batches(task, augmented)])
    assert held_out[:, 0, 0, 0].tolist() == part.validation.tolist()
    assert (held_out == held_out[:, :1, :1, :1]).all()
