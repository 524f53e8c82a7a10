import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_by_hand import load, make_content

from cnnsweep.analysis.results import Stop, TestResult, load_results
from cnnsweep.errors import ResultsError
from cnnsweep.metrics.objective import Objective
from cnnsweep.types import RunStatus

REBUILD = "run the sweep again with 'cnnsweep run': it trains nothing twice and writes the file anew"
VERSION = "1, the version that this cnnsweep reads; update cnnsweep"
TEST = {
    "run": "run-1", "configuration": "c", "split": "test", "accuracy": 0.9, "loss": 0.3, "images": 10, "correct": 9,
    "time": "2026-11-21T10:00:00+00:00", "refit": True,
}  # fmt: skip


def message(path: Path) -> str:
    """The message for `path`, with its folder written as F."""
    with pytest.raises(ResultsError) as caught:
        load_results(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(path if path.is_dir() else path.parent), "F")


def test_folder_and_file_give_the_same_results(tmp_path: Path) -> None:
    results = load(tmp_path, make_content())
    assert load_results(tmp_path / "results.json") == results
    assert results.folder == tmp_path
    assert len(results.runs) == 8
    assert results.runs[0].status is RunStatus.FINISHED
    assert results.runs[1].params == {
        "lr": 0.01, "batch_size": 100, "shuffle": False, "epochs": 3, "optimizer": "adam"
    }  # fmt: skip
    assert [row.epoch for row in results.epochs["run-1"]] == [1, 2, 3]
    assert results.sweep.axes == ("lr", "batch_size", "shuffle")
    assert results.sweep.threads == 2


def test_run_from_before_a_hyperparameter_was_added_has_none(tmp_path: Path) -> None:
    content = make_content()
    del content["runs"][0]["optimizer"]
    assert load(tmp_path, content).runs[0].params["optimizer"] is None


