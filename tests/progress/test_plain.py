import dataclasses
import io

import pytest
from sweeps_by_hand import Epoch, make_overview, make_record, make_run, make_runs, train

from cnnsweep.metrics.objective import BEST, LAST, Objective, mean_of_last
from cnnsweep.progress.choose import choose_display
from cnnsweep.progress.live import LiveDisplay
from cnnsweep.progress.plain import PlainDisplay, QuietDisplay
from cnnsweep.types import RunOutcome, RunStatus


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_every_line_of_a_small_sweep() -> None:
    stream = io.StringIO()
    runs = make_runs(2, epochs=2)
    display = PlainDisplay(stream)
    display.on_sweep_start(make_overview(runs))
    display.on_run_start(runs[0], None)
    display.on_batch_end([runs[0].id], 1, 1, 2)
    train(display, runs[0], [0.851, 0.8])
    display.on_run_end(RunOutcome(runs[0].id, RunStatus.FINISHED))
    display.on_run_start(runs[1], None)
    train(display, runs[1], [float("nan")])
    display.on_run_end(RunOutcome(runs[1].id, RunStatus.DIVERGED, "loss is not finite"))
    display.on_log("TensorBoard cannot be written: disk full")
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


def test_the_line_of_an_epoch_has_the_usual_metrics_and_the_deciding_one() -> None:
    stream, runs, macro = io.StringIO(), make_runs(1), "val_macro_f1"
    display = PlainDisplay(stream)
    display.on_sweep_start(make_overview(runs, ("lr",), Objective(macro, "max")))
    record = make_record(runs[0], 1, 0.851)
    record = dataclasses.replace(record, metrics={**record.metrics, "macro_f1": 0.7, macro: 0.75, "val_kappa": 0.5})
    display.on_epoch_end([Epoch(record)])
    line = stream.getvalue().splitlines()[-1]
    assert line == (
        "[1/3] run 1/1 lr=0.1  epoch 1/3  loss 0.1613  acc 0.8510  val_loss 0.1694  val_acc 0.8460  "
        "val_macro_f1 0.7500  1.3 s  best"
    )


def test_validation_is_not_mentioned_where_there_is_none() -> None:
    stream = io.StringIO()
    runs = make_runs(1)
    display = PlainDisplay(stream)
    accuracy = Objective("accuracy", "max")
    display.on_sweep_start(make_overview(runs, objective=accuracy))
    train(display, runs[0], [0.5], validated=False)
    assert "val" not in stream.getvalue()


def test_resumed_sweep_says_where_it_goes_on() -> None:
    stream = io.StringIO()
    runs = make_runs(2)
    display = PlainDisplay(stream)
    display.on_sweep_start(make_overview(runs, history={runs[1].id: [make_record(runs[1], 1, 0.5)]}))
    display.on_run_start(runs[1], None)
    assert stream.getvalue().splitlines() == [
        "sweep fashion: 2 runs, 6 epochs, on cpu, in runs/fashion; 1 epoch done before",
        "run 2/2 lr=0.01 batch_size=100 shuffle=false  starts again after epoch 1",
    ]


@pytest.mark.parametrize("display_type", [PlainDisplay, QuietDisplay])
def test_hostile_names_leave_no_escape_and_no_extra_line(display_type: type) -> None:
    stream = io.StringIO()
    run = make_run(1, {"note": "\x1b[2J\nforged line\u202e"})
    display = display_type(stream)
    display.on_sweep_start(make_overview([run], columns=("note",), name="\x1b]0;x\x07"))
    display.on_run_start(run, None)
    train(display, run, [0.5])
    display.on_run_end(RunOutcome(run.id, RunStatus.FAILED, "cause\x1b[31m\nforged"))
    display.on_log("note\x9b31m")
    display.close()
    assert all(line.isprintable() for line in stream.getvalue().split("\n"))
    assert not any(line.startswith("forged") for line in stream.getvalue().splitlines())


def test_quiet_display_writes_failures_and_messages_only() -> None:
    stream = io.StringIO()
    runs = make_runs(2)
    display = QuietDisplay(stream)
    display.on_sweep_start(make_overview(runs))
    for run in runs:
        display.on_run_start(run, None)
        train(display, run, [0.5])
    display.on_run_end(RunOutcome(runs[0].id, RunStatus.FINISHED))
    display.on_run_end(RunOutcome(runs[1].id, RunStatus.FAILED, "killed"))
    display.on_log("a note")
    display.close()
    assert stream.getvalue() == "run 2/2 lr=0.01 batch_size=100 shuffle=false  failed: killed\na note\n"


def test_terminal_gets_the_live_table_and_everything_else_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(choose_display(False, Tty()), LiveDisplay)
    assert isinstance(choose_display(False, io.StringIO()), PlainDisplay)
    assert isinstance(choose_display(True, Tty()), QuietDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choose_display(False, Tty()), PlainDisplay)


