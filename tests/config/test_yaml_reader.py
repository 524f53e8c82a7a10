import pytest

from cnnsweep.config.yaml import Position, read_yaml
from cnnsweep.errors import SpecError
from cnnsweep.scalars import scalar_value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1.5e+3", -1500.0),
        ("1_000.5", 1000.5),
        ("012", 12),
        ("+7", 7),
        ("1_000", 1000),
        ("0xff", 255),
        ("0o17", 15),
        ("0b101", 5),
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("null", None),
    ],
)
def test_scalar_means_what_it_looks_like(written: str, meant: object) -> None:
    value = scalar_value(written)
    assert value == meant
    assert type(value) is type(meant)


@pytest.mark.parametrize(
    "written", ["1:30", "2024-11-05", "yes", "off", "1,000", "1e", "0x", "1__0", "_1", "-", ".", "tRUE", "="]
)
def test_everything_else_is_text(written: str) -> None:
    assert scalar_value(written) == written


def test_not_finite_numbers_are_numbers() -> None:
    assert scalar_value(".inf") == float("inf")
    assert scalar_value("-.INF") == -float("inf")
    assert str(scalar_value(".nan")) == "nan"


def test_quoted_scalars_are_text() -> None:
    assert read_yaml("""['1', "true", '']""", "f").value == ["1", "true", ""]


def test_keys_are_always_text() -> None:
    assert read_yaml("{1: a, no: b, 1e-3: c, null: d}", "f").value == {"1": "a", "no": "b", "1e-3": "c", "null": "d"}


def test_every_key_and_value_has_its_place() -> None:
    document = read_yaml("# comment\nñame: x\nparams:\n  lr: [0.1,\n    0.2]\n", "f")
    assert document.key_places[("ñame",)] == Position("f", 2, 1)
    assert document.value_places[("ñame",)] == Position("f", 2, 7)
    assert document.key_places[("params", "lr")] == Position("f", 4, 3)
    assert document.value_places[("params", "lr", 0)] == Position("f", 4, 8)
    assert document.value_places[("params", "lr", 1)] == Position("f", 5, 5)


def test_place_of_what_is_missing_is_that_of_what_holds_it() -> None:
    document = read_yaml("a: 1\nparams:\n  lr: 0.1\n", "f")
    assert document.place(("params", "epochs")) == Position("f", 3, 3)
    assert document.place(("params", "lr", 0)) == Position("f", 3, 7)
    assert document.place(("params", "lr", 0), of_key=True) == Position("f", 3, 3)


def test_carriage_returns_and_block_texts_are_read() -> None:
    assert read_yaml("a: 1\r\nb: |\r\n  two\r\n  lines\r\n", "f").value == {"a": 1, "b": "two\nlines\n"}


def test_explicit_keys_and_document_marks_are_read() -> None:
    assert read_yaml("---\n? a\n: 1\n...\n", "f").value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: \x00", "f:1:4  the character U+0000 is not allowed; this is no text file, or a damaged one"),
        ("a: 1\nb: x\x1b[31m", "f:2:5  the character U+001B is not allowed; this is no text file, or a damaged one"),
        ("\ud800", "f:1:1  the character U+D800 is not allowed; this is no text file, or a damaged one"),
    ],
)
def test_unprintable_characters_are_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        read_yaml(text, "f")
    assert str(raised.value) == message
