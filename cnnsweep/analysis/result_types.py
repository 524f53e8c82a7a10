"""Values of a results file: the sweep, its runs, their epochs and tests, with their names and types in the file."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, FailFast, Field, SkipValidation, Strict, StrictBool, ValidationInfo

from cnnsweep.analysis.json_reader import LARGEST_INTEGER, FolderName, Metric, Must, Names, Number, Whole, null_as
from cnnsweep.field_types import mistake
from cnnsweep.formatting.numbers import count_text, epochs_text
from cnnsweep.metrics.baseline import SEVERAL, Baseline, deciding_baseline, known_baselines, make_baseline
from cnnsweep.metrics.names import ACCURACY, LOSS, MetricInfo, info_of, is_metric_name, recorded_names
from cnnsweep.metrics.objective import BEST, LAST, Objective, default_mode
from cnnsweep.types import PARTS, PLAIN, EpochRecord, FailureKind, LabelCounts, PartCounts, RunStatus


def _is_possible(correct: int, info: ValidationInfo) -> int:
    images = info.data.get("images", correct)
    if not 0 <= correct <= images or not images:
        raise mistake(f"is {correct:,} of {count_text(images, 'image')}, which cannot be")
    return correct


_is_scope = re.compile(f"{BEST}|{LAST}|mean of last [1-9][0-9]{{0,8}}").fullmatch
Scope = Annotated[str, Must("best, last or mean of last K", lambda text: bool(_is_scope(text))), null_as(BEST)]


@dataclass(frozen=True, slots=True)
class RecordedMetric:
    """A metric that is recorded beside loss and accuracy."""

    name: Annotated[str, Must("the name of a metric", is_metric_name)]
    greater_is_better: StrictBool
    label: str | None = None
    on_training: Annotated[StrictBool, null_as(True)] = True
    on_validation: Annotated[StrictBool, null_as(True)] = True

    @property
    def info(self) -> MetricInfo:
        return info_of(asdict(self))


_Counted = Annotated[tuple[Annotated[int, Strict(), Field(ge=0, le=LARGEST_INTEGER)], ...], FailFast()]


@dataclass(frozen=True, slots=True)
class Counts:
    """Images by class in each part, in the order of the classes; with folds, in the least balanced fold.

    A part that does not exist is empty.
    """

    training: _Counted
    validation: Annotated[_Counted, null_as(())] = ()
    test: Annotated[_Counted, null_as(())] = ()

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """The parts that exist, by their names."""
        return {name: counts for name in PARTS if (counts := getattr(self, name))}


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
        classes, counts: names of the classes, and the images of each by part; none if the file lacks them.
        known_baselines: values that a constant answer reaches, by column; None if the file lacks them.
        labels: `several` if an image has any number of labels, else None.
        further_metrics: recorded metrics other than loss and accuracy; none in a file of an earlier version.
    """

    name: str
    description: Annotated[str, null_as("")]
    status: Literal["running", "finished", "interrupted"]
    dataset: str
    model: str
    metric: str
    mode: Annotated[str, Must("one of max, min", {"max", "min"}.__contains__)]
    validation: Number
    seed: Whole
    precision: str
    device: str
    threads: Whole | None
    hyperparameters: Names
    axes: Names
    best: str | None
    started: str
    updated: str
    duration: Number
    folds: Whole | None = None
    search: dict[str, Any] | None = None
    early_stop: dict[str, Any] | None = None
    scope: Scope = BEST
    elapsed: Number | None = None
    validation_images: Whole | None = None
    largest_class: Whole | None = None
    classes: Annotated[Names, null_as(())] = ()
    counts: Counts | None = None
    known_baselines: Annotated[dict[str, Number] | None, Field(alias="baselines")] = None
    labels: str | None = None
    further_metrics: Annotated[tuple[RecordedMetric, ...], FailFast(), Field(alias="metrics"), null_as(())] = ()

    @property
    def objective(self) -> Objective:
        """The objective that ranks the runs."""
        return Objective(self.metric, self.mode, self.scope)

    @property
    def metrics(self) -> tuple[MetricInfo, ...]:
        """The metrics recorded beside loss and accuracy."""
        return tuple(metric.info for metric in self.further_metrics)

    @property
    def recorded(self) -> tuple[str, ...]:
        """The recorded metrics by name, in the order of the columns."""
        return recorded_names(self.metrics)

    def by(self, metric: str) -> Objective:
        """Return the objective that ranks by a recorded metric, in its own direction."""
        if metric == self.objective.metric:
            return self.objective
        return Objective(metric, default_mode(metric, self.metrics))

    @property
    def baseline(self) -> Baseline | None:
        """The value of the deciding metric that a constant answer reaches; None if unknown."""
        return deciding_baseline(self.objective, self._facts)

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The known baselines of all recorded metrics, in the order of the columns."""
        known = known_baselines(self._facts)
        return tuple(make_baseline(name, self.by(name).mode, self._facts) for name in self.recorded if name in known)

    @property
    def part_counts(self) -> PartCounts | None:
        """The images by class of each part; None in a file of an earlier version."""
        if self.counts is None or not self.classes:
            return None
        made = {name: self._label_counts(counts) for name, counts in self.counts.parts.items()}
        return PartCounts(made["training"], made.get("validation"), made.get("test"))

    def _label_counts(self, counts: tuple[int, ...]) -> LabelCounts:
        return LabelCounts(self.classes, counts, sum(counts), self.labels == SEVERAL)

    @property
    def _facts(self) -> dict[str, Any]:
        return {
            "baselines": self.known_baselines,
            "classes": self.classes,
            "counts": None if self.counts is None else self.counts.parts,
            "labels": self.labels,
            "validation_images": self.validation_images,
            "largest_class": self.largest_class,
        }


@dataclass(frozen=True, slots=True)
class Stop:
    """Prune decision that ended a run: after `epoch`, the metric of its trial was compared with a threshold."""

    epoch: Whole
    value: Metric
    threshold: Metric
    compared: Whole  # number of trials behind the threshold; 1 if it depends on no other
    rule: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run, with its selected metrics; `run["val_loss"]` is None if it was not measured or not finite.

    `trial_id` is the same for runs that differ only by seed or fold; `best_epoch` is that of the kept weights, which
    `weights` names: plain, or the average ema or swa. `epochs_planned` is None if unknown. `in_file` is False for a run
    that was removed from the sweep file: it is excluded from every choice.
    """

    name: Annotated[FolderName, Field(alias="run")]
    id: str
    status: RunStatus
    cause: str | None
    epochs_done: Whole
    best_epoch: Whole | None
    metrics: SkipValidation[Mapping[str, float | None]]
    run_duration: Number | None  # seconds
    parameters: Whole | None  # number of weights of the model
    checkpoint: str | None  # relative to the sweep's folder
    params: SkipValidation[Mapping[str, Any]]  # one per hyperparameter
    trial_id: Annotated[str, Field(alias="configuration")]
    failure: FailureKind | None = None  # of every run that failed, but in files of an earlier version
    fold: Whole | None = None
    stop: Stop | None = None
    epochs_planned: Whole | None = None
    in_file: Annotated[StrictBool, null_as(True)] = True
    weights: Annotated[Literal["plain", "ema", "swa"], null_as(PLAIN)] = PLAIN

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
    """Test metrics of a run.

    Attributes:
        refit: it was retrained on all training images.
        metrics: those beside loss and accuracy; empty in files of an earlier version.
        intervals: 95 % intervals by metric.
        tta: test-time augmentation; None without any.
    """

    __test__ = False  # pytest would collect the class by its name

    run: FolderName
    trial_id: Annotated[str, Field(alias="configuration")]
    accuracy: Number
    loss: Metric
    images: Whole
    correct: Annotated[Whole, AfterValidator(_is_possible)]
    time: str  # ISO
    refit: Annotated[StrictBool, null_as(False)] = False
    metrics: Annotated[Mapping[str, Number], null_as({})] = field(default_factory=dict)
    intervals: Annotated[Mapping[str, tuple[Number, Number]], null_as({})] = field(default_factory=dict)
    tta: str | None = None

    @property
    def values(self) -> dict[str, float]:
        """All metrics by name."""
        loss = {} if self.loss is None else {LOSS: self.loss}
        return {ACCURACY: self.accuracy, **self.metrics, **loss}


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
