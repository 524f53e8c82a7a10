"""Evaluation of the best run when all runs of a sweep have ended: by class, on its validation images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from cnnsweep.analysis.results import load_results
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.evaluation.make_evaluation import make_evaluation
from cnnsweep.evaluation.measure import Measurement, measure
from cnnsweep.evaluation.measure_labels import LabelMeasurement, LabelModel, measure_labels
from cnnsweep.evaluation.record import write_evaluation
from cnnsweep.formatting.weights import notes_on_weights
from cnnsweep.losses.base import make_evaluation_loss
from cnnsweep.models.build import build_model, memory_order
from cnnsweep.models.memory_format import in_order
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.verified_weights import load_known_best
from cnnsweep.training.data_module import DataModule
from cnnsweep.types import PLAIN, Run


def evaluate_best_run(
    paths: SweepPaths,
    runs: Sequence[Run],
    dataset: Dataset,
    task: DataModule,
    writing: Callable[[], AbstractContextManager[None]],
    log: Callable[[str], None],
) -> None:
    """Write the evaluation of the best run's best weights, unless it exists; the test images stay unused.

    The results of the sweep are safe by now. So an error is logged, and Ctrl-C ends the evaluation only.

    Args:
        writing: returns a context for atomic writes, see `SweepWriter.writing`.
        log: takes a warning.
    """
    try:
        _evaluate_best_run(paths, runs, dataset, task, writing)
    except KeyboardInterrupt:
        return
    except Exception as error:  # the user's model may raise anything, and memory may run out
        log(f"the best run was not measured by class ({type(error).__name__}: {error})")


def _evaluate_best_run(
    paths: SweepPaths,
    runs: Sequence[Run],
    dataset: Dataset,
    task: DataModule,
    writing: Callable[[], AbstractContextManager[None]],
) -> None:
    results = load_results(paths.folder)
    run = next((run for run in runs if run.name == results.sweep.best), None)
    if run is None:
        return
    files, part = paths.run(run.name), task.part(run)
    if files.evaluation.exists() or not files.best_weights.exists() or not len(part.validation):
        return
    checkpoint = load_known_best(files.best_weights)
    model = build_model(run.model, dataset.train.image_shape, len(dataset.classes), seed=0)
    model.load_state_dict(dict(checkpoint.weights))
    order = memory_order(run.model, dataset.train.image_shape, len(dataset.classes), task.device)
    model = in_order(model, order, task.device)
    loss = make_evaluation_loss(run.hyperparameters.loss_function)
    about = (part.pixels, dataset.classes, task.device, loss, order)
    found: Measurement | LabelMeasurement
    if dataset.is_multi_label:
        held_out = (dataset.train, part.validation)
        found = measure_labels(LabelModel(model, *about), *held_out, held_out, task.metrics)
    else:
        found = measure(model, dataset.train, part.validation, *about, task.metrics)
    evaluation = make_evaluation(
        found,
        files.best_weights,
        run=run.name,
        epoch=checkpoint.description["epoch"],
        split="val",
        classes=dataset.classes,
        params=run.params,
        objective=results.sweep.objective.metric,
        notes=notes_on_weights(checkpoint.description.get("weights", PLAIN)),
    )
    with writing():
        write_evaluation(files, evaluation)
