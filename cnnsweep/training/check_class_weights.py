"""Check of `class_weight` before training: whether the data have the classes, and the losses can take weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cnnsweep.config.class_weight_field import CLASS_WEIGHT
from cnnsweep.config.dump import without_folder
from cnnsweep.config.error_messages import spec_error
from cnnsweep.config.schema import SweepSpec
from cnnsweep.errors import Problem, UsageError
from cnnsweep.field_types import nearest_name, quoted
from cnnsweep.losses.base import LOSSES, Loss
from cnnsweep.samplers.space import Interval
from cnnsweep.types import UNWEIGHTED, ClassWeights, Run

_MOST_SHOWN = 20  # classes, in a message


def check_classes(spec: SweepSpec, classes: tuple[str, ...]) -> None:
    """Raise if `class_weight` names a class that the data set does not have.

    Raises:
        SpecError: with every such name, and its place in the sweep file.
    """
    named = dict.fromkeys(name for weights in _all_weights(spec) for name, _ in weights.given)
    problems = [_problem(spec, name, classes) for name in named if name not in classes]
    if problems:
        raise spec_error(problems)


def check_weighted_losses(runs: Iterable[Run]) -> None:
    """Raise if a run has weights that its loss cannot take, where images have several labels.

    Raises:
        UsageError: a user's own loss has no form for single labels.
    """
    for h in dict.fromkeys(run.hyperparameters for run in runs):
        if h.class_weight == UNWEIGHTED:
            continue
        if LOSSES.get(h.loss_function.name).per_label is Loss.per_label:
            name = without_folder(h.loss_function.name, h.loss_function.code)
            raise UsageError(
                f"params.{CLASS_WEIGHT}: images have several labels here, and {name} returns one value for all labels "
                "of an image, so that no weight can apply to one of them; allowed is a loss of cnnsweep, a class with "
                f"`per_label`, or {CLASS_WEIGHT}: none"
            )


def _all_weights(spec: SweepSpec) -> Iterator[ClassWeights]:
    axis = spec.axes.get(CLASS_WEIGHT, ())
    values = [] if isinstance(axis, Interval) else list(axis)
    for value in [*values, *(one.get(CLASS_WEIGHT) for one in spec.include)]:
        if isinstance(value, ClassWeights):
            yield value


def _problem(spec: SweepSpec, name: str, classes: tuple[str, ...]) -> Problem:
    nearest = nearest_name(name, classes)
    rest = f" and {len(classes) - _MOST_SHOWN:,} more" if len(classes) > _MOST_SHOWN else ""
    known = f"there are {', '.join(classes[:_MOST_SHOWN])}{rest}"
    place = spec.class_places.get(name)
    text = f"params.{CLASS_WEIGHT}: the data set has no class {quoted(name)}; "
    text += f"did you mean '{nearest}'?" if nearest else known
    return Problem("sweep", 0, 0, text) if place is None else Problem(place.file, place.line, place.column, text)
