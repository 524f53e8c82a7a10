import hashlib

import numpy as np
import pytest
import torch

from cnnsweep.augmentations.augment import Draws, augment
from cnnsweep.seeding import uniform_per_item
from cnnsweep.types import Choice

PIXELS = torch.from_numpy(np.random.default_rng(0).integers(1, 256, (40, 3, 9, 7), dtype=np.uint8))
ITEMS = torch.arange(1000, 1040)
EVERYTHING = (Choice("flip"), Choice("crop", {"padding": 2}), Choice("cutout", {"side": 4}))


def slowly(images: torch.Tensor, items: torch.Tensor, how: tuple[Choice, ...], seed: int, epoch: int) -> np.ndarray:
    """The same by slicing, one image after the other."""
    given = {choice.name: choice.arguments for choice in how}
    padding, side = given.get("crop", {"padding": 0})["padding"], given.get("cutout", {"side": 0})["side"]
    results = []
    draws = uniform_per_item(seed, "augment", epoch, items, 5).double().numpy()
    for image, (flip, row, column, hole_row, hole_column) in zip(images.numpy(), draws, strict=True):
        _, height, width = image.shape
        padded = np.pad(image, ((0, 0), (padding,) * 2, (padding,) * 2))
        top, left = int(row * (2 * padding + 1)), int(column * (2 * padding + 1))
        result = padded[:, top : top + height, left : left + width].copy()
        if "flip" in given and flip < 0.5:
            result = result[:, :, ::-1].copy()
        if side:
            top, left = int(hole_row * height) - side // 2, int(hole_column * width) - side // 2
            result[:, max(top, 0) : top + side, max(left, 0) : left + side] = 0
        results.append(result)
    return np.stack(results)


@pytest.mark.parametrize(
    "how",
    [
        (Choice("flip"),),
        (Choice("crop", {"padding": 2}),),
        (Choice("crop", {"padding": 9}),),
        (Choice("cutout", {"side": 4}),),
        (Choice("cutout", {"side": 3}),),
        (Choice("cutout", {"side": 1}),),
        (Choice("cutout", {"side": 30}),),
        EVERYTHING,
    ],
    ids=str,
)
def test_augmentation_equals_slicing_image_by_image(how: tuple[Choice, ...]) -> None:
    before = PIXELS.clone()
    result = augment(PIXELS, ITEMS, how, seed=3, epoch=2)
    assert result.dtype == torch.uint8
    assert np.array_equal(result.numpy(), slowly(PIXELS, ITEMS, how, 3, 2))
    assert torch.equal(PIXELS, before)


def test_an_image_changes_alike_in_every_batch() -> None:
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    whole = augment(PIXELS, ITEMS, EVERYTHING, 3, 2)
    parts = [augment(PIXELS[part], ITEMS[part], EVERYTHING, 3, 2) for part in order.split(7)]
    assert torch.equal(torch.cat(parts), whole[order])


def test_an_image_changes_differently_with_seed_epoch_and_item() -> None:
    base = augment(PIXELS, ITEMS, EVERYTHING, 3, 2)
    for items, seed, epoch in [(ITEMS, 4, 2), (ITEMS, 3, 3), (ITEMS + 40, 3, 2)]:
        other = augment(PIXELS, items, EVERYTHING, seed, epoch)
        # By chance an image gets equal changes with probability 1/2 * 1/25 * 1/63.
        assert (base == other).flatten(1).all(1).sum() <= 1


