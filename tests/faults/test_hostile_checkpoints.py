"""A stranger's best.safetensors: nothing that it names is run, and nothing that it asks for is allocated."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile_values import ESCAPE, deep, mutate
from rich.console import Console
from safetensors.torch import save
from small_sweeps import sweep

from cnnsweep.datasets import torchvision_files
from cnnsweep.errors import CheckpointError, CnnSweepError, DataError
from cnnsweep.evaluation import restore as restoring
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
from cnnsweep.models.base import MODELS
from cnnsweep.models.build import build_model
from cnnsweep.models.meta_model import build_meta_model
from cnnsweep.report.evaluation import render_evaluation
from cnnsweep.report.evaluation_json import evaluation_to_json
from cnnsweep.storage import best_weights as checkpoints
from cnnsweep.storage.best_weights import BestCheckpoint, load_best
from cnnsweep.types import ModelChoice

Description = dict[str, Any]
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> BestCheckpoint:
    folder = tmp_path_factory.mktemp("good")
    sweep(folder, overrides=["params.lr=0.01", "params.epochs=1"])
    return load_best(next(folder.glob("*/best.safetensors")))


@pytest.fixture
def write(good: BestCheckpoint, tmp_path: Path) -> Write:
    """Writes a checkpoint with the weights of the good one, and another description."""

    def write(about: Description | None = None, text: str | None = None, **changes: Any) -> Path:
        path = tmp_path / "best.safetensors"
        whole = {**good.description, **(about or {}), **changes}
        path.write_bytes(save(dict(good.weights), {"cnnsweep": json.dumps(whole) if text is None else text}))
        return path

    return write


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DataError("would be downloaded")

    monkeypatch.setattr(torchvision_files, "_fetch_missing", refuse)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("weights are downloaded"))


def evaluate(path: Path, **options: Any) -> Any:
    return evaluate_checkpoint(path, EvaluationOptions(path.parent, **{"device": "cpu", **options}))


def refusal(path: Path, **options: Any) -> str:
    """Return why a checkpoint is refused, which has to be found out in no time."""
    started = time.process_time()
    with pytest.raises(CheckpointError) as raised:
        evaluate(path, **options)
    assert time.process_time() - started < 5.0
    message = str(raised.value)
    assert message.startswith(f"{path}")
    assert len(message) < 3000
    return message


def test_a_good_one_is_measured(write: Write) -> None:
    assert evaluate(write()).images == 30


def check_mutant(good: BestCheckpoint, path: Path, chance: random.Random) -> bool:
    """Evaluate a changed checkpoint, which gives figures (then True is returned) or a clear error."""
    about = mutate(dict(good.description), chance)
    if chance.random() < 0.95:  # else few would come to anything
        about |= {"weights_sha256": good.description["weights_sha256"]}
    about["version"] = 1
    path.write_bytes(save(dict(good.weights), {"cnnsweep": json.dumps(about)}))
    started = time.process_time()
    try:
        found = evaluate(path, split=chance.choice(("test", "val", "train")))
    except CnnSweepError as error:
        found, message = None, str(error)
    assert time.process_time() - started < 5.0
    if found is None:
        assert len(message) < 3000
        return False
    console = Console(file=io.StringIO(), width=100)
    render_evaluation(found, console)
    assert console.file.getvalue().replace("\n", "").isprintable()  # type: ignore[attr-defined]
    assert evaluation_to_json(found).isascii()
    return True


def test_changed_descriptions_give_figures_or_clear_errors(good: BestCheckpoint, tmp_path: Path) -> None:
    chance = random.Random(5)
    measured = sum(check_mutant(good, tmp_path / "best.safetensors", chance) for _ in range(150))
    assert 10 < measured < 140  # else the changes are too wild, or too tame


@pytest.mark.faults
def test_many_changed_descriptions_give_figures_or_clear_errors(good: BestCheckpoint, tmp_path: Path) -> None:
    chance = random.Random(6)
    measured = sum(check_mutant(good, tmp_path / "best.safetensors", chance) for _ in range(5000))
    print(f"5000 changed descriptions: {measured} measured, the others refused")


CNN = {"name": "cnn", "arguments": {"channels": [4], "kernel_size": 3, "hidden": [8], "dropout": 0.2}}


def cnn(**arguments: Any) -> Description:
    return {"model": {"name": "cnn", "arguments": {**CNN["arguments"], **arguments}}}  # type: ignore[dict-item]


def model(name: str, **arguments: Any) -> Description:
    return {"model": {"name": name, "arguments": arguments}}


def dataset(name: str, **arguments: Any) -> Description:
    return {"dataset": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (cnn(channels=[10**9]), "model.channels: found 1000000000, allowed is a whole number from 1 to 1,000,000"),
        (
            cnn(channels=[10**6], kernel_size=10),
            "features.0.weight is torch.float32 of (4, 1, 3, 3), but must be torch.float32 of",
        ),
        (cnn(hidden=[10**6] * 100), "must be torch.float32 of (1000000, 100)"),
        (cnn(hidden=[1] * 10**6), "model.hidden"),
        (cnn(kernel_size=10**6), "its model cannot be built"),
        (cnn(padding="same", pool=1), "but must be torch.float32 of"),
        (model("vit_h_14", image_size=14 * 10**5), "is missing"),
        (model("mobilenet_v2", inverted_residual_setting=[[1, 16, 10**9, 1]]), "has more than 1,000 parts"),
        (model("mobilenet_v2", width_mult=1e300), "its model cannot be built"),
        (model("resnet18", width_per_group=10**12), "its model cannot be built"),
        (model("resnet18", pretrained=True), "unexpected keyword argument 'pretrained'"),
        (model("resnet18", weights="DEFAULT"), "model.weights: may not be given"),
        (model("fasterrcnn_resnet50_fpn", weights_backbone="DEFAULT"), "model.name: unknown 'fasterrcnn_resnet50_fpn'"),
        (model("quantized_resnet18"), "unknown"),
        ({"model": "lenet"}, 'model: is "lenet", but must be a mapping'),
        ({"model": {"name": "cnn"}}, "model.arguments: is missing"),
        (
            {"model": {"name": "cnn", "arguments": {"channels": deep(30)}}},
            "model.arguments: is a mapping of 1, but must be at most 8 lists deep",
        ),
        ({"image_shape": [3, 10**6, 10**6]}, "but must be torch.float32 of"),
        (
            {"image_shape": [3, 10**30, 1]},
            "image_shape: is [3, 1000000000000000000000000000000, 1], but must be",
        ),
        ({"image_shape": [True, 12, 12]}, "image_shape"),
        ({"image_shape": [1, 12]}, "image_shape"),
        ({"classes": []}, "classes: is [], but must be at least one name"),
        ({"classes": [f"c{n}" for n in range(100_000)]}, "must be torch.float32 of (100000, 8)"),
        ({"classes": ["a", 1, "c"]}, "classes[1]: is 1, but must be a text"),
        ({"classes": ["a" * 10**6, ESCAPE, "c"]}, "was trained on the classes aaa"),
        ({"pixels": {"mean": [0.1], "std": [0.0]}}, "pixels.std: is [0.0], but must be above 0"),
        (
            {"pixels": {"mean": [0.1, 0.1], "std": [0.1, 0.1]}},
            "pixels: has 2 means and 2 deviations, but must have one of each, or one a channel (1)",
        ),
        ({"pixels": {"mean": ["x"], "std": [0.1]}}, 'pixels.mean[0]: is "x", but must be a finite number'),
        (
            {"split": {"validation": 0.1, "seed": 0, "folds": 0, "fold": 0}},
            "0}, but must be a fold of at least two",
        ),
        ({"split": {"validation": 0.1, "seed": 10**30}}, "split.seed: is 1000000000000000000000000000000, but must be"),
        ({"settings": {"a": deep(100)}}, "settings: is a mapping of 1, but must be at most 8 lists deep"),
        ({"settings": []}, "settings: is [], but must be a mapping"),
        (dataset("shapes", size=10**6), "dataset.size: found 1000000, allowed is a whole number from 12 to 256"),
        (dataset("shapes", sise=12), "dataset.sise: unknown key"),
        (dataset("emnist", split="../../x"), "dataset.split"),
        (dataset("nothing\ud800"), "dataset: holds text that is not Unicode"),
        (dataset("nothing"), "dataset.name: unknown 'nothing'"),
        (
            dataset("image_folder", path="/"),
            "names the image folder /, which lies neither below --data-root nor",
        ),
        (dataset("image_folder", path="a/../../../x"), "names the image folder a/../../../x"),
        (dataset("image_folder", path="~root/photos"), "names the image folder ~root/photos"),
        (dataset("image_folder", path="../" + Path.cwd().name), "names the image folder ../"),
        (dataset("image_folder", path="//host/share"), "names the image folder //host/share"),
        (dataset("image_folder", path="a\0b"), "names the image folder"),
    ],
)
def test_what_is_asked_for_is_refused_before_anything_is_built(
    changes: Description, message: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "classes" not in changes or len(changes["classes"]) != 3 or 1 in changes["classes"]:
        monkeypatch.setattr(restoring, "build_model", lambda *_, **__: pytest.fail("a model is built"))
    assert message in refusal(write(changes))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"version": 1, "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"version": ' + "1" * 100_000 + "}",
        '{"version": NaN}',
        "[]",
        '"x"',
        "",
        "\0",
    ],
)
def test_descriptions_that_are_no_such_thing_are_refused(text: str, write: Write) -> None:
    refusal(write(text=text))


def test_of_keys_given_twice_the_last_is_checked(good: BestCheckpoint, write: Write) -> None:
    whole = json.dumps(dict(good.description))
    assert "epoch: is NaN" in refusal(write(text=whole[:-1] + ', "epoch": NaN}'))
    assert "names code" in refusal(write(text=whole[:-1] + ', "model": {"name": "os:system", "arguments": {}}}'))


def test_named_code_is_never_imported_unless_allowed(write: Write, tmp_path: Path) -> None:
    code = tmp_path / "payload.py"
    code.write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\nNet = load = None\n")
    reference = f"{code}:Net"
    for changes in (model(reference), dataset(reference)):
        assert f"names code of its own ({reference}), which would be run; add --allow-code" in refusal(write(changes))
    for changes in (
        cnn(padding=reference),
        model("resnet18", norm_layer=reference),
        model("vit_b_16", norm_layer=reference, conv_stem_configs=[reference]),
        {"settings": {"model": reference}, "classes": [reference, "b", "c"]},
        {"model": {"name": "cnn", "arguments": {"name": reference}}},
    ):
        refusal(write(changes))
    assert not (tmp_path / "ran").exists()
    with pytest.raises(CheckpointError, match="is NoneType, neither a class nor a function"):
        evaluate(write(model(reference)), allow_code=True)
    assert (tmp_path / "ran").exists()


def test_a_folder_of_images_is_read_where_the_person_says(write: Write, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for path in ("photos", str(tmp_path / "photos")):
        with pytest.raises(DataError, match="no class folders"):
            evaluate(write(dataset("image_folder", path=path)))


def raw(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: list[int], begin: int, end: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


HEADERS = {
    "empty": b"",
    "short": b"\1\0",
    "length beyond the file": raw({}, length=10**6),
    "length beyond memory": raw({}, length=2**62),
    "length below zero": raw({}, length=2**64 - 1),
    "no JSON": raw(b"{" * 1000),
    "deep": raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "overlapping tensors": raw({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, b"\0" * 12),
    "one tensor twice": raw({"a": tensor([2], 0, 8), "b": tensor([2], 0, 8)}, b"\0" * 8),
    "a hole": raw({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, b"\0" * 12),
    "beyond the end": raw({"a": tensor([10**12], 0, 4 * 10**12)}, b"\0" * 8),
    "overflowing shape": raw({"a": tensor([2**62, 4], 0, 0)}),
    "negative offsets": raw({"a": tensor([1], -4, 0)}),
    "unknown type": raw({"a": tensor([1], 0, 4, "X9")}, b"\0" * 4),
    "a pickle": b"\x80\x04cos\nsystem\n(S'touch ran'\ntR.",
    "a zip": b"PK\3\4" + b"\0" * 1000,
    "a hundred thousand tensors": raw({f"t{n}": tensor([0], 0, 0) for n in range(100_000)}),
}


@pytest.mark.parametrize("title", HEADERS)
def test_headers_that_lie_are_refused(title: str, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    path.write_bytes(HEADERS[title])
    refusal(path)


def test_a_header_of_many_megabytes_is_not_parsed(write: Write) -> None:
    assert "a header of 2" in refusal(write(notes="x" * (20 << 20)))


@pytest.mark.faults
def test_a_hundred_thousand_tensors_fit_no_model(good: BestCheckpoint, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    more = {f"t{n}": torch.zeros(0) for n in range(100_000)}
    weights = {**good.weights, **more}
    about = {**good.description, "weights_sha256": checkpoints.weights_digest(weights)}
    path.write_bytes(save(weights, {"cnnsweep": json.dumps(about)}))
    assert "its weights no longer fit the model cnn (it has no t" in refusal(path)


def test_a_file_larger_than_memory_is_refused_unread(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "free_memory_bytes", lambda: 1000)
    monkeypatch.setattr(checkpoints, "load_safetensors", lambda _: pytest.fail("it is read"))
    assert "0.0 GB are free" in refusal(write())


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "best.safetensors")
    for path in (tmp_path, tmp_path / "best.safetensors", Path("/dev/zero"), Path("a\0b")):
        with pytest.raises((CheckpointError, ValueError), match=r"holds neither|no such file|null"):
            evaluate(path)


def test_types_other_than_the_models_are_refused(good: BestCheckpoint, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    first = next(iter(good.weights))
    for kind in (torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn):
        weights = {**good.weights, first: good.weights[first].to(kind)}
        about = {**good.description, "weights_sha256": checkpoints.weights_digest(weights)}
        path.write_bytes(save(weights, {"cnnsweep": json.dumps(about)}))
        assert f"({first} is " in refusal(path)


@pytest.mark.faults
def test_memory_stays_bounded(write: Write, tmp_path: Path) -> None:
    """In a process that may take two gigabytes more than the imports, asked for terabytes."""
    path = write(cnn(channels=[10**6, 10**6], kernel_size=[3, 1], padding="same"))
    code = f"""
