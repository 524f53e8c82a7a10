"""Reads a sweep file and checks it; every mistake is reported at once."""

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cnnsweep.config.axis import Values
from cnnsweep.config.class_weight_field import class_places
from cnnsweep.config.component_arguments import ALL, check_arguments
from cnnsweep.config.constraints import SpaceRules, read_space_rules
from cnnsweep.config.cross_checks import (
    check_model_arguments,
    mistakes_between_keys,
    mistakes_in_search,
)
from cnnsweep.config.dump import dump_spec
from cnnsweep.config.error_messages import (
    Mistake,
    key_of,
    mistakes_in,
    problems_at_places,
    spec_error,
    without_what_was_meant,
)
from cnnsweep.config.metric_checks import mistakes_in_metrics
from cnnsweep.config.metrics_field import DecidingMetric, foreseen
from cnnsweep.config.model_arguments import mistakes_in_arguments
from cnnsweep.config.overrides import apply_override
from cnnsweep.config.own_code import ALLOW_CODE
from cnnsweep.config.schema import ARGUMENT_PREFIXES, Params, SweepFile, SweepSpec
from cnnsweep.config.spellings import spell_out
from cnnsweep.config.top_level_fields import Folds
from cnnsweep.config.trial_builds import TryModel, mistakes_in_building
from cnnsweep.config.yaml import MAX_BYTES, Document, KeyPath, Position, read_yaml
from cnnsweep.errors import Problem, SpecError
from cnnsweep.field_types import found
from cnnsweep.metrics.base import column_of
from cnnsweep.metrics.names import ACCURACY, on_validation, without_prefix
from cnnsweep.metrics.objective import default_mode
from cnnsweep.storage.read_limited import read_bounded
from cnnsweep.types import ModelChoice

__all__ = ["dump_spec", "load_sweep", "parse_sweep"]

_TEXT_KEYS = ("name", "description")


def load_sweep(
    path: Path, overrides: Sequence[str] = (), try_model: TryModel | None = None, *, allow_code: bool = True
) -> SweepSpec:
    """Return the sweep that a file describes.

    Args:
        path: the sweep file; code that it names as `path.py:name` is looked for from its folder.
        overrides: `KEY=VALUE` options of the command line, such as `params.lr=[0.1, 0.01]`.
        try_model: builds own models, and those of torchvision that have arguments.
        allow_code: import samplers, pruners, trackers and callbacks that the file names as code of its own; models and
            data sets are not imported here.

    Raises:
        SpecError: with all mistakes, in the file's order, each with line and column.
    """
    return parse_sweep(_read_text(path), str(path), overrides, path.parent, try_model, allow_code=allow_code)


def parse_sweep(
    text: str,
    file: str,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    try_model: TryModel | None = None,
    *,
    allow_code: bool = True,
) -> SweepSpec:
    """Return the sweep that a text describes; like `load_sweep`, with `file` as the name in messages."""
    document = read_yaml(text, file)
    _refuse_other_than_mapping(document)
    spell_out(document)
    for option in overrides:
        apply_override(document, option)
    spell_out(document)
    for key in _TEXT_KEYS:
        _keep_text(document, key)
    context = {"folder": Path() if folder is None else folder, ALLOW_CODE: allow_code}
    return _checked(document, context, try_model)


