"""Evaluations by class of the best runs."""

from collections.abc import Sequence

from cnnsweep.analysis.results import Results
from cnnsweep.analysis.run_evaluation import RunEvaluation, load_run_evaluation
from cnnsweep.analysis.trials import Trial, best_of, trial_words
from cnnsweep.errors import ResultsError
from cnnsweep.storage.paths import SweepPaths

Evaluated = Sequence[tuple[str, RunEvaluation]]  # the name of a run, and its evaluation

MOST_COMPARED = 4
LOOKED_AT = 20  # number of best trials; evaluations of worse ones add little


def evaluated_runs(results: Results, trials: Sequence[Trial]) -> tuple[list[tuple[str, RunEvaluation]], list[str]]:
    """Return the evaluations of the best trials, one run of each with its label; and problems of damaged files."""
    found: list[tuple[str, RunEvaluation]] = []
    problems = []
    for trial in [trial for trial in trials if trial.place is not None][:LOOKED_AT]:
        best = best_of(results, trial)
        others = [run for run in trial.runs if run is not best]
        for run in (best, *others):
            try:
                evaluation = load_run_evaluation(SweepPaths(results.folder).run(run.name).folder, run.best_epoch)
            except ResultsError as error:
                problems.append(str(error))
                continue
            if evaluation is not None:
                found.append((f"{trial.place} {trial_words(results, trial)}", evaluation))
                break
        if len(found) == MOST_COMPARED:
            break
    return found, problems
