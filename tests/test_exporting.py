"""Models for other programs: each format, read back as its users do, says what the checkpoint's model says."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from small_sweeps import sweep, tables

import cnnsweep
from cnnsweep import cli
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import CheckpointError, UsageError
from cnnsweep.evaluation import export as exporting
from cnnsweep.evaluation.export import ENDINGS, ExportOptions, export_checkpoint
from cnnsweep.evaluation.model_card import describe
from cnnsweep.evaluation.restore import restore_model
from cnnsweep.storage.best_weights import load_best
from cnnsweep.types import DatasetChoice


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "small"
    sweep(folder, overrides=["params.lr=0.01"])
    return folder


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    shapes = DatasetChoice("shapes", {"size": 12, "classes": 3, "train": 60, "test": 30})
    batch, _ = next(iter(load_dataset(shapes, Path()).test.batches([torch.arange(30)], torch.device("cpu"))))
    return batch


def expected_logits(trained: Path, images: torch.Tensor) -> torch.Tensor:
    weights = next(trained.glob("*/best.safetensors"))
    best = load_best(weights)
    about = describe(weights, best.description, Path(), allow_code=False)
    with torch.inference_mode():
        return restore_model(weights, best.weights, about).eval()(about.pixels.to_model_input(images))


def normalised(trained: Path, images: torch.Tensor) -> torch.Tensor:
    pixels = load_best(next(trained.glob("*/best.safetensors"))).description["pixels"]
    return (images / 255 - pixels["mean"][0]) / pixels["std"][0]


def exported(trained: Path, folder: Path, style: str, **options: object) -> Path:
    file = folder / f"model{ENDINGS[style]}"
    export = export_checkpoint(trained, ExportOptions(style, file, folder, **options))  # type: ignore[arg-type]
    assert (export.file, export.images, export.source) == (file, 30, "images of shapes")
    assert export.difference < 1e-5
    return file


def check_metadata(about: dict[str, str], trained: Path, *, takes_pixels: bool) -> None:
    description = load_best(next(trained.glob("*/best.safetensors"))).description
    assert json.loads(about["classes"]) == ["circle", "square", "triangle"]
    assert json.loads(about["mean"]) == description["pixels"]["mean"]
    assert json.loads(about["std"]) == description["pixels"]["std"]
    assert about["layout"] == "NCHW"
    assert about["input"].startswith("images: (N, 1, 12, 12), " + ("uint8" if takes_pixels else "float32"))
    assert about["cnnsweep_run"] == description["run"]


def run_onnx(file: Path, images: torch.Tensor) -> tuple[torch.Tensor, dict[str, str]]:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    (given,), (returned,) = session.get_inputs(), session.get_outputs()
    assert (given.name, returned.name) == ("images", "logits")
    (logits,) = session.run(None, {"images": images.numpy()})
    return torch.from_numpy(logits), session.get_modelmeta().custom_metadata_map


def test_onnx_takes_any_number_of_images_as_they_are_stored(trained, images, tmp_path):
    pytest.importorskip("onnxscript")
    file = exported(trained, tmp_path, "onnx")
    for count in (1, 7, 30):
        logits, about = run_onnx(file, images[:count])
        torch.testing.assert_close(logits, expected_logits(trained, images)[:count], rtol=1e-4, atol=1e-5)
    check_metadata(about, trained, takes_pixels=True)


def test_onnx_may_leave_normalising_to_its_user(trained, images, tmp_path):
    pytest.importorskip("onnxscript")
    file = exported(trained, tmp_path, "onnx", normalize=False)
    logits, about = run_onnx(file, normalised(trained, images))
    torch.testing.assert_close(logits, expected_logits(trained, images), rtol=1e-4, atol=1e-5)
    check_metadata(about, trained, takes_pixels=False)


@pytest.mark.parametrize("normalize", [True, False])
def test_torch_export_needs_no_code_of_ours(trained, images, tmp_path, normalize):
    file = exported(trained, tmp_path, "torch-export", normalize=normalize)
    model = torch.export.load(file).module()
    for count in (1, 30):
        given = images[:count] if normalize else normalised(trained, images[:count])
        torch.testing.assert_close(model(given), expected_logits(trained, images)[:count], rtol=1e-4, atol=1e-5)
    with zipfile.ZipFile(file) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("cnnsweep.json")]
        check_metadata(json.loads(archive.read(name)), trained, takes_pixels=normalize)


def test_safetensors_hold_the_weights_and_say_how_to_use_them(trained, tmp_path):
    file = exported(trained, tmp_path, "safetensors")
    weights = load_best(next(trained.glob("*/best.safetensors"))).weights
    again = load_file(file)
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    with safe_open(file, "pt") as opened:
        about = opened.metadata()
    check_metadata(about, trained, takes_pixels=False)
    assert json.loads(about["cnnsweep_model"])["name"] == "cnn"


def test_a_model_that_comes_out_different_is_not_written(trained, tmp_path, monkeypatch):
    def wrong(model, inputs, metadata, about):
        return b"file", lambda images: model(images) + 0.01 * (len(images) == 3)

    monkeypatch.setitem(exporting._FORMATS, "torch-export", wrong)
    with pytest.raises(CheckpointError, match=r"differs from the checkpoint's on 3 images.*0\.01\); nothing was"):
        export_checkpoint(trained, ExportOptions("torch-export", tmp_path / "m.pt2", tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_no_tracer_follows_is_an_error_of_one_line(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(144, 3)\n"
        "    def forward(self, x):\n"
        "        if x.sum().item() > 1e9:\n"
        "            return self.layer(x.flatten(1)) * 2\n"
        "        return self.layer(x.flatten(1))\n"
    )
    sweep(tmp_path / "s", overrides=[f"model={tmp_path}/net.py:Net", "params.epochs=1", "params.lr=0.01"])
    options = ExportOptions("torch-export", tmp_path / "m.pt2", tmp_path, allow_code=True)
    with pytest.raises(CheckpointError, match="cannot be exported to torch-export") as raised:
        export_checkpoint(tmp_path / "s", options)
    assert "\n" not in str(raised.value)
    with pytest.raises(CheckpointError, match="names code of its own"):
        export_checkpoint(tmp_path / "s", ExportOptions("safetensors", tmp_path / "m.safetensors", tmp_path))
    assert not list(tmp_path.glob("m.*"))
    export_checkpoint(
        tmp_path / "s", ExportOptions("safetensors", tmp_path / "m.safetensors", tmp_path, allow_code=True)
    )


def test_without_its_data_set_a_model_is_compared_on_random_images(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("cnnsweep.evaluation.sample_images._would_be_downloaded", lambda *_: True)
    export = export_checkpoint(trained, ExportOptions("safetensors", tmp_path / "m.safetensors", tmp_path))
    assert export.source == "random images, since shapes is not below --data-root"


def test_nothing_is_downloaded_to_compare_with(tmp_path):
    from cnnsweep.evaluation.sample_images import _would_be_downloaded

    class About:
        dataset = DatasetChoice("fashion_mnist")

    assert _would_be_downloaded(About(), tmp_path)  # type: ignore[arg-type]


def test_what_is_there_already_is_kept_unless_forced(trained, tmp_path):
    file = tmp_path / "m.safetensors"
    file.write_text("mine")
    with pytest.raises(UsageError, match="already exists; choose another --output, or add --force"):
        export_checkpoint(trained, ExportOptions("safetensors", file, tmp_path))
    assert file.read_text() == "mine"
    export_checkpoint(trained, ExportOptions("safetensors", file, tmp_path, force=True))
    assert load_file(file)


def test_missing_packages_are_one_sentence_with_the_command(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(UsageError) as raised:
        export_checkpoint(trained, ExportOptions("onnx", tmp_path / "m.onnx", tmp_path))
    assert str(raised.value) == "--format onnx needs onnxscript; install it with: pip install 'cnnsweep[export]'"


def test_the_command_writes_what_it_says(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for style, code in (("torch-export", 0), ("torch-export", 2), ("x", 2)):  # the second is there already
        monkeypatch.setattr(sys, "argv", ["cnnsweep", "export", "-c", str(trained), "--format", style])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert (ended.value.code or 0) == code
    run = tables(trained)["sweep"]["best"]
    assert f"wrote model.pt2: {run}, the same on 30 images of shapes" in capsys.readouterr().err
    assert torch.export.load("model.pt2")


@pytest.mark.faults
@pytest.mark.parametrize("model", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_0"])
def test_models_of_torchvision_come_out_equal(model, tmp_path):
    pytest.importorskip("onnxscript")
    shapes = "dataset={name: shapes, size: 32, channels: 3, classes: 3, train: 60, test: 30}"
    # So small a lr that logits stay small too, whatever batch norm has seen in one epoch.
    sweep(tmp_path / "s", overrides=["params.lr=1.0e-5", f"model={model}", shapes, "params.epochs=1"])
    for style in ENDINGS:
        exported(tmp_path / "s", tmp_path, style)


def test_onnx_agrees_with_pytorch_on_the_test_images_of_fashion_mnist(shared_data, tmp_path):
    pytest.importorskip("onnxscript")
    text = """
