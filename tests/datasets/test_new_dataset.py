"""A data set of another package: an entry point is all that it takes to be listed, checked and trained on."""

import json
from pathlib import Path

import pytest
from other_packages import cnnsweep, install

BLOBS = '''
from typing import Annotated
from pydantic import Field, model_validator
from cnnsweep.datasets.base import DatasetConfig, DatasetInfo
from cnnsweep.field_types import Whole, mistake

class Blobs(DatasetConfig, name="blobs"):
    """Blobs: a bright or a dark square, 2 classes.

    For tests."""

    side: Annotated[int, Whole(4, 32)] = Field(default=8, description="height and width in pixels")
    count: Annotated[int, Whole(2, 100)] = Field(default=40, description="number of images")

    @model_validator(mode="after")
    def fits(self):
        if self.count < self.side:
            raise mistake("side must not be above count")
        return self

    @property
    def info(self):
        return DatasetInfo((1, self.side, self.side), 2, self.count, None, "the package blobs")

    def load(self, root, loading):
        import torch
        from cnnsweep.datasets.dataset import in_memory
        from cnnsweep.datasets.images import MemoryImages

        labels = torch.arange(self.count) % 2
        images = (labels * 200 + 20).to(torch.uint8)[:, None, None, None].expand(-1, 1, self.side, self.side)
        loading.progress("making blobs", self.count, self.count)
        return in_memory(self.name, MemoryImages(images.contiguous(), labels), None, ("dark", "bright"))
'''
SWEEP = """
name: small
dataset: {name: blobs, side: 10}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: []}
params: {lr: [0.1, 0.01], batch_size: 4, epochs: 2}
device: cpu
tensorboard: false
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    install(tmp_path, "blobs", BLOBS, "cnnsweep.datasets", blobs="blobs:Blobs", lost="blobs:Lost")
    return tmp_path


def test_it_trains(folder: Path) -> None:
    (folder / "small.yaml").write_text(SWEEP)
    done = cnnsweep(folder, "run", "small.yaml", "--quiet", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "runs/small/results.json").read_text())
    assert [run["status"] for run in results["runs"]] == ["finished", "finished"]
    assert max(run["val_accuracy"] for run in results["runs"]) == 1.0
    assert (
        "dataset: {name: blobs, normalize: standard, side: 10, count: 40}"
        in (folder / "runs/small/sweep.yaml").read_text()
    )


def test_its_arguments_are_checked(folder: Path) -> None:
    for written, problem in [
        ("side: 2", "small.yaml:3:30  dataset.side: found 2, allowed is a whole number from 4 to 32"),
        ("sides: 8", "dataset.sides: unknown key; did you mean 'side'?"),
        ("count: 2", "dataset: blobs: side must not be above count"),
    ]:
        (folder / "small.yaml").write_text(SWEEP.replace("side: 10", written))
        done = cnnsweep(folder, "run", "small.yaml", "--dry-run")
        assert done.returncode == 2
        assert problem in done.stderr


def test_it_is_known_by_name_and_offered_to_editors(folder: Path) -> None:
    (folder / "small.yaml").write_text(SWEEP.replace("blobs", "blob"))
    assert "unknown 'blob'; did you mean 'blobs'?" in cnnsweep(folder, "run", "small.yaml", "--dry-run").stderr
    schema = json.loads(cnnsweep(folder, "schema").stdout)
    assert "blobs" in schema["properties"]["dataset"]["anyOf"][0]["enum"]
    variants = [one["properties"] for one in schema["properties"]["dataset"]["anyOf"][2:]]
    assert any(variant["name"].get("const") == "blobs" and {"side", "count"} <= set(variant) for variant in variants)


def test_it_is_listed_and_a_package_that_cannot_be_imported_is_named(folder: Path) -> None:
    done = cnnsweep(folder, "datasets", "--json")
    assert done.returncode == 2
    assert "data set lost: its package cannot be imported (" in done.stderr
    (folder / "blobs.py").write_text(BLOBS.replace("class Blobs", "Lost = None\nclass Blobs"))
    assert "data set lost (blobs:Lost): found None, allowed is a subclass of" in cnnsweep(folder, "datasets").stderr
    (folder / "blobs-1.dist-info/entry_points.txt").write_text("[cnnsweep.datasets]\nblobs = blobs:Blobs\n")
    rows = {row["name"]: row for row in json.loads(cnnsweep(folder, "datasets", "--json").stdout)}
    assert rows["blobs"] == {
        "name": "blobs",
        "description": "Blobs: a bright or a dark square, 2 classes",
        "image_shape": [1, 8, 8],
        "classes": 2,
        "train": 40,
        "test": None,
        "source": "the package blobs",
        "is_present": None,
    }
