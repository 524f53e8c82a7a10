"""A metric from outside the package: a class in a file of one's own, or an entry point of another package."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from small_sweeps import SMALL, SilentDisplay, sweep
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from cnnsweep import api
from cnnsweep.cli.app import app
from cnnsweep.config.load import dump_spec, parse_sweep
from cnnsweep.errors import SpecError, UsageError
from cnnsweep.storage.journal import read_journal
from cnnsweep.storage.state import read_state

METRICS = '''
import torch
from cnnsweep.metrics.base import Metric


class TopTwo(Metric):
    """Share of images whose class is among the two most likely."""

    def update(self, logits, targets):
        return (logits.topk(2).indices == targets[..., None]).any(-1).sum(-1)

    def compute(self, sums, images):
        return sums.double() / images


class Missed(Metric):
    """Largest share of a class that is classified wrongly, from a confusion matrix."""

    greater_is_better = False

    def update(self, logits, targets):
        classes = logits.shape[-1]
        true, found = (torch.nn.functional.one_hot(one, classes).float() for one in (targets, logits.argmax(-1)))
        return true.transpose(-1, -2) @ found  # (K, classes, classes)

    def compute(self, sums, images):
        right = sums.diagonal(dim1=-2, dim2=-1)
        return (1 - right / sums.sum(-1)).max(-1).values


class Mixed(TopTwo):
    def update(self, logits, targets):
        return super().update(logits.mean(0, keepdim=True).expand_as(logits), targets)


class Raises(TopTwo):
    def update(self, logits, targets):
        raise RuntimeError("no such kernel")


class Silent(TopTwo):
    def compute(self, sums, images):
        return sums.double() * float("nan")
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(METRICS)
    return tmp_path / "own.py"


def chosen(own: Path, metric: str = "val_Missed", names: Sequence[str] = ("TopTwo", "Missed")) -> list[str]:
    return [f"metrics={json.dumps([f'{own}:{name}' for name in names])}", f"metric={metric}", "validation=0.5"]


def rows_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "results.csv").drop(columns=["epoch_duration", "run_duration"])


def test_an_own_metric_decides_and_is_shown_everywhere(tmp_path: Path, own: Path):
    display = SilentDisplay()
    folder = tmp_path / "s"
    sweep(folder, display=display, overrides=chosen(own))
    recorded = ["loss", "accuracy", "val_loss", "val_accuracy", "TopTwo", "val_TopTwo", "Missed", "val_Missed"]

    history = read_state(folder / "journal.jsonl")
    assert history.objective.mode == "min"
    assert history.metrics == tuple(recorded)
    records = [record for run in history.runs.values() for record in run.records]
    assert records == display.records  # what is read back equals what was measured
    assert all(0 <= record["accuracy"] <= record["TopTwo"] <= 1 for record in records)
    events = [event for event in read_journal(folder / "journal.jsonl") if event["event"] == "epoch"]
    assert list(events[0]["metrics"]) == recorded[4:]

    table = rows_of(folder)
    assert list(table.columns[1:10]) == ["epoch", *recorded]
    best = table.loc[table.groupby("run")["val_Missed"].idxmin()].sort_values(["val_Missed"], kind="stable")
    content = json.loads((folder / "results.json").read_text())
    assert content["sweep"]["metrics"] == [
        {"name": "TopTwo", "label": "TopTwo", "greater_is_better": True},
        {"name": "Missed", "label": "Missed", "greater_is_better": False},
    ]
    by_run = {run["run"]: run["val_Missed"] for run in content["runs"]}
    assert by_run == pytest.approx(dict(zip(best["run"], best["val_Missed"], strict=True)))
    assert by_run[content["sweep"]["best"]] == min(by_run.values())

    run = folder / content["sweep"]["best"]
    assert json.loads((run / "best.json").read_text())["figures"]["val_Missed"] == pytest.approx(min(by_run.values()))
    board = EventAccumulator(str(run)).Reload()
    assert {f"epoch/{name}" for name in recorded} <= set(board.Tags()["scalars"])
    assert "best/val_Missed" in board.Tags()["scalars"]
    last = table[table["run"] == run.name].iloc[-1]
    assert board.Scalars("epoch/val_TopTwo")[-1].value == pytest.approx(last["val_TopTwo"], rel=1e-6)

    found = api.load(folder)
    assert found.best.metrics["val_Missed"] == pytest.approx(min(by_run.values()))
    assert "val_TopTwo" in found.runs.columns


def command(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "250"})
    assert result.exit_code == 0, result.output
    return result.output


def test_an_own_metric_is_in_the_report_the_page_and_a_comparison(tmp_path: Path, own: Path):
    for name in ("a", "b"):
        sweep(tmp_path / name, overrides=chosen(own))
    text = command("report", tmp_path / "a", "--sort", "val_TopTwo")
    assert "val Missed ↓" in text
    assert "val TopTwo" in text
    assert "TopTwo" in command("report", tmp_path / "a", "--format", "csv").splitlines()[0]
    command("report", tmp_path / "a", "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "val_Missed" in page
    assert "val_TopTwo" in page
    assert "val_TopTwo" in command("compare", tmp_path / "a", tmp_path / "b", "--metric", "val_TopTwo")


def test_a_checkpoint_is_measured_by_it_if_its_code_is_allowed(tmp_path: Path, own: Path):
    sweep(tmp_path / "s", overrides=chosen(own))
    best = api.load(tmp_path / "s").best
    arguments = ("evaluate", best.folder, "--split", "val", "--json")
    found = json.loads(command(*arguments, "--allow-code"))
    assert found["metrics"]["TopTwo"] == pytest.approx(best.metrics["val_TopTwo"], abs=1e-6)
    assert found["metrics"]["Missed"] == pytest.approx(best.metrics["val_Missed"], abs=1e-6)
    assert not {"TopTwo", "Missed"} & set(json.loads(command(*arguments)).get("metrics", {}))


def test_metrics_of_runs_that_train_fused_are_those_of_each_alone(tmp_path: Path, own: Path):
    fixed = [*chosen(own), "precision=fp64"]
    sweep(tmp_path / "alone", overrides=fixed, fuse=1)
    sweep(tmp_path / "fused", overrides=fixed, fuse=2)
    pd.testing.assert_frame_equal(rows_of(tmp_path / "alone"), rows_of(tmp_path / "fused"), rtol=1e-6)


def test_a_resume_keeps_what_was_measured_and_goes_on(tmp_path: Path, own: Path):
    sweep(tmp_path / "whole", overrides=chosen(own))
    folder = tmp_path / "cut"
    sweep(folder, overrides=[*chosen(own), "params.epochs=1"])
    before = rows_of(folder)
    sweep(folder, overrides=chosen(own))
    after = rows_of(folder)
    assert len(after) == len(before) + 4
    pd.testing.assert_frame_equal(after.head(len(before)), before)
    longer = after[after["epochs"] == 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(longer[list(rows_of(tmp_path / "whole"))], rows_of(tmp_path / "whole"))


def test_metrics_change_no_run_and_no_id(tmp_path: Path, own: Path):
    sweep(tmp_path / "s", overrides=["validation=0.5"])
    before = rows_of(tmp_path / "s")
    display = SilentDisplay()
    sweep(tmp_path / "s", display=display, overrides=chosen(own, "val_accuracy"))
    assert display.records == []  # nothing is trained again
    assert rows_of(tmp_path / "s")["val_TopTwo"].isna().all()
    pd.testing.assert_frame_equal(rows_of(tmp_path / "s")[list(before)], before)


def test_a_value_that_is_not_finite_counts_as_not_measured(tmp_path: Path, own: Path):
    display = SilentDisplay()
    sweep(tmp_path / "s", display=display, overrides=chosen(own, "val_loss", ["Silent"]))
    assert {record["val_Silent"] for record in display.records} == {None}


@pytest.mark.parametrize(
    ("name", "message"), [("Raises", "RuntimeError: no such kernel"), ("Mixed", "depend on other runs")]
)
def test_a_metric_that_cannot_be_used_is_refused_before_training(tmp_path: Path, own: Path, name: str, message: str):
    with pytest.raises(UsageError, match=f"{name}: .*{message}"):
        sweep(tmp_path / "s", overrides=chosen(own, "val_loss", [name]))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("metrics: [nothing]", "unknown 'nothing'"),
        ("metrics: [accuracy]", "accuracy is recorded anyway"),
        ("metrics: top", "found 'top', allowed is a list of metrics"),
        ("metrics: [own.py:TopTwo, own.py:TopTwo]", "'TopTwo' is there twice"),
        ("metrics: [own.py:run]", "the metric is named 'run'"),
        ("metric: val_TopTwo", "unknown 'val_TopTwo'"),
        ("metrics: [none.py:TopTwo]", "there is no file 'none.py'"),
        ("metrics: [own.py:TopTwo]\nmetric: val_TopTow", "did you mean 'val_TopTwo'?"),
    ],
)
def test_mistakes_are_told_with_their_places(tmp_path: Path, own: Path, keys: str, message: str):
    with pytest.raises(SpecError, match=r"sweep\.yaml:\d+:\d+  metrics?") as error:
        parse_sweep(f"{SMALL}{keys}\n", "sweep.yaml", folder=own.parent)
    assert message in str(error.value)


def test_the_frozen_sweep_file_means_the_same(own: Path):
    spec = parse_sweep(f"{SMALL}metrics: [own.py:TopTwo, own.py:Missed]\nmetric: val_Missed\n", "s", folder=own.parent)
    assert (spec.mode, len(spec.metrics)) == ("min", 2)
    assert parse_sweep(dump_spec(spec), "frozen") == spec


def test_a_metric_of_another_package_is_found_by_its_entry_point(tmp_path: Path, own: Path):
    package = tmp_path / "site"
    info = package / "more-1.dist-info"
    info.mkdir(parents=True)
    own.rename(package / "more.py")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: more\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[cnnsweep.metrics]\nmissed = more:Missed\n")
    code = """
        import sys
        from pathlib import Path
        from small_sweeps import sweep
        sweep(Path(sys.argv[1]), overrides=["metrics=[missed]", "metric=val_missed", "validation=0.5"])
    """
    paths = [package, Path(__file__).parent.parent, Path(__file__).parent.parent.parent]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "s")],
        env={"PYTHONPATH": ":".join(map(str, paths)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    history = read_state(tmp_path / "s" / "journal.jsonl")
    assert (history.objective.metric, history.objective.mode) == ("val_missed", "min")
    assert all(record["val_missed"] is not None for run in history.runs.values() for record in run.records)
