"""The `augment` key of `params`: `none`, names joined with `+`, or a mapping from names to sizes or fields."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cnnsweep.augmentations.base import AUGMENTATIONS, as_listed
from cnnsweep.config.component_field import Wrong, check_arguments, field_schemas, installed, reference_to, refused
from cnnsweep.field_types import JsonSchema, YesNo, not_allowed
from cnnsweep.plugins import is_reference
from cnnsweep.types import Choice

_OWN = r"[^+\s]+:[A-Za-z_]\w*"
_USUAL = object()  # an augmentation that is named without a size


def main_field(name: str) -> str | None:
    """Return the field that a bare value sets: the first one; None for own code, and where there is none."""
    return None if is_reference(name) else next(iter(AUGMENTATIONS.get(name).model_fields), None)


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
            "properties": {name: _schema_of(name) for name, _ in installed(AUGMENTATIONS)},
            "patternProperties": {f"^{_OWN}$": {"anyOf": [{"type": "object"}, {"type": "boolean"}]}},
            "additionalProperties": False,
        }
        return {"anyOf": [text, mapping]}


def _schema_of(name: str) -> JsonSchema:
    kind = AUGMENTATIONS.get(name)
    fields, main = field_schemas(kind), main_field(name)
    if main is None:
        return {"type": "boolean", "description": kind.summary()}
    mapping = {"type": "object", "properties": fields, "additionalProperties": False}
    return {"anyOf": [fields[main], mapping], "description": fields[main]["description"]}


def _allowed() -> str:
    return (
        f"none, {', '.join(AUGMENTATIONS.names)}, some of them joined as flip+crop, or a mapping such as "
        "{flip: true, crop: 4, cutout: 8}"
    )


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
            errors += [(one["loc"], _again(one), one["input"]) for one in error.errors()]
        else:
            if choice is not None:
                found[choice.name] = choice
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
            raise PydanticCustomError(
                "unknown", "{allowed}", {"name": name, "known": known, "allowed": f"allowed is {_allowed()}"}
            )
        reference_to(AUGMENTATIONS, name, info)
    return names


def _choice(key: str, given: Any, info: Info) -> Choice | None:
    """Return the augmentation, or None where its value says that it is off.

    Raises:
        ValidationError: with the key in the path.
    """
    try:
        name, code = reference_to(AUGMENTATIONS, key, info)
    except PydanticCustomError as error:
        ctx = {"kind": AUGMENTATIONS.kind, "name": "", "known": AUGMENTATIONS.names}
        unknown = error if is_reference(key) else PydanticCustomError("unknown_key", "unknown key", ctx)
        raise refused([((key,), unknown, given)]) from None
    main = main_field(name)
    if isinstance(given, dict):
        arguments = _checked(name, code, given, (key,))
    elif given is _USUAL:
        arguments = _checked(name, code, {}, (key,))
    elif main is not None:
        arguments = _checked(name, code, {main: given}, (key,), at_key=True)
    elif _is_on(key, given):
        arguments = {}
    else:
        return None
    choice = Choice(name, arguments, code)
    is_off = not is_reference(name) and AUGMENTATIONS.make(choice).changes_nothing
    return None if is_off else choice


def _checked(
    name: str, code: str | None, arguments: dict[str, Any], path: tuple[str, ...], *, at_key: bool = False
) -> dict[str, Any]:
    """Return the arguments, checked; `at_key` if a bare value stands for them."""
    try:
        return check_arguments(AUGMENTATIONS, Choice(name, arguments, code))
    except ValidationError as error:
        wrong = [((*path, *(() if at_key else one["loc"])), _again(one), one["input"]) for one in error.errors()]
        raise refused(wrong) from None
    except PydanticCustomError as error:
        raise refused([(path, error, arguments)]) from None


def _is_on(key: str, given: Any) -> bool:
    try:
        return _flag().validate_python(given)
    except ValidationError as error:
        raise refused([((key,), _again(one), one["input"]) for one in error.errors()]) from None


@cache
def _flag() -> TypeAdapter[bool]:
    return TypeAdapter(Annotated[bool, YesNo()])


def _again(details: Any) -> PydanticCustomError:
    return PydanticCustomError(details["type"], details["type"], details.get("ctx"))
