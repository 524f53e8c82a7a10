"""Runs of an earlier sweep file: they stay in the folder, and are excluded from every choice."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.analysis.summary import rank_by
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, metric_text
from cnnsweep.report.key_values import print_fact, quoted
from cnnsweep.types import end_words

SHOWN = 3
LABEL = "no longer in the sweep file"


def print_former(results: Results, console: Console) -> None:
    """Print, after an empty line, the number of such runs and the best of them; nothing if there are none."""
    if not results.former:
        return
    console.print()
    console.print(Text(f"{former_words(results)}:", "bold"))
    for run in _ranked(results)[:SHOWN]:
        console.print(Padding(Text(_run_words(results, run), "dim"), (0, 0, 0, 2)))
    if len(results.former) > SHOWN:
        console.print(Padding(Text(f"… and {len(results.former) - SHOWN:,} more", "dim"), (0, 0, 0, 2)))
    print_fact(
        console, "one of them", f"cnnsweep report {quoted(results.folder)} --run {quoted(results.former[0].name)}"
    )


def former_words(results: Results) -> str:
    """Return `2 runs are no longer in the sweep file, and therefore not ranked`."""
    verb = "is" if len(results.former) == 1 else "are"
    return f"{count_text(len(results.former), 'run')} {verb} {LABEL}, and therefore not ranked"


def _ranked(results: Results) -> list[RunResult]:
    return [results.former[position] for position in rank_by(results.sweep.objective, results.former)]


def _run_words(results: Results, run: RunResult) -> str:
    metric = results.sweep.objective.metric
    figure = metric_text(metric, run[metric])
    return f"{safe_text(run.name)}  {metric} {figure}, {end_words(run.status, run.failure)}"
