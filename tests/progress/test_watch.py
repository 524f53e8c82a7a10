"""A sweep that is watched from outside, by its journal alone."""

import io
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from small_sweeps import SMALL, SilentDisplay, sweep, tables

from cnnsweep.errors import ResultsError
from cnnsweep.progress.journal_events import CUT_OFF, active_runs, overview, send_active, send_event, send_start
from cnnsweep.progress.journal_tail import JournalTail
from cnnsweep.progress.lock_owner import OwnerState, read_lock_owner
from cnnsweep.progress.sweep_monitor import RESUME, SweepMonitor
from cnnsweep.progress.watch import watch
from cnnsweep.storage.journal import encode_event, read_journal
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepState
from cnnsweep.types import RunStatus

RUNGS = """
name: rungs
dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 30}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8]}
params: {lr: [0.1, 0.01, 0.001, 0.0001], batch_size: 16, epochs: 4}
early_stop: halving
tensorboard: false
"""
SEARCH = """
name: search
dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 30}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8]}
params: {lr: {log_uniform: [1e-4, 1e-1]}, batch_size: 16, epochs: 2}
search: {method: random, runs: 3}
seeds: 2
tensorboard: false
"""


class Recorded(SilentDisplay):
    """A display that also keeps the order in which it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any]] = []

    def run_started(self, run_id: str) -> None:
        super().run_started(run_id)
        self.calls.append(("started", run_id))

    def epoch_ended(self, record: Any, selected: Any) -> None:
        super().epoch_ended(record, selected)
        self.calls.append(("epoch", (record, selected)))

    def run_ended(self, outcome: Any) -> None:
        super().run_ended(outcome)
        self.calls.append(("ended", (outcome.run_id, outcome.status, outcome.cause, outcome.failure)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Recorded]]:
    """Three finished sweeps, each with what its own display was told."""
    found = {}
    for name, text in {"small": SMALL, "rungs": RUNGS, "search": SEARCH}.items():
        folder, display = tmp_path_factory.mktemp("watched") / name, Recorded()
        sweep(folder, text, display)
        found[name] = folder, display
    return found


def lines(folder: Path) -> list[bytes]:
    return SweepPaths(folder).journal.read_bytes().splitlines(keepends=True)


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(folder)]


def position(folder: Path, wanted: Callable[[Mapping[str, Any]], bool]) -> int:
    """Return how many lines there are up to the first event that is wanted, itself included."""
    return next(number for number, event in enumerate(events(folder), start=1) if wanted(event))


def part(source: Path, folder: Path, count: int) -> Path:
    """Make a sweep whose journal has got so far."""
    folder.mkdir(exist_ok=True)
    SweepPaths(folder).journal.write_bytes(b"".join(lines(source)[:count]))
    return folder


def own(folder: Path, process: int | None = None, host: str | None = None) -> None:
    """Leave what the owner of a folder's lock leaves there: this process, if not said otherwise."""
    owner = {"pid": os.getpid() if process is None else process, "host": host or platform.node()}
    SweepPaths(folder).lock_owner.write_text(json.dumps(owner))


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


class Writer:
    """Stands for the waiting between two looks: each time, the journal grows by some bytes."""

    def __init__(self, folder: Path, pieces: Iterable[bytes], at_the_end: Callable[[], None] = lambda: None) -> None:
        self.paths, self.pieces, self.at_the_end = SweepPaths(folder), iter(pieces), at_the_end
        self.waits = 0

    def __call__(self, _seconds: float) -> None:
        self.waits += 1
        assert self.waits < 2000, "it waits for ever"
        piece = next(self.pieces, None)
        if piece is None:
            self.at_the_end()
            return
        with self.paths.journal.open("ab") as file:
            file.write(piece)


def release(folder: Path) -> Callable[[], None]:
    return lambda: SweepPaths(folder).lock_owner.unlink(missing_ok=True)


