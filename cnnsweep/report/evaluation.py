"""Evaluations of checkpoints in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.chart_classes import images_text
from cnnsweep.analysis.evaluation import Evaluation, Interval, LabelEvaluation, TrialEvaluation
from cnnsweep.analysis.statistics import Estimate
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, count_text, metric_text, trials_text
from cnnsweep.metrics.baseline import FREQUENT_LABELS
from cnnsweep.metrics.names import ACCURACY, LOSS
from cnnsweep.report.class_tables import class_tables, wrong_table
from cnnsweep.report.label_tables import wrong_label_table

WRONG_SHOWN = 12  # misclassified images


def render_trial(trial: TrialEvaluation, console: Console, wrong: int = WRONG_SHOWN) -> None:
    """Print the evaluation of a trial: the means, one line per run, then all together."""
    if len(trial.evaluations) == 1:
        render_evaluation(trial.together, console, wrong)
        return
    together, accuracy = trial.together, trial.accuracy
    words = trials_text(together.params, [name for name in together.params if name not in ("seed", "fold")])
    refit = ", trained on training and validation images" if trial.is_refit else ""
    over = f"the mean of {count_text(accuracy.count, 'run')}{refit}"
    console.print(Text(safe_text(words), style="bold"))
    if together.decides != ACCURACY:
        decides = trial.estimates[together.decides]
        console.print(_deciding(together, f", {over}{_interval_words(together.decides, decides)}"))
    console.print(
        Text.assemble(
            (f"{accuracy.mean:.2%}", _style(together, ACCURACY)),
            f" of {images_text(trial.evaluations[0])} {_right_words(together)}, {over}{_percent_words(_ends(accuracy))}"
            f"{_baseline_words(together, accuracy.mean)}",
        )
    )
    _print_remarks(together, console)
    console.print()
    intervals = {name: ends for name, one in trial.estimates.items() if (ends := _ends(one)) is not None}
    console.print(_metrics_table(together, intervals))
    console.print()
    console.print(_runs_table(trial))
    _print_parts(together, console, wrong)


def render_evaluation(evaluation: Evaluation, console: Console, wrong: int = WRONG_SHOWN) -> None:
    """Print an evaluation.

    Args:
        wrong: maximum number of misclassified images to list.
    """
    console.print(Text(f"{safe_text(evaluation.run)}, epoch {evaluation.epoch}", style="bold"), soft_wrap=True)
    if evaluation.decides != ACCURACY:
        ends = evaluation.interval(evaluation.decides)
        console.print(_deciding(evaluation, f" on {images_text(evaluation)}{_ends_words(evaluation.decides, ends)}"))
    console.print(
        Text.assemble(
            (f"{evaluation.accuracy:.2%}", _style(evaluation, ACCURACY)),
            f" of {images_text(evaluation)} {_right_words(evaluation)} ({evaluation.correct:,})"
            f"{_percent_words(evaluation.interval(ACCURACY))}{_baseline_words(evaluation, evaluation.accuracy)}",
        )
    )
    _print_remarks(evaluation, console)
    console.print()
    console.print(_metrics_table(evaluation, evaluation.known_intervals))
    _print_parts(evaluation, console, wrong)


def _print_remarks(evaluation: Evaluation, console: Console) -> None:
    for remark in evaluation.remarks():
        console.print(Text(f"{remark[0].upper()}{remark[1:]}.", style="yellow"))
    for note in evaluation.notes:
        console.print(Text(f"note: {safe_text(note)}", style="magenta"))


def _print_parts(evaluation: Evaluation, console: Console, wrong: int) -> None:
    parts = [*class_tables(evaluation, console), *_wrong(evaluation, console, wrong)]
    for part in parts:
        console.print()
        console.print(part)


def _wrong(evaluation: Evaluation, console: Console, most: int) -> Iterator[Group]:
    shown = evaluation.wrong[:most]
    if shown:
        is_of_labels = isinstance(evaluation, LabelEvaluation)
        of = "label" if is_of_labels else "class"
        title = Text.assemble(("Wrong images", "bold"), (f"  in turns of one from each {of}", "dim"))
        table = wrong_label_table if is_of_labels else wrong_table
        yield Group(title, table(shown, console.width))


def _deciding(evaluation: Evaluation, words: str) -> Text:
    name = evaluation.decides
    value = metric_text(name, evaluation.values[name])
    return Text.assemble(f"{safe_text(name)} ", (value, _style(evaluation, name)), words)


def _style(evaluation: Evaluation, metric: str) -> str:
    """Return the style of a metric: only that of the deciding one stands out, if it beats a constant answer."""
    if metric != evaluation.decides:
        return ""
    baseline = evaluation.baselines.get(metric)
    return "bold" if baseline is not None and evaluation.values[metric] == baseline else "bold green"


def _right_words(evaluation: Evaluation) -> str:
    return "have all labels right" if isinstance(evaluation, LabelEvaluation) else "are right"


def _baseline_words(evaluation: Evaluation, accuracy: float) -> str:
    """Return `; always answering 'cat': 67.92%`, the accuracy of that on the same images."""
    if isinstance(evaluation, LabelEvaluation):
        share = evaluation.baselines[ACCURACY]
        words = f"{FREQUENT_LABELS}: {share:.2%}"
    else:
        name, share = evaluation.majority
        words = f"always answering {safe_text(repr(name))}: {share:.2%}"
    return f"; {words}" if accuracy > share else f"; no better than {words}"


def _percent_words(ends: Interval | None) -> str:
    return "" if ends is None else f", 95 % interval {ends[0]:.2%} to {ends[1]:.2%}"


def _ends_words(metric: str, ends: Interval | None) -> str:
    return "" if ends is None else f", 95 % interval {_ends_text(metric, ends)}"


def _interval_words(metric: str, found: Estimate) -> str:
    return _ends_words(metric, _ends(found))


def _ends(found: Estimate) -> Interval | None:
    """Return the interval; None if all runs are equal, so the spread is unknown."""
    return None if found.low is None or found.high is None else (found.low, found.high)


def _ends_text(metric: str, ends: Interval | None) -> str:
    return UNKNOWN if ends is None else f"{metric_text(metric, ends[0])} to {metric_text(metric, ends[1])}"


def _metrics_table(evaluation: Evaluation, intervals: dict[str, Interval]) -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column("metric", no_wrap=True, overflow="ellipsis")
    for heading in ("value", "95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    baselines = evaluation.baselines
    if baselines:
        table.add_column("constant answer", justify="right", no_wrap=True)
    for name, value in evaluation.values.items():
        style = "bold" if name == evaluation.decides else ""
        constant = [metric_text(name, baselines.get(name))] if baselines else []
        cells = [metric_text(name, value), _ends_text(name, intervals.get(name)), *constant]
        table.add_row(Text(safe_text(name)), *map(Text, cells), style=style)
    return table


def _runs_table(trial: TrialEvaluation) -> Table:
    table = Table(box=None, padding=(0, 1))
    shown = list(dict.fromkeys([trial.together.decides, ACCURACY, LOSS]))
    table.add_column("run", no_wrap=True)
    for heading in ("epoch", safe_text(shown[0]), "95 %", *map(safe_text, shown[1:])):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in trial.evaluations:
        name = Text(_replicate_words(one), no_wrap=True, overflow="ellipsis")
        first, *others = (_run_text(one, metric) for metric in shown)
        table.add_row(name, str(one.epoch), first, _run_interval(one, shown[0]), *others)
    return table


def _run_text(one: Evaluation, metric: str) -> str:
    return f"{one.accuracy:.2%}" if metric == ACCURACY else metric_text(metric, one.values.get(metric))


def _run_interval(one: Evaluation, metric: str) -> str:
    ends = one.interval(metric)
    return f"{ends[0]:.2%} to {ends[1]:.2%}" if metric == ACCURACY and ends is not None else _ends_text(metric, ends)


def _replicate_words(one: Evaluation) -> str:
    """Return `seed 0`, `fold 1` or `seed 0, fold 1`; the name if neither is known."""
    known = [f"{key} {safe_text(one.params[key])}" for key in ("seed", "fold") if one.params.get(key) is not None]
    return ", ".join(known) or safe_text(one.run)
