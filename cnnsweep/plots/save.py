"""Write every figure of a sweep into a folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnnsweep.analysis.chart_classes import class_chart, confusion_charts
from cnnsweep.analysis.chart_cost import cost_charts
from cnnsweep.analysis.chart_effects import effects_chart
from cnnsweep.analysis.chart_heat_map import heat_maps
from cnnsweep.analysis.chart_importance import importance_chart
from cnnsweep.analysis.chart_learning import learning_charts
from cnnsweep.analysis.importance import FEWEST_TRIALS, importance
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.run_evaluation import load_run_evaluation
from cnnsweep.analysis.trials import best_of, chosen_trial, group_trials
from cnnsweep.errors import UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.plots.classes import MOST_CLASSES, class_accuracy, confusion_matrix
from cnnsweep.plots.cost import time_figure
from cnnsweep.plots.effects import MOST_HYPERPARAMETERS, effects_figure
from cnnsweep.plots.heat_map import MOST_LEVELS, heat_map
from cnnsweep.plots.importance import importance_figure
from cnnsweep.plots.learning import learning_curves
from cnnsweep.plots.style import FORMATS, Drawing, drawn, render
from cnnsweep.storage.atomic_files import make_folder, replace_file, unwritable

NEEDS_MATPLOTLIB = "--figures: needs matplotlib: pip install 'cnnsweep[report]'"
CAPTIONS = "captions.md"
_EVALUATE = "cnnsweep evaluate measures it"
_NEEDS = {
    "learning curves": "needs a trial of two epochs",
    "effects": "needs a hyperparameter of two values",
    "importance": f"needs two hyperparameters, {FEWEST_TRIALS} trials that differ, and Optuna (cnnsweep[search])",
    "metric against time": "needs two trials",
    "heat map": "needs two hyperparameters of few values",
    "accuracy by class": _EVALUATE,
    "confusion matrix": _EVALUATE,
}


@dataclass(frozen=True, slots=True)
class WrittenFigures:
    """Written files, in order, and for each omitted figure its missing requirement."""

    files: tuple[Path, ...]
    left_out: Mapping[str, str]


def write_figures(results: Results, folder: Path) -> WrittenFigures:
    """Write each figure as PNG and SVG, for a column of a paper and for a slide, and their captions.

    Raises:
        UsageError: matplotlib is not installed.
        ResultsError: the evaluation of the best run is damaged.
        FolderError: the folder cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(NEEDS_MATPLOTLIB)
    drawings = make_drawings(results)
    captions = ""
    files = []
    try:
        for form in FORMATS:
            make_folder(folder / form.name)
        for name, drawing in drawings.items():
            if drawing is None:
                continue
            captions += f"**{name}**: {safe_text(drawing.caption)}\n\n"
            for form in FORMATS:
                for ending, content in render(drawing, form).items():
                    files.append(folder / form.name / f"{drawing.name}.{ending}")
                    replace_file(files[-1], content)
        files.append(folder / CAPTIONS)
        replace_file(files[-1], captions)
    except OSError as error:
        raise unwritable(folder, error) from error
    return WrittenFigures(tuple(files), {name: _NEEDS[name] for name, drawing in drawings.items() if drawing is None})


def make_drawings(results: Results) -> dict[str, Drawing | None]:
    """Return the figures by name; None for one whose requirement the sweep lacks."""
    trials = group_trials(results)
    chosen = chosen_trial(results, trials)
    best = None if chosen is None else best_of(results, chosen)
    evaluation = None if best is None else load_run_evaluation(results.folder / best.name, best.best_epoch)
    shares = importance(results, trials)
    curves = learning_charts(results, trials)
    times = [chart for chart in cost_charts(results, trials) if chart.cost == "training time"]
    maps = heat_maps(results, trials, shares, MOST_LEVELS)
    evaluated = [] if evaluation is None else [("", evaluation)]
    confusion, is_of_labels = confusion_charts(evaluated), isinstance(evaluation, Labelled)
    return {
        "learning curves": drawn(learning_curves, next(iter(curves), None)),
        "effects": drawn(effects_figure, effects_chart(results, trials, MOST_HYPERPARAMETERS)),
        "importance": drawn(importance_figure, importance_chart(results, trials, shares)),
        "metric against time": drawn(time_figure, next(iter(times), None)),
        "heat map": drawn(heat_map, maps),
        "accuracy by class": drawn(class_accuracy, class_chart(evaluated, MOST_CLASSES)),
        **({} if is_of_labels else {"confusion matrix": drawn(confusion_matrix, next(iter(confusion), None))}),
    }
