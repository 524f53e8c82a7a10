"""The journal survives a crash at any byte, and notices damage."""

import copy
import errno
import json
import math
import os
import zlib
from typing import Any

import pytest
from results_by_hand import standard_metrics

from cnnsweep.errors import FolderError, ResultsError
from cnnsweep.storage.event_schema import check_event
from cnnsweep.storage.journal import Journal, read_journal
from cnnsweep.storage.rows import event_from_record, record_from_event
from cnnsweep.storage.state import fold, read_state
from cnnsweep.types import EpochRecord, RunStatus


def write(path, *events):
    journal = Journal(path)
    for event in events:
        journal.append({"event": event, "time": "t"})
    journal.close()


def test_events_come_back_in_order(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, "a", "b")
    write(path, "c")
    assert [event["event"] for event in read_journal(path)] == ["a", "b", "c"]
    assert all(json.loads(line) for line in path.read_text().splitlines())  # each line is plain JSON


def test_a_journal_cut_at_any_byte_reads_what_is_whole_and_goes_on(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, "first", "second", "third")
    content = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        whole = sum(end <= length for end in ends)
        assert len(list(read_journal(path))) == whole
        write(path, "next")  # Optuna's journal reads a torn tail once and then never again
        assert [e["event"] for e in read_journal(path)] == [*["first", "second", "third"][:whole], "next"]


def test_events_appended_together_are_lines_like_any_other(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"event": "a", "time": "t"}, {"event": "b", "time": "t"})
    journal.append()
    journal.close()
    assert [event["event"] for event in read_journal(tmp_path / "journal.jsonl")] == ["a", "b"]


def test_damage_before_the_last_line_is_an_error_that_names_the_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, "first", "second", "third")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"second", b"secund") + lines[2])
    message = (
        f"{path}:2: the line is damaged (its checksum does not match); "
        f"keep what is whole with: cnnsweep doctor {tmp_path} --repair"
    )
    for read in (lambda: list(read_journal(path)), lambda: Journal(path)):
        with pytest.raises(ResultsError) as caught:
            read()
        assert str(caught.value) == message


def test_nan_and_infinity_become_null(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append({"event": "epoch", "loss": math.nan, "more": [math.inf, {"deep": -math.inf}]})
    journal.close()
    assert "NaN" not in path.read_text()
    (event,) = read_journal(path)
    assert event["loss"] is None
    assert event["more"] == [None, {"deep": None}]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FolderError, match=r"gone/journal.jsonl: cannot be written \(No such file or directory\)"):
        Journal(tmp_path / "gone" / "journal.jsonl")


