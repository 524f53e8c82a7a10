"""Commands for results: report, compare, evaluate."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnsweep.cli.options import DEFAULT_DATA_ROOT, AsJson, DataRoot, Device, TestTimeAugmentation, stdout
from cnnsweep.errors import UsageError
from cnnsweep.tuner.stop_signal import StoppedAtOnce

if TYPE_CHECKING:
    from cnnsweep.analysis.results import Results


class Format(StrEnum):
    """Output formats of `report`."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


def report(
    path: Annotated[Path, typer.Argument(help="Sweep folder or results.json.", metavar="PATH")],
    top: Annotated[
        int | None, typer.Option(min=0, help="Show this number of runs; 0 shows all.", show_default="20")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="Rank by this column.", show_default="the sweep's metric", metavar="COLUMN")
    ] = None,
    run_name: Annotated[
        str | None, typer.Option("--run", help="Show one run: its epochs and the loss of every batch.", metavar="NAME")
    ] = None,
    style: Annotated[Format, typer.Option("--format", help="Print the ranked runs in this format.")] = Format.TABLE,
    html: Annotated[
        Path | None,
        typer.Option(help="Write the whole report as one HTML page with charts.", metavar="FILE"),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Write the main figures as PNG and SVG.", metavar="DIR"),
    ] = None,
) -> None:
    """Show the results of a sweep.

    Ranked runs, the best trial, the mean effect of each hyperparameter, and learning curves.

    \b
    Examples:
      cnnsweep report runs/fashion
      cnnsweep report runs/fashion/results.json --format csv --sort run_duration
      cnnsweep report runs/fashion --html report.html
      cnnsweep report runs/fashion --figures figures
    """
    from cnnsweep.analysis.results import load_results

    results = load_results(path)
    if html is not None:
        _write_html(results, html, run_name, style)
    if figures is not None:
        _write_figures(results, figures, run_name, style)
    if html is not None or figures is not None:
        return
    if style is not Format.TABLE:
        from cnnsweep.report import export

        if run_name is not None:
            raise UsageError("--run shows one run as a table only; leave --format out")
        write = {Format.MARKDOWN: export.to_markdown, Format.CSV: export.to_csv, Format.JSON: export.to_json}[style]
        sys.stdout.write(write(results, top=top, sort=sort))
        return
    from cnnsweep.report import terminal

    if run_name is not None:
        terminal.render_run(results, run_name, stdout())
    else:
        terminal.render_report(results, stdout(), top=top, sort=sort)


def _write_html(results: Results, file: Path, run_name: str | None, style: Format) -> None:
    from cnnsweep.formatting.escape import safe_text
    from cnnsweep.html.page import write_page

    if run_name is not None or style is not Format.TABLE:
        raise UsageError("--html writes the whole report as a page; leave --run and --format out")
    if file.is_dir():
        raise UsageError(f"--html: {safe_text(file)} is a folder; name a file, as in: --html report.html")
    write_page(results, file)
    print(f"wrote {safe_text(file)}", file=sys.stderr)


def _write_figures(results: Results, folder: Path, run_name: str | None, style: Format) -> None:
    from cnnsweep.formatting.escape import safe_text
    from cnnsweep.formatting.numbers import count_text
    from cnnsweep.plots.save import write_figures

    if run_name is not None or style is not Format.TABLE:
        raise UsageError("--figures draws the whole sweep; leave --run and --format out")
    written = write_figures(results, folder)
    print(f"wrote {count_text(len(written.files), 'file')} into {safe_text(folder)}", file=sys.stderr)
    for name, needs in written.left_out.items():
        print(f"left out: {name} ({needs})", file=sys.stderr)


