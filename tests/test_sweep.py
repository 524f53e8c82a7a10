"""A whole sweep: its files agree, and whatever interrupts it changes no figure."""

from __future__ import annotations

import csv
import gc
import json
import os
import re
import signal
from types import SimpleNamespace

import pytest
from small_sweeps import SMALL, SilentDisplay, sweep, tables, untimed
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.errors import DataError, DiskFullError, FolderError, ModelError, UsageError
from cnnsweep.storage.best_weights import load_best
from cnnsweep.storage.journal import read_journal
from cnnsweep.training.data_module import DataModule
from cnnsweep.types import RunStatus


@pytest.fixture(scope="module", params=["off", 2], ids=["alone", "together"])
def fuse(request):
    """Each run by itself, or both as one program."""
    return request.param


@pytest.fixture(scope="module")
def whole(tmp_path_factory, fuse):
    """An uninterrupted sweep."""
    folder = tmp_path_factory.mktemp("whole") / "small"
    result = sweep(folder, fuse=fuse)
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    assert result.interrupted is None
    return folder


def test_a_sweep_leaves_the_files_of_the_design(whole):
    runs = [row["run"] for row in tables(whole)["runs"]]
    visible = sorted(p.name for p in whole.iterdir() if not p.name.startswith("."))
    files = ["environment.json", "journal.jsonl", "results.csv", "results.json", "runs.csv", "sweep.yaml"]
    assert visible == sorted([*files, *runs])
    for run in runs:
        names = sorted(p.name.split(".1")[0] if "tfevents" in p.name else p.name for p in (whole / run).iterdir())
        is_best = run == tables(whole)["sweep"]["best"]
        assert names == [
            *("batch_loss.csv", "best.json", "best.safetensors", *(["evaluation.json"] if is_best else [])),
            *("events.out.tfevents", *(["events.out.tfevents.evaluation_val"] if is_best else [])),
            *("last.safetensors", "log.txt"),
        ]


def test_journal_json_csv_and_tensorboard_agree(whole):
    content = tables(whole)
    with (whole / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "run", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "epoch_duration", "run_duration",
        "lr", "batch_size", "augment", "epochs",
    ]  # fmt: skip
    assert [[str(v) for v in row.values()] for row in content["epochs"]] == [list(row.values()) for row in rows]
    events = [e for e in read_journal(whole / "journal.jsonl") if e["event"] == "epoch"]
    events.sort(key=lambda event: [run["id"] for run in content["runs"]].index(event["run"]))  # stable: by epoch then
    for event, row in zip(events, content["epochs"], strict=True):
        for figure in ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "epoch_duration", "run_duration"):
            assert event[figure] == row[figure]
    for run in content["runs"]:
        board = EventAccumulator(str(whole / run["run"])).Reload()
        of_run = [row for row in content["epochs"] if row["run"] == run["run"]]
        for figure in ("loss", "accuracy", "val_loss", "val_accuracy"):
            shown = [(e.step, e.value) for e in board.Scalars(f"epoch/{figure}")]
            # TensorBoard keeps float32.
            assert shown == [(row["epoch"], pytest.approx(row[figure], rel=1e-6)) for row in of_run]
        assert board.Scalars("best/val_accuracy")[0].value == pytest.approx(run["val_accuracy"], rel=1e-6)


def test_tensorboard_shows_losses_images_histograms_and_hparams_of_every_run(whole):
    for run in tables(whole)["runs"]:
        board = EventAccumulator(str(whole / run["run"]), size_guidance={"histograms": 0}).Reload()
        with (whole / run["run"] / "batch_loss.csv").open(newline="") as file:
            losses = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
        assert len(losses) == 2 * 4  # 54 images in batches of 16
        assert [(e.step, e.value) for e in board.Scalars("batch/loss")] == losses
        tags = board.Tags()
        pictures = ["evaluation_val/classes", "evaluation_val/confusion_matrix", "evaluation_val/mistakes"]
        assert sorted(tags["images"]) == [*(pictures if run["run"] == tables(whole)["sweep"]["best"] else []), "images"]
        layers = ["classifier.1.weight", "classifier.4.bias", "features.0.weight", "features.0.bias"]
        assert {f"{kind}/{name}" for kind in ("weights", "gradients") for name in layers} <= set(tags["histograms"])
        histogram = board.Histograms("weights/features.0.weight")[-1]
        assert histogram.step == 2
        assert histogram.histogram_value.num == 4 * 9
        assert sum(histogram.histogram_value.bucket) == 4 * 9
        plugins = board.summary_metadata
        assert {"_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"} <= set(plugins)


