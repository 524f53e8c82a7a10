"""Sweep folders with everything that a page can show, drawn up by hand."""

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

from PIL import Image
from results_by_hand import Content, fail_run, load, make_content, make_replicates, stop_run

from cnnsweep.analysis.results import Results
from cnnsweep.html.page import write_page

HOSTILE = (
    "</script><img src=x onerror=window.hurt=1>\"'&<b>b</b>\u2028\u202e%{x}${1+1}<a href=javascript:window.hurt=1>a</a>"
)


def png(shade: int, size: int = 8) -> str:
    stream = io.BytesIO()
    Image.new("L", (size, size), shade).save(stream, format="png")
    return base64.b64encode(stream.getvalue()).decode()


def evaluation(run: str, classes: list[str], split: str = "test", off: int = 0) -> dict[str, Any]:
    """Each class 100 images; of class k, k + off are taken for the next class."""
    count = len(classes)
    confusion = [[0] * count for _ in classes]
    for k in range(count):
        confusion[k][k] = 100 - k - off
        confusion[k][(k + 1) % count] += k + off
    right = sum(confusion[k][k] for k in range(count))
    wrong = [
        {"index": n, "label": classes[n % count], "predicted": classes[(n + 1) % count], "probability": 0.9 - n / 100,
         "png": png(20 * n)}
        for n in range(6)
    ]  # fmt: skip
    return {"version": 1, "run": run, "split": split, "accuracy": right / 100 / count, "loss": 0.3, "classes": classes,
            "confusion": confusion, "wrong": wrong}  # fmt: skip


def write_extras(folder: Path, content: Content, evaluated: int = 2, classes: list[str] | None = None) -> None:
    """Add run folders with batch losses, evaluations, the frozen sweep file and the environment."""
    classes = classes or ["T-shirt/top", "trouser", "coat", "bag"]
    ranked = sorted(content["runs"], key=lambda run: -(run["val_accuracy"] or 0))
    for number, run in enumerate(ranked[:20]):
        (folder / run["run"]).mkdir()
        losses = [2.3 * math.exp(-step / 300) + 0.2 for step in range(1, 1001)]
        rows = [f"{step // 500 + 1},{step},{loss:.6g}" for step, loss in enumerate(losses)]
        (folder / run["run"] / "batch_loss.csv").write_text("\n".join(["epoch,step,loss", *rows]) + "\n")
        if number < evaluated:
            content_of = json.dumps(evaluation(run["run"], classes, off=number))
            (folder / run["run"] / "evaluation.json").write_text(content_of)
    (folder / "sweep.yaml").write_text("name: fashion\nmodel: lenet\nparams:\n  lr: [0.01, 0.001]\n")
    environment = {"python": "3.11.7", "packages": {"torch": "2.15.0"}, "command": ["cnnsweep", "run", "a b.yaml"]}
    (folder / "environment.json").write_text(json.dumps(environment))


def grid_page(folder: Path) -> tuple[Results, Path]:
    """A grid of 16 runs, one of which failed and two of which were stopped."""
    content = make_content({"lr": [0.1, 0.01, 0.001, 0.0001], "batch_size": [100, 1000], "shuffle": [True, False]})
    fail_run(content, 16)
    stop_run(content, 14, 1, 0.55, 0.61, 9)
    stop_run(content, 15, 2, 0.6, 0.64, 5)
    content["sweep"]["early_stop"] = {"method": "halving", "factor": 3}
    content["sweep"].update(validation_images=60_000, largest_class=6_000)
    return _written(folder, content)


def seeds_page(folder: Path) -> tuple[Results, Path]:
    """Four trials with five seeds each, the best two alike."""
    figures = {1: [0.81, 0.82, 0.80, 0.83, 0.82], 2: [0.82, 0.81, 0.81, 0.82, 0.80]}
    figures |= {n: [figure - 0.1 * n for figure in figures[1]] for n in (3, 4)}
    return _written(folder, make_replicates({"lr": [0.01, 0.001], "batch_size": [100, 1000]}, figures))


def hostile_page(folder: Path) -> tuple[Results, Path]:
    """Every text that a stranger's files may hold tries to become markup or code."""
    axes = {f"lr{HOSTILE}": [0.1, 0.01], "opt": [HOSTILE, "sgd"], "augment": ["<b>x</b>", "y"]}
    content = make_content(axes)
    content["sweep"].update(name=HOSTILE, description=HOSTILE, dataset=HOSTILE, model=HOSTILE, device=HOSTILE)
    name = HOSTILE.replace("/", "").replace(":", "")
    for row in [*content["runs"], *content["epochs"]]:
        row["run"] = f"{row['run']}{name}"
    content["sweep"]["best"] = content["runs"][0]["run"]
    fail_run(content, 8, "failed", f"cause {HOSTILE}")
    results, page = _written(folder, content, classes=[f"{HOSTILE}{n}" for n in range(3)])
    (folder / "sweep.yaml").write_text(HOSTILE)
    (folder / "environment.json").write_text(json.dumps({HOSTILE: {HOSTILE: HOSTILE}, "command": [HOSTILE]}))
    write_page(results, page)
    return results, page


def large_page(folder: Path, runs: int, epochs: int = 10) -> tuple[Results, Path]:
    """So many trials of four hyperparameters, as a search draws them."""
    content = make_content({"lr": [round(10 ** -(1 + 3 * n / runs), 7) for n in range(runs)]}, epochs=epochs)
    for number, run in enumerate(content["runs"]):
        run.update(momentum=number * 7919 % 1000 / 1000, batch_size=[64, 128, 256][number % 3])
        run["optimizer"] = ["adam", "sgd", "adamw"][number % 7 % 3]
        run["run_duration"] = 2 + number * 31 % 97 / 7
        run["val_accuracy"] = 0.9 - (number / runs - 0.4) ** 2 - 0.05 * (run["momentum"] - 0.5) ** 2
    best = max(content["runs"], key=lambda run: run["val_accuracy"])["run"]
    names = ["lr", "momentum", "batch_size", "optimizer"]
    search = {"method": "tpe", "runs": runs, "seed": 0}
    content["sweep"].update(best=best, axes=names, hyperparameters=[*names, "epochs"], search=search)
    return _written(folder, content, evaluated=0)


def _written(
    folder: Path, content: Content, evaluated: int = 2, classes: list[str] | None = None
) -> tuple[Results, Path]:
    folder.mkdir(parents=True)
    write_extras(folder, content, evaluated, classes)
    results = load(folder, content)
    page = folder.parent / f"{folder.name}.html"
    write_page(results, page)
    return results, page
