"""A journal with damaged, lost or doubled lines: what is whole stays, the next command ends as if nothing had been."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from pathlib import Path

import pytest
from damaged_sweeps import OVERRIDES, assert_repairs, check, copy_of, flipped, lines_of, make_sweep, repair, write_lines
from small_sweeps import SilentDisplay, sweep, tables, untimed

from cnnsweep.errors import ResultsError
from cnnsweep.maintenance.diagnostic import Level
from cnnsweep.maintenance.known_results import KnownResults, read_known_results
from cnnsweep.maintenance.salvage import salvage
from cnnsweep.storage.journal import encode_event, read_lines
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import read_state

OLD = Path(__file__).parent.parent / "storage" / "old"
SEARCH = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 48, test: 6}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: []}
search: {method: tpe, runs: 4, round: 2}
early_stop: {method: halving, min_epochs: 1, factor: 2}
params: {lr: {log_uniform: [1.0e-3, 0.1]}, batch_size: 16, epochs: 2}
metric: val_loss
tensorboard: false
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_sweep(tmp_path_factory.mktemp("whole") / "small")


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    return make_sweep(tmp_path_factory.mktemp("fused") / "small", fuse=2)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / "small"
    sweep(folder, SEARCH)
    assert any(row["status"] == "stopped" for row in tables(folder)["runs"])
    return folder


def kinds_of(folder):
    return [json.loads(line)["event"] for line in lines_of(folder)]


def with_lines(whole, target, lines):
    folder = copy_of(whole, target)
    write_lines(folder, lines)
    return folder


def assert_any_line_may_be_damaged(whole, target, places, fuse="off"):
    lines = lines_of(whole)
    trained = {}
    for place in places:
        damaged = [*lines[:place], flipped(lines[place]), *lines[place + 1 :]]
        folder = with_lines(whole, target, damaged)
        trained[place] = assert_repairs(folder, whole, f"line {place + 1}", fuse=fuse)
        for line in set(lines) - {lines[place]}:  # what was whole stays, but for the end of a run that lost an epoch
            is_end = json.loads(line)["event"] == "ended"
            assert is_end or line in lines_of(folder) or b'"epoch": 2' in line, place
    return trained


def test_a_flipped_bit_in_the_sweep_a_run_an_epoch_or_an_end_loses_one_run_at_most(whole, tmp_path):
    kinds = kinds_of(whole)
    first_epoch = kinds.index("epoch")
    places = [kinds.index("sweep"), kinds.index("run"), first_epoch, first_epoch + 1, kinds.index("ended")]
    trained = assert_any_line_may_be_damaged(whole, tmp_path / "d", places)
    assert list(trained.values()) == [0, 0, 2, 2, 0]  # epochs trained again: of the run that lost one


def test_a_run_of_a_group_that_lost_an_epoch_trains_again_in_its_group(fused, tmp_path):
    kinds = kinds_of(fused)
    first_epoch = kinds.index("epoch")
    places = [kinds.index("planned"), first_epoch, first_epoch + 1, first_epoch + 2, kinds.index("ended")]
    trained = assert_any_line_may_be_damaged(fused, tmp_path / "d", places, fuse=2)
    assert list(trained.values()) == [0, 2, 2, 2, 0]


def test_that_others_train_along_is_told_and_journaled(fused, tmp_path):
    lines, place = lines_of(fused), kinds_of(fused).index("epoch")
    folder = with_lines(fused, tmp_path / "d", [*lines[:place], *lines[place + 1 :]])
    repair(folder)
    display = SilentDisplay()
    sweep(folder, display=display, overrides=OVERRIDES, fuse=2)
    assert [words for words in display.notes if "1 run that has ended trains along" in words]
    assert len(set(display.started)) == 1  # nothing is recorded of the other
    planned = [event for event in map(json.loads, lines_of(folder)) if event["event"] == "planned"][-1]
    (group,) = planned["groups"]
    (other,) = group["companions"]
    assert other not in display.started
    assert group["companions"][other] == 2


def test_a_repetition_that_is_cut_short_goes_on_in_the_group(fused, tmp_path):
    lines, place = lines_of(fused), kinds_of(fused).index("epoch")
    folder = with_lines(fused, tmp_path / "d", [*lines[:place], *lines[place + 1 :]])
    repair(folder)

    class Stopping(SilentDisplay):
        def epoch_ended(self, record, selected):
            raise KeyboardInterrupt

    sweep(folder, display=Stopping(), overrides=OVERRIDES, fuse=2)
    display = SilentDisplay()
    sweep(folder, display=display, overrides=OVERRIDES, fuse=2)
    assert [record.epoch for record in display.records] == [2]
    assert untimed(folder) == untimed(fused)


def test_a_run_that_is_tried_again_after_a_failure_trains_alone(tmp_path):
    overrides = (*OVERRIDES, "params.lr=[0.01, 1.0e9]", "params.optimizer=sgd", "params.epochs=3")
    sweep(tmp_path / "s", overrides=overrides, fuse=2)
    display = SilentDisplay()
    sweep(tmp_path / "s", display=display, overrides=overrides, fuse=2, retry_failed=True)
    assert {row["status"] for row in tables(tmp_path / "s")["runs"]} == {"finished", "diverged"}
    assert not [words for words in display.notes if "along" in words]


MIXED = (*OVERRIDES, "params.lr=[0.01, 0.003, 0.001]", "params.epochs=[1, 3]", "seeds=2")


def lost_runs(folder, lines, count, chance):
    """Return a journal without an epoch of each of some runs, and the runs' ids."""
    epochs = [(place, json.loads(line)) for place, line in enumerate(lines) if json.loads(line)["event"] == "epoch"]
    picked = chance.sample(sorted({event["run"] for _, event in epochs}), count)
    gone = {chance.choice([place for place, event in epochs if event["run"] == run]) for run in picked}
    write_lines(folder, [line for place, line in enumerate(lines) if place not in gone])
    return picked


