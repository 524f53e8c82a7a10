"""Every view of a sweep says the same: how far each run is, how the runs stand, how long it took, which is the best."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from results_by_hand import show
from small_sweeps import sweep, tables

from cnnsweep.analysis.compare_sources import load_sources
from cnnsweep.analysis.results import Results, load_results
from cnnsweep.analysis.trials import group_trials
from cnnsweep.formatting.numbers import duration_text
from cnnsweep.html.page import render_page
from cnnsweep.html.run_table import run_table
from cnnsweep.plots.save import make_drawings
from cnnsweep.plots.style import SLIDE
from cnnsweep.progress.journal_events import overview
from cnnsweep.progress.plain import PlainDisplay
from cnnsweep.progress.sweep_monitor import SweepMonitor
from cnnsweep.progress.watch import watch
from cnnsweep.report.export import to_csv, to_json, to_markdown
from cnnsweep.report.terminal import render_report, render_run
from cnnsweep.storage.paths import SweepPaths

BASE = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 200, test: 12}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: []}
tensorboard: false
"""
GRID = BASE + "params: {lr: [0.03, 0.02, 0.01], batch_size: 60, epochs: 40}\n"
# Without `epochs` in the file no column says how many there will be.
DEFAULT_EPOCHS = BASE + "params: {lr: [0.03, 0.02], batch_size: 60}\n"
RUNGS = (
    BASE
    + "params: {lr: [0.1, 0.03, 0.01, 1.0e-9], batch_size: 60, epochs: 9}\nearly_stop: {method: halving, factor: 2}\n"
)
SEARCH = (
    BASE + "params: {lr: {log_uniform: [1.0e-3, 0.1]}, batch_size: 60, epochs: 3}\nsearch: {method: random, runs: 4}\n"
)
BALANCED = (
    BASE + "metric: balanced_accuracy\nmetrics: [macro_f1, auroc]\n"
    "params: {lr: [0.1, 0.01, 1.0e-9], batch_size: 60, epochs: 4}\nearly_stop: {method: halving, factor: 2}\n"
)
BALANCED_SEARCH = (
    BASE + "metric: macro_f1\nparams: {lr: {log_uniform: [1.0e-3, 0.1]}, batch_size: 60, epochs: 4}\n"
    "search: {method: random, runs: 4}\nearly_stop: {method: halving, factor: 2}\n"
)
DIVERGING = BASE + "params: {lr: [0.03, 1.0e+30], optimizer: sgd, batch_size: 60, epochs: 3}\n"
LENGTHS = BASE + "params: {lr: [0.03, 0.02], batch_size: 60, epochs: [2, 5]}\n"


class Watched(PlainDisplay):
    """Plain lines, as a log has them; Ctrl-C comes after some epochs."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stream = io.StringIO()
        super().__init__(self.stream)
        self._left = stop_after

    def on_epoch_end(self, reports: Any) -> None:
        super().on_epoch_end(reports)
        for _ in reports if self._left is not None else ():
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt


def command(folder: Path, text: str, stop_after: int | None = None, fuse: str = "off") -> str:
    """Run one command, as a person does, and return the last line that it wrote."""
    display = Watched(stop_after)
    sweep(folder, text, display, fuse=fuse)
    display.close()
    return display.stream.getvalue().splitlines()[-1]


# By name, the commands: sweep file, and after how many epochs Ctrl-C comes.
SWEEPS: dict[str, list[tuple[str, int | None]]] = {
    "interrupted twice": [(GRID, 2), (GRID, 3)],
    "interrupted, no column": [(DEFAULT_EPOCHS, 1)],
    "resumed": [(LENGTHS, 3), (LENGTHS, None)],
    "stopped early": [(RUNGS, None)],
    "interrupted at a rung": [(RUNGS, 5)],
    "searched": [(SEARCH, 4), (SEARCH, None)],
    "edited": [(LENGTHS, None), (LENGTHS.replace("[0.03, 0.02]", "[0.02, 0.01]"), 4)],
    "by balanced accuracy": [(BALANCED, 5), (BALANCED, None)],
    "by macro F1, searched": [(BALANCED_SEARCH, 5), (BALANCED_SEARCH, None)],
    "nothing to do": [(DIVERGING, None), (DIVERGING, None)],
}


def swept(folder: Path, name: str) -> str:
    """Run a sweep's commands in a folder, and return what the last one ended with."""
    last = ""
    for text, stop_after in SWEEPS[name]:
        last = command(folder, text, stop_after)
    return last


