"""Mixup and CutMix are torchvision's, and losses see labels that are shared like the images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from added_components import BASE, AddedPackage, added_package, metrics
from torch.nn import functional
from torchvision.transforms import v2

from cnnsweep.augmentations.augment import augment
from cnnsweep.augmentations.base import AUGMENTATIONS
from cnnsweep.augmentations.mix import draw_mix
from cnnsweep.errors import UsageError
from cnnsweep.losses.cross_entropy import CrossEntropy
from cnnsweep.training.label_mix import mixed_mean
from cnnsweep.types import Choice

IMAGES = torch.randint(0, 256, (9, 3, 12, 10), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
ITEMS = torch.arange(9)
SIZE = (12, 10)
STEPS = range(400)


def drawn(name: str, step: int, **arguments):
    return draw_mix((Choice(name, arguments),), 3, 2, step, SIZE)


def mixed(name: str, step: int, **arguments) -> torch.Tensor:
    return augment(IMAGES, ITEMS, (Choice(name, arguments),), 3, 2, step)


@pytest.mark.parametrize("step", range(5))
def test_mixup_is_torchvisions(step):
    share = drawn("mixup", step).share
    expected = v2.MixUp(num_classes=4).transform(IMAGES.double(), {"lam": share, "labels": None, "batch_size": 9})
    assert (mixed("mixup", step).double() - expected).abs().max() <= 0.51  # float32 rounds a half


@pytest.mark.parametrize("step", range(5))
def test_cutmix_is_torchvisions(step):
    mix = drawn("cutmix", step)
    top, left, bottom, right = mix.box
    given = {"box": (left, top, right, bottom), "lam_adjusted": mix.share, "labels": None, "batch_size": 9}
    assert torch.equal(mixed("cutmix", step), v2.CutMix(num_classes=4).transform(IMAGES, given))
    assert mix.share == 1 - (bottom - top) * (right - left) / 120


def test_boxes_and_shares_are_drawn_as_torchvision_draws_them_an_image_keeping_at_least_half():
    torch.manual_seed(0)
    cutmix = v2.CutMix(num_classes=4)
    cutmix._dist = torch.distributions.Uniform(0.5, 1)  # of Beta(1, 1) the larger of share and rest
    theirs = [cutmix.make_params([torch.zeros(9, 3, *SIZE)]) for _ in range(4000)]
    mine = [drawn("cutmix", step) for step in range(4000)]
    assert min(one.share for one in mine) >= 0.5
    left, top, right, bottom = torch.tensor([one["box"] for one in theirs]).T
    expected = torch.stack([top, left, bottom, right, torch.tensor([one["lam_adjusted"] * 10 for one in theirs])], 1)
    found = torch.tensor([[*one.box, one.share * 10] for one in mine])
    assert found.mean(0).numpy() == pytest.approx(expected.mean(0).numpy(), abs=0.3)  # 4 deviations
    assert found.std(0).numpy() == pytest.approx(expected.std(0).numpy(), rel=0.06)
    shares = torch.tensor([drawn("mixup", step, alpha=0.4).share for step in range(4000)])
    beta = torch.distributions.Beta(0.4, 0.4).sample((4000,))
    assert shares.mean().item() == pytest.approx(torch.maximum(beta, 1 - beta).mean().item(), abs=0.012)  # 4 deviations
    assert shares.min() >= 0.5


def test_a_mix_depends_on_seed_epoch_and_batch_and_some_batches_stay():
    assert torch.equal(mixed("mixup", 7), mixed("mixup", 7))
    assert len({drawn("mixup", step).share for step in STEPS}) == 400
    assert draw_mix((Choice("mixup"),), 4, 2, 0, SIZE) != draw_mix((Choice("mixup"),), 3, 2, 0, SIZE)
    assert draw_mix((Choice("mixup"),), 3, 3, 0, SIZE) != draw_mix((Choice("mixup"),), 3, 2, 0, SIZE)
    stay = sum(drawn("cutmix", step, probability=0.25) is None for step in STEPS)
    assert 260 < stay < 340
    both = [draw_mix((Choice("mixup"), Choice("cutmix")), 3, 2, step, SIZE) for step in STEPS]
    assert 160 < sum(one.box is None for one in both) < 240


def test_it_comes_after_the_changes_of_single_images():
    flipped = augment(IMAGES, ITEMS, (Choice("flip"),), 3, 2)
    both = augment(IMAGES, ITEMS, (Choice("mixup"), Choice("flip")), 3, 2)
    assert torch.equal(both, drawn("mixup", 0).of_images(flipped))
    alone = augment(IMAGES[:1], ITEMS[:1], (Choice("cutmix"),), 3, 2)
    assert torch.equal(alone, IMAGES[:1]), "a single image has no other"


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_loss_is_the_cross_entropy_of_shared_labels(label_smoothing):
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(9) % 4
    loss = CrossEntropy(label_smoothing=label_smoothing)
    found = mixed_mean(loss.mean, logits, labels, labels.roll(1), torch.tensor(0.7))
    hot = functional.one_hot(labels, 4).double()
    expected = functional.cross_entropy(logits, 0.7 * hot + 0.3 * hot.roll(1, 0), label_smoothing=label_smoothing)
    assert found.item() == pytest.approx(expected.item(), rel=1e-7)  # the share is float32


def test_the_loss_of_several_labels_is_that_of_shared_ones():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 9, 4, generator=random, dtype=torch.float64)  # of two runs
    labels = torch.randint(0, 2, (2, 9, 4), generator=random, dtype=torch.uint8)
    shares = torch.tensor([0.75, 1.0], dtype=torch.float64)
    found = mixed_mean(CrossEntropy().mean, logits, labels, labels.roll(1, 1), shares)
    shared = shares[:, None, None] * labels + (1 - shares[:, None, None]) * labels.roll(1, 1)
    expected = functional.binary_cross_entropy_with_logits(logits, shared, reduction="none").mean((1, 2))
    assert found.numpy() == pytest.approx(expected.numpy(), rel=1e-12)


@pytest.fixture
def package(tmp_path: Path) -> Iterator[AddedPackage]:
    yield from added_package(tmp_path, AUGMENTATIONS)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_sweep_trains_with_them_alone_and_fused_and_resumes(package, loss):
    params = {
        "lr": [0.01, 0.02],
        "augment": ["none", "mixup", {"cutmix": {"probability": 0.5}, "flip": True}],
        "class_weight": "balanced",
        "loss_function": loss,
    }
    whole = package.train("whole", **params)
    assert metrics(package.train_with_a_break("broken", **params)) == metrics(whole)
    found = metrics(package.train_fused("fused", **params))
    for mine, theirs in zip(found, metrics(whole), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)
    assert len(set(metrics(whole, "loss")[0])) == 12
    seeds = metrics(package.train("seeds", augment="mixup", seed=[1, 2]), "loss")
    assert len(set(seeds[0])) == 4


def test_what_is_recorded_of_training_is_the_mixed_loss_and_the_own_labels(package):
    """With a learning rate near 0 the network is that of its first epoch."""
    plain = package.train("plain", lr=1e-12, augment="none")
    mix = package.train("mix", lr=1e-12, augment="mixup")
    assert metrics(plain, "val_loss") == [pytest.approx(one, rel=1e-6) for one in metrics(mix, "val_loss")]
    assert metrics(plain, "loss") != metrics(mix, "loss")


def test_data_of_one_class_are_refused(package, monkeypatch):
    package.file.write_text(
        "import torch\n"
        "def load():\n"
        "    return (torch.zeros(20, 1, 12, 12, dtype=torch.uint8), torch.zeros(20).long()), None\n"
    )
    monkeypatch.setitem(BASE, "dataset", f"{package.file}:load")
    with pytest.raises(UsageError, match="augmentation mixup: mixes labels, and the data set has 1 class"):
        package.train("s", augment="mixup")
