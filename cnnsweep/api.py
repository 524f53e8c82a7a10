"""What notebooks and scripts use: `cnnsweep.load` and `cnnsweep.run` give a `Sweep`; see docs/python.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnsweep.analysis.find_results import find_named, find_results_file
from cnnsweep.analysis.json_reader import parse_json
from cnnsweep.analysis.results import Results, RunResult, load_results
from cnnsweep.analysis.summary import rank_runs
from cnnsweep.callbacks import Callback
from cnnsweep.errors import CnnSweepError, DataError, UsageError
from cnnsweep.executors.options import check_count, make_staff
from cnnsweep.formatting.numbers import count_text
from cnnsweep.report.html_table import html_table
from cnnsweep.report.trial import find_run
from cnnsweep.storage.paths import SweepPaths

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor, nn

    from cnnsweep.config.schema import SweepSpec
    from cnnsweep.evaluation.predict import Predictor

_SHOWN = 10  # runs in a notebook's table
Epoch = Mapping[str, Any]  # a row of `Sweep.epochs`


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """One run of a sweep, and its best weights.

    Attributes:
        settings: its hyperparameters.
        figures: the metrics of its best epoch by name, as far as they were measured.
        status: waiting, running, finished, stopped, diverged, failed or interrupted.
    """

    name: str
    settings: Mapping[str, Any]
    figures: Mapping[str, float]
    status: str
    folder: Path

    def model(self, device: str = "cpu", *, allow_code: bool = False) -> nn.Module:
        """Return the model with its best weights, in eval mode.

        It takes normalised images; `predict` takes pixels.

        Args:
            device: auto, cpu, cuda, cuda:N or mps.
            allow_code: import the code that the checkpoint names; code can do anything.

        Raises:
            CnnSweepError: there are no weights yet, they are damaged, or name code.
        """
        return self._predictor(device, allow_code=allow_code).model

    def predict(
        self,
        images: Tensor | np.ndarray[Any, Any] | Sequence[str | Path] | str | Path,
        device: str = "auto",
        *,
        allow_code: bool = False,
    ) -> pd.DataFrame:
        """Return the probability of every class, one row an image and one column a class.

        Args:
            images: uint8 pixels (N, C, H, W) of the size that the model was trained on, or picture files of any size:
                one, or several.

        Raises:
            CnnSweepError: as for `model`; images of another type or shape; a file that cannot be read.
        """
        import pandas as pd
        import torch

        predictor = self._predictor(device, allow_code=allow_code)
        classes = list(predictor.about.classes)
        if hasattr(images, "shape"):
            return pd.DataFrame(predictor.predict(torch.as_tensor(images)).numpy(), columns=classes)
        files = [images] if isinstance(images, str | os.PathLike) else list(images)
        if other := [file for file in files if not isinstance(file, str | os.PathLike)]:
            raise UsageError(
                f"images: found a {type(other[0]).__name__}, allowed are an array, a tensor, or the names of picture "
                "files"
            )
        pictures = list(predictor.predict_files([Path(file) for file in files]))
        for picture in pictures:
            if picture.error is not None:
                raise DataError(f"{picture.file}: cannot be read ({picture.error})")
        rows = [picture.probabilities for picture in pictures]
        return pd.DataFrame(rows, columns=classes, index=[picture.file for picture in pictures])

    def _predictor(self, device: str, *, allow_code: bool) -> Predictor:
        from cnnsweep.evaluation.predict import PredictionOptions, Predictor

        return Predictor(self.folder, PredictionOptions(device, allow_code=allow_code))

    def _repr_html_(self) -> str:
        rows = {**self.settings, **self.figures, "status": self.status, "folder": str(self.folder)}
        return html_table(self.name, ("", ""), list(rows.items()))


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep's folder. Whatever is asked for is read at that moment, so a sweep that runs shows how far it is."""

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
        """One row a run: name, status, figures of its best epoch, settings."""
        return self._table("runs")

    @property
    def epochs(self) -> pd.DataFrame:
        """One row a run and epoch: figures, durations in seconds, settings."""
        return self._table("epochs")

    @property
    def best(self) -> TrainedRun:
        """The best run of the best setting.

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

    def _results(self) -> Results:
        return load_results(self.folder)

    def _table(self, key: str) -> pd.DataFrame:
        import pandas as pd

        self._results()  # says what is wrong with a damaged file
        return pd.DataFrame(parse_json(find_results_file(self.folder))[key])

    def _trained(self, run: RunResult) -> TrainedRun:
        figures = {name: value for name in run.metrics if (value := run[name]) is not None}
        folder = SweepPaths(self.folder).run(run.name).folder
        return TrainedRun(run.name, dict(run.settings), figures, str(run.status), folder)

    def _repr_html_(self) -> str:
        results = self._results()
        metric = results.sweep.objective.metric
        columns = results.sweep.axes or results.sweep.hyperparameters
        rows = [
            (*(run.settings.get(name) for name in columns), run[metric], f"{run.status}")
            for run in rank_runs(results)[:_SHOWN]
        ]
        left = len(results.runs) - len(rows)
        title = f"{results.sweep.name}: {count_text(len(results.runs), 'run')}, {results.sweep.status}"
        return html_table(title, (*columns, metric, "status"), rows, f"and {left:,} more" if left else "")


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

    All but `spec`, `folder`, `overrides` and `on_epoch` are named as the options of `cnnsweep run` are, and mean the
    same.

    Args:
        spec: the path of a sweep file, its text, or what it says as a dict.
        folder: the sweep's own; `runs/<name>` by default.
        data_root: where data sets lie.
        overrides: as after `--set`, such as `params.lr=[0.1, 0.01]`.
        device: auto, cpu, cuda, cuda:N, mps, or a list of several; instead of the sweep's.
        fresh: throw away the results that the folder holds, and start over. Nobody is asked.
        retry_failed: train failed and diverged runs again.
        max_runs: refuse a sweep of more runs.
        max_failures: give up after so many runs in a row that fail alike; 0 never does.
        fuse: how runs train together: auto, off, or a number.
        jobs: how many processes train at once: auto, or a number.
        threads: of the CPU, for each process; by default they share the cores.
        executor: where to train: local or ray.
        address: of a Ray cluster, auto or HOST:PORT; without it one is started on this machine.
        node_data: where each node of a Ray cluster has the data sets; without it, images are sent there.
        quiet: show failures only.
        on_epoch: hears of every epoch when it is saved, as a row of `Sweep.epochs`. What it raises stops the sweep,
            which goes on when it is run again.

    Raises:
        CnnSweepError: the sweep, its data, models, device or folder are not fit for it, or it gave up.
        KeyboardInterrupt: a person stopped it; it goes on when it is run again.
    """
    from cnnsweep.config.trials import refuse_too_many
    from cnnsweep.progress.notebook import choose_notebook_display
    from cnnsweep.storage.clear import clear_sweep
    from cnnsweep.sweep import SweepOptions, run_sweep
    from cnnsweep.tuner.function_callback import FunctionCallback

    staff = make_staff(jobs, threads, executor, address, node_data)
    check_count("max_runs", max_runs)
    check_count("max_failures", max_failures, least=0)
    wished = None if device is None else device if isinstance(device, str) else ",".join(device)
    changes = (*overrides, *([] if wished is None else [f"device={wished}"]))
    loaded = _load_spec(spec, changes)
    target = Path("runs") / loaded.name if folder is None else Path(folder)
    options = SweepOptions(target, Path(data_root), changes, retry_failed, max_runs, _fuse(fuse), max_failures, staff)
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
        raise CnnSweepError(f"{target}: the sweep gave up: {result.gave_up}; run it again with retry_failed=True")
    if result.interrupted is not None:
        raise KeyboardInterrupt
    return load(target)


def _fuse(fuse: str | int) -> str | int:
    """Return auto, off, or the largest number of runs in a group.

    Raises:
        UsageError: it is none of these.
    """
    if fuse not in ("auto", "off"):
        check_count("fuse", fuse, or_="'auto', 'off'")
    return "off" if fuse == 1 else fuse


def _load_spec(spec: str | Path | Mapping[str, Any], overrides: Sequence[str]) -> SweepSpec:
    from cnnsweep.config.load import load_sweep, parse_sweep

    if isinstance(spec, Mapping):
        import yaml

        try:
            text = yaml.safe_dump(dict(spec), sort_keys=False)
        except yaml.YAMLError as error:
            raise UsageError(f"spec: {error}; allowed are numbers, texts, true, false, lists and dicts") from error
        return parse_sweep(text, "the dict", overrides)
    if isinstance(spec, str) and "\n" in spec:
        return parse_sweep(spec, "the text", overrides)
    return load_sweep(Path(spec), overrides)
