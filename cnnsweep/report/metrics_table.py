"""The metrics of one run at its selected epoch, one a line: more than a row of a terminal holds."""

from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import metric_text
from cnnsweep.metrics.names import ALWAYS, on_validation

MOST_PLOTS = 4  # metrics whose curves a terminal shows
PLOTS_LEFT_OUT = "{} by epoch: TensorBoard, --html and --figures show all"


def metrics_table(results: Results, run: RunResult) -> Table | None:
    """Return the metrics on training and validation images, beside those of a constant answer on the measured images.

    None without any beside loss and accuracy.
    """
    names = [*ALWAYS, *(metric.name for metric in results.sweep.metrics if metric.name not in ALWAYS)]
    measured = [name for name in names if run[name] is not None or run[on_validation(name)] is not None]
    if len(measured) <= len(ALWAYS):
        return None
    has_validation = any(run[on_validation(name)] is not None for name in measured)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("metric" if run.best_epoch is None else f"metrics of epoch {run.best_epoch}", no_wrap=True)
    constant = {one.metric: one.value for one in results.sweep.baselines}
    headings = ["training", *(["validation"] if has_validation else []), *(["constant answer"] if constant else [])]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    decides = results.sweep.objective.metric
    for name in measured:
        columns = [name, on_validation(name)] if has_validation else [name]
        cells = [Text(metric_text(name, run[one]), "bold" if one == decides else "") for one in columns]
        cells += [Text(metric_text(name, constant.get(columns[-1])), "dim")] if constant else []
        table.add_row(Text(safe_text(name), overflow="ellipsis"), *cells)
    return table