def _read_text(path: Path) -> str:
    def stop(message: str, line: int = 0, column: int = 0) -> SpecError:
        return SpecError([Problem(str(path), line, column, message)])

    try:
        content = read_bounded(path, MAX_BYTES)
    except FileNotFoundError:
        raise stop("there is no such file; `cnnsweep init` writes one to start from") from None
    except IsADirectoryError:
        raise stop("this is a folder; name the sweep file in it") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            message = f"the file is larger than {MAX_BYTES:,} bytes; a sweep file has a few thousand at most"
            raise stop(message) from None
        reason = error.strerror if isinstance(error, OSError) else error
        raise stop(f"the file cannot be read: {reason}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        byte = error.object[error.start]
        raise stop(f"the byte 0x{byte:02x} is not UTF-8; save the file as UTF-8 text", line, column) from None


def _refuse_other_than_mapping(document: Document) -> None:
    if isinstance(document.value, dict):
        return
    if document.value is None and not document.problems:
        message = "the file is empty; `cnnsweep init` writes one to start from"
    else:
        message = f"{found(document.value)}, allowed is a mapping with the keys name, dataset, model and params"
    place = document.place(())
    raise SpecError([*document.problems, Problem(place.file, place.line, place.column, message)])


def _keep_text(document: Document, key: str) -> None:
    """Let a name be `007` or `2026`, as it is written."""
    if isinstance(document.value.get(key), bool | int | float) and (key,) in document.texts:
        document.value[key] = document.texts[(key,)]


def _checked(document: Document, context: Mapping[str, Any], try_model: TryModel | None) -> SweepSpec:
    params = document.value.get("params")
    given: Mapping[str, Any] = params if isinstance(params, dict) else {}
    sweep, mistakes = _validated(document.value, given, context)
    wrong = {key_of(mistake.path) for mistake in mistakes}

    placed = [] if wrong & {"model", "params", "params.model"} else _models(sweep)
    models = [model for _, model in placed]
    arguments, argument_mistakes = check_model_arguments(given, models)
    mistakes += argument_mistakes
    choices = {of.key: [] if wrong & {"params", f"params.{of.key}"} else getattr(sweep.params, of.key) for of in ALL}
    of_components, component_mistakes = check_arguments(given, choices)
    mistakes += component_mistakes
    if not argument_mistakes:
        # Where conditions leave trials out, a key may be meant for one of several models.
        all_apply = len(models) == 1 or not (sweep.when or sweep.exclude)
        refused = list(mistakes_in_arguments(placed, given, all_apply=all_apply))
        if try_model is not None and not refused and "dataset" not in wrong:
            refused = list(mistakes_in_building(placed, arguments, sweep, try_model))
        mistakes += refused
    if not wrong & {"dataset", "metric", "metrics"}:
        mistakes += mistakes_in_metrics(sweep)
    if "params" not in wrong:
        mistakes += [mistake for mistake in mistakes_between_keys(sweep, given) if not mistake.because_of & wrong]
    own = {**arguments, **of_components}
    axes = {key: own[key] if key in own else getattr(sweep.params, key, ()) for key in given}
    rules = SpaceRules((), {}, (), ())
    # Conditions on values that are wrong themselves would be wrong again, and so would what a wrong search needs.
    if not any(key_of(mistake.path).startswith(("params", "model")) for mistake in mistakes):
        rules, rule_mistakes = read_space_rules(sweep, axes, sweep.model, context["folder"])
        mistakes += rule_mistakes
    if not mistakes:
        mistakes += mistakes_in_search(sweep, axes, rules.include)
    if mistakes or document.problems:
        # A value at a position where the YAML itself is wrong was not read as it was meant.
        misread = {(problem.file, problem.line, problem.column) for problem in document.problems}
        located = problems_at_places(without_what_was_meant(mistakes), document)
        readable = [problem for problem in located if (problem.file, problem.line, problem.column) not in misread]
        raise spec_error([*document.problems, *readable])
    return _resolved(sweep, axes, rules, document)


def _validated(
    value: dict[str, Any], given: Mapping[str, Any], context: Mapping[str, Any]
) -> tuple[SweepFile, list[Mistake]]:
    """Return the file's keys, checked one by one; where some are wrong, with defaults in their place."""
    hyperparameters = {key: item for key, item in given.items() if not key.startswith(ARGUMENT_PREFIXES)}
    # `params:` with nothing below it is a sweep of one run.
    keys = {**value, "params": hyperparameters if given or value.get("params") is None else value["params"]}
    try:
        return SweepFile.model_validate(keys, context=dict(context)), []
    except ValidationError as error:
        mistakes = mistakes_in(error)
    wrong = {key_of(mistake.path) for mistake in mistakes}
    right = {key: item for key, item in hyperparameters.items() if f"params.{key}" not in wrong}
    keys = {key: item for key, item in keys.items() if key not in wrong}
    keys = {"name": "sweep", "dataset": "shapes", **keys, "params": right}
    return SweepFile.model_validate(keys, context=dict(context)), mistakes


def _models(sweep: SweepFile) -> list[tuple[KeyPath, ModelChoice]]:
    """Return the models with their paths in the file."""
    if sweep.params.model == (None,):
        return [] if sweep.model is None else [(("model",), sweep.model)]
    named = enumerate(sweep.params.model)
    return [(("params", "model", position), model) for position, model in named if model is not None]


def _resolved(sweep: SweepFile, axes: Mapping[str, Values], rules: SpaceRules, document: Document) -> SweepSpec:
    folds = sweep.validation.count if isinstance(sweep.validation, Folds) else None
    validation = 1 / folds if folds is not None else sweep.validation
    assert not isinstance(validation, Folds)
    deciding = sweep.metric or DecidingMetric(on_validation(ACCURACY) if validation else ACCURACY)
    metric, metrics = deciding.column(is_held_out=bool(validation)), deciding.recorded_with(sweep.metrics)
    return SweepSpec(
        name=sweep.name,
        description=sweep.description,
        dataset_choice=sweep.dataset,
        model=sweep.model,
        axes=axes,
        zips=rules.zips,
        when=rules.when,
        exclude=rules.exclude,
        include=rules.include,
        search=sweep.search,
        seed=sweep.seed,
        seeds=_seeds(sweep),
        validation=validation,
        folds=folds,
        metric=metric,
        mode=sweep.mode or default_mode(metric, foreseen(metrics)),
        scope=sweep.scope,
        early_stop=sweep.early_stop,
        device=sweep.device,
        precision=sweep.precision,
        tensorboard=sweep.tensorboard,
        metrics=metrics,
        trackers=sweep.trackers,
        callbacks=sweep.callbacks,
        places=_metric_places(sweep, document),
        key_places=_key_places(document),
        class_places=class_places(document.key_places),
    )


def _key_places(document: Document) -> dict[str, Position]:
    places: dict[str, Position] = {}
    for path, place in document.key_places.items():
        if path[0] in ("params", "include") and path[-1] in Params.model_fields:
            places.setdefault(str(path[-1]), place)
    return places


def _metric_places(sweep: SweepFile, document: Document) -> dict[str, Problem]:
    """Return the beginning of messages about each metric, by its column."""
    paths: dict[str, KeyPath] = {column_of(choice): ("metrics", place) for place, choice in enumerate(sweep.metrics)}
    if sweep.metric is not None:
        paths[without_prefix(sweep.metric.name)] = ("metric",)
    return {column: problems_at_places([Mistake(path, "")], document)[0] for column, path in paths.items()}


def _seeds(sweep: SweepFile) -> tuple[int, ...]:
    if isinstance(sweep.seeds, int):
        return tuple(range(sweep.seed, sweep.seed + sweep.seeds))
    return sweep.seeds or ()
