"""The `augment` key of `params`: `none`, names joined with `+`, or a mapping from names to sizes or fields."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cnnsweep.augmentations.base import AUGMENTATIONS, as_listed
from cnnsweep.config.component_errors import Wrong, again, refused
from cnnsweep.config.component_field import ComponentField
from cnnsweep.config.component_schema import described_fields
from cnnsweep.field_types import JsonSchema, YesNo, not_allowed
from cnnsweep.plugins import is_reference
from cnnsweep.types import Choice

AUGMENTATION = ComponentField(AUGMENTATIONS, "{flip: true, crop: 4, cutout: 8}", key="")
_OWN = r"[^+\s]+:[A-Za-z_]\w*"
_USUAL = object()  # an augmentation that is named without a size


def main_field(name: str) -> str | None:
    """Return the field that a bare value sets: the first one; None for own code, flags, and where there is none."""
    augmentation = None if is_reference(name) else AUGMENTATIONS.get(name)
    return None if augmentation is None or augmentation.is_flag else next(iter(augmentation.model_fields), None)


class Augment:
    """`none`, `flip+crop`, or a mapping; becomes a tuple of choices."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(_choices)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        name = f"({'|'.join(AUGMENTATIONS.names)}|{_OWN})"
        examples = ["none", "flip", "flip+crop", "flip+crop+cutout"]
        text = {"type": "string", "pattern": rf"^(none|{name}(\s*\+\s*{name})*)$", "examples": examples}
        mapping = {
            "type": "object",
            "properties": {name: _schema_of(name) for names, _ in AUGMENTATIONS.installed() for name in names},
            "patternProperties": {f"^{_OWN}$": {"anyOf": [{"type": "object"}, {"type": "boolean"}]}},
            "additionalProperties": False,
        }
        return {"anyOf": [text, mapping]}


def _schema_of(name: str) -> JsonSchema:
    augmentation = AUGMENTATIONS.get(name)
    fields, main = described_fields(augmentation.model_json_schema(), name), main_field(name)
    mapping = {"type": "object", "properties": fields, "additionalProperties": False}
    forms = [{"type": "boolean"}, *([] if main is None else [fields[main]]), *([mapping] if fields else [])]
    described = augmentation.summary() if main is None else fields[main]["description"]
    return {"anyOf": forms, "description": described}


def _allowed() -> str:
    names = ", ".join(AUGMENTATIONS.names)
    return f"none, {names}, some of them joined as flip+crop, or a mapping such as {AUGMENTATION.example}"


def _choices(value: object, info: Info) -> tuple[Choice, ...]:
    if isinstance(value, str):
        value = dict.fromkeys(_names(value, info), _USUAL)
    if not isinstance(value, dict):
        raise not_allowed(value, _allowed())
    found: dict[str, Choice] = {}
    errors: list[Wrong] = []
    for name, given in value.items():
        try:
            choice = _choice(name, given, info)
        except ValidationError as error:
            errors += again(error, name)
        else:
            found |= {} if choice is None else {choice.name: choice}
    if errors:
        raise refused(errors)
    return as_listed(found.values())


def _names(text: str, info: Info) -> Sequence[str]:
    names = [] if text == "none" else [name.strip() for name in text.split("+")]
    for name in names:
        if name == "none":
            raise not_allowed(text, _allowed())
        if not is_reference(name) and not AUGMENTATIONS.knows(name):
            known = (*AUGMENTATIONS.names, "none")
            context = {"name": name, "known": known, "allowed": f"allowed is {_allowed()}"}
            raise PydanticCustomError("unknown", "{allowed}", context)
        AUGMENTATION.find(name, info)
    return names


def _choice(key: str, given: Any, info: Info) -> Choice | None:
    """Return the augmentation, or None where its value turns it off.

    Raises:
        ValidationError: with paths below the key.
    """
    try:
        origin = AUGMENTATION.find(key, info)
        main = main_field(origin.name)
        if isinstance(given, dict):
            arguments = given
        elif given is _USUAL:
            arguments = {}
        elif main is not None and not _is_switch(given, origin.name, main):
            arguments = {main: given}
        elif _flag().validate_python(given):
            arguments = {}
        else:
            return None
        choice: Choice = AUGMENTATION.check(Choice(origin.name, arguments, origin.code))
    except PydanticCustomError as error:
        is_unknown_name = error.type == "unknown"
        raise refused([((), AUGMENTATION.unknown_key(key) if is_unknown_name else error, given)]) from None
    except ValidationError as error:
        is_bare = not isinstance(given, dict)
        raise refused([(() if is_bare else path, one, item) for path, one, item in again(error)]) from None
    is_off = not is_reference(choice.name) and AUGMENTATIONS.make(choice).changes_nothing
    return None if is_off else choice


def _is_switch(given: Any, name: str, main: str) -> bool:
    """True for `true` and `false` as a value of an augmentation whose first field is no flag itself."""
    return isinstance(given, bool) and AUGMENTATIONS.get(name).model_fields[main].annotation is not bool


@cache
def _flag() -> TypeAdapter[bool]:
    return TypeAdapter(Annotated[bool, YesNo()])
