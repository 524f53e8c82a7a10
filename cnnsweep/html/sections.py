"""The parts of the page, as HTML."""

from collections.abc import Sequence
from pathlib import Path

from cnnsweep.analysis.axes import has_replicates
from cnnsweep.analysis.baseline import is_praised, mark_legend, trials_at_baseline
from cnnsweep.analysis.intervals import interval_cells
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.ties import equals_of_best, mark
from cnnsweep.analysis.trials import Trial, chosen_trial, trial_words
from cnnsweep.formatting.class_counts import MOST_ROWS, class_table, counts_words, is_unequal
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, metric_text
from cnnsweep.html.chart import Chart, DataTable, View
from cnnsweep.html.markup import embedded_json, many_lines, text
from cnnsweep.html.reproduce import environment_facts, frozen_spec, reproducing_command
from cnnsweep.html.run_table import run_table
from cnnsweep.html.summary import best_words, other_words, significance_sentence, swept_words, varied_rows
from cnnsweep.report.next_steps import next_steps
from cnnsweep.report.trials_table import tie_legend

TRIALS_SHOWN = 10
CLASSES_SHOWN = 1000
MANY_RUNS = 300  # number of rows above which a browser lays out slowly
REM_A_ROW = 1.7


def summary_section(results: Results, trials: Sequence[Trial]) -> str:
    """Return the sweep in words, and its best trials."""
    best, facts = best_words(results, trials)
    sure, others = significance_sentence(results, trials), other_words(results)
    steps = "".join(
        f"<li>{text(step.words)}{f'<pre><code>{text(step.command)}</code></pre>' if step.command else ''}</li>"
        for step in next_steps(results, trials)
    )
    varied = "".join(f"<dt>{text(name)}</dt><dd>{text(values)}</dd>" for name, values in varied_rows(results, trials))
    if is_praised(results, trials):
        heading, best_line = "The best trial", f'<p class="best"><span aria-hidden="true">★ </span>{text(best)}</p>'
    else:
        heading, best_line = "First in the ranking", f'<p class="first">{text(best)}</p>'
    return "\n".join([
        f"<h3>Varied hyperparameters</h3>{_paragraphs(swept_words(results))}{f'<dl>{varied}</dl>' if varied else ''}",
        f"<h3>{heading}</h3>{best_line if best else ''}{_paragraphs(facts)}",
        *([f"<h3>How sure</h3>{_paragraphs(sure)}"] if sure else []),
        *([f"<h3>Further events</h3>{_paragraphs(others)}"] if others else []),
        *_class_counts(results),
        *([f"<h3>Next steps</h3><ul class=steps>{steps}</ul>"] if steps else []),
        _best_trials(results, trials),
    ])  # fmt: skip


def _class_counts(results: Results) -> list[str]:
    """Return the images of each class: a sentence, and a table, which is closed if it is long or classes are equal.

    Of very many classes the table has the first ones, so that a browser can lay it out.
    """
    counts = results.sweep.part_counts
    if counts is None:
        return []
    headings, rows = class_table(counts)
    is_open = is_unequal(counts) and len(rows) <= MOST_ROWS
    one, several = ("label", "labels") if counts.training.is_multi_label else ("class", "classes")
    heading = f"The first {CLASSES_SHOWN:,} {several}" if len(rows) > CLASSES_SHOWN else f"All {several}"
    table = scrolled(f"Images of each {one}", table_markup(DataTable(headings, rows[:CLASSES_SHOWN])))
    return [
        f"<h3>Images of each {one}</h3><p>{text(f'Images {counts_words(counts)}.')}</p>"
        f"<details{' open' if is_open else ''}><summary>{heading}</summary>{table}</details>"
    ]


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{text(line)}</p>" for line in lines)


def _best_trials(results: Results, trials: Sequence[Trial]) -> str:
    """Return the best trials if they have several runs; otherwise the table of runs is enough."""
    shown = [trial for trial in trials if trial.place is not None][:TRIALS_SHOWN]
    if not has_replicates(results) or not shown:
        return ""
    metric = results.sweep.objective.metric
    equal, is_starred = equals_of_best(results, trials), is_praised(results, trials)
    best, at_baseline = chosen_trial(results, trials), trials_at_baseline(results, shown)
    intervals = interval_cells(metric, [trial.estimate for trial in shown])
    rows = [
        [
            f"{mark(trial, best, is_starred, trial.trial_id in at_baseline).strip()} {trial.place}",
            trial_words(results, trial, ", "),
            metric_text(metric, None if trial.estimate is None else trial.estimate.mean),
            interval,
            f"{len(trial.figures)}" + (f", {trial.failed} failed" if trial.failed else ""),
        ]
        for trial, interval in zip(shown, intervals, strict=True)
    ]
    table = table_markup(DataTable(["place", "trial", metric, "95 %", "runs"], rows))
    legend = [*([tie_legend(trials, equal)] if is_starred else []), *([mark_legend(results)] if at_baseline else [])]
    words = f"<p>{text('; '.join(filter(None, legend)))}.</p>" if legend else ""
    return f"<h3>The best trials</h3>{words}{scrolled('The best trials', table)}"