def table_of(display: Recorded) -> tuple[Any, ...]:
    """Return everything that a display shows of the runs."""
    progress = display.progress
    rows = [(row.number, row.run.id, row.status, row.records, row.selected, row.failure)
            for row in progress.runs.values()]  # fmt: skip
    counts = progress.counts, progress.epochs_done, progress.epochs_left, progress.overview.columns
    return rows, counts, [row.number for row in progress.leaders], list(progress.active)


@pytest.mark.parametrize("name", ["small", "rungs", "search"])
def test_watch_shows_the_state_and_the_events_of_the_sweeps_own_display(trained, tmp_path, name):
    folder, expected = trained[name]
    # From the first planned group on, event by event.
    begun = position(folder, lambda event: event["event"] == "planned") - 1
    monitor = SweepMonitor(SweepPaths(part(folder, tmp_path / name, begun)))
    monitor.poll()
    shown = Recorded()
    send_start(monitor.state, shown, monitor.paths, monitor.words)
    for line in lines(folder)[begun:]:
        with monitor.paths.journal.open("ab") as file:
            file.write(line)
        for event in monitor.poll():
            send_event(monitor.state, event, shown)
        send_active(monitor.state, shown)
    assert shown.records == expected.records
    own_ends = [call for call in expected.calls if call[0] == "ended"]
    assert [call for call in shown.calls if call[0] == "ended"] == own_ends
    assert [call for call in shown.calls if call[0] == "epoch"] == [c for c in expected.calls if c[0] == "epoch"]
    # A run that starts is shown by the time of its first epoch; each once a leg, as the sweep does.
    assert sorted(shown.started) == sorted(expected.started)
    assert shown.overview is not None
    assert expected.overview is not None
    known = [*expected.overview.runs, *(run for runs, _ in expected.added for run in runs)]
    assert [(run.id, run.params, run.epochs)
            for run in (*shown.overview.runs, *(run for runs, _ in shown.added for run in runs))] == [
        (run.id, run.params, run.epochs) for run in known
    ]  # fmt: skip
    assert shown.overview.objective == expected.overview.objective
    assert table_of(shown) == table_of(expected)


@pytest.mark.parametrize("name", ["small", "rungs", "search"])
def test_what_comes_at_once_is_shown_one_by_one(trained, tmp_path, name):
    folder, expected = trained[name]
    begun = position(folder, lambda event: event["event"] == "planned") - 1
    monitor = SweepMonitor(SweepPaths(part(folder, tmp_path / name, begun)))
    monitor.poll()
    shown = Recorded()
    send_start(monitor.state, shown, monitor.paths, monitor.words)
    part(folder, tmp_path / name, len(lines(folder)))
    for event in monitor.poll():
        send_event(monitor.state, event, shown)

    def told(display: Recorded) -> list[tuple[str, Any]]:
        return [c for c in display.calls if c[0] == "epoch" or (c[0] == "ended" and c[1][1] is not RunStatus.WAITING)]

    assert told(shown) == told(expected)


def test_who_comes_late_sees_what_is_there(trained, tmp_path):
    folder, _ = trained["small"]
    ended = position(folder, lambda event: event["event"] == "ended")
    monitor = SweepMonitor(
        SweepPaths(part(folder, tmp_path / "late", ended + 1))
    )  # and the first epoch of the second run
    monitor.poll()
    seen = overview(monitor.state, monitor.paths, str)
    assert seen.columns == ("lr",)
    assert [len(seen.history[run.id]) for run in seen.runs] == [2, 1]
    assert list(seen.outcomes) == [seen.runs[0].id]
    assert active_runs(monitor.state) == [seen.runs[1].id]
    assert seen.under_way is not None
    assert len(seen.under_way.records) == 3
    assert seen.under_way.elapsed_s > 0


