"""Errors in the mapping of a component: several as one, with their paths below the key."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from cnnsweep.field_types import mistake
from cnnsweep.registry import wrong_value

Wrong = tuple[tuple[str | int, ...], PydanticCustomError, Any]  # path below the key, error, value
_WORDED = ("said", "allowed", "unknown", "unknown_key", "missing_key")  # errors with a text of our own


def validated(model: type[BaseModel], given: Mapping[str, Any], name: str, errors: list[Wrong]) -> BaseModel | None:
    """Return an instance, or None and further errors."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            errors.append((details["loc"], _worded(details, model, name), details["input"]))
    return None


def _worded(details: Any, model: type[BaseModel], name: str) -> PydanticCustomError:
    kind, path = details["type"], details["loc"]
    if kind == "missing" and len(path) == 1:
        examples = model.model_fields[path[0]].examples
        return missing_key(f"{path[0]}: {examples[0]}" if examples else "")
    if kind in _WORDED and (path or kind != "said"):
        return PydanticCustomError(kind, kind, details.get("ctx"))
    if kind in ("missing", "extra_forbidden"):  # in a mapping below, whose model is known by the path
        return PydanticCustomError(kind, kind)
    text = wrong_value(kind, details["input"], details.get("ctx", {}), details["msg"])
    return mistake(text if path else f"{name}: {text}")


def missing_key(example: str) -> PydanticCustomError:
    """Return the error for a key that is not there, with one that might be."""
    return PydanticCustomError("missing_key", "{text}", {"text": missing_text(example)})


def missing_text(example: str) -> str:
    """Return the message for a key that is not there."""
    return f"missing; add for example `{example}`" if example else "missing"


def refused(errors: Sequence[Wrong]) -> ValidationError:
    """Return several errors, with their paths below the key, as one."""
    details = [InitErrorDetails(type=error, loc=path, input=given) for path, error, given in errors]
    return ValidationError.from_exception_data("component", details)


def again(error: ValidationError, *path: str) -> list[Wrong]:
    """Return the errors of a check once more, below a path."""
    return [
        ((*path, *one["loc"]), PydanticCustomError(one["type"], one["type"], one.get("ctx")), one["input"])
        for one in error.errors(include_url=False)
    ]