def edit(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set the value at a path such as `runs.3.loss`, or delete it where `value` is `...`."""

    def apply(content: Any) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in parents:
            content = content[part]
        if value is ...:
            del content[last]
        else:
            content[last] = value

    return apply


@pytest.mark.parametrize(
    ("where", "value", "expected"),
    [
        ("version", 2, f"version: is 2, but must be {VERSION}"),
        ("version", "1", f'version: is "1", but must be {VERSION}'),
        ("version", ..., "version: is missing"),
        ("sweep", ..., "sweep: is missing"),
        ("sweep", [], "sweep: is [], but must be a mapping"),
        ("sweep.name", 3, "sweep.name: is 3, but must be a text"),
        ("sweep.metric", "f1", 'sweep.metric: is "f1", but must be one of val_accuracy, val_loss, accuracy, loss'),
        ("sweep.mode", "best", 'sweep.mode: is "best", but must be one of max, min'),
        ("sweep.status", "x", 'sweep.status: is "x", but must be one of running, finished, interrupted'),
        ("sweep.axes", "lr", 'sweep.axes: is "lr", but must be a list'),
        ("sweep.axes", [1], "sweep.axes[0]: is 1, but must be a text"),
        ("sweep.axes", ["depth"], 'sweep.axes: "depth" is not among sweep.hyperparameters'),
        ("sweep.axes", ["\ud800"], 'sweep.axes[0]: is "\\ud800", but must be Unicode text'),
        ("sweep.best", "run-99", 'sweep.best: "run-99" is not among the runs'),
        ("sweep.duration", None, "sweep.duration: is null, but must be a finite number"),
        ("sweep.seed", 1.5, "sweep.seed: is 1.5, but must be a whole number"),
        ("runs", {}, "runs: is {}, but must be a list"),
        ("runs.3", None, "runs[3]: is null, but must be a mapping"),
        ("runs.3.loss", "low", 'runs[3].loss: is "low", but must be a finite number'),
        ("runs.3.loss", True, "runs[3].loss: is true, but must be a finite number"),
        ("runs.3.loss", ..., "runs[3].loss: is missing"),
        (
            "runs.3.status",
            "lost",
            'runs[3].status: is "lost", but must be one of waiting, running, finished, stopped, diverged, failed, '
            "interrupted",
        ),
        ("runs.3.run", "run-1", 'runs[3].run: "run-1" is there twice'),
        ("runs.3.run", "../../etc", 'runs[3].run: is "../../etc", but must be the name of a folder'),
        ("runs.3.run", "..", 'runs[3].run: is "..", but must be the name of a folder'),
        ("runs.3.run", "a\0b", 'runs[3].run: is "a\\u0000b", but must be the name of a folder'),
        ("runs.3.checkpoint", 7, "runs[3].checkpoint: is 7, but must be a text"),
        ("runs.3.epochs_done", 1.5, "runs[3].epochs_done: is 1.5, but must be a whole number"),
        ("runs.3.cause", ["x" * 100], f'runs[3].cause: is ["{"x" * 55}..., but must be a text'),
        ("runs.3.lr", [[[[[[[[[1]]]]]]]]], "runs[3].lr: is a list of 1, but must be at most 8 lists deep"),
        ("sweep.scope", "first", 'sweep.scope: is "first", but must be best, last or mean of last K'),
        ("sweep.scope", "mean of last 0", 'sweep.scope: is "mean of last 0", but must be best, last or mean of last K'),
        ("sweep.folds", "5", 'sweep.folds: is "5", but must be a whole number'),
        ("sweep.search", "tpe", 'sweep.search: is "tpe", but must be a mapping'),
        ("runs.3.configuration", 3, "runs[3].configuration: is 3, but must be a text"),
        ("runs.3.fold", "1", 'runs[3].fold: is "1", but must be a whole number'),
        ("runs.3.stop", [], "runs[3].stop: is [], but must be a mapping"),
        ("runs.3.stop", {"epoch": 1}, "runs[3].stop.value: is missing"),
        ("tests", {}, "tests: is {}, but must be a list"),
        ("tests", [1], "tests[0]: is 1, but must be a mapping"),
        ("tests", [TEST | {"correct": 11}], "tests[0].correct: is 11 of 10 images, which cannot be"),
        ("tests", [TEST | {"images": 0, "correct": 0}], "tests[0].correct: is 0 of 0 images, which cannot be"),
        ("epochs", ..., "epochs: is missing"),
        ("epochs.5.epoch", "2", 'epochs[5].epoch: is "2", but must be a whole number'),
        ("epochs.5.run", "other", 'epochs[5].run: "other" is not among the runs'),
        ("epochs.5.run", "\x1b[2J\u202e", 'epochs[5].run: "\\u001b[2J\\u202e" is not among the runs'),
        ("epochs.5.accuracy", [], "epochs[5].accuracy: is [], but must be a finite number"),
    ],
)
def test_wrong_content_is_named_with_its_place(tmp_path: Path, where: str, value: Any, expected: str) -> None:
    content = make_content()
    edit(where, value)(content)
    file = tmp_path / "results.json"
    file.write_text(json.dumps(content))
    assert message(file) == f"F/results.json: {expected}"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", f":1:1  the file ends in the middle; {REBUILD}"),
        (b'{"version": 1,', f":1:15  the file ends in the middle; {REBUILD}"),
        (b'{"version": 1,\n "sweep": {"name": "fash', f":2:20  the file ends in the middle; {REBUILD}"),
        (b"{'version': 1}", ":1:2  is not JSON (Expecting property name enclosed in double quotes); " + REBUILD),
        (b'{"version": NaN}', f": holds NaN, which is not JSON; {REBUILD}"),
        (b'{"version": -Infinity}', f": holds -Infinity, which is not JSON; {REBUILD}"),
        (b"\xff\xfe", f": is not UTF-8 text (byte 0); {REBUILD}"),
        (b"[" * 100_000, f": is nested too deeply; {REBUILD}"),
        (b"1" * 10_000, f": holds a number that is too long; {REBUILD}"),
        (b"[]", ": the file: is [], but must be a mapping"),
        (b"null", ": the file: is null, but must be a mapping"),
    ],
)
def test_damaged_file_is_refused_with_its_place(tmp_path: Path, raw: bytes, expected: str) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(raw)
    assert message(file) == f"F/results.json{expected}"


def test_infinite_number_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps(make_content()).replace('"duration": 30.0', '"duration": 1e999'))
    assert message(file) == "F/results.json: sweep.duration: is Infinity, but must be a finite number"


def test_missing_file_says_what_to_give(tmp_path: Path) -> None:
    expected = "F/nothing: there is no such file or folder; give a results.json or the folder of a sweep"
    assert message(tmp_path / "nothing") == expected


def test_folder_without_results_says_what_to_give(tmp_path: Path) -> None:
    expected = "F: holds no results.json; give the folder that 'cnnsweep run' named, runs/<sweep name>"
    assert message(tmp_path) == expected


def test_folder_of_sweeps_names_them(tmp_path: Path) -> None:
    for name in ("fashion", "cifar10"):
        load_into = tmp_path / name
        load(load_into, make_content())
    assert message(tmp_path) == (
        "F: holds no results.json, but folders that do: cifar10, fashion; give one of them, "
        "as in: cnnsweep report F/cifar10"
    )


def test_sweep_without_results_yet_says_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").touch()
    assert message(tmp_path) == f"F: this sweep has no results.json yet; {REBUILD}"


def test_unreadable_path_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    assert message(Path("nul\0")).startswith("nul\\x00: cannot be read (")
    (tmp_path / "results.json").mkdir()
    assert message(tmp_path) == "F/results.json: cannot be read (Is a directory)"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_truncation_and_flipped_byte_gives_results_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = json.dumps(make_content({"lr": [0.1, 0.01]}, epochs=1)).encode()
    position = data.draw(st.integers(0, len(raw) - 1))
    flipped = bytes([raw[position] ^ data.draw(st.integers(1, 255))])
    file = tmp_path_factory.getbasetemp() / "damaged.json"
    file.write_bytes(raw[:position] + data.draw(st.sampled_from([b"", flipped + raw[position + 1 :]])))
    try:
        load_results(file)
    except ResultsError as error:
        assert str(error).isprintable()  # noqa: PT017  # both outcomes are right


def test_replicates_stops_searches_and_tests_are_read(tmp_path: Path) -> None:
    content = make_content({"lr": [1, 2]})
    content["sweep"].update(scope="mean of last 3", folds=5, search={"method": "random", "runs": 2, "seed": 0},
                            early_stop={"method": "median"})  # fmt: skip
    stop = {"epoch": 2, "value": None, "threshold": 0.5, "compared": 9, "rule": "median at epoch 2"}
    content["runs"][1].update(configuration="c", fold=4, stop=stop, status="stopped")
    results = load(tmp_path, {**content, "tests": [TEST]})
    assert results.sweep.objective == Objective("val_accuracy", "max", "mean of last 3")
    assert (results.sweep.folds, results.sweep.search["method"], results.sweep.early_stop) == (
        5, "random", {"method": "median"},
    )  # fmt: skip
    assert results.runs[1].stop == Stop(**stop)
    assert (results.runs[1].trial_id, results.runs[1].fold) == ("c", 4)
    assert results.tests == (TestResult("run-1", "c", 0.9, 0.3, 10, 9, "2026-11-21T10:00:00+00:00", refit=True),)


def test_files_of_an_earlier_cnnsweep_have_one_run_a_setting(tmp_path: Path) -> None:
    results = load(tmp_path, make_content({"lr": [1, 2]}))
    assert [(run.trial_id, run.fold, run.stop) for run in results.runs] == [
        ("0000000000000001", None, None),
        ("0000000000000002", None, None),
    ]
    assert (results.sweep.objective.scope, results.sweep.folds, results.sweep.search, results.sweep.early_stop) == (
        "best", None, None, None,
    )  # fmt: skip
    assert results.tests == ()