def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Two or more sweep folders or results.json files, or two run folders.", metavar="PATH"),
    ],
    metric: Annotated[
        str | None,
        typer.Option(help="Rank by this metric.", show_default="the sweeps' common metric", metavar="METRIC"),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=0, help="Show this number of rows; 0 shows all.", show_default="20")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare several sweeps, or two runs by class.

    All trials in one ranked table, the trials that several sweeps share with their differences, and the differences
    between the sweeps: data, configuration, seeds, device, versions. Of two sweeps whose best runs were evaluated, or
    of two evaluated runs, the recall by class with the interval of the difference.

    \b
    Examples:
      cnnsweep compare runs/first runs/second
      cnnsweep compare runs/lenet runs/resnet/results.json --metric val_accuracy --json
      cnnsweep compare runs/fashion/<run> runs/fashion/<other run>
    """
    from cnnsweep.analysis.compare import compare_sweeps
    from cnnsweep.analysis.compare_classes import are_runs

    if are_runs(paths):
        _compare_runs(paths, as_json=as_json)
        return
    comparison = compare_sweeps(paths, metric)
    if as_json:
        from cnnsweep.report.compare_json import compare_to_json

        sys.stdout.write(compare_to_json(comparison, top))
        return
    from cnnsweep.report.compare_table import render_comparison

    render_comparison(comparison, stdout(), top)


def _compare_runs(paths: list[Path], *, as_json: bool) -> None:
    from cnnsweep.analysis.compare_classes import compare_runs
    from cnnsweep.report.compare_classes import classes_section, classes_to_json
    from cnnsweep.report.compare_json import json_text

    found = compare_runs(paths)
    if as_json:
        sys.stdout.write(json_text(classes_to_json(found)))
    else:
        stdout().print(classes_section(found))


def evaluate(
    path: Annotated[
        Path | None,
        typer.Argument(help="Sweep folder (its best trial, all runs) or run folder.", metavar="[PATH]"),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint", "-c", help="Load this best.safetensors, run folder, or sweep folder (its best run)."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Evaluate on these images: test, val or train.")] = "test",
    refit: Annotated[
        bool,
        typer.Option("--refit", help="First retrain the best trial on training and validation images together."),
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Measure these too, such as kappa,auroc,f1[truck].", metavar="NAME,…", show_default="the sweep's"
        ),
    ] = None,
    wrong: Annotated[int, typer.Option(min=0, help="List this number of wrong images.", metavar="N")] = 12,
    tta: TestTimeAugmentation = None,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
    device: Device = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run the model or data code that the checkpoint names.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate the best trial of a sweep, or one checkpoint, on test images.

    The sweep's metrics with 95 % intervals, recall, precision and F1 by class, the confusion matrix, and wrong images
    by name. Each use of the test set is recorded, so that the report keeps selection and test metrics apart. Results
    are written to evaluation.json in the run's folder, with some wrong images of each class.

    \b
    Examples:
      cnnsweep evaluate runs/fashion
      cnnsweep evaluate runs/fashion --refit
      cnnsweep evaluate runs/fashion --metrics kappa,auroc --wrong 50
      cnnsweep evaluate runs/fashion --tta flip
      cnnsweep evaluate --checkpoint runs/fashion/<run>/best.safetensors --split val --json
    """
    from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint, evaluate_chosen
    from cnnsweep.evaluation.find_checkpoint import is_sweep
    from cnnsweep.evaluation.further_metrics import read_metrics
    from cnnsweep.evaluation.record import note_evaluations, note_tests
    from cnnsweep.progress.loading import loading_progress
    from cnnsweep.report.evaluation import render_evaluation, render_trial
    from cnnsweep.report.evaluation_json import evaluation_to_json, trial_to_json

    target = path if path is not None else checkpoint
    if target is None or (path is not None and checkpoint is not None):
        raise UsageError("evaluate: needs a sweep folder or, with --checkpoint, one checkpoint; not both")
    if refit and (path is None or not is_sweep(path)):
        raise UsageError("--refit: needs a sweep folder, as in: cnnsweep evaluate runs/fashion --refit")
    measured = _refit(path, data_root, device, allow_code, quiet) if refit and path is not None else target
    with loading_progress(quiet) as loading:
        further = read_metrics(metrics, allow_code=allow_code)
        options = EvaluationOptions(data_root, split, device or "auto", allow_code, loading, further, wrong, tta)
        if path is not None and is_sweep(path):
            chosen = evaluate_chosen(measured, options, refit_of=path if refit else None)
            measurements = chosen.evaluations
            problem = note_tests(path, measurements, chosen.trial_id, refit=refit)
            if as_json:
                print(trial_to_json(chosen))
            else:
                render_trial(chosen, stdout(), wrong)
        else:
            one = evaluate_checkpoint(target, options)
            measurements = (one,)
            problem = note_tests(Path(one.checkpoint).parent.parent, measurements)
            if as_json:
                print(evaluation_to_json(one))
            else:
                render_evaluation(one, stdout(), wrong)
    if problem is not None:
        print(f"note: the use of the test set could not be recorded: {problem}", file=sys.stderr)
    if (problem := note_evaluations(measurements)) is not None:
        print(f"note: evaluation.json could not be written: {problem}", file=sys.stderr)


def _refit(folder: Path, data_root: Path, device: str | None, allow_code: bool, quiet: bool) -> Path:
    """Retrain the selected trial on all training images and return the folder of that small sweep."""
    from cnnsweep.progress.choose import choose_display
    from cnnsweep.progress.loading import loading_progress
    from cnnsweep.refit import refit_chosen
    from cnnsweep.sweep import SweepOptions

    display = choose_display(quiet)
    with loading_progress(quiet) as loading:
        options = SweepOptions(folder, data_root, (), loading=loading)
        try:
            result = refit_chosen(folder, options, [display], device=device, allow_code=allow_code)
        except StoppedAtOnce as stopped:
            raise typer.Exit(stopped.exit_code) from None
        finally:
            display.close()
    if result.interrupted is not None:
        raise typer.Exit(result.interrupted)
    return result.paths.folder
