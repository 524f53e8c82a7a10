"""cnnsweep, as a person runs it: a sweep file and the command, with everything recorded that is recorded by default.

Option `command`: further words of the command line, such as ["--fuse", "off"].
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import contract
from contract import Reached, Task, read_task, serve

# What the command imports on its way is imported before the clock starts, as for all.
import cnnsweep.cli.app
import cnnsweep.config.load
import cnnsweep.progress.choose
import cnnsweep.report.terminal
import cnnsweep.sweep
from cnnsweep.cli import main
from cnnsweep.storage.journal import read_journal


def sweep_file(task: Task) -> str:
    """Return the task as a sweep file; JSON is YAML too."""
    return json.dumps(
        {
            "name": "bench",
            "dataset": {
                "name": f"{Path(contract.__file__).resolve()}:for_cnnsweep",
                "path": str(task.images.resolve()),
                "normalize": "none",
            },
            "model": {"name": task.model, **task.arguments},
            "validation": task.validation,
            "device": task.device,
            "params": {**task.axes, "epochs": task.epochs},
        }
    )


def train(task: Task) -> Reached:
    file, folder = task.out / "sweep.yaml", task.out / "sweep"
    file.write_text(sweep_file(task))
    sys.argv = ["cnnsweep", "run", str(file), "--out", str(folder), "--quiet", *task.options.get("command", [])]
    began = time.time()
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
    results = json.loads((folder / "results.json").read_text())
    rows = [last_epoch(row) for row in results["epochs"] if row["epoch"] == task.epochs]
    return Reached(rows, first_group(folder, began))


def last_epoch(row: dict[str, Any]) -> dict[str, Any]:
    return {"shuffle": True, "seed": 0, **row}


def first_group(folder: Path, began: float) -> float:
    """Return when the first group was decided on, after reading data, checking and measuring ways of grouping."""
    for event in read_journal(folder / "journal.jsonl"):
        if event["event"] == "epoch":
            break
        began = datetime.fromisoformat(event["time"]).timestamp()
    return began


if __name__ == "__main__":
    if read_task(Path(sys.argv[1])).model == "resnet18":
        import cnnsweep.models.torchvision_module  # noqa: F401 - it imports torch's compiler, which the other sides have already
    serve(train)