name: fashion
dataset: fashion_mnist
model: lenet
validation: 1000
params: {lr: 0.003, batch_size: 500, epochs: 1}
tensorboard: false
"""
    cnnsweep.run(text, folder=tmp_path / "s", data_root=shared_data, fuse="off", quiet=True)
    export_checkpoint(tmp_path / "s", ExportOptions("onnx", tmp_path / "model.onnx", shared_data))
    dataset = load_dataset(DatasetChoice("fashion_mnist"), shared_data)
    images, labels = next(iter(dataset.test.batches([torch.arange(10_000)], torch.device("cpu"))))
    expected = expected_logits(tmp_path / "s", images)
    logits, _ = run_onnx(tmp_path / "model.onnx", images)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    assert np.mean((logits.argmax(1) == expected.argmax(1)).numpy()) > 0.9999  # a tie may fall either way
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    print(f"largest difference {(logits - expected).abs().max():.2g}, accuracy {accuracy:.4f}")
    assert accuracy > 0.7


TIED = """
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, num_classes, image_size):
        super().__init__()
        self.first = nn.Linear(in_channels * image_size[0] * image_size[1], 6)
        self.second, self.third = nn.Linear(6, 6), nn.Linear(6, 6)
        self.third.weight = self.second.weight
        self.again = self.second
        self.last = nn.Linear(6, num_classes)

    def forward(self, x):
        for layer in (self.first, self.second, self.third, self.again):
            x = layer(x.flatten(1)).relu()
        return self.last(x)
