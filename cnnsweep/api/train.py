"""`cnnsweep.run` trains a sweep, `cnnsweep.load` opens its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnsweep.analysis.results import load_results
from cnnsweep.api.arguments import all_overrides, check_fuse, load_spec, target_folder
from cnnsweep.api.sweep import Sweep
from cnnsweep.callbacks import Callback
from cnnsweep.errors import CnnSweepError
from cnnsweep.executors.options import check_count, make_executor_options
from cnnsweep.storage.paths import SweepPaths

Epoch = Mapping[str, Any]  # a row of `Sweep.epochs`


def load(folder: str | Path) -> Sweep:
    """Return the sweep in a folder, finished or not.

    Raises:
        CnnSweepError: the folder holds no sweep, or its results are damaged.
    """
    path = Path(folder)
    sweep = Sweep(path if path.is_dir() else path.parent)
    load_results(path)
    return sweep


def run(
    spec: str | Path | Mapping[str, Any],
    *,
    folder: str | Path | None = None,
    data_root: str | Path = "data",
    overrides: Sequence[str] = (),
    device: str | Sequence[str] | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    max_runs: int = 10_000,
    max_failures: int = 5,
    fuse: str | int = "auto",
    jobs: str | int = "auto",
    threads: int | None = None,
    executor: str = "local",
    address: str | None = None,
    node_data: str | Path | None = None,
    quiet: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
    callbacks: Sequence[Callback] = (),
) -> Sweep:
    """Train the runs of a sweep that are not done yet, and return it.

    The arguments have the names of the options of `cnnsweep run`, and the same meaning; `folder` is `--out`, and
    `overrides` are the texts of `--set`.

    Args:
        spec: the path of a sweep file, its text, or its content as a dict.
        folder: the sweep's own; `runs/<name>` by default.
        data_root: the folder of the data sets.
        overrides: texts such as `params.lr=[0.1, 0.01]`.
        device: auto, cpu, cuda, cuda:N, mps, or a list of several, instead of the sweep's.
        fresh: delete the results in the folder and start over, without a question.
        retry_failed: train failed and diverged runs again.
        max_runs: refuse a sweep of more runs.
        max_failures: stop after this number of consecutive runs with the same failure (0: never).
        fuse: how runs train together: auto, off, or the most that share a program.
        jobs: the number of processes that train at once: auto, or a number.
        threads: CPU threads of each process; by default they share the cores.
        executor: where to train: local or ray.
        address: of a Ray cluster, auto or HOST:PORT; without it one is started on this machine.
        node_data: the folder of the data sets on each node of a Ray cluster; without it, images are sent there.
        quiet: show failures only.
        on_epoch: called with each epoch after it is saved, as a row of `Sweep.epochs`.
        callbacks: objects that get every event, see `cnnsweep.Callback`.

    Raises:
        CnnSweepError: the sweep, its data, models, device or folder are not fit for it, or the same failure repeated.
        KeyboardInterrupt: a signal, or a callback's decision, stopped the sweep; it resumes with the next call.
        Exception: the error of `on_epoch` or a callback, after the sweep has stopped because of it.
    """
    from cnnsweep.config.trials import refuse_too_many
    from cnnsweep.progress.notebook import choose_notebook_display
    from cnnsweep.storage.clear import clear_sweep
    from cnnsweep.sweep import SweepOptions, run_sweep
    from cnnsweep.tuner.function_callback import FunctionCallback

    executor_options = make_executor_options(jobs, threads, executor, address, node_data)
    check_count("max_runs", max_runs)
    check_count("max_failures", max_failures, least=0)
    changes = all_overrides(overrides, device)
    loaded = load_spec(spec, changes)
    target = target_folder(loaded, folder)
    options = SweepOptions(
        target, Path(data_root), changes, retry_failed, max_runs, check_fuse(fuse), max_failures, executor_options
    )
    refuse_too_many(loaded, max_runs)  # before anything is thrown away
    if fresh and SweepPaths(target).journal.exists():
        clear_sweep(SweepPaths(target))
    display = choose_notebook_display(quiet=quiet)
    listening = [display, *callbacks, *([] if on_epoch is None else [FunctionCallback(on_epoch)])]
    try:
        result = run_sweep(loaded, options, listening)
    finally:
        display.close()
    if result.gave_up is not None:
        remedy = "fix the cause, then run it again with retry_failed=True"
        raise CnnSweepError(f"{target}: the sweep stopped: {result.gave_up}; {remedy}")
    if result.interrupted is not None:
        raise KeyboardInterrupt
    return load(target)
