"""The loop does what a loop written by hand does, and every run ends as it should."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import nn

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import FolderError
from cnnsweep.models.build import build_model
from cnnsweep.seeding import derive_seed, generator
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training.data_module import DataModule, FoldData
from cnnsweep.training.trainer import train_group
from cnnsweep.types import (
    CONSTANT,
    Choice,
    Decision,
    EpochReport,
    Hyperparameters,
    ModelChoice,
    Run,
    RunGroup,
    RunOutcome,
    RunStatus,
)

SMALL_CNN = ModelChoice("cnn", {"channels": [4], "kernel_size": 3, "hidden": [8]})
ADAM = Hyperparameters(
    lr=0.01, batch_size=16, shuffle=True, epochs=3, optimizer="adam", momentum=None, nesterov=None, beta1=0.9,
    beta2=0.999, eps=1e-8, weight_decay=0.0, schedule=CONSTANT, label_smoothing=0.0, grad_clip=None,
    augment=(), seed=1,
)  # fmt: skip
SGD = dataclasses.replace(ADAM, optimizer="sgd", momentum=0.9, nesterov=True, beta1=None, beta2=None, eps=None)
RMSPROP = dataclasses.replace(ADAM, optimizer="rmsprop", momentum=0.0, beta1=None, beta2=None)


def make_run(hyperparameters: Hyperparameters, model: ModelChoice = SMALL_CNN) -> Run:
    return Run("0123456789abcdef", "run-012345", model, hyperparameters, {}, "configuration")


@pytest.fixture(scope="module")
def task() -> DataModule:
    """50 training images, so that batches of 16 leave a last one of 2, and 10 held out."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    images = torch.randint(0, 256, (60, 1, 8, 8), generator=random, dtype=torch.uint8)
    images[torch.arange(60), 0, labels * 2] = 255  # a row that gives the class away
    return DataModule(
        images=MemoryImages(images, labels),
        parts=(FoldData(torch.arange(50), torch.arange(50, 60), PixelNormalize((0.5,), (0.25,))),),
        num_classes=3,
        device=torch.device("cpu"),
        precision="fp32",
    )


def without_validation(task: DataModule) -> DataModule:
    (part,) = task.parts
    return dataclasses.replace(task, parts=(dataclasses.replace(part, validation=torch.arange(0)),))


class Listener:
    """Keeps what the trainer reports, and answers as it was told."""

    def __init__(self, decisions: Sequence[Decision] = ()) -> None:
        self.reports: list[EpochReport] = []
        self.weights: list[dict[str, torch.Tensor]] = []
        self.checkpoints: list[LastCheckpoint] = []
        self.outcomes: list[RunOutcome] = []
        self.batches: list[tuple[int, int, int]] = []
        self._decisions = list(decisions)

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        self.batches.append((epoch, done, total))

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        (report,) = reports
        weights = {name: tensor.clone() for name, tensor in report.weights.items()}
        self.reports.append(report)
        self.weights.append(weights)
        optimizer = torch.utils._pytree.tree_map(
            lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, report.optimizer
        )
        self.checkpoints.append(LastCheckpoint(report.record, weights, optimizer))
        return {report.record.run_id: self._decisions.pop(0)} if self._decisions else {}

    def on_resume(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        return {}

    def on_run_end(self, outcome: RunOutcome) -> None:
        self.outcomes.append(outcome)


def train(task, hyperparameters, listener=None, checkpoints=None, model=SMALL_CNN) -> Listener:
    listener = listener or Listener()
    train_group(RunGroup.of(((make_run(hyperparameters, model),),)), task, listener, checkpoints or {})
    return listener


def train_by_hand(task: DataModule, h: Hyperparameters, make_optimizer) -> tuple[nn.Module, list[dict[str, float]]]:
    """The loop as a notebook has it: floats from the start, stock optimizer, figures weighted by the true length."""
    images = (task.images.images.float() / 255 - 0.5) / 0.25
    labels = task.images.labels
    model = build_model(SMALL_CNN, (1, 8, 8), 3, seed=h.seed)
    optimizer = make_optimizer(model.parameters())
    rows = []
    for epoch in range(1, h.epochs + 1):
        order = torch.arange(50)
        if h.shuffle:
            order = order[torch.randperm(50, generator=generator(h.seed, "order", epoch))]
        loss_sum, correct = 0.0, 0
        model.train()
        for start in range(0, 50, h.batch_size):
            batch = order[start : start + h.batch_size]
            logits = model(images[batch])
            loss = nn.functional.cross_entropy(logits, labels[batch], label_smoothing=h.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            if h.grad_clip is not None:
                norm = torch.sqrt(sum((p.grad**2).sum() for p in model.parameters()))
                for p in model.parameters():
                    p.grad.mul_(min(1.0, h.grad_clip / (norm.item() + 1e-6)))
            optimizer.step()
            loss_sum += loss.item() * len(batch)
            correct += (logits.argmax(1) == labels[batch]).sum().item()
        model.eval()
        with torch.no_grad():
            held_out = model(images[50:])
        rows.append(
            {
                "loss": loss_sum / 50,
                "accuracy": correct / 50,
                "val_loss": nn.functional.cross_entropy(held_out, labels[50:]).item(),
                "val_accuracy": (held_out.argmax(1) == labels[50:]).float().mean().item(),
            }
        )
    return model, rows


@pytest.mark.parametrize(
    ("hyperparameters", "make_optimizer"),
    [
        (ADAM, lambda p: torch.optim.Adam(p, lr=0.01)),
        (
            dataclasses.replace(ADAM, optimizer="adamw", weight_decay=0.1, beta1=0.8),
            lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.8, 0.999), weight_decay=0.1),
        ),
        (SGD, lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True)),
        (
            dataclasses.replace(RMSPROP, weight_decay=0.01),
            lambda p: torch.optim.RMSprop(p, lr=0.01, eps=1e-8, weight_decay=0.01),
        ),
        (
            dataclasses.replace(ADAM, shuffle=False, batch_size=7, label_smoothing=0.1, grad_clip=0.5),
            lambda p: torch.optim.Adam(p, lr=0.01),
        ),
    ],
    ids=["adam", "adamw", "sgd", "rmsprop", "unshuffled-clipped-smoothed"],
)
def test_training_equals_a_loop_written_by_hand(task, hyperparameters, make_optimizer):
    listener = train(task, hyperparameters)
    model, rows = train_by_hand(task, hyperparameters, make_optimizer)
    # float32; fused kernels and channels-last sum in another order: some 1e-7 a step, over a dozen steps.
    for name, expected in model.state_dict().items():
        torch.testing.assert_close(listener.weights[-1][name], expected, rtol=2e-4, atol=2e-6)
    for report, row in zip(listener.reports, rows, strict=True):
        assert report.record.metrics == pytest.approx(row, rel=1e-4, abs=1e-6)


