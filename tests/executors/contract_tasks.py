"""What the contract's executors are to train: runs of every kind, in groups of every kind; and who watches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cnnsweep.datasets.decode import Form
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.datasets.splits import fold_indices
from cnnsweep.datasets.streaming import StreamedImages
from cnnsweep.planning.scheduling import Job
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training.data_module import DataModule, FoldData
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
)

ADAM = Hyperparameters(
    lr=0.01, batch_size=9, shuffle=True, epochs=2, optimizer="adam", momentum=None, nesterov=None, beta1=0.9,
    beta2=0.999, eps=1e-8, weight_decay=0.0, schedule=CONSTANT, label_smoothing=0.0, grad_clip=None,
    augment=(), seed=1,
)  # fmt: skip
SGD = dataclasses.replace(ADAM, optimizer="sgd", momentum=0.9, nesterov=True, beta1=None, beta2=None, eps=None)
RMSPROP = dataclasses.replace(ADAM, optimizer="rmsprop", momentum=0.5, beta1=None, beta2=None)
_ALL_THREE = (Choice("flip"), Choice("crop", {"padding": 1}), Choice("cutout", {"side": 3}))
HARD = dataclasses.replace(
    ADAM, optimizer="adamw", weight_decay=0.1, label_smoothing=0.1, grad_clip=0.5,
    schedule=Choice("cosine", {"warmup": 1.0}), augment=_ALL_THREE,
)  # fmt: skip
PLAIN = ModelChoice("cnn", {"channels": [3], "kernel_size": 3, "hidden": [6]})
NORMED = ModelChoice("cnn", {"channels": [3, 4], "kernel_size": 3, "hidden": [6], "dropout": 0.3, "batch_norm": True})

NETS = """
import ctypes, os, sys, time
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, num_classes, image_size, fault="", says=""):
        super().__init__()
        self.fault, self.says = fault, says
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.2),
                                    nn.Linear(in_channels * image_size[0] * image_size[1], num_classes))

    def forward(self, x):
        if self.says:
            print(self.says)
            self.says = ""
        if self.fault and self.training:
            self.fail(x)
        return self.layers(x)

    def fail(self, x):
        if self.fault == "raises":
            raise ValueError("an idea that does not work")
        if self.fault == "together" and type(x).__name__ != "Tensor":
            raise ValueError("a bug")
        if self.fault == "segfault":
            ctypes.string_at(0)
        if self.fault == "exit":
            os._exit(3)
        if self.fault == "sleep":
            time.sleep(60)
"""


def memory_task(precision: str = "fp32") -> DataModule:
    """28 images in 2 folds."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(28) % 3
    images = torch.randint(0, 256, (28, 1, 12, 12), generator=random, dtype=torch.uint8)
    images[torch.arange(28), 0, labels * 2] = 255
    parts = tuple(
        FoldData(*fold_indices(labels, 2, fold, seed=0), PixelNormalize((0.4 + fold / 10,), (0.25,)))
        for fold in range(2)
    )
    return DataModule(MemoryImages(images, labels), parts, 3, torch.device("cpu"), precision)


def streamed_task(folder: Path) -> DataModule:
    """The same, read from files."""
    task = memory_task()
    assert isinstance(task.images, MemoryImages)
    paths = []
    for number, pixels in enumerate(task.images.images):
        paths.append(folder / f"{number}.png")
        Image.fromarray(np.asarray(pixels[0])).save(paths[-1])
    return dataclasses.replace(task, images=StreamedImages(paths, task.images.labels, Form(12, 12, 1), workers=1))


def make_run(name: str, h: Hyperparameters = ADAM, model: ModelChoice = PLAIN, fold: int = 0, **changes: Any) -> Run:
    return Run(name, name, model, dataclasses.replace(h, **changes), {}, name, fold)


def alone(*runs: Run) -> list[RunGroup]:
    return [RunGroup.of(((run,),)) for run in runs]


def together(*runs: Run, threads: int = 1) -> RunGroup:
    return RunGroup.of([(run,) for run in runs], threads)


