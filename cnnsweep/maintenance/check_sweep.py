"""Checks of a sweep folder: its journal, the tables that follow from it, and the files of every run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from cnnsweep.errors import CnnSweepError, ResultsError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text
from cnnsweep.maintenance.check_run import RunCheck
from cnnsweep.maintenance.diagnostic import Diagnostic, good, has_problems, note, problem
from cnnsweep.maintenance.known_results import read_known_results
from cnnsweep.maintenance.salvage import RecoveredJournal, salvage
from cnnsweep.storage.atomic_files import encoded
from cnnsweep.storage.journal import RESCUED, read_lines
from cnnsweep.storage.lock import holder
from cnnsweep.storage.paths import SweepPaths, is_leftover
from cnnsweep.storage.read_limited import read_bounded
from cnnsweep.storage.results_tables import table_texts
from cnnsweep.storage.state import SweepState

Progress = Callable[[str, int, int], None]
DAMAGED = "journal.jsonl.damaged-"  # prefix of the names of replaced journals
_LITTLE_SPACE = 1e9  # bytes


def find_sweep(path: Path) -> SweepPaths:
    """Return the sweep of a folder, of a file in it, or of the folder of one of its runs.

    Raises:
        ResultsError: there is no sweep.
    """
    start = path.absolute()
    if not start.exists():
        raise ResultsError(f"{safe_text(path)}: there is no such file or folder; give a sweep's folder")
    for folder in (start, *start.parents)[:3]:
        if SweepPaths(folder).journal.is_file():
            return SweepPaths(path if folder == start else folder)
    raise ResultsError(
        f"{safe_text(path)}: holds no sweep (no journal.jsonl); give the folder that 'cnnsweep run' named, "
        "runs/<sweep name>"
    )


def read_recovered(paths: SweepPaths) -> RecoveredJournal:
    """Return the intact content of a sweep's journal in any state.

    Raises:
        ResultsError: it cannot be read, a later version wrote it, or it names runs that cannot be.
    """
    try:
        found = salvage(read_lines(paths.journal), read_known_results(paths))
    except OSError as error:
        raise ResultsError(f"{safe_text(paths.journal)}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # a bad value in results.json, for a lost line
        raise ResultsError(f"{safe_text(paths.results_json)}: {error}") from error
    return found


def check_sweep(paths: SweepPaths, progress: Progress) -> list[Diagnostic]:
    """Return diagnostics of a sweep's folder; nothing is changed.

    Raises:
        ResultsError: see `read_recovered`.
    """
    owner = holder(paths)
    found = read_recovered(paths)
    remedy = f"repair it with: cnnsweep doctor {safe_text(paths.folder)} --repair"
    diagnostics = [good("sweep", _in_words(found.history))]
    if owner is not None:
        diagnostics.append(
            note(
                "lock",
                f"a command is running here ({owner}): the files that it writes are not checked",
                "wait for its end",
            )
        )
    diagnostics += _diagnostics_of_journal(found, remedy, is_running=owner is not None)
    if found.history.sweep is not None:
        if owner is None and not found.is_damaged:
            diagnostics += _diagnostics_of_tables(paths, found.history, remedy)
        diagnostics += _diagnostics_of_runs(paths, found.history, remedy, progress, is_running=owner is not None)
    diagnostics += _diagnostics_of_folder(paths, found.history, remedy, is_running=owner is not None)
    return diagnostics


def _in_words(history: SweepState) -> str:
    name = "" if history.sweep is None else f"{safe_text(history.sweep['name'])}: "
    over = sum(run.status.is_final for run in history.present)
    former = len(history.runs) - len(history.present)
    more = f"; {former:,} of an earlier sweep file" if former else ""
    return f"{name}{count_text(len(history.present), 'run')}, {over:,} ended, {history.status}{more}"


def _diagnostics_of_journal(found: RecoveredJournal, remedy: str, *, is_running: bool) -> Iterator[Diagnostic]:
    for words in (*found.damage, *found.consequences):
        yield problem("journal", safe_text(words), remedy)
    if found.torn_bytes and not is_running:
        yield note(
            "journal", f"the last line is torn ({count_text(found.torn_bytes, 'byte')}); the next command cuts it off"
        )
    if found.history.sweep is None:
        yield problem("journal", "has no line of the sweep", "run the sweep file again; ended runs stay")
    elif not found.is_damaged:
        yield good("journal", "every line is intact")


def _diagnostics_of_tables(paths: SweepPaths, history: SweepState, remedy: str) -> Iterator[Diagnostic]:
    is_cut_off = history.status == "running"  # such a command leaves tables that lag behind
    stale = stale_tables(paths, history)
    for path in stale:
        words = "is missing" if not path.exists() else "differs from the journal"
        yield note(path.name, words, remedy) if is_cut_off else problem(path.name, words, remedy)
    if not stale:
        yield good("tables", "agree with the journal")


def stale_tables(paths: SweepPaths, history: SweepState) -> dict[Path, str]:
    """Return the tables, and the sweep file, that differ from the journal, with the right text of each."""
    assert history.sweep is not None
    expected = {**table_texts(paths, history), paths.frozen_spec: history.sweep["spec"]}
    return {path: text for path, text in expected.items() if not _is_same(path, text)}


def _is_same(path: Path, text: str) -> bool:
    """True if a file holds a text."""
    try:
        expected = encoded(text)
        return read_bounded(path, len(expected)) == expected
    except OSError:
        return False


def _diagnostics_of_runs(
    paths: SweepPaths, history: SweepState, remedy: str, progress: Progress, *, is_running: bool
) -> list[Diagnostic]:
    runs = [run for run in history.runs.values() if run.status.is_final or not is_running]
    diagnostics: list[Diagnostic] = []
    for done, run in enumerate(runs, start=1):
        try:
            diagnostics += RunCheck.of(paths, history, run, remedy).diagnostics()
        except OSError as error:
            place = safe_text(error.filename or paths.run(run.name).folder)
            words = f"{place}: cannot be read ({error.strerror})"
            diagnostics.append(problem(safe_text(run.name), words, "check its permissions and the disk"))
        except CnnSweepError as error:  # a checkpoint that does not fit into memory
            diagnostics.append(problem(safe_text(run.name), safe_text(error), "nothing else is known of this run"))
        progress("checking runs", done, len(runs))
    if not has_problems(diagnostics):
        diagnostics.append(good("runs", f"the files of {count_text(len(runs), 'run')} are intact"))
    return diagnostics


def _diagnostics_of_folder(
    paths: SweepPaths, history: SweepState, remedy: str, *, is_running: bool
) -> Iterator[Diagnostic]:
    ours = {path.name for path in _files(paths)} | {run.name for run in history.runs.values()} | {"refit"}
    for entry in sorted(os.scandir(paths.folder), key=lambda entry: entry.name):
        name = safe_text(entry.name)
        if entry.name in ours:
            if entry.is_symlink() and entry.name not in history.runs:
                yield problem(name, "is a symbolic link", "put the file itself in its place")
        elif is_leftover(Path(entry.path)):
            if not is_running:
                yield note(name, "was left by a killed process", remedy)
        elif entry.name.startswith(DAMAGED):
            yield note(name, "a damaged journal kept by a repair", "to remove it: cnnsweep clean --damaged")
        elif entry.name.startswith(paths.journal.name + RESCUED):
            remedy = f"compare it with {paths.journal.name}, and put the longer one in its place"
            yield note(name, "records of a command whose journal was replaced", remedy)
        else:
            yield note(name, "is not cnnsweep's")
    places = [paths.folder, *(paths.run(run.name).folder for run in history.runs.values())]
    closed = [place for place in places if place.is_dir() and not os.access(place, os.R_OK | os.W_OK | os.X_OK)]
    for place in closed[:3]:
        yield problem(safe_text(place), "cannot be written", "make it writable, or the sweep cannot continue")
    free = shutil.disk_usage(paths.folder).free
    if free < _LITTLE_SPACE:
        yield note("disk", f"{free / 1e6:,.0f} MB are free", "free some space before the sweep continues")
    try:
        if paths.environment.exists():
            from cnnsweep.analysis.json_reader import parse_json

            parse_json(paths.environment)
    except CnnSweepError as error:
        yield note(paths.environment.name, str(error), "the next 'cnnsweep run' rewrites it")


def _files(paths: SweepPaths) -> tuple[Path, ...]:
    return (
        *(paths.frozen_spec, paths.environment, paths.journal, paths.results_json, paths.results_csv, paths.runs_csv),
        *(paths.lock, paths.lock_owner),
    )
