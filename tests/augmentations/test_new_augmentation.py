"""An augmentation from outside the package changes images as it says, by draws of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from added_components import AddedPackage, added_package, metrics

from cnnsweep.augmentations.augment import augment
from cnnsweep.augmentations.base import AUGMENTATIONS, in_order
from cnnsweep.config.dump import as_written
from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import SpecError
from cnnsweep.seeding import uniform_per_item
from cnnsweep.types import Choice

CODE = """
import torch
from typing import ClassVar
from cnnsweep.augmentations.base import Augmentation, Move

class Brighten(Augmentation):
    '''Add a number to all pixels of an image.'''
    most: int = 50
    least: int = 0

    def apply(self, images, draws):
        shift = (self.least + draws(1) * (self.most - self.least)).long()
        return (images + shift[:, :, None, None]).clamp(0, 255).to(images.dtype)

class Down(Move):
    '''Move all images down by a row.'''
    def source(self, rows, columns, size, draws):
        return rows - 1, columns
"""
IMAGES = (torch.arange(4 * 3 * 6 * 5) * 37 % 200).to(torch.uint8).view(4, 3, 6, 5)
ITEMS = torch.tensor([5, 0, 77, 1000])


@pytest.fixture
def package(tmp_path: Path) -> Iterator[AddedPackage]:
    for package in added_package(tmp_path, AUGMENTATIONS):
        package.write(CODE, brighten="Brighten", down="Down")
        yield package


def axes(augment_: str) -> tuple[Choice, ...]:
    text = f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{augment: {augment_}}}\n"
    (found,) = parse_sweep(text, "s.yaml").axes["augment"]
    return found


def brightened(images: torch.Tensor, name: str = "brighten", most: int = 50) -> torch.Tensor:
    shift = (uniform_per_item(7, f"augment.{name}", 3, ITEMS, 1) * most).long()
    return (images.int() + shift[:, :, None, None]).clamp(0, 255).to(torch.uint8)


def test_added_augmentation_draws_from_a_stream_of_its_own_and_comes_after_the_first_three(package):
    before = IMAGES.clone()
    known = augment(IMAGES, ITEMS, axes("flip+crop+cutout"), 7, 3)
    both = augment(IMAGES, ITEMS, axes("brighten+cutout+flip+crop"), 7, 3)
    assert torch.equal(both, brightened(known))
    assert torch.equal(augment(IMAGES, ITEMS, axes("{brighten: 9}"), 7, 3), brightened(IMAGES, most=9))
    assert torch.equal(IMAGES, before)


def test_own_file_has_a_stream_of_its_own(package):
    own = f"{package.file}:Brighten"
    changed = augment(IMAGES, ITEMS, (Choice(own, {}, "hash"),), 7, 3)
    assert torch.equal(changed, brightened(IMAGES, "added.py:Brighten"))


def test_moves_are_done_in_one_pass_as_one_after_the_other(package):
    down = torch.nn.functional.pad(IMAGES, (0, 0, 1, 0))[:, :, :6]
    assert torch.equal(augment(IMAGES, ITEMS, axes("down"), 7, 3), down)
    flipped = augment(IMAGES, ITEMS, axes("flip"), 7, 3)
    both = augment(IMAGES, ITEMS, axes("flip+down"), 7, 3)
    assert torch.equal(both, torch.nn.functional.pad(flipped, (0, 0, 1, 0))[:, :, :6])


def test_order_depends_on_nothing_but_the_names():
    names = ["zoom", "cutout", "blur", "flip", "crop"]
    assert [one.name for one in in_order(map(Choice, names))] == ["crop", "flip", "cutout", "blur", "zoom"]


@pytest.mark.parametrize("is_file", [False, True])
def test_sweep_trains_with_it_alone_and_fused_and_goes_on_after_a_break(package, is_file):
    name = f"{package.file}:Brighten" if is_file else "brighten"
    params = {"lr": [0.01, 0.02], "augment": [{"flip": True, name: {"most": 99}}]}
    whole, fused = package.train("whole", **params), package.train_fused("fused", **params)
    assert metrics(package.train_with_a_break("broken", **params)) == metrics(whole)
    assert metrics(package.train("flip", lr=[0.01, 0.02], augment="flip")) != metrics(whole)
    for mine, theirs in zip(metrics(fused), metrics(whole), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-7)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("flip+brighten", "flip+brighten"),
        ("{brighten: 50, flip: true}", "flip+brighten"),
        ("{brighten: {most: 50}}", "brighten"),
        ("{brighten: 9}", {"brighten": 9}),
        ("{brighten: {least: 9}}", {"brighten": {"least": 9}}),
        ("{flip: true, brighten: {least: 9, most: 70}, crop: 0}", {"flip": True, "brighten": {"most": 70, "least": 9}}),
        ("{down: true, flip: false}", "down"),
    ],
)
def test_a_choice_is_written_in_its_shortest_form_which_means_the_same(package, written, shown):
    found = axes(written)
    assert as_written(found) == shown
    text = f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{augment: [none, {written}]}}\n"
    assert len({run.id for run in expand_runs(parse_sweep(text, "s")).runs}) == 2


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("brigten", "unknown 'brigten'; did you mean 'brighten'?"),
        ("{brigten: 1}", "params.augment.brigten: unknown key; did you mean 'brighten'?"),
        ("{brighten: x}", "params.augment.brighten: found 'x': input should be a valid integer"),
        ("{brighten: {least: x}}", "params.augment.brighten.least: found 'x': input should be a valid integer"),
        ("{brighten: {lest: 1}}", "params.augment.brighten.lest: unknown key; did you mean 'least'?"),
        ("{down: 1}", "params.augment.down: found 1, allowed is true or false"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(package, written, message):
    with pytest.raises(SpecError) as raised:
        axes(written)
    assert message in str(raised.value)
