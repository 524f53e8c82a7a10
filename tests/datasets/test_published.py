import bz2
import hashlib
import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import torchvision.datasets
from idx_by_hand import write_idx, write_mnist_like

from cnnsweep.datasets import download, torchvision_files
from cnnsweep.datasets.base import Loading
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.download import DownloadFile
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.torchvision import TorchvisionDataset
from cnnsweep.datasets.torchvision_files import _parcels
from cnnsweep.datasets.torchvision_info import TorchvisionFiles
from cnnsweep.errors import DataError
from cnnsweep.types import DatasetChoice

MEND = "delete it and run again to download it, or copy it again from where it came"


def load(name: str, root: Path, **arguments: object) -> Dataset:
    return load_dataset(DatasetChoice(name, arguments), root)


@pytest.mark.parametrize(
    ("name", "folder"), [("fashion_mnist", "FashionMNIST"), ("mnist", "MNIST"), ("kmnist", "KMNIST")]
)
def test_images_and_labels_are_those_that_torchvision_reads(name: str, folder: str, tmp_path: Path) -> None:
    write_mnist_like(tmp_path, folder)
    dataset = load(name, tmp_path)
    for part, is_train in ((dataset.train, True), (dataset.test, False)):
        expected = getattr(torchvision.datasets, folder)(tmp_path, train=is_train)
        assert part is not None
        ((images, labels),) = part.batches([torch.arange(len(part))], torch.device("cpu"))
        assert torch.equal(images[:, 0], expected.data)
        assert torch.equal(labels, expected.targets)
        assert dataset.classes == tuple(expected.classes)


def test_qmnist_takes_the_class_out_of_eight_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        details = rng.integers(0, 4000, (12, 8))
        details[:, 0] = np.arange(12) % 10
        write_idx(tmp_path / f"QMNIST/raw/qmnist-{part}-images-idx3-ubyte", rng.integers(0, 256, (12, 28, 28)))
        write_idx(tmp_path / f"QMNIST/raw/qmnist-{part}-labels-idx2-int", details, kind=0x0C)
    dataset = load("qmnist", tmp_path)
    assert dataset.train.labels.tolist() == [*range(10), 0, 1]


def test_emnist_is_turned_upright_and_letters_count_from_0(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (26, 28, 28))
    for part in ("train", "test"):
        write_idx(tmp_path / f"EMNIST/raw/emnist-letters-{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"EMNIST/raw/emnist-letters-{part}-labels-idx1-ubyte", np.arange(1, 27))
    dataset = load("emnist", tmp_path, split="letters")
    ((pixels, labels),) = dataset.train.batches([torch.arange(26)], torch.device("cpu"))
    assert np.array_equal(pixels[:, 0].numpy(), images.transpose(0, 2, 1))
    assert labels.tolist() == list(range(26))
    assert dataset.classes == tuple("abcdefghijklmnopqrstuvwxyz")


def test_the_real_fashion_mnist_is_whole(shared_data: Path) -> None:
    dataset = load("fashion_mnist", shared_data)
    assert (len(dataset.train), dataset.train.image_shape) == (60_000, (1, 28, 28))
    assert torch.bincount(dataset.train.labels).tolist() == [6000] * 10
    assert dataset.test is not None
    assert torch.bincount(dataset.test.labels).tolist() == [1000] * 10


def test_reading_a_data_set_writes_nothing(tmp_path: Path) -> None:
    write_mnist_like(tmp_path, "MNIST")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    load("mnist", tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_the_fingerprint_tells_images_labels_and_class_names_apart(tmp_path: Path) -> None:
    write_mnist_like(tmp_path, "MNIST")
    write_mnist_like(tmp_path, "FashionMNIST")
    base = load("mnist", tmp_path).fingerprint
    assert len(base) == 64
    assert load("mnist", tmp_path).fingerprint == base
    assert load("fashion_mnist", tmp_path).fingerprint != base  # equal images and labels, other names
    for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        file = tmp_path / "MNIST" / "raw" / name
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        whole, _ = file.read_bytes(), file.write_bytes(content)
        assert load("mnist", tmp_path).fingerprint != base
        file.write_bytes(whole)


TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (
            TRAIN_IMAGES,
            lambda content: content[:-100],
            "expected 15,696 bytes, as its header says (20×28×28), found 15,596",
        ),
        (
            TRAIN_IMAGES,
            lambda content: content + b"\0",
            "expected 15,696 bytes, as its header says (20×28×28), found 15,697",
        ),
        (TRAIN_IMAGES, lambda content: content[:0], "expected a file that begins with 00 00 08 03, found nothing"),
        (TRAIN_IMAGES, lambda content: content[:4], "expected at least 16 bytes, found 4"),
        (TRAIN_IMAGES, lambda content: content[:4] + bytes(12), "expected values, found 0×0×0 in its header"),
        (
            TRAIN_IMAGES,
            lambda content: b"\x1f\x8b" + content[2:],
            "expected a file that begins with 00 00 08 03, found 1f 8b 08 03",
        ),
        (
            TRAIN_IMAGES,
            lambda content: content[:7] + b"\x15" + content[8:],
            "expected 16,480 bytes, as its header says (21×28×28), found 15,696",
        ),
        (
            TRAIN_IMAGES,
            lambda content: content[:11] + b"\x0e" + content[12:15] + b"\x38" + content[16:],
            "expected images of 28×28, found 14×56 in its header",
        ),
        (
            TRAIN_LABELS,
            lambda content: content[:7] + b"\x13" + content[8:-1],
            "expected 20 labels, as many as there are images, found 19",
        ),
        (
            TRAIN_LABELS,
            lambda content: content[:11] + b"\x0a" + content[12:],
            "expected labels from 0 to 9, found 10 for image 3",
        ),
        (
            TRAIN_LABELS,
            lambda content: content[:-1],
            "expected 28 bytes, as its header says (20), found 27",
        ),
    ],
)
def test_a_damaged_file_is_named_with_what_was_expected_and_found(
    name: str, damage: object, message: str, tmp_path: Path
) -> None:
    write_mnist_like(tmp_path, "FashionMNIST")
    file = tmp_path / "FashionMNIST" / "raw" / name
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError) as caught:
        load("fashion_mnist", tmp_path)
    assert str(caught.value) == f"{file}: damaged: {message}; {MEND}"


