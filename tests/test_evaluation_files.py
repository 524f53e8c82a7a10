"""What is written down of a measurement by class: `evaluation.json` and the events that TensorBoard shows of it."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_sweeps import SMALL, SilentDisplay, sweep, tables
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cnnsweep import cli
from cnnsweep.analysis.run_evaluation import WrongImage, load_run_evaluation
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.datasets.shapes import ShapesOptions, draw_shapes
from cnnsweep.errors import CheckpointError
from cnnsweep.evaluation import after_sweep as closing
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint, evaluate_chosen
from cnnsweep.evaluation.measure import Measurement, measure
from cnnsweep.evaluation.parts import SPLITS
from cnnsweep.evaluation.pictures import draw_confusion, draw_mistakes
from cnnsweep.evaluation.record import note_evaluations
from cnnsweep.evaluation.wrong_images import MOST_PICTURES
from cnnsweep.losses.cross_entropy import CrossEntropy
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths

ONE = ["params.lr=0.01"]
SHAPES = "dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 30}\n"


def options(folder: Path, split: str = "test") -> EvaluationOptions:
    return EvaluationOptions(folder, split, "cpu")


def best_folder(folder: Path) -> Path:
    return folder / tables(folder)["sweep"]["best"]


class Lookup(torch.nn.Module):
    """Takes each image for the class, and with the logit, that its first two pixels say."""

    def forward(self, images):
        logits = torch.zeros(len(images), 3)
        logits[torch.arange(len(images)), images[:, 0, 0, 0].round().long()] = images[:, 0, 0, 1] / 8
        return logits


def measure_lookup(images: torch.Tensor, labels: torch.Tensor) -> Measurement:
    as_they_are = PixelNormalize((0.0,), (1 / 255,))
    everything = torch.arange(len(images))
    about = as_they_are, "abc", torch.device("cpu"), CrossEntropy()
    return measure(Lookup(), MemoryImages(images, labels), everything, *about)


def test_the_surest_mistakes_of_each_class_come_first_with_the_image_as_it_is_stored():
    labels = torch.tensor([0, 1, 2, 0, 1] * 8)
    images = torch.zeros(40, 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor([0, 2, 2, 1, 1] * 8, dtype=torch.uint8)  # the second and fourth are wrong
    sureness = [7 * n % 40 + 1 for n in range(40)]
    images[:, 0, 0, 1] = torch.tensor(sureness, dtype=torch.uint8)
    found = measure_lookup(images, labels)
    of_0, of_1 = (sorted(range(place, 40, 5), key=lambda n: -sureness[n]) for place in (3, 1))  # by true class
    assert [one.index for one in found.wrong] == [index for pair in zip(of_0, of_1, strict=True) for index in pair]
    first = found.wrong[0]
    assert (first.label, first.predicted) == ("abc"[labels[first.index]], "abc"[images[first.index, 0, 0, 0]])
    assert first.probability == pytest.approx(1 / (1 + 2 * math.exp(-sureness[first.index] / 8)))
    with Image.open(io.BytesIO(first.png)) as png:
        assert list(png.get_flattened_data()) == images[first.index].flatten().tolist()
    assert found.confusion == ((8, 8, 0), (0, 8, 8), (0, 0, 8))


def test_no_more_mistakes_are_kept_than_a_page_can_show():
    labels = torch.zeros(100, dtype=torch.int64)
    images = torch.ones(100, 3, 300, 300, dtype=torch.uint8)
    images[:, 0, 0, 1] = 9
    found = measure_lookup(images, labels)
    assert [one.index for one in found.wrong] == list(range(MOST_PICTURES))  # equally sure: in their order
    with Image.open(io.BytesIO(found.wrong[0].png)) as png:
        assert png.size == (256, 256)


def test_a_sweep_ends_with_its_best_run_measured_on_validation_images(tmp_path):
    sweep(tmp_path)
    assert [path.parent for path in tmp_path.glob("*/evaluation.json")] == [best_folder(tmp_path)]
    found = load_run_evaluation(best_folder(tmp_path))
    assert found is not None
    (row,) = [row for row in tables(tmp_path)["runs"] if row["run"] == found.run]
    assert (found.split, found.images) == ("val", 6)
    assert found.accuracy == row["val_accuracy"]
    assert found.loss == pytest.approx(row["val_loss"], rel=1e-5)
    assert found.classes == ("circle", "square", "triangle")
    assert len(found.wrong) == found.images - round(found.accuracy * found.images)
    assert tables(tmp_path)["tests"] == []  # the test set was not looked at
    again = measure_alone(tmp_path, "val")
    assert [list(row) for row in again.confusion] == [list(row) for row in found.confusion]


def measure_alone(folder: Path, split: str):
    return evaluate_checkpoint(folder, options(folder, split))


def test_a_wrong_image_is_the_one_at_its_index(tmp_path):
    sweep(tmp_path, overrides=ONE)
    found = load_run_evaluation(best_folder(tmp_path))
    images, labels = draw_shapes(ShapesOptions(size=12, classes=3, train=60, test=30), "train", 60, lambda *_: None)
    for one in found.wrong:
        with Image.open(io.BytesIO(one.png)) as png:
            assert list(png.get_flattened_data()) == images[one.index].flatten().tolist()
        assert one.label == found.classes[labels[one.index]] != one.predicted


def test_figures_of_images_that_were_seen_before_say_so(tmp_path):
    sweep(tmp_path, overrides=[*ONE, "params.epochs=1"])
    notes = {split: evaluate_checkpoint(best_folder(tmp_path), options(tmp_path, split)).notes for split in SPLITS}
    assert notes["test"] == ()
    assert ["metrics are optimistic" in note for note in notes["val"]] == [True]
    assert notes["train"] == ("the model was trained on these images",)


def test_images_of_as_many_other_classes_are_refused(tmp_path):
    photos, folder = tmp_path / "photos", tmp_path / "small"
    for part in ("train", "test"):
        for level, name in ((60, "cat"), (190, "dog")):
            (photos / part / name).mkdir(parents=True)
            for number in range(4):
                Image.new("L", (12, 12), level + number).save(photos / part / name / f"{number}.png")
    text = SMALL.replace(SHAPES, f"validation: 0.25\ndataset: {{name: image_folder, path: {photos}}}\n")
    sweep(folder, text, overrides=[*ONE, "params.batch_size=2", "params.epochs=1"])
    assert sum(map(sum, evaluate_checkpoint(best_folder(folder), options(tmp_path)).confusion)) == 8
    for part in ("train", "test"):
        (photos / part / "dog").rename(photos / part / "cow")
    with pytest.raises(CheckpointError, match=r"was trained on the classes cat, dog, but .* has cat, cow here"):
        evaluate_checkpoint(best_folder(folder), options(tmp_path))


def test_evaluate_writes_into_the_folder_of_every_run_that_it_measures(tmp_path):
    sweep(tmp_path, overrides=[*ONE, "seeds=2"])
    chosen = evaluate_chosen(tmp_path, options(tmp_path))
    assert note_evaluations(chosen.evaluations) is None
    for one in chosen.evaluations:
        found = load_run_evaluation(Path(one.checkpoint).parent)
        assert (found.run, found.split, found.accuracy, found.confusion) == (
            one.run,
            "test",
            one.accuracy,
            one.confusion,
        )
        tags = EventAccumulator(str(Path(one.checkpoint).parent)).Reload().Tags()
        assert "evaluation_test/confusion_matrix" in tags["images"]
        assert "evaluation_test/accuracy_of_square" in tags["scalars"]
    both = EventAccumulator(str(best_folder(tmp_path))).Reload().Tags()["images"]
    assert {"evaluation_val/confusion_matrix", "evaluation_test/confusion_matrix"} <= set(both)


def test_measured_twice_is_shown_once(tmp_path):
    sweep(tmp_path, overrides=ONE)
    for _ in range(2):
        note_evaluations([measure_alone(tmp_path, "val")])
    board = EventAccumulator(str(best_folder(tmp_path))).Reload()
    assert len(board.Scalars("evaluation_val/accuracy")) == 1
    assert len(board.Images("evaluation_val/confusion_matrix")) == 1


def test_what_cannot_be_written_is_said_and_changes_nothing(tmp_path):
    sweep(tmp_path, overrides=ONE)
    found = measure_alone(tmp_path, "test")
    before = (best_folder(tmp_path) / "evaluation.json").read_bytes()
    with locked(SweepPaths(tmp_path)):
        assert "is in use by" in note_evaluations([found])
    assert (best_folder(tmp_path) / "evaluation.json").read_bytes() == before


def test_nothing_is_written_beside_a_checkpoint_that_was_copied_elsewhere(tmp_path):
    sweep(tmp_path / "s", overrides=ONE)
    copy = tmp_path / "copy" / "mine" / "best.safetensors"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((best_folder(tmp_path / "s") / "best.safetensors").read_bytes())
    inside = tmp_path / "s" / "notes" / "best.safetensors"  # in the sweep's folder, but not a run of it
    inside.parent.mkdir()
    inside.write_bytes(copy.read_bytes())
    for path in (copy, inside):
        assert note_evaluations([evaluate_checkpoint(path, options(tmp_path))]) is None
        assert [file.name for file in path.parent.iterdir()] == ["best.safetensors"]


def test_a_run_that_goes_on_forgets_how_its_earlier_weights_did(tmp_path):
    class Interrupt(SilentDisplay):
        def epoch_ended(self, record, selected):
            raise KeyboardInterrupt

    sweep(tmp_path, overrides=ONE, display=Interrupt())
    assert not list(tmp_path.glob("*/evaluation.json"))  # interrupted: nothing is measured
    early = measure_alone(tmp_path, "test")
    note_evaluations([early])
    sweep(tmp_path, overrides=ONE)
    assert load_run_evaluation(best_folder(tmp_path)).split == "val"
    board = EventAccumulator(str(best_folder(tmp_path))).Reload().Tags()
    assert [tag for tag in board["images"] if tag.startswith("evaluation_test")] == []


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
def test_a_sweep_ends_well_whatever_becomes_of_measuring_its_best_run(tmp_path, monkeypatch, error):
    def fail(*_arguments):
        raise error

    monkeypatch.setattr(closing, "measure", fail)
    display = SilentDisplay()
    result = sweep(tmp_path, overrides=ONE, display=display)
    assert result.interrupted is None
    assert tables(tmp_path)["sweep"]["status"] == "finished"
    said = ["the best run was not measured by class (RuntimeError: out of memory)"]
    assert display.messages == (said if isinstance(error, RuntimeError) else [])
    monkeypatch.undo()
    sweep(tmp_path, overrides=ONE)  # makes up for it
    assert load_run_evaluation(best_folder(tmp_path)) is not None


def test_without_validation_images_nothing_is_measured(tmp_path):
    display = SilentDisplay()
    sweep(tmp_path, overrides=[*ONE, "validation=0", "metric=accuracy"], display=display)
    assert display.messages == []
    assert not list(tmp_path.glob("*/evaluation.json"))


def test_a_sweep_whose_event_files_were_removed_gets_none_back(tmp_path):
    sweep(tmp_path, overrides=ONE)
    for file in best_folder(tmp_path).glob("events.*"):
        file.unlink()
    assert note_evaluations([measure_alone(tmp_path, "val")]) is None
    assert not list(best_folder(tmp_path).glob("events.*"))


def test_pictures_have_a_cell_a_pair_and_a_tile_an_image():
    names = [f"class\x1b{n}" * 5 for n in range(30)]
    picture = draw_confusion(names, [[10 * (row == column) for column in range(30)] for row in range(30)])
    colors = {color for _, color in picture.getcolors(10**6)}
    assert (0x1F, 0x4E, 0x9E) in colors
    png = io.BytesIO()
    Image.new("L", (5, 9), 200).save(png, "PNG")
    one = WrongImage(0, "a\x1b[31m", "b" * 50, 0.5, png.getvalue())
    tiles = draw_mistakes([one] * 7)
    assert tiles.size[0] == 6 * 112
    assert tiles.getpixel((20, 20)) == tiles.getpixel((20, 20 + tiles.size[1] // 2)) == (200, 200, 200)
    assert tiles.getpixel((112 + 20, 20 + tiles.size[1] // 2)) == (255, 255, 255)  # the second row holds one


def test_the_file_is_what_its_readers_agreed_on(tmp_path):
    sweep(tmp_path, overrides=ONE)
    content = json.loads((best_folder(tmp_path) / "evaluation.json").read_text())
    assert list(content) == [
        *("version", "run", "epoch", "split", "accuracy", "loss", "classes", "confusion", "wrong"),
        *(["metrics"] if "metrics" in content else []),
        *("intervals", "baseline", "sha256"),
    ]
    assert set(content["wrong"][0]) == {"index", "label", "predicted", "probability", "png"}


def test_the_command_writes_it_and_says_where_it_cannot(tmp_path, monkeypatch, capsys):
    sweep(tmp_path, overrides=ONE)

    def evaluate(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["cnnsweep", "evaluate", *arguments, "-q", "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capsys.readouterr().err

    assert evaluate("--checkpoint", str(tmp_path)) == (0, "")
    assert load_run_evaluation(best_folder(tmp_path)).split == "test"
    monkeypatch.chdir(best_folder(tmp_path))
    assert evaluate("--checkpoint", "best.safetensors", "--split", "train") == (0, "")
    assert load_run_evaluation(best_folder(tmp_path)).split == "train"
    with locked(SweepPaths(tmp_path)):
        code, said = evaluate("--checkpoint", str(tmp_path), "--split", "val")
    assert code == 0
    assert said.startswith("note: evaluation.json could not be written: ")
    assert load_run_evaluation(best_folder(tmp_path)).split == "train"
