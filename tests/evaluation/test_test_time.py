"""Test-time augmentation: the mean over mirror images, in every evaluation and prediction, and named in its records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_sweeps import SMALL, sweep
from torch import nn

from cnnsweep.analysis.results import load_results
from cnnsweep.analysis.run_evaluation import load_run_evaluation
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import UsageError
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint, evaluate_chosen
from cnnsweep.evaluation.predict import PredictionOptions, Predictor
from cnnsweep.evaluation.record import note_evaluations, note_tests
from cnnsweep.evaluation.test_time import untrained_note, with_tta, written_tta
from cnnsweep.report.evaluation_json import evaluation_to_json
from cnnsweep.types import DatasetChoice


class FirstPixels(nn.Module):
    """Logits that are the pixels of the top row."""

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": images[:, 0, 0, :]}


@pytest.mark.parametrize(
    ("tta", "expected"),
    [
        (None, [0.0, 1.0, 2.0]),
        ("none", [0.0, 1.0, 2.0]),
        ("flip", [1.0, 1.0, 1.0]),
        ("vertical_flip", [3.0, 4.0, 5.0]),
        ("vertical_flip+flip", [4.0, 4.0, 4.0]),
    ],
)
def test_logits_are_means_over_mirror_images(tta: str | None, expected: list[float]) -> None:
    images = torch.arange(9.0).view(1, 1, 3, 3)
    output = with_tta(FirstPixels(), 3, tta)(images)
    assert (output if isinstance(output, torch.Tensor) else output["logits"]).tolist() == [expected]


def test_records_have_one_form() -> None:
    assert written_tta("vertical_flip + flip") == "flip+vertical_flip"
    assert written_tta("none") is None


@pytest.mark.parametrize(
    ("tta", "text"),
    [
        ("rotate", "tta: unknown 'rotate'; allowed are none, flip, vertical_flip and flip+vertical_flip"),
        ("flip+flip", "tta: 'flip' twice; allowed"),
        ("", "tta: unknown ''; allowed"),
    ],
)
def test_unknown_ones_are_refused(tta: str, text: str) -> None:
    with pytest.raises(UsageError) as raised:
        written_tta(tta)
    assert str(raised.value).startswith(text)


@pytest.mark.parametrize(
    ("augment", "is_noted"),
    [
        ("crop+flip", False),
        ({"flip": True}, False),
        ("my.py:fn", False),
        ("crop", True),
        ("vertical_flip", True),
        (7, True),
    ],
)
def test_a_note_says_that_mirror_images_were_not_trained_on(augment: object, is_noted: bool) -> None:
    assert (untrained_note({"augment": augment}, "flip") is not None) == is_noted
    assert untrained_note({}, None) is None


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    sweep(folder, SMALL, None, ["params.lr=0.01"])
    return folder


def images_of_test(root: Path) -> tuple[torch.Tensor, torch.Tensor]:
    choice = DatasetChoice("shapes", {"size": 12, "classes": 3, "train": 60, "test": 30})
    test = load_dataset(choice, root).test
    assert test is not None
    return next(iter(test.batches([torch.arange(30)], torch.device("cpu"))))


def test_predictions_and_evaluations_agree(trained: Path) -> None:
    weights = next(trained.glob("*/best.safetensors"))
    images, labels = images_of_test(trained)
    plain, mirrored = (Predictor(weights, PredictionOptions("cpu", tta=tta)).predict(images) for tta in (None, "flip"))
    again = Predictor(weights, PredictionOptions("cpu", tta="flip")).predict(images.flip(-1))
    assert not torch.allclose(plain, mirrored)
    assert torch.allclose(again, mirrored, atol=1e-6)
    measured = evaluate_checkpoint(weights, EvaluationOptions(trained, tta="flip", metrics=()))
    assert measured.accuracy == pytest.approx(float((mirrored.argmax(1) == labels).float().mean()))
    assert measured.loss == pytest.approx(float(-mirrored.gather(1, labels[:, None]).log().mean()), rel=1e-5)


def test_the_loss_is_at_most_the_mean_over_the_mirror_images(trained: Path) -> None:
    """The cross-entropy is convex in the logits."""
    weights = next(trained.glob("*/best.safetensors"))
    images, labels = images_of_test(trained)
    predictor = Predictor(weights, PredictionOptions("cpu"))
    losses = [
        float(-predictor.predict(one).gather(1, labels[:, None]).log().mean()) for one in (images, images.flip(-1))
    ]
    assert evaluate_checkpoint(weights, EvaluationOptions(trained, tta="flip")).loss <= sum(losses) / 2


def test_every_record_names_it(trained: Path) -> None:
    plain, mirrored = (evaluate_chosen(trained, EvaluationOptions(trained, tta=tta)) for tta in (None, "flip"))
    for chosen in (plain, mirrored):
        assert note_tests(trained, chosen.evaluations, chosen.trial_id) is None
        assert note_evaluations(chosen.evaluations) is None
    assert [test.tta for test in load_results(trained).tests] == [None, "flip"]
    (run,) = (path.parent for path in trained.glob("*/best.safetensors"))
    evaluation = load_run_evaluation(run)
    assert evaluation is not None
    assert evaluation.tta == "flip"
    shown = [json.loads(evaluation_to_json(chosen.evaluations[0])) for chosen in (plain, mirrored)]
    assert "tta" not in shown[0]
    assert shown[1]["tta"] == "flip"
