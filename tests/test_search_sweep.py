"""A search with early stopping, from the sweep file to the tables; a resume asks and decides as if nothing had been."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_sweeps import SilentDisplay, sweep, tables, untimed

from cnnsweep.config.load import parse_sweep
from cnnsweep.errors import ModelError, SpecError, UsageError
from cnnsweep.storage.journal import Journal, read_journal
from cnnsweep.storage.state import read_state
from cnnsweep.storage.trial_files import RunFiles
from cnnsweep.types import RunStatus

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
    history = read_state(folder / "journal.jsonl")
    return [(asked.drawn, asked.picks, asked.trial_ids) for asked in history.rounds], history.decisions


@pytest.fixture(scope="module", params=["off", 4], ids=["alone", "together"])
def fuse(request):
    return request.param


APPENDED: dict[Path, list[str | None]] = {}  # by the sweep's folder: of each append to the journal, the first event


@pytest.fixture(scope="module")
def whole(tmp_path_factory, fuse):
    """An uninterrupted search."""
    folder = tmp_path_factory.mktemp("search") / "small"
    APPENDED[folder] = []
    append = Journal.append

    def noted(self, *events):
        APPENDED[folder].append(events[0]["event"] if events else None)
        append(self, *events)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Journal, "append", noted)
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
    # With the one of the file three train at once; when half of them have ended, others take their place.
    assert [len(picks) for _, picks, _ in chosen(whole)[0]] == [2, 2, 2, 1]
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
        assert stop["value"] <= stop["threshold"]  # of those that reach it, the ones with the lower loss go on
        assert f"epoch {stop['epoch']}: val_accuracy is" in run["cause"]
        assert (whole / run["checkpoint"]).exists()
    assert all(run["stop"] is None for run in content["runs"] if run["status"] == "finished")


def test_further_settings_train_together_with_those_on_their_way(whole, fuse):
    if fuse == "off":
        pytest.skip("nothing trains together")
    mixed = []
    for event in map(json.loads, (whole / "journal.jsonl").read_text().splitlines()):
        for group in event.get("groups", ()):
            members = [run for program in group["programs"] for ids in program for run in ids]
            if len({event["goals"][run] for run in members}) > 1:
                mixed.append(members)
    assert mixed


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
    folder = tmp_path / "small"
    with monkeypatch.context() as patched:
        crash_at_append(patched, int(len(APPENDED[whole]) * share))
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
    assert len(set(display.started)) == 4
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
    assert "the search asks for 50 trials, but there are only 6 trials to try" in display.messages


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


# Odd files, edited files, and runs that fail: every sweep comes to its end

TINY = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 30}
model: {name: cnn, channels: [3], kernel_size: 3, hidden: []}
params:
  lr: {log_uniform: [1e-3, 0.3]}
  optimizer: [adam, sgd]
  batch_size: 32
  epochs: 2
search: {method: random, runs: 3, seed: 1}
tensorboard: false
"""
RULE = "early_stop: {method: halving, factor: 2}\n"


def learning(text=TINY, method="tpe", runs=4):
    return text.replace("method: random, runs: 3", f"method: {method}, runs: {runs}, round: 2")


def is_through(folder, result):
    return result.interrupted is None and tables(folder)["sweep"]["status"] == "finished"