@pytest.mark.parametrize("count", [3, *(pytest.param(count, marks=pytest.mark.faults) for count in (1, 2, 4, 6, 8))])
@pytest.mark.parametrize("fuse", [12, 5], ids=["one group", "several groups"])
def test_runs_of_a_group_with_different_epochs_and_seeds_come_back_bit_for_bit(tmp_path, fuse, count):
    whole = tmp_path / "small"
    sweep(whole, overrides=MIXED, fuse=fuse)
    chance = random.Random(count)
    for number in range(1 if count == 3 else 5):
        folder = copy_of(whole, tmp_path / "d")
        picked = lost_runs(folder, lines_of(whole), count, chance)
        assert_repairs(folder, whole, (number, picked), MIXED, fuse)


@pytest.mark.faults
def test_a_flipped_bit_in_any_line_of_a_groups_journal_loses_one_run_at_most(fused, tmp_path):
    trained = assert_any_line_may_be_damaged(fused, tmp_path / "d", range(len(lines_of(fused))), fuse=2)
    assert max(trained.values()) == 2


def test_a_run_that_lost_its_last_epoch_has_not_finished(whole, tmp_path):
    lines = lines_of(whole)
    place = kinds_of(whole).index("epoch") + 1
    folder = with_lines(whole, tmp_path / "d", [*lines[:place], *lines[place + 1 :]])
    assert any("epochs before its end are lost" in words for words in repair(folder))


@pytest.mark.faults
def test_a_flipped_bit_in_any_line_loses_one_run_at_most(whole, tmp_path):
    trained = assert_any_line_may_be_damaged(whole, tmp_path / "d", range(len(lines_of(whole))))
    assert max(trained.values()) == 2


@pytest.mark.faults
def test_any_two_damaged_lines_are_mended(whole, tmp_path):
    lines = lines_of(whole)
    for pair in itertools.combinations(range(len(lines)), 2):
        damaged = [flipped(line) if place in pair else line for place, line in enumerate(lines)]
        assert_repairs(with_lines(whole, tmp_path / "d", damaged), whole, pair)


def test_two_damaged_lines_are_mended(whole, tmp_path):
    lines = lines_of(whole)
    first, second = 2, kinds_of(whole).index("ended")
    damaged = [flipped(line) if place in (first, second) else line for place, line in enumerate(lines)]
    assert assert_repairs(with_lines(whole, tmp_path / "d", damaged), whole, "two") == 0


def test_lines_that_were_cut_out_or_doubled_are_found(whole, tmp_path):
    lines = lines_of(whole)
    epoch = kinds_of(whole).index("epoch")
    assert assert_repairs(with_lines(whole, tmp_path / "d", lines[:epoch] + lines[epoch + 1 :]), whole, "cut") == 2
    doubled = with_lines(whole, tmp_path / "d", [*lines[: epoch + 1], lines[epoch], *lines[epoch + 1 :]])
    assert any("is a duplicate" in diagnostic.words for diagnostic in check(doubled))
    assert assert_repairs(doubled, whole, "doubled") == 0
    assert assert_repairs(with_lines(whole, tmp_path / "d", [*lines, *lines[epoch:]]), whole, "copied") == 0


