"""The kinds of values of single keys at the top of a sweep file; `field_types.py` has those that several keys share."""

import re
from collections import Counter
from dataclasses import dataclass

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cnnsweep.field_types import JsonSchema, as_int, found, mistake, not_allowed, quoted
from cnnsweep.metrics.objective import BEST, LAST, mean_of_last


class FolderName:
    """A name that can be a folder on every system."""

    pattern = r"[\w][\w .-]{0,99}"
    allowed = "a plain folder name: letters, digits, spaces and . _ -, at most 100, beginning with a letter or digit"
    reserved = frozenset(
        ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³")]
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
    """K-fold: the training images in a number of parts, each held out once."""

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
            count = as_int(value["folds"])
            if isinstance(count, int) and not isinstance(count, bool) and 2 <= count <= 100:
                return Folds(count)
            raise mistake(f"folds: {found(value['folds'])}, allowed is a whole number from 2 to 100")
        if isinstance(value, float) and 0 < value < 1:
            return value
        # 1.0 is refused: it may be meant as everything or as one image.
        whole = None if value == 1.0 and isinstance(value, float) else as_int(value)
        if isinstance(whole, int) and not isinstance(whole, bool) and 0 <= whole <= 1_000_000_000:
            return whole
        raise not_allowed(value, self.allowed)


class Scope:
    """Epochs of a run that count: `best`, `last` or `mean of last K`."""

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
    """Number of seeds of each trial, or a list of seeds."""

    allowed = "a whole number from 1 to 1,000, or a list of different seeds (whole numbers from 0)"

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        seeds = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True}
        return {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 1000}, seeds]}

    def _check(self, value: object) -> int | tuple[int, ...]:
        if isinstance(value, list):
            seeds = [as_int(seed) for seed in value]
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
            count = as_int(value)
            if isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= 1000:
                return count
        raise not_allowed(value, self.allowed)


class Device:
    """Device by torch's name, or `auto`; several devices are a list, or one text with commas."""

    names = ("auto", "cpu", "cuda", "mps")
    _one = "(cpu|cuda|mps|cuda:[0-9]{1,3})"

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        several = {"type": "string", "pattern": f"^{self._one}(, *{self._one})*$"}
        listed = {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": f"^{self._one}$"},
        }
        return {"anyOf": [{"enum": list(self.names)}, several, listed]}

    def _check(self, value: object) -> str:
        allowed = "auto, cpu, cuda, cuda:N (the GPU number N, from 0) and mps, or a list of devices"
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
            raise not_allowed(value, f"one of {allowed}")
        names = [name.strip() for name in names]
        for name in names:
            if not re.fullmatch(self._one, name) and (name != "auto" or len(names) > 1):
                what = f"unknown {quoted(name)}" if name != "auto" else "'auto' stands for all devices by itself"
                raise mistake(f"{what}; allowed are {allowed}")  # gpu resembles cpu, and means cuda
        if len(set(names)) < len(names):
            raise mistake(f"{quoted(', '.join(names))} names a device twice; --jobs has several train on one")
        return ",".join(names)
