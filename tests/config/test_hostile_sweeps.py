"""Files that are made to hurt: an error in under a second, with bounded memory."""

import contextlib
import copy
import json
import os
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hostile_values import mutate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnsweep.config.dump import flow_yaml
from cnnsweep.config.grid import count_runs, dimensions, grid_params
from cnnsweep.config.load import dump_spec, load_sweep, parse_sweep
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import expand_runs, make_runs
from cnnsweep.errors import SpecError, UsageError

ALIAS_BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)
)
MERGE_BOMB = "x: &a {k: 1}\n" + "".join(f"y{n}: &b{n} {{<<: [*a, *a, *a, *a]}}\n" for n in range(10))

BAD_NAMES = ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", "x" * 300, "CON", "nul.txt", "com1", "lpt².x", "a.", "a "]
BAD_NAMES += [" a", "-x", ".hidden", "a:b", "C:", "a*", "a\nb", "\x1b[2J", "~", "é" * 101, "\u202e", "a|b", "\x85"]

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

    (tmp_path / "sweep.yaml").touch()
    monkeypatch.setattr(os, "open", refuse)
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


GRID = {
    "name": "g",
    "description": "x",
    "dataset": {"name": "shapes", "size": 28},
    "model": "lenet",
    "params": {
        "lr": [0.1, 0.01],
        "batch_size": [16, 32],
        "epochs": 2,
        "optimizer": ["adam", "sgd"],
        "augment": ["none", {"flip": True}],
        "schedule": {"name": "cosine", "warmup": 1},
        "model.channels": [[6, 12]],
    },
    "exclude": [{"lr": "> 0.05"}],
    "seeds": 3,
    "validation": 0.1,
    "metric": "val_loss",
    "tensorboard": {"graph": False},
}
SPLICES = (
    "[;];{;}; ;: ;- ;\n;&a ;*a;!!python/object:os.system ;<<: ;';\";|;\t;1e999;---\n;? ;%YAML 1.1\n;\x00;x.py:f;\x85"
)


def written(sweep: dict[str, Any]) -> str:
    return "".join(f"{flow_yaml(key)}: {flow_yaml(value)}\n" for key, value in sweep.items())


def mangled(text: str, chance: random.Random) -> str:
    """Return a text with bytes left out, put in, changed and repeated."""
    content = bytearray(text.encode())
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        place = chance.randrange(len(content))
        how = chance.randrange(4)
        if how == 0:
            del content[place : place + chance.choice((1, 1, 3, 20))]
        elif how == 1:
            content[place] = chance.randrange(256)
        elif how == 2:
            content[place:place] = chance.choice(SPLICES.split(";")).encode()
        else:
            other = chance.randrange(len(content))
            content[place:place] = content[other : other + chance.choice((4, 30, 100))]
    return content.decode("utf-8", "replace")


def check_mutants(seed: int, count: int) -> dict[str, float]:
    """Read changed sweep files; return how many were right and wrong, and the longest time that one took."""
    chance = random.Random(seed)
    texts = [written(GRID), written(SEARCHED)]
    found = {"right": 0, "wrong": 0, "longest": 0.0}
    for _ in range(count):
        if chance.random() < 0.6:
            text = mangled(chance.choice(texts), chance)
        else:  # as JSON, which is YAML, and which can write everything
            text = json.dumps(mutate(chance.choice([GRID, SEARCHED]), chance))
        started = time.process_time()
        try:
            spec = parse_sweep(text, "f")
        except SpecError as error:
            message = str(error)
            found["wrong"] += 1
        else:
            message = ""
            found["right"] += 1
            with contextlib.suppress(UsageError):
                for run in expand_runs(spec, 1000).runs:
                    assert_is_one_folder(run.name)
            assert_is_one_folder(spec.name)
        found["longest"] = max(found["longest"], time.process_time() - started)
        assert len(message) < 50_000
        assert "Input should" not in message
    assert found["longest"] < 5.0  # see above
    return found


