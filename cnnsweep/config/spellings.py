"""The key `loss` of `params`: the spelling in sweep files of `loss_function`, as tables and records name it."""

from collections.abc import Sequence
from typing import Any

from cnnsweep.config.yaml import Document, KeyPath, Position, dotted
from cnnsweep.errors import Problem

FULL, SHORT = "loss_function", "loss"  # `loss` is a column of tables already
# The steps of a path, by its first one, at which keys of `params` stand.
_STEPS = {"params": (1,), "when": (1, 2), "exclude": (2,), "include": (2,)}


def full_key(key: Any) -> Any:
    """Return `loss_function` for `loss`, `loss_function.gamma` for `loss.gamma`, and anything else as it is."""
    if key == SHORT or (isinstance(key, str) and key.startswith(f"{SHORT}.")):
        return FULL + key[len(SHORT) :]
    return key


def spell_out(document: Document) -> None:
    """Let a document have `loss_function` where it says `loss`; both for one key are added to its problems."""
    if not isinstance(document.value, dict):
        return
    has_full_name = any(
        step == FULL or f"{step}".startswith(f"{FULL}.") for path in document.key_places for step in path
    )
    if has_full_name and not document.is_spelled_out:
        document.loss_key = FULL
    document.is_spelled_out = True
    document.problems += [
        _twice(path, place) for path, place in document.key_places.items() if _is_twice(document, path)
    ]
    document.value |= {
        key: _renamed(document.value[key], steps) for key, steps in _STEPS.items() if key in document.value
    }
    if isinstance(names := document.value.get("zip"), list):
        document.value["zip"] = [[*map(full_key, one)] if isinstance(one, list) else full_key(one) for one in names]
    document.key_places = {_full_path(path): place for path, place in document.key_places.items()}
    document.value_places = {_full_path(path): place for path, place in document.value_places.items()}
    document.texts = {_full_path(path): text for path, text in document.texts.items()}


def as_spelled(text: str, document: Document) -> str:
    """Return a message with the key as the file has it."""
    return text.replace(FULL, SHORT) if document.loss_key == SHORT else text


def _renamed(node: Any, steps: Sequence[int], depth: int = 1) -> Any:
    """Return a section with the keys at some steps of its paths renamed; items of a list are a step too."""
    if depth > max(steps):
        return node
    if isinstance(node, list):
        return [_renamed(one, steps, depth + 1) for one in node]
    if not isinstance(node, dict):
        return node
    return {full_key(key) if depth in steps else key: _renamed(value, steps, depth + 1) for key, value in node.items()}


def _full_path(path: KeyPath) -> KeyPath:
    steps = _STEPS.get(str(path[0]), ()) if path else ()
    return tuple(full_key(step) if number in steps else step for number, step in enumerate(path))


def _is_twice(document: Document, path: KeyPath) -> bool:
    """True for a key that its mapping also has by its full name."""
    full = _full_path(path)[-1]
    return full != path[-1] and (*path[:-1], full) in document.key_places


def _twice(path: KeyPath, place: Position) -> Problem:
    text = f"{dotted(path)}: given as {full_key(path[-1])} too, which is the same; keep one of them"
    return Problem(place.file, place.line, place.column, text)