import resource
from pathlib import Path
from cnnsweep.errors import CheckpointError
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    evaluate_checkpoint(Path({str(path)!r}), EvaluationOptions(Path(), device="cpu"))
except CheckpointError as error:
    print("refused")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    decision, megabytes = done.stdout.split()
    assert decision == "refused"
    assert int(megabytes) < 300  # mostly torchvision and what torch loads late


@pytest.mark.parametrize("name", ["lenet", "resnet18", "regnet_y_400mf", "squeezenet1_0"])
def test_outline_has_the_models_tensors(name: str) -> None:
    check_outline(name, (1, 28, 28) if name == "lenet" else (3, 32, 32))


@pytest.mark.faults
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 96, 80)])
@pytest.mark.parametrize("name", MODELS.names)
def test_every_outline_has_the_models_tensors(name: str, shape: tuple[int, int, int]) -> None:
    check_outline(name, shape)


def check_outline(name: str, shape: tuple[int, int, int]) -> None:
    outline = build_meta_model(ModelChoice(name), shape, 10, 20_000)
    assert all(tensor.device.type == "meta" for tensor in outline.values())
    real = build_model(ModelChoice(name), shape, 10, seed=0).state_dict()
    assert {k: (v.shape, v.dtype) for k, v in outline.items()} == {k: (v.shape, v.dtype) for k, v in real.items()}
    build_meta_model(ModelChoice(name), shape, 10, max(1000, 4 * len(real)))  # five times fewer than are allowed
