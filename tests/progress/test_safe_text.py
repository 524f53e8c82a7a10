import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnsweep.formatting.escape import safe_text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain", "plain"),
        ("ünï 数 ★", "ünï 数 ★"),
        ("\x1b[2Jcleared", "\\x1b[2Jcleared"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("two\nlines\tand a tab\r", "two\\nlines\\tand a tab\\r"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2066isolate\u2069", "\\u2066isolate\\u2069"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("line\u2028separator", "line\\u2028separator"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("lone \ud800 surrogate", "lone \\ud800 surrogate"),
        ("nul\0", "nul\\x00"),
        ("[bold]markup[/]", "[bold]markup[/]"),
        (17, "17"),
    ],
)
def test_what_steers_a_terminal_is_shown_as_an_escape(hostile: object, shown: str) -> None:
    assert safe_text(hostile) == shown


@given(st.text())
def test_no_control_format_or_separator_character_passes(text: str) -> None:
    dangerous = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not [char for char in safe_text(text) if unicodedata.category(char) in dangerous]
    safe_text(text).encode("utf-8")
