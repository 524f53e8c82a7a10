"""A last batch of one image, on which some networks cannot train: it joins the one before, and no other run changes."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from small_sweeps import SilentDisplay, sweep, tables, untimed
from torch import nn

from cnnsweep.config.load import parse_sweep
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import FusionError, ModelError
from cnnsweep.models.build import build_model
from cnnsweep.seeding import generator
from cnnsweep.training.data_module import DataModule, FoldData, training_batches
from cnnsweep.training.verify_fused import check_fused
from cnnsweep.tuner.forecast import ForecastOptions, forecast_sweep
from cnnsweep.types import CONSTANT, Hyperparameters, ModelChoice, Run

NETS = """
import torch
from torch import nn
from torch.nn import functional as F

class Norm(nn.Module):  # one value a channel behind the pooling
    def __init__(self, in_channels, num_classes, drop=0.0):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(in_channels, 4, 3), nn.BatchNorm1d(4)
        self.drop, self.last = nn.Dropout(drop), nn.Linear(4, num_classes)
    def forward(self, x):
        return self.last(self.drop(self.bn(F.relu(self.conv(x)).mean((2, 3)))))

class Squeezing(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, num_classes, 12)
    def forward(self, x):
        return self.conv(x).squeeze()

class Plain(Norm):
    def forward(self, x):
        return self.last(F.relu(self.conv(x)).mean((2, 3)))

class Deviation(Plain):  # of one value there is none: the loss is NaN
    def forward(self, x):
        x = F.relu(self.conv(x)).mean((2, 3))
        return self.last((x - x.mean(0)) / (x.std(0) + 1))

class Choosing(Norm):
    def forward(self, x):
        return super().forward(x) if self.drop.p else Plain.forward(self, x)