def test_search_says_how_many_runs_are_to_come(trained, tmp_path):
    folder, _ = trained["search"]
    asked = position(folder, lambda event: event["event"] == "asked")
    monitor = SweepMonitor(SweepPaths(part(folder, tmp_path / "begun", asked - 1)))
    monitor.poll()
    assert monitor.state.runs == {}
    display = Recorded()
    send_start(monitor.state, display, monitor.paths, monitor.words)
    for line in lines(folder)[asked - 1 :]:
        with monitor.paths.journal.open("ab") as file:
            file.write(line)
        for event in monitor.poll():
            send_event(monitor.state, event, display)
    assert [len(runs) for runs, _ in display.added] == [0, *[1] * 6]
    assert [to_come for _, to_come in display.added][-1] == 0


def test_runs_of_an_earlier_sweep_file_that_nobody_trains_are_left_out(trained, tmp_path):
    folder, _ = trained["small"]
    all_events = events(folder)
    old = {"event": "run", "run": "f" * 16, "name": "old", "settings": {"lr": 1.0}, "parameters": 1, "epochs": 9,
           "configuration": "f" * 16, "fold": None}  # fmt: skip
    planned = position(folder, lambda event: event["event"] == "planned")
    stamped = encode_event({**old, "time": all_events[0]["time"]})
    journal = SweepPaths(part(folder, tmp_path / "edited", 0)).journal
    # A journal of an earlier version does not say which runs its file has.
    before = [encode_event({k: v for k, v in event.items() if k not in ("former", "crc")}) for event in all_events]
    journal.write_bytes(b"".join([*before[: planned - 1], stamped, *before[planned - 1 :]]))
    monitor = SweepMonitor(SweepPaths(tmp_path / "edited"))
    monitor.poll()
    assert [run.name for run in overview(monitor.state, monitor.paths, str).runs] == [
        event["name"] for event in all_events if event["event"] == "run"
    ]


def test_tail_reads_nothing_twice_and_waits_for_a_whole_line(trained, tmp_path):
    folder, _ = trained["small"]
    journal = tmp_path / "journal.jsonl"
    tail = JournalTail(journal)
    assert tail.new_events() == []  # not there yet
    whole = lines(folder)
    seen = []
    for line in whole:
        for piece in (line[:7], line[7:-1], line[-1:]):
            with journal.open("ab") as file:
                file.write(piece)
            found = tail.new_events()
            assert len(found) == (piece == b"\n")
            seen += found
    assert [event["event"] for event in seen] == [event["event"] for event in events(folder)]
    assert tail.lines == len(whole)
    assert not tail.is_replaced


def test_tail_reads_only_what_is_new(trained, tmp_path, monkeypatch):
    folder, _ = trained["small"]
    part(folder, tmp_path / "x", len(lines(folder)))
    tail = JournalTail(SweepPaths(tmp_path / "x").journal)
    assert len(tail.new_events()) == len(lines(folder))
    read = []
    monkeypatch.setattr("cnnsweep.progress.journal_tail.decode_event", lambda line: read.append(line))
    assert tail.new_events() == []
    assert read == []


@pytest.mark.parametrize("way", ["shorter", "another file"])
def test_tail_begins_anew_with_another_journal(trained, tmp_path, way):
    folder, _ = trained["small"]
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"".join(lines(folder)))
    tail = JournalTail(journal)
    tail.new_events()
    if way == "shorter":
        journal.write_bytes(lines(folder)[0])
    else:
        (tmp_path / "new").write_bytes(b"".join(lines(folder)) + lines(folder)[0])
        (tmp_path / "new").replace(journal)
    found = tail.new_events()
    assert tail.is_replaced
    assert found[0]["event"] == "sweep"
    assert tail.new_events() == []
    assert not tail.is_replaced