def assert_is_one_folder(name: str) -> None:
    """A name that is a folder below the one that it is put into, and not some other, on every system."""
    assert PurePosixPath("root", name).relative_to("root").parts == (name,)
    assert PureWindowsPath("root", name).relative_to("root").parts == (name,)
    assert name not in (".", "..")
    assert name[-1] not in ". "
    assert len(name.encode()) <= 200
    assert name.isprintable()


def test_changed_files_are_right_or_refused() -> None:
    found = check_mutants(8, 600)
    assert found["right"] > 10


@pytest.mark.faults
def test_a_hundred_thousand_changed_files_are_right_or_refused() -> None:
    print(f"100,000 changed sweep files: {check_mutants(9, 100_000)}")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "the file cannot be read: it is a pipe or a device, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "the file cannot be read: it is a pipe or a device, not a file"),
        (lambda path: path.symlink_to(path.name), "the file cannot be read: Too many levels of symbolic links"),
        (Path.mkdir, "this is a folder; name the sweep file in it"),
        (
            lambda path: path.touch() or os.truncate(path, 100 << 20),
            "the file is larger than 1,000,000 bytes; a sweep file has a few thousand at most",
        ),
    ],
)
def test_what_is_no_sweep_file_is_refused_at_once(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    make(file)
    with pytest.raises(SpecError) as raised:
        load_sweep(file)
    assert str(raised.value) == f"{file}  {message}"


def test_code_that_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.py")
    text = f"name: s\ndataset: shapes\nmodel: {tmp_path}/net.py:Net\n"
    assert "cannot be read: it is a pipe or a device, not a file" in problems_of(text)


@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.text(max_size=120) | st.from_regex(r"[\w .-]{1,120}", fullmatch=True) | st.sampled_from(BAD_NAMES))
def test_a_sweeps_name_is_one_folder_or_refused(name: str) -> None:
    try:
        spec = parse_sweep(f"name: {flow_yaml(name)}\ndataset: shapes\nmodel: lenet\n", "f")
    except SpecError as error:
        assert_in_our_words(str(error))
        return
    assert_is_one_folder(spec.name)
    assert name not in BAD_NAMES


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(st.text(max_size=300) | st.sampled_from(BAD_NAMES), min_size=1, max_size=4, unique=True))
def test_runs_have_folders_of_their_own_whatever_their_settings(values: list[str]) -> None:
    params = {"model.text": values, "lr": [0.1, 0.01]}
    sweep = {"name": "s", "dataset": "shapes", "model": "mine.nets:Net", "params": params}
    try:
        runs = expand_runs(parse_sweep(written(sweep), "f")).runs
    except SpecError as error:
        assert_in_our_words(str(error))
        return
    for run in runs:
        assert_is_one_folder(run.name)
    assert len({run.name.casefold() for run in runs}) == len(runs) == 2 * len(values)


def test_a_name_that_is_taken_in_other_letters_is_not_given_again() -> None:
    spec = parse_sweep("name: s\ndataset: shapes\nmodel: mine.nets:Net\nparams: {model.text: [A, B]}\n", "f")
    first, second = make_runs(spec, grid_params(spec)).runs
    again = make_runs(spec, grid_params(spec), {first.name.lower()}).runs
    assert again[1].name == second.name
    assert again[0].name == f"model.text=A-{first.id}"


def test_bytes_that_are_no_text_are_refused_in_options() -> None:
    for option in ("params.a\udcff=1", "model=\udcff", "x\udcff"):
        assert "it has bytes that are not UTF-8 text" in str(problems_or_none("name: s\ndataset: shapes\n", option))


def test_a_long_name_is_shown_in_part() -> None:
    long = "x" * 100_000
    for key in (f"zip: [[{long}, lr]]", f"exclude: [{{{long}: 1}}]", f"when: {{lr: {{{long}: 1}}}}"):
        assert len(problems_of(f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{lr: [1, 2]}}\n{key}\n")) < 1000
