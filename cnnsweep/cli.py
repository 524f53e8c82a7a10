"""The command line: read the options, make one library call, print.

Nothing heavy is imported before a command needs it, so that `--help` and completion answer at once.
"""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnsweep import __version__
from cnnsweep.errors import CnnSweepError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from cnnsweep.records import Run
    from cnnsweep.spec.schema import SweepSpec
    from cnnsweep.sweep import SweepResult

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Hyperparameter sweeps of image-classification CNNs, from one YAML file.",
    epilog="Begin with: cnnsweep init, then cnnsweep run sweep.yaml",
)

DEFAULT_DATA_ROOT = Path("data")
_MOST_RUNS = 1_000_000  # beyond it is nothing to ask about

DataRoot = Annotated[
    Path,
    typer.Option("--data-root", envvar="CNNSWEEP_DATA", help="Where data sets lie.", show_default="data"),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps; instead of the file's.")]
Out = Annotated[Path | None, typer.Option(help="The sweep's own folder.", show_default="runs/<name>", metavar="DIR")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key, such as params.lr=[0.1,0.01].", metavar="KEY=VALUE"),
]
MaxRuns = Annotated[int, typer.Option(min=1, help="Refuse a sweep of more runs.")]
FuseWish = Annotated[
    str,
    typer.Option(
        "--fuse",
        help="How runs train together: auto measures what is fastest, off trains each alone, a number is the most "
        "that share a program.",
        metavar="auto|off|K",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, for programs.")]


class Format(StrEnum):
    """How `report` prints."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


def main() -> None:
    """Run the command line; expected errors end with one message and their exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # ★ and curves, where the terminal knows ASCII only
    try:
        app()
    except CnnSweepError as error:
        from cnnsweep.display.safe_text import safe_text

        lines = "\n".join(safe_text(line) for line in str(error).split("\n"))
        print(f"error: {lines}" if "\n" not in lines else lines, file=sys.stderr)
        sys.exit(error.exit_code)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cnnsweep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="The sweep file.", metavar="FILE")],
    device: Device = None,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
    out: Out = None,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the runs, train nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away what the folder holds and start over.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --fresh throws away.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Train failed and diverged runs again.")] = False,
    max_runs: MaxRuns = 10_000,
    fuse: FuseWish = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show failures only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train the runs of a sweep that are not done yet.

    Runs of one model and batch size train together as one program where that is faster; each gets the results that
    it would get alone.

    Running the same command again goes on where it stopped: finished runs are kept, an interrupted one continues
    after its last whole epoch, and an edited file adds only what is new.

    \b
    Examples:
      cnnsweep run sweeps/quickstart.yaml
      cnnsweep run sweeps/fashion.yaml --data-root ~/data --set params.epochs=5

    Exit codes: 0 all well, 1 some runs failed or diverged, 2 wrong usage or sweep file, 3 the folder is in use or holds
    another sweep, 4 bad data, 130 interrupted by Ctrl-C, 143 by SIGTERM.
    """
    from cnnsweep.spec.expand import refuse_too_many
    from cnnsweep.spec.load import load_sweep

    changes = [*(overrides or []), *([] if device is None else [f"device={device}"])]
    spec = load_sweep(file, changes)
    folder = out or Path("runs") / spec.name
    max_runs = _confirmed_limit(spec, max_runs)
    refuse_too_many(spec, max_runs)  # before anything heavy is imported
    if dry_run:
        _show_runs(spec, max_runs, as_json)
        return
    if fresh:
        _clear(folder, yes)
    result = _run_sweep(
        spec,
        folder,
        data_root,
        changes,
        retry_failed=retry_failed,
        max_runs=max_runs,
        fuse=_read_fuse(fuse),
        quiet=quiet,
    )
    _show_result(result, as_json=as_json, quiet=quiet)
    if result.interrupted is not None:
        raise typer.Exit(result.interrupted)
    if result.has_failures:
        raise typer.Exit(1)


@app.command()
def plan(
    file: Annotated[Path, typer.Argument(help="The sweep file.", metavar="FILE")],
    device: Device = None,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
    out: Out = None,
    overrides: Overrides = None,
    max_runs: MaxRuns = 10_000,
    fuse: FuseWish = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a sweep would take, without training it.

    Measures some steps of each kind of run on the device: which runs train together and why, the time left, memory and
    disk. Nothing is written.

    \b
    Examples:
      cnnsweep plan sweeps/fashion.yaml
      cnnsweep plan sweeps/fashion.yaml --fuse off --json
    """
    from cnnsweep.spec.expand import refuse_too_many
    from cnnsweep.spec.load import load_sweep

    spec = load_sweep(file, [*(overrides or []), *([] if device is None else [f"device={device}"])])
    refuse_too_many(spec, max_runs)  # before anything heavy is imported
    from cnnsweep.display.loading import loading_progress
    from cnnsweep.forecast import ForecastOptions, forecast_sweep
    from cnnsweep.report.plan import plan_to_json, render_plan

    with loading_progress(quiet) as loading:
        options = ForecastOptions(out or Path("runs") / spec.name, data_root, _read_fuse(fuse), max_runs, loading)
        forecast = forecast_sweep(spec, options)
    if as_json:
        print(plan_to_json(forecast))
    else:
        render_plan(forecast, _stdout())


@app.command()
def report(
    path: Annotated[Path, typer.Argument(help="A results.json or a sweep folder.", metavar="PATH")],
    top: Annotated[int | None, typer.Option(min=0, help="Show so many runs; 0 shows all.", show_default="20")] = None,
    sort: Annotated[
        str | None, typer.Option(help="Rank by this column.", show_default="the sweep's metric", metavar="COLUMN")
    ] = None,
    run_name: Annotated[
        str | None, typer.Option("--run", help="Show one run: its epochs and the loss of every batch.", metavar="NAME")
    ] = None,
    style: Annotated[Format, typer.Option("--format", help="How to print the ranked runs.")] = Format.TABLE,
) -> None:
    """Show what a sweep found.

    Ranked runs, the best setting, the mean effect of each hyperparameter, and curves.

    \b
    Examples:
      cnnsweep report runs/fashion
      cnnsweep report runs/fashion/results.json --format csv --sort run_duration
    """
    from cnnsweep.report.results import load_results

    results = load_results(path)
    if style is not Format.TABLE:
        from cnnsweep.report import export

        if run_name is not None:
            raise UsageError("--run shows one run as a table only; leave --format out")
        write = {Format.MARKDOWN: export.to_markdown, Format.CSV: export.to_csv, Format.JSON: export.to_json}[style]
        sys.stdout.write(write(results, top=top, sort=sort))
        return
    from cnnsweep.report import terminal

    if run_name is not None:
        terminal.render_run(results, run_name, _stdout())
    else:
        terminal.render_report(results, _stdout(), top=top, sort=sort)


@app.command()
def compare(
    paths: Annotated[
        list[Path], typer.Argument(help="Sweep folders or results.json files, at least two.", metavar="PATH")
    ],
    metric: Annotated[
        str | None,
        typer.Option(help="Rank by this figure.", show_default="the sweeps' common metric", metavar="METRIC"),
    ] = None,
    top: Annotated[int | None, typer.Option(min=0, help="Show so many rows; 0 shows all.", show_default="20")] = None,
    as_json: AsJson = False,
) -> None:
    """Show several sweeps beside each other.

    All settings in one ranked table, the settings that several sweeps have with the difference between them, and in
    what the sweeps differ: data, settings, seeds, device, versions.

    \b
    Examples:
      cnnsweep compare runs/first runs/second
      cnnsweep compare runs/lenet runs/resnet/results.json --metric val_accuracy --json
    """
    from cnnsweep.report.compare import compare_sweeps

    comparison = compare_sweeps(paths, metric)
    if as_json:
        from cnnsweep.report.compare_json import compare_to_json

        sys.stdout.write(compare_to_json(comparison, top))
        return
    from cnnsweep.report.compare_table import render_comparison

    render_comparison(comparison, _stdout(), top)


@app.command()
def evaluate(
    path: Annotated[
        Path | None,
        typer.Argument(help="A sweep folder: its best setting, all seeds. Or a run folder.", metavar="[PATH]"),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint", "-c", help="A best.safetensors, a run folder, or a sweep folder for its best run."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="The images to measure on: test, val or train.")] = "test",
    refit: Annotated[
        bool,
        typer.Option("--refit", help="First train the best setting on training and validation images together."),
    ] = False,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
    device: Device = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run the model or data code that the checkpoint names.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the setting that a sweep chose, or one checkpoint, on test images.

    Accuracy with its 95 % interval, loss, accuracy by class, the confusion matrix and the most confused pairs. That the
    test set was looked at is written down in the sweep, so that its report tells selected figures from tested ones.

    \b
    Examples:
      cnnsweep evaluate runs/fashion
      cnnsweep evaluate runs/fashion --refit
      cnnsweep evaluate --checkpoint runs/fashion/<run>/best.safetensors --split val --json
    """
    from cnnsweep.display.loading import loading_progress
    from cnnsweep.evaluation import EvaluationOptions, evaluate_checkpoint, evaluate_chosen, is_sweep, note_tests
    from cnnsweep.report.evaluation import evaluation_to_json, render_evaluation, render_setting, setting_to_json

    target = path if path is not None else checkpoint
    if target is None or (path is not None and checkpoint is not None):
        raise UsageError("evaluate: give a sweep folder or, with --checkpoint, one checkpoint, and not both")
    if refit and (path is None or not is_sweep(path)):
        raise UsageError("--refit: needs a sweep folder, as in: cnnsweep evaluate runs/fashion --refit")
    measured = _refit(path, data_root, device, allow_code, quiet) if refit and path is not None else target
    with loading_progress(quiet) as loading:
        options = EvaluationOptions(data_root, split, device or "auto", allow_code, loading)
        if path is not None and is_sweep(path):
            chosen = evaluate_chosen(measured, options, refit_of=path if refit else None)
            problem = note_tests(path, chosen.evaluations, chosen.configuration, refit=refit)
            if as_json:
                print(setting_to_json(chosen))
            else:
                render_setting(chosen, _stdout())
        else:
            one = evaluate_checkpoint(target, options)
            problem = note_tests(Path(one.checkpoint).parent.parent, [one])
            if as_json:
                print(evaluation_to_json(one))
            else:
                render_evaluation(one, _stdout())
    if problem is not None:
        print(f"note: that the test set was looked at could not be written down: {problem}", file=sys.stderr)


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the models to choose from.

    \b
    Examples:
      cnnsweep models
      cnnsweep models --json
    """
    from cnnsweep.report.listings import render_models
    from cnnsweep.spec.names import PRESET_MODELS, TORCHVISION_MODELS

    if as_json:
        print(json.dumps({"presets": dict(PRESET_MODELS), "torchvision": list(TORCHVISION_MODELS)}, indent=2))
    else:
        render_models(_stdout())


@app.command()
def datasets(data_root: DataRoot = DEFAULT_DATA_ROOT, as_json: AsJson = False) -> None:
    """List the data sets to choose from, and which are here.

    \b
    Examples:
      cnnsweep datasets
      cnnsweep datasets --data-root ~/data
    """
    import dataclasses

    from cnnsweep.data.catalogue import describe_datasets
    from cnnsweep.report.listings import render_datasets

    descriptions = describe_datasets(data_root)
    if as_json:
        print(json.dumps([dataclasses.asdict(d) for d in descriptions], indent=2, default=str))
    else:
        render_datasets(descriptions, _stdout())


@app.command()
def schema() -> None:
    """Print the JSON Schema of sweep files.

    With it, editors complete and check them.

    \b
    Examples:
      cnnsweep schema > sweep.schema.json
      sed -i '1i # yaml-language-server: $schema=sweep.schema.json' sweep.yaml
    """
    from cnnsweep.spec.json_schema import sweep_json_schema

    print(json.dumps(sweep_json_schema(), indent=2))


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="[FILE]")] = Path("sweep.yaml"),
    dataset: Annotated[str, typer.Option(help="The data set to begin with.")] = "shapes",
    model: Annotated[str, typer.Option(help="The model to begin with.")] = "lenet",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a commented sweep file to start from.

    \b
    Examples:
      cnnsweep init
      cnnsweep init sweeps/cifar.yaml --dataset cifar10 --model resnet18
    """
    from cnnsweep.recording.files import unwritable
    from cnnsweep.spec.load import parse_sweep
    from cnnsweep.spec.starter import starter_file

    if file.exists() and not force:
        raise UsageError(f"{file}: is there already; choose another name, or add --force to write over it")
    text = starter_file(file.stem, dataset, model)
    parse_sweep(text, str(file), folder=file.parent)  # a wrong --dataset or --model must not reach the file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(file, error) from error
    print(f"wrote {file}; next: cnnsweep run {file}")


def _run_sweep(
    spec: SweepSpec,
    folder: Path,
    data_root: Path,
    changes: list[str],
    *,
    retry_failed: bool,
    max_runs: int,
    fuse: str | int,
    quiet: bool,
) -> SweepResult:
    from cnnsweep.display.choose import choose_display
    from cnnsweep.display.loading import loading_progress
    from cnnsweep.sweep import SweepOptions, run_sweep

    display = choose_display(quiet)
    with loading_progress(quiet) as loading:
        options = SweepOptions(folder, data_root, tuple(changes), retry_failed, max_runs, fuse, loading)
        try:
            return run_sweep(spec, options, display)
        finally:
            display.close()


def _refit(folder: Path, data_root: Path, device: str | None, allow_code: bool, quiet: bool) -> Path:
    """Train the chosen setting on all training images and return the folder of that small sweep."""
    from cnnsweep.display.choose import choose_display
    from cnnsweep.display.loading import loading_progress
    from cnnsweep.refit import refit_chosen
    from cnnsweep.sweep import SweepOptions

    display = choose_display(quiet)
    with loading_progress(quiet) as loading:
        options = SweepOptions(folder, data_root, (), loading=loading)
        try:
            result = refit_chosen(folder, options, display, device=device, allow_code=allow_code)
        finally:
            display.close()
    if result.interrupted is not None:
        raise typer.Exit(result.interrupted)
    return result.paths.folder


def _read_fuse(wish: str) -> str | int:
    """Return auto, off, or the largest number of runs in a group."""
    if wish in ("auto", "off"):
        return wish
    if wish.isascii() and wish.isdigit() and int(wish) >= 1:
        return int(wish) if int(wish) > 1 else "off"
    raise UsageError(f"--fuse: found '{wish}', allowed are auto, off and a whole number from 1")


def _show_result(result: SweepResult, *, as_json: bool, quiet: bool) -> None:
    from cnnsweep.report import terminal
    from cnnsweep.report.results import load_results

    if as_json:
        tables = json.loads(result.paths.results_json.read_text(encoding="utf-8"))
        print(json.dumps({"sweep": tables["sweep"], "runs": tables["runs"]}, indent=2, ensure_ascii=False))
    elif not quiet:
        terminal.final_summary(load_results(result.paths.folder), _stdout())
    if result.interrupted is not None:
        again = [argument for argument in sys.argv[1:] if argument not in ("--fresh", "--yes", "-y")]
        print(f"interrupted; go on with: {shlex.join(['cnnsweep', *again])}", file=sys.stderr)


def _confirmed_limit(spec: SweepSpec, max_runs: int) -> int:
    """Return how many runs the sweep may have: a person at a terminal is asked about more than the limit."""
    from cnnsweep.spec.settings import count_runs

    count = count_runs(spec).runs
    if max_runs < count <= _MOST_RUNS and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"The sweep has {count:,} runs. Train them all?", abort=True, err=True)
        return count
    return max_runs


def _show_runs(spec: SweepSpec, max_runs: int, as_json: bool) -> None:
    from cnnsweep.report.listings import render_runs
    from cnnsweep.spec.expand import expand_runs

    expansion = expand_runs(spec, max_runs)
    runs, to_come = expansion.runs, 0
    if spec.search.method != "grid":
        from cnnsweep.asking import Asker
        from cnnsweep.recording.history import SweepHistory

        asker = Asker(spec)
        first = asker.ask(SweepHistory(), runs)
        new = () if first is None else first.runs
        runs, to_come = (*runs, *new), asker.runs_to_come(SweepHistory()) - len(new)
    if as_json:
        print(json.dumps([_run_to_json(run) for run in runs], indent=2))
    else:
        render_runs(spec.name, runs, expansion.duplicates, _stdout(), to_come)


def _run_to_json(run: Run) -> dict[str, object]:
    return {"run": run.name, "id": run.id, **run.settings}


def _clear(folder: Path, yes: bool) -> None:
    from cnnsweep.recording.clear import clear_sweep
    from cnnsweep.recording.paths import SweepPaths

    if not SweepPaths(folder).journal.exists():
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"--fresh throws away the results in {folder}; add --yes where nobody can be asked")
        typer.confirm(f"Throw away the results in {folder} and start over?", abort=True, err=True)
    clear_sweep(SweepPaths(folder))


def _stdout() -> Console:
    from rich.console import Console

    return Console()
