"""The kinds of values that keys take, each with a sentence for what is allowed.

They are annotations for pydantic, as in `lr: Annotated[float, Number(above=0)]`. Whatever check of pydantic's fails,
the error says `found ..., allowed is ...` in our words; `wording.py` adds the place. Nothing compares or prints them,
and `eq=False, repr=False` makes the import faster.
"""

import difflib
import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cnnsweep.selection import BEST, LAST, mean_of_last
from cnnsweep.spec.yaml_reader import scalar_value

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
    """Return text in quotes, cut where it is long, and with escapes for what does not print."""
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
    """Return the error for a name that is none of the known; `allowed` is said where no known name is near."""
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
        return _in_our_words(core_schema.no_info_before_validator_function(_as_int, number), allowed)


def _as_int(value: object) -> object:
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
        return _in_our_words(core_schema.no_info_before_validator_function(_as_int, number), allowed)


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


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise not_allowed(value, "a finite number")
    return value


Plain = Annotated[Any, AfterValidator(_plain)]  # an argument that only the person's own code or torchvision understands


class FolderName:
    """A name that can be a folder on every system."""

    pattern = r"[\w][\w .-]{0,99}"
    allowed = "a plain folder name: letters, digits, spaces and . _ -, at most 100, beginning with a letter or digit"
    reserved = frozenset(
        ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))]
    )

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, core_schema.str_schema())

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": f"^{self.pattern}$", "maxLength": 100}

    def _check(self, value: object) -> object:
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value) or value[-1] in ". ":
            raise not_allowed(value, self.allowed)
        if len(value.encode()) > 200:  # 255 bytes is the most that file systems take, and files are named after it
            raise not_allowed(value, "a name of at most 200 bytes; letters beyond a to z take two to four each")
        if value.split(".")[0].strip().lower() in self.reserved:
            raise mistake(f"{found(value)}, a name that Windows keeps for itself; choose another")
        return value


@dataclass(frozen=True, slots=True)
class Folds:
    """K-fold: the training images in so many parts, each held out once."""

    count: int


class HeldOut:
    """A share of the training images (0 to 1), a whole number of them, or `{folds: K}`."""

    allowed = (
        "a share of the training images of at least 0 and below 1, a whole number of images, or {folds: K} "
        "with K from 2 to 100"
    )

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        folds = {"folds": {"type": "integer", "minimum": 2, "maximum": 100, "description": "parts, each held out once"}}
        return {
            "anyOf": [
                {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
                {"type": "integer", "minimum": 0},
                {"type": "object", "properties": folds, "required": ["folds"], "additionalProperties": False},
            ]
        }

    def _check(self, value: object) -> int | float | Folds:
        if isinstance(value, dict) and list(value) == ["folds"]:
            count = _as_int(value["folds"])
            if isinstance(count, int) and not isinstance(count, bool) and 2 <= count <= 100:
                return Folds(count)
            raise mistake(f"folds: {found(value['folds'])}, allowed is a whole number from 2 to 100")
        if isinstance(value, float) and 0 < value < 1:
            return value
        # 1.0 is refused: it may be meant as everything or as one image.
        whole = None if value == 1.0 and isinstance(value, float) else _as_int(value)
        if isinstance(whole, int) and not isinstance(whole, bool) and 0 <= whole <= 1_000_000_000:
            return whole
        raise not_allowed(value, self.allowed)


class Scope:
    """Which epochs of a run count: `best`, `last` or `mean of last K`."""

    pattern = r"mean of last ([1-9][0-9]{0,5})"

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [{"enum": [BEST, LAST]}, {"type": "string", "pattern": f"^{self.pattern}$"}]}

    def _check(self, value: object) -> str:
        if value in (BEST, LAST):
            return str(value)
        window = re.fullmatch(self.pattern, value) if isinstance(value, str) else None
        if window is None:
            raise not_allowed(value, "best, last, or mean of last K, such as mean of last 3")
        return mean_of_last(int(window[1]))


class Seeds:
    """How many seeds each setting is trained with, or which."""

    allowed = "a whole number from 1 to 1,000, or a list of different seeds (whole numbers from 0)"

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        seeds = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True}
        return {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 1000}, seeds]}

    def _check(self, value: object) -> int | tuple[int, ...]:
        if isinstance(value, list):
            seeds = [_as_int(seed) for seed in value]
            right: list[int] = []
            for seed in seeds[:1001]:
                if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
                    raise not_allowed(seed, self.allowed)
                right.append(seed)
            if repeated := [seed for seed, count in Counter(right).items() if count > 1]:
                raise mistake(f"found {repeated[0]} twice, allowed is {self.allowed}")
            if 1 <= len(right) <= 1000:
                return tuple(right)
        else:
            count = _as_int(value)
            if isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= 1000:
                return count
        raise not_allowed(value, self.allowed)


class Device:
    """Where to train, as torch names it, or `auto`."""

    names = ("auto", "cpu", "cuda", "mps")

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [{"enum": list(self.names)}, {"type": "string", "pattern": "^cuda:[0-9]{1,3}$"}]}

    def _check(self, value: object) -> str:
        allowed = "auto, cpu, cuda, cuda:N (the GPU number N, from 0) and mps"
        if not isinstance(value, str):
            raise not_allowed(value, f"one of {allowed}")
        if value not in self.names and not re.fullmatch("cuda:[0-9]{1,3}", value):
            raise mistake(f"unknown {quoted(value)}; allowed are {allowed}")  # gpu resembles cpu, and means cuda
        return value
