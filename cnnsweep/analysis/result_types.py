"""Values of a results file: the sweep, its runs, their epochs and tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnsweep.formatting.numbers import epochs_text
from cnnsweep.metrics.names import MetricInfo, recorded_names
from cnnsweep.metrics.objective import Objective, chance_of, default_mode
from cnnsweep.types import EpochRecord, FailureKind, RunStatus


@dataclass(frozen=True, slots=True)
class SweepResult:
    """Properties of the whole sweep.

    Attributes:
        axes: the hyperparameters that vary.
        best: the best run's name.
        folds: of cross-validation, or None.
        search: how trials were drawn ("method", "runs", "seed" and more), None for a grid.
        early_stop: the pruner that ended runs early ("method" and more), or None.
        duration: seconds of training, the sum over the runs; runs that train together share their time.
        elapsed: wall-clock seconds of training, over all commands; None if the file lacks it.
        validation_images, largest_class: number of validation images, and of those in the largest class; None if the
            file lacks them.
        metrics: recorded metrics other than loss and accuracy.
    """

    name: str
    description: str
    status: str
    dataset: str
    model: str
    objective: Objective
    validation: float
    seed: int
    precision: str
    device: str
    threads: int | None
    hyperparameters: tuple[str, ...]
    axes: tuple[str, ...]
    best: str | None
    started: str
    updated: str
    duration: float
    folds: int | None
    search: Mapping[str, Any] | None
    early_stop: Mapping[str, Any] | None
    elapsed: float | None = None
    validation_images: int | None = None
    largest_class: int | None = None
    metrics: tuple[MetricInfo, ...] = ()

    @property
    def recorded(self) -> tuple[str, ...]:
        """The recorded metrics by name, in the order of the columns."""
        return recorded_names(metric.name for metric in self.metrics)

    def by(self, metric: str) -> Objective:
        """Return the objective that ranks by a recorded metric, in its own direction."""
        if metric == self.objective.metric:
            return self.objective
        return Objective(metric, default_mode(metric, self.metrics))

    @property
    def chance(self) -> float | None:
        """The validation accuracy of always answering the largest class."""
        images = {"validation_images": self.validation_images, "largest_class": self.largest_class}
        return chance_of(images)


@dataclass(frozen=True, slots=True)
class Stop:
    """Prune decision that ended a run: after `epoch`, the metric of its trial was compared with a threshold."""

    epoch: int
    value: float | None
    threshold: float | None
    compared: int  # number of trials behind the threshold; 1 if it depends on no other
    rule: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run, with its selected metrics; `run["val_loss"]` is None if it was not measured or not finite.

    `trial_id` is the same for runs that differ only by seed or fold; `best_epoch` is the epoch of the kept weights.
    `epochs_planned` is None if unknown. `in_file` is False for a run that was removed from the sweep file: it is
    excluded from every choice.
    """

    name: str
    id: str
    status: RunStatus
    failure: FailureKind | None
    cause: str | None
    epochs_done: int
    best_epoch: int | None
    metrics: Mapping[str, float | None]
    run_duration: float | None  # seconds
    parameters: int | None  # number of weights of the model
    checkpoint: str | None  # relative to the sweep's folder
    params: Mapping[str, Any]  # one per hyperparameter
    trial_id: str
    fold: int | None
    stop: Stop | None
    epochs_planned: int | None = None
    in_file: bool = True

    def __getitem__(self, metric: str) -> float | None:
        return self.metrics.get(metric)

    @property
    def has_failed(self) -> bool:
        return self.status in (RunStatus.DIVERGED, RunStatus.FAILED)

    @property
    def epochs_text(self) -> str:
        """Epochs done and planned: `2/40`."""
        return epochs_text(self.epochs_done, self.epochs_planned)

    @property
    def is_complete(self) -> bool:
        return self.status in (RunStatus.FINISHED, RunStatus.STOPPED)


@dataclass(frozen=True, slots=True)
class TestResult:
    """Test metrics of a run. `refit`: it was retrained on all training images."""

    __test__ = False  # pytest would collect the class by its name

    run: str
    trial_id: str
    accuracy: float
    loss: float | None
    images: int
    correct: int
    time: str  # ISO
    refit: bool


@dataclass(frozen=True, slots=True)
class Results:
    """A results file: the sweep, its runs in the file's order, the epochs of each run by its name, and its tests.

    `former` are runs that the sweep file no longer has; `epochs` includes them.
    """

    folder: Path
    sweep: SweepResult
    runs: tuple[RunResult, ...]
    epochs: Mapping[str, tuple[EpochRecord, ...]]
    tests: tuple[TestResult, ...] = ()
    former: tuple[RunResult, ...] = ()
