"""Files that are made to hurt: an error in under a second, with bounded memory."""

import contextlib
import copy
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnsweep.errors import SpecError, UsageError
from cnnsweep.spec.dump import flow_yaml
from cnnsweep.spec.expand import expand_runs
from cnnsweep.spec.load import dump_spec, load_sweep, parse_sweep
from cnnsweep.spec.schema import SweepSpec
from cnnsweep.spec.settings import count_runs, dimensions

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
def test_hostile_file_is_refused_before_a_person_would_wonder(title: str) -> None:
    started = time.process_time()
    message = problems_of(HOSTILE[title])
    # Some take a quarter of a second; what grows out of bounds takes minutes. Busy machines vary by several times.
    assert time.process_time() - started < 5.0
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
        "shorten the lists under params, or try some of them with `search: {method: random, runs: 100}`"
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
KEYS += ["zip", "when", "exclude", "include", "search", "seeds", "scope", "early_stop", "when.lr", "search.runs"]
KEYS += ["early_stop.method", "search.method", "params.batch_size", "params.model.pool", "when.lr.epochs"]
KEYS += [
    "params.schedule",
    "params.augment",
    "params.grad_clip",
    "params.model.channels",
    "params",
    "params.seed",
    "a.b.c",
]


WORDS = "lr,batch_size,optimizer,shuffle,adam,sgd,> 0.1,!= adam,<= 3 and > 1,> x,==,yes,none,random,cmaes,halving"
NUMBERS = (None, True, 0, 1, -1, 0.1, 1e308, -1e308, 5e-324, 64, 10**30, float("inf"))
LEAVES = st.sampled_from([*WORDS.split(","), *NUMBERS])
SOME_KEYS = """
lr batch_size optimizer momentum shuffle augment model model.channels dropout seed zzz name folds method runs round 0
uniform log_uniform integer log_integer normal choice step min max factor epochs value min_delta min_epochs
"""
NAMES = st.sampled_from(SOME_KEYS.split())
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
SEARCHED = {
    "name": "s",
    "dataset": "shapes",
    "model": "cnn",
    "params": {
        "lr": {"log_uniform": [1e-4, 0.1]},
        "batch_size": {"integer": [16, 64], "step": 16},
        "momentum": {"normal": [0.5, 0.1], "min": 0, "max": 0.9},
        "optimizer": ["adam", "sgd"],
        "shuffle": [True, False],
        "augment": ["none", {"flip": True}],
        "model.channels": [[6, 12], [8]],
    },
    "zip": [["shuffle", "augment"]],
    "when": {"momentum": {"optimizer": "sgd"}, "batch_size": {"lr": ["> 0.01 and < 0.05", 0.1]}},
    "exclude": [{"lr": "> 0.05", "optimizer": "!= sgd"}, {"model.channels": [[8]]}],
    "include": [{"lr": 1, "optimizer": "adam", "shuffle": False, "augment": "flip", "model.channels": [3]}],
    "search": {"method": "tpe", "runs": 8, "seed": 1, "round": 2},
    "seeds": [1, 2],
    "validation": {"folds": 3},
    "scope": "mean of last 3",
    "early_stop": {"method": "patience", "epochs": 3, "min_delta": 0.1},
}


def places_in(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places_in(value, (*path, key))


def has(node: Any, step: Any) -> bool:
    return step in node if isinstance(node, dict) else isinstance(node, list) and step in range(len(node))


PLACES = list(places_in(SEARCHED))


@settings(max_examples=500, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), TREES | st.just(...)), min_size=1, max_size=3))
def test_changed_searches_raise_nothing_but_spec_errors(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    sweep = copy.deepcopy(SEARCHED)
    for path, value in changes:
        node: Any = sweep
        for step in path[:-1]:
            node = node[step] if has(node, step) else None
        if has(node, path[-1]) and value is ...:
            del node[path[-1]]
        elif has(node, path[-1]):
            node[path[-1]] = value
    text = "".join(f"{flow_yaml(key)}: {flow_yaml(value)}\n" for key, value in sweep.items())
    try:
        spec = parse_sweep(text, "f")
    except SpecError as error:
        assert_in_our_words(str(error))
        return
    assert parse_sweep(dump_spec(spec), "dumped") == spec
    assert count_runs(spec).runs >= 0
    for dimension in dimensions(spec):
        if dimension.interval is not None:
            assert dimension.interval.low <= dimension.interval.at(0.7) <= dimension.interval.high
    with contextlib.suppress(UsageError):
        expand_runs(spec)


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
