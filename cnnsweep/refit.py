"""Refit: retrains the selected trial of a sweep on training and validation images together."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from cnnsweep.analysis.results import RunResult, load_results
from cnnsweep.analysis.trials import chosen_trial, group_trials
from cnnsweep.callbacks import Callback
from cnnsweep.config.load import load_sweep
from cnnsweep.config.metrics_field import foreseen
from cnnsweep.config.schema import Params, SweepSpec
from cnnsweep.config.trials import columns, expand_runs
from cnnsweep.errors import CheckpointError, FolderError, UsageError
from cnnsweep.metrics.names import without_prefix
from cnnsweep.metrics.objective import BEST, LAST, default_mode
from cnnsweep.planning.batching import is_of_one_length
from cnnsweep.plugins import is_reference
from cnnsweep.storage.atomic_files import make_folder
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import read_state
from cnnsweep.sweep import SweepOptions, SweepResult, run_sweep
from cnnsweep.tuner.sampling import TrialSource
from cnnsweep.types import EMA, OR_NONE, SWA, Choice, Run

_NO_LIMIT = 10**9  # the sweep was trained, so its size was confirmed


def refit_chosen(
    folder: Path, options: SweepOptions, callbacks: Sequence[Callback], *, device: str | None, allow_code: bool
) -> SweepResult:
    """Train the best trial of a sweep, with its seeds, on all training images.

    No validation images are left to select an epoch. So each run trains for the best number of epochs before: the
    median over its seeds and folds, or all epochs if the learning rate schedule or `swa` depends on its length.

    Nothing would choose between the weights and their averages either: only those are averaged that most runs kept.

    Args:
        folder: the folder of the sweep.
        options: options of the new sweep, except its folder, which is `refit/<trial>` in the sweep's folder.
        device: the device, instead of the sweep file's.
        allow_code: import the code that the sweep file names.

    Raises:
        CnnSweepError: no trial is selected yet, or the sweep cannot be trained.
    """
    results = load_results(folder)
    best = chosen_trial(results, group_trials(results))
    if best is None:
        raise CheckpointError(f"{results.folder}: no run of this sweep has a finished epoch yet")
    paths = SweepPaths(results.folder)
    spec = load_sweep(paths.frozen_spec, allow_code=allow_code)
    if not spec.validation:
        raise UsageError(f"--refit: {results.folder} held no images out, so its runs have trained on all of them")
    history = read_state(paths.journal)
    every_run = [*expand_runs(spec, _NO_LIMIT).runs, *TrialSource(spec).known_runs(history)]
    runs = [run for run in every_run if run.trial_id == best.trial_id]
    if not runs:
        raise UsageError(f"--refit: {paths.frozen_spec} no longer holds the best trial; run the sweep once more")
    if not allow_code and any(is_reference(name) for name in _code_of(spec, runs[0])):
        raise UsageError(
            "--refit: the sweep names code of its own, which would be run; add --allow-code if you trust it"
        )
    chosen = [result for result in results.runs if result.trial_id == best.trial_id]
    runs = [_with_kept_weights(run, chosen) for run in runs]
    refit = _refit_spec(spec, runs, _epochs(spec, runs[0], chosen))
    refit = refit if device is None else dataclasses.replace(refit, device=device)
    target = results.folder / "refit" / best.trial_id
    for folder in (target.parent, target):  # a sweep may be behind a link, but no part of it
        if folder.is_symlink():
            raise FolderError(f"{folder}: is a symbolic link, which may lead out of the sweep; remove it")
    make_folder(target.parent)
    return run_sweep(refit, dataclasses.replace(options, folder=target), callbacks)


def _code_of(spec: SweepSpec, run: Run) -> list[str]:
    """Return the names of all code that retraining a run may import."""
    names = [choice.name for choice in (*run.hyperparameters.components, *spec.metrics)]
    return [run.model.name, spec.dataset_choice.name, *names, *(one.name for one in (*spec.trackers, *spec.callbacks))]


def _with_kept_weights(run: Run, results: Sequence[RunResult]) -> Run:
    """Return a run with the one average of its weights, or none, that was kept by most runs of its trial."""
    ((kept, _),) = Counter(result.weights for result in results).most_common(1)
    h = run.hyperparameters
    own = dataclasses.replace(h, ema=h.ema if kept == EMA else None, swa=h.swa if kept == SWA else None)
    return dataclasses.replace(run, hyperparameters=own)


def _epochs(spec: SweepSpec, run: Run, results: Sequence[RunResult]) -> int:
    epochs = [result.best_epoch for result in results if result.best_epoch is not None]
    if spec.scope != BEST or is_of_one_length(run.hyperparameters) or not epochs:
        return run.hyperparameters.epochs
    return round(median(epochs))


def _refit_spec(spec: SweepSpec, runs: Sequence[Run], epochs: int) -> SweepSpec:
    """Return a sweep of this trial alone, without validation, which keeps the last epoch."""
    hyperparameters = dataclasses.replace(runs[0].hyperparameters, epochs=epochs)
    named = [key for key in dict.fromkeys([*columns(spec), "epochs"]) if key in Params.model_fields and key != "seed"]
    values = {key: getattr(hyperparameters, key, None) for key in named}  # the model includes its arguments
    h = runs[0].hyperparameters
    if "optimizer" in values:  # with all of its arguments, including `optimizer.<argument>`
        values["optimizer"] = Choice(h.optimizer, h.optimizer_arguments, h.optimizer_code)
    # Values that the optimizer does not use are None; of the others only these may be None.
    axes = {key: (value,) for key, value in values.items() if value is not None or key in OR_NONE}
    metric = without_prefix(spec.metric)
    return dataclasses.replace(
        spec,
        description=f"the best trial of {spec.name}, trained on training and validation images",
        dataset_choice=dataclasses.replace(spec.dataset_choice, subset=None),  # of all images, as its name says
        model=runs[0].model,
        axes=axes,
        zips=(),
        when={},
        exclude=(),
        include=(),
        search=None,
        seeds=tuple(dict.fromkeys(run.hyperparameters.seed for run in runs)),
        validation=0,
        folds=None,
        metric=metric,
        mode=default_mode(metric, foreseen(spec.metrics)),
        scope=LAST,
        early_stop=None,
    )
