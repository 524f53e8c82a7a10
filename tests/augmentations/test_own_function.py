"""A user's function of a batch is an augmentation: it draws from a generator of its own, and is checked beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from added_components import AddedPackage, added_package, metrics

from cnnsweep.augmentations.augment import augment
from cnnsweep.augmentations.base import AUGMENTATIONS
from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import SpecError, UsageError
from cnnsweep.types import Choice

GUIDE = Path(__file__).parent.parent.parent / "docs" / "sweep-file.md"
CODE = """
import random
import numpy, torch
from torchvision.transforms import v2

def darken(images, generator, most=0.5):
    '''Darken.'''
    share = 1 - most * torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device)
    return (images * share).to(torch.uint8)

solarized = v2.RandomSolarize(128, p=0.5)

def others(images, *, extra=0):
    noise = random.random() + numpy.random.rand() + torch.rand(())
    return solarized((images + int(noise * 9) + extra).clamp(max=255).to(torch.uint8))

def in_place(images, generator):
    return images.fill_(0)

def floats(images, generator):
    return images / 2

def smaller(images, generator):
    return images[:, :, 1:]

def nothing(images):
    pass

def raises(images, generator):
    scale = 3
    return helper(images)

def helper(images):
    raise ValueError('no such image')

def only_for_many(images, generator):
    return images if len(images) > 1 else images[0]

calls = 0

def counts(images, generator):
    global calls
    calls += 1
    return images + calls

def no_images():
    return 0

def taken(images, *, apply=1):
    return images

def open_to_any(images, generator, **further):
    assert further == {'shift': 3}, further
    return images + further['shift']

def misplaced(images, strength=1):
    return images
"""
IMAGES = (torch.arange(6 * 1 * 8 * 8) * 37 % 256).to(torch.uint8).view(6, 1, 8, 8)


@pytest.fixture
def package(tmp_path: Path) -> Iterator[AddedPackage]:
    for package in added_package(tmp_path, AUGMENTATIONS):
        package.write(CODE)
        yield package


def changed(
    package: AddedPackage, name: str, seed: int = 1, epoch: int = 1, step: int = 0, **arguments
) -> torch.Tensor:
    choice = Choice(f"{package.file}:{name}", arguments, "hash")
    return augment(IMAGES, torch.arange(6), (choice,), seed, epoch, step)


def test_it_draws_from_the_seed_epoch_and_batch(package):
    first = changed(package, "darken")
    assert torch.equal(changed(package, "darken"), first)
    for other in ({"seed": 2}, {"epoch": 2}, {"step": 1}, {"most": 0.1}):
        assert not torch.equal(changed(package, "darken", **other), first)
    assert torch.equal(changed(package, "darken", most=0.0), IMAGES)


def test_generators_that_it_does_not_get_repeat_too_and_are_left_as_they_were(package):
    state = torch.get_rng_state()
    first = changed(package, "others")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(changed(package, "others"), first)
    assert not torch.equal(changed(package, "others", step=1), first)
    assert not torch.equal(changed(package, "others", extra=50), first)


def test_it_may_change_its_images_in_place(package):
    before = IMAGES.clone()
    assert changed(package, "in_place").sum() == 0
    assert torch.equal(IMAGES, before)


def test_it_may_take_any_arguments(package):
    assert torch.equal(changed(package, "open_to_any", shift=3), IMAGES + 3)


def test_sweep_trains_with_it_alone_and_fused_and_resumes(package):
    params = {"lr": [0.01, 0.02], "augment": [{f"{package.file}:darken": {"most": 0.9}}, f"{package.file}:others"]}
    whole = package.train("whole", **params)
    assert metrics(package.train_with_a_break("broken", **params)) == metrics(whole)
    for mine, theirs in zip(metrics(package.train_fused("fused", **params)), metrics(whole), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)


def test_the_example_of_the_guide_trains(package):
    (code,) = re.findall(r"```python\n# nets.py\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    package.file.write_text(code)
    names = [f"{package.file}:darken", f"{package.file}:tilt"]
    seen = metrics(package.train("guide", augment=["none", *names]), "loss")[0]
    assert len(set(seen)) == 6


def ids(package: AddedPackage, written: str) -> list[str]:
    text = f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{augment: {written}}}\n"
    return [run.id for run in expand_runs(parse_sweep(text, "s.yaml", folder=package.folder)).runs]


def test_a_runs_id_counts_its_arguments_and_its_code(package):
    first = ids(package, "added.py:darken")
    assert first != ids(package, "{'added.py:darken': {most: 0.4}}")
    package.file.write_text(CODE + "\n# edited\n")
    assert ids(package, "added.py:darken") != first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("floats", "added.py:{line}: returned a tensor of float32 (8, 1, 12, 12) on cpu, allowed is a tensor of uint8"),
        ("smaller", "added.py:{line}: returned a tensor of uint8 (8, 1, 11, 12) on cpu, allowed is a tensor of uint8"),
        ("nothing", "added.py:{line}: returned NoneType, allowed is a tensor of uint8 (8, 1, 12, 12) on cpu"),
        ("only_for_many", "added.py:{line}: returned a tensor of uint8 (1, 12, 12) on cpu, allowed is a tensor of"),
        ("counts", "added.py:{line}: returned other images for the same ones and the same random numbers"),
        ("no_images", "added.py:{line}: found no_images(), allowed is no_images(images, generator, ...)"),
        ("misplaced", "added.py:{line}: found misplaced(images, strength=1), allowed is misplaced(images, generator,"),
        ("taken", "added.py:{line}: the argument 'apply' needs another name; this one has a meaning here"),
        ("raises", "added.py:{line}: raised ValueError: no such image ("),
        ("none_such", "added.py has no 'none_such'"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(package, name, message):
    lines = CODE.splitlines()
    line = next((number for number, text in enumerate(lines, 1) if text.startswith(f"def {name}(")), 0)
    with pytest.raises(UsageError) as raised:
        package.train("s", augment=f"{package.file}:{name}")
    assert message.format(line=line) in str(raised.value)
    if name == "raises":
        helper = lines.index("    raise ValueError('no such image')") + 1
        assert str(raised.value).endswith(f"added.py:{helper})")


def test_wrong_arguments_have_line_and_column(package):
    with pytest.raises(SpecError) as raised:
        ids(package, "{'added.py:darken': {mst: 0.4}}")
    assert str(raised.value) == "s.yaml:4:40  params.augment.added.py:darken.mst: unknown key; did you mean 'most'?"


def test_colours_of_grey_images_are_refused_before_anything_is_trained(package):
    with pytest.raises(UsageError) as raised:
        package.train("s", augment="color_jitter")
    assert str(raised.value) == (
        "augmentation color_jitter: saturation: images need 3 channels, and have 1 channel; "
        "write {color_jitter: {saturation: 0}}"
    )