"""
H = Hyperparameters(
    lr=0.05, batch_size=10, shuffle=True, epochs=2, optimizer="sgd", momentum=0.9, nesterov=False, beta1=None,
    beta2=None, eps=None, weight_decay=0.0, schedule=CONSTANT, label_smoothing=0.0, grad_clip=None,
    augment=(), seed=3,
)  # fmt: skip
IMAGES = 21


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


def make_run(nets: Path, name: str, run_id: str = "run", **changes) -> Run:
    arguments = changes.pop("arguments", {})
    model = ModelChoice(f"{nets}:{name}", arguments, "code")
    return Run(run_id, run_id, model, dataclasses.replace(H, **changes), {}, run_id)


def make_task(images: int = IMAGES) -> DataModule:
    draws = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images + 1, 1, 12, 12), generator=draws, dtype=torch.uint8)
    labels = torch.arange(images + 1) % 3
    part = FoldData(torch.arange(images), torch.arange(images, images + 1), PixelNormalize((0.5,), (0.25,)))
    return DataModule(MemoryImages(pixels, labels), (part,), 3, torch.device("cpu"), "fp32")


@pytest.mark.parametrize(
    ("name", "lengths"),
    [("Norm", [10, 11]), ("Squeezing", [10, 11]), ("Deviation", [10, 11]), ("Plain", [10, 10, 1])],
)
def test_last_image_joins_where_the_network_cannot_train_on_one(nets, name, lengths):
    task, run = make_task(), make_run(nets, name)
    batches = list(training_batches(task, [run], [1]))
    assert [len(images) for images, _ in batches] == task.batch_lengths(run) == lengths
    # The images of an epoch, and their order, are what they always were.
    order = torch.arange(IMAGES)[torch.randperm(IMAGES, generator=generator(3, "order", 1))]
    assert torch.cat([labels[0] for _, labels in batches]).tolist() == (order % 3).tolist()


@pytest.mark.parametrize(("images", "size"), [(20, 10), (22, 10), (21, 20), (21, 21), (9, 10), (2, 1)])
def test_other_remainders_are_left_as_they_are(nets, images, size):
    run = make_run(nets, "Plain", batch_size=size)
    of_norm = make_run(nets, "Norm", batch_size=size)
    stock = [len(part) for part in torch.arange(images).split(size)]
    joined = [21] if (images, size) == (21, 20) else stock
    assert (make_task(images).batch_lengths(run), make_task(images).batch_lengths(of_norm)) == (stock, joined)


def test_figures_are_those_of_a_loop_by_hand_with_the_last_two_batches_as_one(nets, tmp_path):
    sweep(tmp_path / "s", TEXT.format(nets=nets))
    (run,) = tables(tmp_path / "s")["runs"]
    epochs = tables(tmp_path / "s")["epochs"]
    losses = (tmp_path / "s" / run["run"] / "batch_loss.csv").read_text().splitlines()[1:]
    assert len(losses) == 4  # two epochs of two batches: 10 and 11 images
    by_hand = train_by_hand(nets)
    assert [epoch["loss"] for epoch in epochs] == pytest.approx([(10 * a + 11 * b) / 21 for a, b in by_hand], rel=1e-5)
    written = [float(line.split(",")[-1]) for line in losses]
    assert written == pytest.approx([loss for pair in by_hand for loss in pair], rel=1e-5)


TEXT = """
name: s
dataset: {{name: shapes, size: 12, classes: 3, train: 22, test: 3, normalize: none}}
model: {nets}:Norm
validation: 1
params: {{optimizer: sgd, lr: 0.05, batch_size: 10, schedule: cosine, shuffle: false, epochs: 2, seed: 3}}
tensorboard: false
"""


def train_by_hand(nets: Path) -> list[tuple[float, float]]:
    """Return the two batches' losses of each epoch: a stock optimizer, and the cosine over 2 × 2 steps."""
    from cnnsweep.datasets.load import load_dataset
    from cnnsweep.datasets.splits import split_indices

    spec = parse_sweep(TEXT.format(nets=nets), "s.yaml")
    images = load_dataset(spec.dataset_choice, nets.parent).train
    positions, _ = split_indices(images.labels, 1, spec.seed)
    assert len(positions) == IMAGES
    ((pixels, labels),) = images.batches([positions], torch.device("cpu"))
    model = build_model(spec.model, (1, 12, 12), 3, seed=3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for step, part in enumerate([slice(0, 10), slice(10, 21)] * 2):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * step / 4)) / 2
        loss = nn.functional.cross_entropy(model(pixels[part].float() / 255), labels[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return [(losses[0], losses[1]), (losses[2], losses[3])]


FOLDS = """
name: s
dataset: {{name: shapes, size: 12, classes: 3, train: 32, test: 3}}
model: {nets}:Norm
validation: {{folds: 3}}
precision: fp64
params: {{lr: [0.05, 0.01], batch_size: [10, 7], epochs: 2}}
tensorboard: false
"""


def test_groups_of_unequal_folds_train_as_their_runs_do_alone(nets, tmp_path):
    display = SilentDisplay()
    sweep(tmp_path / "alone", FOLDS.format(nets=nets), display)
    assert display.messages == [
        "batch_size 7 and 10 leave a last batch of one image, on which nets.py:Norm (batch norm) cannot train: "
        "it joins the batch before"
    ]
    sweep(tmp_path / "together", FOLDS.format(nets=nets), fuse=2)
    alone, together = untimed(tmp_path / "alone"), untimed(tmp_path / "together")
    # 21, 21 and 22 images in batches of 10, and of 7: 22 leave one
    steps = {run: text.count("\n") - 1 for run, text in alone["batch losses"].items()}
    assert sorted(steps.values()) == [2 * 2] * 4 + [2 * 3] * 2 + [2 * 3] * 4 + [2 * 3] * 2
    assert steps == {run: text.count("\n") - 1 for run, text in together["batch losses"].items()}
    for one, other in zip(alone["rows"], together["rows"], strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], abs=1e-9)
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-9)


def test_batches_of_one_are_refused_before_training_with_what_to_do(nets, tmp_path):
    text = TEXT.format(nets=nets)
    with pytest.raises(ModelError, match=r"model nets.py:Norm: cannot train on a single image \(batch norm\), and "
                                         r"batch_size is 1; use 2 or more"):  # fmt: skip
        sweep(tmp_path / "s", text, overrides=["params.batch_size=[10,1]"])
    assert not (tmp_path / "s" / "journal.jsonl").exists()
    with pytest.raises(ModelError, match="and there is only one training image; add more"):
        sweep(tmp_path / "s", text, overrides=["dataset.train=3", "validation=2"])


def test_plan_foresees_it_too(nets, tmp_path):
    spec = parse_sweep(TEXT.format(nets=nets), "s.yaml")
    notes = forecast_sweep(spec, ForecastOptions(tmp_path / "s", tmp_path, "off", 100)).notes
    (note,) = [one for one in notes if "last batch" in one]
    assert note.startswith("batch_size 10 leaves a last batch of one image, on which nets.py:Norm (batch norm)")


def test_runs_that_differ_in_it_are_no_program(nets):
    runs = [make_run(nets, "Choosing", name, arguments={"drop": drop}) for name, drop in (("a", 0.5), ("b", 0.0))]
    assert [make_task().batch_lengths(run) for run in runs] == [[10, 11], [10, 10, 1]]
    with pytest.raises(FusionError, match="also decides about training on one image"):
        check_fused(runs, make_task())
