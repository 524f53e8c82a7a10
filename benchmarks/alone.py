"""How much faster cnnsweep trains a run than the tutorial's loop, each run alone, everything recorded.

    python benchmarks/alone.py --data-root data [--rounds 3] [--epochs 3]

Each round trains the tutorial's sweep (8 runs) on the same 60,000 images of Fashion-MNIST with both, one after the
other, in fresh processes, so that both meet the same machine. Times are of the whole sweep after the imports: reading
the data, all epochs, and everything that is written. cnnsweep writes more than the loop: the loss of every batch,
checkpoints after every epoch, a journal.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from side_by_side import about_machine, measure_sweep, measure_tutorial, print_comparison

AXES: dict[str, list[Any]] = {"lr": [0.01, 0.001], "batch_size": [100, 1000], "shuffle": [True, False]}
RUNS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{about_machine()}; {arguments.rounds} rounds of {RUNS} runs of {arguments.epochs} epochs")
    compare(arguments.data_root, arguments.rounds, arguments.epochs)


def compare(data_root: Path, rounds: int, epochs: int) -> None:
    """Print the seconds per run and epoch of both, their ratio in each round, and the accuracies reached."""
    text = f"""
name: alone
dataset: {{name: fashion_mnist, normalize: none}}
model: lenet
validation: 0
params: {json.dumps({**AXES, "epochs": epochs})}
"""
    theirs, ours = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            theirs.append(measure_tutorial(AXES, Path(folder, "theirs"), data_root, epochs))
            ours.append(measure_sweep(text, Path(folder, "ours"), data_root, "off"))
    each = RUNS * epochs
    print("whole sweep, seconds per run and epoch")
    sides = {"tutorial's loop": theirs, "cnnsweep, alone": ours}
    print_comparison({name: [r["seconds"] / each for r in results] for name, results in sides.items()})
    for batch_size in AXES["batch_size"]:
        print(f"epochs in batches of {batch_size}, seconds")
        print_comparison({name: [mean_epoch(r, batch_size) for r in results] for name, results in sides.items()})
    beside = [1 - sum(row["epoch_duration"] for row in r["rows"]) / r["seconds"] for r in ours]
    print(f"cnnsweep, beside training: {statistics.median(beside):.1%} of the time")
    print("accuracy in the last epoch, by run")
    for name, results in sides.items():
        accuracies = [row["accuracy"] for row in results[0]["rows"] if row["epoch"] == epochs]
        print(f"  {name:28s} {' '.join(f'{accuracy:.3f}' for accuracy in accuracies)}")


def mean_epoch(result: dict[str, Any], batch_size: int) -> float:
    return statistics.mean(row["epoch_duration"] for row in result["rows"] if row["batch_size"] == batch_size)


if __name__ == "__main__":
    main()
