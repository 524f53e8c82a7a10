"""Logs of a sweep's runs: find, print and follow them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnsweep.analysis.find_results import find_named
from cnnsweep.errors import ResultsError, UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.read_limited import MOST_BYTES, open_regular
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState, read_state
from cnnsweep.types import RunStatus, end_words

LOOK_EVERY_S = 0.5
_LONGEST_LINE = 1 << 20  # bytes; a longer line is shown in pieces
_FAILED = (RunStatus.FAILED, RunStatus.DIVERGED)


@dataclass(frozen=True, slots=True)
class RunLog:
    """Log file of a run, and its outcome."""

    run: RunState
    path: Path

    def to_plain(self) -> dict[str, Any]:
        """Return the log as plain JSON values."""
        outcome = self.run.outcome
        return {
            "run": self.run.name,
            "id": self.run.id,
            "status": str(self.run.status),
            "failure": None if outcome is None else outcome.failure,
            "cause": None if outcome is None else outcome.cause,
            "log": str(self.path),
        }

    @property
    def words(self) -> str:
        """Status of the run, kind and cause of a failure; safe to print."""
        outcome = self.run.outcome
        if outcome is None:
            return str(self.run.status)
        cause = f": {safe_text(outcome.cause)}" if outcome.cause else ""
        return end_words(outcome.status, outcome.failure) + cause


@dataclass(frozen=True, slots=True)
class SweepLogs:
    """The logs of a sweep, from its journal."""

    paths: SweepPaths
    history: SweepState
    journal_bytes: int  # the least that `history` holds of each run

    def of(self, wanted: str) -> RunLog:
        """Return the log of the run with this name or id, or of the only one with this prefix.

        Raises:
            UsageError: no run, or several, have this name.
        """
        sweep = self.history.sweep or {}
        run = find_named(tuple(self.history.runs.values()), wanted, str(sweep.get("name", self.paths.folder.name)))
        return self._log(run)

    @property
    def failed(self) -> list[RunLog]:
        """Logs of failed or diverged runs that are still in the sweep file: others cannot train again."""
        return [self._log(run) for run in self.history.present if run.status in _FAILED]

    def is_open(self, log: RunLog) -> bool:
        """True if a run's log may still grow."""
        return self.history.status == "running" and log.run.outcome is None

    def _log(self, run: RunState) -> RunLog:
        return RunLog(run, self.paths.run(run.name).log)


def find_logs(path: Path, wanted: str | None) -> tuple[SweepLogs, RunLog | None]:
    """Return the logs of the sweep in a folder, and the log of the wanted run or of the run with this folder.

    Raises:
        UsageError: no run, or several, have this name, or a run is named twice.
        ResultsError: the sweep is missing, or its journal is damaged.
    """
    folder = path.parent if path.is_file() else path  # of a run's log.txt
    if not SweepPaths(folder).journal.exists() and SweepPaths(folder.absolute().parent).journal.exists():
        if wanted is not None:
            raise UsageError(f"{safe_text(path)}: is already a run's folder; leave '{safe_text(wanted)}' out")
        folder, wanted = folder.absolute().parent, folder.absolute().name
    logs = _read(SweepPaths(folder))
    return logs, None if wanted is None else logs.of(wanted)


def _read(paths: SweepPaths) -> SweepLogs:
    if not paths.journal.is_file():
        raise ResultsError(
            f"{safe_text(paths.folder)}: holds no sweep; give the folder that 'cnnsweep run' named, "
            "runs/<sweep name>, or that of one of its runs"
        )
    size = paths.journal.stat().st_size
    return SweepLogs(paths, read_state(paths.journal), size)


def log_lines(log: RunLog) -> Iterator[str]:
    """Yield the lines of an existing log, safe to print.

    Raises:
        ResultsError: it is missing or cannot be read.
    """
    if not log.path.exists():
        raise ResultsError(f"{safe_text(log.path)}: no log yet; the run has not started")
    yield from map(_safe_line, _Tail(log.path, most=MOST_BYTES).new_lines(whole=False))


def follow(
    logs: SweepLogs, log: RunLog, write: Callable[[str], bool], wait: Callable[[float], None] = time.sleep
) -> None:
    """Write the lines of a log, present and future, until the run or its sweep ends.

    Args:
        write: takes a line, safe to print; returns False once the output is closed.

    Raises:
        ResultsError: log or journal cannot be read.
    """
    journal, text = _Tail(logs.paths.journal, logs.journal_bytes), _Tail(log.path, most=MOST_BYTES)
    is_open = logs.is_open(log)
    while True:
        # The journal first: once it holds the end of the run, the log is complete.
        is_open = is_open and not any(_ends(line, log.run.id) for line in journal.new_lines())
        for line in text.new_lines(whole=is_open):
            if not write(_safe_line(line)):
                return
        if not is_open:
            return
        wait(LOOK_EVERY_S)


class _Tail:
    """New lines at the end of a file; none while it does not exist."""

    def __init__(self, path: Path, start: int = 0, most: int | None = None) -> None:
        self._path = path
        self._most = most
        self._position = start

    def new_lines(self, *, whole: bool = True) -> Iterator[bytes]:
        """Yield the lines since the last call; `whole` omits a line that is still being written."""
        try:
            with open_regular(self._path, self._most) as file:
                file.seek(self._position)
                for line in iter(lambda: file.readline(_LONGEST_LINE), b""):
                    if whole and not line.endswith(b"\n"):
                        return
                    self._position += len(line)
                    yield line
        except FileNotFoundError:
            return
        except OSError as error:
            raise ResultsError(f"{safe_text(self._path)}: cannot be read ({error.strerror})") from error


def _ends(line: bytes, run_id: str) -> bool:
    """True if a line of the journal marks the end of a run, or of the command that trains it."""
    try:
        event = json.loads(line)
        return bool(event["event"] == "left" or (event["event"] == "ended" and event["run"] == run_id))
    except (ValueError, LookupError, TypeError):  # damaged: the next command reports it
        return False


def _safe_line(line: bytes) -> str:
    return safe_text(line.decode(errors="replace").rstrip("\r\n").expandtabs(4))
