"""What notebooks use: a sweep that is loaded or run, its tables, its best model, and the page's examples."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from small_sweeps import SMALL, SilentDisplay, tables
from small_sweeps import sweep as run_small

import cnnsweep
from cnnsweep.datasets.shapes import ShapesOptions, draw_shapes
from cnnsweep.errors import SpecError
from cnnsweep.progress import notebook

PAGE = (Path(__file__).parent.parent / "docs" / "python.md").read_text(encoding="utf-8")
ONE = ["params.lr=0.01"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "small"
    run_small(folder)
    return folder


@pytest.fixture
def run(tmp_path):
    """Run a sweep in a folder of its own."""

    def call(spec, **options) -> cnnsweep.Sweep:
        return cnnsweep.run(spec, **{"folder": tmp_path / "s", "fuse": "off", "quiet": True, **options})

    return call


def test_importing_it_loads_nothing_heavy_and_offers_what_it_names():
    code = (
        "import sys, cnnsweep; heavy = {'torch', 'pandas', 'numpy', 'yaml', 'rich'};"
        "print(heavy & set(sys.modules)); [getattr(cnnsweep, name) for name in cnnsweep.__all__];"
        "cnnsweep.load; print({'torch'} & set(sys.modules)); print(set(cnnsweep.__all__) <= set(dir(cnnsweep)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == ["set()", "set()", "True"]
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        cnnsweep.nonsense  # noqa: B018


def test_the_pages_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text(SMALL)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    assert len(blocks) == 7
    for block in blocks:
        exec(block, names)
    assert len(names["seen"]) == 4
    assert len(names["ends"].outcomes) == 2
    assert names["tested"]["accuracy"] >= 0
    assert names["probabilities"].shape == (2, 10)
    assert "circle" in names["probabilities"].columns
    for name in re.findall(r"`cnnsweep\.(\w+)`", PAGE.split("##")[0]):
        assert name in cnnsweep.__all__


def test_tables_are_those_of_the_files(trained):
    sweep = cnnsweep.load(trained)
    assert (sweep.name, sweep.status) == ("small", "finished")
    for table, file in ((sweep.runs, "runs.csv"), (sweep.epochs, "results.csv")):
        expected = pd.read_csv(trained / file).dropna(axis=1, how="all")
        shared = [column for column in expected.columns if column in table.columns]
        assert {"run", "lr", "val_accuracy", "augment"} <= set(shared)
        pd.testing.assert_frame_equal(table[shared], expected[shared], check_dtype=False)
    assert cnnsweep.load(trained / "results.json").folder == trained


def test_the_best_run_is_the_one_that_the_report_names(trained):
    best = cnnsweep.load(trained).best
    (row,) = [row for row in tables(trained)["runs"] if row["run"] == tables(trained)["sweep"]["best"]]
    assert (best.name, best.status, best.params["lr"]) == (row["run"], "finished", row["lr"])
    assert best.metrics == {name: row[name] for name in ("val_accuracy", "val_loss", "accuracy", "loss")}
    assert cnnsweep.load(trained).run(best.name[:9]) == best
    with pytest.raises(cnnsweep.CnnSweepError, match="no run 'nonsense'"):
        cnnsweep.load(trained).run("nonsense")


def test_its_model_reaches_the_recorded_accuracy(trained):
    best = cnnsweep.load(trained).best
    assert not best.model().training
    assert next(best.model().parameters()).device.type == "cpu"
    images, labels = draw_shapes(ShapesOptions(size=12, classes=3, train=60, test=30), "train", 60, lambda *_: None)
    from cnnsweep.datasets.splits import split_indices

    _, validation = split_indices(labels, 0.1, 0)
    predicted = best.predict(images[validation], device="cpu")
    numbers = torch.tensor([list(predicted.columns).index(name) for name in predicted.idxmax(axis=1)])
    assert (numbers == labels[validation]).float().mean().item() == pytest.approx(best.metrics["val_accuracy"])
    np.testing.assert_allclose(predicted.sum(axis=1), 1, rtol=1e-5)
    same = best.predict(images[validation].numpy(), device="cpu")
    pd.testing.assert_frame_equal(same, predicted)


def test_one_picture_is_predicted_by_its_name_alone(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").save(tmp_path / "one.png")
    best = cnnsweep.load(trained).best
    expected = best.predict([Path("one.png")], device="cpu")
    for given in ("one.png", Path("one.png"), ["one.png"], (name for name in ["one.png"])):
        pd.testing.assert_frame_equal(best.predict(given, device="cpu"), expected)
    assert list(expected.index) == ["one.png"]
    with pytest.raises(cnnsweep.CnnSweepError, match=r"gone\.png: cannot be read"):
        best.predict("gone.png", device="cpu")
    with pytest.raises(cnnsweep.CnnSweepError, match="images: found a Image, allowed are an array, a tensor, or"):
        best.predict([Image.linear_gradient("L")], device="cpu")


def test_picture_files_can_be_predicted_too(trained, tmp_path):
    Image.radial_gradient("L").save(tmp_path / "a.png")
    best = cnnsweep.load(trained).best
    found = best.predict([tmp_path / "a.png"], device="cpu")
    assert list(found.index) == [str(tmp_path / "a.png")]
    with pytest.raises(cnnsweep.CnnSweepError, match=r"gone\.png: cannot be read"):
        best.predict([tmp_path / "a.png", "gone.png"], device="cpu")
    with pytest.raises(cnnsweep.CnnSweepError, match="allowed is uint8"):
        best.predict(np.zeros((2, 1, 12, 12)), device="cpu")


def test_a_spec_is_a_path_a_text_or_a_dict(run, tmp_path):
    import yaml

    (tmp_path / "small.yaml").write_text(SMALL)
    whole = yaml.safe_load(SMALL)
    for number, spec in enumerate((tmp_path / "small.yaml", str(tmp_path / "small.yaml"), SMALL, whole)):
        sweep = run(spec, folder=tmp_path / f"{number}", overrides=["params.epochs=1"])
        assert list(sweep.runs["status"]) == ["finished", "finished"]
        assert sorted(sweep.runs["lr"]) == [0.001, 0.01]
        assert set(sweep.epochs["epoch"]) == {1}
    with pytest.raises(SpecError, match="did you mean 'lenet'"):
        run({**whole, "model": "lenett"})
    with pytest.raises(cnnsweep.CnnSweepError, match="allowed are numbers, texts"):
        run({**whole, "model": object()})
    with pytest.raises(cnnsweep.CnnSweepError, match="no such file"):
        run("nowhere.yaml")


def test_on_epoch_hears_every_epoch_as_the_table_has_it(run):
    heard = []
    sweep = run(SMALL, on_epoch=heard.append)
    expected = sweep.epochs
    assert len(heard) == 4
    found = pd.DataFrame(heard)[list(expected.columns)]
    pd.testing.assert_frame_equal(found, expected)


def test_a_sweep_can_be_looked_at_while_it_runs(run, tmp_path):
    seen = []

    def look(row) -> None:
        sweep = cnnsweep.load(tmp_path / "s")
        seen.append((sweep.status, len(sweep.runs), sweep.runs["status"].tolist()))

    run(SMALL, on_epoch=look)
    assert seen[0] == ("running", 2, ["running", "waiting"])


def test_what_on_epoch_raises_stops_the_sweep_which_goes_on_later(run, tmp_path):
    def fail(row) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run(SMALL, on_epoch=fail)
    stopped = cnnsweep.load(tmp_path / "s")
    assert stopped.status == "interrupted"
    assert list(stopped.runs["status"]) == ["interrupted", "waiting"]
    assert len(stopped.epochs) == 1  # the epoch was saved before it was told
    assert list(run(SMALL).runs["status"]) == ["finished", "finished"]


def test_an_interrupted_kernel_is_a_keyboard_interrupt(run, monkeypatch):
    class Impatient(SilentDisplay):
        def epoch_ended(self, record, selected):
            raise KeyboardInterrupt

    monkeypatch.setattr(notebook, "choose_notebook_display", lambda **_: Impatient())
    with pytest.raises(KeyboardInterrupt):
        run(SMALL)


def test_a_sweep_that_gives_up_says_why(run, monkeypatch):
    from cnnsweep.training.learner import SingleLearner

    def fail(*_arguments):
        raise KeyError("x")

    monkeypatch.setattr(SingleLearner, "train_step", fail)
    many = ["params.lr=[0.1,0.2,0.3,0.4,0.5,0.6]"]
    with pytest.raises(cnnsweep.CnnSweepError, match=r"stopped: .*KeyError.* retry_failed=True"):
        run(SMALL, overrides=many)


RENAMED = {
    "out": "folder",
    "path": "folder",
    "file": "spec",
    "run_name": "run",
    "style": "format",
    "file_format": "format",
}
PRINTED = {"as_json", "as_csv", "yes"}  # how a command prints or asks, which a function does not
METHODS = {  # with the parameters of the command that the object itself stands for
    "run": (cnnsweep.run, {"dry_run"}),  # which `plan` does
    "plan": (cnnsweep.plan, set()),
    "report": (cnnsweep.Sweep.report, {"path"}),
    "compare": (cnnsweep.compare, set()),
    "evaluate of a sweep": (cnnsweep.Sweep.evaluate, {"path", "checkpoint"}),
    "evaluate of a run": (cnnsweep.TrainedRun.evaluate, {"path", "checkpoint", "refit"}),
    "export": (cnnsweep.TrainedRun.export, {"checkpoint"}),
    "predict": (cnnsweep.TrainedRun.predict, {"checkpoint", "top"}),  # it returns all classes
    "doctor": (cnnsweep.doctor, set()),
    "clean": (cnnsweep.clean, set()),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_function_takes_every_option_of_its_command_with_its_default(name):
    from cnnsweep.cli import export, maintenance, report, run

    commands = {**vars(export), **vars(maintenance), **vars(report), **vars(run)}
    function, left_out = METHODS[name]
    own = inspect.signature(function).parameters
    for option, parameter in inspect.signature(commands[name.split()[0]]).parameters.items():
        if option in PRINTED | left_out:
            continue
        argument = RENAMED.get(option, option)
        assert argument in own, f"{name}: Python cannot do what {option} does"
        if option not in ("overrides", "device", "style"):
            assert str(own[argument].default) == str(parameter.default), option
        if name == "run":
            assert f"`{argument}`" in PAGE or argument == "spec", f"docs/python.md has no {argument}"


def test_a_plan_is_what_the_command_prints(tmp_path):
    found = cnnsweep.plan(SMALL, folder=tmp_path / "s", cost=2, overrides=ONE, fuse="off", quiet=True)
    assert [len(group["runs"]) for group in found["groups"]] == [1]
    assert not (tmp_path / "s").exists()
    with pytest.raises(cnnsweep.CnnSweepError, match="cost: found 0, allowed is"):
        cnnsweep.plan(SMALL, cost=0)
    with pytest.raises(cnnsweep.CnnSweepError, match="leave one of them out"):
        cnnsweep.plan(SMALL, simulate="nodes=2,gpus=1", jobs=2)
    assert cnnsweep.plan(SMALL, simulate="nodes=2,gpus=1", cost=1, quiet=True)["simulated"]


def test_a_report_has_the_formats_of_the_command(trained, tmp_path):
    sweep = cnnsweep.load(trained)
    assert "val_accuracy" in sweep.report()
    assert len(sweep.report("csv", top=1).splitlines()) == 2
    assert sweep.report("markdown", sort="run_duration").startswith("|")
    assert json.loads(sweep.report("json"))["sweep"]["name"] == "small"
    assert "epoch" in sweep.report(run=sweep.best.name)
    sweep.report(html=tmp_path / "report.html")
    assert (tmp_path / "report.html").exists()
    with pytest.raises(cnnsweep.CnnSweepError, match="format: found 'pdf', allowed are table, markdown"):
        sweep.report("pdf")
    with pytest.raises(cnnsweep.CnnSweepError, match="as a table only"):
        sweep.report("csv", run="x")


def test_evaluations_are_returned_and_recorded(run):
    sweep = run(SMALL, overrides=["params.epochs=1"])
    of_trial = sweep.evaluate(device="cpu", quiet=True)
    assert 0 <= of_trial["accuracy"]["mean"] <= 1
    assert (sweep.best.folder / "evaluation.json").exists()
    of_run = sweep.best.evaluate("val", device="cpu", quiet=True)
    assert of_run["split"] == "val"
    assert of_run["accuracy"] == pytest.approx(sweep.best.metrics["val_accuracy"])
    refit = sweep.evaluate(refit=True, device="cpu", quiet=True)
    assert refit["refit"] is True
    assert list((sweep.folder / "refit").iterdir())


def test_a_model_is_exported(trained, tmp_path):
    best = cnnsweep.load(trained).best
    target = {"output": tmp_path / "m.safetensors", "format": "safetensors", "quiet": True}
    assert best.export(data_root=tmp_path, **target).exists()
    with pytest.raises(cnnsweep.CnnSweepError, match="--force"):
        best.export(**target)
    with pytest.raises(cnnsweep.CnnSweepError, match="format: found 'exe', allowed are onnx"):
        best.export(format="exe")


def test_sweeps_are_compared(trained, run):
    other = run(SMALL, overrides=["params.epochs=1"])
    found = cnnsweep.compare([trained, other.folder], top=1)
    assert found["metric"] == "val_accuracy"
    assert len(found["sweeps"]) == 2


def test_a_folder_is_checked_and_cleaned(run):
    sweep = run(SMALL, overrides=["params.epochs=1"])
    assert cnnsweep.doctor(sweep.folder, quiet=True)["sound"] is True
    (sweep.folder / "results.csv").unlink()
    found = cnnsweep.doctor(sweep.folder, repair=True, quiet=True)
    assert found["sound"] is True
    assert found["repairs"]
    with pytest.raises(cnnsweep.CnnSweepError, match="repair: needs a sweep's folder"):
        cnnsweep.doctor(repair=True)
    would_go = cnnsweep.clean(sweep.folder, dry_run=True)
    assert would_go["removed"] is False
    assert all(Path(file["path"]).exists() for file in would_go["files"])
    assert cnnsweep.clean(sweep.folder, events=True)["bytes"] >= would_go["bytes"]
    assert not list(sweep.folder.glob("*/events.*"))
    with pytest.raises(cnnsweep.CnnSweepError, match="needs a sweep's folder"):
        cnnsweep.clean(events=True)


def test_its_options_reach_the_sweep(run, monkeypatch, tmp_path):
    from cnnsweep import sweep as page

    seen = []

    def look(spec, options, callbacks):
        seen.append((spec, options))
        raise cnnsweep.CnnSweepError("seen")

    monkeypatch.setattr(page, "run_sweep", look)
    with pytest.raises(cnnsweep.CnnSweepError, match="seen"):
        run(
            SMALL,
            **{"device": ["cpu", "cuda:1"], "retry_failed": True, "max_runs": 7, "max_failures": 0, "fuse": 1},
            **{"jobs": 3, "threads": 2, "executor": "ray", "address": "auto", "node_data": str(tmp_path)},
        )
    ((spec, options),) = seen
    assert spec.device == "cpu,cuda:1"
    assert (options.retry_failed, options.max_runs, options.max_failures, options.fuse) == (True, 7, 0, "off")
    executor_options = options.executor_options
    assert (executor_options.jobs, executor_options.threads, executor_options.executor, executor_options.address) == (
        3,
        2,
        "ray",
        "auto",
    )
    assert executor_options.node_data == tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "jobs: found 0, allowed are 'auto' and a whole number from 1"),
        ({"threads": 1.5}, "threads: found 1.5, allowed is a whole number from 1"),
        ({"fuse": "on"}, "fuse: found 'on', allowed are 'auto', 'off' and a whole number from 1"),
        ({"fuse": True}, "fuse: found True"),
        ({"max_runs": 0}, "max_runs: found 0, allowed is a whole number from 1"),
        ({"max_failures": -1}, "max_failures: found -1, allowed is a whole number from 0"),
        (
            {"executor": "slurm"},
            "executor: found 'slurm', allowed are inline, local, ray, and your own as file.py:Name",
        ),
        ({"address": "auto"}, "address and node_data: are about a Ray cluster; add executor='ray'"),
        ({"max_runs": 1}, "the sweep has 2 combinations, allowed are 1"),
        ({"device": "gpu"}, "device: unknown 'gpu'; allowed are auto, cpu, cuda"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_thrown_away(run, tmp_path, options, message):
    run(SMALL, overrides=[*ONE, "params.epochs=1"])
    before = (tmp_path / "s" / "journal.jsonl").read_bytes()
    with pytest.raises(cnnsweep.CnnSweepError, match=re.escape(message)):
        run(SMALL, fresh=True, **options)
    assert (tmp_path / "s" / "journal.jsonl").read_bytes() == before


def test_fresh_starts_over(run):
    heard = []
    one = {"overrides": [*ONE, "params.epochs=1"], "on_epoch": heard.append}
    run(SMALL, fresh=True, **one)  # an empty folder is fresh already
    run(SMALL, **one)
    assert len(heard) == 1
    sweep = run(SMALL, fresh=True, **one)
    assert len(heard) == 2
    assert list(sweep.runs["status"]) == ["finished"]


def test_a_device_of_its_own_stands_in_place_of_the_sweeps(run):
    sweep = run(SMALL.replace("name: small", "name: small\ndevice: cuda:7"), device="cpu", overrides=ONE)
    assert sweep.status == "finished"
    assert tables(sweep.folder)["sweep"]["device"] == "cpu"


def test_without_a_limit_on_failures_every_run_is_tried(run, monkeypatch):
    from cnnsweep.training.learner import SingleLearner

    def fail(*_arguments):
        raise KeyError("x")

    monkeypatch.setattr(SingleLearner, "train_step", fail)
    many = ["params.lr=[0.1,0.2,0.3,0.4,0.5,0.6]"]
    assert list(run(SMALL, overrides=many, max_failures=0).runs["status"]) == ["failed"] * 6


def test_a_thread_may_run_a_sweep(run):
    found = []
    thread = threading.Thread(target=lambda: found.append(run(SMALL, overrides=ONE)))
    thread.start()
    thread.join(60)
    assert found[0].status == "finished"


def test_folders_that_hold_no_sweep_are_refused(tmp_path):
    with pytest.raises(cnnsweep.CnnSweepError, match=r"holds no results\.json"):
        cnnsweep.load(tmp_path)


def test_nothing_trained_yet_is_said(run, tmp_path):
    sweep = run(SMALL, overrides=["params.lr=1.0e30", "params.optimizer=sgd"])
    assert list(sweep.runs["status"]) == ["diverged"]
    with pytest.raises(cnnsweep.CnnSweepError, match="no run of this sweep has a finished epoch yet"):
        sweep.best  # noqa: B018
    assert "diverged" in sweep._repr_html_()


def test_a_notebook_shows_small_tables_of_nothing_but_text(run, trained):
    sweep = cnnsweep.load(trained)
    shown = sweep._repr_html_()
    assert shown.startswith("<div><strong>small: 2 runs, finished</strong><table>")
    assert shown.count("<tr>") == 3
    assert "0.001" in sweep.best._repr_html_() + shown
    from cnnsweep.report.html_table import html_table

    table = html_table("<b>&", ("<i>",), [("<script>alert(1)</script>",), ("\x1b[31m",), (None,)], "<u>")
    assert not re.search(r"<(b|i|u|script)>", table)
    assert "\x1b" not in table


def test_a_long_sweep_shows_its_best_runs(tmp_path):
    from results_by_hand import load, make_content

    load(tmp_path, make_content({"lr": [n / 1000 for n in range(1, 41)]}))
    shown = cnnsweep.load(tmp_path)._repr_html_()
    assert shown.count("<tr>") == 11
    assert "and 30 more" in shown


class Box:
    """Stands for `IPython.display`."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.HTML = str

    def display(self, html, *, display_id):
        self.shown.append(html)
        return types.SimpleNamespace(update=self.shown.append)


def test_in_a_notebook_one_box_changes_and_nothing_is_printed(run, monkeypatch, capsys):
    box = Box()
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython.display", box)
    monkeypatch.setattr(notebook, "_INTERVAL_S", 0.0)
    learned = ["params.lr=[0.1,1.0e30]", "params.optimizer=sgd", "dataset.train=600"]  # one that beats chance
    run(SMALL, quiet=False, overrides=learned)
    assert capsys.readouterr() == ("", "")
    assert any("best so far" in html for html in box.shown)
    assert any("1 of 4 epochs" in html for html in box.shown)
    assert "diverged" in box.shown[-1]
    notebook.NotebookDisplay(box.shown.append).on_log("<b>\x1b[31m")
    assert box.shown[-1] == "<div><div>&lt;b&gt;\\x1b[31m</div></div>"


def test_without_a_notebook_the_command_lines_display_is_used(capsys):
    from cnnsweep.progress.plain import PlainDisplay, QuietDisplay

    assert isinstance(notebook.choose_notebook_display(quiet=False), PlainDisplay)
    assert isinstance(notebook.choose_notebook_display(quiet=True), QuietDisplay)