def epochs_by_journal(folder: Path) -> dict[str, tuple[int, int]]:
    """How many epochs each run of the present sweep file has had, and was announced with; told by the lines alone."""
    done: dict[str, int] = {}
    planned: dict[str, int] = {}
    names: dict[str, str] = {}
    former: list[str] = []
    for event in map(json.loads, (folder / "journal.jsonl").read_text().splitlines()):
        if event["event"] == "sweep":
            former = event["former"]
        elif event["event"] == "run":
            names[event["run"]], planned[event["run"]] = event["name"], event["epochs"]
        elif event["event"] in ("epoch", "resumed"):
            done[event["run"]] = event["epoch"]
    return {names[run]: (done.get(run, 0), planned[run]) for run in names if run not in former}


def pairs(text: str) -> Counter[str]:
    """Every `2/40` of a text but those of a path, and of a rule such as `top 1/3`."""
    return Counter(re.findall(r"(?<!top )(?<![\w/.])\d+/\d+(?![\w/.])", text))


def once(folder: Path, width: int = 200) -> str:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setenv("LINES", "50")
        watch(folder, out, once=True)
    return out.getvalue()


def report(results: Results) -> str:
    return show(lambda console: render_report(results, console), 200)


@pytest.mark.parametrize("name", SWEEPS)
def test_all_views_of_a_sweep_agree(tmp_path, name):
    folder = tmp_path / "small"
    last = swept(folder, name)
    assert_agreement_on_how_far_each_run_is(folder)
    assert_agreement_on_the_time_that_it_took(folder, last)
    assert_agreement_on_how_the_runs_stand_and_on_the_best(folder, last)


def assert_agreement_on_how_far_each_run_is(folder: Path) -> None:
    expected = epochs_by_journal(folder)
    texts = Counter(f"{done}/{planned}" for done, planned in expected.values())
    results = load_results(folder)
    assert {run.name: (run.epochs_done, run.epochs_planned) for run in results.runs} == expected
    assert pairs(report(results).partition("Early stopping")[0]) == texts
    assert pairs(once(folder)) == texts
    rows = json.loads(to_json(results))["runs"]
    assert {row["run"]: (row["epochs_done"], row["epochs_planned"]) for row in rows if row["in_file"]} == expected
    lines = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert {line["run"]: (int(line["epochs_done"]), int(line["epochs_planned"])) for line in lines
            if line["in_file"] == "True"} == expected  # fmt: skip
    present = [line for line in to_markdown(results).splitlines() if "no longer" not in line]
    assert pairs("\n".join(present).replace("**", "")) == texts
    former = {run.name for run in results.former}
    html = "".join(row for row in run_table(results, folder).split("<tr") if not any(one in row for one in former))
    assert pairs(re.sub(r"<[^>]*>", " ", html)) == texts
    for run, (done, planned) in expected.items():
        words = show(lambda console, run=run: render_run(results, run, console), 200)
        assert (f"{done} of {planned} epochs in " in words) == (done != planned)
    monitor = SweepMonitor(SweepPaths(folder))
    monitor.poll()
    seen = overview(monitor.state, monitor.paths, str)
    assert {run.name: (len(seen.history.get(run.id, ())), run.epochs) for run in seen.runs} == expected


def assert_agreement_on_the_time_that_it_took(folder: Path, last: str) -> None:
    results = load_results(folder)
    assert results.sweep.elapsed is not None
    passed = duration_text(results.sweep.elapsed)
    training = duration_text(sum(run.run_duration or 0.0 for run in (*results.runs, *results.former)))
    assert f"{passed} in all, {training} of training" in report(results)
    assert last.endswith(f", in {passed}")
    assert re.search(rf" epochs(, {passed} so far| in {passed})", once(folder)), once(folder)


