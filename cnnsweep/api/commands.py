"""The other commands as functions; each returns the content that its command prints with --json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnsweep.api.arguments import all_overrides, check_fuse, load_spec, target_folder
from cnnsweep.api.recorded import plain
from cnnsweep.errors import UsageError
from cnnsweep.executors.options import check_count, make_executor_options


def plan(
    spec: str | Path | Mapping[str, Any],
    *,
    folder: str | Path | None = None,
    data_root: str | Path = "data",
    overrides: Sequence[str] = (),
    device: str | Sequence[str] | None = None,
    max_runs: int = 10_000,
    fuse: str | int = "auto",
    jobs: str | int = "auto",
    threads: int | None = None,
    simulate: str | None = None,
    cost: float | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Return the estimated time, memory and disk of a sweep, as `cnnsweep plan --json` prints them; nothing is written.

    Args:
        simulate: play it through on a cluster, such as `nodes=4,gpus=8`.
        cost: seconds of a run's epoch; then nothing is measured, and no data is needed.

    Other arguments are those of `run`.

    Raises:
        CnnSweepError: the sweep, its data, models or devices are not fit for training.
    """
    from cnnsweep.config.trials import refuse_too_many
    from cnnsweep.planning.cluster import compare_sizes, enough_nodes, read_cluster
    from cnnsweep.progress.loading import loading_progress
    from cnnsweep.report.plan import plan_to_json
    from cnnsweep.report.simulated import simulation_to_json
    from cnnsweep.tuner.forecast import ForecastOptions, forecast_from_cost, forecast_sweep

    executor_options = make_executor_options(jobs, threads, "local", None, None)
    check_count("max_runs", max_runs)
    loaded = load_spec(spec, all_overrides(overrides, device))
    refuse_too_many(loaded, max_runs)
    if simulate is not None and jobs != "auto":
        raise UsageError("simulate: found with jobs, which is for this machine; leave one of them out")
    cluster = None if simulate is None else read_cluster(simulate)
    if cost is not None and not 0 < cost < math.inf:
        raise UsageError(f"cost: found {cost!r}, allowed is a number of seconds above 0")
    with loading_progress(quiet) as loading:
        target = target_folder(loaded, folder)
        options = ForecastOptions(target, Path(data_root), check_fuse(fuse), max_runs, executor_options, loading)
        forecast = forecast_sweep(loaded, options) if cost is None else forecast_from_cost(loaded, options, cost)
    sizes = [] if cluster is None else compare_sizes(cluster, forecast)
    enough = None if cluster is None else enough_nodes(cluster, forecast)
    return plain(plan_to_json(forecast, simulation_to_json(sizes, enough)))


def compare(paths: Sequence[str | Path], *, metric: str | None = None, top: int | None = None) -> dict[str, Any]:
    """Return several sweeps in one ranking, or two runs by class, as `cnnsweep compare --json` prints it.

    Args:
        paths: sweep folders or results.json files, at least two; or two folders of evaluated runs.
        metric: rank by this metric instead of the sweeps' common one.
        top: the number of rows (0: all; 20 by default).

    Raises:
        CnnSweepError: a folder holds no sweep, or the sweeps have no metric in common.
    """
    from cnnsweep.analysis.compare import compare_sweeps
    from cnnsweep.analysis.compare_classes import are_runs, compare_runs
    from cnnsweep.report.compare_classes import classes_to_json
    from cnnsweep.report.compare_json import compare_to_json, json_text

    if are_runs([Path(path) for path in paths]):
        return plain(json_text(classes_to_json(compare_runs([Path(path) for path in paths]))))
    return plain(compare_to_json(compare_sweeps([Path(path) for path in paths], metric), top))


def doctor(folder: str | Path | None = None, *, repair: bool = False, quiet: bool = False) -> dict[str, Any]:
    """Check a sweep's folder, or this installation, and return the result as `cnnsweep doctor --json` prints it.

    Args:
        folder: of a sweep; None checks the installation.
        repair: rebuild damaged files from intact ones.

    Raises:
        CnnSweepError: the folder holds no sweep, or is in use.
    """
    from cnnsweep.maintenance.check_installation import check_installation
    from cnnsweep.maintenance.check_sweep import check_sweep, find_sweep
    from cnnsweep.maintenance.render import diagnostics_to_json
    from cnnsweep.maintenance.repair import repair_sweep
    from cnnsweep.progress.loading import loading_progress

    if folder is None:
        if repair:
            raise UsageError("repair: needs a sweep's folder")
        return plain(diagnostics_to_json(check_installation(Path("runs"))))
    sweep = find_sweep(Path(folder))
    with loading_progress(quiet) as progress:
        repairs = repair_sweep(sweep, progress) if repair else None
        return plain(diagnostics_to_json(check_sweep(sweep, progress), repairs))


def clean(
    folder: str | Path | None = None,
    *,
    keep_best: int | None = None,
    events: bool = False,
    damaged: bool = False,
    cache: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Remove files that a sweep no longer needs, without a question; return them as `cnnsweep clean --json` does.

    Args:
        folder: of a sweep; it may be left out with `cache`.
        keep_best: remove the best weights of all but the best N trials.
        events: remove TensorBoard's files of finished runs.
        damaged: remove the damaged journals that `doctor(repair=True)` has kept.
        cache: remove the decoded images of every data set.
        dry_run: remove nothing.

    Raises:
        CnnSweepError: the folder holds no sweep, or is in use.
    """
    from cnnsweep.maintenance.check_sweep import find_sweep
    from cnnsweep.maintenance.clean import CleaningWishes, find_unused_files
    from cnnsweep.maintenance.clean import clean as remove
    from cnnsweep.maintenance.render import unused_files_to_json

    if folder is None and (not cache or keep_best is not None or events or damaged):
        raise UsageError("clean: needs a sweep's folder (only cache=True does not)")
    if keep_best is not None:
        check_count("keep_best", keep_best)
    sweep = None if folder is None else find_sweep(Path(folder))
    wishes = CleaningWishes(keep_best, events, damaged, cache)
    unused = find_unused_files(sweep, wishes) if dry_run else remove(sweep, wishes)
    return plain(unused_files_to_json(unused, is_removed=not dry_run))