def test_flip_crop_and_cutout_take_all_their_places_about_equally_often() -> None:
    many = torch.arange(20_000)
    marked = torch.zeros(len(many), 1, 5, 5, dtype=torch.uint8)
    marked[:, 0, 2, 1] = 1  # off the middle, so that a flip shows
    flipped = augment(marked, many, (Choice("flip"),), 0, 1)[:, 0, 2, 3].float().mean()
    assert flipped == pytest.approx(0.5, abs=0.02)  # 5 standard deviations of 0.0035
    # Pixel (2, 1) moves up to 1 in both directions: 9 places, each with probability 1/9.
    places = augment(marked, many, (Choice("crop", {"padding": 1}),), 0, 1).float().mean(0)[0]
    assert places[1:4, :3].numpy() == pytest.approx(np.full((3, 3), 1 / 9), abs=0.012)  # 5 of 0.0022
    holes = 1 - augment(torch.ones_like(marked), many, (Choice("cutout", {"side": 1}),), 0, 1).float().mean(0)[0]
    assert holes.numpy() == pytest.approx(np.full((5, 5), 1 / 25), abs=0.008)  # 5 of 0.0014


def test_nothing_asked_for_gives_back_the_images_themselves() -> None:
    assert augment(PIXELS, ITEMS, (), 0, 1) is PIXELS


# Written down when flip, crop and cutout were all there was: whoever resumes a run of then must get the same images.
GOLDEN_DRAWS = {
    "flip": [[289220], [14116608], [5781114]],
    "crop": [[7508502, 9219719], [14756951, 15061984], [14905062, 14771610]],
    "cutout": [[5636235, 14289337], [16364009, 7383763], [12883334, 15668977]],
}
GOLDEN_IMAGES = {
    (Choice("flip"),): "3972d032b6ba53d3",
    (Choice("crop", {"padding": 2}),): "a1e7bbfdb2a64a1f",
    (Choice("cutout", {"side": 4}),): "8ef828f405bf38b3",
    (Choice("flip"), Choice("crop")): "2b0b1c72df1cdeb7",
    (Choice("flip"), Choice("crop", {"padding": 2}), Choice("cutout", {"side": 5})): "0d6f068be8c3641b",
    (Choice("crop", {"padding": 1}), Choice("cutout", {"side": 3})): "9c2fc4205070dab9",
}


@pytest.mark.parametrize("name", GOLDEN_DRAWS)
def test_an_augmentation_draws_what_it_always_drew(name: str) -> None:
    expected = torch.tensor(GOLDEN_DRAWS[name]) / 2.0**24
    draws = Draws(7, 3, torch.tensor([0, 1, 59_999]))
    assert torch.equal(draws.of(name, expected.shape[1]), expected)
    draws.of("mixup", 7)
    assert torch.equal(draws.of(name, expected.shape[1]), expected)


@pytest.mark.parametrize("how", GOLDEN_IMAGES, ids=str)
def test_images_are_changed_as_they_always_were(how: tuple[Choice, ...]) -> None:
    images = (torch.arange(4 * 3 * 10 * 12) * 37 % 256).to(torch.uint8).view(4, 3, 10, 12)
    changed = augment(images, torch.tensor([5, 0, 77, 1000]), how, 7, 3).contiguous()
    assert hashlib.sha256(changed.numpy().tobytes()).hexdigest()[:16] == GOLDEN_IMAGES[how]


def test_a_new_augmentation_draws_from_a_stream_of_its_own() -> None:
    items = torch.arange(5000)
    draws = Draws(7, 3, items)
    drawn = {name: draws.of(name, count) for name, count in [("flip", 1), ("crop", 2), ("cutout", 2)]}
    drawn |= {name: draws.of(name, 3) for name in ("mixup", "rotate")}
    columns = torch.cat(list(drawn.values()), 1)  # (N, 11)
    assert columns.unique().numel() > 0.99 * columns.numel()  # no number is drawn twice, but by chance
    correlation = torch.corrcoef(columns.T).fill_diagonal_(0)
    assert correlation.abs().max() < 0.08
    assert torch.equal(Draws(7, 3, items[40:60]).of("mixup", 3), drawn["mixup"][40:60])
    assert torch.equal(Draws(7, 3, items).of("mixup", 3), drawn["mixup"]), "whether or not others were asked for"
    for other in (Draws(8, 3, items), Draws(7, 4, items)):
        assert not torch.equal(other.of("mixup", 3), drawn["mixup"])