def assert_agreement_on_how_the_runs_stand_and_on_the_best(folder: Path, last: str) -> None:
    results = load_results(folder)
    counts = Counter(run.status.value for run in results.runs)
    words = [f"{count} {status}" for status, count in counts.items()]
    to_come = re.search(r"(\d+) to come", last)
    for one in words:
        assert one in last
        assert one in report(results)
        assert one in once(folder)
    assert sum(map(int, re.findall(r"(\d+) (?!to come)[a-z]+[,]", last))) == len(results.runs), (last, to_come)
    assert results.sweep.best in {run.name for run in results.runs}
    best = next(run for run in results.runs if run.name == results.sweep.best)
    starred = [line for line in report(results).splitlines() if line.startswith("★")]
    watched = [line for line in once(folder).splitlines() if line.startswith("★")]
    baseline = results.sweep.baseline
    value = best[results.sweep.metric]
    assert value is not None
    assert baseline is not None
    assert baseline.metric == results.sweep.metric
    assert len(starred) == len(watched) == (value > baseline.value)
    assert all(f"{value:.4f}" in line for line in (*starred, *watched))


@pytest.mark.parametrize("text", [BALANCED, BALANCED_SEARCH], ids=["halving", "search and halving"])
def test_all_views_of_seeds_agree_on_the_best_trial(text, tmp_path):
    folder = tmp_path / "small"
    command(folder, text + "seeds: 3\n", 5)
    command(folder, text + "seeds: 3\n")
    results = load_results(folder)
    metric = results.sweep.metric
    first, *others = [trial for trial in group_trials(results) if trial.estimate is not None]
    values = [run[metric] for run in first.runs]
    assert len(values) == 3
    assert first.estimate.mean == pytest.approx(sum(values) / 3)
    whole = [trial for trial in (first, *others) if not trial.was_cut_short]
    assert first.estimate.mean == max(trial.estimate.mean for trial in whole)
    assert results.sweep.best in {run.name for run in first.runs}
    assert results.sweep.baseline.is_beaten_by(first.estimate.mean)
    (starred,) = [line for line in report(results).splitlines() if line.startswith("★")]
    assert f"{first.estimate.mean:.4f}" in starred
    page = render_page(results, folder)
    assert f"{first.estimate.mean:.4f}" in page
    assert f"{metric} {results.sweep.baseline.value:.4f}" in page
    best = json.loads(to_json(results))["sweep"]["best"]
    assert best == results.sweep.best


def test_the_time_of_a_sweep_counts_no_pause_between_two_commands(tmp_path):
    folder = tmp_path / "small"
    command(folder, LENGTHS, 2)
    journal = folder / "journal.jsonl"
    first = load_results(folder).sweep.elapsed
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    command(folder, LENGTHS)
    again = [json.loads(line) for line in journal.read_text().splitlines()][len(events) :]
    times = [event["time"] for event in again if event["event"] in ("planned", "left")]
    assert first is not None
    second = (datetime.fromisoformat(times[-1]) - datetime.fromisoformat(times[0])).total_seconds()
    assert load_results(folder).sweep.elapsed == pytest.approx(first + second, abs=0.1)  # by the journal's own times


