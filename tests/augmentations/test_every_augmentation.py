"""The contract of augmentations, for every built-in one that changes images one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from added_components import AddedPackage, added_package, metrics

from cnnsweep.augmentations import batches
from cnnsweep.augmentations.augment import augment
from cnnsweep.augmentations.base import APPLIED, AUGMENTATIONS, in_order
from cnnsweep.augmentations.mix import Mix
from cnnsweep.config.dump import as_written
from cnnsweep.config.load import parse_sweep
from cnnsweep.types import Choice

# Strong, so that every image is likely to change; beside the usual ones.
STRONG = {
    "rotate": ["{rotate: {degrees: 90, interpolation: bilinear}}", "{rotate: {probability: 0.5}}"],
    "resized_crop": ["{resized_crop: [0.2, 0.5]}"],
    "color_jitter": [
        "{color_jitter: {hue: 0.5, brightness: [0.2, 1]}}",
        "{color_jitter: {contrast: 0, saturation: 0}}",
    ],
    "erase": ["{erase: {probability: 1, value: 7}}"],
    "trivial": ["{trivial: {probability: 0.5, interpolation: bilinear}}"],
    "rand": ["{rand: {magnitude: 30, operations: 5}}", "{rand: {interpolation: bilinear}}"],
    "flip": ["{flip: {probability: 0.9}}"],
}
NAMES = [name for name in AUGMENTATIONS.names if not issubclass(AUGMENTATIONS.get(name), Mix)]
WRITTEN = [text for name in NAMES for text in (name, *STRONG.get(name, ()))]
RANDOM = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (64, 3, 14, 11), generator=RANDOM, dtype=torch.uint8)
ITEMS = torch.randperm(1000, generator=RANDOM)[:64]
ALL = "+".join(NAMES)


def choices(written: str) -> tuple[Choice, ...]:
    (found,) = parse_sweep(f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{augment: {written}}}\n", "s").axes[
        "augment"
    ]
    return found


def changed(written: str, part: slice | torch.Tensor = slice(None), images: torch.Tensor = IMAGES) -> torch.Tensor:
    return augment(images[part], ITEMS[part], choices(written), 3, 2)


@pytest.mark.parametrize("written", [*WRITTEN, ALL])
def test_it_changes_many_images_each_by_its_own_numbers_alone(written):
    before = IMAGES.clone()
    whole = changed(written)
    assert whole.shape == IMAGES.shape
    assert whole.dtype == torch.uint8
    assert torch.equal(IMAGES, before)
    assert (whole != IMAGES).flatten(1).any(1).float().mean() > 0.2
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    for size in (1, 7, 33):
        assert torch.equal(torch.cat([changed(written, part) for part in order.split(size)]), whole[order])
    assert not torch.equal(augment(IMAGES, ITEMS, choices(written), 3, 3), whole)
    assert not torch.equal(augment(IMAGES, ITEMS, choices(written), 4, 2), whole)


@pytest.mark.parametrize("written", [*WRITTEN, ALL])
def test_a_device_that_cannot_count_gives_the_same_images(written, monkeypatch):
    expected = changed(written)
    monkeypatch.setattr(batches, "can_count", lambda _: False)
    assert torch.equal(changed(written), expected)


@pytest.mark.parametrize("written", [*WRITTEN, ALL])
def test_many_images_are_changed_a_part_at_a_time(written, monkeypatch):
    expected = changed(written)
    monkeypatch.setattr(batches, "_MOST_PIXELS", 5 * IMAGES[0].numel())
    assert torch.equal(changed(written), expected)


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_it_takes_any_number_of_channels_or_says_why_not(written, channels):
    (choice,) = choices(written)
    images = IMAGES[:, [0, 1, 2, 0][:channels]]
    why = AUGMENTATIONS.make(choice).refusal((channels, 14, 11))
    if why is None:
        result = changed(written, images=images)
        assert result.shape == images.shape
        if choice.name in ("flip", "crop", "cutout", "vertical_flip", "rotate", "resized_crop", "erase"):
            assert torch.equal(result, changed(written)[:, [0, 1, 2, 0][:channels]]), "channels change alike"
    else:
        assert choice.name == "color_jitter"
        assert f"have {channels} channel" in why
        assert "saturation: 0" in why


def test_images_of_one_pixel_and_of_one_level_can_be_changed():
    for images in (IMAGES[:, :, :1, :1], torch.full_like(IMAGES, 9), IMAGES[:, :, :2], torch.zeros_like(IMAGES)):
        for written in WRITTEN:
            assert changed(written, images=images.contiguous()).shape == images.shape


def test_none_changes_the_draws_of_another():
    alone, both = changed("{rotate: 90}"), changed("{rotate: 90, erase: {probability: 1}}")
    rest = both == alone
    assert (both[~rest] == 0).all()
    assert rest.float().mean() > 0.6
    assert torch.equal(augment(alone, ITEMS, choices("{erase: {probability: 1}}"), 3, 2), both)


def test_they_are_applied_in_a_fixed_order_then_others_by_name():
    assert set(APPLIED) == set(NAMES)
    assert [one.name for one in in_order(choices(ALL))] == list(APPLIED)
    named = [Choice(name) for name in ("zoom", "blur", "erase", "flip")]
    assert [one.name for one in in_order(named)] == ["flip", "erase", "blur", "zoom"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("flip+crop+color_jitter", "flip+crop+color_jitter"),
        ("{flip: yes, crop: true, erase: 0.5, trivial: true}", "flip+crop+erase+trivial"),
        ("{erase: 0.25, flip: true}", {"flip": True, "erase": 0.25}),
        ("{resized_crop: [0.5, 1], vertical_flip: true}", {"resized_crop": [0.5, 1.0], "vertical_flip": True}),
        ("{color_jitter: {hue: 0.1}}", {"color_jitter": {"hue": 0.1}}),
        ("{flip: {probability: 0.1}, rotate: 20}", {"flip": {"probability": 0.1}, "rotate": 20.0}),
        ("{rand: {operations: 1}}", {"rand": {"operations": 1}}),
        ("{rand: 15, crop: false, erase: 0, rotate: 0, flip: false}", {"rand": 15}),
        ("{color_jitter: {brightness: 0, contrast: 0, saturation: [1, 1]}}", "none"),
    ],
)
def test_a_value_is_written_in_its_shortest_form(written, shown):
    assert as_written(choices(written)) == shown
    assert choices(str(shown)) == choices(written)


@pytest.fixture
def package(tmp_path: Path) -> Iterator[AddedPackage]:
    yield from added_package(tmp_path, AUGMENTATIONS)


def test_sweep_trains_with_all_of_them_alone_and_fused_and_resumes(package):
    grey = {**dict.fromkeys(NAMES, True), "color_jitter": {"saturation": 0}}
    params = {"lr": [0.01, 0.02], "augment": [grey, "trivial"]}
    whole = package.train("whole", **params)
    assert metrics(package.train_with_a_break("broken", **params)) == metrics(whole)
    assert metrics(package.train("none", lr=[0.01, 0.02, 0.03, 0.04])) != metrics(whole)
    for mine, theirs in zip(metrics(package.train_fused("fused", **params)), metrics(whole), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)
