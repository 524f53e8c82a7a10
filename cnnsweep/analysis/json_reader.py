"""JSON files that may come from a stranger: parsed, and checked by pydantic; every error names its place."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Protocol, TypeVar

from pydantic import (
    BeforeValidator,
    FailFast,
    Field,
    GetCoreSchemaHandler,
    Strict,
    ValidationError,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from cnnsweep.errors import InputError, ResultsError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.storage.paths import is_folder_name
from cnnsweep.storage.read_limited import MOST_BYTES, read_bounded

LARGEST_VALUE = 1e100  # so that squares and sums stay finite
LARGEST_INTEGER = 2**63 - 1
DEEPEST_VALUE = 8  # lists in lists, where any value may stand; a sweep file needs two

REBUILD = "run the sweep again with 'cnnsweep run': it trains nothing twice and writes the file anew"
_NO_MEMORY = "takes more memory to read than there is; close other programs"
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_SHOWN = 60  # characters of a wrong value

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def parse_json(file: Path, is_whole: Callable[[bytes], bool] | None = None) -> Any:
    """Return what the file holds.

    Args:
        is_whole: True for bytes that are as they were written.

    Raises:
        ResultsError: it cannot be read, is not whole, or is no JSON as the standard has it, without NaN and infinities.
    """

    def refuse(constant: str) -> NoReturn:
        raise ResultsError(f"{safe_text(file)}: holds {constant}, which is not JSON; {REBUILD}")

    text = _read(file, is_whole)
    try:
        return json.loads(text, parse_constant=refuse)
    except MemoryError:
        raise ResultsError(f"{safe_text(file)}: {_NO_MEMORY}") from None
    except json.JSONDecodeError as error:
        place = f"{safe_text(file)}:{error.lineno}:{error.colno}"
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            raise ResultsError(f"{place}  the file ends in the middle; {REBUILD}") from None
        raise ResultsError(f"{place}  is not JSON ({error.msg}); {REBUILD}") from None
    except (RecursionError, ValueError) as error:  # ValueError: an integer of thousands of digits
        message = "is nested too deeply" if isinstance(error, RecursionError) else "holds a number that is too long"
        raise ResultsError(f"{safe_text(file)}: {message}; {REBUILD}") from None


def _read(file: Path, is_whole: Callable[[bytes], bool] | None) -> str:
    try:
        content = read_bounded(file, MOST_BYTES)
        if is_whole is not None and not is_whole(content):
            raise ResultsError(f"{safe_text(file)}: is damaged (its SHA-256 does not match)")
        return content.decode("utf-8")
    except FileNotFoundError:
        message = "there is no such file or folder; give a results.json or the folder of a sweep"
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text (byte {error.start}); {REBUILD}"
    except MemoryError:
        message = _NO_MEMORY
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        message = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    raise ResultsError(f"{safe_text(file)}: {message}")


@dataclass(eq=False, repr=False)
class Must:
    """Words for the values that a type allows: the message for a value that is refused.

    Attributes:
        test: the condition that the words are about; without it they are about all that the type refuses.
        schema: a schema of pydantic's core in place of the type's own, which needs no call of ours for each value.
    """

    allowed: str
    test: Callable[[Any], bool] | None = None
    schema: CoreSchema | None = None

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema, context = self.schema or handler(source), {"allowed": self.allowed}
        if self.test is not None:
            return core_schema.no_info_after_validator_function(self._tested, schema)
        return core_schema.custom_error_schema(
            schema, "must", custom_error_message="{allowed}", custom_error_context=context
        )

    def _tested(self, value: Any) -> Any:
        if self.test is not None and not self.test(value):
            raise PydanticCustomError("must", "{allowed}", {"allowed": self.allowed})
        return value


_FLOAT = core_schema.float_schema(strict=True, gt=-LARGEST_VALUE, lt=LARGEST_VALUE)
_INTEGER = core_schema.int_schema(strict=True, gt=-int(LARGEST_VALUE), lt=int(LARGEST_VALUE))
_FINITE = core_schema.float_schema(strict=True, allow_inf_nan=False)
_TO_NONE = core_schema.chain_schema([_FINITE, core_schema.no_info_plain_validator_function(lambda _: None)])
_NUMBER = core_schema.union_schema([_INTEGER, _FLOAT], mode="left_to_right")
_METRIC = core_schema.union_schema([core_schema.none_schema(), _FLOAT, _TO_NONE], mode="left_to_right")

# The kinds of values beside `str`; what Python takes for a number, JSON's true and 1e999, is none.
Whole = Annotated[int, Strict(), Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
Number = Annotated[float, Must("a finite number", schema=_NUMBER)]
Metric = Annotated[float | None, Must("a finite number", schema=_METRIC)]  # None too where it went out of all bounds
# JSON can spell half a character, which pydantic's core takes for no name of a key.
_Name = Annotated[str, Must("Unicode text", lambda text: text.isascii() or not _SURROGATE.search(text))]
Names = Annotated[tuple[_Name, ...], FailFast()]
FolderName = Annotated[str, Must("the name of a folder", is_folder_name)]
Version = Annotated[Literal[1], Must("1, the version that this cnnsweep reads; update cnnsweep")]
_is_shown = Must("at most 8 lists deep", lambda value: not is_deeper(value, DEEPEST_VALUE))
Plain = Annotated[Any, _is_shown]
PlainMapping = Annotated[dict[str, Any], _is_shown]


def null_as(default: Any) -> BeforeValidator:
    """Return the check that takes null for `default`."""
    return BeforeValidator(lambda value: default if value is None else value)


class Form(Protocol[T_co]):
    """A TypeAdapter, or a validator of pydantic's core."""

    def validate_python(self, value: Any, /) -> T_co: ...


# What pydantic's errors say a value must be; of the others, `Must` has the words.
_ALLOWED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "less_than_equal": "at most {le}",
    "greater_than_equal": "at least {ge}",
    "literal_error": "one of {expected}",
    "enum": "one of {expected}",
    "must": "{allowed}",
}


def read_as(form: Form[T], value: Any, file: Path, where: str = "", error: type[InputError] = ResultsError) -> T:
    """Return parsed JSON as values of a form; keys that it does not have are ignored.

    Args:
        where: the place of the value, empty for the whole file.

    Raises:
        InputError: of the type `error`, with the place of the first value that is missing or wrong.
    """
    try:
        return form.validate_python(value)
    except ValidationError as raised:
        details = raised.errors(include_url=False)[0]
    for step in details["loc"]:
        where = f"{where}[{step}]" if isinstance(step, int) else f"{where}.{step}".removeprefix(".")
    raise refusal(file, where, _mistake_in(details), error)


def _mistake_in(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind not in _ALLOWED:
        return details["msg"]  # of `field_types.mistake`
    expected = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
    return f"is {shown(details['input'])}, but must be {_ALLOWED[kind].format(**{**context, 'expected': expected})}"


def refusal(file: Path, where: str, message: str, error: type[InputError] = ResultsError) -> InputError:
    """Return the error for a place, such as `runs[3].loss`, of a file."""
    return error(f"{safe_text(file)}: {safe_text(where) or 'the file'}: {message}")


def is_deeper(value: Any, levels: int) -> bool:
    """True if lists and mappings are nested deeper than this number of levels."""
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(part, levels - 1) for part in parts)


def shown(value: Any) -> str:
    """Return a value as an error shows it: as JSON, harmless, and short."""
    if isinstance(value, dict | list) and (len(value) > _MOST_SHOWN or is_deeper(value, 2)):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value):,}"
    if isinstance(value, str):
        value = value[:_MOST_SHOWN]
    text = safe_text(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
