"""Summary of a sweep's results, run by run: ranking, positions, failures. Pure functions of `Results`."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnsweep.analysis.axes import canonical
from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.errors import UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import duration_text
from cnnsweep.metrics.names import written_column
from cnnsweep.metrics.objective import Objective
from cnnsweep.types import FailureKind, RunStatus

_FIRST_COLUMNS = (
    *("run", "id", "configuration", "fold", "status", "failure", "epochs_done", "epochs_planned", "best_epoch"),
)
_LAST_COLUMNS = ("run_duration", "parameters")


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Runs with the same failure, in the order of the file.

    Attributes:
        cause: a message that holds for all of them.
        shared: the varying hyperparameters with the same value in all of them.
    """

    status: RunStatus
    failure: FailureKind | None
    cause: str
    shared: Mapping[str, Any]
    runs: tuple[RunResult, ...]


def time_words(results: Results) -> str:
    """Return the duration of the sweep and of its training: `52.1 s in all, 40.2 s of training`.

    The first is wall-clock time. The second is the sum over the runs: less, since it excludes measuring and recording,
    or more, if several workers train at once.
    """
    training = f"{duration_text(results.sweep.duration)} of training"
    elapsed = results.sweep.elapsed
    return training if elapsed is None else f"{duration_text(elapsed)} in all, {training}"


def best_run(results: Results) -> RunResult | None:
    """Return the sweep's best run, or None if no run has a value yet."""
    return next((run for run in results.runs if run.name == results.sweep.best), None)


def places(results: Results) -> dict[str, int]:
    """Return each run's rank by the sweep's metric, from 1; runs without a value and failed runs have none."""
    metric = results.sweep.objective.metric
    ranked = [run for run in rank_runs(results) if not run.has_failed and run[metric] is not None]
    return {run.name: place for place, run in enumerate(ranked, start=1)}


def rank_runs(results: Results, sort: str | None = None) -> list[RunResult]:
    """Return the runs from best to worst by the sweep's metric, or ordered by the column `sort`.

    Accuracies come highest first, equal ones by their loss; everything else lowest first, equals as in the file,
    missing values last. By a metric (and by default), runs that diverged or failed come after all others.

    Raises:
        UsageError: the column is unknown.
    """
    if sort is None or sort == results.sweep.objective.metric:
        return _rank_by_metric(results.runs, results.sweep.objective)
    if (metric := written_column(sort, results.sweep.recorded)) and sort not in results.sweep.hyperparameters:
        return _rank_by_metric(results.runs, results.sweep.by(metric))
    value = column(results, sort)
    return sorted(results.runs, key=lambda run: sort_key(value(run)))


def _rank_by_metric(runs: tuple[RunResult, ...], objective: Objective) -> list[RunResult]:
    ranked = [runs[position] for position in rank_by(objective, runs)]
    return sorted(ranked, key=lambda run: run.has_failed)  # sorting is stable


def rank_by(objective: Objective, runs: Sequence[RunResult]) -> list[int]:
    """Return the runs' positions from best to worst; see `Objective.rank`."""
    losses = [None if objective.tie_breaker is None else run[objective.tie_breaker] for run in runs]
    return objective.rank([run[objective.metric] for run in runs], losses)


def column(results: Results, name: str) -> Callable[[RunResult], Any]:
    """Return a function that maps a run to its value in a column.

    Raises:
        UsageError: the column is unknown.
    """
    if name in results.sweep.hyperparameters:
        return lambda run: run.params[name]
    if name == "run":
        return lambda run: run.name
    if name in results.sweep.recorded:
        return lambda run: run[name]
    if name in (*_FIRST_COLUMNS, *_LAST_COLUMNS):
        return lambda run: getattr(run, name)
    columns = (*results.sweep.hyperparameters, *_FIRST_COLUMNS, *results.sweep.recorded, *_LAST_COLUMNS)
    allowed = list(dict.fromkeys(columns))
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean '{safe_text(close[0])}'? " if close else ""
    raise UsageError(f"--sort: no column '{safe_text(name)}'; {hint}allowed: {', '.join(map(safe_text, allowed))}")


def sort_key(value: Any) -> tuple[int, float, str]:
    """Order values of any type: numbers, false and true, texts, lists and mappings, nothing."""
    if value is None:
        return 4, 0.0, ""
    if isinstance(value, bool):
        return 1, float(value), ""
    if isinstance(value, int | float):
        return 0, value, ""
    return (2, 0.0, value) if isinstance(value, str) else (3, 0.0, canonical(value))


def group_failures(results: Results) -> list[FailureGroup]:
    """Return the failed runs, grouped by kind and cause, the largest group first; diverged runs are one group."""
    groups: dict[tuple[RunStatus, FailureKind | None, str | None], list[RunResult]] = {}
    for run in results.runs:
        if run.has_failed:
            # The batch of divergence differs from run to run, and is of little interest.
            has_diverged = run.status is RunStatus.DIVERGED
            alike = (FailureKind.DIVERGED, None) if has_diverged else (run.failure, run.cause)
            groups.setdefault((run.status, *alike), []).append(run)
    found = [
        FailureGroup(status, failure, _common_cause(runs), _shared_trials(results, runs), tuple(runs))
        for (status, failure, _), runs in groups.items()
    ]
    return sorted(found, key=lambda group: -len(group.runs))


def _common_cause(runs: Sequence[RunResult]) -> str:
    causes = {run.cause for run in runs}
    if len(causes) > 1:
        return "a loss or a weight became infinite or NaN; try a smaller lr"
    return runs[0].cause or "no cause was recorded"


def _shared_trials(results: Results, runs: Sequence[RunResult]) -> dict[str, Any]:
    values = {axis: [run.params[axis] for run in runs] for axis in results.sweep.axes}
    return {axis: of_runs[0] for axis, of_runs in values.items() if len(set(map(canonical, of_runs))) == 1}
