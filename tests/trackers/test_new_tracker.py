"""A tracker from outside the package: a class in a file of one's own, or an entry point of another package."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from small_sweeps import SMALL, SilentDisplay, sweep

from cnnsweep.config.load import dump_spec, parse_sweep
from cnnsweep.errors import SpecError
from cnnsweep.types import RunStatus

LOG = '''
import json
from pathlib import Path

from cnnsweep.trackers.base import Tracker


class Log(Tracker):
    """Writes every event into a file."""

    file: str = "events.jsonl"
    fails_at: int = 0

    def setup(self, context):
        self._write("setup", context.sweep, sorted(context.varying))

    def on_rewind(self, run, last):
        self._write("rewind", run.name, last and last.epoch)

    def on_run_start(self, run, last):
        self._write("start", run.name, last and last.epoch)

    def on_epoch_end(self, reports):
        for report in reports:
            self._write("epoch", report.record.run_id, report.record.epoch)
            if report.record.epoch == self.fails_at:
                raise ValueError("no connection")

    def on_run_end(self, outcome):
        self._write("end", outcome.run_id, str(outcome.status))

    def close(self):
        self._write("close")

    def _write(self, *event):
        with Path(self.file).open("a") as log:
            log.write(json.dumps(event) + "\\n")
'''


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log.py").write_text(LOG)
    return tmp_path / "log.py"


def events(file: Path) -> list[list[object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def trackers(log: Path, **options: object) -> list[str]:
    mapping = {"name": f"{log}:Log", "file": str(log.parent / "out.jsonl"), **options}
    return [f"trackers=[{json.dumps(mapping)}]"]


def test_a_tracker_in_a_file_of_ones_own_follows_a_sweep(tmp_path: Path, log: Path):
    result = sweep(tmp_path / "s", overrides=[*trackers(log), "params.lr=0.01", "params.epochs=2"])
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    setup, rewind, start, *epochs, end, close = events(tmp_path / "out.jsonl")
    assert setup == ["setup", "small", []]
    assert [rewind[0], rewind[2], start[0], start[2]] == ["rewind", None, "start", None]
    assert [(event[0], event[2]) for event in epochs] == [("epoch", 1), ("epoch", 2)]
    assert [end[0], end[2], close] == ["end", "finished", ["close"]]
    assert not list((tmp_path / "s").rglob("events.out.tfevents*"))  # tensorboard is not in the list


def test_a_tracker_that_raises_is_reported_once_and_dropped(tmp_path: Path, log: Path):
    display = SilentDisplay()
    (own,) = trackers(log, fails_at=1)
    result = sweep(tmp_path / "s", display=display, overrides=[own.replace("]", ", tensorboard]")])
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    assert display.messages == ["Log: ValueError: no connection; the sweep continues without it"]
    assert [event[0] for event in events(tmp_path / "out.jsonl")][-2:] == ["epoch", "close"]
    runs = [folder.parent.name for folder in (tmp_path / "s").rglob("events.out.tfevents*")]
    assert len(set(runs)) == 2  # the other tracker goes on


def test_a_resumed_run_is_rewound_to_its_checkpoint(tmp_path: Path, log: Path):
    one = [*trackers(log), "params.lr=0.01"]
    sweep(tmp_path / "s", overrides=one)
    (tmp_path / "out.jsonl").unlink()
    journal = tmp_path / "s" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    cut = next(number for number, line in enumerate(lines) if b'"epoch": 2' in line or b'"epoch":2' in line)
    journal.write_bytes(b"".join(lines[: cut + 1]))  # as a kill right after epoch 2 was journaled leaves it
    (run,) = [folder for folder in (tmp_path / "s").iterdir() if folder.is_dir()]
    (run / "previous.safetensors").unlink(missing_ok=True)
    (run / "last.safetensors").unlink()
    sweep(tmp_path / "s", overrides=one)
    kinds = [event[0] for event in events(tmp_path / "out.jsonl")]
    assert kinds[:2] == ["setup", "rewind"]
    assert kinds.index("rewind") < kinds.index("start") < kinds.index("epoch")


def test_a_tracker_of_another_package_is_found_by_its_entry_point(tmp_path: Path, log: Path):
    package = tmp_path / "site"
    info = package / "logs-1.dist-info"
    info.mkdir(parents=True)
    log.rename(package / "logs.py")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: logs\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[cnnsweep.trackers]\nlogs = logs:Log\n")
    code = """
        from pathlib import Path
        from small_sweeps import sweep
        sweep(Path("s"), overrides=["trackers=[logs]", "params.lr=0.01", "params.epochs=1"])
    """
    here = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"PYTHONPATH": f"{package}:{here}:{here.parent}", "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [event[0] for event in events(tmp_path / "events.jsonl")] == [
        *("setup", "rewind", "start", "epoch", "end", "close")
    ]


def test_options_of_a_tracker_are_checked_with_their_place(log: Path):
    text = f"{SMALL}trackers:\n  - tensorboard\n  - name: {log}:Log\n    fils: a.txt\n    fails_at: x\n"
    with pytest.raises(SpecError) as caught:
        parse_sweep(text, "s.yaml")
    key, value = caught.value.problems
    assert (key.line, key.message) == (14, "trackers.fils: unknown key; did you mean 'file'?")
    assert value.line == 15
    assert value.message.startswith("trackers.fails_at: found 'x': ")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("[tensorbord]", "unknown 'tensorbord'; did you mean 'tensorboard'?"),
        ("tensorboard", "found 'tensorboard', allowed is a list of trackers, such as [tensorboard], or [] for none"),
        ("[nowhere.py:Log]", "there is no file 'nowhere.py'"),
        ("[{file: a}]", "trackers.name: missing; add for example `name: tensorboard`"),
    ],
)
def test_a_wrong_tracker_is_named(written: str, words: str):
    with pytest.raises(SpecError) as caught:
        parse_sweep(f"{SMALL}trackers: {written}\n", "s.yaml")
    assert words in caught.value.problems[0].message


def test_trackers_are_written_down_as_they_were_read(log: Path):
    text = f"{SMALL}trackers: [{{name: '{log}:Log', file: a}}, tensorboard]\n"
    spec = parse_sweep(text, "s.yaml")
    assert parse_sweep(dump_spec(spec), "again.yaml").trackers == spec.trackers
    assert "trackers" not in dump_spec(parse_sweep(SMALL, "s.yaml"))  # as before there were any
