"""Removal of files that no report, evaluation or resume needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnnsweep.datasets.cache import cache_entries, cache_folder, remove_cache_entries
from cnnsweep.errors import FolderError
from cnnsweep.maintenance.check_sweep import DAMAGED
from cnnsweep.storage.atomic_files import remove_file, unwritable
from cnnsweep.storage.lock import holder, locked
from cnnsweep.storage.paths import RunPaths, SweepPaths, is_leftover
from cnnsweep.storage.results_tables import make_tables, rank_trials, write_tables
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState, read_state
from cnnsweep.storage.test_log import record_events
from cnnsweep.types import RunStatus


@dataclass(frozen=True, slots=True)
class CleaningWishes:
    """Files to remove beside checkpoints of finished runs, and leftovers.

    Attributes:
        keep_best: number of trials, from the best one, whose best weights stay; None keeps all.
        events: TensorBoard's files of finished runs.
        damaged: journals replaced by a repair.
        cache: decoded images of all sweeps.
    """

    keep_best: int | None = None
    events: bool = False
    damaged: bool = False
    cache: bool = False


@dataclass(frozen=True, slots=True)
class UnusedFile:
    """A file that is no longer needed.

    Attributes:
        why: kind of the file, in words.
        run: id of the run whose best weights it holds; None for any other file.
        cache_key: of decoded images; None for any other file.
    """

    path: Path
    size_bytes: int
    why: str
    run: str | None = None
    cache_key: str | None = None


def find_unused_files(paths: SweepPaths | None, wishes: CleaningWishes) -> list[UnusedFile]:
    """Return the files that would be removed.

    Args:
        paths: of the sweep; None to clean only the cache.

    Raises:
        FolderError: the sweep is running.
        ResultsError: the journal is damaged.
    """
    found: list[UnusedFile] = []
    if paths is not None:
        owner = holder(paths)
        if owner is not None:
            raise FolderError(f"{paths.folder}: is in use by {owner}; wait for it")
        found += _unused_of_sweep(paths, read_state(paths.journal), wishes)
    if wishes.cache:
        folder = cache_folder()
        found += [
            UnusedFile(folder / entry.key, entry.size_bytes, "decoded images", cache_key=entry.key)
            for entry in cache_entries()
        ]
    return found


def clean(paths: SweepPaths | None, wishes: CleaningWishes) -> list[UnusedFile]:
    """Remove the files that are no longer needed, and return them.

    Raises:
        FolderError: the sweep is running, or a file cannot be removed.
        ResultsError: the journal is damaged.
    """
    removed: list[UnusedFile] = []
    if paths is not None:
        with locked(paths):
            removed += _clean_sweep(paths, wishes)
    if wishes.cache:
        in_cache = find_unused_files(None, wishes)
        try:
            remove_cache_entries([one.cache_key for one in in_cache if one.cache_key is not None])
        except OSError as error:
            raise unwritable(cache_folder(), error) from error
        removed += in_cache
    return removed


def _clean_sweep(paths: SweepPaths, wishes: CleaningWishes) -> list[UnusedFile]:
    history = read_state(paths.journal)
    unused_files = _unused_of_sweep(paths, history, wishes)
    without_best = list(dict.fromkeys(one.run for one in unused_files if one.run is not None))
    if without_best:  # first: weights that are missing for no known reason would be damage
        record_events(paths.journal, history, [{"event": "cleaned", "runs": without_best}])
    try:
        for one in unused_files:
            remove_file(one.path)
    except OSError as error:
        raise unwritable(one.path, error) from error
    finally:
        if without_best:
            write_tables(paths, history)
    return unused_files


def _unused_of_sweep(paths: SweepPaths, history: SweepState, wishes: CleaningWishes) -> list[UnusedFile]:
    kept = _trials_to_keep(paths, history, wishes.keep_best)
    found = list(_leftovers(paths.folder))
    for run in history.runs.values():
        run_paths = paths.run(run.name)
        if Path(run.name).name != run.name or run_paths.folder.is_symlink() or not run_paths.folder.is_dir():
            continue  # what it names may lie outside of the sweep's folder
        found += _leftovers(run_paths.folder)
        if run.status is RunStatus.FINISHED:  # other ended runs may be resumed
            found += _unused_of_run(run_paths, run, wishes, keeps_best=run.trial_id in kept)
    if wishes.damaged:
        found += _files("damaged journals kept by a repair", sorted(paths.folder.glob(f"{DAMAGED}*")))
    return found


def _unused_of_run(paths: RunPaths, run: RunState, wishes: CleaningWishes, *, keeps_best: bool) -> Iterator[UnusedFile]:
    checkpoints = (paths.last_checkpoint, paths.previous_checkpoint, paths.pickled_checkpoint)
    yield from _files("checkpoints of finished runs", checkpoints)
    if wishes.events:
        yield from _files("TensorBoard files of finished runs", paths.event_files)
    if not keeps_best:
        for path in (paths.best_weights, paths.best_description):
            yield from _files("best weights of trials that are not among the best", (path,), run.id)


def _trials_to_keep(paths: SweepPaths, history: SweepState, count: int | None) -> set[str]:
    """Return the trials whose best weights stay."""
    if count is None or history.sweep is None:
        return {run.trial_id for run in history.runs.values()}
    rows = [row for row in make_tables(paths, history)["runs"] if row["in_file"]]
    return {ranked[0]["configuration"] for ranked in rank_trials(rows, history.objective)[:count]}


def _leftovers(folder: Path) -> Iterator[UnusedFile]:
    return _files("left by killed processes", sorted(path for path in folder.iterdir() if is_leftover(path)))


def _files(why: str, paths: tuple[Path, ...] | list[Path], run: str | None = None) -> Iterator[UnusedFile]:
    for path in paths:
        if path.is_symlink() or path.is_file():
            yield UnusedFile(path, path.lstat().st_size, why, run)
