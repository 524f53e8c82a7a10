"""Augmentations are those of torchvision's v2 transforms, pixel by pixel, for the parameters that were drawn.

Two differences are allowed. Where torchvision rounds a sum of two products once, and we twice, a level may differ by 1.
Where a source coordinate is halfway between two pixels but for its last digits, `nearest` may take the other one.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as reference

from cnnsweep.augmentations import colors, levels
from cnnsweep.augmentations.augment import Draws, augment
from cnnsweep.augmentations.base import whole
from cnnsweep.augmentations.boxes import draw_boxes
from cnnsweep.augmentations.operations import BINS, NAMES, Strengths, transformed
from cnnsweep.augmentations.rotate import ANGLES, angle
from cnnsweep.types import Choice

THEIRS = (
    *("Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast"),
    *("Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize"),
)
TRIVIAL = Strengths(0.99, (32, 32), 135, 0.99, 6)
SEED, EPOCH = 7, 3


def smooth_images(count: int, channels: int = 3, height: int = 32, width: int = 24) -> Tensor:
    """Return random pictures with structure: noise alone would hide errors of one pixel or one level."""
    random = torch.Generator().manual_seed(count)
    coarse = torch.rand(count, channels, 6, 6, generator=random)
    fine = torch.rand(count, channels, height, width, generator=random)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    pixels = (smooth + 0.15 * fine) * torch.rand(count, 1, 1, 1, generator=random) * 300 - 20
    return pixels.clamp(0, 255).to(torch.uint8)


def levels_apart(mine: Tensor, theirs: Tensor) -> tuple[int, float]:
    """Return the largest difference, and the share of pixels that differ."""
    assert mine.shape == theirs.shape
    assert mine.dtype == theirs.dtype == torch.uint8
    apart = (mine.int() - theirs.int()).abs()
    return int(apart.max()), (apart > 0).float().mean().item()


def drawn(name: str, items: Tensor, count: int) -> Tensor:
    return Draws(SEED, EPOCH, items).of(name, count)


def changed(images: Tensor, items: Tensor, name: str, **arguments: Any) -> Tensor:
    return augment(images, items, (Choice(name, arguments),), SEED, EPOCH)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("operation", range(14), ids=NAMES)
@pytest.mark.parametrize("kind", ["trivial", "rand"])
def test_an_operation_is_torchvisions_at_every_magnitude(kind: str, operation: int, interpolation: str) -> None:
    theirs = v2.TrivialAugmentWide() if kind == "trivial" else v2.RandAugment()
    height, width = 32, 24
    share = 150 / 331
    mine = TRIVIAL if kind == "trivial" else Strengths(0.3, (share * height, share * width), 30, 0.9, 4)
    magnitudes, is_signed = theirs._AUGMENTATION_SPACE[THEIRS[operation]]
    values = magnitudes(BINS, height, width)
    every = list(itertools.product(range(BINS), (0, 1)))
    images = smooth_images(len(every))
    bins, signs = torch.tensor(every).T
    result = transformed(images.clone(), (torch.full((len(every),), operation), bins, signs), mine, interpolation)
    expected = []
    for image, (number, sign) in zip(images, every, strict=True):
        magnitude = 0.0 if values is None else float(values[number]) * (-1 if is_signed and sign else 1)
        mode = InterpolationMode(interpolation)
        expected.append(theirs._apply_image_or_video_transform(image, THEIRS[operation], magnitude, mode, {}))
    most, share_apart = levels_apart(result, torch.stack(expected))
    if interpolation == "nearest" and NAMES[operation] in ("shear_x", "shear_y", "rotate"):
        assert share_apart < 0.002
    elif (
        NAMES[operation] in ("posterize", "solarize", "autocontrast", "equalize", "identity")
        or "trans" in NAMES[operation]
    ):
        assert most == 0
    else:
        assert most <= 1
        assert share_apart < 0.01


@pytest.mark.parametrize(("name", "arguments"), [("trivial", {}), ("rand", {"magnitude": 20, "operations": 3})])
def test_operations_magnitudes_and_signs_are_drawn_by_numbers_of_their_own(
    name: str, arguments: dict[str, int]
) -> None:
    images, items = smooth_images(200), torch.arange(200)
    share = 150 / 331
    strengths = TRIVIAL if name == "trivial" else Strengths(0.3, (share * 32, share * 24), 30, 0.9, 4)
    numbers = drawn(name, items, 4 if name == "trivial" else 6)
    expected = images.clone()
    for first in (0,) if name == "trivial" else (0, 2, 4):
        bins = whole(numbers[:, 1], BINS) if name == "trivial" else torch.full((200,), 20)
        sign = numbers[:, 2] if name == "trivial" else numbers[:, first + 1]
        step = whole(numbers[:, first], 14), bins, (sign >= 0.5).long()
        expected = transformed(expected, step, strengths, "nearest")
    assert torch.equal(changed(images, items, name, **arguments), expected)


def test_rotation_is_torchvisions() -> None:
    images, items = smooth_images(50), torch.arange(100, 150)
    for interpolation in ("nearest", "bilinear"):
        result = changed(images, items, "rotate", degrees=40.0, interpolation=interpolation)
        numbers = whole(drawn("rotate", items, 2)[:, 1], ANGLES).tolist()
        expected = [
            reference.rotate(image, angle(40, number), InterpolationMode(interpolation))
            for image, number in zip(images, numbers, strict=True)
        ]
        most, share = levels_apart(result, torch.stack(expected))
        assert share < 0.001
        assert most <= 1 or interpolation == "nearest"


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_resized_crop_is_torchvisions(channels: int) -> None:
    images, items = smooth_images(60, channels), torch.arange(60)
    result = changed(images, items, "resized_crop", scale=[0.1, 1.0])
    boxes = draw_boxes(drawn("resized_crop", items, 22), (32, 24), (0.1, 1.0), (3 / 4, 4 / 3))
    for exact, floating in ((False, False), (True, True)):
        expected = []
        for image, box in zip(images.float() if floating else images, boxes.tolist(), strict=True):
            one = reference.resized_crop(image, *box, size=[32, 24], antialias=True)
            expected.append(one.round().to(torch.uint8))
        most, share = levels_apart(result, torch.stack(expected))
        assert most <= 1
        assert share < (0.002 if exact else 0.35)  # halves; rounding twice, of uint8 on CPUs, moves many


def test_boxes_are_drawn_as_torchvision_draws_them() -> None:
    """Area and proportions as in `RandomResizedCrop` and `RandomErasing`: equal in distribution."""
    torch.manual_seed(0)
    items, image = torch.arange(4000), torch.zeros(3, 30, 40)
    crop = v2.RandomResizedCrop((30, 40))
    theirs = torch.tensor([[*map(float, crop.make_params([image]).values())] for _ in range(4000)])
    mine = draw_boxes(drawn("a", items, 22), (30, 40), (0.08, 1.0), (3 / 4, 4 / 3)).float()
    assert mine.mean(0).numpy() == pytest.approx(theirs.mean(0).numpy(), abs=0.6)  # 4 deviations of a mean
    assert mine.std(0).numpy() == pytest.approx(theirs.std(0).numpy(), rel=0.06)
    erase = v2.RandomErasing()
    found = [erase.make_params([image]) for _ in range(4000)]
    theirs = torch.tensor([[float(one[key]) for key in "ijhw"] for one in found])
    mine = draw_boxes(drawn("b", items, 22), (30, 40), (0.02, 0.33), (0.3, 3.3), smaller=True).float()
    assert mine.mean(0).numpy() == pytest.approx(theirs.mean(0).numpy(), abs=0.7)
    assert mine.std(0).numpy() == pytest.approx(theirs.std(0).numpy(), rel=0.06)


@pytest.mark.parametrize(("ratio", "size"), [((2.0, 3.0), (20, 20)), ((0.1, 0.2), (20, 20)), ((0.9, 1.1), (5, 50))])
def test_a_part_that_never_fits_is_torchvisions_too(ratio: tuple[float, float], size: tuple[int, int]) -> None:
    box = draw_boxes(torch.full((1, 22), 0.999), size, (1.0, 1.0), ratio)
    theirs = v2.RandomResizedCrop(size, (1.0, 1.0), ratio).make_params([torch.zeros(3, *size)])
    assert box[0].tolist() == [theirs[key] for key in ("top", "left", "height", "width")]


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_jitter_is_torchvisions(channels: int) -> None:
    images, items = smooth_images(200, channels), torch.arange(200)
    ranges = {"brightness": (0.5, 1.5), "contrast": (0.2, 1.8), "saturation": (0.0, 2.0), "hue": (-0.3, 0.3)}
    given = {name: list(pair) for name, pair in ranges.items() if channels == 3 or name in ("brightness", "contrast")}
    others = {} if channels == 3 else {"saturation": 0.0}
    result = changed(images, items, "color_jitter", **given, **others)
    numbers = drawn("color_jitter", items, 5)
    orders = list(itertools.permutations(range(len(given))))
    jitter = v2.ColorJitter(**ranges)
    expected = []
    for image, row in zip(images, numbers, strict=True):
        factors = {
            f"{name}_factor": float(row[1 + place] * (high - low) + low) if name in given else None
            for place, (name, (low, high)) in enumerate(ranges.items())
        }
        order = orders[int(row[0] * len(orders))]
        expected.append(jitter.transform(image, {"fn_idx": order, **factors}))
    apart = (result.int() - torch.stack(expected).int()).abs()
    # A level that differs by 1 early may differ by more after the others multiply it.
    assert (apart > 1).float().mean() < 0.001
    assert apart.max() <= 5


@pytest.mark.parametrize("shift", [-0.5, -0.13, 0.0, 0.2, 0.5])
def test_hue_is_torchvisions(shift: float) -> None:
    images = smooth_images(40)
    result = colors.hue(images, torch.full((40,), shift))
    most, share = levels_apart(result, reference.adjust_hue(images, shift))
    assert most <= 1
    assert share < 0.05


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_than_three_have_no_colour_and_the_mean_of_all_levels(channels: int) -> None:
    images = smooth_images(9, channels)
    factors = torch.linspace(0, 2, 9)
    assert torch.equal(colors.saturation(images, factors), images)
    result = levels.with_table(images, levels.contrast(images, factors))
    means = images.double().mean((1, 2, 3), keepdim=True)
    expected = (images * factors[:, None, None, None] + means * (1 - factors[:, None, None, None])).clamp(0, 255)
    assert levels_apart(result, expected.to(torch.uint8))[0] <= 1


def test_erased_rectangles_are_torchvisions() -> None:
    images, items = smooth_images(300), torch.arange(300)
    result = changed(images, items, "erase", probability=0.6, value=9)
    numbers = drawn("erase", items, 23)
    boxes = draw_boxes(numbers[:, 1:], (32, 24), (0.02, 0.33), (0.3, 3.3), smaller=True)
    expected = [
        reference.erase(image, *box, torch.tensor(9)) if row[0] < 0.6 else image
        for image, row, box in zip(images, numbers, boxes.tolist(), strict=True)
    ]
    assert torch.equal(result, torch.stack(expected))


def test_flips_are_torchvisions() -> None:
    images, items = smooth_images(200), torch.arange(200)
    for name, flip in (("flip", reference.horizontal_flip), ("vertical_flip", reference.vertical_flip)):
        is_flipped = drawn(name, items, 1)[:, 0] < 0.3
        expected = torch.where(is_flipped[:, None, None, None], flip(images), images)
        assert torch.equal(changed(images, items, name, probability=0.3), expected)


def test_operations_are_drawn_evenly() -> None:
    numbers = drawn("trivial", torch.arange(14_000), 4)
    counts = torch.bincount(whole(numbers[:, 0], 14), minlength=14)
    assert counts.min() > 1000 - 5 * math.sqrt(1000)
    assert counts.max() < 1000 + 5 * math.sqrt(1000)