@pytest.mark.faults
def test_any_line_may_be_cut_out_or_doubled_or_joined_with_the_next(whole, tmp_path):
    lines = lines_of(whole)
    for place, line in enumerate(lines):
        others = lines[:place], lines[place + 1 :]
        changes = {"cut": [*others[0], *others[1]], "doubled": [*others[0], line, line, *others[1]]}
        changes["joined"] = [*others[0], line[:-1] + b"\x0b", *others[1]]
        for label, changed in changes.items():
            assert_repairs(with_lines(whole, tmp_path / "d", changed), whole, (place, label))


def test_a_torn_tail_is_no_damage_and_is_cut_off(whole, tmp_path):
    folder = copy_of(whole, tmp_path / "d")
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"event": "epo')
    assert [f.level for f in check(folder) if f.subject == "journal"] == [Level.NOTE, Level.GOOD]
    assert repair(folder) == ["journal: cut off a torn last line of 14 bytes"]
    assert lines_of(folder) == lines_of(whole)


def test_what_is_replaced_is_kept_under_a_name_of_its_own(whole, tmp_path):
    folder = copy_of(whole, tmp_path / "d")
    for number in (1, 2):
        damaged = b"".join([flipped(lines_of(folder)[0]), *lines_of(folder)[1:]])
        (folder / "journal.jsonl").write_bytes(damaged)
        repair(folder)
        assert (folder / f"journal.jsonl.damaged-{number}").read_bytes() == damaged


def test_the_sweep_itself_is_lost_where_nothing_else_tells_of_it(whole, tmp_path):
    folder = with_lines(whole, tmp_path / "d", [b"\0" * 80 + b"\n", *lines_of(whole)[1:]])
    (folder / "results.json").unlink()
    repair(folder)
    assert [f.words for f in check(folder) if f.level is Level.PROBLEM] == ["has no line of the sweep"]
    display = SilentDisplay()
    sweep(folder, display=display, overrides=OVERRIDES)
    assert display.records == []
    assert untimed(folder) == untimed(whole)


def test_a_run_whose_announcement_is_lost_for_good_comes_back(whole, tmp_path):
    folder = with_lines(whole, tmp_path / "d", [lines_of(whole)[0], flipped(lines_of(whole)[1]), *lines_of(whole)[2:]])
    (folder / "results.json").unlink()
    assert any("its announcement is lost" in words for words in repair(folder))
    display = SilentDisplay()
    sweep(folder, display=display, overrides=OVERRIDES)
    assert len(display.records) == 2
    rows = [sorted(map(str, untimed(one)["rows"])) for one in (folder, whole)]
    assert rows[0] == rows[1]


def assert_search_survives(searched, target, places):
    lines = lines_of(searched)
    for place in places:
        damaged = [flipped(line) if place == number else line for number, line in enumerate(lines)]
        folder = with_lines(searched, target, damaged)
        repair(folder)
        result = sweep(folder, SEARCH)
        kind = kinds_of(searched)[place]
        if kind != "asked":
            assert untimed(folder) == untimed(searched), f"line {place + 1}: {kind}"
            continue
        # It was asked in passing, when others were on their way: asked for again, it knows how they ended, and may ask
        # for other trials. What was trained stays, and there are as many as the file wants.
        before, after = figures_by_epoch(searched), figures_by_epoch(folder)
        common = before.keys() & after.keys()
        assert common, f"line {place + 1}"
        assert {key: after[key] for key in common} == {key: before[key] for key in common}, f"line {place + 1}"
        assert len(result.statuses) >= len(tables(searched)["runs"])
        assert all(status.is_final for status in result.statuses.values())


def figures_by_epoch(folder):
    return {(row["run"], row["epoch"]): (row["loss"], row["val_loss"]) for row in tables(folder)["epochs"]}


def test_a_search_asks_for_a_lost_round_again_and_judges_again(searched, tmp_path):
    kinds = kinds_of(searched)
    assert_search_survives(searched, tmp_path / "d", [kinds.index("asked"), kinds.index("judged")])


@pytest.mark.faults
def test_a_search_survives_a_flipped_bit_in_any_line(searched, tmp_path):
    assert_search_survives(searched, tmp_path / "d", range(len(lines_of(searched))))


def test_a_whole_journal_is_left_as_it_is(whole, searched):
    for folder in (whole, searched, *sorted(OLD.iterdir())):
        paths = SweepPaths(folder)
        for known in (KnownResults(), read_known_results(paths)):
            found = salvage(read_lines(paths.journal), known)
            assert (found.damage, found.consequences) == ((), ()), folder
            assert found.content == b"".join(lines_of(folder))