def test_the_graph_is_recorded_once_traced_for_all_runs(tmp_path):
    sweep(tmp_path / "s", overrides=["tensorboard.graph=true", "params.epochs=1"])
    for run in tables(tmp_path / "s")["runs"]:
        nodes = {node.op for node in EventAccumulator(str(tmp_path / "s" / run["run"])).Reload().Graph().node}
        assert any("conv" in op for op in nodes)


def test_the_best_checkpoint_is_that_of_the_best_epoch(whole):
    content = tables(whole)
    for run in content["runs"]:
        rows = [row for row in content["epochs"] if row["run"] == run["run"]]
        best = max(rows, key=lambda row: (row["val_accuracy"], -row["epoch"]))
        assert run["best_epoch"] == best["epoch"]
        about = load_best(whole / run["checkpoint"]).description
        assert (about["epoch"], about["figures"]["val_loss"]) == (best["epoch"], best["val_loss"])
    winner = max(content["runs"], key=lambda run: run["val_accuracy"])
    assert content["sweep"]["best"] == winner["run"]


def test_the_same_command_again_trains_nothing(whole, fuse):
    before = untimed(whole)
    display = SilentDisplay()
    sweep(whole, display=display, fuse=fuse)
    assert display.started == []
    assert untimed(whole) == before


class Interrupting(SilentDisplay):
    """Sends signals to this very process after some batches and epochs, as a person would."""

    def __init__(self, after_epochs: int | None = None, at_batches: tuple[int, ...] = ()) -> None:
        super().__init__()
        self._after_epochs = after_epochs
        self._at_batches = at_batches
        self._batches = 0

    def on_batch_end(self, run_ids, epoch, done, total):
        self._batches += 1
        if self._batches in self._at_batches:
            os.kill(os.getpid(), signal.SIGINT)

    def epoch_ended(self, record, is_best):
        super().epoch_ended(record, is_best)
        if len(self.records) == self._after_epochs:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_sweep_stopped_by_sigterm_and_run_again_equals_one_left_alone(whole, tmp_path, fuse, epochs):
    folder = tmp_path / "small"
    display = Interrupting(after_epochs=epochs)
    result = sweep(folder, display=display, fuse=fuse)
    if fuse == 2:  # both runs end their epoch at the same time
        epochs += epochs % 2
    assert len(display.records) == epochs
    if epochs == 4:
        return
    assert result.interrupted == 143
    assert tables(folder)["sweep"]["status"] == "interrupted"
    assert "once more (Ctrl-C) stops at once" in display.messages[0]
    again = SilentDisplay()
    assert sweep(folder, display=again, fuse=fuse).interrupted is None
    assert len(again.records) == 4 - epochs
    assert untimed(folder) == untimed(whole)


def test_ctrl_c_twice_stops_at_once_and_loses_only_the_running_epoch(whole, tmp_path, fuse):
    folder = tmp_path / "small"
    display = Interrupting(at_batches=(5, 6))  # the second epoch's first two batches
    result = sweep(folder, display=display, fuse=fuse)
    assert result.interrupted == 130
    running = 1 if fuse == "off" else 2
    assert [record.epoch for record in display.records] == [1] * running
    assert [str(o.status) for o in display.outcomes] == ["interrupted"] * running
    sweep(folder, fuse=fuse)
    assert untimed(folder) == untimed(whole)


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def interrupted(folder, fuse, epochs=1):
    sweep(folder, display=Interrupting(after_epochs=epochs), fuse=fuse, overrides=["params.epochs=3"])


def go_on(folder, fuse):
    display = SilentDisplay()
    sweep(folder, display=display, fuse=fuse, overrides=["params.epochs=3"])
    return display


@pytest.fixture(scope="module")
def longer(tmp_path_factory, fuse):
    folder = tmp_path_factory.mktemp("longer") / "small"
    sweep(folder, fuse=fuse, overrides=["params.epochs=3"])
    return folder


def test_of_a_damaged_last_checkpoint_the_one_before_counts_and_that_is_said(longer, tmp_path, fuse):
    folder = tmp_path / "small"
    interrupted(folder, fuse, epochs=2 if fuse == "off" else 4)
    damage(min(folder.glob("*/last.safetensors")))
    display = go_on(folder, fuse)
    assert [m for m in display.messages if "is damaged (its SHA-256 is not in the journal); the run resumes after" in m]
    assert untimed(folder) == untimed(longer)
    assert len(display.records) == (5 if fuse == "off" else 3)  # of 6: one epoch was trained again


