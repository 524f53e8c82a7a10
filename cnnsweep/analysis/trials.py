"""Runs grouped by trial: repeats that differ by seed or fold alone, their mean, rank and ties."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from cnnsweep.analysis.axes import REPLICATE_AXES, canonical, has_replicates, trial_axes
from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.analysis.statistics import Estimate, estimate, tied_with_best
from cnnsweep.analysis.summary import column, rank_by, sort_key
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, trials_text
from cnnsweep.metrics.objective import Objective

Replicate = tuple[str, int | None]  # seed (as text; empty if all runs have the sweep's) and fold


@dataclass(frozen=True, slots=True)
class Trial:
    """One combination of hyperparameters with its replicates.

    Attributes:
        params: the hyperparameters, without the seed.
        runs: all of its runs, in the file's order.
        figures: values of the sweep's metric by replicate, of complete runs; of all runs while none is complete.
        failed: number of runs that diverged or failed.
        estimate: the estimate from `figures`; None without values.
        loss: the mean of the tie breaker (`Objective.tie_breaker`) over the same runs.
        tied: the best, or statistically tied with it (see `tied_with_best`); None if that cannot be tested.
        place: rank from 1; None without values. Trials with a failed run come after all others: their remaining seeds
            are a biased sample.
    """

    trial_id: str
    params: Mapping[str, Any]
    runs: tuple[RunResult, ...]
    figures: Mapping[Replicate, float]
    failed: int = 0
    estimate: Estimate | None = None
    loss: float | None = None
    tied: bool | None = None
    place: int | None = None

    @property
    def run_duration(self) -> float | None:
        """The mean training time of a complete run, in seconds."""
        return mean_of(run.run_duration for run in self.runs if run.is_complete)

    @property
    def was_cut_short(self) -> bool:
        """True if a pruner that compares trials ended a run, so that its time is no measure of the trial."""
        return any(run.stop is not None and run.stop.compared > 1 for run in self.runs)

    def mean(self, metric: str) -> float | None:
        """Return the mean of a metric over the runs that did not fail; None if none has it."""
        return mean_of(run[metric] for run in self.runs if not run.has_failed)


def group_trials(results: Results) -> tuple[Trial, ...]:
    """Return the sweep's trials, the best mean first; trials without a value last, equals as in the file."""
    groups: dict[str, list[RunResult]] = {}
    for run in results.runs:
        groups.setdefault(run.trial_id, []).append(run)
    is_any_complete = any(run.is_complete for run in results.runs)
    overlap = fold_overlap(results)
    trials = [_setting(results, runs, is_any_complete, overlap) for runs in groups.values()]
    ranks = order_settings(results.sweep.objective, trials, [one.figures for one in trials], overlap)
    return tuple(dataclasses.replace(trials[n], place=place, tied=tied) for n, place, tied in ranks)


def order_settings(
    objective: Objective, trials: Sequence[Trial], figures: Sequence[Mapping[Any, float]], overlap: float
) -> list[tuple[int, int | None, bool | None]]:
    """Return position, rank and tie of each trial, the best first; trials with a failed run after the others.

    Args:
        figures: values of each trial; ties are tested over those with equal keys.
        overlap: as in `estimate`.
    """
    means = [None if one.estimate is None else one.estimate.mean for one in trials]
    order = objective.rank(means, [one.loss for one in trials])
    ranked = sorted(order, key=lambda n: (trials[n].estimate is None, trials[n].failed > 0))  # stable
    known = [n for n in ranked if figures[n]]
    candidates = [n for n in known if not trials[n].failed] or known
    tied = tied_with_best({n: figures[n] for n in candidates}, objective.mode, overlap)
    return [(n, None if trials[n].estimate is None else place, tied.get(n)) for place, n in enumerate(ranked, start=1)]


