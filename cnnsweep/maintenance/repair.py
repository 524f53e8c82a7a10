"""Repair of a sweep's folder: rebuilds files that follow from the journal; the next command trains what is lost."""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnnsweep.analysis.json_reader import parse_json
from cnnsweep.errors import CheckpointError, CnnSweepError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text
from cnnsweep.maintenance.check_run import RunCheck
from cnnsweep.maintenance.check_sweep import DAMAGED, Progress, read_recovered, stale_tables
from cnnsweep.maintenance.salvage import RecoveredJournal
from cnnsweep.storage.atomic_files import cut_file, remove_file, replace_file, replace_file_by, unwritable
from cnnsweep.storage.best_weights import describe_best, read_description, save_best, weights_digest
from cnnsweep.storage.checkpoint import on_cpu
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import RunPaths, SweepPaths, is_leftover
from cnnsweep.storage.read_limited import open_regular
from cnnsweep.storage.state import SweepState
from cnnsweep.storage.test_log import record_events


def repair_sweep(paths: SweepPaths, progress: Progress) -> list[str]:
    """Rebuild damaged files from intact ones; return the changes, in words.

    Raises:
        FolderError: the sweep is running, or its folder cannot be written.
        ResultsError: the journal cannot be read, or a later version wrote it.
    """
    with locked(paths):
        try:
            found = read_recovered(paths)
            done = list(_repair_journal(paths, found))
            history = found.history
            if history.sweep is not None:
                done += _repair_runs(paths, history, progress)
                done += _repair_tables(paths, found)
            for path in sorted(paths.folder.iterdir()):
                if is_leftover(path):
                    remove_file(path)
                    done.append(f"removed {safe_text(path.name)}, left by a killed process")
        except OSError as error:
            raise unwritable(Path(error.filename or paths.folder), error) from error
    return done


def _repair_journal(paths: SweepPaths, found: RecoveredJournal) -> Iterator[str]:
    if found.is_damaged:
        kept = next(path for number in itertools.count(1) if not (path := paths.folder / f"{DAMAGED}{number}").exists())
        with open_regular(paths.journal) as journal:
            replace_file_by(kept, functools.partial(shutil.copyfileobj, journal))
        replace_file(paths.journal, found.content)
        yield f"journal: kept every intact line; the damaged journal is {kept.name}"
        yield from (f"journal: {safe_text(words)}" for words in (*found.damage, *found.consequences))
    elif found.torn_bytes:
        cut_file(paths.journal, len(found.content))
        yield f"journal: cut off a torn last line of {count_text(found.torn_bytes, 'byte')}"


def _repair_runs(paths: SweepPaths, history: SweepState, progress: Progress) -> Iterator[str]:
    again: list[dict[str, Any]] = []
    runs = list(history.runs.values())
    for count, run in enumerate(runs, start=1):
        check = RunCheck.of(paths, history, run, "")
        if not check.paths.folder.is_symlink():
            yield from _repair_run(check)
            if check.is_over and check.selected is not None and RunCheck.of(paths, history, run, "").problem_of_best:
                again.append(_train_again(check))
        progress("repairing runs", count, len(runs))
    if again:
        record_events(paths.journal, history, again)
    for event in again:
        epoch = event["epoch"]
        resumption = f"resumes after epoch {epoch}" if epoch else "starts over"
        name = safe_text(history.runs[event["run"]].name)
        yield f"{name}: its best weights are lost; the run {resumption} when the sweep is run again"


def _train_again(check: RunCheck) -> dict[str, Any]:
    """Return the event that makes the next command train a run again, from an epoch that restores its best weights."""
    last, _ = check.last
    is_best = last is not None and check.selected is not None and last.record.epoch == check.selected.epoch
    epoch = last.record.epoch if is_best and last is not None else 0
    return {"event": "resumed", "run": check.run.id, "epoch": epoch}


def _repair_run(check: RunCheck) -> Iterator[str]:
    if not check.paths.folder.is_dir():
        return
    for path in sorted(check.paths.folder.iterdir()):
        if is_leftover(path):
            remove_file(path)
            yield f"{check.name}: removed {safe_text(path.name)}, left by a killed process"
    if not check.is_over:
        return  # the next command brings an unfinished run back to its last whole checkpoint
    if check.problem_of_best is not None and _remake_best(check):
        yield f"{check.name}: rebuilt best.safetensors from a checkpoint of the same epoch"
    elif check.problem_of_best is None and not check.description_is_right:
        if check.paths.best_weights.exists():
            replace_file(check.paths.best_description, describe_best(read_description(check.paths.best_weights)))
            yield f"{check.name}: rewrote best.json"
        else:
            remove_file(check.paths.best_description)
            yield f"{check.name}: removed best.json, of weights that are gone"
    if check.run.records and check.problem_of_batch_losses is not None:
        text = check.recorded_batch_losses
        if text is not None:
            replace_file(check.paths.batch_losses, text)
            yield f"{check.name}: rebuilt batch_loss.csv from TensorBoard's files"
    if check.has_damaged_evaluation:
        remove_file(check.paths.evaluation)
        yield f"{check.name}: removed evaluation.json, which 'cnnsweep run' and 'cnnsweep evaluate' rebuild"
    for path, whole in check.damaged_events.items():
        cut_file(path, whole)
        yield f"{check.name}: cut off the unreadable end of {safe_text(path.name)}"


def _remake_best(check: RunCheck) -> bool:
    """Rebuild the best weights from the last checkpoint; return False if it is of another epoch."""
    last, _ = check.last
    selected = check.selected
    if last is None or selected is None or last.record.epoch != selected.epoch:
        return False
    weights = on_cpu(last.chosen_weights)
    digest = weights_digest(weights)
    if check.run.best_weights.get(selected.epoch) != digest:
        return False
    for description in _descriptions(check.paths):
        if description.get("weights_sha256") == digest and description.get("run_id") == check.run.id:
            about = {key: value for key, value in description.items() if key not in ("version", "weights_sha256")}
            save_best(check.paths, weights, about)
            return True
    return False


def _descriptions(paths: RunPaths) -> Iterator[Mapping[str, Any]]:
    """Yield the readable model cards of the best weights."""
    for read, path in ((read_description, paths.best_weights), (_read_json, paths.best_description)):
        try:
            yield read(path)
        except CnnSweepError:
            continue


def _read_json(path: Path) -> Mapping[str, Any]:
    content = parse_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: is no description")
    return content


def _repair_tables(paths: SweepPaths, found: RecoveredJournal) -> Iterator[str]:
    stale = stale_tables(paths, found.history)
    # A damaged journal may have lost a later command's line; then this file is its only trace.
    keeps_spec = found.is_damaged and paths.frozen_spec.is_file()
    written = {path: text for path, text in stale.items() if path != paths.frozen_spec or not keeps_spec}
    for path, text in written.items():
        replace_file(path, text)
    if written:
        yield f"rewrote {', '.join(path.name for path in written)}"
