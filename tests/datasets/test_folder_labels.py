"""Image folders with several labels an image, from a CSV file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import DataError
from cnnsweep.types import DatasetChoice

ROWS = {"a.png": "cat;dog", "b.png": "", "more/c.png": "dog", "more/d.png": "elk; cat"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "photos"


def write(folder: Path, text: str, names: list[str], name: str = "labels.csv") -> None:
    for number, file in enumerate(names):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5), number, np.uint8)).save(folder / file)
    (folder / name).write_text(text, encoding="utf-8")


def load(folder: Path, **arguments: object) -> Dataset:
    choice = DatasetChoice("image_folder", {"path": folder.name, "labels": "labels.csv", "test": 0, **arguments})
    return load_dataset(choice, folder.parent)


def by_name(rows: dict[str, str]) -> str:
    return "file,labels\n" + "".join(f"{file},{names}\n" for file, names in rows.items())


def test_names_and_columns_of_0_and_1_are_the_same_data(folder: Path) -> None:
    write(folder, by_name(ROWS), list(ROWS))
    named = load(folder)
    assert named.classes == ("cat", "dog", "elk")
    assert named.train.labels.dtype == torch.uint8
    assert named.train.labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 0, 1]]
    ((pixels, _),) = named.train.batches([torch.arange(4)], torch.device("cpu"))
    assert pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert "0 to 2 labels an image, 1.25 on average; 1 image without any" in named.found
    (folder / "labels.csv").write_text(
        "\ufefffile,cat,dog,elk\nmore/d.png,1,0,1\na.png,1,1,0\nb.png,0,0,0\nmore/c.png,0,1,0\n", encoding="utf-8"
    )
    assert load(folder).fingerprint == named.fingerprint
    (folder / "labels.csv").write_text(by_name(ROWS).replace(",", "\t"))
    assert load(folder).fingerprint == named.fingerprint
    (folder / "labels.csv").write_text(
        'File;Labels\r\na.png;"cat;dog"\r\n"./b.png";\r\nmore/c.png;dog\r\nmore/d.png;"elk; cat"\r\n'
    )
    assert load(folder).fingerprint == named.fingerprint


def test_streamed_images_have_the_labels_and_the_fingerprint_of_those_in_memory(folder: Path) -> None:
    write(folder, by_name(ROWS), list(ROWS))
    in_memory = load(folder)
    choice = DatasetChoice("image_folder", {"path": folder.name, "labels": "labels.csv", "test": 0})
    streamed = load_dataset(choice, folder.parent, memory_bytes=1)
    assert streamed.fingerprint == in_memory.fingerprint
    positions = torch.tensor([[3, 0]])
    ((_, labels),) = streamed.train.with_workers(0).batches([positions], torch.device("cpu"))  # type: ignore[attr-defined]
    assert labels.tolist() == [[[1, 0, 1], [1, 1, 0]]]


def test_changed_labels_are_noticed(folder: Path) -> None:
    write(folder, by_name(ROWS), list(ROWS))
    before = load(folder)
    write(folder, by_name({**ROWS, "b.png": "elk"}), list(ROWS))
    after = load(folder)
    assert after.train.labels[1].tolist() == [0, 0, 1]
    assert after.fingerprint != before.fingerprint


def test_folders_named_after_parts_are_the_parts(folder: Path) -> None:
    rows = {"train/a.png": "x", "train/b.png": "y", "val/c.png": "x;y", "test/d.png": ""}
    write(folder, by_name(rows), list(rows))
    found = load(folder, test=0.2)
    assert (len(found.train), found.own_validation) == (3, 1)
    assert found.test is not None
    assert found.test.labels.tolist() == [[0, 0]]


def test_a_share_for_testing_is_split_off_by_label(folder: Path) -> None:
    rows = {f"{k}.png": "x" if k % 2 else "y" for k in range(8)}
    write(folder, by_name(rows), list(rows))
    found = load(folder, test=0.25)
    assert found.test is not None
    assert found.test.labels.sum(0).tolist() == [1, 1]


def test_images_that_the_file_does_not_name_are_counted(folder: Path) -> None:
    write(folder, by_name({"a.png": "x", "b.png": "y"}), ["a.png", "b.png", "c.png"])
    assert "left out: 1 image that it does not name" in load(folder).found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\na.png\n", ":1: found file, allowed are the columns file and labels (names separated by ;), or file and "
         "a column of 0 and 1 for each class"),
        ("", ":1: found no columns, allowed are"),
        ("file,labels\n", ": names no images"),
        ("file,labels\na.png,\n", ": no image has a label"),
        ("file,labels\na.png,x\nz.png,x\n", ":3: no image"),
        ("file,labels\na.png,x\na.png,y\n", ":3: names a.png again, as in line 2; give all labels of an image in one "
         "line"),
        ("file,x,y\na.png,1\n", ":2: found 2 columns, expected 3 as in line 1: file, x, y"),
        ("file,x,y\na.png,1,2\n", ":2: column y: found '2', allowed are 0 and 1"),
        ("file,label\na.png,x\n", ":2: column label: found 'x', allowed are 0 and 1; for names separated by ; call the "
         "column labels"),
        ("file,x,x\na.png,1,0\n", ":1: the column 'x' is there twice or has no name; name each class"),
        ("file,labels\n../b.png,x\n", ":2: found '../b.png', allowed is a file below"),
        ("file,labels\nlabels.csv,x\n", ":2: labels.csv is no image"),
        ("a.png,x\n", ":1: found a.png, x, expected a heading: file,labels, or file and the name of each class"),
        ("file,labels\n./a.png,x\na.png,y\n", ":3: names a.png again, as in line 2"),
        ("file,labels\na.png,x,y\n", ":2: found 3 columns, expected 2 as in line 1: file, labels; separate the labels "
         'by ; in one cell (such as "cat;dog", in quotes if columns are separated by ; too)'),
        ("file,labels\na.png,x;y\nb.png,'x,y'\n".replace("'", '"'), ":3: found the label 'x,y', but x, y are labels "
         "too; separate the labels of an image by ;"),
        ("file,labels\nmore\\b.png,x\n", ":2: no image"),
        ("file,labels\na\0.png,x\n", ":2: no image"),
    ],
)  # fmt: skip
def test_files_of_labels_that_do_not_fit_are_described_with_their_line(folder: Path, text: str, message: str) -> None:
    write(folder, text, ["a.png"])
    with pytest.raises(DataError) as caught:
        load(folder)
    assert str(caught.value).startswith(f"{folder / 'labels.csv'}{message}")


def test_a_missing_file_of_labels_is_named(folder: Path) -> None:
    write(folder, "", ["a.png"], name="other.csv")
    with pytest.raises(DataError, match=r"labels: no file .*labels\.csv; its path is relative to `path`"):
        load(folder)
    with pytest.raises(DataError, match=r"labels: \.\./x\.csv must lie in the folder"):
        load(folder, labels="../x.csv")
