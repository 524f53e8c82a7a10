"""Evaluations by class of the best runs."""

from collections.abc import Sequence

from cnnsweep.analysis.configurations import Setting, best_of, setting_words
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.run_evaluation import RunEvaluation, load_run_evaluation
from cnnsweep.errors import ResultsError
from cnnsweep.storage.paths import SweepPaths

Evaluated = Sequence[tuple[str, RunEvaluation]]  # the name of a run, and its evaluation

MOST_COMPARED = 4
LOOKED_AT = 20  # settings, the best; that of a worse one says little


def evaluated_runs(results: Results, settings: Sequence[Setting]) -> tuple[list[tuple[str, RunEvaluation]], list[str]]:
    """Return the evaluations of the best trials, one run of each with its label; and problems of damaged files."""
    found: list[tuple[str, RunEvaluation]] = []
    problems = []
    for setting in [setting for setting in settings if setting.place is not None][:LOOKED_AT]:
        best = best_of(results, setting)
        others = [run for run in setting.runs if run is not best]
        for run in (best, *others):
            try:
                evaluation = load_run_evaluation(SweepPaths(results.folder).run(run.name).folder, run.best_epoch)
            except ResultsError as error:
                problems.append(str(error))
                continue
            if evaluation is not None:
                found.append((f"{setting.place} {setting_words(results, setting)}", evaluation))
                break
        if len(found) == MOST_COMPARED:
            break
    return found, problems
