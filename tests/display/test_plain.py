import io

import pytest
from sweeps_by_hand import make_overview, make_record, make_run, make_runs

from cnnsweep.display.choose import choose_display
from cnnsweep.display.live import LiveDisplay
from cnnsweep.display.plain import PlainDisplay, QuietDisplay
from cnnsweep.records import RunOutcome, RunStatus


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_every_line_of_a_small_sweep() -> None:
    stream = io.StringIO()
    runs = make_runs(2, epochs=2)
    display = PlainDisplay(stream)
    display.sweep_started(make_overview(runs))
    display.run_started(runs[0].id)
    display.batches_done([runs[0].id], 1, 1, 2)
    display.epoch_ended(make_record(runs[0], 1, 0.851), True)
    display.epoch_ended(make_record(runs[0], 2, 0.8), False)
    display.run_ended(RunOutcome(runs[0].id, RunStatus.FINISHED))
    display.run_started(runs[1].id)
    display.epoch_ended(make_record(runs[1], 1, float("nan")), False)
    display.run_ended(RunOutcome(runs[1].id, RunStatus.DIVERGED, "loss is not finite"))
    display.message("TensorBoard cannot be written: disk full")
    display.close()
    display.close()
    first, second = "run 1/2 lr=0.1 batch_size=100 shuffle=true", "run 2/2 lr=0.01 batch_size=100 shuffle=false"
    lines = stream.getvalue().splitlines()
    left = lines[4][lines[4].index("  (about") :]
    elapsed = lines[9][lines[9].rindex(", in ") :]
    # -ln 0.851 = 0.16134, times 1.05 = 0.16941; -ln 0.8 = 0.22314, 0.23430
    assert lines == [
        "sweep fashion: 2 runs, 4 epochs, on cpu, in runs/fashion",
        f"{first}  starts",
        f"[1/4] {first}  epoch 1/2  loss 0.1613  acc 0.8510  val_loss 0.1694  val_acc 0.8460  1.3 s  best",
        f"[2/4] {first}  epoch 2/2  loss 0.2231  acc 0.8000  val_loss 0.2343  val_acc 0.7950  1.3 s",
        f"{first}  finished in 2.6 s, best val_accuracy 0.8460 in epoch 1{left}",
        f"{second}  starts",
        f"[3/4] {second}  epoch 1/2  loss nan  acc nan  val_loss nan  val_acc nan  1.3 s",
        f"{second}  diverged: loss is not finite",
        "TensorBoard cannot be written: disk full",
        f"sweep fashion: 1 finished, 1 diverged{elapsed}",
    ]
    assert left == "  (about 1 s left)"  # the clock of this test hardly moves
    assert elapsed.endswith(" s")


def test_validation_is_not_mentioned_where_there_is_none() -> None:
    stream = io.StringIO()
    runs = make_runs(1)
    display = PlainDisplay(stream)
    display.sweep_started(make_overview(runs))
    display.epoch_ended(make_record(runs[0], 1, 0.5, validated=False), True)
    assert "val" not in stream.getvalue()


def test_resumed_sweep_says_where_it_goes_on() -> None:
    stream = io.StringIO()
    runs = make_runs(2)
    display = PlainDisplay(stream)
    display.sweep_started(make_overview(runs, history={runs[1].id: [make_record(runs[1], 1, 0.5)]}))
    display.run_started(runs[1].id)
    assert stream.getvalue().splitlines() == [
        "sweep fashion: 2 runs, 6 epochs, on cpu, in runs/fashion; 1 epoch done before",
        "run 2/2 lr=0.01 batch_size=100 shuffle=false  starts again after epoch 1",
    ]


@pytest.mark.parametrize("display_type", [PlainDisplay, QuietDisplay])
def test_hostile_names_leave_no_escape_and_no_extra_line(display_type: type) -> None:
    stream = io.StringIO()
    run = make_run(1, {"note": "\x1b[2J\nforged line\u202e"})
    display = display_type(stream)
    display.sweep_started(make_overview([run], columns=("note",), name="\x1b]0;x\x07"))
    display.run_started(run.id)
    display.epoch_ended(make_record(run, 1, 0.5), True)
    display.run_ended(RunOutcome(run.id, RunStatus.FAILED, "cause\x1b[31m\nforged"))
    display.message("note\x9b31m")
    display.close()
    assert all(line.isprintable() for line in stream.getvalue().split("\n"))
    assert not any(line.startswith("forged") for line in stream.getvalue().splitlines())


def test_quiet_display_writes_failures_and_messages_only() -> None:
    stream = io.StringIO()
    runs = make_runs(2)
    display = QuietDisplay(stream)
    display.sweep_started(make_overview(runs))
    for run in runs:
        display.run_started(run.id)
        display.epoch_ended(make_record(run, 1, 0.5), True)
    display.run_ended(RunOutcome(runs[0].id, RunStatus.FINISHED))
    display.run_ended(RunOutcome(runs[1].id, RunStatus.FAILED, "killed"))
    display.message("a note")
    display.close()
    assert stream.getvalue() == "run 2/2 lr=0.01 batch_size=100 shuffle=false  failed: killed\na note\n"


def test_terminal_gets_the_live_table_and_everything_else_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(choose_display(False, Tty()), LiveDisplay)
    assert isinstance(choose_display(False, io.StringIO()), PlainDisplay)
    assert isinstance(choose_display(True, Tty()), QuietDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choose_display(False, Tty()), PlainDisplay)
