"""A sweep's folder as a Python object: tables, the best run, report and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnsweep.analysis.find_results import find_named, find_results_file
from cnnsweep.analysis.json_reader import parse_json
from cnnsweep.analysis.results import Results, RunResult, load_results
from cnnsweep.analysis.summary import rank_runs
from cnnsweep.api.recorded import plain, record
from cnnsweep.api.trained_run import TrainedRun
from cnnsweep.errors import UsageError
from cnnsweep.formatting.numbers import count_text
from cnnsweep.report.html_table import html_table
from cnnsweep.report.text import report_text
from cnnsweep.report.trial import find_run
from cnnsweep.storage.paths import SweepPaths

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 10  # runs in a notebook's table


@dataclass(frozen=True, slots=True)
class Sweep:
    """Folder of a sweep. Each access reads the files anew, so that a running sweep shows its progress."""

    folder: Path

    @property
    def name(self) -> str:
        return self._results().sweep.name

    @property
    def status(self) -> str:
        """`running`, `finished` or `interrupted`."""
        return self._results().sweep.status

    @property
    def runs(self) -> pd.DataFrame:
        """One row for each run: name, status, metrics of its best epoch, params."""
        return self._table("runs")

    @property
    def epochs(self) -> pd.DataFrame:
        """One row for each epoch of each run: metrics, durations in seconds, params."""
        return self._table("epochs")

    @property
    def best(self) -> TrainedRun:
        """The best run of the best trial.

        Raises:
            CnnSweepError: no run has a finished epoch yet.
        """
        results = self._results()
        if results.sweep.best is None:
            raise UsageError(f"{self.folder}: no run of this sweep has a finished epoch yet")
        return self._trained(find_named(results.runs, results.sweep.best, results.sweep.name))

    def run(self, name: str) -> TrainedRun:
        """Return a run by its name, or how that begins.

        Raises:
            CnnSweepError: no run, or several, are called that.
        """
        results = self._results()
        return self._trained(find_run(results, name))

    def report(
        self,
        format: str = "table",
        *,
        top: int | None = None,
        sort: str | None = None,
        run: str | None = None,
        html: str | Path | None = None,
        figures: str | Path | None = None,
    ) -> str:
        """Return the report as text, and write it as a page or as pictures if asked to.

        Args:
            format: table, markdown, csv or json.
            top: the number of runs to show (0: all; 20 by default in the table).
            sort: rank by this column instead of the sweep's metric.
            run: show one run: its epochs and batch losses; in a table only.
            html: write the whole report as one page with charts into this file.
            figures: write the main charts as PNG and SVG into this folder.

        Raises:
            CnnSweepError: the results are damaged, there is no such column or run, or a file cannot be written.
        """
        results = self._results()
        if html is not None:
            from cnnsweep.html.page import write_page

            write_page(results, Path(html))
        if figures is not None:
            from cnnsweep.plots.save import write_figures

            write_figures(results, Path(figures))
        return report_text(results, format, top=top, sort=sort, run=run)

    def evaluate(
        self,
        split: str = "test",
        *,
        refit: bool = False,
        data_root: str | Path = "data",
        device: str | None = None,
        allow_code: bool = False,
        metrics: str | Sequence[str] | None = None,
        wrong: int = 12,
        tta: str | None = None,
        quiet: bool = False,
    ) -> dict[str, Any]:
        """Return the metrics of the best trial with all its seeds, as `cnnsweep evaluate --json`, and record them.

        Args:
            split: test, val or train.
            refit: first train the trial on training and validation images together.
            device: auto, cpu, cuda, cuda:N or mps; of `refit` the sweep's by default.
            metrics: names of metrics to measure beside the sweep's, such as `["kappa", "f1[truck]"]`.
            wrong: name this number of wrong images of each run; at least 24.
            tta: average over each image and its mirror images: flip, vertical_flip, or flip+vertical_flip.

        Raises:
            CnnSweepError: nothing was trained yet, or the data is missing or does not fit.
            KeyboardInterrupt: the refit was stopped; it resumes with the next call.
        """
        from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_chosen
        from cnnsweep.evaluation.further_metrics import read_metrics
        from cnnsweep.progress.loading import loading_progress
        from cnnsweep.report.evaluation_json import trial_to_json

        further = read_metrics(metrics, allow_code=allow_code)
        measured = self._refit(Path(data_root), device, allow_code, quiet) if refit else self.folder
        with loading_progress(quiet) as loading:
            options = EvaluationOptions(
                Path(data_root), split, device or "auto", allow_code, loading, further, wrong, tta
            )
            chosen = evaluate_chosen(measured, options, refit_of=self.folder if refit else None)
        record(chosen.evaluations, self.folder, chosen.trial_id, refit=refit)
        return plain(trial_to_json(chosen))

    def _refit(self, data_root: Path, device: str | None, allow_code: bool, quiet: bool) -> Path:
        from cnnsweep.progress.notebook import choose_notebook_display
        from cnnsweep.refit import refit_chosen
        from cnnsweep.sweep import SweepOptions

        display = choose_notebook_display(quiet=quiet)
        try:
            options = SweepOptions(self.folder, data_root)
            result = refit_chosen(self.folder, options, [display], device=device, allow_code=allow_code)
        finally:
            display.close()
        if result.interrupted is not None:
            raise KeyboardInterrupt
        return result.paths.folder

    def _results(self) -> Results:
        return load_results(self.folder)

    def _table(self, key: str) -> pd.DataFrame:
        import pandas as pd

        self._results()  # says what is wrong with a damaged file
        return pd.DataFrame(parse_json(find_results_file(self.folder))[key])

    def _trained(self, run: RunResult) -> TrainedRun:
        metrics = {name: value for name in run.metrics if (value := run[name]) is not None}
        folder = SweepPaths(self.folder).run(run.name).folder
        return TrainedRun(run.name, dict(run.params), metrics, str(run.status), folder)

    def _repr_html_(self) -> str:
        results = self._results()
        metric = results.sweep.objective.metric
        columns = results.sweep.axes or results.sweep.hyperparameters
        rows = [
            (*(run.params.get(name) for name in columns), run[metric], f"{run.status}")
            for run in rank_runs(results)[:_SHOWN]
        ]
        left = len(results.runs) - len(rows)
        title = f"{results.sweep.name}: {count_text(len(results.runs), 'run')}, {results.sweep.status}"
        return html_table(title, (*columns, metric, "status"), rows, f"and {left:,} more" if left else "")