def test_a_run_that_the_file_no_longer_has_is_never_the_best(tmp_path):
    """The best of the first file is taken out: another is starred and tested, and it is listed apart."""
    folder = tmp_path / "small"
    text = BASE + "params: {lr: [0.03, 1.0e-6, 1.0e-7], batch_size: 60, epochs: 6}\n"
    command(folder, text)
    before = load_results(folder)
    best = next(run for run in before.runs if run.name == before.sweep.best)
    assert best.params["lr"] == 0.03
    command(folder, text.replace("[0.03, 1.0e-6, 1.0e-7]", "[1.0e-6, 1.0e-7]"))
    after = load_results(folder)
    assert [run.params["lr"] for run in after.runs] == [1e-6, 1e-7]
    assert [run.name for run in after.former] == [best.name]
    assert after.sweep.best in {run.name for run in after.runs}
    rows = {row["run"]: row for row in tables(folder)["runs"]}
    assert [row["in_file"] for row in rows.values()] == [False, True, True]  # nothing is lost
    text_of = report(after)
    assert "1 run is no longer in the sweep file" in text_of
    assert best.name in text_of.partition("no longer in the sweep file")[2]
    assert best.name not in text_of.partition("no longer in the sweep file")[0]
    assert best.name not in once(folder)
    assert "no longer in the sweep file" in show(lambda console: render_run(after, best.name, console), 120)
    assert "★ best of the sweep" not in show(lambda console: render_run(after, best.name, console), 120)
    # What `evaluate`, `clean` and Python take follows from the same results.
    from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_chosen
    from cnnsweep.evaluation.find_checkpoint import find_checkpoint

    found = evaluate_chosen(folder, EvaluationOptions(folder, device="cpu"))
    assert [one.run for one in found.evaluations] == [after.sweep.best]
    assert find_checkpoint(folder).parent.name == after.sweep.best
    assert load_sources([folder, _other(tmp_path)])[0].results.runs == after.runs
    # Back in the file, it is the best again, and nothing trains.
    command(folder, text)
    assert load_results(folder).sweep.best == best.name
    assert load_results(folder).former == ()