def test_damaged_line_is_named_once_it_is_sure(trained, tmp_path):
    folder, _ = trained["small"]
    damaged = lines(folder)
    damaged[2] = damaged[2].replace(b"e", b"E", 1)
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"".join(damaged))
    tail = JournalTail(journal)
    assert len(tail.new_events()) == 2
    for _ in range(2):  # a shared disk may show the middle of a file late
        assert tail.new_events() == []
    with pytest.raises(ResultsError, match=r"journal\.jsonl:3: the line is damaged"):
        tail.new_events()


def test_line_that_becomes_whole_in_time_is_read(trained, tmp_path):
    folder, _ = trained["small"]
    whole = lines(folder)
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"".join([whole[0], b"\0" * len(whole[1]), whole[2]]))
    tail = JournalTail(journal)
    tail.new_events()
    tail.new_events()
    with journal.open("r+b") as file:
        file.seek(len(whole[0]))
        file.write(whole[1])
    assert len(tail.new_events()) == 2


@pytest.mark.parametrize(
    ("owner", "state"),
    [
        (None, OwnerState.NOBODY),
        ("{", OwnerState.NOBODY),
        ("[]", OwnerState.NOBODY),
        ('{"pid": "x", "host": 1}', OwnerState.NOBODY),
        ('{"pid": 1, "host": "another-machine"}', OwnerState.ELSEWHERE),
        ("me", OwnerState.HERE),
        ("dead", OwnerState.GONE),
        ('{"pid": 99999999999999999999, "host": "HOST"}', OwnerState.GONE),
        ('{"pid": 0, "host": "HOST"}', OwnerState.GONE),
        ('{"pid": -1, "host": "HOST"}', OwnerState.GONE),
    ],
)
def test_who_trains_is_read_from_what_the_lock_left(tmp_path, owner, state):
    paths = SweepPaths(tmp_path)
    if owner in ("me", "dead"):
        own(tmp_path, None if owner == "me" else dead_process())
    elif owner is not None:
        paths.lock_owner.write_text(owner.replace("HOST", platform.node()))
    assert read_lock_owner(paths).state is state


def picture_of(folder: Path) -> str:
    out = io.StringIO()
    watch(folder, out, once=True)
    return out.getvalue()


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")


def test_finished_sweep_is_one_picture_and_the_end(trained):
    folder, _ = trained["small"]
    out = io.StringIO()
    watch(folder, out, wait=lambda _: pytest.fail("it is over"))
    text = out.getvalue()
    assert "small  2 runs · cpu · " in text
    assert text.count("finished") == 4  # two rows, how many, and the sweep
    assert "100%  4 of 4 epochs in " in text
    *_, state, command = text.splitlines()
    assert state.startswith("finished ")
    assert command == f"curves: tensorboard --logdir {folder}"


def test_running_sweep_is_one_picture_with_once(trained, tmp_path):
    folder = part(trained["small"][0], tmp_path / "x", position(trained["small"][0], lambda e: e["event"] == "epoch"))
    own(folder)
    text = picture_of(folder)
    assert "1 waiting, 1 running" in text
    assert "1 of 4 epochs" in text
    assert f"process {os.getpid()} on this machine trains it; last event " in text


def test_sweep_whose_process_is_gone_is_cut_off(trained, tmp_path):
    folder = part(trained["small"][0], tmp_path / "x", position(trained["small"][0], lambda e: e["event"] == "epoch"))
    own(folder, dead_process())
    out = io.StringIO()
    watch(folder, out, wait=lambda _: pytest.fail("it is over"))
    assert "1 waiting, 1 interrupted" in out.getvalue()
    assert "cut off: process " in out.getvalue()
    assert RESUME in out.getvalue()


def test_unclaimed_sweep_is_cut_off_after_some_patience(trained, tmp_path):
    folder = part(trained["small"][0], tmp_path / "x", position(trained["small"][0], lambda e: e["event"] == "epoch"))
    now = 1000.0
    monitor = SweepMonitor(SweepPaths(folder), clock=lambda: now)
    monitor.poll()
    assert not monitor.is_over
    now += 6
    monitor.poll()
    assert monitor.is_cut_off
    assert "no process trains it any more" in monitor.words()


