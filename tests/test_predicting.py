"""A person's own pictures: brought to the model's form, recognised, and shown; broken ones are named."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_sweeps import sweep

from cnnsweep import cli
from cnnsweep.datasets.decode import Form, decode
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import CheckpointError, DataError
from cnnsweep.evaluation.predict import PredictionOptions, Predictor, find_pictures, warning_of_brightness
from cnnsweep.report.predictions import Picture, predictions_to_csv

CPU = PredictionOptions("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "small"
    sweep(folder, overrides=["params.lr=0.01"])
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a picture of each kind, another in a folder of it, and files that are none."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    Image.effect_mandelbrot((40, 30), (-2, -1, 1, 1), 50).save(folder / "grey.png")
    Image.linear_gradient("L").resize((20, 60)).convert("RGB").save(folder / "tall.jpg")
    Image.radial_gradient("L").save(folder / "more" / "large.bmp")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden.png").write_text("mine")
    return folder


@pytest.fixture
def predict(trained, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cnnsweep", "predict", "-c", str(trained), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


def test_a_folder_stands_for_all_its_pictures(pictures):
    names = [str(path.relative_to(pictures)) for path in find_pictures([pictures])]
    assert names == ["broken.png", "grey.png", "more/large.bmp", "tall.jpg"]
    given = [pictures / "tall.jpg", pictures / "more"]
    assert find_pictures(given) == [pictures / "tall.jpg", pictures / "more" / "large.bmp"]
    (pictures / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        find_pictures([pictures / "empty"])


def test_pictures_are_seen_as_an_image_folder_would_be(trained, pictures):
    predictor = Predictor(trained, CPU)
    files = find_pictures([pictures])
    found = {Path(one.file).name: one for one in predictor.predict_files(files)}
    assert list(found) == ["broken.png", "grey.png", "large.bmp", "tall.jpg"]
    assert found["broken.png"].error is not None
    for file in files:
        if file.name == "broken.png":
            continue
        pixels = torch.from_numpy(decode(file, Form(12, 12, 1)).copy())[None]
        with torch.inference_mode():
            expected = predictor.model(predictor.about.pixels.to_model_input(pixels)).softmax(1)[0]
        assert found[file.name].probabilities == pytest.approx(expected.tolist(), abs=1e-6)
        assert sum(found[file.name].probabilities) == pytest.approx(1, abs=1e-6)


def test_more_pictures_than_a_block_keep_their_order(trained, tmp_path):
    for number in range(200):
        Image.new("L", (12, 12), number).save(tmp_path / f"{number:03}.png")
    files = find_pictures([tmp_path])
    predictor = Predictor(trained, CPU)
    found = list(predictor.predict_files(files))
    assert [one.file for one in found] == [str(file) for file in files]
    images = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(200, 1, 12, 12).contiguous()
    torch.testing.assert_close(torch.tensor([one.probabilities for one in found]), predictor.predict(images))


def test_inverting_is_done_before_the_model_sees_them(trained, pictures):
    (plain,) = Predictor(trained, CPU).predict_files([pictures / "grey.png"])
    (inverted,) = Predictor(trained, PredictionOptions("cpu", invert=True)).predict_files([pictures / "grey.png"])
    assert plain.probabilities != inverted.probabilities
    pixels = 255 - torch.from_numpy(decode(pictures / "grey.png", Form(12, 12, 1)).copy())[None]
    assert inverted.probabilities == pytest.approx(Predictor(trained, CPU).predict(pixels)[0].tolist(), abs=1e-6)


@pytest.mark.parametrize("images", [torch.zeros(2, 1, 12, 12), torch.zeros(2, 3, 12, 12, dtype=torch.uint8)])
def test_images_of_another_type_or_shape_are_refused(trained, images):
    with pytest.raises(DataError, match=r"images: found \w+ of \(2, .*allowed is uint8 of \(N, 1, 12, 12\)"):
        Predictor(trained, CPU).predict(images)


def test_a_model_of_channels_that_no_file_has_says_so(trained):
    predictor = Predictor(trained, CPU)
    predictor.about = dataclasses.replace(predictor.about, image_shape=(2, 12, 12))
    with pytest.raises(CheckpointError, match="images of 2 channels, which picture files do not have"):
        next(predictor.predict_files([Path("x.png")]))


def test_what_is_bright_where_training_images_are_dark_is_noted():
    dark = PixelNormalize((0.13,), (0.31,))
    paper = torch.full((1, 28, 28), 240, dtype=torch.uint8)
    assert "is bright (mean 0.94) where the training images are dark (mean 0.13)" in str(
        warning_of_brightness(paper, dark)
    )
    assert "is dark" in str(warning_of_brightness(255 - paper, PixelNormalize((0.87,), (0.31,))))
    assert warning_of_brightness(255 - paper, dark) is None
    assert warning_of_brightness(paper, PixelNormalize((0.47,) * 3, (0.25,) * 3)) is None  # photos are both
    assert warning_of_brightness(paper, PixelNormalize((0.0,), (1.0,))) is None  # not normalised: nothing is known


def test_real_test_images_are_hardly_ever_called_unlike_the_training_images(shared_data):
    from cnnsweep.datasets.load import load_dataset
    from cnnsweep.types import DatasetChoice

    dataset = load_dataset(DatasetChoice("fashion_mnist"), shared_data)
    images, _ = next(iter(dataset.test.batches([torch.arange(2000)], torch.device("cpu"))))
    pixels = PixelNormalize((0.286,), (0.353,))
    noted = [sum(warning_of_brightness(image, pixels) is not None for image in part) for part in (images, 255 - images)]
    print(f"of 2000 images {noted[0]}, of their negatives {noted[1]} are noted")
    assert noted[0] < 40
    assert noted[1] > 1000


def test_the_command_shows_the_likeliest_classes_and_names_what_is_broken(predict, pictures):
    code, out, err = predict("pictures", "pictures/gone.png")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 3
    assert all(sum(name in line for name in ("circle", "square", "triangle")) == 3 for line in lines)
    assert "broken.png: cannot be read (" in err
    assert "gone.png: cannot be read (No such file or directory)" in err


def test_json_and_csv_say_the_same(predict, pictures):
    content = json.loads(predict(pictures, "--json", "--top", 2)[1])
    assert "error" in content[0]
    rows = list(csv.DictReader(io.StringIO(predict(pictures, "--csv", "--top", 2)[1])))
    assert [row["file"] for row in rows] == [one["file"] for one in content[1:]]
    for row, one in zip(rows, content[1:], strict=True):
        assert [row["class_1"], row["class_2"]] == [part["class"] for part in one["top"]]
        assert float(row["probability_1"]) == one["top"][0]["probability"] >= float(row["probability_2"])
    assert predict(pictures, "--json", "--csv")[0] == 2


def test_when_no_picture_can_be_read_the_exit_code_is_4(predict, pictures):
    code, out, err = predict(pictures / "broken.png", pictures / "gone.png")
    assert (code, out) == (4, "")
    assert err.endswith("error: predict: none of the images can be read\n")


def test_hostile_names_reach_no_terminal(predict, tmp_path):
    name = "a\x1b[31m.png"
    Image.new("L", (12, 12)).save(tmp_path / name)
    (tmp_path / "b\x1b[31m.png").write_text("x")
    _, out, err = predict(name, "b\x1b[31m.png")
    assert "\x1b" not in out + err
    assert "\\x1b[31m.png" in out.replace("\n", "")
    assert "," in predictions_to_csv([Picture("a,b", (1.0,))], ["c"], 3)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_file_and_class_names_run_as_no_formula_in_a_spreadsheet(start):
    name = f"{start}cmd|' /C calc'!A0.png"
    rows = list(csv.reader(io.StringIO(predictions_to_csv([Picture(name, (1.0, 0.0))], [f"{start}1+1", "b"], 2))))
    shown = repr(start)[1:-1] if start in "\t\r" else start
    assert rows == [
        ["file", "class_1", "probability_1", "class_2", "probability_2"],
        [f"'{shown}cmd|' /C calc'!A0.png", f"'{shown}1+1", "1.0", "b", "0.0"],
    ]


def test_csv_steers_no_terminal():
    assert "\x1b" not in predictions_to_csv([Picture("a\x1b[31m.png", (1.0,))], ["c\x1b[2J"], 1)
