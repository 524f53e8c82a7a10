"""Callbacks that a sweep file names: found and made before training, and dropped if they raise."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_sweeps import SMALL, SilentDisplay, tables, untimed

from cnnsweep.config.load import dump_spec, parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import SpecError, UsageError
from cnnsweep.sweep import SweepOptions, run_sweep

CODE = '''
from cnnsweep import Callback
from cnnsweep.callbacks import ErrorPolicy


class Limit(Callback):
    """Ends runs after an epoch."""

    def __init__(self, epoch, *, as_text=True):
        if epoch < 1:
            raise ValueError(f"epoch {epoch} is none")
        self.epoch = epoch

    def on_epoch_end(self, reports):
        return {one.record.run_id: "stop" for one in reports if one.record.epoch >= self.epoch}


class Broken(Callback):
    def on_run_start(self, run, last):
        raise KeyError("mine")


class Wrong(Callback):
    def on_epoch_end(self, reports):
        return {"run": "halt"}


class Strict(Broken):
    error_policy = ErrorPolicy.STOP


def function():
    pass
'''


def train(folder: Path, callbacks: str) -> SilentDisplay:
    display = SilentDisplay()
    (folder / "my.py").write_text(CODE)
    spec = parse_sweep(f"{SMALL}\ncallbacks: {callbacks}\n", "small.yaml", folder=folder)
    run_sweep(spec, SweepOptions(folder / "out", folder, fuse="off"), [display])
    return display


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(CODE)


def test_it_stops_runs(tmp_path: Path) -> None:
    train(tmp_path, "[{name: my.py:Limit, epoch: 1}]")
    content = tables(tmp_path / "out")
    assert [row["status"] for row in content["runs"]] == ["stopped"] * 2
    assert [row["epoch"] for row in content["epochs"]] == [1, 1]
    train(tmp_path, "[{name: my.py:Limit, epoch: 1}]")
    assert [row["epoch"] for row in tables(tmp_path / "out")["epochs"]] == [1, 1]  # they stay stopped
    train(tmp_path, "[]")
    assert [row["status"] for row in tables(tmp_path / "out")["runs"]] == ["finished"] * 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Broken", "my.py:20: KeyError: 'mine'; the sweep continues without it"),
        ("Wrong", "TypeError: on_epoch_end returned {'run': 'halt'}, allowed is None, or a mapping from ids of runs"),
    ],
)
def test_one_that_raises_is_reported_once_and_changes_nothing(name: str, text: str, tmp_path: Path) -> None:
    for folder, callbacks in (("with", f"[my.py:{name}]"), ("without", "[]")):
        (tmp_path / folder).mkdir()
        display = train(tmp_path / folder, callbacks)
        if folder == "with":
            assert [text in line and line.startswith(name) for line in display.messages] == [True]
    assert untimed(tmp_path / "with" / "out") == untimed(tmp_path / "without" / "out")


def test_a_class_may_stop_the_sweep_by_its_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        train(tmp_path, "[my.py:Strict]")


def test_code_that_raises_when_it_is_made_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"my\.py:11: callback my\.py:Limit: cannot be made \(ValueError: epoch 0 is"):
        train(tmp_path, "[{name: my.py:Limit, epoch: 0}]")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("callbacks", "text"),
    [
        ("[my.py:function]", "allowed is a subclass of cnnsweep.Callback"),
        ("[my.py:Limit]", "epoch: missing"),
        ("[{name: my.py:Limit, epoch: 1, epochs: 2}]", "epochs: unknown key; did you mean 'epoch'?"),
        ("[my.py:Other]", "has no 'Other'"),
        ("[notify]", "unknown 'notify'; your own is path.py:Name"),
        ("my.py:Limit", "allowed is a list of your own callbacks"),
    ],
)
def test_mistakes_have_a_place_in_the_sweep_file(callbacks: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as raised:
        parse_sweep(f"{SMALL}\ncallbacks: {callbacks}\n", "small.yaml", folder=tmp_path)
    assert str(raised.value).startswith("small.yaml:12:")
    assert text in str(raised.value)


def test_code_is_not_imported_unless_allowed(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text("raise SystemExit\n")
    spec = parse_sweep(f"{SMALL}\ncallbacks: [my.py:Limit]\n", "small.yaml", folder=tmp_path, allow_code=False)
    assert [one.name for one in spec.callbacks] == [f"{tmp_path}/my.py:Limit"]


def test_they_are_no_part_of_a_run_but_of_the_frozen_file(tmp_path: Path) -> None:
    plain, with_one = (
        parse_sweep(f"{SMALL}\n{text}\n", "small.yaml", folder=tmp_path)
        for text in ("", "callbacks: [{name: my.py:Limit, epoch: 5}]")
    )
    assert [run.id for run in expand_runs(plain).runs] == [run.id for run in expand_runs(with_one).runs]
    assert parse_sweep(dump_spec(with_one), "again").callbacks == with_one.callbacks


def test_a_resume_tells_that_the_code_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path, "[{name: my.py:Limit, epoch: 5}]")
    monkeypatch.setattr(f"{__name__}.CODE", CODE + "\n")
    assert train(tmp_path, "[{name: my.py:Limit, epoch: 5}]").messages == [
        "callbacks: the code of my.py:Limit changed since the last time; trained epochs stay"
    ]