def test_interrupted_sweep_that_is_started_again_is_not_over(trained, tmp_path):
    folder = part(trained["small"][0], tmp_path / "x", len(lines(trained["small"][0])) - 1)
    left = {**events(trained["small"][0])[-1], "status": "interrupted"}
    del left["crc"]
    with SweepPaths(folder).journal.open("ab") as file:
        file.write(encode_event(left))
    monitor = SweepMonitor(SweepPaths(folder))
    monitor.poll()
    assert monitor.is_over
    assert monitor.words().startswith("interrupted ")
    own(folder)  # the next command has the folder, and loads its data
    monitor.poll()
    assert not monitor.is_over


def test_silence_of_another_machine_is_told_once(trained, tmp_path):
    folder = part(trained["small"][0], tmp_path / "x", position(trained["small"][0], lambda e: e["event"] == "epoch"))
    own(folder, 7, "another-machine")
    now = 1000.0
    monitor = SweepMonitor(SweepPaths(folder), clock=lambda: now)
    monitor.poll()
    assert monitor.new_silence() is None
    now += 61
    monitor.poll()
    assert not monitor.is_over  # nobody here can tell
    assert monitor.new_silence() == f"no event for 1 m 01 s; if process 7 on another-machine is gone: {RESUME}"
    assert monitor.new_silence() is None


def test_plain_lines_follow_a_sweep_to_its_end(trained, tmp_path):
    source = trained["small"][0]
    count = position(source, lambda event: event["event"] == "planned")
    folder = part(source, tmp_path / "x", count)
    own(folder)
    torn = [piece for line in lines(source)[count:] for piece in (line[:20], line[20:])]
    out = io.StringIO()
    watch(folder, out, wait=Writer(folder, torn, release(folder)))
    text = out.getvalue().splitlines()
    assert text[0].startswith("sweep small: 2 runs, 4 epochs, on cpu, in ")
    assert [" ".join(line.split("  ")[1].split()[:2]) for line in text[1:-1]] == [
        *("starts", "epoch 1/2", "epoch 2/2", "finished in"),
        *("starts", "epoch 1/2", "epoch 2/2", "finished in"),
    ]
    assert text[-1].startswith("sweep small: 2 finished, in ")


def test_sweep_that_has_not_begun_is_waited_for(trained, tmp_path):
    folder = tmp_path / "to come"
    own_once = iter([True])

    def wait(seconds: float) -> None:
        if next(own_once, False):
            folder.mkdir()
            own(folder)
        else:
            writer(seconds)

    writer = Writer(folder, lines(trained["small"][0]), release(folder))
    out = io.StringIO()
    watch(folder, out, wait=wait)
    text = out.getvalue().splitlines()
    assert text[0].endswith("to come: no sweep has begun there yet; waiting for it")
    assert text[-1].startswith("sweep small: 2 finished")


def test_sweep_that_is_cut_off_while_it_is_watched_ends_the_watching(trained, tmp_path):
    source = trained["small"][0]
    count = position(source, lambda event: event["event"] == "epoch")
    folder = part(source, tmp_path / "x", count)
    own(folder)
    out = io.StringIO()
    watch(folder, out, wait=Writer(folder, lines(source)[count : count + 1], lambda: own(folder, dead_process())))
    text = out.getvalue()
    assert CUT_OFF in text
    assert "cut off: process" in text.splitlines()[-2]
    assert "1 interrupted" in text.splitlines()[-1]


