"""Mistakes that follow from several keys together, and the keys `model.<argument>`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from cnnsweep.config.axis import Values
from cnnsweep.config.component_arguments import unused_by, user_of
from cnnsweep.config.distributions import is_distribution, read_distribution
from cnnsweep.config.dump import without_folder
from cnnsweep.config.error_messages import Mistake, mistakes_in
from cnnsweep.config.model_entry import MODEL, has_known_arguments, takes_list
from cnnsweep.config.schema import MODEL_PREFIX, Params, SweepFile
from cnnsweep.datasets.base import DATASETS
from cnnsweep.datasets.subset_size import subset_problem
from cnnsweep.field_types import found, mistake, nearest_name
from cnnsweep.metrics.base import column_of
from cnnsweep.metrics.names import ALWAYS, is_on_validation, without_prefix
from cnnsweep.models.base import MODELS
from cnnsweep.plugins import is_reference
from cnnsweep.samplers.space import Interval
from cnnsweep.types import ModelChoice


def mistakes_between_keys(sweep: SweepFile, given: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the contradictions between keys.

    Args:
        sweep: the file, with defaults in place of keys that are wrong in themselves.
        given: the keys of the file's `params`, with their values as written.
    """
    if sweep.model is None and "model" not in given:
        text = "missing; add for example `model: lenet`, here or under params"
        yield Mistake(("model",), text, is_missing=True, because_of=frozenset(["model", "params.model"]))
    if sweep.validation == 0 and sweep.metric is not None and is_on_validation(sweep.metric.name):
        named = sweep.metric.name
        recorded = (*reversed(ALWAYS), *map(column_of, sweep.metrics))
        allowed = " and ".join(dict.fromkeys([*recorded, without_prefix(named)]))
        text = f"found '{named}', but validation is 0, so nothing is held out; allowed are {allowed}"
        yield Mistake(("metric",), text, because_of=frozenset(["validation"]))
    yield from _subset_too_large(sweep)
    if "dropout" in given and "model.dropout" in given:
        text = "given as dropout too, which is the same; keep one of them"
        yield Mistake(("params", "model.dropout"), text, at_key=True)
    yield from _unused_hyperparameters(sweep.params, given)
    yield from _too_many_epochs(sweep.params)


def _subset_too_large(sweep: SweepFile) -> Iterator[Mistake]:
    """Yield the mistake of a subset that a data set of known size cannot have; the images are not read."""
    dataset = sweep.dataset
    info = None if is_reference(dataset.name) else DATASETS.get(dataset.name)(**dataset.arguments).info
    if dataset.subset is None or info is None or info.train is None or info.classes is None:
        return
    problem = subset_problem(dataset.subset, info.train, info.classes)
    if problem is not None:
        yield Mistake(("dataset", "subset"), problem, because_of=frozenset(["dataset"]))


def mistakes_in_search(
    sweep: SweepFile, axes: Mapping[str, Values], include: Sequence[Mapping[str, Any]]
) -> list[Mistake]:
    """Return the contradictions between the search and the axes, which are right in themselves."""
    mistakes = []
    search = sweep.search
    if isinstance(sweep.seeds, int) and sweep.seed + sweep.seeds > 2**63:
        mistakes.append(Mistake(("seeds",), f"found {sweep.seeds}, which from seed {sweep.seed} on leads beyond 2**63"))
    # A seed is no hyperparameter: a search that chose it would find lucky ones.
    intervals = [key for key, values in axes.items() if isinstance(values, Interval) and key != "seed"]
    if isinstance(sweep.params.seed, Interval):
        text = (
            "a seed is not searched: each trial is trained with the same ones; name them with the key `seeds`, "
            "beside `params`, such as `seeds: 3`"
        )
        mistakes.append(Mistake(("params", "seed"), text, at_key=True))
    elif search is not None and len(sweep.params.seed) > 1:
        text = "a search tries every trial with the same seeds: name them with the key `seeds`, beside `params`"
        mistakes.append(Mistake(("params", "seed"), text, at_key=True))
    if search is None:
        text = "a distribution needs a search beside it, such as `search: {method: random, runs: 20}`"
        mistakes += [Mistake(("params", key), text) for key in intervals]
    elif (refusal := search.refusal(intervals)) is not None:
        mistakes.append(Mistake(("search", "method"), f"found '{search.name}', {refusal}"))
    if sweep.seeds is not None and "seed" in axes and not isinstance(sweep.params.seed, Interval):
        mistakes.append(Mistake(("seeds",), "params has `seed` too, which is the same; keep one of them", at_key=True))
    if sweep.seeds is not None and any("seed" in trial_params for trial_params in include):
        mistakes.append(Mistake(("seeds",), "include has `seed` too; keep one of them", at_key=True))
    return mistakes


