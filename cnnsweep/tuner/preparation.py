"""What a sweep needs before its first run: checked models, the split, pixel statistics, what to record."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cnnsweep._version import __version__
from cnnsweep.config.dump import dump_spec, without_folder, written_entry
from cnnsweep.config.early_stop_entry import EARLY_STOP
from cnnsweep.config.identity import identity_fields
from cnnsweep.config.schema import SweepSpec, TensorBoard
from cnnsweep.config.search_entry import SEARCH
from cnnsweep.config.trials import columns_that_vary, model_names, possible_values
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.decode import FULL_WHITE
from cnnsweep.datasets.normalize import pixel_scale
from cnnsweep.errors import DiskFullError
from cnnsweep.models.build import build_model, check_model, is_repeatable
from cnnsweep.models.logits import giving_logits
from cnnsweep.models.outputs import notes_on_outputs
from cnnsweep.planning.cost import disk_bytes
from cnnsweep.planning.scheduling import Place
from cnnsweep.report.plan import bytes_text
from cnnsweep.seeding import kept_generators
from cnnsweep.storage.atomic_files import to_json
from cnnsweep.storage.writer import RecordingTask
from cnnsweep.trackers.tensorboard_hparams import kind_of
from cnnsweep.trackers.tensorboard_writer import BoardContent, make_graph, make_image_grid
from cnnsweep.training.data_module import Part, TrainingTask
from cnnsweep.types import ModelChoice, Run

_SAMPLE_IMAGES = 32


def count_parameters(runs: Sequence[Run], dataset: Dataset) -> dict[str, int]:
    """Send a dummy batch through every distinct model and return each run's number of parameters, by run id.

    Raises:
        ModelError: a model cannot be built, or does not fit the images and classes.
    """
    counts: dict[str, int] = {}
    parameters = {}
    for run in runs:
        key = _model_key(run.model)
        if key not in counts:
            counts[key] = check_model(run.model, dataset.train.image_shape, len(dataset.classes))
        parameters[run.id] = counts[key]
    return parameters


def notes_on_models(runs: Sequence[Run], dataset: Dataset) -> list[str]:
    """Return in lines what a person should know of the models, each model looked at once."""
    about = dataset.train.image_shape, len(dataset.classes)
    notes: list[str] = []
    for model in {_model_key(run.model): run.model for run in runs}.values():
        with contextlib.suppress(Exception):  # whatever a person's code raises: training says so
            notes += notes_on_outputs(model, *about)
            if not is_repeatable(model, *about):
                notes.append(
                    f"model {model.name}: gives other values each time it is called with equal seeds, so that none of "
                    "its runs can be repeated; draw from torch's, Python's or NumPy's global generator, which are "
                    "seeded in every step"
                )
    return list(dict.fromkeys(notes))


def foresee_single_images(runs: Sequence[Run], task: TrainingTask) -> list[str]:
    """Return in words which batch sizes leave a last batch of one image, where the network cannot train on that.

    Args:
        runs: those that are to train.

    Raises:
        ModelError: all batches of a run are of one image, and its network cannot train on that.
    """
    sizes: dict[tuple[str, str], dict[int, None]] = {}
    for run in runs:
        task.refuse_single_images(run)
        if (why := task.why_last_image_joins(run)) is not None:
            name = without_folder(run.model.name, run.model.code)
            sizes.setdefault((name, why), {})[run.hyperparameters.batch_size] = None
    return [
        f"batch_size {_listed(sorted(of_model))} {'leaves' if len(of_model) == 1 else 'leave'} a last batch of one "
        f"image, on which {name} ({why}) cannot train: it joins the batch before"
        for (name, why), of_model in sizes.items()
    ]


def _listed(numbers: Sequence[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} and {last}" if others else last


def refuse_full_disk(
    folder: Path, runs: Sequence[Run], parameters: Mapping[str, int], task: TrainingTask, board: TensorBoard
) -> str | None:
    """Return in words that the disk will not do for all of these runs; None where it will.

    Args:
        folder: the sweep's, which is there.
        parameters: numbers of parameters by run id.

    Raises:
        DiskFullError: it will not do for a single one.
    """
    images = len(task.parts[0].training)
    needed = [disk_bytes([run], parameters, images, histograms=board.histograms) for run in runs]
    free = shutil.disk_usage(folder).free
    place = f"{folder}: {bytes_text(free)} of disk are free"
    if free < max(needed, default=0):
        raise DiskFullError(
            f"{place}, and one run alone needs about {bytes_text(max(needed))}; free some space, or choose another "
            "folder with --out"
        )
    if free < sum(needed):
        return (
            f"{place}, and the runs to come need about {bytes_text(sum(needed))}: free some space meanwhile. Should it "
            "run out, the sweep stops and loses nothing"
        )
    return None


def make_training_task(spec: SweepSpec, dataset: Dataset, device: torch.device) -> TrainingTask:
    """Split the training images, and measure mean and deviation on what is trained on, in each fold its own."""
    images = dataset.train
    splits = dataset.split(spec.validation, spec.folds, spec.seed)
    parts = tuple(
        Part(training, validation, pixel_scale(spec.dataset_choice.normalize, images, training))
        for training, validation in splits
    )
    return TrainingTask(images, parts, len(dataset.classes), device, spec.precision)


def sweep_facts(
    spec: SweepSpec, runs: Sequence[Run], dataset: Dataset, places: Sequence[Place], overrides: Sequence[str]
) -> dict[str, Any]:
    """Return what the journal says of a command; tables and later resumes read it."""
    return {
        "name": spec.name,
        "description": spec.description,
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "model": ", ".join(model_names(spec, runs)),
        "normalize": identity_fields(spec.dataset_choice.normalize),  # a resume compares it, see `continuity`
        "validation": spec.validation,
        "folds": spec.folds,
        "seed": spec.seed,
        "metric": spec.metric,
        "mode": spec.mode,
        "scope": spec.scope,
        "search": written_entry(spec.search, SEARCH),
        "early_stop": None if spec.early_stop is None else written_entry(spec.early_stop, EARLY_STOP),
        "precision": spec.precision,
        "device": ",".join(dict.fromkeys(place.device for place in places)),
        "places": len(places),
        "threads": torch.get_num_threads(),
        "overrides": list(overrides),
        "spec": dump_spec(spec),
    }


def validation_facts(task: TrainingTask) -> dict[str, int | None]:
    """Return what the journal says of the images that settings are chosen on: of folds, of the least balanced one.

    Without them nobody could tell whether a model learned anything, or a difference is one of a few images.
    """
    counts = [torch.bincount(task.images.labels[part.validation]) for part in task.parts if len(part.validation)]
    if not counts:
        return {"validation_images": None, "largest_class": None}
    least = max(counts, key=lambda one: float(one.max() / one.sum()))
    return {"validation_images": int(least.sum()), "largest_class": int(least.max())}


def make_recording_task(
    spec: SweepSpec, dataset: Dataset, task: TrainingTask, known: Sequence[Mapping[str, Any]] = ()
) -> RecordingTask:
    """Return what the recorder writes beside what training reports.

    Args:
        known: the settings of runs that the folder holds, some maybe of an earlier sweep file.
    """
    shape, classes = dataset.train.image_shape, len(dataset.classes)
    graphs: dict[str, Any] = {}

    def graph(run: Run) -> Any:
        if not spec.tensorboard.graph:
            return None
        key = _model_key(run.model)
        if key not in graphs:  # traced once, written for every run that has this model
            graphs[key] = None
            # One that a search chose may not fit: training says so.
            with kept_generators(), contextlib.suppress(Exception):
                model = build_model(run.model, shape, classes, seed=0)
                graphs[key] = make_graph(giving_logits(model, torch.zeros(1, *shape), classes), shape)
        return graphs[key]

    def describe(run: Run) -> Mapping[str, Any]:
        pixels = task.part(run).pixels
        return {
            "cnnsweep": __version__,
            "sweep": spec.name,
            "settings": dict(run.settings),
            "model": {"name": run.model.name, "arguments": dict(run.model.arguments)},
            "image_shape": list(shape),
            "classes": list(dataset.classes),
            "pixels": {"mean": list(pixels.mean), "std": list(pixels.std)},
            **({} if dataset.white == FULL_WHITE else {"white": dataset.white}),
            "dataset": {"name": spec.dataset_choice.name, "arguments": dict(spec.dataset_choice.arguments)},
            "fingerprint": dataset.fingerprint,
            "split": {
                "validation": spec.validation,
                "seed": spec.seed,
                "folds": spec.folds,
                "fold": run.fold,
            },
            "precision": spec.precision,
        }

    board = spec.tensorboard
    images = None
    if board.images:
        first = task.parts[0].training[:_SAMPLE_IMAGES]
        images = make_image_grid(next(dataset.train.batches([first], torch.device("cpu")))[0])
    varying = frozenset(columns_that_vary(spec))
    kinds = {
        name: kind_of([*values, *(settings.get(name) for settings in known)])
        for name, values in possible_values(spec).items()
    }
    content = BoardContent(board.batch_loss, board.histograms, board.hparams, varying, kinds)
    return RecordingTask(content, describe, graph, images)


def _model_key(model: ModelChoice) -> str:
    return to_json(dataclasses.asdict(model))