def test_each_command_has_a_display_of_its_own(trained, tmp_path):
    source = trained["small"][0]
    all_lines, all_events = lines(source), events(source)
    first = position(source, lambda event: event["event"] == "epoch")
    run = all_events[first - 1]["run"]
    again = {key: value for key, value in all_events[0].items() if key != "crc"}
    resumed = {"event": "resumed", "run": run, "epoch": 0, "time": again["time"]}
    rest = all_lines[first - 1 :]
    planned = all_lines[position(source, lambda event: event["event"] == "planned") - 1]
    folder = part(source, tmp_path / "x", first)
    own(folder)
    out = io.StringIO()
    pieces = [encode_event(again), encode_event(resumed), planned, *rest]
    watch(folder, out, wait=Writer(folder, pieces, release(folder)))
    text = out.getvalue()
    assert text.count("sweep small: 2 runs, 4 epochs, on cpu") == 2
    assert "[4/4]" in text
    assert "[5/" not in text


def test_watching_writes_nothing_and_takes_no_lock(trained, tmp_path):
    folder = tmp_path / "x"
    shutil.copytree(trained["small"][0], folder)

    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(folder.rglob("*"))}

    before = state()
    picture_of(folder)
    assert state() == before
    with locked(SweepPaths(folder)):
        picture_of(folder)  # does not wait
    own(folder)  # as if it trained: whoever watches must not hold what the trainer needs
    monitor = SweepMonitor(SweepPaths(folder))
    monitor.poll()
    with locked(SweepPaths(folder)):
        monitor.poll()


def test_folder_of_a_run_is_taken_for_its_sweep(trained):
    folder, _ = trained["small"]
    run = next(event["name"] for event in events(folder) if event["event"] == "run")
    assert "small  2 runs" in picture_of(folder / run)


def test_folder_of_several_sweeps_is_refused_with_their_names(trained):
    folder, _ = trained["small"]
    with pytest.raises(ResultsError, match="holds several sweeps: small; give one of them, as in: cnnsweep watch"):
        watch(folder.parent, io.StringIO())


def test_once_without_a_sweep_is_an_error(tmp_path):
    with pytest.raises(ResultsError, match="holds no sweep, or one that has not begun"):
        picture_of(tmp_path / "nothing")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_live_table_on_a_terminal_stays_when_the_sweep_ends(trained, tmp_path):
    import pyte

    source = trained["small"][0]
    count = position(source, lambda event: event["event"] == "epoch")
    folder = part(source, tmp_path / "x", count)
    own(folder)
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "cnnsweep", "watch", str(folder)]
    process = subprocess.Popen(call, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment)
    os.close(theirs)
    screen = pyte.Screen(100, 30)
    stream = pyte.ByteStream(screen)

    def read_until(words: str) -> None:
        deadline = time.monotonic() + 60
        while words not in "\n".join(screen.display):
            assert time.monotonic() < deadline, "\n".join(screen.display)
            stream.feed(os.read(ours, 4096))  # it draws several times a second

    try:
        read_until("1 waiting, 1 running")
        read_until("1 of 4 epochs")
        with SweepPaths(folder).journal.open("ab") as file:
            file.write(b"".join(lines(source)[count:]))
        release(folder)()
        read_until("sweep small: 2 finished")
        assert process.wait(20) == 0
        shown = "\n".join(screen.display)
        assert "100%  4 of 4 epochs" in shown
        best = max(row["val_accuracy"] for row in tables(source)["runs"])
        assert ("★" in shown) == (best > 1 / 3)  # no better than answering one of three classes deserves no star
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        assert process.stderr is not None
        process.stderr.close()


def test_nothing_of_a_hostile_journal_steers_the_terminal(trained, tmp_path):
    source = trained["small"][0]
    hostile = []
    for event in events(source):
        del event["crc"]
        if event["event"] == "sweep":
            event |= {"name": "\x1b]0;owned\x07x", "device": "\x1b[2J"}
        if event["event"] == "run":
            event["settings"] = {**event["settings"], "\x1b[31m": "[/]\x1b[5m"}
        hostile.append(encode_event(event))
    (tmp_path / "x").mkdir()
    SweepPaths(tmp_path / "x").journal.write_bytes(b"".join(hostile))
    own(tmp_path / "x", 1, f"\x1b[2J{socket.gethostname()}")
    assert "\x1b" not in picture_of(tmp_path / "x")