def groups_of_every_kind(net_file: Path, net_module: str) -> list[RunGroup]:
    """Return groups that have about everything in them that training knows."""
    optimizers = [make_run(f"of {h.optimizer}", h) for h in (ADAM, SGD, RMSPROP, HARD)]
    return [
        *alone(*optimizers, make_run("all at once", HARD, NORMED, fold=1), make_run("diverges", SGD, lr=1e30)),
        *alone(make_run("own file", model=ModelChoice(f"{net_file}:Net"))),
        *alone(make_run("own module", model=ModelChoice(f"{net_module}:Net"))),
        together(*(make_run(f"fused {lr}", HARD, NORMED, lr=lr) for lr in (0.1, 0.01, 1e30)), make_run("seed", seed=2)),
        together(*(make_run(f"threaded {seed}", SGD, seed=seed) for seed in range(4)), threads=2),
        RunGroup(((((make_run("one epoch", epochs=1), make_run("three epochs", epochs=3))),),)),
        RunGroup(tuple(((make_run(f"fold {fold}", fold=fold),),) for fold in range(2))),
    ]


def loads_of(groups: Sequence[RunGroup]) -> list[Job]:
    return [Job(group, None) for group in groups]


class Notes:
    """The `ExecutorCallback` that writes everything down, in memory.

    Args:
        decide: what becomes of a run after an epoch.
        checkpoints: where runs go on that did not start here.
    """

    def __init__(self, decide: Any = None, checkpoints: Mapping[str, LastCheckpoint] | None = None) -> None:
        self.reports: dict[str, list[EpochReport]] = {}
        self.checkpoints = dict(checkpoints or {})
        self.ends: dict[str, RunOutcome] = {}
        self.started: list[list[str]] = []
        self.splits: list[tuple[list[list[str]], str]] = []
        self.lost: list[str] = []
        self.said: list[str] = []
        self.resumptions: list[list[str]] = []
        self.is_stopping = False
        self._decide = decide or (lambda _run_id, _epoch: Decision.CONTINUE)

    def on_group_start(self, group: RunGroup) -> Mapping[str, LastCheckpoint] | None:
        if self.is_stopping:
            return None
        self.started.append([run.id for run in group.runs])
        return {run.id: self.checkpoints[run.id] for run in group.runs if run.id in self.checkpoints}

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        self.splits.append(([[run.id for run in part.runs] for part in parts], cause))

    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        self.lost.append(cause)

    def on_log(self, text: str) -> None:
        self.said.append(text)

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        pass

    def on_resume(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        self.resumptions.append(list(run_ids))
        return {run_id: self._decide(run_id, self.checkpoints[run_id].record.epoch) for run_id in run_ids}

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        for one in reports:
            kept = torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, [one.weights, one.optimizer])
            gradients = {name: gradient.clone() for name, gradient in one.gradients.items()}
            report = dataclasses.replace(one, weights=kept[0], optimizer=kept[1], gradients=gradients)
            self.reports.setdefault(one.record.run_id, []).append(report)
            self.checkpoints[one.record.run_id] = LastCheckpoint(one.record, *kept)
        return {one.record.run_id: self._decide(one.record.run_id, one.record.epoch) for one in reports}

    def on_run_end(self, outcome: RunOutcome) -> None:
        assert outcome.run_id not in self.ends
        self.ends[outcome.run_id] = outcome

    @property
    def everything(self) -> dict[str, Any]:
        """All that must not depend on who trained: figures, tensors bit for bit with their order in memory, ends."""
        reports = {run_id: [_bits(one) for one in reports] for run_id, reports in self.reports.items()}
        ends = {run_id: (end.status, end.cause, end.failure) for run_id, end in self.ends.items()}
        return {"reports": reports, "ends": ends}


def _bits(report: EpochReport) -> Any:
    record = dataclasses.asdict(dataclasses.replace(report.record, epoch_duration=0.0, run_duration=0.0))
    tensors = [report.batch_losses, report.weights, report.optimizer, report.gradients]
    return {name: repr(value) for name, value in record.items()}, torch.utils._pytree.tree_map_only(
        torch.Tensor, _tensor_bits, tensors
    )


def _tensor_bits(tensor: torch.Tensor) -> tuple[str, tuple[int, ...], tuple[int, ...], bytes]:
    return str(tensor.dtype), tuple(tensor.shape), tensor.stride(), tensor.contiguous().numpy().tobytes()
