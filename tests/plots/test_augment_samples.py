"""`cnnsweep augment` draws training images before and after, with the draws of training."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnsweep import cli
from cnnsweep.augmentations.augment import augment
from cnnsweep.config.load import parse_sweep
from cnnsweep.datasets.load import load_dataset
from cnnsweep.plots.augment_samples import MOST_BLOCKS, _name, _of_each_class
from cnnsweep.plots.picture_grid import Block, grid_as_png
from cnnsweep.types import Choice

SWEEP = """
name: s
dataset: {name: shapes, size: 24, classes: 3, train: 40, test: 6}
model: lenet
seed: 5
params: {augment: [flip+erase, none, {rotate: 90}, flip+erase], lr: [0.1, 0.2]}
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SWEEP)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["cnnsweep", "augment", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        found = capsys.readouterr()
        assert found.out == ""
        return ended.value.code or 0, found.err

    return run


def cells(picture: np.ndarray, side: int) -> list[np.ndarray]:
    """Return the squares of a picture that are no background, from the top and from the left."""
    is_row = (picture != 255).any(2).mean(1) > 0.4
    tops = [y for y in range(1, len(is_row)) if is_row[y] and not is_row[y - 1]]
    found = []
    for top in tops:
        is_column = (picture[top : top + side] != 255).any(2).mean(0) > 0.5
        lefts = [x for x in range(1, len(is_column)) if is_column[x] and not is_column[x - 1]]
        found += [picture[top : top + side, left : left + side] for left in lefts]
    return found


def test_it_shows_each_value_once_with_the_draws_of_the_first_run(call):
    code, said = call("s.yaml", "--images", 2, "--epochs", 3)
    assert code == 0
    assert said.splitlines()[-1] == (
        "wrote augment.png: 2 training images of shapes, before and in 3 epochs of flip+erase, {rotate: 90.0}"
    )
    dataset = load_dataset(parse_sweep(SWEEP, "s").dataset_choice, Path("data"))
    training, _ = dataset.split(0.1, None, 5)[0]
    labels = dataset.train.labels[training]
    items = torch.stack([training[(labels == label).nonzero()[0, 0]] for label in (0, 1)])
    images = dataset.train.images[items]
    found = cells(np.asarray(Image.open("augment.png")), 96)
    assert len(found) == 2 * 2 * 4
    values = [(Choice("flip"), Choice("erase")), (Choice("rotate", {"degrees": 90.0}),)]
    expected = [
        image
        for value in values
        for row in range(2)
        for image in [images[row], *(augment(images, items, value, 5, epoch)[row] for epoch in (1, 2, 3))]
    ]
    for cell, image in zip(found, expected, strict=True):
        assert np.array_equal(cell, np.kron(image[0].numpy(), np.ones((4, 4), np.uint8))[:, :, None].repeat(3, 2))


def test_what_it_is_asked_for_on_the_command_line_counts(call):
    code, said = call("s.yaml", "--set", "params.augment=trivial", "-o", "mine.PNG", "--images", 100, "--epochs", 1)
    assert (code, Path("augment.png").exists(), Path("mine.PNG").exists()) == (0, False, True)
    assert said.splitlines()[-1] == ("wrote mine.PNG: 36 training images of shapes, before and in 1 epoch of trivial")
    assert call("s.yaml", "--quiet") == (0, "")


def test_a_search_is_shown_too_and_values_beyond_a_limit_are_counted(call):
    values = ", ".join(f"{{rotate: {degrees}}}" for degrees in range(1, MOST_BLOCKS + 3))
    code, said = call("s.yaml", "--set", f"params.augment=[{values}]", "--images", 1, "--epochs", 1)
    assert code == 0
    assert said.splitlines()[-1] == "left out: 2 further values of augment"
    search = ["--set", "search={method: random, runs: 3}", "--set", "seeds=2"]
    assert call("s.yaml", *search, "--images", 1, "--epochs", 1)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--set", "params.augment=none"], 2, "augment: found none in every trial; name one in the sweep file, or try"),
        (["--set", "params.augment=flop"], 2, "params.augment: unknown 'flop'; did you mean 'flip'?"),
        (["--set", "params.augment=color_jitter"], 2, "augmentation color_jitter: saturation: images need 3 channels"),
        (["--set", "dataset={name: image_folder, path: missing}"], 4, "image_folder: no folder data/missing nor "),
        (["-o", "."], 2, "--output: . is a folder; name a file, as in: --output augment.png"),
        (["-o", "a.jpg"], 2, "--output: found a.jpg, allowed is a name that ends in .png"),
        (["-o", "missing/a.png"], 3, "missing/a.png: cannot be written (No such file or directory)"),
        (["--images", 0], 2, "--images"),
    ],
)
def test_mistakes_are_one_message(call, arguments, code, message):
    found, said = call("s.yaml", *arguments)
    assert found == code
    assert message in said
    assert "Traceback" not in said
    assert not list(Path().glob("*.png"))


def test_rows_are_of_different_classes_where_there_are_some():
    labels = torch.tensor([2, 2, 2, 0, 1, 0])
    assert _of_each_class(labels, 6).tolist() == [3, 4, 0, 5, 1, 2]
    assert _of_each_class(labels, 2).tolist() == [3, 4]
    assert _of_each_class(torch.eye(3, dtype=torch.uint8)[labels], 4).tolist() == [3, 4, 0, 5]


def test_several_labels_of_an_image_are_its_name():
    classes = ["cat", "dog", "tree"]
    assert _name(torch.tensor(1), classes) == "dog"
    assert _name(torch.tensor([1, 0, 1], dtype=torch.uint8), classes) == "cat+tree"
    assert _name(torch.tensor([0, 0, 0], dtype=torch.uint8), classes) == "none"


@pytest.mark.parametrize(("channels", "side", "shown"), [(1, 28, 84), (2, 5, 95), (3, 96, 96), (4, 300, 192)])
def test_pictures_are_shown_in_a_visible_size(channels, side, shown):
    pictures = torch.full((1, 2, channels, side, side), 9, dtype=torch.uint8)
    png = grid_as_png([Block("a\x1b", ["a name that is much too long"], ["original", "epoch 1"], pictures)])
    found = cells(np.asarray(Image.open(BytesIO(png))), shown)
    assert [cell.shape for cell in found] == [(shown, shown, 3)] * 2
    assert all((cell == 9).all() for cell in found)
