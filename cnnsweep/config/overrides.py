"""Applies `--set KEY=VALUE` to a sweep file's values, before they are checked."""

from typing import Any

from cnnsweep.config.schema import ARGUMENT_PREFIXES, TensorBoard
from cnnsweep.config.spellings import FULL, full_key
from cnnsweep.config.yaml import Document, KeyPath, Position, dotted, read_yaml
from cnnsweep.errors import Problem, SpecError

# A name here stands for a mapping with that name, so `model.channels=[8, 16]` works where the file says `model: cnn`.
_NAMED = {
    **dict.fromkeys(("model", "dataset", "optimizer", "schedule", "loss_function"), "name"),
    **dict.fromkeys(("search", "early_stop"), "method"),
}


def apply_override(document: Document, option: str) -> None:
    """Set one key of a document; mistakes in the option are added to the document's problems.

    Args:
        document: the file's values, a mapping; changed in place.
        option: KEY=VALUE; the key's parts are joined by dots, the value is YAML.
    """
    origin = _shown(option)
    key, equals, text = option.partition("=")
    path = _path_of(key.strip())
    if key.strip().startswith(f"params.{FULL}"):
        document.loss_key = FULL
    if any("\ud800" <= char <= "\udfff" for char in option):  # Python's form of other bytes in arguments
        document.problems.append(Problem(origin, 0, 0, "it has bytes that are not UTF-8 text"))
        return
    if not equals or not all(path):
        document.problems.append(Problem(origin, 0, 0, "allowed is KEY=VALUE, such as --set params.lr=0.01"))
        return
    try:
        value = read_yaml(text, origin)
    except SpecError as error:
        document.problems += [Problem(origin, 0, 0, problem.message) for problem in error.problems]
        return
    document.problems += [Problem(origin, 0, 0, problem.message) for problem in value.problems]
    parent = _parent_of(document, path, origin)
    if parent is not None:
        parent[path[-1]] = value.value
        _add_places(document, path, value, Position(origin, 0, 0))


def _shown(option: str) -> str:
    text = f"--set {option}" if len(option) <= 100 else f"--set {option[:97]}..."
    return text if text.isprintable() else f"--set {option[:97]!r}"


def _path_of(key: str) -> tuple[str, ...]:
    """Return the path that a dotted key means; below params, `model.channels` is one key."""
    steps = key.split(".")
    if steps[0] == "params" and len(steps) > 1:
        steps[1] = full_key(steps[1])
    if len(steps) > 2 and steps[0] == "params" and f"{steps[1]}." in ARGUMENT_PREFIXES:
        return ("params", ".".join(steps[1:]))
    return tuple(steps)


def _parent_of(document: Document, path: tuple[str, ...], origin: str) -> dict[str, Any] | None:
    """Return the mapping that holds a path's last key; mappings that are missing are made."""
    node: dict[str, Any] = document.value
    for depth, step in enumerate(path[:-1], start=1):
        here: KeyPath = path[:depth]
        child = node.get(step)
        if child is None:
            child = {}
            document.key_places.setdefault(here, Position(origin, 0, 0))
            document.value_places[here] = Position(origin, 0, 0)
        elif isinstance(child, str) and step in _NAMED:
            child = {_NAMED[step]: child}
            document.value_places[(*here, _NAMED[step])] = document.value_places[here]
        elif isinstance(child, bool) and step == "tensorboard":
            child = dict.fromkeys(TensorBoard.model_fields, child)
        elif not isinstance(child, dict):
            kind = "a list" if isinstance(child, list) else "a single value"
            message = f"{dotted(here)} is {kind} in the file, so it has no key '{path[depth]}'"
            document.problems.append(Problem(origin, 0, 0, message))
            return None
        node[step] = child
        node = child
    return node


def _add_places(document: Document, path: KeyPath, value: Document, origin: Position) -> None:
    """Let the positions of the new value be the option; those of the replaced one are never looked up again."""
    document.key_places[path] = origin
    document.key_places.update({(*path, *inner): origin for inner in value.key_places})
    document.value_places.update({(*path, *inner): origin for inner in value.value_places})
    document.texts.update({(*path, *inner): text for inner, text in value.texts.items()})
