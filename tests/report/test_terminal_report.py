import subprocess
import sys
import time
from pathlib import Path

import pytest
from results_by_hand import fail_run, load, make_content, make_replicates, show

from cnnsweep.analysis.chart_batches import load_batch_losses
from cnnsweep.analysis.results import load_results
from cnnsweep.errors import ResultsError, UsageError
from cnnsweep.report.curves import Curve, Plot, draw_plot, nice_ticks, spread
from cnnsweep.report.terminal import final_summary, render_report, render_run
from cnnsweep.report.trial import find_run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reports name files as they were given, so they are given relative to here."""
    monkeypatch.chdir(tmp_path)
    return Path("fashion")


def test_whole_report_of_a_sweep_with_a_failure_at_80_columns(folder: Path) -> None:
    content = make_content({"lr": [0.01, 0.001], "shuffle": [True, False]}, epochs=1)
    fail_run(content, 4, cause="loss is not finite in epoch 1, batch 12")
    results = load(folder, content)
    assert (
        show(lambda console: render_report(results, console))
        == """\
fashion  lenet on fashion_mnist
4 runs: 3 finished, 1 diverged
5.0 s of training on cpu, 2 threads, fp32
Ranked by val_accuracy, higher is better; each run at its best epoch.

   #     lr  shuffle  epoch    loss     acc  val loss  val acc ↑  status
────────────────────────────────────────────────────────────────────────────────
★  1  0.01   true       1/1  0.5000  0.8100    0.6000     0.8000  finished
   2  0.01   false      1/1  0.5005  0.8090    0.6005     0.7990  finished
   3  0.001  true       1/1  0.5050  0.8000    0.6050     0.7900  finished
   –  0.001  false      1/1       –       –         –          –  diverged: los…
One run per trial: differences may be noise of the seed; check with `seeds: 5`.

best        lr=0.01, shuffle=true
            val_accuracy 0.8000, loss 0.5000, accuracy 0.8100,
            val_loss 0.6000 in epoch 1 of 1
checkpoint  fashion/run-1/best.safetensors
test it     cnnsweep evaluate fashion

Failures
1 diverged: loss is not finite in epoch 1, batch 12
  lr=0.001 shuffle=false

Mean val_accuracy by trial  finished runs alone; bars from 0.7900 to 0.7995; ◂
best

lr             0.001  0.7900    ━━━                              1 run, 1 failed
spread 0.0095  0.01   0.7995 ◂  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  2 runs

shuffle        false  0.7990 ◂  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸   1 run, 1 failed
spread 0.0040  true   0.7950    ━━━━━━━━━━━━━━━━━━               2 runs
"""
    )


def test_final_summary_names_the_next_commands(folder: Path) -> None:
    results = load(folder, make_content({"lr": [0.01, 0.001]}))
    assert (
        show(lambda console: final_summary(results, console))
        == """\
   #     lr  epoch    loss     acc  val loss  val acc ↑  curve   time
─────────────────────────────────────────────────────────────────────
★  1  0.01     3/3  0.5000  0.8100    0.6000     0.8000  ▂▅█    3.8 s
   2  0.001    3/3  0.5050  0.8000    0.6050     0.7900  ▁▄▇    3.8 s
One run per trial: differences may be noise of the seed; check with `seeds: 5`.

best        lr=0.01
            val_accuracy 0.8000, loss 0.5000, accuracy 0.8100,
            val_loss 0.6000 in epoch 3 of 3
checkpoint  fashion/run-1/best.safetensors
test it     cnnsweep evaluate fashion

