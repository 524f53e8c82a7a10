"""The page: summary, charts, runs and background, in one file."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from cnnsweep.analysis.baseline import caution_words
from cnnsweep.analysis.chart_batches import batch_charts
from cnnsweep.analysis.chart_classes import class_chart, confusion_charts
from cnnsweep.analysis.chart_cost import cost_charts
from cnnsweep.analysis.chart_effects import effects_chart
from cnnsweep.analysis.chart_heat_map import heat_maps
from cnnsweep.analysis.chart_importance import importance_chart, interaction_chart
from cnnsweep.analysis.chart_learning import learning_charts
from cnnsweep.analysis.chart_parallel import parallel_chart
from cnnsweep.analysis.chart_stopping import stopping_chart
from cnnsweep.analysis.importance import NEEDS_OPTUNA, importance
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import Trial, group_trials
from cnnsweep.formatting.escape import safe_text
from cnnsweep.html.chart import drawn
from cnnsweep.html.chart_batches import batch_view
from cnnsweep.html.chart_classes import class_view, confusion_view
from cnnsweep.html.chart_cost import cost_view
from cnnsweep.html.chart_effects import effects_view
from cnnsweep.html.chart_heat_map import heat_map_view
from cnnsweep.html.chart_importance import share_view
from cnnsweep.html.chart_learning import learning_view
from cnnsweep.html.chart_parallel import parallel_view
from cnnsweep.html.chart_stopping import stopping_view
from cnnsweep.html.evaluations import evaluated_runs
from cnnsweep.html.labels import labels_section
from cnnsweep.html.markup import text
from cnnsweep.html.plotly_file import plotly_script
from cnnsweep.html.sections import (
    background_section,
    chart_section,
    runs_section,
    summary_section,
)
from cnnsweep.html.wrong_images import images_section
from cnnsweep.storage.atomic_files import replace_file

_WRONG = "Images that the best model gets wrong"


def write_page(results: Results, file: Path) -> None:
    """Write the report as one self-contained HTML file.

    Raises:
        UsageError: plotly is not installed.
        FolderError: the file cannot be written.
    """
    replace_file(file, render_page(results, file.parent))


def render_page(results: Results, page_folder: Path) -> str:
    """Return the report as HTML.

    Args:
        page_folder: the folder of the page, from which links to runs start.

    Raises:
        UsageError: plotly is not installed.
    """
    library, script = plotly_script(), _resource("page.js")
    trials = group_trials(results)
    sections = [
        ("summary", "Summary", summary_section(results, trials)),
        *_chart_sections(results, trials),
        ("runs", "All runs", runs_section(results, page_folder)),
        ("background", "How to reproduce it", background_section(results)),
    ]
    title = safe_text(results.sweep.name)
    description = f"<p>{text(results.sweep.description)}</p>" if results.sweep.description else ""
    links = "".join(f'<li><a href="#{key}">{text(heading)}</a></li>' for key, heading, _ in sections)
    body = "\n".join(
        f'<section id="{key}" aria-labelledby="{key}-heading">\n<h2 id="{key}-heading">{text(heading)}</h2>\n'
        f"{content}\n</section>"
        for key, heading, content in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(library, script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)} – cnnsweep</title>\n<style>\n{_resource('page.css')}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#content">Skip to the report</a>\n'
        f"<header><h1>{text(title)}</h1>{description}</header>\n"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main id="content">\n{body}\n</main>\n'
        f"<footer><p>Made by cnnsweep from results of {text(results.sweep.updated)}.</p></footer>\n"
        f"<script>{library}</script>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _chart_sections(results: Results, trials: Sequence[Trial]) -> list[tuple[str, str, str]]:
    evaluated, damaged = evaluated_runs(results, trials)
    batches, unreadable = batch_charts(results, trials)
    shares = importance(results, trials)
    learning = [
        learning_view(learning_charts(results, trials)),
        batch_view(batches),
        drawn(stopping_view, stopping_chart(results, trials)),
    ]
    hyperparameters = [
        drawn(effects_view, effects_chart(results, trials)),
        drawn(share_view, importance_chart(results, trials, shares)),
        drawn(share_view, interaction_chart(results, trials)),
        drawn(heat_map_view, heat_maps(results, trials, shares)),
        drawn(parallel_view, parallel_chart(results, trials)),
        cost_view(cost_charts(results, trials)),
    ]
    by_class = class_chart(evaluated)
    is_of_labels = by_class is not None and by_class.noun == "label"
    classes = [drawn(class_view, by_class), confusion_view(confusion_charts(evaluated))]
    caution = caution_words(results, trials)
    missing = [f"{NEEDS_OPTUNA[0].upper()}{NEEDS_OPTUNA[1:]}."] if shares is None else []
    missing += [caution] if caution is not None and any(chart is not None for chart in hyperparameters) else []
    found = [
        (key, heading, chart_section([chart for chart in charts if chart is not None], notes))
        for key, heading, charts, notes in (
            ("learning", "Learning", learning, unreadable),
            ("settings", "Hyperparameters", hyperparameters, missing),
            ("classes", "Labels" if is_of_labels else "Classes", classes, damaged),
        )
        if notes or any(chart is not None for chart in charts)
    ]
    if is_of_labels:
        key, heading, content = found.pop()
        found.append((key, heading, f"{content}{labels_section(evaluated)}"))
    images = images_section(evaluated)
    return [*found, *([("images", _WRONG, images)] if images else [])]


def _policy(*scripts: str) -> str:
    """Return a policy that forbids fetching and all other scripts; plotly sets styles by itself."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts)
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {hashes}; {rest}"


def _resource(name: str) -> str:
    return (files("cnnsweep.html") / name).read_text(encoding="utf-8")
