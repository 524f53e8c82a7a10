"""Displays show what a constant answer reaches, and mark the runs that are no better."""

import dataclasses
import io
from collections.abc import Sequence

import pytest
from sweeps_by_hand import Terminal, make_overview, make_record, make_runs, train

from cnnsweep.callbacks import SweepOverview
from cnnsweep.metrics.baseline import Baseline
from cnnsweep.metrics.objective import Objective
from cnnsweep.progress import live as live_module
from cnnsweep.progress.live import LiveDisplay
from cnnsweep.progress.plain import PlainDisplay
from cnnsweep.progress.state import SweepProgress
from cnnsweep.types import Run, RunOutcome, RunStatus

CATS = Baseline("val_accuracy", 0.6792, "max", "always answering 'cat'")


def overview(runs: Sequence[Run], baseline: Baseline = CATS, **options: object) -> SweepOverview:
    return dataclasses.replace(make_overview(runs, **options), baseline=baseline)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [60, 100])
def test_live_table_has_a_line_with_the_baseline_that_becomes_the_legend_of_the_marks(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr(live_module, "SHORTEST_PAUSE_S", 60.0)
    terminal = Terminal(width, 16)
    display = LiveDisplay(terminal.console)
    runs = make_runs(3)
    display.on_sweep_start(overview(runs))
    assert "always answering 'cat': val_accuracy 0.6792" in terminal.lines
    for run, accuracy in zip(runs, (0.68, 0.75, 0.5), strict=True):  # on validation images less by 0.005
        display.on_run_start(run, None)
        train(display, run, [accuracy])
        if run is not runs[2]:
            display.on_run_end(RunOutcome(run.id, RunStatus.FINISHED))
    assert display._live
    display._live.refresh()
    rows = [line for line in terminal.lines if line[5:7].strip().isdigit()]
    assert [row[0] for row in rows] == ["○", "★", "▸"]
    assert any(line.startswith("○ no better than always answering 'cat' (val_acc") for line in terminal.lines)
    assert not any(line.startswith("always answering") for line in terminal.lines)
    display.close()


def test_live_table_leaves_room_for_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SHORTEST_PAUSE_S", 60.0)
    terminal = Terminal(80, 14)
    display = LiveDisplay(terminal.console)
    display.on_sweep_start(overview(make_runs(30)))
    assert terminal.scrolled == []
    assert any(line.startswith("sweep") for line in terminal.lines)
    display.close()


def test_plain_lines_say_at_the_end_of_a_run_that_it_is_no_better() -> None:
    stream, runs = io.StringIO(), make_runs(2)
    display = PlainDisplay(stream)
    display.on_sweep_start(overview(runs))
    for run, accuracy in zip(runs, (0.68, 0.75), strict=True):
        display.on_run_start(run, None)
        train(display, run, [accuracy])
        display.on_run_end(RunOutcome(run.id, RunStatus.FINISHED))
    ends = [line for line in stream.getvalue().splitlines() if "  finished in" in line]
    words = "best val_accuracy 0.6750 in epoch 1, no better than always answering 'cat' (val_accuracy 0.6792)"
    assert words in ends[0]
    assert "no better" not in ends[1]


def test_an_accuracy_that_stands_in_for_a_loss_hides_no_leader_among_runs_that_learned() -> None:
    runs, by_loss = make_runs(2), Objective("val_loss", "min")
    progress = SweepProgress(overview(runs, objective=by_loss))
    better = make_record(runs[1], 1, 0.7)
    progress.epoch_ended(make_record(runs[0], 1, 0.6))
    assert progress.best is None
    progress.epoch_ended(dataclasses.replace(better, metrics={**better.metrics, "val_loss": 9.0}))
    assert progress.best is not None
    assert progress.best.number == 1
