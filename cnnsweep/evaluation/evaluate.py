"""Evaluation of a checkpoint: its metrics with intervals, by class, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from cnnsweep.analysis.confusion import IMAGES
from cnnsweep.analysis.evaluation import Evaluation, TrialEvaluation
from cnnsweep.analysis.results import Results, load_results
from cnnsweep.analysis.trials import Trial, chosen_trial, fold_overlap, group_trials
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import CheckpointError, DataError, UsageError
from cnnsweep.evaluation.check_fit import check_fit
from cnnsweep.evaluation.find_checkpoint import find_checkpoint
from cnnsweep.evaluation.make_evaluation import make_evaluation
from cnnsweep.evaluation.measure import Measurement, measure
from cnnsweep.evaluation.measure_labels import LabelMeasurement, LabelModel, measure_labels
from cnnsweep.evaluation.model_card import Description, describe
from cnnsweep.evaluation.parts import SPLITS, part_of, validation_positions
from cnnsweep.evaluation.restore import restore_model
from cnnsweep.evaluation.test_time import tta_names, untrained_note, with_tta, written_tta
from cnnsweep.evaluation.wrong_images import MOST_PICTURES
from cnnsweep.formatting.weights import notes_on_weights
from cnnsweep.losses.base import Loss, make_evaluation_loss
from cnnsweep.models.build import memory_order
from cnnsweep.models.memory_format import in_order
from cnnsweep.storage.paths import SweepPaths, refuse_undecodable
from cnnsweep.storage.verified_weights import load_known_best
from cnnsweep.training.devices import choose_device
from cnnsweep.types import Choice


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
        tta: test-time augmentation: flip, vertical_flip or both joined with +.
    """

    data_root: Path
    split: str = "test"
    device: str = "auto"
    allow_code: bool = False
    loading: Callable[[str, int, int], None] | None = None
    metrics: Sequence[Choice] = ()
    most_wrong: int = MOST_PICTURES
    tta: str | None = None


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
    tta_names(options.tta)  # refused before the slow loading of data
    if options.split not in SPLITS:
        raise UsageError(f"--split: found '{options.split}', allowed are {', '.join(SPLITS)}")
    device = choose_device(options.device)
    dataset: Dataset | None = None
    evaluations = []
    for weights_file in weights_files:
        checkpoint = load_known_best(weights_file)
        about = describe(
            weights_file, checkpoint.description, options.data_root, allow_code=options.allow_code, needs_loss=True
        )
        model = restore_model(weights_file, checkpoint.weights, about)  # before the slow loading of data
        if dataset is None:
            chosen = replace(about.dataset, subset=about.split.subset)
            dataset = load_dataset(chosen, options.data_root, options.loading, seed=about.split.seed)
        check_fit(weights_file, about, dataset)
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
    images, positions = part_of(dataset, about.split, options.split)
    if not len(positions):
        raise DataError(f"{dataset.name}: its {IMAGES[options.split].removesuffix(' images')} part has no images")
    order = memory_order(about.model, about.image_shape, len(about.classes), device)
    model = with_tta(in_order(model, order, device), len(about.classes), options.tta)
    loss = _loss(weights_file, about)
    measured = LabelModel(model, about.pixels, tuple(dataset.classes), device, loss, order)
    metrics, most_wrong = (*about.metrics, *options.metrics), max(options.most_wrong, MOST_PICTURES)
    found: Measurement | LabelMeasurement
    if about.is_multi_label:
        validation = (dataset.train, validation_positions(dataset, about.split))
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
        notes=_notes(about, dataset, options),
        tta=written_tta(options.tta),
    )


def _loss(path: Path, about: Description) -> Loss:
    try:
        return make_evaluation_loss(about.loss_function)
    except UsageError as error:
        raise CheckpointError(f"{path}: its loss cannot be built ({error})") from error


def _notes(about: Description, dataset: Dataset, options: EvaluationOptions) -> list[str]:
    split, untrained = options.split, untrained_note(about.params, options.tta)
    notes = [*([] if untrained is None else [untrained]), *notes_on_weights(about.weights)]
    if about.fingerprint is not None and about.fingerprint == dataset.fingerprint_before:
        notes.append("when this checkpoint was trained, the data set's own validation part was not held out yet")
    elif about.fingerprint != dataset.fingerprint:
        notes.append("the data set differs from the one of this checkpoint's training")
    if split == "val":
        notes.append("these images were used for selection, so the metrics are optimistic; use --split test")
    if split == "train":
        notes.append("the model was trained on these images")
    return notes
