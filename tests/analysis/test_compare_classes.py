"""Recall by class of two runs: the difference, its interval, and the command."""

from __future__ import annotations

import json
import sys

import pytest
from small_sweeps import SMALL, sweep, tables

import cnnsweep
from cnnsweep import cli
from cnnsweep.analysis.class_counts import ClassCounts
from cnnsweep.analysis.compare_classes import ClassChange, compare_classes, compare_runs
from cnnsweep.analysis.run_evaluation import RunEvaluation
from cnnsweep.cli.options import stdout
from cnnsweep.errors import UsageError
from cnnsweep.report.compare_classes import classes_section


def evaluation(*rows: tuple[int, ...], run: str = "x", split: str = "test", classes: str = "abc") -> RunEvaluation:
    return RunEvaluation(run, split, 0.5, 1.0, tuple(classes[: len(rows)]), rows, ())


@pytest.mark.parametrize(
    ("first", "second", "ends"),
    [  # Newcombe, Statistics in Medicine 17, 1998, Table II, method 10: 56/70 − 48/80 and others
        ((48, 80), (56, 70), (0.0524, 0.3339)),
        ((3, 10), (9, 10), (0.1705, 0.8090)),
        ((0, 10), (10, 10), (0.6075, 1.0)),
        ((0, 20), (0, 10), (-0.1611, 0.2775)),
    ],
)
def test_interval_of_a_difference_is_that_of_newcombe(first, second, ends):
    change = ClassChange(*(ClassCounts("a", images, images, correct) for correct, images in (first, second)))
    assert change.difference == pytest.approx(second[0] / second[1] - first[0] / first[1])
    assert change.ends == pytest.approx(ends, abs=2e-4)
    assert change.is_clear == (ends[0] > 0)


def test_small_classes_come_first_and_those_of_one_run_are_named():
    first = evaluation((8, 2, 0), (1, 1, 0), (0, 0, 0))
    second = evaluation((5, 5, 0), (0, 2, 0), (0, 0, 3), run="y")
    found = compare_classes(first, second)
    assert found is not None
    assert [(row.name, row.difference) for row in found.rows] == [("b", 0.5), ("a", pytest.approx(-0.3))]
    assert found.notes == ("not measured in both: c",)
    assert compare_classes(first, evaluation((5, 5), (0, 2), split="val")) is None
    assert compare_classes(first, evaluation((5, 5), (0, 2), classes="xyz")) is None


def test_table_has_both_numbers_of_images_where_they_differ(capsys):
    for second in (evaluation((5, 5), (0, 2)), evaluation((5, 6), (0, 2))):
        stdout().print(classes_section(compare_classes(evaluation((8, 2), (1, 1)), second)))
    same, different = capsys.readouterr().out.split("Recall by class")[1:]
    assert "images A" not in same
    assert "images A" in different
    assert "−30.00" in same
    assert "+50.00" in same


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    sweep(folder / "a", SMALL)
    sweep(folder / "b", SMALL, overrides=["params.lr=0.03"])
    return folder


def call(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["cnnsweep", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return (ended.value.code or 0, *capsys.readouterr())


def test_command_compares_sweeps_and_runs_by_class(trained, monkeypatch, capsys):
    code, shown, _ = call(monkeypatch, capsys, "compare", trained / "a", trained / "b")
    assert code == 0
    assert "Recall by class" in shown
    best = [trained / name / tables(trained / name)["sweep"]["best"] for name in "ab"]
    code, shown, _ = call(monkeypatch, capsys, "compare", *best)
    assert code == 0
    assert "circle" in shown
    assert "Newcombe" in shown
    of_sweeps = cnnsweep.compare([trained / "a", trained / "b"])["recall_by_class"]
    assert of_sweeps == cnnsweep.compare(best)
    assert {one["class"] for one in of_sweeps["classes"]} <= {"circle", "square", "triangle"}
    code, shown, _ = call(monkeypatch, capsys, "compare", *best, "--json")
    assert json.loads(shown) == of_sweeps


def test_runs_without_evaluation_or_on_other_images_are_refused(trained, monkeypatch, capsys):
    results = tables(trained / "a")
    best = trained / "a" / results["sweep"]["best"]
    (other,) = (trained / "a" / run["run"] for run in results["runs"] if run["run"] != best.name)
    with pytest.raises(UsageError, match="has no evaluation; measure it first, as in: cnnsweep evaluate"):
        compare_runs([best, other])
    with pytest.raises(UsageError, match="found 3 folders of runs; give two"):
        compare_runs([best, other, best])
    assert call(monkeypatch, capsys, "evaluate", other, "-q")[0] == 0
    with pytest.raises(UsageError, match="on validation images and on test images; measure both alike"):
        compare_runs([best, other])