report      cnnsweep report fashion
curves      tensorboard --logdir fashion
"""
    )


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_of_the_tables_is_wider_than_the_terminal(folder: Path, width: int) -> None:
    content = make_content()
    fail_run(content, 3, cause="a cause that is too long for any column " * 5)
    report = show(lambda console: render_report(load(folder, content), console), width)
    # Paths and commands stay whole, so that they can be copied.
    unbroken = ("best  ", "checkpoint  ", "test it  ", " " * 12 + "val_accuracy 0")
    assert all(len(line) <= width for line in report.splitlines() if not line.startswith(unbroken))
    assert "val acc ↑" in report
    assert report.count("val_accuracy by epoch") == 1
    assert "1 ━━ lr=0.01 batch_size=100 shuffle=true" in report


def test_settings_without_room_are_named(folder: Path) -> None:
    content = make_content({f"setting_{n}": [1, 2] for n in range(8)}, epochs=1)
    report = show(lambda console: render_report(load(folder, content), console), 60)
    assert "too narrow for setting_" in report


def test_single_run_is_shown_by_name_and_all_settings(folder: Path) -> None:
    report = show(lambda console: render_report(load(folder, make_content({"lr": [0.1]})), console))
    assert "★  1  run-1    3/3" in report
    assert "best        lr=0.1, epochs=3, optimizer=adam" in report
    assert "Mean" not in report


def test_sweep_in_which_everything_diverged_has_no_best_run(folder: Path) -> None:
    content = make_content()
    for number in range(1, 9):
        fail_run(content, number)
    content["sweep"]["best"] = None
    report = show(lambda console: render_report(load(folder, content), console))
    assert "8 runs: 8 diverged" in report
    assert "No run has a metric to rank by." in report
    assert "8 diverged: loss is not finite" in report
    assert "… and 5 more" in report
    assert "evaluate" not in report
    assert "by epoch" not in report


def test_sweep_that_has_just_started_can_be_shown(folder: Path) -> None:
    content = make_content({"lr": [1, 2]})
    content["sweep"].update(status="running", best=None, duration=0.0)
    content["epochs"] = []
    for run in content["runs"]:
        run.update(status="waiting", epochs_done=0, best_epoch=None, checkpoint=None, run_duration=0.0)
        run.update(loss=None, accuracy=None, val_loss=None, val_accuracy=None)
    report = show(lambda console: render_report(load(folder, content), console))
    assert "2 runs: 2 waiting; the sweep is running" in report
    assert "No run has a metric yet." in report


def test_sweep_without_runs_can_be_shown(folder: Path) -> None:
    content = make_content({"lr": [1]})
    content["sweep"]["best"] = None
    content.update(runs=[], epochs=[])
    assert "0 runs" in show(lambda console: render_report(load(folder, content), console))


def test_selection_on_training_figures_is_said(folder: Path) -> None:
    content = make_content({"lr": [1, 2]})
    content["sweep"].update(metric="accuracy", validation=0)
    report = show(lambda console: render_report(load(folder, content), console), 120)
    assert "Selected by training metrics, measured while the weights moved" in report
    assert "\nloss by epoch" not in report  # side by side
    assert "accuracy by epoch" in report
    assert "val_accuracy by epoch" not in report


def test_top_limits_the_table_and_says_how_to_see_all(folder: Path) -> None:
    results = load(folder, make_content({"lr": list(range(1, 31))}, epochs=1))
    assert "… and 10 more: --top 0 shows all" in show(lambda console: render_report(results, console))
    assert "… and 28 more: --top 0 shows all" in show(lambda console: render_report(results, console, top=2))
    assert "--top" not in show(lambda console: render_report(results, console, top=0))


def test_unknown_sort_column_prints_nothing_else(folder: Path) -> None:
    results = load(folder, make_content({"lr": [1]}))
    printed = []

    def render(console: object) -> None:
        with pytest.raises(UsageError, match="no column 'speed'"):
            render_report(results, console, sort="speed")  # type: ignore[arg-type]

    printed.append(show(render))
    assert printed == ["\n"]


def test_hostile_names_and_causes_are_shown_escaped(folder: Path) -> None:
    content = make_content({"note": ["\x1b[31mred", "[/]", "\u202eevil"], "x[/]": [1, 2]})
    content["sweep"].update(name="\x1b]0;owned\x07[bold]x", description="[red]d\n", model="\x9b31m", device="\x1bc")
    fail_run(content, 1, cause="\x1b[2J[/] boom")
    for row in (content["runs"][3], *(row for row in content["epochs"] if row["run"] == "run-4")):
        row["run"] = "[x]\x1b[5m ;rm"
    content["runs"][3]["checkpoint"] = "[x]\x1b[5m ;rm/best.safetensors"
    content["sweep"]["best"] = "[x]\x1b[5m ;rm"
    results = load(folder, content)
    for text in (
        show(lambda console: render_report(results, console), 120),
        show(lambda console: final_summary(results, console), 120),
        show(lambda console: render_run(results, "[x]\x1b[5m ;rm", console), 120),
        show(lambda console: render_run(results, "run-1", console), 120),
    ):
        assert all(line.isprintable() for line in text.splitlines())
    report = show(lambda console: render_report(results, console), 120)
    assert "\\x1b]0;owned\\x07[bold]x  \\x9b31m on fashion_mnist" in report
    assert "diverged: \\x1b[2J[/] boom" in report
    assert "checkpoint  fashion/[x]\\x1b[5m ;rm/best.safetensors" in report


def test_ten_thousand_runs_are_read_ranked_and_shown_in_five_seconds(folder: Path) -> None:
    axes = {"lr": [0.1 / n for n in range(1, 101)], "batch_size": list(range(10, 110, 10)), "seed": list(range(10))}
    load(folder, make_content(axes, epochs=2))
    before = time.process_time()
    report = show(lambda console: render_report(load_results(folder), console))
    assert time.process_time() - before < 5  # measured 1.5 to 2 s
    assert "… and 9,980 more: --top 0 shows all" in report
    assert "… 92 worse" in report


def test_two_thousand_drawn_settings_of_five_seeds_are_shown_in_five_seconds(folder: Path) -> None:
    axes = {"lr": [0.1 / n for n in range(1, 2001)]}
    figures = {n: [0.9 - n / 1e4 + seed / 1e3 for seed in range(5)] for n in range(1, 2001)}
    content = make_replicates({"lr": [1]}, {1: [0.0]})
    run, row = content["runs"][0], content["epochs"][-1]
    content["runs"], content["epochs"] = [], []
    for n, lr in enumerate(axes["lr"], start=1):
        for seed in range(5):
            own = {"run": f"run-{n}-{seed}", "lr": lr, "seed": seed, "val_accuracy": figures[n][seed]}
            content["runs"].append({**run, **own, "id": f"{n}-{seed}", "configuration": f"c{n}"})
            content["epochs"].append({**row, **own})
    content["sweep"].update(best="run-1-4", axes=["lr", "seed"])
    load(folder, content)
    before = time.process_time()
    report = show(lambda console: render_report(load_results(folder), console))
    assert time.process_time() - before < 5  # measured 0.8 s
    assert "10,000 runs of 2,000 trials" in report
    assert "… and 1,980 more: --top 0 shows all" in report


def test_report_imports_nothing_heavy() -> None:
    code = (
        "import sys; import cnnsweep.report.terminal, cnnsweep.report.export, cnnsweep.progress.choose; "
        "print([name for name in ('torch', 'pandas', 'numpy', 'plotext') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_one_run_shows_settings_epochs_and_batch_losses(folder: Path) -> None:
    results = load(folder, make_content())
    (folder / "run-1").mkdir()
    rows = "".join(f"{1 + n // 500},{n % 500},{2.0 - n / 1000}\n" for n in range(1000))
    (folder / "run-1" / "batch_loss.csv").write_text("epoch,step,loss\n" + rows)
    report = show(lambda console: render_run(results, "run-1", console))
    assert report.startswith("""\