@pytest.mark.parametrize(
    "text",
    [
        learning(runs=1) + RULE,
        learning(TINY.replace("{log_uniform: [1e-3, 0.3]}", "0.01").replace("[adam, sgd]", "adam")),
        learning(TINY.replace("{log_uniform: [1e-3, 0.3]}", "0.01").replace("[adam, sgd]", "adam"), "gp"),
        TINY.replace("epochs: 2", "epochs: 1") + RULE,
        TINY + "early_stop: {method: halving, min_epochs: 9}\n",
        TINY + RULE + "metric: val_loss\nmode: min\n",
        TINY + RULE + "scope: last\n",
        TINY.replace("search:", "#").replace("{log_uniform: [1e-3, 0.3]}", "[0.1, 0.01]").replace(
            "epochs: 2", "epochs: 2\n  seed: [0, 1, 2]") + RULE,
        TINY + RULE + "validation: {folds: 2}\n",
        learning() + "include: [{lr: 0.5, optimizer: adam}]\n",
    ],
    ids=["one run", "one trial", "one trial, gp", "one epoch", "late rung", "val_loss", "scope last", "seed axis",
         "folds", "include outside"],
)  # fmt: skip
@pytest.mark.parametrize("size", ["off", 4])
def test_odd_sweeps_end(tmp_path, text, size):
    result = sweep(tmp_path / "s", text, fuse=size)
    assert is_through(tmp_path / "s", result)
    assert set(result.statuses.values()) <= {RunStatus.FINISHED, RunStatus.STOPPED}
    display = SilentDisplay()
    assert is_through(tmp_path / "s", sweep(tmp_path / "s", text, display, fuse=size))
    assert display.started == []


@pytest.mark.parametrize("size", ["off", 3])
def test_a_threshold_that_nothing_reaches_leaves_a_sweep_that_can_be_read(tmp_path, size):
    text = TINY + "early_stop: {method: threshold, value: 2.0}\n"
    result = sweep(tmp_path / "s", text, fuse=size)
    assert is_through(tmp_path / "s", result)
    content = tables(tmp_path / "s")
    assert {(run["status"], run["epochs_done"]) for run in content["runs"]} == {("stopped", 1)}
    assert content["sweep"]["best"] in {run["run"] for run in content["runs"]}
    assert all((tmp_path / "s" / run["checkpoint"]).exists() for run in content["runs"])


@pytest.mark.parametrize("method", ["tpe", "gp"])
def test_a_search_goes_on_past_settings_that_diverge(tmp_path, method):
    text = (
        learning(TINY, method)
        .replace("{log_uniform: [1e-3, 0.3]}", "[1.0e30, 0.01, 0.02]")
        .replace("[adam, sgd]", "sgd")
    )
    text = text.replace("runs: 4", "runs: 9") + RULE + "seeds: 2\n"
    result = sweep(tmp_path / "s", text)
    assert is_through(tmp_path / "s", result)
    assert sorted(map(str, set(result.statuses.values()) - {RunStatus.STOPPED})) == ["diverged", "finished"]
    display = SilentDisplay()
    sweep(tmp_path / "s", text, display, retry_failed=True)
    assert set(display.started) == {run["id"] for run in tables(tmp_path / "s")["runs"] if run["status"] == "diverged"}
    assert len(display.started) == len(set(display.started))  # once each


NET = """
from torch import nn
class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        if width == 3:
            raise ValueError('three is no width')
        self.width, self.layers = width, nn.Sequential(nn.Flatten(), nn.Linear(144, width), nn.Linear(width, 3))
    def forward(self, x):
        if self.width == 4 and len(x) == 32:
            raise ValueError('four is too many')
        return self.layers(x)
"""


@pytest.mark.parametrize("size", ["off", 2])
def test_models_of_a_search_that_fail_are_rows_and_the_search_goes_on(tmp_path, monkeypatch, size):
    (tmp_path / "net.py").write_text(NET)
    text = learning(TINY, runs=9).replace(
        "{name: cnn, channels: [3], kernel_size: 3, hidden: []}", f"'{tmp_path}/net.py:Net'"
    )
    text = text.replace("{log_uniform: [1e-3, 0.3]}", "0.01\n  model.width: [2, 3, 4, 5]").replace(
        "[adam, sgd]", "adam"
    )
    text = text.replace("tensorboard: false", "tensorboard: {graph: true}") + "seeds: 2\n" + RULE
    result = sweep(tmp_path / "s", text, fuse=size)
    assert is_through(tmp_path / "s", result)
    by_width = {}
    for run in tables(tmp_path / "s")["runs"]:
        by_width.setdefault(run["model.width"], []).append((run["status"], run["cause"]))
    assert set(by_width) == {2, 3, 4, 5}
    assert {status for status, _ in by_width[3] + by_width[4]} == {"failed"}
    assert all("three is no width" in cause for _, cause in by_width[3])
    assert all("four is too many" in cause for _, cause in by_width[4])
    assert "failed" not in {status for status, _ in by_width[2] + by_width[5]}
    display = SilentDisplay()
    assert is_through(tmp_path / "s", sweep(tmp_path / "s", text, display, fuse=size))
    assert display.started == []
    sweep(tmp_path / "s", text, display, fuse=size, retry_failed=True)
    assert len(set(display.started)) == 4

    with monkeypatch.context() as patched:  # what a crash in the middle leaves is no different
        crash_at_append(patched, 14)
        with pytest.raises(Crash):
            sweep(tmp_path / "t", text, fuse=size)
    sweep(tmp_path / "t", text, fuse=size)
    assert chosen(tmp_path / "t") == chosen(tmp_path / "s")