def chart_section(charts: Sequence[Chart], notes: Sequence[str]) -> str:
    """Return the charts of a section, after the notes that apply to all of them."""
    return _paragraphs(notes) + "\n".join(map(_chart, charts))


def _chart(chart: Chart) -> str:
    view = chart.views[chart.chosen]
    choices = "".join(
        f'<label>{text(choice.label)} <select data-choice="{position}">'
        + "".join(
            f"<option value={number}{' selected' if str(number) == chosen else ''}>{text(option)}</option>"
            for number, option in enumerate(choice.options)
        )
        + "</select></label>"
        for position, (choice, chosen) in enumerate(zip(chart.choices, chart.chosen.split(","), strict=False))
    )
    views = {key: _embedded(one) for key, one in chart.views.items()}
    narrowest = f"; min-width: {chart.narrowest}px" if chart.narrowest else ""
    table = "" if view.table is None else table_markup(view.table)
    return (
        f'<figure class="chart" id="chart-{chart.key}"><h3>{text(chart.title)}</h3>\n'
        f"{f'<form class=choices>{choices}</form>' if choices else ''}"
        f'<div class="scrolled" tabindex="0" role="region" aria-label="{text(chart.title)}, chart">'
        f'<div class="drawing" role="img" aria-label="{text(view.sentence)}" '
        f'style="height: {chart.height}px{narrowest}"></div></div>\n'
        f"<figcaption>{text(view.sentence)}</figcaption>{_paragraphs(chart.notes)}\n"
        f"<details{'' if view.table else ' hidden'}><summary>Values of this chart</summary>"
        f"{scrolled(f'Values of {chart.title}', table)}</details>\n"
        f'<script type="application/json">{embedded_json(views)}</script></figure>'
    )


def _embedded(view: View) -> dict[str, object]:
    table = None
    if view.table is not None:
        rows = [[safe_text(cell) for cell in row] for row in view.table.rows]
        table = {"headings": [safe_text(heading) for heading in view.table.headings], "rows": rows}
    return {"sentence": safe_text(view.sentence), "figure": view.figure, "table": table}


def table_markup(table: DataTable) -> str:
    """Return a table; the first cell of each row is its heading."""
    heads = "".join(f'<th scope="col">{text(heading)}</th>' for heading in table.headings)
    rows = "".join(
        f'<tr><th scope="row">{text(row[0])}</th>{"".join(f"<td>{text(cell)}</td>" for cell in row[1:])}</tr>'
        for row in table.rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def scrolled(label: str, content: str) -> str:
    """Return content that scrolls by itself if it is too wide."""
    return f'<div class="scrolled" tabindex="0" role="region" aria-label="{text(label)}">{content}</div>'


def runs_section(results: Results, page_folder: Path) -> str:
    """Return the table of all runs with its filter."""
    count = len(results.runs)
    many = f' many" style="contain-intrinsic-size: auto {round(count * REM_A_ROW)}rem' if count > MANY_RUNS else ""
    return (
        '<form class="filter" role="search"><label for="filter">Show runs with</label> '
        '<input id="filter" type="search" autocomplete="off" spellcheck="false" aria-describedby="filter-help" '
        'placeholder="lr=0.01 finished"> <output for="filter" aria-live="polite"></output>'
        '<p id="filter-help">All words must occur; name=value finds a column. '
        "A heading sorts the table; a second click reverses the order.</p></form>\n"
        + f'<div class="scrolled{many}" tabindex="0" role="region" aria-label="All runs">'
        f"{run_table(results, page_folder)}</div>"
    )


def background_section(results: Results) -> str:
    """Return the command, the sweep file and the environment."""
    facts, problem = environment_facts(results.folder)
    spec = frozen_spec(results.folder)
    rows = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts)
    threads = "threads and " if results.sweep.threads else ""
    environment = f"<dl class=wide>{rows}</dl>" if rows else ""
    parts = [
        "<p>This command trains the same sweep again, in a new folder; on a CPU, with the same "
        f"{threads}versions, it ends with the same bits. A data set outside data/ needs --data-root.</p>"
        f"<pre><code>{text(reproducing_command(results))}</code></pre>",
        f"<h3>The sweep file</h3><pre tabindex=0><code>{many_lines(spec)}</code></pre>"
        if spec is not None
        else f"<h3>The sweep file</h3><p>{UNKNOWN} It is missing from the sweep's folder.</p>",
        f"<h3>The environment</h3>{_paragraphs([problem] if problem else [])}{environment}",
    ]
    return "\n".join(parts)
