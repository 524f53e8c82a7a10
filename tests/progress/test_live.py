import errno
import io
import time
from collections.abc import Sequence

import pytest
from rich.console import Console
from sweeps_by_hand import Terminal, make_overview, make_run, make_runs, train

from cnnsweep.metrics.objective import Objective
from cnnsweep.progress import live as live_module
from cnnsweep.progress.live import LiveDisplay
from cnnsweep.progress.live_table import choose_rows
from cnnsweep.progress.state import SweepProgress
from cnnsweep.types import Run, RunOutcome, RunStatus


@pytest.fixture(autouse=True)
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are drawn when a test asks for them."""
    monkeypatch.setattr(live_module, "SHORTEST_PAUSE_S", 60.0)


def refresh(display: LiveDisplay) -> None:
    assert display._live
    display._live.refresh()


def half_done(display: LiveDisplay, runs: Sequence[Run], active: int = 1, **overview: object) -> None:
    """Half of the runs have ended, every seventh of them diverged; `active` are in their second epoch."""
    done = len(runs) // 2
    display.on_sweep_start(make_overview(runs, **overview))  # type: ignore[arg-type]
    for position, run in enumerate(runs[:done]):
        display.on_run_start(run, None)
        if position % 7 == 2:
            train(display, run, [float("nan")])
            display.on_run_end(RunOutcome(run.id, RunStatus.DIVERGED, "loss is not finite in epoch 1"))
            continue
        train(display, run, [0.6 + 0.08 * epoch + 0.001 * (position % 11) for epoch in (1, 2, 3)])
        display.on_run_end(RunOutcome(run.id, RunStatus.FINISHED))
    for run in runs[done : done + active]:
        display.on_run_start(run, None)
        train(display, run, [0.64])
    display._noted = 0.0  # the throttle would drop what follows so soon
    display.on_batch_end([run.id for run in runs[done : done + active]], 2, 270, 540)
    refresh(display)


def test_runs_at_different_epochs_are_told_of_from_the_first_to_the_last() -> None:
    terminal = Terminal(100, 24)
    display = LiveDisplay(terminal.console)
    runs = make_runs(3)
    display.on_sweep_start(make_overview(runs))
    for run in runs:
        display.on_run_start(run, None)
    train(display, runs[0], [0.5, 0.6])
    display._noted = 0.0
    display.on_batch_end([run.id for run in runs], 1, 5, 10)
    refresh(display)
    lines = terminal.lines
    display.close()
    assert any("3 runs, epochs 1 to 3/3" in line for line in lines)


def test_small_sweep_on_a_terminal_of_80_columns() -> None:
    terminal = Terminal(80, 24)
    display = LiveDisplay(terminal.console)
    half_done(display, make_runs(4))
    lines = terminal.lines
    display.close()
    assert lines[:10] == [
        "fashion  4 runs · cpu · runs/fashion",
        "",
        "   run  status        lr  batch_size  shuffle  epoch  val loss  val acc ↑  curve",
        "─" * 80,
        "     1  finished  0.1            100  true       3/3    0.1831     0.8350  ▂▅█",
        "★    2  finished  0.01           100  false      3/3    0.1818     0.8360  ▂▅█",
        "▸    3  running   0.001          100  true       1/3    0.4686     0.6350  ▁",
        "     4  waiting   0.0001         100  false      0/3         –          –",
        "",
        "1 waiting, 1 running, 2 finished",
    ]
    assert lines[10].startswith("epoch ━━━")
    assert lines[10].endswith("50%  run 3, epoch 2/3, batch 270 of 540")
    # 7 epochs and a half of 12
    assert " 62%  7 of 12 epochs, " in lines[11]
    assert lines[11].endswith(" left")
    assert lines[12:] == [""] * 12


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize(("count", "active"), [(4, 1), (40, 4), (1000, 64)])
def test_table_fits_terminals_of_any_width(width: int, count: int, active: int) -> None:
    terminal = Terminal(width, 24)
    display = LiveDisplay(terminal.console)
    half_done(display, make_runs(count), active)
    lines = terminal.lines
    title = next(position for position, line in enumerate(lines) if line.startswith("fashion"))
    header = lines[title + 2]
    assert [word in header for word in ("run", "epoch", "val acc ↑")] == [True, True, True]
    assert any(line.startswith("★") for line in lines)
    assert lines[title + 3] == "─" * len(lines[title + 3])
    rows = [line for line in lines[title + 4 :] if "/3" in line and not line.startswith(("epoch", "sweep"))]
    assert len(rows) >= min(count, 7)
    # Each row is on one line of its own, with all its columns: none wrapped.
    curve = 2 if "curve" in header and "time" not in header else 0  # of three epochs, under a longer heading
    assert {len(row) for row in rows if "finished" in row} <= {len(lines[title + 3]) - curve}
    last = [line for line in lines if line][-2:]
    assert last[0].startswith("epoch ━")
    assert last[1].startswith("sweep ━")
    display.close()


def test_large_sweep_shows_best_active_failed_and_counts() -> None:
    terminal = Terminal(120, 24)
    display = LiveDisplay(terminal.console)
    half_done(display, make_runs(1000), active=20)
    # 500 ended, of them 72 diverged (positions 2, 9, … 499); 3 best, 7 active and 3 failures fit in 24 lines.
    (counts,) = [line for line in terminal.lines if line.startswith("+ ")]
    assert counts == "+ 480 waiting, 13 running, 425 finished, 69 diverged"
    numbers = [line[1:7].strip() for line in terminal.lines if line[:1] in " ▸✗" and "/3" in line]
    assert [n for n in numbers if n in ("486", "493", "500")] == ["486", "493", "500"]  # the most recent failures
    assert [n for n in numbers if 500 < int(n) <= 507] == [str(n) for n in range(501, 508)]
    # Accuracy grows with position % 11, so the first of the best are at positions 10, 21 and 32.
    (best,) = [line for line in terminal.lines if line.startswith("★")]
    assert best.split()[1] == "11"
    assert numbers[:2] == ["22", "33"]
    display.close()


def test_hostile_names_are_shown_escaped() -> None:
    terminal = Terminal(120, 24)
    display = LiveDisplay(terminal.console)
    notes = ("\x1b[31mred", "[/]", "\u202eevil", "=cmd|' /C calc'!A0")
    runs = [make_run(number, {"note": note, "[/]": 1}) for number, note in enumerate(notes, start=1)]
    display.on_sweep_start(make_overview(runs, columns=("note", "[/]"), name="\x1b]0;owned\x07[bold]x"))
    display.on_run_start(runs[0], None)
    display.on_run_end(RunOutcome(runs[0].id, RunStatus.FAILED, "it said \x1b[2J[/]"))
    display.on_log("careful: \x1b[5m[blink]\n")
    refresh(display)
    for shown in (*("\\x1b[31mred", "[/]", "\\u202eevil", "=cmd|' /C calc'!A0"), "\\x1b]0;owned\\x07[bold]x"):
        assert shown in terminal.text
    assert "failed: it said \\x1b[2J[/]" in terminal.text
    assert "careful: \\x1b[5m[blink]\\n" in terminal.text
    assert terminal.screen.title == ""  # pyte would have set it
    display.close()


def test_closing_leaves_failures_messages_and_one_line() -> None:
    terminal = Terminal(120, 24)
    display = LiveDisplay(terminal.console)
    half_done(display, make_runs(8))
    display.on_log("a note")
    display.close()
    display.close()
    assert [line for line in terminal.lines if line][:2] == [
        "run 3/8 lr=0.001 batch_size=100 shuffle=true  diverged: loss is not finite in epoch 1",
        "a note",
    ]
    assert terminal.lines[2].startswith("sweep fashion: 3 waiting, 1 running, 3 finished, 1 diverged, in ")
    assert not any(terminal.lines[3:])
    assert not terminal.screen.cursor.hidden


def test_validation_columns_are_absent_without_validation() -> None:
    terminal = Terminal(120, 24)
    display = LiveDisplay(terminal.console)
    runs = make_runs(2)
    accuracy = Objective("accuracy", "max")
    display.on_sweep_start(make_overview(runs, objective=accuracy))
    train(display, runs[0], [0.5], validated=False)
    refresh(display)
    assert "val" not in terminal.text
    assert "acc ↑" in terminal.text
    display.close()


def test_time_left_is_a_dash_until_it_is_known() -> None:
    terminal = Terminal(120, 24)
    display = LiveDisplay(terminal.console)
    runs = make_runs(2)
    display.on_sweep_start(make_overview(runs))
    display.on_run_start(runs[0], None)
    refresh(display)
    assert "0 of 6 epochs" in terminal.text
    assert "– left" in terminal.text
    display.close()


def test_display_goes_silent_when_the_terminal_dies() -> None:
    class Dead(io.StringIO):
        is_dead = False

        def write(self, text: str) -> int:
            if self.is_dead:
                raise OSError(errno.EIO, "input/output error")
            return super().write(text)

    stream = Dead()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=80, height=24))
    runs = make_runs(2)
    display.on_sweep_start(make_overview(runs))
    stream.is_dead = True
    display.on_run_start(runs[0], None)
    refresh(display)
    train(display, runs[0], [0.5])
    display.on_log("unseen")
    display.on_run_end(RunOutcome(runs[0].id, RunStatus.FAILED, "unseen"))
    display.close()


def test_table_redraws_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SHORTEST_PAUSE_S", 0.01)
    monkeypatch.setattr(live_module, "LONGEST_PAUSE_S", 0.02)
    terminal = Terminal(80, 24)
    display = LiveDisplay(terminal.console)
    runs = make_runs(2)
    display.on_sweep_start(make_overview(runs))
    display.on_run_start(runs[1], None)
    deadline = time.monotonic() + 10
    while "1 running" not in terminal.text and time.monotonic() < deadline:
        time.sleep(0.01)
    seen = terminal.text
    display.close()
    assert "1 running" in seen
    assert "val acc" not in terminal.text  # the table is gone
    assert not display._thread.is_alive()


def test_batches_cost_next_to_nothing() -> None:
    display = LiveDisplay(Terminal(80, 24).console)
    runs = make_runs(16)
    display.on_sweep_start(make_overview(runs))
    run_ids = [run.id for run in runs]
    before = time.thread_time()
    for done in range(20_000):
        display.on_batch_end(run_ids, 1, done, 20_000)
    cost = (time.thread_time() - before) / 20_000
    display.close()
    assert cost < 5e-6  # measured 1.2e-7 s; a batch takes some 1e-2 s


def test_active_run_among_the_best_is_shown_once() -> None:
    runs = make_runs(30)
    progress = SweepProgress(make_overview(runs))
    for run in runs[:4]:
        progress.run_started(run.id)
        train(progress, run, [0.5 + progress.epochs_done / 10])
    blocks = [[row.number for row in block] for block in choose_rows(progress, 15)]
    assert blocks == [[4, 3, 2], [1]]


def test_rows_of_a_search_are_added_round_by_round() -> None:
    terminal = Terminal(100, 24)
    display = LiveDisplay(terminal.console)
    runs = make_runs(4)
    display.on_sweep_start(make_overview([], to_come=40))
    refresh(display)
    assert terminal.lines[0] == "fashion  0 of 40 runs · cpu · runs/fashion"
    assert terminal.lines[5] == "40 to come"
    assert "  0%  0 of – epochs, 0.00 s so far, – left" in terminal.lines[7]
    display.on_trials_added(runs[:2], 38)
    train(display, runs[0], [0.6, 0.7, 0.8])
    display.on_run_end(RunOutcome(runs[0].id, RunStatus.FINISHED))
    refresh(display)
    assert terminal.lines[0] == "fashion  2 of 40 runs · cpu · runs/fashion"
    assert [line.split()[:2] for line in terminal.lines[4:6]] == [["★", "1"], ["2", "waiting"]]
    assert terminal.lines[7] == "1 waiting, 1 finished, 38 to come"
    display.on_trials_added(runs, 36)
    refresh(display)
    assert [line.split()[:2] for line in terminal.lines[4:8]] == [
        ["★", "1"],  # known already, and left as it is
        *(["2", "waiting"], ["3", "waiting"], ["4", "waiting"]),
    ]
    assert terminal.lines[9] == "3 waiting, 1 finished, 36 to come"
    assert " 3 of 120 epochs" in terminal.lines[11]
    display.on_trials_added([], 0)  # the search ends sooner
    refresh(display)
    assert terminal.lines[0] == "fashion  4 runs · cpu · runs/fashion"
    assert " 3 of 12 epochs" in terminal.lines[11]
    display.close()


def test_rows_are_not_added_while_a_frame_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    display = LiveDisplay(Terminal(80, 24).console)
    display.on_sweep_start(make_overview([], to_come=2))
    seen: list[tuple[int, bool]] = []
    monkeypatch.setattr(
        display._progress, "runs_added", lambda _runs, to_come: seen.append((to_come, display._lock.locked()))
    )
    display.on_trials_added(make_runs(1), 1)
    display.close()
    assert seen == [(1, True)]


def test_runs_that_are_stopped_early_end_calmly() -> None:
    terminal = Terminal(100, 24)
    display = LiveDisplay(terminal.console)
    runs = make_runs(100)
    display.on_sweep_start(make_overview(runs))
    for position, run in enumerate(runs[:60]):
        if position < 50:
            display.on_run_start(run, None)
            train(display, run, [0.6, 0.5])
        display.on_run_end(RunOutcome(run.id, RunStatus.STOPPED, "epoch 2: val_accuracy 0.495 is below 0.72"))
    refresh(display)
    # No line above the table, no block of its own within: the best, and how many there are beside them.
    assert terminal.lines[0].startswith("fashion")
    shown = [line.split()[:3] for line in terminal.lines[4:] if "/3" in line and "epoch" not in line]
    assert shown == [["★", "1", "stopped"], ["2", "stopped", "0.01"], ["3", "stopped", "0.001"]]
    assert "+ 40 waiting, 57 stopped" in terminal.lines
    # 50 stopped after 2 epochs, 10 before the first; 40 with 3 to come
    assert " 100 of 220 epochs" in terminal.text
    assert "below" not in terminal.text
    display.close()
    assert terminal.lines[0].startswith("sweep fashion: 40 waiting, 60 stopped, in ")


def test_setting_that_a_run_has_no_use_for_is_a_dash() -> None:
    terminal = Terminal(100, 24)
    display = LiveDisplay(terminal.console)
    params = (
        {"optimizer": "sgd", "momentum": 0.9, "grad_clip": None},
        {"optimizer": "sgd", "momentum": 0.95, "grad_clip": 1.0},
        {"optimizer": "adam", "momentum": None, "grad_clip": 1.0},
        {"optimizer": "adam"},
    )
    runs = [make_run(number, setting) for number, setting in enumerate(params, start=1)]
    display.on_sweep_start(make_overview(runs, columns=("optimizer", "momentum", "grad_clip")))
    refresh(display)
    # Numbers are aligned as if the dashes were not there.
    assert [line[:49] for line in terminal.lines[2:8] if "─" not in line] == [
        "   run  status   optimizer  momentum  grad_clip  ",
        "     1  waiting  sgd            0.9   none       ",
        "     2  waiting  sgd            0.95  1          ",
        "     3  waiting  adam              –  1          ",
        "     4  waiting  adam              –  –          ",
    ]
    display.on_run_end(RunOutcome(runs[3].id, RunStatus.FAILED, "killed"))
    assert terminal.lines[0] == "run 4/4 optimizer=adam  failed: killed"
    display.close()