@pytest.mark.parametrize(
    ("scope", "marks", "ends"),
    [
        # The second run's first epoch leads; by `best` no later one of it is better.
        (BEST, [[1, 2], [1]], ["best val_accuracy 0.6950 in epoch 2", "best val_accuracy 0.7950 in epoch 1"]),
        # Its second epoch is its last one then, and it does not lead any more.
        (LAST, [[1, 2, 3], [1]], ["last val_accuracy 0.6750 in epoch 3", "last val_accuracy 0.5950 in epoch 3"]),
        # 0.595, 0.645, 0.685 against 0.795, 0.7, 0.6
        (
            mean_of_last(2),
            [[1, 2, 3], [1, 2]],
            ["val_accuracy 0.6850 (mean of last 2)", "val_accuracy 0.6000 (mean of last 2)"],
        ),
    ],
)
def test_best_stands_only_where_the_run_leads(scope: str, marks: list[list[int]], ends: list[str]) -> None:
    stream = io.StringIO()
    runs = make_runs(2)
    objective = Objective("val_accuracy", "max", scope)
    display = PlainDisplay(stream)
    display.on_sweep_start(make_overview(runs, objective=objective))
    for run, accuracies in zip(runs, ((0.6, 0.7, 0.68), (0.8, 0.61, 0.6)), strict=True):
        train(display, run, accuracies)
        display.on_run_end(RunOutcome(run.id, RunStatus.FINISHED))
    lines = stream.getvalue().splitlines()
    for run, expected in zip(("run 1/2", "run 2/2"), marks, strict=True):
        epochs = [line for line in lines if f"] {run}" in line]
        assert [number for number, line in enumerate(epochs, start=1) if line.endswith("  best")] == expected
    finished = [line.split("  (about")[0] for line in lines if "finished" in line]
    assert [line.split(" s, ", 1)[1] for line in finished] == ends


def test_run_that_is_stopped_early_says_why() -> None:
    stream = io.StringIO()
    runs = make_runs(3)
    display = PlainDisplay(stream)
    display.on_sweep_start(make_overview(runs))
    display.on_run_start(runs[0], None)
    train(display, runs[0], [0.62, 0.61])
    cause = "epoch 2: val_accuracy 0.605 is below 0.72, top 1/3 of 9 trials at epoch 2"
    display.on_run_end(RunOutcome(runs[0].id, RunStatus.STOPPED, cause))
    display.on_run_end(RunOutcome(runs[1].id, RunStatus.STOPPED, "the budget is used up"))
    display.on_run_end(RunOutcome(runs[2].id, RunStatus.STOPPED, "the budget\nis used up"))
    display.close()
    lines = stream.getvalue().splitlines()
    assert lines[4].startswith(
        f"run 1/3 lr=0.1 batch_size=100 shuffle=true  stopped in 2.6 s, best val_accuracy 0.6150 in epoch 1; "
        f"after {cause}  (about "
    )
    assert lines[5].startswith("run 2/3 lr=0.01 batch_size=100 shuffle=false  stopped: the budget is used up  (about ")
    # Nothing is left.
    assert lines[6] == "run 3/3 lr=0.001 batch_size=100 shuffle=true  stopped: the budget\\nis used up"
    assert lines[7].startswith("sweep fashion: 3 stopped, in ")


def test_search_says_how_many_runs_there_are_of_how_many() -> None:
    stream = io.StringIO()
    runs = make_runs(3)
    display = PlainDisplay(stream)
    display.on_sweep_start(make_overview([], to_come=40))
    display.on_trials_added(runs[:2], 38)
    display.on_run_start(runs[1], None)
    train(display, runs[1], [0.5])
    display.on_trials_added(runs, 1)
    display.on_run_start(runs[2], None)
    display.close()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "sweep fashion: 0 of 40 runs, on cpu, in runs/fashion"
    assert lines[1] == "run 2/40 lr=0.01 batch_size=100 shuffle=false  starts"
    assert lines[2].startswith("[  1/120] run 2/40 ")
    assert lines[3] == "run 3/4 lr=0.001 batch_size=100 shuffle=true  starts"
    assert lines[4].startswith("sweep fashion: 1 waiting, 2 running, 1 to come, in ")


def test_resumed_search_knows_the_runs_there_are() -> None:
    stream = io.StringIO()
    runs = make_runs(12)
    display = PlainDisplay(stream)
    display.on_sweep_start(make_overview(runs, history={runs[1].id: [make_record(runs[1], 1, 0.5)]}, to_come=28))
    assert stream.getvalue() == (
        "sweep fashion: 12 of 40 runs, about 120 epochs, on cpu, in runs/fashion; 1 epoch done before\n"
    )


def test_sweep_that_ends_before_its_first_run_says_so() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.on_sweep_start(make_overview([]))
    display.close()
    assert stream.getvalue().splitlines()[1] == "sweep fashion: no runs, in 0.00 s"


def test_quiet_display_names_a_failed_run_of_a_later_round_and_no_stopped_one() -> None:
    stream = io.StringIO()
    runs = make_runs(2)
    display = QuietDisplay(stream)
    display.on_sweep_start(make_overview(runs[:1], to_come=9))
    display.on_trials_added(runs[1:], 8)
    display.on_run_end(RunOutcome(runs[0].id, RunStatus.STOPPED, "below the rest"))
    display.on_run_end(RunOutcome(runs[1].id, RunStatus.FAILED, "killed"))
    assert stream.getvalue() == "run 2/10 lr=0.01 batch_size=100 shuffle=false  failed: killed\n"
