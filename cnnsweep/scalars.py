"""Values of unquoted YAML text, as YAML 1.2 reads them.

null                 nothing at all, ~, null
true, false          in any of the cases true, True, TRUE
whole numbers        12, -3, 012 (is 12), 1_000, 0xff, 0o17, 0b101
numbers              0.1, .5, 1., 1e-3, 1_000.5, .inf, .nan
text                 everything else, also yes, no, 1:30 and 2024-11-05; a field that wants true or false
                     understands yes, no, on and off by itself
"""

import re
from typing import Any

MAX_NUMBER_LENGTH = 100

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_DECIMAL = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_BASED = re.compile(r"[-+]?0(x[0-9a-fA-F]+|o[0-7]+|b[01]+)")
_NUMBER = re.compile(r"[-+]?([0-9]+(_[0-9]+)*\.?([0-9]+(_[0-9]+)*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def scalar_value(text: str) -> Any:
    """Return what an unquoted scalar means: None, a bool, an int, a float or the text itself."""
    if len(text) > MAX_NUMBER_LENGTH:
        return text
    if _NULL.fullmatch(text):
        return None
    if _BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _NUMBER.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text