def test_groups_that_train_side_by_side_are_all_active(tmp_path):
    sweep(tmp_path / "sweep", SMALL, overrides=["params.lr=[0.01,0.001,0.002]"])
    events = list(read_journal(SweepPaths(tmp_path / "sweep").journal))
    planned = next(number for number, event in enumerate(events) if event["event"] == "planned")
    events[planned]["conditions"]["places"] = 2
    state = SweepState()
    for event in events[: planned + 1]:
        state.apply(event)
    runs = [event["run"] for event in events if event["event"] == "run"]
    assert active_runs(state) == runs[:2]
    assert overview(state, SweepPaths(tmp_path / "sweep"), str).device == "cpu (2 groups at once)"


@pytest.mark.parametrize(("goes_back_to", "kept"), [(2, [1, 2]), (1, [1])])
def test_epochs_of_this_command_count_though_it_resumes_the_run(trained, goes_back_to, kept):
    """As it does where a group had to be split: how long epochs take is learned from what is left of them."""
    state = SweepState()
    events = list(read_journal(trained["small"][0] / "journal.jsonl"))
    second = next(n for n, event in enumerate(events) if event["event"] == "epoch" and event["epoch"] == 2)
    resumed = {**events[second], "event": "resumed", "epoch": goes_back_to}
    for event in (*events[: second + 1], resumed):
        state.apply(event)
    under_way = overview(state, SweepPaths(trained["small"][0]), str).under_way
    assert under_way is not None
    assert [record.epoch for record in under_way.records] == kept


def test_empty_journal_has_no_active_runs():
    assert active_runs(SweepState()) == []


def test_what_is_tested_after_the_end_is_no_part_of_the_sweeps_time(trained, tmp_path):
    folder = shutil.copytree(trained["small"][0], tmp_path / "s")
    events = read_journal(folder / "journal.jsonl")
    end = next(event["time"] for event in events if event["event"] == "left")
    tested = {"event": "tested", "run": "r", "configuration": "c", "split": "test", "accuracy": 0.5, "loss": 1.0}
    with (folder / "journal.jsonl").open("ab") as file:
        later = f"{int(end[:4]) + 1}{end[4:]}"
        file.write(encode_event({**tested, "images": 2, "correct": 1, "refit": False, "time": later}))
    monitor = SweepMonitor(SweepPaths(folder))
    monitor.poll()
    assert monitor.state.time.ended == end
    under_way = overview(monitor.state, monitor.paths, str).under_way
    assert under_way is not None
    assert under_way.elapsed_s < 600


def test_a_run_of_an_earlier_search_that_is_suggested_again_brings_its_epochs(trained, tmp_path):
    text = SEARCH.replace("{log_uniform: [1e-4, 1e-1]}", "[0.1, 0.01]").replace("runs: 3", "runs: 2")
    folder = tmp_path / "search"
    for edited in (text, text.replace("[0.1, 0.01]", "[0.01, 0.001]")):
        sweep(folder, edited)
    all_lines, all_events = lines(folder), events(folder)
    begun = max(number for number, event in enumerate(all_events) if event["event"] == "sweep") + 1
    monitor = SweepMonitor(SweepPaths(part(folder, tmp_path / "again", begun)))
    monitor.poll()
    shown = Recorded()
    send_start(monitor.state, shown, monitor.paths, monitor.words)
    assert shown.progress.runs == {}
    with monitor.paths.journal.open("ab") as file:
        file.write(b"".join(all_lines[begun:]))
    for event in monitor.poll():
        send_event(monitor.state, event, shown)
    assert [row.epochs_done for row in shown.progress.runs.values()] == [2] * 4
