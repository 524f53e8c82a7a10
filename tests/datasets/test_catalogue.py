import subprocess
import sys
from pathlib import Path

import pytest
import torchvision.datasets
from idx_by_hand import write_mnist_like

from cnnsweep.datasets.base import DATASETS
from cnnsweep.datasets.catalogue import describe_datasets
from cnnsweep.datasets.torchvision import EMNIST
from cnnsweep.datasets.torchvision_files import _parcels
from cnnsweep.datasets.torchvision_info import EMNIST_SPLITS, TorchvisionFiles

SETS = ["fashion_mnist", "mnist", "kmnist", "qmnist", "cifar10", "cifar100", "svhn"]


def files_of(name: str, **arguments: str) -> TorchvisionFiles:
    return DATASETS.get(name)(**arguments).files


def test_every_data_set_that_a_sweep_file_can_name_is_described(tmp_path: Path) -> None:
    rows = describe_datasets(tmp_path)
    assert [row.name for row in rows] == [*DATASETS.names, "package.module:function", "path/to/file.py:function"]
    assert {row.name: row.is_present for row in rows}["shapes"] is True
    assert not any(row.is_present for row in rows if row.name != "shapes")


def test_a_data_set_is_present_when_all_its_files_are(tmp_path: Path) -> None:
    write_mnist_like(tmp_path, "FashionMNIST")
    row = next(row for row in describe_datasets(tmp_path) if row.name == "fashion_mnist")
    assert (row.image_shape, row.classes, row.train, row.test) == ((1, 28, 28), 10, 60_000, 10_000)
    assert row.is_present
    (tmp_path / "FashionMNIST/raw/t10k-labels-idx1-ubyte").unlink()
    assert not next(row for row in describe_datasets(tmp_path) if row.name == "fashion_mnist").is_present


def test_emnist_is_present_when_any_of_its_splits_is(tmp_path: Path) -> None:
    for file in EMNIST(split="digits").files.files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert next(row for row in describe_datasets(tmp_path) if row.name == "emnist").is_present


def test_describing_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from pathlib import Path; from cnnsweep.datasets.catalogue import describe_datasets; "
        "describe_datasets(Path('.')); assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", [*SETS, *(f"emnist {split}" for split in EMNIST_SPLITS)])
def test_what_torchvision_downloads_holds_every_file(name: str) -> None:
    name, _, split = name.partition(" ")
    facts = files_of(name, **({"split": split} if split else {}))
    download_files = list(_parcels(facts))
    assert {file for download_file in download_files for file in download_file.contents} == set(facts.files)
    assert all(len(download_file.md5) == 32 and download_file.urls for download_file in download_files)


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist", "kmnist", "qmnist"])
def test_class_names_are_torchvisions(name: str) -> None:
    facts = files_of(name)
    assert list(facts.classes) == getattr(torchvision.datasets, facts.reader).classes


@pytest.mark.parametrize("split", EMNIST_SPLITS)
def test_class_names_of_emnist_are_torchvisions_but_for_the_void_letter(split: str) -> None:
    expected = torchvision.datasets.EMNIST.classes_split_dict[split]
    assert list(EMNIST(split=split).files.classes) == [name for name in expected if name != "N/A"]
