"""JSON files read with suspicion: every value is asked for with its type, and every error names its place."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from cnnsweep.errors import InputError, ResultsError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.storage.paths import is_folder_name
from cnnsweep.storage.read_limited import MOST_BYTES, read_bounded

LARGEST_VALUE = 1e100  # so that squares and sums stay finite
LARGEST_INTEGER = 2**63 - 1
DEEPEST_VALUE = 8  # lists in lists, where any value may stand; a sweep file needs two

REBUILD = "run the sweep again with 'cnnsweep run': it trains nothing twice and writes the file anew"
_NO_MEMORY = "takes more memory to read than there is; close other programs"
_MOST_SHOWN = 60  # characters of a wrong value

T = TypeVar("T")


def parse_json(file: Path, is_whole: Callable[[bytes], bool] | None = None) -> Any:
    """Return what the file holds.

    Args:
        is_whole: tells of the very bytes that are parsed whether they are as they were written.

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


@dataclass(frozen=True, slots=True)
class JsonReader:
    """Takes values of the right type out of parsed JSON, or raises an error with their place.

    `where` is the place of the mapping that holds the key, empty for the whole file; `error` is what is raised.
    """

    file: Path
    error: type[InputError] = ResultsError

    def fail(self, where: str, message: str) -> NoReturn:
        raise self.error(f"{safe_text(self.file)}: {safe_text(where) or 'the file'}: {message}")

    def get(self, mapping: Mapping[str, Any], key: str, where: str) -> Any:
        if key not in mapping:
            self.fail(joined(where, key), "is missing")
        return mapping[key]

    def mapping(self, value: Any, where: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.fail(where, f"is {shown(value)}, but must be a mapping")
        return value

    def sequence(self, mapping: Mapping[str, Any], key: str, where: str) -> list[Any]:
        value = self.get(mapping, key, where)
        if not isinstance(value, list):
            self.fail(joined(where, key), f"is {shown(value)}, but must be a list")
        return value

    def text(self, mapping: Mapping[str, Any], key: str, where: str) -> str:
        value = self.get(mapping, key, where)
        if not isinstance(value, str):
            self.fail(joined(where, key), f"is {shown(value)}, but must be a text")
        return value

    def number(self, mapping: Mapping[str, Any], key: str, where: str) -> float:
        value = self.get(mapping, key, where)
        # bool is an int to Python, and 1e999 is infinite to its JSON reader.
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < LARGEST_VALUE:
            self.fail(joined(where, key), f"is {shown(value)}, but must be a finite number")
        return value

    def metric(self, mapping: Mapping[str, Any], key: str, where: str) -> float | None:
        """Return what was measured, None where nothing was, or where it went out of all bounds."""
        value = self.get(mapping, key, where)
        if isinstance(value, float) and math.isfinite(value) and abs(value) >= LARGEST_VALUE:
            return None
        return None if value is None else self.number(mapping, key, where)

    def integer(self, mapping: Mapping[str, Any], key: str, where: str) -> int:
        value = self.get(mapping, key, where)
        if not isinstance(value, int) or isinstance(value, bool):
            self.fail(joined(where, key), f"is {shown(value)}, but must be a whole number")
        if abs(value) > LARGEST_INTEGER:
            self.fail(joined(where, key), f"is {shown(value)}, but must be at most {LARGEST_INTEGER}")
        return value

    def optional(
        self, read: Callable[[Mapping[str, Any], str, str], T], mapping: Mapping[str, Any], key: str, where: str
    ) -> T | None:
        return None if self.get(mapping, key, where) is None else read(mapping, key, where)

    def maybe(
        self, read: Callable[[Mapping[str, Any], str, str], T], mapping: Mapping[str, Any], key: str, where: str
    ) -> T | None:
        """As `optional`, for a key that files of an earlier cnnsweep do not have."""
        return None if mapping.get(key) is None else read(mapping, key, where)

    def submapping(self, mapping: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
        return self.mapping(self.get(mapping, key, where), joined(where, key))

    def boolean(self, mapping: Mapping[str, Any], key: str, where: str) -> bool:
        value = self.get(mapping, key, where)
        if not isinstance(value, bool):
            self.fail(joined(where, key), f"is {shown(value)}, but must be true or false")
        return value

    def plain(self, mapping: Mapping[str, Any], key: str, where: str) -> Any:
        """Return any value that is not nested deeper than what shows it can bear; None where there is none."""
        value = mapping.get(key)
        if is_deeper(value, DEEPEST_VALUE):
            self.fail(joined(where, key), "is nested too deeply")
        return value

    def plain_mapping(self, mapping: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
        """As `submapping`, for one of which any value is taken as it is."""
        self.plain(mapping, key, where)
        return self.submapping(mapping, key, where)

    def choice(self, mapping: Mapping[str, Any], key: str, where: str, allowed: tuple[str, ...]) -> str:
        value = self.text(mapping, key, where)
        if value not in allowed:
            self.fail(joined(where, key), f"is {shown(value)}, but must be one of {', '.join(allowed)}")
        return value

    def names(self, mapping: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
        names = self.sequence(mapping, key, where)
        for position, name in enumerate(names):
            if not isinstance(name, str):
                self.fail(f"{joined(where, key)}[{position}]", f"is {shown(name)}, but must be a text")
        return tuple(names)

    def run_name(self, mapping: Mapping[str, Any], key: str, where: str) -> str:
        name = self.text(mapping, key, where)
        if not is_folder_name(name):
            self.fail(joined(where, key), f"is {shown(name)}, but must be the name of a folder")
        return name


def joined(where: str, key: str) -> str:
    """Return the place of a key: `runs[3].loss`, or just `runs` at the top."""
    return f"{where}.{key}" if where else key


def is_deeper(value: Any, levels: int) -> bool:
    """True if there are more than so many lists and mappings inside each other."""
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