def test_a_search_none_of_whose_models_fit_is_refused_before_anything_trains(tmp_path):
    text = TINY.replace("channels: [3]", "channels: [3, 3, 3, 3]")
    with pytest.raises(ModelError, match="have no pixel left"):
        sweep(tmp_path / "s", text)


def test_runs_are_limited(tmp_path):
    with pytest.raises(UsageError, match="has 6 combinations"):
        sweep(tmp_path / "s", TINY + "seeds: 2\n", max_runs=5)


def test_a_setting_that_was_drawn_and_is_then_included_trains_once(tmp_path):
    text = TINY.replace("{log_uniform: [1e-3, 0.3]}", "[0.1, 0.01, 0.001]")
    sweep(tmp_path / "s", text)
    run = tables(tmp_path / "s")["runs"][1]
    text += f"include: [{{lr: {run['lr']}, optimizer: {run['optimizer']}}}]\nseeds: 2\n"
    display = SilentDisplay()
    result = sweep(tmp_path / "s", text, display)
    assert is_through(tmp_path / "s", result)
    assert len(display.started) == len(set(display.started)) == 3  # the new seed of each
    assert len(display.overview.runs) == len(result.statuses) == 6


def test_an_edited_space_starts_the_search_anew_and_trains_nothing_twice(tmp_path):
    text = learning(TINY, runs=5)
    with_rule = text + "exclude: [{lr: '>= 0.299'}]\n"
    sweep(tmp_path / "s", text)
    before = tables(tmp_path / "s")["runs"]
    display = SilentDisplay()
    result = sweep(tmp_path / "s", with_rule, display)
    # The same draws, the same results: a search that finds all of them done goes on to the next round nevertheless.
    assert is_through(tmp_path / "s", result)
    assert display.started == []
    assert tables(tmp_path / "s")["runs"] == before
    assert set(result.statuses) == {run["run"] for run in before}
    assert len({asked.space for asked in read_state(tmp_path / "s" / "journal.jsonl").rounds}) == 2


