"""Checks of the models of a sweep with a dummy batch, each distinct model once: parameters, outputs, repeatability."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from cnnsweep.models.build import check_model, is_repeatable
from cnnsweep.models.outputs import notes_on_outputs
from cnnsweep.types import ModelChoice, Run

Shape = tuple[int, int, int]


def count_parameters(runs: Sequence[Run], image_shape: Shape, num_classes: int) -> dict[str, int]:
    """Send a dummy batch through every distinct model and return each run's number of parameters, by run id.

    Raises:
        ModelError: a model cannot be built, or does not fit the images and classes.
    """
    models = {repr(run.model): run.model for run in runs}
    counts = {key: check_model(model, image_shape, num_classes) for key, model in models.items()}
    return {run.id: counts[repr(run.model)] for run in runs}


def notes_on_models(
    models: Iterable[ModelChoice], image_shape: Shape, num_classes: int, *, is_multi_label: bool = False
) -> list[str]:
    """Return warnings about the models as lines."""
    notes: list[str] = []
    for model in {repr(model): model for model in models}.values():
        with contextlib.suppress(Exception):  # user code may raise any error: training reports it
            notes += notes_on_outputs(model, image_shape, num_classes, is_multi_label=is_multi_label)
            if not is_repeatable(model, image_shape, num_classes):
                notes.append(
                    f"model {model.name}: gives different values in each call with equal seeds, so that none of "
                    "its runs can be repeated; draw from torch's, Python's or NumPy's global generator, which are "
                    "seeded in every step"
                )
    return list(dict.fromkeys(notes))
