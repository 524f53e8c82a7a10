"""Evaluation of a checkpoint: its metrics with intervals, by class, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnnsweep.analysis.confusion import IMAGES
from cnnsweep.analysis.evaluation import Evaluation, LabelEvaluation, TrialEvaluation
from cnnsweep.analysis.results import Results, load_results
from cnnsweep.analysis.trials import Trial, chosen_trial, fold_overlap, group_trials
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.images import ImageSet
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import CheckpointError, DataError, ResultsError, UsageError
from cnnsweep.evaluation.measure import Measurement, measure
from cnnsweep.evaluation.measure_labels import LabelMeasurement, LabelModel, measure_labels
from cnnsweep.evaluation.model_card import Description, Split, describe
from cnnsweep.evaluation.restore import restore_model
from cnnsweep.evaluation.wrong_images import MOST_PICTURES
from cnnsweep.losses.base import Loss, make_evaluation_loss
from cnnsweep.metrics.names import ACCURACY, LOSS, without_prefix
from cnnsweep.models.build import memory_order
from cnnsweep.models.memory_format import in_order
from cnnsweep.storage.paths import RunPaths, SweepPaths, refuse_undecodable
from cnnsweep.storage.verified_weights import load_known_best
from cnnsweep.training.devices import choose_device
from cnnsweep.types import Choice

SPLITS = ("test", "val", "train")
_MOST_SHOWN, _LONGEST_SHOWN = 20, 60  # maximum class names in a message, and characters of each


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """Options of an evaluation.

    Attributes:
        split: test, val or train.
        allow_code: import the code that the checkpoint names; code can do anything, so this needs the user's
            permission.
        loading: called with the progress of loading and of long computations: (activity, done, total).
        metrics: metrics to measure in addition to those of the sweep.
        most_wrong: maximum number of misclassified images to name; at most 24 are kept as pictures.
    """

    data_root: Path
    split: str = "test"
    device: str = "auto"
    allow_code: bool = False
    loading: Callable[[str, int, int], None] | None = None
    metrics: Sequence[Choice] = ()
    most_wrong: int = MOST_PICTURES


def is_sweep(path: Path) -> bool:
    """True for the folder of a sweep, or its results.json."""
    folder = path.parent if path.name == SweepPaths(path.parent).results_json.name else path
    return SweepPaths(folder).results_json.is_file() and not RunPaths(folder).best_weights.is_file()


def find_checkpoint(path: Path) -> Path:
    """Return the `best.safetensors` for a file, a run folder, or a sweep folder (then of its best run).

    Raises:
        CheckpointError: it is missing; the message has the value found and the values allowed.
        FolderError: its name is not text, so it cannot be opened.
    """
    refuse_undecodable(path)
    if path.is_file():
        if path.suffix != ".safetensors":
            raise CheckpointError(f"{path}: not a checkpoint to evaluate; give a best.safetensors, or a run's folder")
        return path
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such file or folder")
    if (weights := RunPaths(path).best_weights).is_file():
        return weights
    if SweepPaths(path).results_json.is_file():
        return _best_of_sweep(path)
    raise CheckpointError(
        f"{path}: holds neither best.safetensors (a run's folder) nor results.json (a sweep's folder)"
    )


def _best_of_sweep(folder: Path) -> Path:
    try:
        best = load_results(folder).sweep.best
    except ResultsError as error:
        raise CheckpointError(str(error)) from error
    if best is None:
        raise CheckpointError(f"{folder}: no run of this sweep has a finished epoch yet")
    weights = SweepPaths(folder).run(best).best_weights
    if not weights.is_file():
        raise CheckpointError(f"{weights}: the best run's checkpoint is missing; give another run's folder")
    return weights


def evaluate_checkpoint(path: Path, options: EvaluationOptions) -> Evaluation:
    """Measure a checkpoint on one part of its data set.

    Args:
        path: a `best.safetensors`, a run folder or a sweep folder.

    Raises:
        CnnSweepError: checkpoint, data set or device is missing or does not fit.
    """
    (evaluation,) = _evaluate([find_checkpoint(path)], options)
    return evaluation


def evaluate_chosen(path: Path, options: EvaluationOptions, refit_of: Path | None = None) -> TrialEvaluation:
    """Measure the selected trial of a sweep: the best checkpoints of all its seeds and folds.

    Args:
        path: a sweep folder or its results.json.
        refit_of: the sweep that selected the trial, if `path` is its refit on all training images.

    Raises:
        CnnSweepError: as for `evaluate_checkpoint`.
    """
    refuse_undecodable(path)
    results = load_results(path)
    best = _chosen(results)
    runs = [run for run in best.runs if run.checkpoint is not None]
    evaluations = _evaluate([SweepPaths(results.folder).run(run.name).best_weights for run in runs], options)
    notes = [] if results.sweep.status == "finished" else ["the sweep is unfinished, so another trial may be selected"]
    chosen = best if refit_of is None else _chosen(load_results(refit_of))
    is_refit = refit_of is not None
    return TrialEvaluation(chosen.trial_id, tuple(evaluations), fold_overlap(results), tuple(notes), is_refit=is_refit)


def _chosen(results: Results) -> Trial:
    trial = chosen_trial(results, group_trials(results))
    if trial is None:
        raise CheckpointError(f"{results.folder}: no run of this sweep has a finished epoch yet")
    return trial


def _evaluate(weights_files: Sequence[Path], options: EvaluationOptions) -> list[Evaluation]:
    """Measure checkpoints of one sweep; the data are loaded once."""
    if options.split not in SPLITS:
        raise UsageError(f"--split: found '{options.split}', allowed are {', '.join(SPLITS)}")
    device = choose_device(options.device)
    dataset: Dataset | None = None
    evaluations = []
    for weights_file in weights_files:
        checkpoint = load_known_best(weights_file)
        about = describe(weights_file, checkpoint.description, options.data_root, allow_code=options.allow_code)
        model = restore_model(weights_file, checkpoint.weights, about)  # before the slow loading of data
        if dataset is None:
            dataset = load_dataset(about.dataset, options.data_root, options.loading)
        _check_fit(weights_file, about, dataset)
        evaluations.append(_evaluate_one(weights_file, about, model, dataset, options, device))
    return evaluations


def _evaluate_one(
    weights_file: Path,
    about: Description,
    model: nn.Module,
    dataset: Dataset,
    options: EvaluationOptions,
    device: torch.device,
) -> Evaluation:
    images, positions = _part(dataset, about.split, options.split)
    if not len(positions):
        raise DataError(f"{dataset.name}: its {IMAGES[options.split].removesuffix(' images')} part has no images")
    order = memory_order(about.model, about.image_shape, len(about.classes), device)
    model = in_order(model, order, device)
    loss = _loss(weights_file, about)
    measured = LabelModel(model, about.pixels, tuple(dataset.classes), device, loss, order)
    metrics, most_wrong = (*about.metrics, *options.metrics), max(options.most_wrong, MOST_PICTURES)
    found: Measurement | LabelMeasurement
    if about.is_multi_label:
        validation = (dataset.train, _positions_of_validation(dataset, about.split))
        found = measure_labels(
            measured, images, positions, validation, metrics, most_wrong=most_wrong, progress=options.loading
        )
    else:
        found = measure(
            model,
            images,
            positions,
            about.pixels,
            dataset.classes,
            device,
            loss,
            order,
            metrics,
            most_wrong=most_wrong,
            progress=options.loading,
        )
    return make_evaluation(
        found,
        weights_file,
        run=about.run,
        epoch=about.epoch,
        split=options.split,
        classes=dataset.classes,
        params=about.params,
        objective=about.metric,
        notes=_notes(about, dataset, options.split),
    )


def make_evaluation(
    found: Measurement | LabelMeasurement,
    weights_file: Path,
    *,
    run: str,
    epoch: int,
    split: str,
    classes: Sequence[str],
    params: Mapping[str, Any],
    objective: str | None,
    notes: Sequence[str] = (),
) -> Evaluation:
    """Return the evaluation of a run from what was measured.

    Args:
        objective: the metric by which the sweep selects; None if unknown.
    """
    unknown = [f"{name} has no value here: {reason}" for name, reason in found.missing.items()]
    ends = {LOSS: found.loss_interval, **{name: one.interval for name, one in found.metrics.items()}}
    common: dict[str, Any] = {
        "checkpoint": str(weights_file),
        "run": run,
        "epoch": epoch,
        "split": split,
        "loss": found.loss,
        "classes": tuple(classes),
        "params": params,
        "notes": (*notes, *unknown),
        "wrong": found.wrong,
        "metrics": {name: one.value for name, one in found.metrics.items()},
        "intervals": {name: interval for name, interval in ends.items() if interval is not None},
        "baselines": {name: one.baseline for name, one in found.metrics.items() if one.baseline is not None},
        "objective": None if objective is None else without_prefix(objective),
    }
    if isinstance(found, Measurement):
        rows = [sum(row) for row in found.confusion]
        common["baselines"] = {ACCURACY: max(rows) / sum(rows), **common["baselines"]}
        return Evaluation(confusion=found.confusion, **common)
    return LabelEvaluation(
        confusion=(),
        total=found.images,
        right=found.right,
        thresholds=found.thresholds,
        counts=found.counts,
        average_precision=found.average_precision,
        **{**common, "notes": (*common["notes"], *found.notes)},
    )


def _loss(path: Path, about: Description) -> Loss:
    try:
        return make_evaluation_loss(about.loss_function)
    except UsageError as error:
        raise CheckpointError(f"{path}: its loss cannot be built ({error})") from error


def _check_fit(path: Path, about: Description, dataset: Dataset) -> None:
    if dataset.train.image_shape != about.image_shape:
        raise CheckpointError(
            f"{path}: was trained on images of {_times(about.image_shape)}, but {dataset.name} has "
            f"{_times(dataset.train.image_shape)} here"
        )
    if dataset.classes != about.classes:
        raise CheckpointError(
            f"{path}: was trained on the classes {_listed(about.classes)}, but {dataset.name} has "
            f"{_listed(dataset.classes)} here"
        )

    if dataset.is_multi_label != about.is_multi_label:
        trained, found = ("several labels", "one") if about.is_multi_label else ("one label", "several")
        raise CheckpointError(f"{path}: was trained on {trained} an image, but {dataset.name} has {found} here")


def _listed(classes: Sequence[str]) -> str:
    names = [name[:_LONGEST_SHOWN] for name in classes[:_MOST_SHOWN]]
    return ", ".join(names) + (f" and {len(classes) - _MOST_SHOWN:,} more" if len(classes) > _MOST_SHOWN else "")


def _times(shape: Any) -> str:
    return "×".join(map(str, shape))


def _part(dataset: Dataset, how: Split, split: str) -> tuple[ImageSet, Tensor]:
    if split == "test":
        if dataset.test is None:
            raise DataError(f"{dataset.name}: no test images; use --split val or --split train")
        return dataset.test, torch.arange(len(dataset.test))
    training, validation = _split_of(dataset, how)
    if split == "train":
        return dataset.train, training
    if not len(validation):
        raise UsageError("--split val: this sweep held no images out for validation (validation: 0); use --split test")
    return dataset.train, validation


def _split_of(dataset: Dataset, how: Split) -> tuple[Tensor, Tensor]:
    folds = how.folds if how.fold is not None else None
    (parts,) = dataset.split(how.validation, folds, how.seed, how.fold)
    return parts


def _positions_of_validation(dataset: Dataset, how: Split) -> Tensor:
    """Return the positions of the run's validation images, which may be none."""
    return _split_of(dataset, how)[1]


def _notes(about: Description, dataset: Dataset, split: str) -> list[str]:
    notes = []
    if about.fingerprint is not None and about.fingerprint == dataset.fingerprint_before:
        notes.append("when this checkpoint was trained, the data set's own validation part was not held out yet")
    elif about.fingerprint != dataset.fingerprint:
        notes.append("the data set differs from the one of this checkpoint's training")
    if split == "val":
        notes.append("these images were used for selection, so the metrics are optimistic; use --split test")
    if split == "train":
        notes.append("the model was trained on these images")
    return notes
