"""The checkpoint that a path stands for."""

from pathlib import Path

from cnnsweep.analysis.results import load_results
from cnnsweep.errors import CheckpointError, ResultsError
from cnnsweep.storage.paths import RunPaths, SweepPaths, refuse_undecodable


def is_sweep(path: Path) -> bool:
    """True for the folder of a sweep, or its results.json."""
    folder = path.parent if path.name == SweepPaths(path.parent).results_json.name else path
    return SweepPaths(folder).results_json.is_file() and not RunPaths(folder).best_weights.is_file()


def find_checkpoint(path: Path) -> Path:
    """Return the `best.safetensors` for a file, a run folder, or a sweep folder (then of its best run).

    Raises:
        CheckpointError: it is missing; the message has the value found and the values allowed.
        FolderError: its name is not text, so it cannot be opened.
    """
    refuse_undecodable(path)
    if path.is_file():
        if path.suffix != ".safetensors":
            raise CheckpointError(f"{path}: not a checkpoint to evaluate; give a best.safetensors, or a run's folder")
        return path
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such file or folder")
    if (weights := RunPaths(path).best_weights).is_file():
        return weights
    if SweepPaths(path).results_json.is_file():
        return _best_of_sweep(path)
    raise CheckpointError(
        f"{path}: holds neither best.safetensors (a run's folder) nor results.json (a sweep's folder)"
    )


def _best_of_sweep(folder: Path) -> Path:
    try:
        best = load_results(folder).sweep.best
    except ResultsError as error:
        raise CheckpointError(str(error)) from error
    if best is None:
        raise CheckpointError(f"{folder}: no run of this sweep has a finished epoch yet")
    weights = SweepPaths(folder).run(best).best_weights
    if not weights.is_file():
        raise CheckpointError(f"{weights}: the best run's checkpoint is missing; give another run's folder")
    return weights
