"""Messages about a sweep file: pydantic's errors in our words, each with its place in the file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from cnnsweep.config.aliases import usual_key, usual_part, usual_value
from cnnsweep.config.component_errors import missing_text
from cnnsweep.config.component_field import ComponentField
from cnnsweep.config.dataset_field import NORMALIZE_TAGS, NormalizationValues
from cnnsweep.config.schema import ARGUMENT_PREFIXES, Params, SweepFile, TensorBoard
from cnnsweep.config.spellings import as_spelled
from cnnsweep.config.yaml import MAX_PROBLEMS, Document, KeyPath, dotted
from cnnsweep.errors import Problem, SpecError
from cnnsweep.field_types import LIST_TAG, SINGLE_TAG, nearest_name, quoted
from cnnsweep.registry import wrong_value

# Which keys there are, by the last name in the path of an error; pydantic puts the tags of unions into the path.
_SECTIONS: dict[str, type[BaseModel]] = {
    "": SweepFile,
    "params": Params,
    "tensorboard": TensorBoard,
    NORMALIZE_TAGS[0]: NormalizationValues,
}
_TAGS = frozenset([LIST_TAG, SINGLE_TAG, *NORMALIZE_TAGS])


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        path: the key; it need not stand in the file.
        text: the message, without the key's name.
        at_key: True to point at the key and not at its value.
        is_missing: True for a key that is not there; its mapping is pointed at.
        because_of: other keys that it follows from, such as `params.optimizer`; where one of them is wrong itself, this
            mistake is left out.
        meant: the key that an unknown one is likely to stand for; it is not reported as missing.
    """

    path: KeyPath
    text: str
    at_key: bool = False
    is_missing: bool = False
    because_of: frozenset[str] = frozenset()
    meant: KeyPath | None = None


def key_of(path: KeyPath) -> str:
    """Return the key that a path belongs to: `params.lr` for one of `params`, else the top-level key."""
    return ".".join(map(str, path[:2] if path[:1] == ("params",) else path[:1]))


def mistakes_in(error: ValidationError, top: str = "") -> list[Mistake]:
    """Return pydantic's errors as mistakes; `top` is the section that was checked: the whole file, or `params`."""
    hint = error.error_count() <= 2 * MAX_PROBLEMS  # looking for the nearest name takes time, and few are shown
    mistakes = []
    for details in error.errors(include_url=False):
        location, kind = details["loc"], details["type"]
        path = tuple(step for step in location if step not in _TAGS)
        section = next((step for step in reversed(location[:-1]) if isinstance(step, str)), top)
        if kind == "extra_forbidden":
            text, meant = _unknown_key(str(location[-1]), section, hint=hint)
            mistakes.append(Mistake(path, text, at_key=True, meant=None if meant is None else (*path[:-1], meant)))
        elif kind == "unknown_key":
            text, meant = _unknown_field(str(location[-1]), hint=hint, **details["ctx"])
            mistakes.append(Mistake(path, text, at_key=True, meant=None if meant is None else (*path[:-1], meant)))
        elif kind == "missing_key":
            mistakes.append(Mistake(path, details["ctx"]["text"], is_missing=True))
        elif kind == "missing":
            mistakes.append(Mistake(path, _missing_key(str(location[-1]), section), is_missing=True))
        else:
            mistakes.append(Mistake(path, _wrong_value(details, hint=hint)))
    return mistakes


def _unknown_among(key: str, part: str, known: Sequence[str], *, hint: bool) -> tuple[str, str | None]:
    """Return the text about an unknown key, and the known one that is likely to be meant."""
    nearest = usual_part(part, key, known) or (nearest_name(key, known) if hint else None)
    if nearest is None:
        return f"unknown key; allowed are {', '.join(known) or 'none'}", None
    return f"unknown key; did you mean '{nearest}'?", nearest


def _wrong_value(details: Mapping[str, Any], *, hint: bool) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "unknown":
        return _unknown_name(hint=hint, **context)
    return wrong_value(kind, details["input"], context, details["msg"])


def _unknown_name(name: str, known: tuple[str, ...], allowed: str, *, hint: bool) -> str:
    nearest = usual_value(name, known) or (nearest_name(name, known) if hint else None)
    return f"unknown {quoted(name)}; " + (f"did you mean '{nearest}'?" if nearest else allowed)


def _unknown_key(key: str, section: str, *, hint: bool) -> tuple[str, str | None]:
    """Return the message for a key that a section does not have, and the key of that section that it may mean."""
    if section not in _SECTIONS:  # a mapping inside a component of another package
        return "unknown key", None
    known = list(_SECTIONS[section].model_fields)
    if section == "" and (key in Params.model_fields or key.startswith(ARGUMENT_PREFIXES)):
        return "this key belongs under params", None
    if section == "params" and key in SweepFile.model_fields:
        return "this key belongs at the top of the file, not under params", None
    if section == "params":
        known += [f"{prefix}<argument>" for prefix in ARGUMENT_PREFIXES]
    if key == "<<":
        return "YAML merge keys are not allowed; write the keys out", None
    if section in ("", "params") and (usual := usual_key(key, under_params=section == "params")):
        return f"unknown key; {usual.text}", usual.key
    return _unknown_among(key, "", known, hint=hint)


def _missing_key(key: str, section: str) -> str:
    examples = _SECTIONS[section].model_fields[key].examples if section in _SECTIONS else None
    return missing_text(f"{key}: {examples[0]}" if examples else "")


def _unknown_field(
    key: str, field: ComponentField, name: str, known: tuple[str, ...], *, hint: bool
) -> tuple[str, str | None]:
    """Return the message for a key that a component does not have, and the key that it may mean."""
    kind = field.registry.kind
    if name and field.is_used_by_some(key):
        return f"the {kind} {name} does not use it; allowed are {', '.join(known) or 'none'}", None
    if key == "<<":
        return "YAML merge keys are not allowed; write the keys out", None
    if not name and (usual := usual_value(key, known)):  # the keys of `augment` are names
        return f"unknown key; did you mean '{usual}'?", usual
    return _unknown_among(key, kind, known, hint=hint)


def without_what_was_meant(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """Return the mistakes but for keys that are missing because they were written under another name."""
    meant = {mistake.meant for mistake in mistakes}
    return [mistake for mistake in mistakes if not (mistake.is_missing and mistake.path in meant)]


def problems_at_places(mistakes: Iterable[Mistake], document: Document) -> list[Problem]:
    """Return each mistake with its place in the document."""
    problems = []
    for mistake in mistakes:
        nearest = document.nearest(mistake.path)
        place = document.place(mistake.path, of_key=mistake.at_key)
        named = tuple(step for step in mistake.path if isinstance(step, str))
        where = dotted(named if mistake.is_missing else nearest)
        text = f"{where}: {mistake.text}" if where else mistake.text
        problems.append(Problem(place.file, place.line, place.column, as_spelled(text, document)))
    return problems


def spec_error(problems: Iterable[Problem]) -> SpecError:
    """Return the error for some problems: in the file's order, those of `--set` last, and not more than a few pages."""
    ordered = sorted(problems, key=lambda problem: (problem.line == 0, problem.line, problem.column))
    distinct = list(dict.fromkeys(ordered))
    if len(distinct) > MAX_PROBLEMS:
        rest = len(distinct) - MAX_PROBLEMS
        distinct[MAX_PROBLEMS:] = [Problem(distinct[0].file, 0, 0, f"and {rest:,} more mistakes")]
    return SpecError(distinct)
