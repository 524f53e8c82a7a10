"""The report of a sweep as one text, in each of its formats."""

from cnnsweep.analysis.results import Results
from cnnsweep.errors import UsageError
from cnnsweep.report.export import to_csv, to_json, to_markdown

_WRITERS = {"markdown": to_markdown, "csv": to_csv, "json": to_json}


def report_text(
    results: Results, style: str, *, top: int | None = None, sort: str | None = None, run: str | None = None
) -> str:
    """Return the report: a `table` as in a terminal without colours, `markdown`, `csv` or `json`.

    Args:
        top: the number of runs to show.
        sort: rank by this column.
        run: show one run; in a table only.

    Raises:
        UsageError: there is no such format, column or run.
    """
    if style != "table":
        if style not in _WRITERS:
            raise UsageError(f"format: found {style!r}, allowed are table, {', '.join(_WRITERS)}")
        if run is not None:
            raise UsageError("run: one run is shown as a table only; leave the format out")
        return _WRITERS[style](results, top=top, sort=sort)
    from io import StringIO

    from rich.console import Console

    from cnnsweep.report.terminal import render_report, render_run

    text = StringIO()
    console = Console(file=text, width=120)
    if run is not None:
        render_run(results, run, console)
    else:
        render_report(results, console, top=top, sort=sort)
    return text.getvalue()
