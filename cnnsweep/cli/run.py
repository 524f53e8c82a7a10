"""Commands that train a sweep or estimate its cost: run, plan."""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnsweep.cli.gc import collect_as_usual
from cnnsweep.cli.options import (
    DEFAULT_DATA_ROOT,
    Address,
    AsJson,
    DataRoot,
    Device,
    ExecutorName,
    FuseWish,
    Jobs,
    MaxRuns,
    NodeData,
    Out,
    Overrides,
    Threads,
    stdout,
)
from cnnsweep.errors import UsageError
from cnnsweep.tuner.stop_signal import StoppedAtOnce

if TYPE_CHECKING:
    from cnnsweep.config.schema import SweepSpec
    from cnnsweep.executors.options import ExecutorOptions
    from cnnsweep.planning.cluster import Cluster
    from cnnsweep.planning.cost import Forecast
    from cnnsweep.sweep import SweepResult
    from cnnsweep.types import DatasetChoice, ModelChoice, Run


def run(
    file: Annotated[Path, typer.Argument(help="Sweep file.", metavar="FILE")],
    device: Device = None,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
    out: Out = None,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs without training.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the results in the folder and start over.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation of --fresh.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Train failed and diverged runs again.")] = False,
    max_runs: MaxRuns = 10_000,
    max_failures: Annotated[
        int,
        typer.Option(min=0, help="Stop after this number of consecutive failures with the same cause; 0 never stops."),
    ] = 5,
    fuse: FuseWish = "auto",
    jobs: Jobs = "auto",
    threads: Threads = None,
    executor: ExecutorName = "local",
    address: Address = None,
    node_data: NodeData = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show failures only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train the pending runs of a sweep.

    Runs with the same model and batch size train together as one program where that is faster; each run gets the
    results of training alone.

    Run the same command again to resume: finished runs are kept, and an interrupted run continues after its last
    complete epoch. After an edit of the file, only new runs are trained.

    \b
    Examples:
      cnnsweep run sweeps/quickstart.yaml
      cnnsweep run sweeps/fashion.yaml --data-root ~/data --set params.epochs=5
      cnnsweep run sweeps/fashion.yaml --jobs 4
      cnnsweep run sweeps/fashion.yaml --executor ray --address auto

    Exit codes: 0 success, 1 some runs failed or diverged, 2 invalid usage or sweep file, 3 folder in use or of another
    sweep, 4 invalid data, 129, 130, 143 interrupted by SIGHUP, Ctrl-C, SIGTERM, 141 output pipe closed.

    Ctrl-C stops after the current epochs, a second Ctrl-C at once. SIGTERM, and SIGHUP of a closed terminal, stop after
    the current epochs too, but wait at most CNNSWEEP_GRACE_S seconds (20).
    """
    from cnnsweep.config.load import load_sweep
    from cnnsweep.config.trials import refuse_too_many
    from cnnsweep.storage.paths import refuse_undecodable

    changes = [*(overrides or []), *([] if device is None else [f"device={device}"])]
    spec = load_sweep(file, changes, _why_not_built)
    folder = out or Path("runs") / spec.name
    refuse_undecodable(folder)
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
        max_failures=max_failures,
        executor_options=_read_executor_options(jobs, threads, executor, address, node_data),
        quiet=quiet,
    )
    _show_result(result, as_json=as_json, quiet=quiet)
    if result.interrupted is not None:
        raise typer.Exit(result.interrupted)
    if result.has_failures:
        raise typer.Exit(1)


def plan(
    file: Annotated[Path, typer.Argument(help="Sweep file.", metavar="FILE")],
    device: Device = None,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
    out: Out = None,
    overrides: Overrides = None,
    max_runs: MaxRuns = 10_000,
    fuse: FuseWish = "auto",
    jobs: Jobs = "auto",
    threads: Threads = None,
    simulate: Annotated[
        str | None,
        typer.Option(
            help="Simulate the sweep on a cluster: nodes, gpus per node (or cpus, and threads per worker), speed "
            "relative to this machine, price per GPU-hour, startup in seconds, lost (losses per node and hour).",
            metavar="nodes=N,gpus=N,...",
        ),
    ] = None,
    cost: Annotated[
        float | None,
        typer.Option(
            help="Assume this time per epoch of a run; nothing is measured, and no data is needed.", metavar="SECONDS"
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Estimate time, memory and disk of a sweep without training it.

    Measures a few steps of each kind of run on the device, and shows which runs train together and why. Writes nothing.
    With several slots to train in, also shows the schedule of each slot.

    \b
    Examples:
      cnnsweep plan sweeps/fashion.yaml
      cnnsweep plan sweeps/fashion.yaml --jobs 2 --json
      cnnsweep plan sweeps/fashion.yaml --simulate nodes=64,gpus=8,price=2.5
      cnnsweep plan sweeps/fashion.yaml --simulate nodes=64,gpus=8,lost=0.1 --cost 1.5
    """
    from cnnsweep.config.load import load_sweep
    from cnnsweep.config.trials import refuse_too_many

    changes = [*(overrides or []), *([] if device is None else [f"device={device}"])]
    spec = load_sweep(file, changes, None if cost is not None else _why_not_built)
    refuse_too_many(spec, max_runs)  # before anything heavy is imported
    cluster = None if simulate is None else _read_cluster(simulate, jobs)
    if cost is not None and not 0 < cost < math.inf:
        raise UsageError(f"--cost: found {cost:g}, allowed is a number of seconds above 0")
    executor_options = _read_executor_options(jobs, threads, "local", None, None)
    from cnnsweep.progress.loading import loading_progress
    from cnnsweep.tuner.forecast import ForecastOptions, forecast_from_cost, forecast_sweep

    folder = out or Path("runs") / spec.name
    with loading_progress(quiet) as loading:
        options = ForecastOptions(folder, data_root, _read_fuse(fuse), max_runs, executor_options, loading)
        forecast = forecast_sweep(spec, options) if cost is None else forecast_from_cost(spec, options, cost)
    _show_plan(forecast, cluster, as_json=as_json)


def _why_not_built(model: ModelChoice, dataset: DatasetChoice) -> str | None:
    """Build a model that has arguments or custom code; PyTorch is imported only for these.

    Nothing is built if the image size is unknown without reading the images.
    """
    from cnnsweep.datasets.catalogue import images_and_classes

    known = images_and_classes(dataset)
    if known is None:
        return None
    if "torch" not in sys.modules and sys.stderr.isatty():
        print("checking the networks: importing PyTorch takes a few seconds", file=sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):  # a user's code may print, which must not mix with --json
        from cnnsweep.models.dry_run import why_not_built

        return why_not_built(model, *known)


def _read_cluster(simulate: str, jobs: str) -> Cluster:
    from cnnsweep.planning.cluster import read_cluster

    if jobs != "auto":
        raise UsageError("--simulate: cannot be combined with --jobs, which is for this machine")
    return read_cluster(simulate)


def _show_plan(forecast: Forecast, cluster: Cluster | None, *, as_json: bool) -> None:
    from cnnsweep.planning.cluster import compare_sizes, enough_nodes
    from cnnsweep.report.plan import plan_to_json, render_plan
    from cnnsweep.report.simulated import render_simulation, simulation_to_json

    sizes = [] if cluster is None else compare_sizes(cluster, forecast)
    enough = 1 if cluster is None else enough_nodes(cluster, forecast)
    now = datetime.now()
    if as_json:
        print(plan_to_json(forecast, simulation_to_json(sizes, enough)))
    elif cluster is not None:
        render_simulation(forecast, cluster, sizes, enough, stdout(), now)
    else:
        render_plan(forecast, stdout(), now)


def _run_sweep(
    spec: SweepSpec,
    folder: Path,
    data_root: Path,
    changes: list[str],
    *,
    retry_failed: bool,
    max_runs: int,
    fuse: str | int,
    max_failures: int,
    executor_options: ExecutorOptions,
    quiet: bool,
) -> SweepResult:
    from cnnsweep.progress.choose import choose_display
    from cnnsweep.progress.loading import loading_progress
    from cnnsweep.sweep import SweepOptions, run_sweep

    collect_as_usual()
    display = choose_display(quiet)
    with loading_progress(quiet) as loading:
        options = SweepOptions(
            folder, data_root, tuple(changes), retry_failed, max_runs, fuse, max_failures, executor_options, loading
        )
        try:
            return run_sweep(spec, options, [display])
        except StoppedAtOnce as stopped:
            display.close()
            _say_how_to_go_on()
            raise typer.Exit(stopped.exit_code) from None
        finally:
            display.close()


def _read_fuse(wish: str) -> str | int:
    """Return auto, off, or the largest number of runs in a group."""
    if wish in ("auto", "off"):
        return wish
    if wish.isascii() and wish.isdigit() and int(wish) >= 1:
        return int(wish) if int(wish) > 1 else "off"
    raise UsageError(f"--fuse: found '{wish}', allowed are auto, off and a whole number from 1")


def _read_executor_options(
    jobs: str, threads: int | None, executor: str, address: str | None, node_data: Path | None
) -> ExecutorOptions:
    from cnnsweep.executors.options import AUTO, ExecutorOptions, check_executor, is_of_this_machine

    check_executor("--executor", executor)
    if (address is not None or node_data is not None) and is_of_this_machine(executor):
        raise UsageError("--address and --node-data: are about a Ray cluster; add --executor ray")
    if jobs == AUTO:
        return ExecutorOptions(AUTO, threads, executor, address, node_data)
    if jobs.isascii() and jobs.isdigit() and int(jobs) >= 1:
        return ExecutorOptions(int(jobs), threads, executor, address, node_data)
    raise UsageError(f"--jobs: found '{jobs}', allowed are auto and a whole number from 1")


def _show_result(result: SweepResult, *, as_json: bool, quiet: bool) -> None:
    from cnnsweep.analysis.results import load_results
    from cnnsweep.report import export, terminal

    if as_json:
        sys.stdout.write(export.to_json(load_results(result.paths.folder)))
    elif not quiet:
        terminal.final_summary(load_results(result.paths.folder), stdout())
    if result.gave_up is not None:
        _say_why_it_gave_up(result, result.gave_up)
    elif result.interrupted is not None:
        _say_how_to_go_on()


def _arguments_to_go_on() -> list[str]:
    return [argument for argument in sys.argv[1:] if argument not in ("--fresh", "--yes", "-y")]


def _say_how_to_go_on() -> None:
    print(f"interrupted; resume with: {shlex.join(['cnnsweep', *_arguments_to_go_on()])}", file=sys.stderr)


def _say_why_it_gave_up(result: SweepResult, reason: str) -> None:
    from cnnsweep.formatting.escape import safe_text
    from cnnsweep.formatting.numbers import count_text

    left = sum(not status.is_final for status in result.statuses.values())
    again = _arguments_to_go_on()
    retry = again if "--retry-failed" in again else [*again, "--retry-failed"]
    print(
        f"stopped: {safe_text(reason)}; {count_text(left, 'run')} unfinished\n"
        f"fix the cause, then resume with: {shlex.join(['cnnsweep', *retry])}\n"
        "(--max-failures 0 never stops)",
        file=sys.stderr,
    )


def _confirmed_limit(spec: SweepSpec, max_runs: int) -> int:
    """Return the largest number of runs for this sweep; a terminal user can confirm more than the limit."""
    from cnnsweep.config.grid import count_runs
    from cnnsweep.config.trials import MOST_RUNS
    from cnnsweep.formatting.numbers import count_text

    count = count_runs(spec).runs
    if max_runs < count <= MOST_RUNS and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"The sweep has {count_text(count, 'run')}. Train them all?", abort=True, err=True)
        return count
    return max_runs


