"""Sweeps with several labels an image, from training to predictions, held to plain torch and scikit-learn."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import photos_of_several_labels as photos
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score
from small_sweeps import sweep, tables, untimed

from cnnsweep import cli
from cnnsweep.errors import CheckpointError
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
from cnnsweep.evaluation.export import ExportOptions, export_checkpoint
from cnnsweep.evaluation.predict import PredictionOptions, Predictor
from cnnsweep.executors.options import ExecutorOptions

FILE = Path(photos.__file__).with_suffix(".py")
TEXT = f"""
name: several
dataset: {FILE}:load
model: {{name: cnn, channels: [6], kernel_size: 3, hidden: [8]}}
validation: 0.3
metrics: [macro_f1, average_precision]
params: {{lr: [0.01, 0.003], batch_size: 16, epochs: 3}}
tensorboard: {{graph: false}}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several") / "s"
    sweep(folder, TEXT)
    return folder


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: object) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["cnnsweep", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert not ended.value.code, captured.err
        return captured.out, captured.err

    return call


def best_of(folder: Path) -> Path:
    return folder / tables(folder)["sweep"]["best"]


def probabilities(folder: Path, images: np.ndarray) -> np.ndarray:
    predictor = Predictor(folder, PredictionOptions("cpu", allow_code=True))
    return predictor.predict(torch.tensor(images).permute(0, 3, 1, 2).contiguous()).numpy()


def test_workers_train_the_same(trained: Path, tmp_path: Path):
    sweep(tmp_path / "there", TEXT, executor_options=ExecutorOptions(jobs=2, threads=1))
    assert untimed(tmp_path / "there") == untimed(trained)


def test_recorded_metrics_are_those_of_scikit_learn(trained: Path):
    best = best_of(trained)
    row = next(run for run in tables(trained)["runs"] if run["run"] == best.name)
    images, rows = photos.load()[0]
    evaluation = json.loads((best / "evaluation.json").read_text())
    positions = split_of(rows)
    likely, labels = probabilities(best, images[positions]), rows[positions]
    assert evaluation["split"] == "val"
    assert row["val_accuracy"] == pytest.approx(((likely > 0.5) == labels).all(1).mean(), abs=1e-6)
    assert row["val_macro_f1"] == pytest.approx(f1_score(labels, likely > 0.5, average="macro", zero_division=0))
    assert row["val_average_precision"] == pytest.approx(average_precision_score(labels, likely), abs=1e-6)


def split_of(rows: np.ndarray) -> np.ndarray:
    from cnnsweep.datasets.splits import split_indices

    return split_indices(torch.tensor(rows).to(torch.uint8), 0.3, seed=0)[1].numpy()


def test_thresholds_have_the_highest_f1_on_validation_images_and_never_see_test_images(trained: Path):
    best = best_of(trained)
    images, rows = photos.load()[0]
    positions = split_of(rows)
    likely, labels = probabilities(best, images[positions]).astype(float), rows[positions]
    options = EvaluationOptions(trained, "test", "cpu", allow_code=True)
    chosen = evaluate_checkpoint(best, options).thresholds
    assert list(chosen) == json.loads((best / "evaluation.json").read_text())["thresholds"]
    for label, threshold in enumerate(chosen):
        candidates = [*np.unique(likely[:, label]) - 1e-9, 0.5]
        highest = max(f1_score(labels[:, label], likely[:, label] > t, zero_division=0) for t in candidates)
        assert f1_score(labels[:, label], likely[:, label] > threshold) == pytest.approx(highest)


def test_an_evaluation_has_the_numbers_of_scikit_learn(trained: Path, command):
    best = best_of(trained)
    output, _ = command("evaluate", best, "--allow-code", "--json")
    found = json.loads(output)
    images, rows = photos.load()[1]  # type: ignore[misc]
    likely = probabilities(best, images)
    given = likely > np.array(found["thresholds"])
    assert found["accuracy"] == pytest.approx(((likely > 0.5) == rows).all(1).mean())
    metrics = found["metrics"]
    for average in ("macro", "micro"):
        expected = f1_score(rows, likely > 0.5, average=average, zero_division=0)
        assert metrics[f"{average}_f1"] == pytest.approx(expected, abs=1e-6)
        at_thresholds = f1_score(rows, given, average=average, zero_division=0)
        assert metrics[f"{average}_f1_at_thresholds"] == pytest.approx(at_thresholds, abs=1e-6)
    assert metrics["average_precision"] == pytest.approx(average_precision_score(rows, likely), abs=1e-6)
    assert metrics["accuracy_at_thresholds"] == pytest.approx((given == rows).all(1).mean())
    for name, value in {"accuracy": found["accuracy"], "loss": found["loss"], **metrics}.items():
        low, high = found["intervals"][name]
        assert low <= value <= high, name
    assert [one["class"] for one in found["by_class"]] == list(photos.NAMES)
    for label, one in enumerate(found["by_class"]):
        assert one["images"] == rows[:, label].sum()
        assert one["recall"] == pytest.approx(recall_score(rows[:, label], given[:, label]))
        if given[:, label].any():
            assert one["precision"] == pytest.approx(precision_score(rows[:, label], given[:, label]))
        assert one["average_precision"] == pytest.approx(average_precision_score(rows[:, label], likely[:, label]))
    assert "confusion" not in found


def test_wrong_images_name_missed_and_invented_labels(trained: Path):
    best = best_of(trained)
    evaluation = evaluate_checkpoint(best, EvaluationOptions(trained, "test", "cpu", allow_code=True, most_wrong=100))
    images, rows = photos.load()[1]  # type: ignore[misc]
    likely = probabilities(best, images)
    given = likely > np.array(evaluation.thresholds)
    wrong = (given != rows).any(1)
    assert sorted(one.index for one in evaluation.wrong) == wrong.nonzero()[0].tolist()
    for one in evaluation.wrong:
        has, answered = rows[one.index], given[one.index]
        assert one.missed == tuple(
            name for place, name in enumerate(photos.NAMES) if has[place] and not answered[place]
        )
        assert one.invented == tuple(
            name for place, name in enumerate(photos.NAMES) if answered[place] and not has[place]
        )
        certainty = np.where(answered, likely[one.index], 1 - likely[one.index])[answered != has]
        assert one.probability == pytest.approx(certainty.max(), abs=1e-6)


def test_report_page_and_evaluate_show_labels_in_place_of_a_confusion_matrix(trained: Path, command, tmp_path: Path):
    output, _ = command("evaluate", best_of(trained), "--allow-code")
    assert "have all labels right" in output
    assert "By label" in output
    assert "Confusion" not in output
    assert all(heading in output for heading in ("AP", "threshold", "missed", "invented"))
    command("report", trained, "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ">Labels</h2>" in page
    assert "Confusion matrix" not in page
    assert "missed " in page or "invented " in page
    command("doctor", trained)


def test_predict_gives_the_labels_above_their_thresholds(trained: Path, command, tmp_path: Path):
    images, _ = photos.load()[1]  # type: ignore[misc]
    for number, image in enumerate(images[:5]):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    thresholds = json.loads((best_of(trained) / "evaluation.json").read_text())["thresholds"]
    likely = probabilities(trained, images[:5])
    output, errors = command("predict", "-c", trained, "--allow-code", "--json", tmp_path)
    assert "thresholds" not in errors
    for picture, row in zip(json.loads(output), likely, strict=True):
        above = {name: p for name, p, least in zip(photos.NAMES, row, thresholds, strict=True) if p > least}
        assert {one["class"]: one["probability"] for one in picture["labels"]} == pytest.approx(above, abs=1e-5)
        assert [one["class"] for one in picture["top"]] == [photos.NAMES[place] for place in np.argsort(-row)]
    table, _ = command("predict", "-c", trained, "--allow-code", "--csv", tmp_path)
    heading, *lines = table.splitlines()
    assert heading.startswith("file,labels,label_cat,probability_cat,")
    assert len(lines) == 5
    shown, _ = command("predict", "-c", trained, "--allow-code", tmp_path)
    assert "%" in shown


def test_predict_says_that_thresholds_of_other_weights_are_not_used(trained: Path, command, tmp_path: Path):
    best = best_of(trained)
    copied = tmp_path / "elsewhere" / "best.safetensors"
    copied.parent.mkdir()
    copied.write_bytes((best / "best.safetensors").read_bytes())
    Image.fromarray(photos.load()[0][0][0]).save(tmp_path / "a.png")
    _, errors = command("predict", "-c", copied, "--allow-code", tmp_path / "a.png")
    assert "note: thresholds are 0.5, since these weights have no evaluation beside them" in errors
    stale = json.loads((best / "evaluation.json").read_text())
    del stale["sha256"]
    (copied.parent / "evaluation.json").write_text(json.dumps({**stale, "epoch": stale["epoch"] + 1}))
    _, errors = command("predict", "-c", copied, "--allow-code", tmp_path / "a.png")
    assert "has none for these weights" in errors


@pytest.mark.parametrize("style", ["onnx", "torch-export"])
def test_an_exported_model_gives_the_same_probabilities_and_describes_its_labels(trained: Path, tmp_path: Path, style):
    file = tmp_path / "model"
    export_checkpoint(trained, ExportOptions(style, file, tmp_path, allow_code=True))
    images = torch.tensor(photos.load()[1][0]).permute(0, 3, 1, 2).contiguous()  # type: ignore[index]
    about: dict[str, Any]
    if style == "onnx":
        session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map
        logits = session.run(["logits"], {"images": images.numpy()})[0]
    else:
        extra = {"cnnsweep.json": ""}
        logits = torch.export.load(str(file), extra_files=extra).module()(images).detach().numpy()
        about = json.loads(extra["cnnsweep.json"])
    assert about["labels"] == "several"
    assert json.loads(about["classes"]) == list(photos.NAMES)
    stored = json.loads((best_of(trained) / "evaluation.json").read_text())["thresholds"]
    assert json.loads(about["thresholds"]) == stored
    expected = probabilities(trained, photos.load()[1][0])  # type: ignore[index]
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(expected, abs=1e-5)


def test_without_validation_images_thresholds_stay_at_a_half(tmp_path: Path, command):
    sweep(tmp_path / "s", TEXT.replace("validation: 0.3", "validation: 0"), overrides=["params.lr=0.01"])
    output, _ = command("evaluate", best_of(tmp_path / "s"), "--allow-code", "--json")
    found = json.loads(output)
    assert found["thresholds"] == [0.5] * 3
    assert any("no images were held out for validation" in note for note in found["notes"])


def test_a_trial_of_several_seeds_is_evaluated_together(tmp_path: Path, command):
    sweep(tmp_path / "s", f"{TEXT}seeds: 2\n", overrides=["params.lr=0.01"])
    output, _ = command("evaluate", tmp_path / "s", "--allow-code", "--json")
    found = json.loads(output)
    values = [run["metrics"]["macro_f1"] for run in found["runs"]]
    assert found["metrics"]["macro_f1"]["mean"] == pytest.approx(np.mean(values))
    shown, _ = command("evaluate", tmp_path / "s", "--allow-code")
    assert "By label" in shown


def test_a_checkpoint_of_one_label_does_not_fit_data_of_several(trained: Path, tmp_path: Path):
    single = FILE.read_text().replace("return images, rows", "return images, rows.argmax(1)")
    (tmp_path / "photos.py").write_text(single)
    sweep(tmp_path / "s", TEXT.replace(str(FILE), str(tmp_path / "photos.py")), overrides=["params.lr=0.01"])
    (tmp_path / "photos.py").write_text(FILE.read_text())
    from cnnsweep.plugins import load_object

    load_object.cache_clear() if hasattr(load_object, "cache_clear") else None
    for name in [name for name in sys.modules if "photos" in name and name != photos.__name__]:
        del sys.modules[name]
    with pytest.raises(CheckpointError, match=r"was trained on one label an image, but .* has several here"):
        evaluate_checkpoint(best_of(tmp_path / "s"), EvaluationOptions(tmp_path, "test", "cpu", allow_code=True))


def test_thresholds_of_mirror_images_are_used_for_mirror_images_alone(trained: Path, command):
    best = best_of(trained)
    command("evaluate", best, "--tta", "flip", "--allow-code")
    plain, mirrored = (Predictor(best, PredictionOptions("cpu", allow_code=True, tta=tta)) for tta in (None, "flip"))
    assert plain.thresholds is not None
    assert mirrored.thresholds is not None
    assert mirrored.thresholds.note is None
    assert plain.thresholds.values == (0.5,) * len(plain.about.classes)
    assert "were chosen with tta flip and are used without tta" in str(plain.thresholds.note)
    command("evaluate", best, "--allow-code")
    assert Predictor(best, PredictionOptions("cpu", allow_code=True)).thresholds.note is None