def _unused_hyperparameters(params: Params, given: Mapping[str, Any]) -> Iterator[Mistake]:
    for key in given:
        if (user := user_of(key)) is None:
            continue
        choices = list(dict.fromkeys(getattr(params, user)))
        if users := unused_by(key, choices):
            names = ", ".join(dict.fromkeys(without_folder(choice.name, choice.code) for choice in choices))
            kinds = "optimizers" if user == "optimizer" else "losses"
            text = f"used by none of the {kinds} named ({names}), only by {users}"
            yield Mistake(("params", key), text, at_key=True, because_of=frozenset([f"params.{user}"]))
    named = [choice.name for choice in params.optimizer]
    has_momentum = isinstance(params.momentum, Interval) or any(params.momentum)
    if True in params.nesterov and "sgd" in named and not has_momentum:
        text = "found true, which needs a momentum above 0"
        yield Mistake(("params", "nesterov"), text, because_of=frozenset(["params.optimizer", "params.momentum"]))


def _too_many_epochs(params: Params) -> Iterator[Mistake]:
    """Yield numbers of epochs to average that no run has."""
    if isinstance(params.epochs, Interval) or isinstance(params.swa, Interval):
        return
    longest = max(params.epochs)
    for position, epochs in enumerate(params.swa):
        if epochs is not None and epochs > longest:
            text = f"found {epochs}, and runs have {longest} epochs; allowed are as many at most, or a share of them"
            yield Mistake(("params", "swa", position), text, because_of=frozenset(["params.epochs", "params.swa"]))


def check_model_arguments(
    given: Mapping[str, Any], models: Sequence[ModelChoice]
) -> tuple[dict[str, Values], list[Mistake]]:
    """Return the values of each `model.<argument>`, and mistakes where some model of the sweep does not take it.

    Args:
        given: the keys of the file's `params`, with their values as written.
        models: the sweep's models; empty where they are wrong themselves.
    """
    # A preset knows the types of its arguments, so its reading of a value, such as 8 for 8.0, counts for all models.
    models = sorted(models, key=lambda model: not has_known_arguments(model.name))
    axes: dict[str, Values] = {}
    mistakes: dict[Mistake, None] = {}  # a set that keeps the order
    for key, value in given.items():
        if not key.startswith(MODEL_PREFIX):
            continue
        if misuse := _misuse(key, value, models):
            mistakes[misuse] = None
            continue
        if is_distribution(value):
            try:
                axes[key] = _read_distribution(key, value, models)
            except PydanticCustomError as error:
                mistakes[Mistake(("params", key), error.message())] = None
            continue
        items = value if isinstance(value, list) else [value]
        checked = [_check_items(key, items, model) for model in models]
        for values, found_mistakes in checked:
            axes.setdefault(key, values)
            mistakes.update(dict.fromkeys(found_mistakes))
    return axes, list(mistakes)


def _misuse(key: str, value: Any, models: Sequence[ModelChoice]) -> Mistake | None:
    path = ("params", key)
    argument = key.removeprefix(MODEL_PREFIX)
    if argument in ("", "name"):
        return Mistake(path, "to compare models, write `model` here, with a list of them", at_key=True)
    if value == []:
        return Mistake(path, "found an empty list, allowed is one value, or a list of one or more")
    if is_distribution(value):
        return None
    items = value if isinstance(value, list) else [value]
    takes_lists = any(takes_list(model.name, argument) for model in models)
    if takes_lists and not any(isinstance(item, list) for item in items):
        is_plain = len(items) <= 20 and all(isinstance(item, int) for item in items)
        example = ", ".join(map(str, items)) if is_plain else "6, 12"
        return Mistake(path, f"{found(value)}; a list is an axis here, so for one trial write [[{example}]]")
    return None


def _check_items(key: str, items: list[Any], model: ModelChoice) -> tuple[tuple[Any, ...], list[Mistake]]:
    """Check each item as if it stood in the model's own mapping."""
    argument = key.removeprefix(MODEL_PREFIX)
    values: list[Any] = []
    mistakes: list[Mistake] = []
    for position, item in enumerate(items):
        try:
            choice = _model_adapter().validate_python({"name": model.name, argument: item})
        except ValidationError as error:
            for one in mistakes_in(error):
                if one.at_key:
                    mistakes.append(Mistake(("params", key), _unknown_argument(argument, model), at_key=True))
                else:
                    mistakes.append(replace(one, path=("params", key, position, *one.path[1:])))
        else:
            values.append(choice.arguments[argument])
    return tuple(values), mistakes


def _read_distribution(key: str, value: dict[str, Any], models: Sequence[ModelChoice]) -> Values:
    def check(items: list[Any]) -> tuple[Any, ...]:
        checked = [_check_items(key, items, model) for model in models]
        if wrong := [one for _, mistakes in checked for one in mistakes]:
            raise mistake(wrong[0].text)
        return checked[0][0] if checked else tuple(items)

    read: Values = read_distribution(value, check)
    return read


def _unknown_argument(argument: str, model: ModelChoice) -> str:
    known = list(MODELS.get(model.name).model_fields)
    nearest = nearest_name(argument, known)
    hint = f"did you mean '{MODEL_PREFIX}{nearest}'?" if nearest else f"allowed are {', '.join(known)}"
    return f"{model.name} has no such argument; {hint}"


@cache
def _model_adapter() -> TypeAdapter[ModelChoice]:
    return TypeAdapter(Annotated[ModelChoice, MODEL])