def _show_runs(spec: SweepSpec, max_runs: int, as_json: bool) -> None:
    from cnnsweep.config.trials import expand_runs
    from cnnsweep.report.listings import render_runs

    expansion = expand_runs(spec, max_runs)
    runs, to_come, note = expansion.runs, 0, None
    if spec.search is not None:
        from cnnsweep.storage.state import SweepState
        from cnnsweep.tuner.sampling import TrialSource

        trial_source = TrialSource(spec)
        first = trial_source.ask(SweepState(), runs)
        new = () if first is None else first.runs
        runs, to_come = (*runs, *new), trial_source.runs_to_come(SweepState()) - len(new)
        note = trial_source.space_note
        if not runs:
            raise UsageError("exclude: its conditions exclude every trial of the search")
    if as_json:
        print(json.dumps([_run_to_json(run) for run in runs], indent=2))
    else:
        render_runs(spec.name, runs, expansion.duplicates, stdout(), to_come, note)


def _run_to_json(run: Run) -> dict[str, object]:
    return {"run": run.name, "id": run.id, **run.params}


def _clear(folder: Path, yes: bool) -> None:
    from cnnsweep.storage.clear import clear_sweep
    from cnnsweep.storage.paths import SweepPaths

    if not SweepPaths(folder).journal.exists():
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"--fresh deletes the results in {folder}; add --yes to confirm without a terminal")
        typer.confirm(f"Delete the results in {folder} and start over?", abort=True, err=True)
    clear_sweep(SweepPaths(folder))
