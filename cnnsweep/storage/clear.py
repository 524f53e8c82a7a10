"""Removal of a sweep's results, and of nothing else in its folder."""

from cnnsweep.errors import ResultsError
from cnnsweep.storage.atomic_files import cut_file, remove_file, remove_folder, unwritable
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import read_state


def clear_sweep(paths: SweepPaths) -> None:
    """Delete the files of cnnsweep in a sweep's folder; other files stay.

    Raises:
        FolderError: the sweep is running, or the folder cannot be written.
    """
    with locked(paths):
        try:
            for name in _run_names(paths):
                remove_folder(paths.folder / name)
            for file in (paths.results_json, paths.results_csv, paths.runs_csv, paths.environment, paths.frozen_spec):
                remove_file(file)
            # Last: as long as it lists the runs, clearing that was cut short can be done again. Emptied, not deleted:
            # it marks the folder as a sweep's, beside other files.
            cut_file(paths.journal, 0)
        except OSError as error:
            raise unwritable(paths.folder, error) from error


def _run_names(paths: SweepPaths) -> list[str]:
    try:
        names = [run.name for run in read_state(paths.journal).runs.values()]
    except ResultsError:  # a damaged journal is a reason to start over: go by what run folders look like
        names = [f.name for f in paths.folder.iterdir() if paths.run(f.name).log.is_file()]
    return [name for name in names if (paths.folder / name).is_dir() and not (paths.folder / name).is_symlink()]