def _setting(results: Results, runs: Sequence[RunResult], is_any_complete: bool, overlap: float) -> Trial:
    metric = results.sweep.objective.metric
    figures: dict[Replicate, float] = {}
    losses: list[float | None] = []
    tie_breaker = results.sweep.objective.tie_breaker
    for run in runs:
        figure = run[metric]
        if figure is not None and (run.is_complete or not (is_any_complete or run.has_failed)):
            figures[replicate_of(run, figures)] = figure
            losses.append(None if tie_breaker is None else run[tie_breaker])
    first = runs[0]
    trials = {name: value for name, value in first.params.items() if name not in REPLICATE_AXES or len(runs) == 1}
    failed = sum(run.has_failed for run in runs)
    found = estimate(list(figures.values()), overlap) if figures else None
    return Trial(first.trial_id, trials, tuple(runs), figures, failed, found, mean_of(losses))


def replicate_of(run: RunResult, taken: Mapping[Replicate, float]) -> Replicate:
    """Return seed and fold of a run, unique in its trial; they pair it with runs of other trials."""
    seed = run.params.get("seed")
    key = ("" if seed is None else canonical(seed), run.fold)
    return key if key not in taken else (run.id, run.fold)


def fold_overlap(results: Results) -> float:
    """Return the ratio of held-out to training images of k-fold cross-validation, 0 without."""
    folds = results.sweep.folds
    return 1 / (folds - 1) if folds and folds > 1 else 0.0


def sort_trials(results: Results, trials: Sequence[Trial], sort: str | None) -> list[Trial]:
    """Return the trials as ranked, or sorted by a column of their runs; metrics and durations by their means.

    Raises:
        UsageError: there is no column `sort`.
    """
    if sort is None or sort == results.sweep.objective.metric:
        return list(trials)
    if sort in results.sweep.recorded:
        order = results.sweep.by(sort).rank([trial.mean(sort) for trial in trials])
        return sorted((trials[n] for n in order), key=lambda trial: trial.failed > 0)
    value = column(results, sort)

    def mean_or_first(trial: Trial) -> Any:
        values = [value(run) for run in trial.runs]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        return fmean(numbers) if len(numbers) == len(values) else values[0]

    return sorted(trials, key=lambda trial: sort_key(mean_or_first(trial)))


def chosen_trial(results: Results, trials: Sequence[Trial]) -> Trial | None:
    """Return the best trial of the report, which is the one to test; None if no run has a value.

    With replicates it is the first of `trials` (as `group_trials` returns them), which has complete runs if any
    trial has; else the trial of the sweep's best run.
    """
    if has_replicates(results) and trials and trials[0].place is not None:
        return trials[0]
    return next((part for part in trials if any(run.name == results.sweep.best for run in part.runs)), None)


def best_of(results: Results, trial: Trial) -> RunResult:
    """Return the run whose weights represent a trial: the sweep's best run if it has it, else the trial's best."""
    for run in trial.runs:
        if run.name == results.sweep.best:
            return run
    sound = [run for run in trial.runs if not run.has_failed] or list(trial.runs)
    return sound[rank_by(results.sweep.objective, sound)[0]]


def trial_words(results: Results, trial: Trial, separator: str = " ") -> str:
    """Return the varying hyperparameters with their values, or a run's name if nothing varies."""
    return all_words(results, [trial], separator)[0]


def all_words(results: Results, trials: Iterable[Trial], separator: str = " ") -> list[str]:
    """Return `trial_words` of each trial, much faster than one by one."""
    axes = trial_axes(results)
    return [trials_text(one.params, axes, separator) or safe_text(one.runs[0].name) for one in trials]


def replicate_words(keys: Iterable[Replicate]) -> str:
    """Return `5 seeds`, `5 folds` or `2 seeds × 5 folds`."""
    keys = list(keys)
    seeds, folds = len({seed for seed, _ in keys}), len({fold for _, fold in keys if fold is not None})
    if not folds:
        return count_text(len(keys), "seed")
    if seeds == 1:
        return count_text(len(keys), "fold")
    if seeds * folds == len(keys):
        return f"{count_text(seeds, 'seed')} × {count_text(folds, 'fold')}"
    return f"{len(keys):,} runs of {count_text(seeds, 'seed')} and {count_text(folds, 'fold')}"


def mean_of(values: Iterable[float | None]) -> float | None:
    """Return the mean of the known values; None without any."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