def test_the_epochs_loss_is_weighted_by_the_true_length_of_each_batch(task):
    (first, *_) = train(task, ADAM).reports
    assert first.record.steps == 4
    losses = first.batch_losses.tolist()
    assert first.record["loss"] == pytest.approx((16 * sum(losses[:3]) + 2 * losses[3]) / 50, rel=1e-6)


def test_shuffle_does_what_it_says(task):
    shuffled = train(task, ADAM).reports
    fixed = train(task, dataclasses.replace(ADAM, shuffle=False)).reports
    assert not torch.equal(shuffled[0].batch_losses, fixed[0].batch_losses)


def test_training_twice_gives_the_same_bits_and_another_seed_does_not(task):
    stochastic = ModelChoice("cnn", {"channels": [4], "kernel_size": 3, "hidden": [8], "dropout": 0.5})
    h = dataclasses.replace(
        ADAM, augment=(Choice("flip"), Choice("crop", {"padding": 1}), Choice("cutout", {"side": 2}))
    )
    first, again = (train(task, h, model=stochastic) for _ in range(2))
    torch.rand(7)  # a moved global generator must not matter
    for a, b in zip(first.weights, again.weights, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
    other = train(task, dataclasses.replace(h, seed=2), model=stochastic)
    assert not torch.equal(first.weights[-1]["classifier.1.weight"], other.weights[-1]["classifier.1.weight"])


@pytest.mark.parametrize("hyperparameters", [ADAM, SGD, RMSPROP], ids=["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("stop_after", [1, 2])
def test_resumed_run_equals_uninterrupted_run(task, hyperparameters, stop_after):
    model = ModelChoice("cnn", {"channels": [4], "kernel_size": 3, "hidden": [8], "dropout": 0.3, "batch_norm": True})
    h = dataclasses.replace(
        hyperparameters, schedule=Choice("cosine", {"warmup": 0.5}), augment=(Choice("crop", {"padding": 1}),), epochs=4
    )
    whole = train(task, h, model=model)
    part = train(task, h, Listener([Decision.CONTINUE] * (stop_after - 1) + [Decision.INTERRUPT]), model=model)
    assert [o.status for o in part.outcomes] == [RunStatus.INTERRUPTED]
    rest = train(task, h, checkpoints={"0123456789abcdef": part.checkpoints[-1]}, model=model)
    assert len(part.reports) == stop_after
    assert len(rest.reports) == 4 - stop_after
    for name, expected in whole.weights[-1].items():
        assert torch.equal(rest.weights[-1][name], expected), name
    resumed = [*part.reports, *rest.reports]
    for a, b in zip(whole.reports, resumed, strict=True):
        assert torch.equal(a.batch_losses, b.batch_losses)
        untimed = {"epoch_duration": 0.0, "run_duration": 0.0}
        assert dataclasses.replace(a.record, **untimed) == dataclasses.replace(b.record, **untimed)
    assert resumed[-1].record.run_duration > part.reports[-1].record.run_duration


def test_a_run_whose_last_epoch_was_saved_but_not_its_end_only_ends(task):
    whole = train(task, ADAM)
    rest = train(task, ADAM, checkpoints={"0123456789abcdef": whole.checkpoints[-1]})
    assert rest.reports == []
    assert [o.status for o in rest.outcomes] == [RunStatus.FINISHED]


def test_a_stop_ends_a_run_early(task):
    listener = train(task, ADAM, Listener([Decision.STOP]))
    assert listener.outcomes == [RunOutcome("0123456789abcdef", RunStatus.STOPPED, "stopped early after epoch 1")]


def test_the_last_epochs_decision_does_not_matter(task):
    listener = train(task, ADAM, Listener([Decision.CONTINUE, Decision.CONTINUE, Decision.INTERRUPT]))
    assert [o.status for o in listener.outcomes] == [RunStatus.FINISHED]


def test_a_diverging_run_ends_with_the_place_where_it_did(task):
    listener = train(task, dataclasses.replace(SGD, lr=1e9))
    (outcome,) = listener.outcomes
    assert outcome.status is RunStatus.DIVERGED
    losses = listener.reports[-1].batch_losses
    first = next(k for k, loss in enumerate(losses.tolist(), start=1) if not math.isfinite(loss))
    assert outcome.cause in (
        f"epoch 1: the loss became {word} in batch {first}; try a smaller lr" for word in ("nan", "inf")
    )
    assert listener.reports[-1].record.divergence is not None


def test_weights_that_overflow_in_the_very_last_batch_are_noticed(task):
    one_batch = dataclasses.replace(SGD, lr=1e45, batch_size=50, epochs=1, momentum=0.0, nesterov=False)
    listener = train(without_validation(task), one_batch)
    assert math.isfinite(listener.reports[0].record["loss"])
    assert [o.status for o in listener.outcomes] == [RunStatus.DIVERGED]
    assert "a weight became infinite or NaN in the last batch" in str(listener.outcomes[0].cause)


def test_a_run_whose_loss_is_finite_in_training_alone_has_diverged(task, tmp_path):
    path = tmp_path / "net.py"
    path.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(64, 3)\n"
        "    def forward(self, x):\n"
        "        logits = self.layer(x.flatten(1))\n"
        "        return logits if self.training else logits / 0\n"
    )
    listener = train(task, ADAM, model=ModelChoice(f"{path}:Net"))
    (report,), (outcome,) = listener.reports, listener.outcomes
    assert math.isfinite(report.record["loss"])
    assert report.record.divergence == "the validation loss became nan"
    assert outcome.status is RunStatus.DIVERGED


def test_without_validation_there_are_no_validation_figures(task):
    listener = train(without_validation(task), ADAM)
    assert listener.reports[0].record["val_loss"] is None
    assert listener.reports[0].record["val_accuracy"] is None


def test_bf16_learns_as_fp32_does_within_its_rounding(task):
    exact = train(task, ADAM).reports[-1].record
    rough = train(dataclasses.replace(task, precision="bf16"), ADAM).reports[-1].record
    assert rough["loss"] == pytest.approx(exact["loss"], rel=0.1)  # bf16 keeps 8 bits
    assert rough["loss"] != exact["loss"]


def test_an_error_in_a_persons_model_becomes_the_runs_outcome(task, tmp_path):
    path = tmp_path / "net.py"
    path.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(64, 3)\n"
        "    def forward(self, x):\n"
        "        if len(x) == 2:\n"
        "            raise ValueError('two images\\n   are too few')\n"
        "        return self.layer(x.flatten(1))\n"
    )
    listener = train(task, ADAM, model=ModelChoice(f"{path}:Net"))
    (outcome,) = listener.outcomes
    assert outcome.status is RunStatus.FAILED
    assert outcome.cause == "ValueError: two images are too few"
    assert "net.py" in str(outcome.details)


def test_an_error_of_the_recorder_stops_the_sweep(task):
    class Full(Listener):
        def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
            raise FolderError("disk full")

    listener = Full()
    with pytest.raises(FolderError, match="disk full"):
        train(task, ADAM, listener)
    assert listener.outcomes == []


def test_progress_is_told_for_every_batch(task):
    assert train(task, dataclasses.replace(ADAM, epochs=2)).batches == [
        (epoch, done, 4) for epoch in (1, 2) for done in (1, 2, 3, 4)
    ]


def test_weights_start_from_the_runs_seed_alone():
    assert derive_seed(1, "weights") != derive_seed(2, "weights")
    a, b = (build_model(SMALL_CNN, (1, 8, 8), 3, seed) for seed in (1, 2))
    assert not torch.equal(next(a.parameters()), next(b.parameters()))