def _other(tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    command(folder, BASE.replace("small", "other") + "params: {lr: 0.01, batch_size: 60, epochs: 1}\n")
    return folder


def test_a_journal_that_does_not_say_which_runs_are_former_shows_all_of_them(tmp_path):
    from cnnsweep.storage.results_tables import make_tables
    from cnnsweep.storage.state import fold

    folder = tmp_path / "small"
    command(folder, LENGTHS)
    command(folder, LENGTHS.replace("[0.03, 0.02]", "0.02"))
    assert [row["in_file"] for row in tables(folder)["runs"]] == [False, False, True, True]
    events = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    old = [{key: value for key, value in event.items() if key != "former"} for event in events]
    content = make_tables(SweepPaths(folder), fold(old, folder / "journal.jsonl"))
    assert all(row["in_file"] for row in content["runs"])
    assert len(content["runs"]) == 4


def test_a_results_file_without_planned_epochs_tells_them_by_the_setting_or_by_a_run_that_finished(tmp_path):
    command(tmp_path / "grid", GRID, 2)
    command(tmp_path / "small", DEFAULT_EPOCHS, 1)

    def planned(content: dict[str, Any]) -> list[int | None]:
        for row in content["runs"]:
            del row["epochs_planned"], row["in_file"]
        (tmp_path / "results.json").write_text(json.dumps(content))
        return [run.epochs_planned for run in load_results(tmp_path).runs]

    assert planned(tables(tmp_path / "grid")) == [40, 40, 40]
    assert planned(tables(tmp_path / "small")) == [None, None]
    content = tables(tmp_path / "small")
    content["runs"][0].update(status="finished", epochs_done=10)
    assert planned(content) == [10, 10]


def test_a_search_that_asks_again_for_what_it_had_takes_it_back(tmp_path):
    folder = tmp_path / "small"
    text = BASE + "params: {lr: [0.03, 0.02], batch_size: 60, epochs: 1}\nsearch: {method: random, runs: 2}\n"
    command(folder, text)
    names = {row["run"] for row in tables(folder)["runs"]}
    command(folder, text.replace("[0.03, 0.02]", "[0.02, 0.01]"))
    rows = {row["lr"]: row["in_file"] for row in tables(folder)["runs"]}
    assert rows == {0.03: False, 0.02: True, 0.01: True}
    assert pairs(once(folder)) == {"1/1": 2}
    command(folder, text)
    assert {row["run"] for row in tables(folder)["runs"] if row["in_file"]} == names


# Charts


CHARTS = BASE + (
    "params: {lr: [0.1, 0.03, 0.01, 0.003], optimizer: [adam, sgd], momentum: [0.0, 0.9], seed: [0, 1], "
    "batch_size: 60, epochs: 4}\nearly_stop: {method: halving, factor: 2}\n"
)


@pytest.fixture(scope="module")
def charted(tmp_path_factory) -> Results:
    """A sweep with seeds and early stopping, whose best run is evaluated."""
    from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_chosen

    folder = tmp_path_factory.mktemp("charts") / "small"
    command(folder, CHARTS)
    evaluate_chosen(folder, EvaluationOptions(folder, device="cpu"))
    return load_results(folder)


@pytest.fixture(scope="module")
def page_charts(charted) -> dict[str, Any]:
    """The page's charts by their keys: title, notes and views, each with sentence, figure and table."""
    pytest.importorskip("plotly")
    text = render_page(charted, charted.folder)
    found = {}
    for key, body in re.findall(r'<figure class="chart" id="chart-([\w-]+)">(.*?)</figure>', text, re.DOTALL):
        views = re.search(r'<script type="application/json">(.*?)</script>', body, re.DOTALL)
        assert views is not None
        found[key] = json.loads(views[1])
    return found


@pytest.fixture(scope="module")
def figure_axes(charted) -> dict[str, Any]:
    """The axes of each paper figure."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    found = {}
    for name, drawing in make_drawings(charted).items():
        if drawing is not None:
            figure = Figure()
            drawing.draw(figure, SLIDE)
            found[name] = figure.axes[0]
    return found


def labels(axes: Any, which: str) -> list[str]:
    return [label.get_text() for label in getattr(axes, f"get_{which}ticklabels")()]


def in_order(text: str, parts: list[str]) -> bool:
    """True if all parts stand in a text, one after the other."""
    places = [text.find(part) for part in parts]
    return -1 not in places and places == sorted(places)


def test_learning_curves_agree(charted, page_charts, figure_axes):
    view = page_charts["learning"]["0"]
    traces = [one for one in view["figure"]["data"] if one["type"] == "scatter" and one["mode"] == "lines+markers"]
    traces.reverse()  # the best is drawn last
    lines = list(reversed(figure_axes["learning curves"].get_lines()))
    assert len(traces) == len(lines) == 5
    for trace, line in zip(traces, lines, strict=True):
        assert list(line.get_xdata()) == trace["x"]
        assert list(line.get_ydata()) == pytest.approx([100 * y for y in trace["y"]])
    names = [row[0] for row in view["table"]["rows"]]
    assert [line.get_label() for line in lines] == names
    curves = report(charted).partition("val_accuracy by epoch")[2]
    assert in_order(curves, [name.replace("  ", " ━━ ") for name in names])


def test_effects_agree(charted, page_charts, figure_axes):
    rows = page_charts["effects"][""]["table"]["rows"]
    table = report(charted).partition("Mean val_accuracy by trial")[2].partition("difference to the best value,")[0]
    for name, mean, difference, runs in rows:
        value = name.partition(" = ")[2]
        assert re.search(rf"(?m)(?<!\S){re.escape(value)} +{mean}( ◂)? .*{re.escape(runs)}", table), name
        assert difference in ("best", "–") or difference in table
    drawn = [text for text in labels(figure_axes["effects"], "y") if text not in ("lr", "optimizer", "momentum")]
    assert drawn == [row[0].partition(" = ")[2] for row in rows if row[0] != "momentum = –"]
    legend = page_charts["effects"][""]["sentence"].partition("Bars: ")[2].partition(",")[0]
    assert legend in " ".join(report(charted).split())
    noise = re.search(r"Noise: runs that differ by seed alone .*", report(charted))
    assert noise is not None
    assert noise[0] in render_page(charted, charted.folder)


def test_importance_and_interaction_agree(charted, page_charts, figure_axes):
    assert "importance" in page_charts
    for key, title in (("importance", "Importance  "), ("interaction", "Interaction  ")):
        assert (key in page_charts) == (title in report(charted))
        if key not in page_charts:  # no pair does more together than noise would
            continue
        rows = page_charts[key][""]["table"]["rows"]
        text = " ".join(report(charted).partition(title)[2].split())
        assert in_order(text, [f"{name} {share}" for name, share in rows])
    axes = figure_axes["importance"]
    assert labels(axes, "y") == [name for name, _ in page_charts["importance"][""]["table"]["rows"]]
    assert [text.get_text().strip() for text in axes.texts] == [
        share for _, share in page_charts["importance"][""]["table"]["rows"]
    ]


def test_heat_map_of_the_figures_is_the_one_that_the_page_shows_first(page_charts, figure_axes, charted):
    chosen = re.findall(r"<option value=(\d) selected>", render_page(charted, charted.folder).partition("heat-map")[2])
    heat = page_charts["heat-map"][",".join(chosen[:2])]["figure"]
    axes = figure_axes["heat map"]
    shown = axes.get_images()[0].get_array().tolist()
    expected = [[None if z is None else pytest.approx(100 * z) for z in row] for row in heat["data"][0]["z"]]
    assert shown == expected
    assert (labels(axes, "x"), labels(axes, "y")) == (
        heat["layout"]["xaxis"]["ticktext"],
        heat["layout"]["yaxis"]["ticktext"],
    )


def test_costs_agree(charted, page_charts, figure_axes):
    if "cost" not in page_charts:  # of equally long runs, which a quiet machine may have, no view shows any
        assert "metric against time" not in figure_axes
        return
    view = next(iter(page_charts["cost"].values()))
    series = {one["name"]: (one["x"], one["y"]) for one in view["figure"]["data"]}
    lines = {line.get_label(): line for line in figure_axes["metric against time"].get_lines()}
    assert "stopped early" in series
    for name, (xs, ys) in series.items():
        assert list(lines[name].get_xdata()) == xs
        assert list(lines[name].get_ydata()) == pytest.approx([100 * y for y in ys])
    rows = view["table"]["rows"]
    if len(rows) > 1:  # a single one is no trade-off for the terminal to list
        assert in_order(report(charted).partition("Best for its time")[2], [row[0] for row in rows])


def test_classes_agree(charted, page_charts, figure_axes):
    from cnnsweep.analysis.run_evaluation import load_run_evaluation
    from cnnsweep.report.class_tables import class_tables

    table = page_charts["classes"]["0"]["table"]["rows"]
    rows = [(name, images, share.partition(" (")[0]) for name, images, share in table]
    axes = figure_axes["accuracy by class"]
    assert labels(axes, "y") == [f"{name} ({images})" for name, images, _ in rows]
    points = [line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "o"]
    assert [f"{point:.2f} %" for point in points] == [share for *_, share in rows]
    assert charted.sweep.best is not None
    evaluation = load_run_evaluation(charted.folder / charted.sweep.best)
    assert evaluation is not None
    text = show(lambda console: [console.print(part) for part in class_tables(evaluation, console)], 100)
    assert in_order(" ".join(text.split()), [" ".join(row) for row in rows])
    matrix = next(iter(page_charts["confusion"].values()))
    shares = figure_axes["confusion matrix"].get_images()[0].get_array()
    assert shares.tolist() == [[pytest.approx(100 * z) for z in row] for row in matrix["figure"]["data"][0]["z"]]
    pairs = " ".join(text.partition("Most confused")[2].split())
    assert in_order(pairs, [" ".join(row) for row in matrix["table"]["rows"]])


def test_early_stopping_agrees(charted, page_charts):
    text = report(charted).partition("Early stopping")[2]
    view = page_charts["stopping"][""]
    for when, stopped, _, because in view["table"]["rows"]:
        assert re.search(rf"{stopped} trials? stopped {when} \({re.escape(because)}\)", text)
    saved = re.search(r"saved .*", text)
    assert saved is not None
    assert saved[0] in view["sentence"]