def test_a_disk_that_is_full_in_the_middle_of_a_line_leaves_none_of_it(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append({"event": "a"})
    write, sizes = os.write, iter([9])

    def nearly_full(descriptor, data):
        for size in sizes:
            return write(descriptor, data[:size])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", nearly_full)
        with pytest.raises(FolderError, match="No space left"):
            journal.append({"event": "b"}, {"event": "c"})
    assert path.read_bytes().count(b"\n") == 1
    assert path.read_bytes().endswith(b"\n")
    journal.append({"event": "d"})  # there is room again
    journal.close()
    assert [event["event"] for event in read_journal(path)] == ["a", "d"]


RECORD = EpochRecord("r1", 1, standard_metrics(0.5, 0.8, None, None), 1.5, 1.5, 0.01, 10)


def run_event(run="r1", name="run-1", params=None):
    return {"event": "run", "time": "2", "run": run, "name": name, "settings": params or {"lr": 0.1}, "parameters": 9}


def epoch_event(epoch, loss=0.5, checkpoint="sha"):
    record = EpochRecord("r1", epoch, standard_metrics(loss, 0.8, None, None), 1.5, 1.5 * epoch, 0.01, 10)
    return {"event": "epoch", "time": "3", **event_from_record(record, f"{checkpoint}{epoch}")}


def test_a_record_comes_back_from_its_event_as_it_was():
    assert record_from_event({**event_from_record(RECORD, None), "event": "epoch"}) == RECORD


def test_a_resume_forgets_what_came_after_its_checkpoint(tmp_path):
    history = fold(
        [
            run_event(),
            {**epoch_event(1), "best": "best1"},
            {**epoch_event(2), "best": "best2"},
            {"event": "ended", "time": "4", "run": "r1", "status": "interrupted", "cause": "x"},
            {"event": "resumed", "time": "5", "run": "r1", "epoch": 1},
            epoch_event(2, loss=0.25, checkpoint="new"),
        ],
        tmp_path,
    )
    run = history.runs["r1"]
    assert [(r.epoch, r["loss"]) for r in run.records] == [(1, 0.5), (2, 0.25)]
    assert run.checkpoints == {"sha1": 1, "new2": 2}
    assert run.best_weights == {1: "best1"}  # the second epoch was the best only as it was trained before
    assert run.status is RunStatus.RUNNING


def test_a_run_that_trains_again_lacks_the_weights_that_a_person_had_removed(tmp_path):
    cleaned = {"event": "cleaned", "time": "4", "runs": ["r1"]}
    assert fold([run_event(), epoch_event(1), cleaned], tmp_path).cleaned == {"r1"}
    resumed = {"event": "resumed", "time": "5", "run": "r1", "epoch": 0}
    assert fold([run_event(), epoch_event(1), cleaned, resumed], tmp_path).cleaned == set()


def test_a_run_announced_again_keeps_its_folder_and_takes_new_settings(tmp_path):
    history = fold([run_event(), epoch_event(1), run_event(name="other", params={"lr": 0.1, "seed": 0})], tmp_path)
    assert history.runs["r1"].name == "run-1"
    assert history.runs["r1"].params == {"lr": 0.1, "seed": 0}
    assert len(history.runs["r1"].records) == 1


def test_a_journal_of_a_later_version_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append({"event": "sweep", "version": 99, "time": "t"})
    journal.close()
    with pytest.raises(ResultsError, match=r"journal version 99, this one reads up to 1\); upgrade cnnsweep"):
        read_state(path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_no_journal(tmp_path, make):
    make(tmp_path / "journal.jsonl")
    with pytest.raises(ResultsError, match="is not a file, so it is no journal"):
        read_state(tmp_path / "journal.jsonl")


def with_checksum(text):
    return text[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(text)


@pytest.mark.parametrize(
    "text",
    [b"{}", b'{"event": 3}', b'{"event": "epoch", "time": "t"}', b'{"event": "ended", "run": "gone", "time": "t"}',
     b'{"event": "sweep", "version": "x", "time": "t"}', b'{"event": "run", "run": [], "time": "t"}',
     b'{"event": "asked", "space": 1, "drawn": 1, "picks": 3, "time": "t"}',
     b'{"event": "judged", "verdicts": [{}], "time": "t"}', b'{"event": "planned", "groups": [1], "time": "t"}'],
)  # fmt: skip
def test_an_event_that_no_cnnsweep_wrote_is_an_error_though_its_checksum_is_right(tmp_path, text):
    (tmp_path / "journal.jsonl").write_bytes(with_checksum(text))
    with pytest.raises(ResultsError, match=r"journal.jsonl:1: is no event of a sweep"):
        read_state(tmp_path / "journal.jsonl")


@pytest.mark.parametrize("name", ["../../evil", "..", ".", "", "a/b", "a\\b", "C:evil", "/etc", "nul\0"])
def test_a_run_whose_folder_would_lie_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ResultsError, match="the run's name is not that of a folder"):
        fold([{**run_event(name=name), "time": "t"}], tmp_path / "journal.jsonl")


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnsweep.storage.journal._LONGEST_LINE", 1000)
    write(tmp_path / "journal.jsonl", {"event": "left", "text": "x" * 2000}, {"event": "left"})
    with pytest.raises(ResultsError, match=r"journal.jsonl:1: the line is damaged"):
        list(read_journal(tmp_path / "journal.jsonl"))


PLANNED = {
    "event": "planned",
    "time": "2026-11-30T00:00:00+00:00",
    "conditions": {"threads": 1, "places": 2, "rung": 1},
    "goals": {"a": 2},
    "groups": [{"programs": [[["a"]]], "threaded": False, "why": "", "step_s": 0.1, "companions": {"a": 1}}],
}


def changed(place: list, value: object) -> dict:
    event = copy.deepcopy(PLANNED)
    part: Any = event
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return event


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["conditions", "threads"], "1"),
        (["conditions", "threads"], 5000),
        (["conditions", "places"], True),
        (["conditions", "rung"], "1"),
        (["conditions", "leg"], -1),
        (["goals", "a"], [[]]),
        (["groups", 0], 3),
        (["groups", 0, "step_s"], "0.1"),
        (["groups", 0, "companions"], {"a": "1"}),
        (["groups", 0, "way"], {"size": 1}),
    ],
)
def test_a_plan_that_no_cnnsweep_wrote_is_refused(place, value):
    check_event(PLANNED)
    with pytest.raises(ValueError):
        check_event(changed(place, value))