@pytest.mark.parametrize("keep", [*range(0, 17), 100])
@pytest.mark.parametrize("name", [TRAIN_IMAGES, TRAIN_LABELS, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_truncated_file_never_loads(name: str, keep: int, tmp_path: Path) -> None:
    write_mnist_like(tmp_path, "MNIST", sizes=(200, 200))
    file = tmp_path / "MNIST" / "raw" / name
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=f"{name}: damaged: "):
        load("mnist", tmp_path)


@pytest.mark.parametrize("bit", range(16 * 8))
def test_a_flipped_bit_in_a_header_never_loads(bit: int, tmp_path: Path) -> None:
    write_mnist_like(tmp_path, "MNIST")
    file = tmp_path / "MNIST" / "raw" / TRAIN_IMAGES
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    with pytest.raises(DataError, match="damaged: "):
        load("mnist", tmp_path)


def test_missing_files_are_all_named_when_they_cannot_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mnist_like(tmp_path, "KMNIST")
    raw = tmp_path / "KMNIST" / "raw"
    (raw / "t10k-images-idx3-ubyte").unlink()
    (raw / "t10k-labels-idx1-ubyte").unlink()

    def no_network(*_: object) -> None:
        raise DataError("somewhere: no network")

    monkeypatch.setattr(torchvision_files, "fetch_missing", no_network)
    with pytest.raises(DataError) as caught:
        load("kmnist", tmp_path)
    assert str(caught.value) == (
        "kmnist: files are missing and could not be downloaded (somewhere: no network). Put these files there: "
        f"{raw / 't10k-images-idx3-ubyte'}, {raw / 't10k-labels-idx1-ubyte'} "
        "(they are what torchvision.datasets.KMNIST downloads), or set --data-root to their folder"
    )


def test_only_what_is_missing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist_like(tmp_path / "elsewhere", "MNIST")
    write_mnist_like(tmp_path, "MNIST")
    name = "MNIST/raw/t10k-labels-idx1-ubyte"
    (tmp_path / name).unlink()
    fetched = []

    def fetch(download_file: DownloadFile, wanted: dict[str, str], data_root: Path, _progress: object) -> None:
        fetched.append((*wanted, download_file.md5))
        (data_root / name).write_bytes((tmp_path / "elsewhere" / name).read_bytes())

    monkeypatch.setattr(download, "_fetch", fetch)
    load("mnist", tmp_path)
    assert fetched == [(name, dict(torchvision.datasets.MNIST.resources)["t10k-labels-idx1-ubyte.gz"])]


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Write a CIFAR-10 of five images a file, and make torchvision expect its checksums."""
    rng = np.random.default_rng(0)
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    names = [f"data_batch_{k}" for k in range(1, 6)]
    images = rng.integers(0, 256, (30, 3072), dtype=np.uint8)
    for place, name in enumerate([*names, "test_batch"]):
        content = {"data": images[5 * place : 5 * place + 5], "labels": [place, 9, 8, 7, 6]}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"kind {k}" for k in range(10)]}))

    def with_md5(name: str) -> list[str]:
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    reader = torchvision.datasets.CIFAR10
    monkeypatch.setattr(reader, "train_list", [with_md5(name) for name in names])
    monkeypatch.setattr(reader, "test_list", [with_md5("test_batch")])
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": with_md5("batches.meta")[1]})
    return images.reshape(30, 3, 32, 32)


def test_cifar_is_read_by_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = write_cifar(tmp_path, monkeypatch)
    dataset = load("cifar10", tmp_path)
    ((images, labels),) = dataset.train.batches([torch.arange(25)], torch.device("cpu"))
    assert np.array_equal(images.numpy(), expected[:25])
    assert labels[::5].tolist() == [0, 1, 2, 3, 4]
    assert dataset.classes[3] == "kind 3"
    assert dataset.test is not None
    assert len(dataset.test) == 5


def test_a_damaged_cifar_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    expected = hashlib.md5(file.read_bytes()).hexdigest()
    file.write_bytes(file.read_bytes()[:-1])
    found = hashlib.md5(file.read_bytes()).hexdigest()
    with pytest.raises(DataError) as caught:
        load("cifar10", tmp_path)
    assert str(caught.value) == f"{file}: damaged: expected the MD5 {expected}, found {found}; {MEND}"


def test_svhn_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_scipy(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    monkeypatch.setattr(torchvision.datasets, "SVHN", without_scipy)
    for name in ("train_32x32.mat", "test_32x32.mat"):
        (tmp_path / name).touch()
    with pytest.raises(DataError) as caught:
        load("svhn", tmp_path)
    assert str(caught.value) == "svhn: reading its files needs scipy; install it with: pip install scipy"


def test_a_damaged_svhn_file_is_named(tmp_path: Path) -> None:
    for name in ("train_32x32.mat", "test_32x32.mat"):
        (tmp_path / name).touch()
    with pytest.raises(DataError) as caught:
        load("svhn", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'train_32x32.mat'}: damaged: expected the MD5 e26dedcc434d2e4c54c9b2d4a06d8373, "
        f"found d41d8cd98f00b204e9800998ecf8427e; {MEND}"
    )


@pytest.mark.parametrize(
    ("split", "problem"),
    [
        ("capitals", "unknown 'capitals'; allowed are"),
        (["letters"], "found a list, allowed is one of"),
        (None, "found nothing, allowed is one of"),
    ],
)
def test_a_split_that_emnist_does_not_have_is_told(split: object, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load("emnist", tmp_path, split=split)
    allowed = "balanced, byclass, bymerge, letters, digits, mnist"
    assert str(caught.value) == f"dataset: emnist: split: {problem} {allowed}"


def test_another_one_of_torchvisions_is_one_class(tmp_path: Path) -> None:
    class USPS(TorchvisionDataset, name="usps"):
        """USPS: 7,291 + 2,007 grey 16×16 digits, 10 classes."""

        files: ClassVar[TorchvisionFiles] = TorchvisionFiles(
            "USPS", (1, 16, 16), 10, tuple("0123456789"), (7291, 2007), ("usps.bz2",), ("usps.t.bz2",)
        )

    pixels = np.random.default_rng(0).integers(0, 256, (12, 256))
    for name in ("usps.bz2", "usps.t.bz2"):
        rows = [
            " ".join([str(1 + row % 10), *(f"{k}:{value / 127.5 - 1:.8f}" for k, value in enumerate(values, 1))])
            for row, values in enumerate(pixels)
        ]
        (tmp_path / name).write_bytes(bz2.compress("".join(f"{row} \n" for row in rows).encode()))
    dataset = USPS().load(tmp_path, Loading(1 << 30, lambda _what, _done, _total: None))
    ((images, labels),) = dataset.train.batches([torch.arange(12)], torch.device("cpu"))
    assert labels.tolist() == [*range(10), 0, 1]
    assert images.shape == (12, 1, 16, 16)
    assert (images.flatten(1).numpy().astype(int) - pixels).__abs__().max() <= 1  # the file has rounded floats
    (download_file, _) = _parcels(USPS.files)
    assert download_file.contents == {"usps.bz2": ""}
