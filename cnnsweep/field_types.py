"""The kinds of values that keys take, each with a sentence for what is allowed.

They are annotations for pydantic, as in `lr: Annotated[float, Number(above=0)]`. If a check of pydantic fails,
the error says `found ..., allowed is ...` in our words; `config/error_messages.py` adds the position. Nothing compares
or prints them, and `eq=False, repr=False` makes the import faster.
"""

import difflib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cnnsweep.scalars import scalar_value

JsonSchema = dict[str, Any]

_YES_OR_NO = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


def mistake(text: str) -> PydanticCustomError:
    """Return an error whose text is already whole: it is shown as it is, after the key's name."""
    return PydanticCustomError("said", "{text}", {"text": text})


def found(value: object) -> str:
    """Return how a wrong value is named in a message: short, and harmless to print."""
    if value is None:
        return "found nothing"
    if isinstance(value, bool):
        return f"found {str(value).lower()}"
    if isinstance(value, list):
        return "found a list" if value else "found an empty list"
    if isinstance(value, dict):
        return "found a mapping"
    if isinstance(value, str):
        is_number = isinstance(scalar_value(value), int | float)
        return f"found {quoted(value)} in quotes" if is_number else f"found {quoted(value)}"
    return f"found {value!r:.60}"


def quoted(text: str) -> str:
    """Return text in quotes, cut where it is long, and with escapes for unprintable characters."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def not_allowed(value: object, allowed: str) -> PydanticCustomError:
    """Return the usual error: what was found, what is allowed."""
    return mistake(f"{found(value)}, allowed is {allowed}")


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """Return the known name that a mistyped one is likely to mean."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower().replace("-", "_"), by_lower_case, n=1, cutoff=0.65)
    return by_lower_case[close[0]] if close else None


def unknown_name(name: str, known: Sequence[str], allowed: str) -> PydanticCustomError:
    """Return the error for a name that is none of the known; `allowed` is the message where no known name is near."""
    # The nearest is looked for when the message is written: it takes time, and thousands of names may be wrong.
    return PydanticCustomError("unknown", "{allowed}", {"name": name, "known": tuple(known), "allowed": allowed})


def _in_our_words(schema: CoreSchema, allowed: str) -> CoreSchema:
    return core_schema.custom_error_schema(
        schema,
        custom_error_type="allowed",
        custom_error_message="{allowed}",
        custom_error_context={"allowed": allowed},
    )


@dataclass(eq=False, repr=False)
class Number:
    """A finite number within bounds."""

    above: float | None = None
    least: float | None = None
    below: float | None = None
    most: float | None = None

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        number = core_schema.float_schema(
            strict=True, allow_inf_nan=False, gt=self.above, ge=self.least, lt=self.below, le=self.most
        )
        words = (("above", self.above), ("of at least", self.least), ("below", self.below), ("at most", self.most))
        bounds = " and ".join(f"{word} {bound:g}" for word, bound in words if bound is not None)
        return _in_our_words(number, f"a number {bounds}" if bounds else "a finite number")


@dataclass(eq=False, repr=False)
class Whole:
    """A whole number within bounds; `1e4` and `3.0` are whole too."""

    least: int
    most: int

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        number = core_schema.int_schema(strict=True, ge=self.least, le=self.most)
        allowed = f"a whole number from {self.least} to {self.most:,}"
        return _in_our_words(core_schema.no_info_before_validator_function(as_int, number), allowed)


def as_int(value: object) -> object:
    """Return `3.0` as 3, and anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class LargestNorm:
    """A number above 0, or `none` for no limit."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        number = core_schema.float_schema(strict=True, allow_inf_nan=False, gt=0)
        schema = core_schema.no_info_before_validator_function(_none_as_null, core_schema.nullable_schema(number))
        return _in_our_words(schema, "a number above 0, or none")

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"enum": ["none", None]}]}


def _none_as_null(value: object) -> object:
    return None if value == "none" else value


class YesNo:
    """True or false, also written yes, no, on, off."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        boolean = core_schema.bool_schema(strict=True)
        return _in_our_words(core_schema.no_info_before_validator_function(_as_bool, boolean), "true or false")


def _as_bool(value: object) -> object:
    return _YES_OR_NO.get(value.lower(), value) if isinstance(value, str) else value


class Text:
    """Text on one or more lines."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return _in_our_words(core_schema.str_schema(strict=True), "text")


@dataclass(eq=False, repr=False)
class OneOf:
    """One of a few names."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._known, core_schema.literal_schema(list(self.names)))

    def _known(self, value: object) -> object:
        if not isinstance(value, str):
            raise not_allowed(value, f"one of {', '.join(self.names)}")
        if value not in self.names:
            raise unknown_name(value, self.names, f"allowed are {', '.join(self.names)}")
        return value


@dataclass(eq=False, repr=False)
class OneOfNumbers:
    """One of a few whole numbers."""

    numbers: tuple[int, ...]

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        number = core_schema.literal_schema(list(self.numbers))
        allowed = " or ".join(map(str, self.numbers))
        return _in_our_words(core_schema.no_info_before_validator_function(as_int, number), allowed)


@dataclass(eq=False, repr=False)
class ListOf:
    """A list of equal items, or, where `or_single`, one item that stands for itself.

    Args:
        item: the items' annotated type.
        allowed: the sentence for anything else than such a list.
        lengths: the fewest and most items.
    """

    item: Any
    allowed: str
    lengths: tuple[int, int]
    or_single: bool = False

    def __get_pydantic_core_schema__(self, _source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        item = handler.generate_schema(self.item)
        schema: CoreSchema = core_schema.list_schema(item, min_length=self.lengths[0], max_length=self.lengths[1])
        if self.or_single:
            schema = core_schema.tagged_union_schema(
                {LIST_TAG: schema, SINGLE_TAG: item}, discriminator=_list_or_single
            )
        return core_schema.no_info_before_validator_function(self._of_right_length, schema)

    def _of_right_length(self, value: object) -> object:
        if isinstance(value, list):
            if self.lengths[0] <= len(value) <= self.lengths[1]:
                return value
        elif self.or_single and isinstance(value, int | float) and not isinstance(value, bool):
            return value
        raise not_allowed(value, self.allowed)


LIST_TAG, SINGLE_TAG = "<list>", "<single>"  # pydantic puts them into the path of an error; `wording.py` drops them


def _list_or_single(value: object) -> str:
    return LIST_TAG if isinstance(value, list) else SINGLE_TAG


@dataclass(eq=False, repr=False)
class Refused:
    """An argument that may not be given, and the reason."""

    why: str

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._refuse)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"not": {}, "description": self.why}

    def _refuse(self, _value: object) -> None:
        raise mistake(f"may not be given; {self.why}")


def require_finite(value: Any) -> Any:
    """Return a plain value; raise if a number in it is not finite."""
    if isinstance(value, list):
        return [require_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: require_finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise not_allowed(value, "a finite number")
    return value


Plain = Annotated[Any, AfterValidator(require_finite)]  # an argument that only own code or torchvision understands