def test_a_run_none_of_whose_checkpoints_is_whole_starts_over_and_says_so(longer, tmp_path, fuse):
    folder = tmp_path / "small"
    interrupted(folder, fuse, epochs=2 if fuse == "off" else 4)
    for path in folder.glob("*/*.safetensors"):
        damage(path)
    display = go_on(folder, fuse)
    assert [m for m in display.messages if "is damaged" in m and m.endswith("the run starts over")]
    assert untimed(folder) == untimed(longer)


def test_a_damaged_best_checkpoint_of_a_run_under_way_is_made_again(longer, tmp_path, fuse):
    folder = tmp_path / "small"
    interrupted(folder, fuse, epochs=2 if fuse == "off" else 4)
    for path in folder.glob("*/best.safetensors"):
        damage(path)
    go_on(folder, fuse)
    assert untimed(folder) == untimed(longer)


def test_an_edited_file_adds_only_what_is_new_and_keeps_folders(whole, tmp_path):
    folder = tmp_path / "small"
    sweep(folder, overrides=["params.lr=0.01"])
    (first,) = tables(folder)["runs"]
    display = SilentDisplay()
    sweep(folder, display=display)
    assert len(display.started) == 1
    assert tables(folder)["runs"][0]["run"] == first["run"]
    assert len(tables(folder)["runs"]) == 2
    assert "the sweep file changed since the last time; runs that are done stay:" in display.messages
    assert "  + lr: [0.01, 0.001]" in display.messages


def test_runs_no_longer_asked_for_stay_in_the_tables(whole, tmp_path):
    folder = tmp_path / "small"
    sweep(folder)
    sweep(folder, overrides=["params.lr=0.001"])
    assert len(tables(folder)["runs"]) == 2


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("dataset.seed=1", "the data changed (SHA-256 "),
        ("validation=0.2", "validation was 0.1, is now 0.2"),
        ("metric=val_loss", 'metric was "val_accuracy", is now "val_loss"; mode was "max", is now "min"'),
        ("precision=bf16", 'precision was "fp32", is now "bf16"'),
        ("seed=5", "seed was 0, is now 5"),
        ("name=other", 'name was "small", is now "other"'),
    ],
)
def test_results_that_cannot_be_compared_are_never_mixed(whole, override, difference):
    before = (whole / "journal.jsonl").read_bytes()
    with pytest.raises(FolderError, match="holds a sweep whose results cannot be compared with this one") as caught:
        sweep(whole, overrides=[override])
    assert difference in str(caught.value)
    assert (whole / "journal.jsonl").read_bytes() == before


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(FolderError, match=r"holds other files \(thesis.tex…\) and no journal"):
        sweep(tmp_path)


def test_a_diverging_run_is_a_row_and_the_others_go_on(tmp_path):
    folder = tmp_path / "s"
    result = sweep(folder, overrides=["params.optimizer=sgd", "params.lr=[1.0e9, 0.01]"])
    assert sorted(str(s) for s in result.statuses.values()) == ["diverged", "finished"]
    assert result.has_failures
    text = (folder / "results.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    bad, good = tables(folder)["runs"]
    assert (bad["status"], bad["best_epoch"], bad["checkpoint"], bad["loss"]) == ("diverged", None, None, None)
    assert "try a smaller lr" in bad["cause"]
    assert good["status"] == "finished"
    assert tables(folder)["sweep"]["best"] == good["run"]
    display = SilentDisplay()
    sweep(folder, display=display, overrides=["params.optimizer=sgd", "params.lr=[1.0e9, 0.01]"])
    assert display.started == []
    sweep(folder, display=display, overrides=["params.optimizer=sgd", "params.lr=[1.0e9, 0.01]"], retry_failed=True)
    assert display.started == [bad["id"]]


def test_a_failing_model_is_a_row_with_its_cause_and_its_log(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, fail):\n"
        "        super().__init__()\n"
        "        self.fail, self.layer = fail, nn.Linear(144, 3)\n"
        "    def forward(self, x):\n"
        "        if self.fail and len(x) == 16:\n"
        "            raise ValueError('sixteen is too many')\n"
        "        return self.layer(x.flatten(1))\n"
    )
    folder = tmp_path / "s"
    text = SMALL.replace("model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8], dropout: 0.2}", "")
    result = sweep(folder, text.replace("lr: [0.01, 0.001]", f"model: '{path}:Net'\n  model.fail: [true, false]"))
    assert [str(s) for s in result.statuses.values()] == ["failed", "finished"]
    failed = tables(folder)["runs"][0]
    assert failed["cause"] == "ValueError: sixteen is too many"
    log = (folder / failed["run"] / "log.txt").read_text()
    assert "sixteen is too many" in log
    assert "net.py" in log


