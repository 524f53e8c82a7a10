"""Arguments of a model, known without importing it: of torchvision's from a list, of user code from its source.

A user's file is parsed, never run. If the source does not determine the arguments (a decorator, a base class of another
file), nothing is known, and errors appear when the model is built.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cnnsweep.config.aliases import plain, usual_part
from cnnsweep.config.dump import without_folder
from cnnsweep.config.error_messages import Mistake
from cnnsweep.config.model_entry import has_known_arguments
from cnnsweep.config.own_code import UNREADABLE, parse_code
from cnnsweep.field_types import nearest_name
from cnnsweep.models.base import MODELS
from cnnsweep.plugins import is_reference
from cnnsweep.types import ModelChoice

_NO_CALLABLES = "norm_layer"  # YAML has no functions, but `null` is one's default
_FROM_THE_DATA = ("in_channels", "num_classes", "image_size")
_PRETRAINED = ("pretrained", "weights", "pretrainedbackbone", "weightsbackbone")
_DEEPEST = 20  # classes that derive from each other


@dataclass(frozen=True, slots=True)
class Accepted:
    """Arguments of a model's constructor.

    Attributes:
        names: its arguments; None if any will do.
        required: those without a default that the data set does not give.
        problem: the message if there is no such model.
    """

    names: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()
    problem: str | None = None


ANYTHING = Accepted()


def accepted_arguments(model: ModelChoice) -> Accepted:
    """Return the accepted arguments, if known; those of models that the schema checks are not listed."""
    if is_reference(model.name):
        return _accepted_by_code(model.name, model.code)
    names = MODELS.get(model.name).accepted()
    return ANYTHING if names is None else Accepted(tuple(names))


def mistakes_in_arguments(
    models: Sequence[tuple[tuple[str | int, ...], ModelChoice]], given: Mapping[str, Any], *, all_apply: bool
) -> Iterator[Mistake]:
    """Yield mistakes for arguments that the models do not take, and for those that they lack.

    Args:
        models: with the path of each in the file.
        given: the keys of the file's `params`.
        all_apply: True if every key is meant for every model; False with conditions.
    """
    axes = {key.removeprefix("model."): key for key in given if key.startswith("model.") or key == "dropout"}
    for path, model in models:
        accepted = accepted_arguments(model)
        if accepted.problem is not None:
            yield Mistake(path, accepted.problem)
            continue
        for argument in model.arguments:
            if text := refusal(model, argument, accepted):
                yield Mistake((*path, argument), text, at_key=True)
        for argument, key in axes.items() if all_apply else ():
            if not has_known_arguments(model.name) and (text := refusal(model, argument, accepted)):
                yield Mistake(("params", key), text, at_key=True)
        for argument in accepted.required:
            if argument not in model.arguments and argument not in axes:
                name = without_folder(model.name, model.code)
                text = f"{name} needs the argument '{argument}'; write {{name: {name}, {argument}: ...}}"
                yield Mistake(path, text)


def refusal(model: ModelChoice, argument: str, accepted: Accepted) -> str | None:
    """Return the reason why a model does not take an argument; None if it does, or if that is not known."""
    if accepted.names is None or argument in accepted.names:
        return None
    name = without_folder(model.name, model.code)
    if plain(argument) in _PRETRAINED:
        return f"{name} has no such argument; pretrained weights are not supported: every run starts from random ones"
    known = [one for one in accepted.names if one not in ("progress", _NO_CALLABLES, *_FROM_THE_DATA)]
    nearest = usual_part("model", argument, known) or nearest_name(argument, known)
    hint = f"did you mean '{nearest}'?" if nearest else f"it takes {', '.join(known) or 'none'}"
    return f"{name} has no such argument; {hint}"


@cache
def _accepted_by_code(reference: str, _code: str | None) -> Accepted:
    """Return the arguments of a class or function, by its source; `_code` distinguishes versions of it."""
    try:
        file, tree, name = parse_code(reference)
    except SyntaxError as error:
        file_name = Path(reference.rpartition(":")[0]).name
        return Accepted(problem=f"{file_name} is no valid Python: line {error.lineno}: {error.msg}")
    except UNREADABLE:
        return ANYTHING
    if file is None:
        return ANYTHING
    found = [one for one in tree.body if isinstance(one, ast.ClassDef | ast.FunctionDef) and one.name == name]
    if not found:
        return _undefined(tree, file, name)
    return _accepted_by(found[-1], tree)


def _undefined(tree: ast.Module, file: Path, name: str) -> Accepted:
    """Return the problem of a name that no class or function at the top has; it may still come from elsewhere."""
    bound = {one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    bound |= {one.name for one in ast.walk(tree) if isinstance(one, ast.ClassDef | ast.FunctionDef)}
    for one in ast.walk(tree):
        if isinstance(one, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in one.names}
    makes_names = any(isinstance(one, ast.Name) and one.id in ("globals", "exec", "setattr") for one in ast.walk(tree))
    own = [one.name for one in tree.body if isinstance(one, ast.ClassDef | ast.FunctionDef)]
    if not own or name in bound or "*" in bound or "__getattr__" in bound or makes_names:
        return ANYTHING
    nearest = nearest_name(name, own)
    hint = f"did you mean '{nearest}'?" if nearest else f"it defines {', '.join(own[:20])}"
    return Accepted(problem=f"{file.name} has no '{name}'; {hint}")


def _accepted_by(definition: ast.ClassDef | ast.FunctionDef, tree: ast.Module, depth: int = 0) -> Accepted:
    if definition.decorator_list or depth > _DEEPEST:
        return ANYTHING
    if isinstance(definition, ast.FunctionDef):
        return _accepted_by_function(definition.args, 0)
    if definition.keywords:
        return ANYTHING
    methods = {one.name: one for one in definition.body if isinstance(one, ast.FunctionDef)}
    if "__new__" in methods:
        return ANYTHING
    if "__init__" in methods:
        made = methods["__init__"]
        return ANYTHING if made.decorator_list else _accepted_by_function(made.args, 1)
    for base in definition.bases[:1]:
        for one in tree.body:
            if isinstance(one, ast.ClassDef) and isinstance(base, ast.Name) and one.name == base.id:
                return _accepted_by(one, tree, depth + 1)
    return ANYTHING


def _accepted_by_function(arguments: ast.arguments, first: int) -> Accepted:
    """Return the arguments of a signature; the first `first` are given by Python."""
    positional = [one.arg for one in arguments.args]
    if arguments.posonlyargs:
        return ANYTHING
    without_default = positional[first : len(positional) - len(arguments.defaults)]
    of_keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    without_default += [one.arg for one, default in of_keywords if default is None]
    required = tuple(one for one in without_default if one not in _FROM_THE_DATA)
    if arguments.kwarg is not None:
        return Accepted(None, required)
    return Accepted((*positional[first:], *(one.arg for one in arguments.kwonlyargs)), required)
