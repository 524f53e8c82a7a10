"""A loss from outside the package trains alone and fused, and is the loss that tables show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from added_components import AddedPackage, added_package, metrics
from torch.nn import functional

import cnnsweep
from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import CheckpointError, SpecError
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
from cnnsweep.losses.base import LOSSES
from cnnsweep.losses.cross_entropy import CrossEntropy
from cnnsweep.losses.of_runs import mean_of_runs, per_image_of_runs

CODE = """
from cnnsweep.losses.base import Loss

class Focal(Loss):
    '''Focal loss (Lin et al., arXiv:1708.02002).'''
    gamma: float = 2.0

    def per_example(self, logits, targets):
        right = logits.log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1)
        return -((1 - right.exp()) ** self.gamma) * right
"""


@pytest.fixture
def package(tmp_path: Path) -> Iterator[AddedPackage]:
    for package in added_package(tmp_path, LOSSES):
        package.write(CODE, added="Focal")
        yield package


def focal_of(sweep: cnnsweep.Sweep, gamma: float) -> float:
    """Return the mean loss of the best run on the test images, by hand from its probabilities."""
    from cnnsweep.config.load import load_sweep
    from cnnsweep.datasets.load import load_dataset

    folder = Path(sweep.folder)
    data = load_dataset(load_sweep(folder / "sweep.yaml").dataset_choice, folder)
    (images, labels) = next(iter(data.test.batches([torch.arange(len(data.test))], torch.device("cpu"))))
    found = sweep.best.predict(images, device="cpu")  # without the loss, whose code is not imported
    probabilities = torch.tensor(found[list(data.classes)].to_numpy())
    right = probabilities[torch.arange(len(labels)), labels]
    return float((-((1 - right) ** gamma) * right.log()).mean())


@pytest.mark.parametrize("is_file", [False, True])
def test_loss_on_test_images_is_that_of_the_formula_and_code_needs_consent(package, is_file):
    name = f"{package.file}:Focal" if is_file else "added"
    sweep = package.train("added", lr=0.01, loss_function={"name": name, "gamma": 3})
    if is_file:
        with pytest.raises(CheckpointError, match="names code of its own"):
            evaluate_checkpoint(Path(sweep.folder), EvaluationOptions(package.folder, device="cpu"))
    options = EvaluationOptions(package.folder, device="cpu", allow_code=is_file)
    found = evaluate_checkpoint(Path(sweep.folder), options)
    assert found.loss == pytest.approx(focal_of(sweep, 3), rel=1e-5)


def test_gamma_of_zero_is_cross_entropy(package):
    added = package.train("added", lr=0.01, loss_function={"name": "added", "gamma": 0})
    for mine, theirs in zip(metrics(added), metrics(package.train("known", lr=0.01)), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)


def test_runs_of_different_losses_train_fused_as_they_do_alone(package):
    losses = ["cross_entropy", "added", {"name": "added", "gamma": 1}]
    params = {"lr": 0.02, "loss_function": losses, "label_smoothing": 0.1}
    alone, fused = package.train("alone", **params), package.train_fused("fused", **params)
    for mine, theirs in zip(metrics(fused), metrics(alone), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-7)
    assert len({round(loss, 6) for loss in metrics(alone, "loss")[0]}) == 6


def test_a_break_changes_nothing(package):
    params = {"lr": 0.02, "epochs": 3, "loss_function": "added"}
    assert metrics(package.train_with_a_break("broken", **params)) == metrics(package.train("whole", **params))


def runs_of(params: str) -> list[object]:
    return list(expand_runs(parse_sweep(f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{{params}}}\n", "s")).runs)


def test_label_smoothing_counts_for_losses_that_have_it(package):
    runs = runs_of("loss_function: [cross_entropy, added], label_smoothing: [0, 0.1]")
    assert [run.hyperparameters.label_smoothing for run in runs] == [0, 0.1, 0]
    with pytest.raises(SpecError, match=r"label_smoothing: used by none of the losses named \(added\), only by bin"):
        runs_of("loss_function: added, label_smoothing: 0.1")


def test_cross_entropy_alone_does_not_change_an_id():
    assert runs_of("lr: 0.1, loss_function: cross_entropy")[0].id == runs_of("lr: 0.1")[0].id


def test_formulas_of_several_runs_are_those_of_each():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 7, 5, generator=random, dtype=torch.float64)
    targets = torch.randint(0, 5, (3, 7), generator=random)
    for shares in ([0.1, 0.1, 0.1], [0.0, 0.1, 0.3]):
        losses = [CrossEntropy(label_smoothing=share) for share in shares]
        expected = [
            functional.cross_entropy(x, y, label_smoothing=share)
            for x, y, share in zip(logits, targets, shares, strict=True)
        ]
        torch.testing.assert_close(mean_of_runs(losses)(logits, targets), torch.stack(expected))
        each = per_image_of_runs(losses)(logits, targets)
        torch.testing.assert_close(each.mean(1), torch.stack(expected))


def test_what_an_own_loss_raises_in_training_is_the_users_code(package):
    raising = "logits = logits if len(targets) != 16 else logits.nothing\n        right = logits"
    package.file.write_text(CODE.replace("right = logits", raising))
    sweep = package.train("broken", lr=0.01, loss_function=f"{package.file}:Focal")
    (run,) = sweep.runs.to_dict("records")
    assert (run["status"], run["failure"]) == ("failed", "your code")
    assert "no attribute 'nothing'" in run["cause"]