@pytest.mark.parametrize(
    ("override", "kind", "message"),
    [
        ("device=cuda:7", UsageError, "device: 'cuda:7' is not on this machine, which has "),
        ("model={name: cnn, channels: [4, 4, 4]}", ModelError, "have no pixel left after convolution 2 of 3"),
        ("model=no_such_package:Net", UsageError, "no_such_package: no such module"),
        ("dataset=no_such_package:data", UsageError, "no_such_package: no such module"),
        ("dataset={name: image_folder, path: gone}", DataError, "gone"),
        ("validation=54321", DataError, "validation"),
    ],
)
def test_what_cannot_work_is_said_before_anything_trains(tmp_path, override, kind, message):
    with pytest.raises(kind) as caught:
        sweep(tmp_path / "s", overrides=[override])
    assert message in str(caught.value)
    assert not (tmp_path / "s" / "journal.jsonl").exists()
    sweep(tmp_path / "s", overrides=["params.epochs=1"])  # the folder is still good for a right one


def test_a_read_only_place_is_an_error_before_training(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(FolderError, match=r"file/s: cannot be written"):
        sweep(tmp_path / "file" / "s")


def test_a_vanished_folder_stops_the_sweep_with_its_name(tmp_path):
    import shutil

    class Vandal(SilentDisplay):
        def epoch_ended(self, record, is_best):
            shutil.rmtree(tmp_path / "s")

    with pytest.raises(FolderError, match="was removed, or moved away"):
        sweep(tmp_path / "s", display=Vandal())


def test_tensorboard_that_cannot_write_is_one_warning_and_training_goes_on(tmp_path, monkeypatch):
    from cnnsweep.trackers.tensorboard_writer import EventWriter

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventWriter, "add_epoch", fail)
    display = SilentDisplay()
    result = sweep(tmp_path / "s", display=display)
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    assert [m for m in display.messages if "TensorBoard" in m] == [
        "TensorBoard: cannot write (No space left on device); the sweep continues without it"
    ]


def test_repeated_combinations_are_trained_once_and_said_so(tmp_path):
    display = SilentDisplay()
    sweep(tmp_path / "s", display=display, overrides=["params.lr=[0.01, 0.010, 1e-2]"])
    assert len(display.started) == 1
    assert any("2 combinations repeat others" in m for m in display.messages)


def test_the_frozen_spec_trains_the_same_runs(whole):
    from cnnsweep.config.load import load_sweep
    from cnnsweep.config.trials import expand_runs

    ids = [row["id"] for row in tables(whole)["runs"]]
    assert [run.id for run in expand_runs(load_sweep(whole / "sweep.yaml")).runs] == ids


def test_the_environment_says_what_it_ran_on(whole):
    import torch

    environment = json.loads((whole / "environment.json").read_text())
    assert torch.__version__.startswith(environment["packages"]["torch"])
    assert environment["device"] == "cpu"
    assert len(environment["data_sha256"]) == 64


def test_a_disk_too_small_for_one_run_is_an_error_before_training_and_for_all_a_warning(tmp_path, monkeypatch):
    def free(count):
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=count))

    display = SilentDisplay()
    free(1000)
    with pytest.raises(DiskFullError, match="small: 1 kB of disk are free, and one run alone needs about") as caught:
        sweep(tmp_path / "small", display=display)
    assert display.started == []
    one = int(re.search(r"needs about (\d+) kB", str(caught.value))[1])  # both need as much
    free(round(1500 * one))
    sweep(tmp_path / "small", display=display)
    assert "of disk are free, and the runs to come need about" in display.messages[0]
    assert len(display.started) == 2


def test_no_executor_is_made_for_a_sweep_that_is_refused(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr("cnnsweep.sweep.open_executor", lambda *_: made.append("executor"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DiskFullError):
        sweep(tmp_path / "small")
    assert made == []
    assert not (tmp_path / "small" / "journal.jsonl").exists()


def test_the_data_set_is_freed_with_the_sweep_and_not_by_the_collector_of_garbage(tmp_path):
    def of_data():
        return [one for one in gc.get_objects() if type(one) in (Dataset, DataModule, MemoryImages)]

    display = SilentDisplay()
    gc.collect()
    gc.disable()
    try:
        before = {*map(id, of_data())}
        sweep(tmp_path / "s", display=display)
        assert [type(one).__name__ for one in of_data() if id(one) not in before] == []
    finally:
        gc.enable()
