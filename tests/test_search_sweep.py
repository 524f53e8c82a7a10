"""A search with early stopping, from the sweep file to the tables; a resume asks and decides as if nothing had been."""

from __future__ import annotations

import json

import pytest
from small_sweeps import SilentDisplay, sweep, tables, untimed

from cnnsweep.recording.history import read_history
from cnnsweep.recording.journal import Journal, read_journal
from cnnsweep.records import RunStatus

SEARCH = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 90, test: 30}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8]}
params:
  lr: {log_uniform: [1e-3, 0.3]}
  optimizer: [adam, sgd]
  momentum: {uniform: [0, 0.9], step: 0.1}
  batch_size: 16
  epochs: 4
when: {momentum: {optimizer: sgd}}
include: [{lr: 0.01, optimizer: adam, momentum: 0}]
search: {method: tpe, runs: 7, seed: 3, round: 3}
seeds: 2
early_stop: {method: halving, factor: 2}
tensorboard: false
"""


def chosen(folder):
    """Return what was asked for and decided, without times."""
    history = read_history(folder / "journal.jsonl")
    return [(asked.drawn, asked.picks, asked.configurations) for asked in history.rounds], history.verdicts


@pytest.fixture(scope="module", params=["off", 4], ids=["alone", "together"])
def fuse(request):
    return request.param


@pytest.fixture(scope="module")
def whole(tmp_path_factory, fuse):
    """An uninterrupted search."""
    folder = tmp_path_factory.mktemp("search") / "small"
    result = sweep(folder, SEARCH, fuse=fuse)
    assert result.interrupted is None
    assert set(result.statuses.values()) == {RunStatus.FINISHED, RunStatus.STOPPED}
    return folder


def test_as_many_settings_are_tried_as_asked_for_each_with_every_seed(whole):
    content = tables(whole)
    by_setting = {}
    for run in content["runs"]:
        by_setting.setdefault(run["configuration"], []).append(run["seed"])
    assert len(by_setting) == 8
    assert set(map(tuple, by_setting.values())) == {(0, 1)}
    assert [len(picks) for _, picks, _ in chosen(whole)[0]] == [3, 3, 1]
    assert content["runs"][0]["lr"] == 0.01  # what the file names comes first
    assert content["sweep"]["status"] == "finished"
    assert (content["sweep"]["search"]["method"], content["sweep"]["early_stop"]["method"]) == ("tpe", "halving")
    momenta = {run["optimizer"]: {row["momentum"] for row in content["runs"] if row["optimizer"] == run["optimizer"]}
               for run in content["runs"]}  # fmt: skip
    assert momenta.get("adam", {None}) == {None}
    assert None not in momenta.get("sgd", {0.5})


def test_seeds_of_a_setting_stop_together_and_say_why(whole):
    content = tables(whole)
    objective = {}
    for row in content["epochs"]:
        objective[row["run"], row["epoch"]] = row["val_accuracy"]
    stopped = [run for run in content["runs"] if run["status"] == "stopped"]
    assert stopped
    for run in stopped:
        twins = [other for other in content["runs"] if other["configuration"] == run["configuration"]]
        assert {twin["status"] for twin in twins} == {"stopped"}
        assert {twin["epochs_done"] for twin in twins} == {run["epochs_done"]}
        stop = run["stop"]
        assert stop["epoch"] == run["epochs_done"] in (1, 2)
        best = [max(objective[twin["run"], e] for e in range(1, stop["epoch"] + 1)) for twin in twins]
        assert stop["value"] == pytest.approx(sum(best) / 2)
        assert stop["value"] < stop["threshold"]
        assert f"epoch {stop['epoch']}: val_accuracy is" in run["cause"]
        assert (whole / run["checkpoint"]).exists()
    assert all(run["stop"] is None for run in content["runs"] if run["status"] == "finished")


class Crash(BaseException):
    """What a kill is to the code: nothing catches it."""


def crash_at_append(monkeypatch, limit):
    done = [0]
    append = Journal.append

    def counted(self, *events):
        done[0] += 1
        if done[0] == limit:
            raise Crash
        append(self, *events)

    monkeypatch.setattr(Journal, "append", counted)
    return done


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.97])
def test_a_search_that_crashed_goes_on_with_the_same_settings_and_verdicts(whole, tmp_path, monkeypatch, fuse, share):
    appends = sum(event["event"] != "run" for event in read_journal(whole / "journal.jsonl"))
    folder = tmp_path / "small"
    with monkeypatch.context() as patched:
        crash_at_append(patched, int(appends * share))
        with pytest.raises(Crash):
            sweep(folder, SEARCH, fuse=fuse)
    assert sweep(folder, SEARCH, fuse=fuse).interrupted is None
    assert chosen(folder) == chosen(whole)
    assert untimed(folder) == untimed(whole)


def test_a_finished_search_asks_for_nothing(whole, fuse):
    before = chosen(whole)
    display = SilentDisplay()
    sweep(whole, SEARCH, display, fuse=fuse)
    assert display.started == []
    assert chosen(whole) == before


def test_a_random_search_can_be_extended_and_keeps_what_it_has(tmp_path):
    random = SEARCH.replace("method: tpe, runs: 7, seed: 3, round: 3", "method: random, runs: 3")
    sweep(tmp_path / "s", random)
    first = [run["run"] for run in tables(tmp_path / "s")["runs"]]
    display = SilentDisplay()
    sweep(tmp_path / "s", random.replace("runs: 3", "runs: 5"), display)
    assert [run["run"] for run in tables(tmp_path / "s")["runs"]][: len(first)] == first
    assert len(display.started) == 4
    assert not set(display.started) & {run["id"] for run in tables(tmp_path / "s")["runs"][: len(first)]}


def test_without_the_rule_stopped_runs_go_on(whole, tmp_path, fuse):
    import shutil

    folder = tmp_path / "small"
    shutil.copytree(whole, folder)
    stopped = {run["run"] for run in tables(folder)["runs"] if run["status"] == "stopped"}
    result = sweep(folder, SEARCH.replace("early_stop: {method: halving, factor: 2}\n", ""), fuse=fuse)
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    assert {run["epochs_done"] for run in tables(folder)["runs"] if run["run"] in stopped} == {4}


def test_a_small_space_is_searched_to_its_end_and_no_further(tmp_path):
    text = SEARCH.replace("lr: {log_uniform: [1e-3, 0.3]}", "lr: [0.1, 0.01]").replace(
        "uniform: [0, 0.9], step: 0.1", "choice: [0, 0.9]"
    )
    text = text.replace("epochs: 4", "epochs: 1").replace("seeds: 2\n", "").replace("runs: 7", "runs: 50")
    display = SilentDisplay()
    result = sweep(tmp_path / "s", text, display)
    settings = {(r["lr"], r["optimizer"], r["momentum"]) for r in tables(tmp_path / "s")["runs"]}
    # 2 rates × (adam, sgd with 2 momenta); the one included is among them
    assert len(settings) == len(result.statuses) == 6
    assert tables(tmp_path / "s")["sweep"]["status"] == "finished"
    assert any("every setting of the space" in message for message in display.messages)


def test_every_fold_trains_without_its_own_images(tmp_path):
    text = (
        SEARCH.split("when:")[0]
        .replace("{log_uniform: [1e-3, 0.3]}", "0.01")
        .replace("{uniform: [0, 0.9], step: 0.1}", "0.9")
    )
    text = text.replace("[adam, sgd]", "sgd") + "validation: {folds: 3}\nseeds: 2\ntensorboard: false\n"
    sweep(tmp_path / "s", text, fuse=2)
    content = tables(tmp_path / "s")
    assert sorted((run["seed"], run["fold"]) for run in content["runs"]) == [(s, f) for s in (0, 1) for f in (0, 1, 2)]
    assert len({run["configuration"] for run in content["runs"]}) == 1
    assert content["sweep"]["folds"] == 3
    described = [json.loads((tmp_path / "s" / run["run"] / "best.json").read_text()) for run in content["runs"]]
    assert {about["split"]["fold"] for about in described} == {0, 1, 2}
    assert len({tuple(about["pixels"]["mean"]) for about in described}) == 3  # measured on each fold's own part


@pytest.mark.parametrize(("scope", "expected"), [("last", -1), ("mean of last 2", None)])
def test_the_scope_decides_what_stands_for_a_run(tmp_path, scope, expected):
    text = (
        SEARCH.split("when:")[0]
        .replace("{log_uniform: [1e-3, 0.3]}", "[0.05, 0.01]")
        .replace("{uniform: [0, 0.9], step: 0.1}", "0.9")
    )
    text = text.replace("[adam, sgd]", "sgd") + f"scope: {scope}\ntensorboard: false\n"
    sweep(tmp_path / "s", text)
    content = tables(tmp_path / "s")
    for run in content["runs"]:
        figures = [row["val_accuracy"] for row in content["epochs"] if row["run"] == run["run"]]
        assert run["val_accuracy"] == pytest.approx(figures[-1] if expected == -1 else (figures[-1] + figures[-2]) / 2)
        assert run["best_epoch"] == 4
        assert json.loads((tmp_path / "s" / run["run"] / "best.json").read_text())["epoch"] == 4
