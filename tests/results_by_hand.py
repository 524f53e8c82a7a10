"""Results drawn up by hand, in the form of `results.json`."""

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from cnnsweep.analysis.results import Results, load_results

Content = dict[str, Any]


def make_content(axes: dict[str, list[Any]] | None = None, epochs: int = 3) -> Content:
    """A finished grid; the validation accuracy is 0.8, less by 0.01 for each step along the first axis,
    0.001 along the second and so on, and grows by 0.05 an epoch."""
    axes = {"lr": [0.01, 0.001], "batch_size": [100, 1000], "shuffle": [True, False]} if axes is None else axes
    fixed = {"epochs": epochs, "optimizer": "adam"}
    runs, rows = [], []
    for positions in itertools.product(*(range(len(values)) for values in axes.values())):
        settings = {name: values[i] for (name, values), i in zip(axes.items(), positions, strict=True)} | fixed
        number = len(runs) + 1
        name = f"run-{number}"
        for epoch in range(1, epochs + 1):
            accuracy = 0.8 - sum(i * 0.01 * 0.1**k for k, i in enumerate(positions)) - 0.05 * (epochs - epoch)
            figures = {
                "loss": 0.9 - accuracy / 2, "accuracy": accuracy + 0.01,
                "val_loss": 1 - accuracy / 2, "val_accuracy": accuracy,
            }  # fmt: skip
            rows.append({"run": name, "epoch": epoch, **figures, "epoch_duration": 1.25, "run_duration": 1.25 * epoch,
                         **settings})  # fmt: skip
        runs.append({
            "run": name, "id": f"{number:016x}", "status": "finished", "cause": None, "epochs_done": epochs,
            "best_epoch": epochs, **figures, "run_duration": 1.25 * epochs, "parameters": 44426,
            "checkpoint": f"{name}/best.safetensors", **settings,
        })  # fmt: skip
    sweep = {
        "name": "fashion", "description": "", "status": "finished", "dataset": "fashion_mnist", "model": "lenet",
        "metric": "val_accuracy", "mode": "max", "validation": 0.1, "seed": 0, "precision": "fp32", "device": "cpu",
        "threads": 2, "hyperparameters": [*axes, *fixed], "axes": [name for name in axes if len(axes[name]) > 1],
        "best": runs[0]["run"], "started": "2026-11-21T10:00:00+00:00", "updated": "2026-11-21T10:00:30+00:00",
        "duration": 1.25 * epochs * len(runs),
    }  # fmt: skip
    return {"version": 1, "sweep": sweep, "runs": runs, "epochs": rows}


def fail_run(content: Content, number: int, status: str = "diverged", cause: str = "loss is not finite") -> None:
    """Turn run `number` into one that failed in its first epoch."""
    run = content["runs"][number - 1]
    run.update(status=status, cause=cause, epochs_done=1, best_epoch=None, checkpoint=None)
    run.update(loss=None, accuracy=None, val_loss=None, val_accuracy=None)
    content["epochs"] = [row for row in content["epochs"] if row["run"] != run["run"]]


def load(folder: Path, content: Content) -> Results:
    """Write content as `<folder>/results.json` and load it."""
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(content))
    return load_results(folder)


def show(render: Callable[[Console], None], width: int = 80) -> str:
    """Return what is printed to a console of this width, without colours and blanks at line ends."""
    stream = io.StringIO()
    render(Console(file=stream, width=width, no_color=True))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def make_replicates(axes: dict[str, list[Any]], figures: dict[int, list[float]], folds: int | None = None) -> Content:
    """A grid whose trials have several runs: `figures` holds a trial's validation accuracies by its number, from 1.

    With `folds` they are of these folds in turn, of seed 0 first; otherwise each has a seed of its own, from 0.
    """
    replicates = len(next(iter(figures.values())))
    each = list(range(replicates // folds if folds else replicates))
    content = make_content({**axes, "seed": each}, epochs=2)
    runs, rows = [], []
    for position, run in enumerate(content["runs"]):
        setting, seed = divmod(position, len(each))
        for fold in range(folds) if folds else [None]:
            name = run["run"] if fold is None else f"{run['run']}-fold{fold}"
            accuracy = figures[setting + 1][seed * (folds or 1) + (fold or 0)]
            own = {"run": name, "id": f"{len(runs) + 1:016x}", "configuration": f"c{setting + 1}", "fold": fold,
                   "stop": None, "checkpoint": f"{name}/best.safetensors", "val_accuracy": accuracy}  # fmt: skip
            runs.append({**run, **own})
            rows += [{**row, "run": name, "val_accuracy": accuracy - 0.05 * (2 - row["epoch"])}
                     for row in content["epochs"] if row["run"] == run["run"]]  # fmt: skip
    best = max(figures, key=lambda number: sum(figures[number]))
    kept = [run for run in runs if run["configuration"] == f"c{best}"]
    content["sweep"].update(best=max(kept, key=lambda run: run["val_accuracy"])["run"], folds=folds)
    return {**content, "runs": runs, "epochs": rows, "tests": []}


def stop_run(content: Content, number: int, epoch: int, value: float, threshold: float | None, compared: int) -> None:
    """Turn run `number` into one that a rule stopped after `epoch`."""
    run = content["runs"][number - 1]
    rule = f"top 1/3 at epoch {epoch}" if compared > 1 else "no improvement in 2 epochs"
    stop = {"epoch": epoch, "value": value, "threshold": threshold, "compared": compared, "rule": rule}
    run.update(status="stopped", cause=rule, epochs_done=epoch, best_epoch=epoch, stop=stop, val_accuracy=value)
    run["run_duration"] = 1.25 * epoch
    name = run["run"]
    content["epochs"] = [row for row in content["epochs"] if row["run"] != name or row["epoch"] <= epoch]


def standard_metrics(*values):
    """Return the mapping of loss, accuracy, val_loss and val_accuracy."""
    return dict(zip(("loss", "accuracy", "val_loss", "val_accuracy"), values, strict=True))