run-1  finished  ★ best of the sweep
3 epochs in 3.8 s, 44,426 parameters

lr 0.01          batch_size 100   shuffle true   epochs 3
optimizer adam

   epoch    loss     acc  val loss  val acc ↑   time
────────────────────────────────────────────────────
       1  0.5500  0.7100    0.6500     0.7000  1.2 s
       2  0.5250  0.7600    0.6250     0.7500  1.2 s
★      3  0.5000  0.8100    0.6000     0.8000  1.2 s
""")
    assert "accuracy by epoch (t training, v validation)" in report
    assert "loss by batch (means of 2)" in report  # 1000 batches, 600 points at most


def test_one_run_that_failed_at_once_shows_its_cause(folder: Path) -> None:
    content = make_content({"lr": [1, 2]})
    fail_run(content, 2, "failed", "out of memory")
    report = show(lambda console: render_run(load(folder, content), "run-2", console))
    assert report.startswith("run-2  failed: out of memory\n1 of 3 epochs in 3.8 s")
    assert "by batch" not in report


def test_run_is_found_by_name_id_or_an_unambiguous_beginning(folder: Path) -> None:
    content = make_content({"lr": [1, 2, 3]})
    content["runs"][2]["run"] = "other"
    content["epochs"] = []
    results = load(folder, content)
    assert find_run(results, "run-2").name == "run-2"
    assert find_run(results, "0000000000000003").name == "other"
    assert find_run(results, "ot").name == "other"
    with pytest.raises(UsageError) as caught:
        find_run(results, "run")
    assert str(caught.value) == "2 runs begin with 'run': run-1, run-2; give more of the name"
    with pytest.raises(UsageError) as caught:
        find_run(results, "othr")
    assert str(caught.value) == "no run 'othr' in sweep 'fashion'; did you mean 'other'?"
    with pytest.raises(UsageError):
        find_run(results, "")


def test_batch_losses_are_read_and_what_is_not_finite_is_nan(tmp_path: Path) -> None:
    file = tmp_path / "batch_loss.csv"
    assert load_batch_losses(file) == []
    file.write_text("epoch,step,loss\n1,1,0.5\n1,2,\n1,3,nan\n1,4,inf\n")
    losses = load_batch_losses(file)
    assert losses[0] == 0.5
    assert str(losses) == "[0.5, nan, nan, inf]"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"epoch,step,loss\n1,1,0.5\n1,2,low\n", ":3  'low' is not a loss"),
        (b"epoch,step,loss\n1,1\n", ":2  has no loss"),
        (b"a,b\n1,2\n", ":2  has no loss"),
        (b"epoch,step,loss\n1,1,\xff\n", ": is not UTF-8 text"),
    ],
)
def test_damaged_batch_losses_are_refused_with_their_line(tmp_path: Path, raw: bytes, expected: str) -> None:
    file = tmp_path / "batch_loss.csv"
    file.write_bytes(raw)
    with pytest.raises(ResultsError) as caught:
        load_batch_losses(file)
    assert str(caught.value).replace(str(tmp_path), "F") == f"F/batch_loss.csv{expected}; expected rows epoch,step,loss"


def test_ticks_are_round_and_within_the_limits() -> None:
    assert nice_ticks(0.7, 0.8, 5) == [0.7, 0.72, 0.74, 0.76, 0.78, 0.8]
    assert nice_ticks(1, 3, 10, whole=True) == [1, 2, 3]
    assert nice_ticks(1, 100, 5, whole=True) == [20, 40, 60, 80, 100]
    assert nice_ticks(0.001, 0.0011, 4) == [0.001, 0.00105, 0.0011]


def test_labels_are_kept_apart_in_their_order() -> None:
    assert spread([5.0, 5.0, 1.0], gap=1, low=0, high=10) == [5, 6, 1]
    assert spread([10.0, 9.9, 9.8], gap=1, low=0, high=10) == [10, 9, 8]
    assert spread([0.0, 0.0], gap=1, low=0, high=10) == [0, 1]


@pytest.mark.parametrize(
    ("xs", "ys"),
    [((1.0, 2.0), (3.0, 3.0)), ((1.0,), (0.0,)), ((1.0, 2.0), (1e-12, 1e12)), ((1.0, 1e6), (-5.0, -5e-9))],
)
def test_curves_of_any_scale_can_be_drawn(xs: tuple[float, ...], ys: tuple[float, ...]) -> None:
    text = draw_plot(Plot("title", (Curve("1", xs, ys, "green"),)), 60)
    lines = text.plain.splitlines()
    assert len(lines) == 13
    assert max(map(len, lines)) <= 60
    assert "title" in lines[0]
    assert any(line.rstrip().endswith("1") for line in lines[1:11])