def test_what_an_edited_space_draws_again_goes_on_in_its_own_folder(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        crash_at_append(patched, 7)
        with pytest.raises(Crash):
            sweep(tmp_path / "s", TINY)
    sweep(tmp_path / "s", TINY + "exclude: [{lr: '>= 0.299'}]\n")
    content = tables(tmp_path / "s")
    assert [run["status"] for run in content["runs"]] == ["finished"] * 3
    assert all((tmp_path / "s" / run["checkpoint"]).exists() for run in content["runs"])
    assert {path.name for path in (tmp_path / "s").iterdir() if path.is_dir()} == {
        run["run"] for run in content["runs"]
    }


def test_another_seed_of_the_search_tries_others_and_keeps_what_is_there(tmp_path):
    sweep(tmp_path / "s", TINY)
    result = sweep(tmp_path / "s", TINY.replace("seed: 1", "seed: 2"))
    assert is_through(tmp_path / "s", result)
    assert (len(result.statuses), len(tables(tmp_path / "s")["runs"])) == (3, 6)


def test_a_constant_that_is_edited_makes_other_settings_with_figures_of_their_own(tmp_path):
    sweep(tmp_path / "s", learning())
    sweep(tmp_path / "s", learning().replace("batch_size: 32", "batch_size: 16"))
    first, *rounds = read_state(tmp_path / "s" / "journal.jsonl").rounds
    assert rounds[-1].space != first.space
    assert (rounds[-1].drawn, len(tables(tmp_path / "s")["runs"])) == (4, 8)


@pytest.mark.parametrize("rule", ["median, min_settings: 1", "patience, epochs: 1", "threshold, value: 0.4"])
def test_another_rule_counts_from_then_on(tmp_path, rule):
    sweep(tmp_path / "s", TINY + RULE)
    stopped = {run["run"] for run in tables(tmp_path / "s")["runs"] if run["status"] == "stopped"}
    result = sweep(tmp_path / "s", TINY.replace("runs: 3", "runs: 5") + f"early_stop: {{method: {rule}}}\n")
    assert is_through(tmp_path / "s", result)
    assert stopped <= {run["run"] for run in tables(tmp_path / "s")["runs"] if run["status"] == "stopped"}


@pytest.mark.parametrize("size", ["off", 2])
def test_a_journal_of_the_version_before_goes_on_and_is_judged(tmp_path, monkeypatch, size):
    grid = (
        TINY.replace("search:", "#")
        .replace("{log_uniform: [1e-3, 0.3]}", "[0.1, 0.01]")
        .replace("epochs: 2", "epochs: 3")
    )
    folder = tmp_path / "s"
    with monkeypatch.context() as patched:
        crash_at_append(patched, 7)
        with pytest.raises(Crash):
            sweep(folder, grid, fuse=size)
    events = list(read_journal(folder / "journal.jsonl"))
    (folder / "journal.jsonl").unlink()
    journal = Journal(folder / "journal.jsonl")
    for event in events:
        new = {"configuration", "fold", "epochs", "crc", "folds", "scope", "search", "early_stop"}
        journal.append({key: value for key, value in event.items() if key not in new})
    journal.close()
    assert len(read_state(folder / "journal.jsonl").runs) == 4
    result = sweep(folder, grid + RULE + "seeds: 2\n", fuse=size)
    assert is_through(folder, result)
    runs = tables(folder)["runs"]
    assert len({run["configuration"] for run in runs}) == 4
    assert len(runs) == 8
    assert "stopped" in {run["status"] for run in runs}


def test_groups_keep_their_turn_when_their_first_runs_have_ended(tmp_path, monkeypatch):
    # Of each pair one trains in either group; the first two of the first group are stopped at once.
    text = TINY.replace("search:", "#").replace("{log_uniform: [1e-3, 0.3]}", "[9, 3, 0.1, 0.03]")
    text = text.replace("epochs: 2", "epochs: 3") + RULE + "metric: val_loss\n"
    sweep(tmp_path / "whole", text, fuse=4)
    expected = chosen(tmp_path / "whole"), untimed(tmp_path / "whole")
    appends = [e["event"] for e in read_journal(tmp_path / "whole" / "journal.jsonl") if e["event"] != "run"]
    at = appends.index("ended") + 4
    with monkeypatch.context() as patched:
        crash_at_append(patched, at)
        with pytest.raises(Crash):
            sweep(tmp_path / "s", text, fuse=4)
    sweep(tmp_path / "s", text, fuse=4)
    assert (chosen(tmp_path / "s"), untimed(tmp_path / "s")) == expected


def test_two_crashes_in_a_row_change_nothing(whole, tmp_path, monkeypatch, fuse):
    for at in (17, 12):
        with monkeypatch.context() as patched:
            crash_at_append(patched, at)
            with pytest.raises(Crash):
                sweep(tmp_path / "small", SEARCH, fuse=fuse)
    sweep(tmp_path / "small", SEARCH, fuse=fuse)
    assert (chosen(tmp_path / "small"), untimed(tmp_path / "small")) == (chosen(whole), untimed(whole))


def test_a_search_has_its_seeds_beside_params():
    with pytest.raises(SpecError, match="name them with the key `seeds`"):
        parse_sweep(TINY.replace("epochs: 2", "epochs: 2\n  seed: [0, 1, 2]"), "s.yaml")
    parse_sweep(TINY.replace("epochs: 2", "epochs: 2\n  seed: 3"), "s.yaml")


@pytest.mark.parametrize("runs_left", [0, 1, 3])
def test_a_round_whose_runs_were_written_down_in_part_is_announced_whole(whole, tmp_path, monkeypatch, fuse, runs_left):
    folder = tmp_path / "small"
    with monkeypatch.context() as patched:
        crash_at_append(patched, APPENDED[whole].index("asked") + 2)  # counted from 1
        with pytest.raises(Crash):
            sweep(folder, SEARCH, fuse=fuse)
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    asked = next(number for number, line in enumerate(lines) if b'"event": "asked"' in line)
    assert len(lines) == asked + 5  # two trials, two seeds
    kept = lines[: asked + 1 + runs_left]
    (folder / "journal.jsonl").write_bytes(b"".join(kept) + lines[asked + 1 + runs_left][:40])  # a torn line
    sweep(folder, SEARCH, fuse=fuse)
    assert (chosen(folder), untimed(folder)) == (chosen(whole), untimed(whole))


def test_at_a_rung_every_setting_waits_and_those_that_go_on_are_grouped_anew(tmp_path):
    text = TINY.replace("search:", "#").replace("{log_uniform: [1e-3, 0.3]}", "[0.1, 0.03, 0.01, 0.003]")
    text = text.replace("epochs: 2", "epochs: 4") + RULE + "metric: val_loss\n"
    sweep(tmp_path / "s", text, fuse=2)
    history = read_state(tmp_path / "s" / "journal.jsonl")
    first = [decision for (_, epoch), decision in history.decisions.items() if epoch == 1]
    assert {decision.compared for decision in first} == {8}  # all of them, whichever trained first
    assert len({decision.threshold for decision in first}) == 1
    assert sum(not decision.stops for decision in first) == 4
    planned = [e for e in read_journal(tmp_path / "s" / "journal.jsonl") if e["event"] == "planned"]
    assert [event["conditions"].get("rung") for event in planned] == [1, 2, None]
    left = [
        len([run for one in event["groups"] for program in one["programs"] for run in program]) for event in planned
    ]
    assert left == [8, 4, 2]
    # What is left of two groups of one optimizer trains as one again.
    families = [{one["kind"] for one in event["groups"]} for event in planned]
    for event, kinds in zip(planned[1:], families[1:], strict=True):
        for kind in kinds:
            sizes = [sum(map(len, one["programs"])) for one in event["groups"] if one["kind"] == kind]
            assert sizes.count(1) <= 1


def test_an_epoch_without_its_checkpoint_is_trained_again_in_the_group_that_it_had(tmp_path, monkeypatch):
    # The journal has the last epoch of the first group before the rung, the run's last checkpoint is not written yet.
    text = TINY.replace("search:", "#").replace("{log_uniform: [1e-3, 0.3]}", "[9, 3, 0.1, 0.03]")
    text = text.replace("epochs: 2", "epochs: 3") + RULE + "metric: val_loss\n"
    sweep(tmp_path / "whole", text, fuse=4)
    calls = []
    write = RunFiles.add_batch_losses

    def crashing(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise Crash
        write(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(RunFiles, "add_batch_losses", crashing)
        with pytest.raises(Crash):
            sweep(tmp_path / "s", text, fuse=4)
    sweep(tmp_path / "s", text, fuse=4)
    assert (chosen(tmp_path / "s"), untimed(tmp_path / "s")) == (
        chosen(tmp_path / "whole"),
        untimed(tmp_path / "whole"),
    )
