"""Every raw file of every kind of data set, cut off and with a flipped bit: always an error, never another image."""

import hashlib
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torchvision.datasets
from idx_by_hand import write_idx, write_mnist_like

from cnnsweep.datasets.base import DATASETS, Loading
from cnnsweep.datasets.checksums import RECORD_NAME, note_checksum
from cnnsweep.datasets.torchvision_info import TorchvisionFiles
from cnnsweep.errors import DataError

MEND = "; delete it and run again to download it, or copy it again from where it came"


def files_of(name: str, **arguments: str) -> TorchvisionFiles:
    return DATASETS.get(name)(**arguments).files


IDX_FILES = files_of("kmnist").files
CIFAR_FILES = files_of("cifar10").files
SVHN_FILES = files_of("svhn").files


def load(name: str, root: Path) -> None:
    arguments = {"split": "letters"} if name == "emnist" else {}
    DATASETS.get(name)(**arguments).load(root, Loading(1 << 40, lambda _what, _done, _total: None))


def refusal(name: str, root: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(name, root)
    return str(caught.value)


def note_all(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        note_checksum(path, sha256_of(path))


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


PLACES = [0, 1, 3, 4, 7, 9, -1]  # of the flipped bit: in the header, in the first and in the last value
LENGTHS = [0, 1, 5, 12, -1]


def write_noted(root: Path) -> None:
    write_mnist_like(root, "KMNIST")
    note_all(root / "KMNIST" / "raw")


def write_qmnist(root: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        write_idx(root / f"QMNIST/raw/qmnist-{part}-images-idx3-ubyte", rng.integers(0, 256, (12, 28, 28)))
        write_idx(root / f"QMNIST/raw/qmnist-{part}-labels-idx2-int", rng.integers(0, 10, (12, 8)), kind=0x0C)
    note_all(root / "QMNIST" / "raw")


def write_letters(root: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        write_idx(root / f"EMNIST/raw/emnist-letters-{part}-images-idx3-ubyte", rng.integers(0, 256, (26, 28, 28)))
        write_idx(root / f"EMNIST/raw/emnist-letters-{part}-labels-idx1-ubyte", np.arange(1, 27))
    note_all(root / "EMNIST" / "raw")


@pytest.mark.parametrize(
    ("name", "write", "files"),
    [
        ("kmnist", write_noted, IDX_FILES),
        ("qmnist", write_qmnist, files_of("qmnist").files),
        ("emnist", write_letters, files_of("emnist", split="letters").files),
    ],
)
def test_a_downloaded_idx_file_is_held_to_the_checksum_that_was_noted(
    name: str, write: Callable[[Path], None], files: Sequence[str], tmp_path: Path
) -> None:
    write(tmp_path)
    load(name, tmp_path)
    for file in files:
        path = tmp_path / file
        whole = path.read_bytes()
        for damaged in [*(flipped(whole, place) for place in PLACES), *(whole[:length] for length in LENGTHS)]:
            path.write_bytes(damaged)
            message = refusal(name, tmp_path)
            assert message.startswith(f"{path}: damaged: expected ")
            assert ", found " in message
            assert message.endswith(MEND)
        path.write_bytes(whole)
    load(name, tmp_path)


def test_a_flipped_pixel_is_told_with_both_checksums_and_who_noted_the_right_one(tmp_path: Path) -> None:
    write_noted(tmp_path)
    path = tmp_path / IDX_FILES[0]
    expected = sha256_of(path)
    path.write_bytes(flipped(path.read_bytes(), 5000))
    record = path.with_name(RECORD_NAME)
    assert refusal("kmnist", tmp_path) == (
        f"{path}: damaged: expected the SHA-256 {expected} (as recorded in {record} by the download), "
        f"found {sha256_of(path)}{MEND}"
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"sha256": 1}', b'{"sha256": {"a": 1}}', b"\xff\xfe", b"[" * 100_000],
)
def test_a_damaged_record_is_told_rather_than_passed_over(content: bytes, tmp_path: Path) -> None:
    write_noted(tmp_path)
    record = tmp_path / "KMNIST" / "raw" / RECORD_NAME
    record.write_bytes(content)
    assert refusal("kmnist", tmp_path).startswith(
        f"{record}: damaged: expected JSON with the SHA-256 of the files beside it, found something else; delete it, "
    )


def test_files_of_which_nothing_is_known_are_held_to_their_structure_alone(tmp_path: Path) -> None:
    write_mnist_like(tmp_path, "KMNIST")
    path = tmp_path / IDX_FILES[0]
    path.write_bytes(flipped(path.read_bytes(), 5000))
    load("kmnist", tmp_path)
    record = path.with_name(RECORD_NAME)
    record.write_text(json.dumps({"sha256": {"another file": "0" * 64}}))
    load("kmnist", tmp_path)


def test_a_file_of_the_published_length_must_have_the_published_content(tmp_path: Path) -> None:
    write_mnist_like(tmp_path, "MNIST", sizes=(20, 10_000))
    path = tmp_path / "MNIST/raw/t10k-images-idx3-ubyte"
    known = files_of("mnist").contents["MNIST/raw/t10k-images-idx3-ubyte"].sha256
    expected = f"{path}: damaged: expected the SHA-256 {known} (as published), found {sha256_of(path)}{MEND}"
    assert refusal("mnist", tmp_path) == expected


@pytest.mark.parametrize("file", files_of("fashion_mnist").files)
def test_the_real_fashion_mnist_is_held_to_its_published_content(file: str, shared_data: Path, tmp_path: Path) -> None:
    for other in files_of("fashion_mnist").files:
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).symlink_to((shared_data / other).resolve())
    path = tmp_path / file
    whole = path.read_bytes()
    assert files_of("fashion_mnist").contents[file].sha256 == sha256_of(path)
    path.unlink()
    for damaged in [flipped(whole, 5), flipped(whole, len(whole) // 2), flipped(whole, -1), whole[:-1], whole[:10]]:
        path.write_bytes(damaged)
        message = refusal("fashion_mnist", tmp_path)
        assert message.startswith(f"{path}: damaged: expected ")
        assert message.endswith(MEND)
    path.write_bytes(whole)
    load("fashion_mnist", tmp_path)


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    (root / "cifar-10-batches-py").mkdir()
    for file in CIFAR_FILES:
        batch = {"data": rng.integers(0, 256, (2, 3072), dtype=np.uint8), "labels": [0, 1]}
        content = {"label_names": [str(k) for k in range(10)]} if file.endswith("meta") else batch
        (root / file).write_bytes(pickle.dumps(content))
    expected = {Path(file).name: md5_of(root / file) for file in CIFAR_FILES}
    reader = torchvision.datasets.CIFAR10
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(reader, part, [[name, expected[name]] for name, _ in getattr(reader, part)])
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": expected["batches.meta"]})


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    splits = {}
    for part, file in zip(("train", "test"), SVHN_FILES, strict=True):
        images = rng.integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
        scipy.io.savemat(root / file, {"X": images, "y": np.array([[1], [2], [10], [4]], np.uint8)})
        splits[part] = ["http://nowhere", file, md5_of(root / file)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", splits)


@pytest.mark.parametrize(
    ("name", "write", "files"), [("cifar10", write_cifar, CIFAR_FILES), ("svhn", write_svhn, SVHN_FILES)]
)
def test_every_file_of_cifar_and_svhn_is_held_to_its_published_checksum(
    name: str,
    write: Callable[[Path, pytest.MonkeyPatch], None],
    files: Sequence[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path, monkeypatch)
    load(name, tmp_path)
    for file in files:
        path = tmp_path / file
        whole, expected = path.read_bytes(), md5_of(path)
        for damaged in [flipped(whole, 0), flipped(whole, len(whole) // 2), flipped(whole, -1), whole[:-1], b""]:
            path.write_bytes(damaged)
            found = md5_of(path)
            told = f"{path}: damaged: expected the MD5 {expected}, found {found}{MEND}"
            assert refusal(name, tmp_path) == told
        path.write_bytes(whole)
    load(name, tmp_path)


@pytest.mark.parametrize("name", ["kmnist", "cifar10", "svhn"])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    {"kmnist": write_mnist_like, "cifar10": write_cifar, "svhn": write_svhn}[name](
        tmp_path, "KMNIST" if name == "kmnist" else monkeypatch
    )  # type: ignore[operator]
    file = tmp_path / files_of(name).files[0]
    message = f"{file}: cannot be read (Permission denied)"
    original_open = Path.open

    def no_entry(path: object, *arguments: object, **more: object) -> object:
        if str(path) == str(file):
            raise PermissionError(13, "Permission denied", str(file))
        return original_open(path, *arguments, **more)  # type: ignore[arg-type]

    if name == "kmnist":
        monkeypatch.setattr(Path, "open", no_entry)
    else:
        monkeypatch.setattr("torchvision.datasets.utils.calculate_md5", no_entry)
    assert refusal(name, tmp_path) == message
