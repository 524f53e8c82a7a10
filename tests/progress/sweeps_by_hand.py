"""Sweeps drawn up by hand, and a terminal that can be read back."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyte
from results_by_hand import standard_metrics
from rich.console import Console

from cnnsweep.callbacks import SweepOverview
from cnnsweep.metrics.objective import Objective
from cnnsweep.progress.base import Display
from cnnsweep.progress.state import SweepProgress
from cnnsweep.types import CONSTANT, EpochRecord, Hyperparameters, ModelChoice, Run, RunOutcome

VAL_ACCURACY = Objective("val_accuracy", "max")


def make_run(number: int, params: Mapping[str, Any], epochs: int = 3, model: str = "lenet") -> Run:
    hyperparameters = Hyperparameters(
        lr=0.01, batch_size=params.get("batch_size", 100), shuffle=True, epochs=epochs, optimizer="adam",
        momentum=None, nesterov=None, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, schedule=CONSTANT,
        label_smoothing=0.0, grad_clip=None, augment=(), seed=0,
    )  # fmt: skip
    run_id = f"{number:016x}"
    return Run(run_id, f"run-{number}", ModelChoice(model), hyperparameters, params, trial_id=run_id)


def make_runs(count: int, epochs: int = 3) -> tuple[Run, ...]:
    rates, sizes = (0.1, 0.01, 0.001, 0.0001), (100, 1000)
    return tuple(
        make_run(
            i + 1,
            {"lr": rates[i % 4], "batch_size": sizes[i // 4 % 2], "shuffle": i % 2 == 0, "epochs": epochs},
            epochs,
        )
        for i in range(count)
    )


def make_overview(
    runs: Sequence[Run],
    columns: tuple[str, ...] = ("lr", "batch_size", "shuffle"),
    objective: Objective = VAL_ACCURACY,
    history: Mapping[str, Sequence[EpochRecord]] | None = None,
    outcomes: Mapping[str, RunOutcome] | None = None,
    name: str = "fashion",
    to_come: int = 0,
) -> SweepOverview:
    return SweepOverview(
        name, f"runs/{name}", "cpu", columns, tuple(runs), objective, history or {}, outcomes or {}, to_come
    )


def make_record(run: Run, epoch: int, accuracy: float, validated: bool = True, seconds: float = 1.3) -> EpochRecord:
    """A row whose other figures follow from `accuracy`; NaN gives NaN throughout."""
    loss = -math.log(accuracy) if accuracy > 0 else math.nan
    return EpochRecord(
        run.id,
        epoch,
        standard_metrics(loss, accuracy, loss * 1.05 if validated else None, accuracy - 0.005 if validated else None),
        seconds,
        seconds * epoch,
        0.01,
        540,
    )


@dataclass(frozen=True)
class Epoch:
    record: EpochRecord


def train(target: Display | SweepProgress, run: Run, accuracies: Sequence[float], validated: bool = True) -> None:
    """Send a run's epochs to a display, or to its progress, from the first, as the sweep does."""
    for epoch, accuracy in enumerate(accuracies, start=1):
        record = make_record(run, epoch, accuracy, validated)
        if isinstance(target, Display):
            target.on_epoch_end([Epoch(record)])
        else:
            target.epoch_ended(record)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Terminal:
    """A console that writes into an emulated screen."""

    width: int
    height: int
    screen: pyte.HistoryScreen = field(init=False)
    console: Console = field(init=False)

    def __post_init__(self) -> None:
        self.screen = pyte.HistoryScreen(self.width, self.height, history=10_000)
        stream = pyte.Stream(self.screen)

        class File(io.StringIO):
            def write(self, text: str) -> int:
                stream.feed(text.replace("\n", "\r\n"))  # as a tty does
                return len(text)

        self.console = Console(
            file=File(), force_terminal=True, width=self.width, height=self.height, color_system="standard",
            no_color=False, legacy_windows=False,
        )  # fmt: skip

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def scrolled(self) -> list[str]:
        """What has left the screen at its top."""
        return ["".join(line[x].data for x in range(self.width)).rstrip() for line in self.screen.history.top]
