"""TensorBoard itself, started on a sweep and asked over HTTP: what a person would see."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_sweeps import sweep, tables

Ask = Callable[..., Any]
DEADLINE_S = 60
# One run diverges at once, and one has a hyperparameter that the others lack.
SWEEP = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 30}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8]}
params: {lr: [0.01, 0.001, 1.0e+30], optimizer: [adam, sgd], momentum: 0.9, batch_size: 16, epochs: 2}
when: {momentum: {optimizer: sgd}}
exclude: [{lr: 0.001, optimizer: sgd}]
tensorboard: {histograms: false}
"""
STATUSES = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board") / "small"
    sweep(folder, SWEEP)
    return folder


@pytest.fixture(scope="module")
def ask(folder: Path) -> Iterator[Ask]:
    """Calls TensorBoard, once it has read everything."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1"]
    server = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(path: str, body: Any = None, **query: Any) -> Any:
        url = f"http://127.0.0.1:{port}/data/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            content = answer.read()
        return json.loads(content) if "json" in answer.headers["Content-Type"] else content

    def has_read_everything() -> bool:
        try:
            scalars, images = ask("plugin/scalars/tags"), ask("plugin/images/tags")
        except OSError:
            return False
        evaluated = sum("evaluation_val/mistakes" in tags for tags in images.values())
        return set(scalars) == {row["run"] for row in tables(folder)["runs"]} and evaluated == 1

    try:
        end = time.monotonic() + DEADLINE_S
        while not has_read_everything():
            assert server.poll() is None, "TensorBoard ended"
            assert time.monotonic() < end, "TensorBoard shows not all that it should"
            time.sleep(0.2)
        yield ask
    finally:
        server.terminate()
        server.wait(DEADLINE_S)


def test_it_shows_the_sweeps_runs_and_no_others(ask, folder):
    runs = tables(folder)["runs"]
    assert sorted(ask("runs")) == sorted(row["run"] for row in runs)
    best = tables(folder)["sweep"]["best"]
    for run, tags in ask("plugin/scalars/tags").items():
        assert {"epoch/loss", "epoch/val_accuracy", "batch/loss"} <= set(tags)
        assert ("evaluation_val/accuracy_of_circle" in tags) == (run == best)


def test_the_hparams_view_has_one_row_a_run_with_status_settings_and_figures(ask, folder):
    rows = {row["run"]: row for row in tables(folder)["runs"]}
    experiment = ask("plugin/hparams/experiment", {"experimentName": ""})
    assert {one["name"] for one in experiment["hparamInfos"]} == set(tables(folder)["sweep"]["hyperparameters"])
    differing = {one["name"] for one in experiment["hparamInfos"] if one["differs"]}
    assert differing == {"lr", "optimizer", "momentum"}
    types = {one["name"]: one["type"].removeprefix("DATA_TYPE_") for one in experiment["hparamInfos"]}
    assert (types["lr"], types["momentum"], types["optimizer"]) == ("FLOAT64", "FLOAT64", "STRING")
    metrics = [one["name"]["tag"] for one in experiment["metricInfos"]]
    assert metrics == ["best/loss", "best/accuracy", "best/val_loss", "best/val_accuracy"]
    columns = [{"metric": {"tag": tag}} for tag in metrics]
    wish = {"experimentName": "", "allowedStatuses": STATUSES, "colParams": columns, "startIndex": 0, "sliceSize": 99}
    groups = ask("plugin/hparams/session_groups", wish)["sessionGroups"]
    assert sorted(group["name"] for group in groups) == sorted(rows)
    for group in groups:
        row = rows[group["name"]]
        (session,) = group["sessions"]
        is_well = row["status"] == "finished"
        assert session["status"] == ("STATUS_SUCCESS" if is_well else "STATUS_FAILURE")
        assert group["hparams"]["lr"] == row["lr"]
        assert group["hparams"].get("momentum") == row["momentum"]
        shown = {one["name"]["tag"]: one["value"] for one in group.get("metricValues", [])}
        expected = {f"best/{name}": row[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        assert shown == (pytest.approx(expected, rel=1e-6) if is_well else {})
    assert sum(group["sessions"][0]["status"] == "STATUS_FAILURE" for group in groups) >= 1


def test_training_and_validation_share_a_chart(ask):
    (category,) = ask("plugin/custom_scalars/layout")["category"]
    tags = ask("plugin/scalars/tags")
    for chart, figure in zip(category["chart"], ("loss", "accuracy"), strict=True):
        assert chart["title"] == figure
        run = next(iter(tags))
        for pattern, tag in zip(chart["multiline"]["tag"], (f"epoch/{figure}", f"epoch/val_{figure}"), strict=True):
            found = ask("plugin/custom_scalars/scalars", tag=pattern, run=run)
            assert found["regex_valid"]
            assert list(found["tag_to_events"]) == [tag]


def test_the_best_runs_confusion_matrix_and_mistakes_are_pictures(ask, folder):
    best = tables(folder)["sweep"]["best"]
    for run, tags in ask("plugin/images/tags").items():
        names = ("classes", "confusion_matrix", "mistakes") if run == best else ()
        pictures = {f"evaluation_val/{name}" for name in names}
        assert set(tags) == {"images"} | pictures
    for tag in ("images", "evaluation_val/classes", "evaluation_val/confusion_matrix", "evaluation_val/mistakes"):
        (entry,) = ask("plugin/images/images", run=best, tag=tag, sample=0)
        with Image.open(io.BytesIO(ask(f"plugin/images/individualImage?{entry['query']}"))) as picture:
            assert min(picture.size) > 20


def test_a_run_that_trains_has_its_row_before_it_ends(tmp_path):
    from small_sweeps import SilentDisplay
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    class Interrupt(SilentDisplay):
        def epoch_ended(self, record, selected):
            raise KeyboardInterrupt

    def plugins() -> list[str]:
        (run,) = [path.parent for path in tmp_path.glob("*/log.txt")]
        return [tag for tag in EventAccumulator(str(run)).Reload().summary_metadata if tag.startswith("_hparams_")]

    sweep(tmp_path, overrides=["params.lr=0.01"], display=Interrupt())
    assert plugins() == ["_hparams_/experiment", "_hparams_/session_start_info"]
    sweep(tmp_path, overrides=["params.lr=0.01"])
    assert plugins() == ["_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"]


def test_the_best_runs_classes_and_wrong_images_are_texts_too(ask, folder):
    best = tables(folder)["sweep"]["best"]
    tags = ask("plugin/text/tags")
    assert {"evaluation_val/scores_by_class", "evaluation_val/wrong_images"} <= set(tags[best])
    (entry,) = ask("plugin/text/text", run=best, tag="evaluation_val/scores_by_class")
    assert "<table>" in entry["text"]
    assert "circle" in entry["text"]
