"""Records evaluations in a sweep's folder: uses of the test set, and results by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnnsweep.analysis.evaluation import Evaluation
from cnnsweep.errors import CnnSweepError
from cnnsweep.evaluation.evaluation_file import record_evaluation
from cnnsweep.evaluation.tensorboard import evaluation_summary
from cnnsweep.report.evaluation_json import evaluation_file
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import RunPaths, SweepPaths
from cnnsweep.storage.state import read_state
from cnnsweep.storage.test_log import record_tests


def note_tests(
    sweep: Path, evaluations: Sequence[Evaluation], trial_id: str | None = None, *, refit: bool = False
) -> str | None:
    """Record the use of the test set in a sweep's folder; return the error message if that fails.

    Args:
        sweep: the folder of a sweep or its results.json; nothing is written for any other folder.
        trial_id: the trial, if it differs from that of the run of this name.
    """
    folder = sweep if sweep.is_dir() else sweep.parent
    paths = SweepPaths(folder)
    tested = [one for one in evaluations if one.split == "test"]
    if not tested or not paths.journal.is_file():
        return None
    try:
        names = {run.name: run.trial_id for run in read_state(paths.journal).runs.values()}
        tests = [
            {
                "run": one.run,
                "configuration": trial_id or names[one.run],
                "split": one.split,
                "accuracy": one.accuracy,
                "loss": one.loss,
                "images": one.images,
                "correct": one.correct,
                "refit": refit,
                "metrics": dict(one.metrics),
                "intervals": {name: list(ends) for name, ends in one.known_intervals.items()},
                **({} if one.tta is None else {"tta": one.tta}),
            }
            for one in tested
            # Weights elsewhere name their run only in their own header.
            if trial_id is not None or (one.run in names and _lies_in(paths.run(one.run), one))
        ]
        if tests:
            record_tests(paths, tests)
    except CnnSweepError as error:
        return str(error)
    return None


def note_evaluations(evaluations: Sequence[Evaluation]) -> str | None:
    """Write an evaluation into the folder of each measured run; return the error message if that fails.

    Nothing is written for a checkpoint outside a sweep's folder.
    """
    by_sweep: dict[Path, list[Evaluation]] = {}
    for one in evaluations:
        by_sweep.setdefault(Path(one.checkpoint).absolute().parent.parent, []).append(one)
    problems = []
    for folder, of_sweep in by_sweep.items():
        paths = SweepPaths(folder)
        if not paths.journal.is_file():
            continue
        try:
            with locked(paths):
                names = {run.name for run in read_state(paths.journal).runs.values()}
                for one in of_sweep:
                    files = paths.run(Path(one.checkpoint).absolute().parent.name)
                    is_its_own = files.folder.name in names and Path(one.checkpoint).name == files.best_weights.name
                    if is_its_own and not files.folder.is_symlink():
                        write_evaluation(files, one)
        except CnnSweepError as error:
            problems.append(str(error))
    return "; ".join(problems) or None


def _lies_in(paths: RunPaths, evaluation: Evaluation) -> bool:
    return Path(evaluation.checkpoint).absolute() == paths.best_weights.absolute()


def write_evaluation(paths: RunPaths, evaluation: Evaluation) -> None:
    """Write a run's evaluation into its folder, for reports and TensorBoard. The caller holds the sweep's lock.

    Raises:
        FolderError: the folder cannot be written.
    """
    summary = evaluation_summary(evaluation)
    record_evaluation(paths, evaluation_file(evaluation), summary, evaluation.split, evaluation.epoch)