def test_a_run_that_lost_the_epoch_in_which_it_diverged_trains_it_again(tmp_path):
    overrides = (*OVERRIDES, "params.lr=1.0e9", "params.optimizer=sgd")
    whole = tmp_path / "whole"
    sweep(whole, overrides=overrides)
    damaged = [flipped(line) if b'"event": "epoch"' in line else line for line in lines_of(whole)]
    folder = with_lines(whole, tmp_path / "d", damaged)
    assert any("epochs before its end are lost" in words for words in repair(folder))
    display = SilentDisplay()
    sweep(folder, display=display, overrides=overrides)
    assert [record.divergence is not None for record in display.records] == [True]
    assert untimed(folder) == untimed(whole)


def test_a_lost_resumption_is_made_again(whole, tmp_path):
    folder = copy_of(whole, tmp_path / "d")
    lines = lines_of(folder)
    epochs = [json.loads(line) for line in lines if json.loads(line)["event"] == "epoch"]
    run = epochs[0]["run"]
    again = [{key: value for key, value in e.items() if key != "crc"} for e in epochs if e["run"] == run]
    later = [encode_event({**event, "time": "2030-01-01T00:00:00.000+00:00"}) for event in again]
    ended = next(line for line in lines if f'"ended", "run": "{run}"'.encode() in line)
    end = {key: value for key, value in json.loads(ended).items() if key != "crc"}
    write_lines(folder, [*lines, *later, encode_event({**end, "time": "2030-01-01T00:00:01.000+00:00"})])
    assert any("took the run back to epoch 0" in words for words in repair(folder))
    history = read_state(folder / "journal.jsonl")
    assert [record.epoch for record in history.runs[run].records] == [1, 2]


def test_no_random_damage_gives_a_traceback(whole, tmp_path):
    rng = random.Random(0)
    content = (whole / "journal.jsonl").read_bytes()
    paths = SweepPaths(whole)
    known = read_known_results(paths)
    for number in range(300):
        changed = bytearray(content)
        for _ in range(rng.choice([1, 3, 30])):
            start = rng.randrange(len(changed))
            length = rng.choice([0, 1, 1, 50, 600])
            changed[start : start + length] = rng.randbytes(rng.choice([0, 1, length]))
        path = tmp_path / "journal.jsonl"
        path.write_bytes(changed)
        found = salvage(read_lines(path), known)
        path.write_bytes(found.content)
        again = salvage(read_lines(path), known)
        assert (again.damage, again.consequences, again.content) == ((), (), found.content), number
        read_state(path)


def test_hostile_lines_with_right_checksums_are_left_out(whole, tmp_path):
    hostile = [
        {"event": "epoch", "run": ["a"], "epoch": 1, "time": "t"},
        {"event": "ended", "run": tables(whole)["runs"][0]["id"], "status": "nonsense", "time": "t"},
        {"event": "resumed", "run": tables(whole)["runs"][0]["id"], "epoch": "many", "time": "t"},
        {"event": 3},
        {"no": "event"},
        {"event": "judged", "verdicts": 7, "time": "t"},
    ]
    lines = lines_of(whole)
    folder = with_lines(whole, tmp_path / "d", [*lines[:5], *map(encode_event, hostile), *lines[5:]])
    assert assert_repairs(folder, whole, "hostile") == 0


def test_a_journal_of_a_later_version_is_refused(whole, tmp_path):
    first = {key: value for key, value in json.loads(lines_of(whole)[0]).items() if key != "crc"}
    folder = with_lines(whole, tmp_path / "d", [encode_event({**first, "version": 99}), *lines_of(whole)[1:]])
    with pytest.raises(ResultsError, match="upgrade"):
        repair(folder)


def test_a_run_name_that_leads_out_of_the_folder_counts_as_damage(whole, tmp_path):
    lines = lines_of(whole)
    run = {key: value for key, value in json.loads(lines[1]).items() if key != "crc"}
    folder = with_lines(whole, tmp_path / "d", [lines[0], encode_event({**run, "name": "../out"}), *lines[2:]])
    repair(folder)
    assert all(run.name != "../out" for run in read_state(folder / "journal.jsonl").runs.values())


def test_a_results_file_whose_run_leads_out_of_the_folder_is_not_believed(whole, tmp_path):
    lines = lines_of(whole)
    folder = with_lines(whole, tmp_path / "d", [lines[0], *lines[2:]])  # an announcement is lost
    results = json.loads((folder / "results.json").read_text())
    results["runs"][0]["run"] = "../out"
    (folder / "results.json").write_text(json.dumps(results))
    with contextlib.suppress(ResultsError):
        repair(folder)
    assert not (tmp_path / "out").exists()
    assert b"../out" not in (folder / "journal.jsonl").read_bytes()
