"""Failed runs: one line for each common cause, and the next step."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cnnsweep.analysis.results import Results
from cnnsweep.analysis.summary import FailureGroup, group_failures
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import trials_text
from cnnsweep.progress.live_table import STATUS_STYLES
from cnnsweep.report.key_values import print_fact, quoted
from cnnsweep.report.ranking import run_words
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.types import FailureKind, RunStatus, end_words

EXAMPLES_SHOWN = 3  # examples of runs with the same failure and no common hyperparameters
LONGEST_SHARED = 100  # characters of their common hyperparameters


def print_failures(results: Results, console: Console) -> None:
    """Print, after an empty line, the causes of failed runs and the next step; nothing without failures."""
    groups = group_failures(results)
    if not groups:
        return
    console.print()
    console.print(Text("Failures", "bold"))
    for group in groups:
        what = f"{len(group.runs):,} {end_words(group.status, group.failure)}"
        console.print(Text.assemble((what, STATUS_STYLES[group.status]), f": {safe_text(group.cause)}"))
        for line in _which(results, group):
            console.print(Padding(Text(line, "dim"), (0, 0, 0, 2)))
    failed = [group for group in groups if group.status is RunStatus.FAILED]
    for group in failed:
        if group.failure is FailureKind.CNNSWEEP:
            log = safe_text(SweepPaths(results.folder).run(group.runs[0].name).log)
            print_fact(console, "our fault", f"please report it, with {log}")
    if failed:
        which = f" {quoted(failed[0].runs[0].name)}" if len(failed) == 1 else ""
        print_fact(console, "logs", f"cnnsweep logs {quoted(results.folder)}{which}")
        print_fact(console, "once fixed", "the same 'cnnsweep run' command, with --retry-failed")


def _which(results: Results, group: FailureGroup) -> list[str]:
    """Return the common hyperparameters of the runs; examples if there are none, or too many."""
    if len(group.runs) > 1:
        shared = trials_text(group.shared, results.sweep.axes)
        if shared and len(shared) <= LONGEST_SHARED:
            return [f"all with {shared}"]
    examples = [run_words(results, run) for run in group.runs[:EXAMPLES_SHOWN]]
    rest = len(group.runs) - len(examples)
    return [*examples, f"… and {rest:,} more"] if rest else examples