"""


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of a model with a weight under three names, trained as one program."""
    folder = tmp_path_factory.mktemp("tied")
    (folder / "nets.py").write_text(TIED)
    sweep(folder / "small", TIED_SWEEP.format(folder / "nets.py"), fuse=2)
    return folder / "small"


TIED_SWEEP = """
name: small
dataset: {{name: shapes, size: 12, classes: 3, train: 60, test: 30}}
model: "{}:Net"
params: {{lr: [0.01, 0.003], batch_size: 16, epochs: 3}}
precision: fp64
tensorboard: false
"""


def test_shared_weights_are_exported_under_every_name(tied, tmp_path):
    for style, ending in ENDINGS.items():
        if style == "onnx":
            pytest.importorskip("onnxruntime")
        export_checkpoint(tied, ExportOptions(style, tmp_path / f"m{ending}", tmp_path, allow_code=True))
    weights = load_file(tmp_path / "m.safetensors")
    assert weights["second.weight"].equal(weights["third.weight"])
    assert weights["second.weight"].equal(weights["again.weight"])


def test_runs_of_shared_weights_train_in_a_group_as_alone_and_stay_shared_when_they_go_on(tied, tmp_path):
    text = TIED_SWEEP.format(tied.parent / "nets.py")
    sweep(tmp_path / "alone", text)
    sweep(tmp_path / "cut", text.replace("epochs: 3", "epochs: 1"))
    sweep(tmp_path / "cut", text)
    for name in ("alone", "cut"):
        for row, alone in zip(figures(tied), figures(tmp_path / name)[-6:], strict=True):
            assert row == pytest.approx(alone, abs=1e-9)


def figures(folder: Path) -> list[list[float]]:
    rows = tables(folder)["epochs"]
    return [[row["lr"], row["epoch"], row["loss"], row["val_loss"]] for row in rows if row["epochs"] == 3]


def test_an_export_that_fails_gives_no_hint_to_the_format_that_failed(trained, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    for style in ("safetensors", "torch-export"):
        monkeypatch.setitem(exporting._FORMATS, style, fail)
        with pytest.raises(CheckpointError, match=r"\(RuntimeError: no\)") as caught:
            export_checkpoint(trained, ExportOptions(style, tmp_path / "m", tmp_path))
        assert ("--format safetensors" in str(caught.value)) is (style != "safetensors")
