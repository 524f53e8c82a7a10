"""Files that are made to hurt: an error in under a second, with bounded memory."""

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnsweep.errors import SpecError, UsageError
from cnnsweep.spec.expand import expand_runs
from cnnsweep.spec.settings import count_runs
from cnnsweep.spec.load import load_sweep, parse_sweep
from cnnsweep.spec.schema import SweepSpec

ALIAS_BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)
)
MERGE_BOMB = "x: &a {k: 1}\n" + "".join(f"y{n}: &b{n} {{<<: [*a, *a, *a, *a]}}\n" for n in range(10))

HOSTILE = {
    "alias bomb": ALIAS_BOMB,
    "merge bomb": MERGE_BOMB,
    "500 levels of lists": "a: " + "[" * 500 + "]" * 500,
    "500 levels of mappings": "".join(" " * level + "a:\n" for level in range(500)),
    "half a million open brackets": "[" * 500_000,
    "half a million dashes": "- " * 490_000,
    "half a million question marks": "? " * 490_000,
    "a quarter of a million items": "- a\n" * 240_000,
    "a long list under params": "params: {lr: [" + "1," * 400_000 + "]}",
    "one key again and again": "k: v\n" * 190_000,
    "thousands of unknown keys": "".join(f"lrr{n}: 1\n" for n in range(9_900)),
    "thousands of unknown names": "params: {model: [" + ", ".join(f"resnt{n}" for n in range(9_900)) + "]}",
    "thousands of unknown schedules": "params: {schedule: [" + ", ".join(f"stp{n}" for n in range(9_900)) + "]}",
    "a key of a megabyte": "k" * 900_000 + ": 1",
    "a quoted key of a megabyte": "? '" + "k" * 900_000 + "'\n: 1",
    "a number of a megabyte": "name: s\nparams: {lr: " + "9" * 900_000 + "x}",
    "a name of a megabyte": "model: " + "resnet" * 150_000,
    "a megabyte of line ends": "\n" * 990_000,
    "a megabyte of tags": "!a " * 300_000,
    "a megabyte of directives": "%TAG ! !\n" * 100_000 + "---\na",
}


def problems_of(text: str) -> str:
    with pytest.raises(SpecError) as raised:
        parse_sweep(text, "f")
    return str(raised.value)


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_file_is_refused_within_a_second(title: str) -> None:
    started = time.process_time()
    message = problems_of(HOSTILE[title])
    assert time.process_time() - started < 1.0
    assert message.startswith(("f:", "--set"))
    assert len(message) < 50_000


def test_alias_bomb_takes_little_memory() -> None:
    tracemalloc.start()
    problems_of(ALIAS_BOMB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_many_mistakes_are_counted_but_not_all_shown() -> None:
    lines = problems_of("".join(f"zzzzzz{n}: 1\n" for n in range(1000))).splitlines()
    assert len(lines) == 101
    assert lines[-1] == "f  and 903 more mistakes"  # 1000 keys, and name, dataset and model are missing


def billion_runs() -> SweepSpec:
    thousand = ", ".join(str(n / 1000) for n in range(1000))
    params = f"{{lr: [{thousand.replace('0.0,', '1.0,', 1)}], label_smoothing: [{thousand}], dropout: [{thousand}]}}"
    return parse_sweep(f"name: s\ndataset: shapes\nmodel: lenet\nparams: {params}", "f")


def test_billion_runs_are_counted_at_once_and_refused() -> None:
    spec = billion_runs()
    started = time.process_time()
    assert count_runs(spec).runs == 10**9
    with pytest.raises(UsageError) as raised:
        expand_runs(spec)
    assert time.process_time() - started < 0.1
    assert str(raised.value) == (
        "the sweep has 1,000,000,000 combinations, allowed are 10,000; "
        "shorten the lists under params, or allow more with --max-runs 1000000000"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", ":1:1  the byte 0xff is not UTF-8; save the file as UTF-8 text"),
        (b"name: s\nmodel: \xe9\n", ":2:8  the byte 0xe9 is not UTF-8; save the file as UTF-8 text"),
        (b"#" * 1_000_001, "  the file is larger than 1,000,000 bytes; a sweep file has a few thousand at most"),
        (b"", ":1:1  the file is empty; `cnnsweep init` writes one to start from"),
    ],
)
def test_unreadable_content_is_one_clear_line(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_bytes(content)
    with pytest.raises(SpecError) as raised:
        load_sweep(file)
    assert str(raised.value) == f"{file}{message}"


def test_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: s\ndataset: shapes\nmodel: lenet\n")
    assert load_sweep(file).name == "s"


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as missing:
        load_sweep(tmp_path / "none.yaml")
    assert (
        str(missing.value) == f"{tmp_path}/none.yaml  there is no such file; `cnnsweep init` writes one to start from"
    )
    with pytest.raises(SpecError) as folder:
        load_sweep(tmp_path)
    assert str(folder.value) == f"{tmp_path}  this is a folder; name the sweep file in it"


def test_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # simulated, since a test may run as root

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SpecError) as raised:
        load_sweep(tmp_path / "sweep.yaml")
    assert str(raised.value) == f"{tmp_path}/sweep.yaml  the file cannot be read: Permission denied"


PIECES = st.sampled_from(["name: s\n", "dataset: shapes\n", "model: lenet\n", "params:\n", "  lr: ", "tensorboard: "])
PIECES |= st.sampled_from(
    ["model.channels: ", "schedule: ", "augment: ", "flip+", "name: cnn", "x.py:f", "1e999", "null"]
)
PIECES |= st.sampled_from(
    ["[0.1, ", "]", "{", "}", "- ", ": ", "\n", "  ", "? ", "|\n", "'", '"', "#", "---\n", "<<: "]
)
PIECES |= st.sampled_from(["*a", "&a ", "!!str ", "\t", "\x00", "\x85", "é", ".nan", "%YAML 1.1\n"])
TEXTS = st.text(max_size=80) | st.lists(PIECES, max_size=14).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("cnn"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "size", "normalize", "mean", "channels", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["dataset", "model", "seed", "validation", "metric", "device", "tensorboard", "params.lr", "params.model"]
KEYS += [
    "params.schedule",
    "params.augment",
    "params.grad_clip",
    "params.model.channels",
    "params",
    "params.seed",
    "a.b.c",
]


def problems_or_none(text: str, *overrides: str) -> str | None:
    """Return the error's text, or None for a sweep without mistakes; anything but a SpecError passes through."""
    try:
        parse_sweep(text, "f", overrides)
    except SpecError as error:
        return str(error)
    return None


def assert_in_our_words(message: str | None) -> None:
    if message is not None:
        assert message.strip()
        assert "Input should" not in message


@settings(max_examples=400, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=TEXTS)
def test_random_text_raises_nothing_but_spec_errors(text: str) -> None:
    assert_in_our_words(problems_or_none(text))


@settings(max_examples=400, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(key=st.sampled_from(KEYS), value=VALUES)
def test_random_values_raise_nothing_but_spec_errors(key: str, value: object) -> None:
    option = f"{key}={value!r}"  # Python's notation of lists, mappings and numbers is nearly YAML's
    assert_in_our_words(problems_or_none("name: s\ndataset: shapes\nmodel: lenet\n", option))
