"""Escapes and markup in names, trials and causes: no command hands them to the terminal."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pyte
import pytest
from rich.console import Console
from small_sweeps import tables

from cnnsweep import cli
from cnnsweep.analysis.evaluation import Evaluation, TrialEvaluation
from cnnsweep.report.evaluation import render_trial

ESCAPE = "\x1b[31m\x9b1m\x07\u202e[red][/]<b>|"
IN_YAML = r'"\e[31m\x9b1m\a\u202e[red][/]<b>|"'
IN_WORDS = r"\x1b[31m\x9b1m\x07\u202e"

NET = """
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes, text="", formula=""):
        super().__init__()
        if formula == "fails":
            raise RuntimeError("no \\x1b[31m[/red] today\\x07")
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(144, num_classes))
    def forward(self, x):
        return self.layers(x)
"""
SWEEP = f"""
name: hostile
description: {IN_YAML}
dataset: {{name: shapes, size: 12, classes: 3, train: 60, test: 30}}
model: "[red]\\e[31m.py:Net"
params:
  model.text: [{IN_YAML}, plain]
  model.formula: ["=1+1", "@x"]
  batch_size: 30
  epochs: 1
tensorboard: false
"""

Call = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "[red]\x1b[31m.py").write_text(NET)
    (folder / "sweep.yaml").write_text(SWEEP)
    return folder


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["cnnsweep", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert (ended.value.code or 0) == code, captured.err
        for text in (captured.out, captured.err):
            assert text.replace("\n", "").isprintable()
        return captured.out + captured.err

    return call


def test_no_command_steers_the_terminal(call: Call, folder: Path) -> None:
    assert IN_WORDS in call("run", "sweep.yaml", "--dry-run")
    call("run", "sweep.yaml", "--dry-run", "--json")
    call("plan", "sweep.yaml", "--fuse", "off")
    call("plan", "sweep.yaml", "--fuse", "off", "--json")
    assert IN_WORDS in call("run", "sweep.yaml", "--fuse", "off")
    assert "[red][/]" in call("report", "runs/hostile")
    for style in ("markdown", "csv", "json"):
        call("report", "runs/hostile", "--format", style)
    first = tables(folder / "runs/hostile")["runs"][0]["run"]
    call("report", "runs/hostile", "--run", first)
    call("compare", "runs/hostile", "runs/hostile/results.json", code=2)
    call("run", "sweep.yaml", "--fuse", "off", "--out", "runs/again", "--set", "params.epochs=2", "-q")
    call("compare", "runs/hostile", "runs/again")
    call("compare", "runs/hostile", "runs/again", "--json")
    call("evaluate", "runs/hostile", code=4)
    call("evaluate", "runs/hostile", "--allow-code")
    call("evaluate", "runs/hostile", "--allow-code", "--json")
    call("evaluate", f"runs/hostile/{first}", "--allow-code")
    call("models")
    call("datasets")
    call("report", f"{ESCAPE.replace('/', '')}", code=4)
    call("run", f"{ESCAPE.replace('/', '')}", code=2)
    call("run", "sweep.yaml", "--dry-run", "--set", f"params.{ESCAPE}=1", code=2)


def test_formulas_are_neutralised_in_every_table(call: Call, folder: Path) -> None:
    call("run", "sweep.yaml", "--fuse", "off", "-q")
    shown = call("report", "runs/hostile", "--format", "csv")
    for text in (shown, *((folder / "runs/hostile" / name).read_text() for name in ("runs.csv", "results.csv"))):
        rows = list(csv.DictReader(text.splitlines()))
        assert {row["model.formula"] for row in rows} == {"'=1+1", "'@x"}
    assert tables(folder / "runs/hostile")["runs"][0]["model.formula"] == "=1+1"


def test_seeds_of_a_strangers_checkpoints_are_shown_as_text() -> None:
    one = Evaluation("c", ESCAPE, 1, "test", 0.5, ("a", ESCAPE), ((1, 2), (3, 4)), {"seed": ESCAPE}, (ESCAPE,))
    screen = Console(file=io.StringIO(), width=160)
    render_trial(TrialEvaluation("c", (one, one), notes=(ESCAPE,)), screen)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert IN_WORDS in text
    assert text.replace("\n", "").isprintable()


def test_failures_and_live_tables_show_text_as_text(call: Call) -> None:
    shown = call(
        "run", "sweep.yaml", "--fuse", "off", "--out", "runs/fails", "--set", "params.model.formula=fails", code=2
    )
    assert r"no \x1b[31m[/red] today\x07" in shown
    screen = pyte.Screen(200, 10)
    pyte.Stream(screen).feed(shown.replace("\n", "\r\n"))
    assert {cell.fg for row in screen.buffer.values() for cell in row.values()} <= {"default"}
