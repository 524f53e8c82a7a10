"""How much faster cnnsweep trains a run than the tutorial's loop, each run alone, everything recorded.

    python benchmarks/alone.py --data-root data [--rounds 3] [--epochs 3]

Each round trains the tutorial's sweep (8 runs) on the same 60,000 images
of Fashion-MNIST with both, one after the other, in fresh processes, so that both meet the same machine. Times are of
the whole sweep after the imports: reading the data, all epochs, and everything that is written. cnnsweep writes more
than the loop: the loss of every batch, checkpoints after every epoch, a journal.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
AXES = {"lr": [0.01, 0.001], "batch_size": [100, 1000], "shuffle": [True, False]}
RUNS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--side", choices=["ours"], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side == "ours":
        run_ours(arguments.data_root, arguments.out, arguments.epochs)
        return
    import torch

    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads; {arguments.rounds} rounds of {RUNS} runs of {arguments.epochs} epochs"
    )
    compare(arguments.data_root, arguments.rounds, arguments.epochs)


def compare(data_root: Path, rounds: int, epochs: int) -> None:
    """Print the seconds a run and epoch of both, their ratio in each round, and the accuracies reached."""
    theirs, ours = [], []
    common = ["--data-root", str(data_root), "--epochs", str(epochs)]
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            loop = [str(HERE / "tutorial.py"), "--axes", json.dumps(AXES), "--out", f"{folder}/theirs"]
            theirs.append(measure([*loop, *common]))
            ours.append(measure([__file__, "--side", "ours", "--out", f"{folder}/ours", *common]))
    each = RUNS * epochs
    print("whole sweep, seconds a run and epoch")
    print_rows([r["seconds"] / each for r in theirs], [r["seconds"] / each for r in ours])
    for batch_size in AXES["batch_size"]:
        print(f"epochs in batches of {batch_size}, seconds")
        print_rows(*([mean_epoch(r, batch_size) for r in side] for side in (theirs, ours)))
    beside = [1 - sum(row["epoch_duration"] for row in r["rows"]) / r["seconds"] for r in ours]
    print(f"cnnsweep, beside training: {statistics.median(beside):.1%} of the time")
    print("accuracy in the last epoch, by run")
    for name, results in (("tutorial's loop", theirs), ("cnnsweep", ours)):
        accuracies = [row["accuracy"] for row in results[0]["rows"] if row["epoch"] == epochs]
        print(f"  {name:16s} {' '.join(f'{accuracy:.3f}' for accuracy in accuracies)}")


def measure(command: list[str]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, *command], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def mean_epoch(result: dict[str, Any], batch_size: int) -> float:
    return statistics.mean(row["epoch_duration"] for row in result["rows"] if row["batch_size"] == batch_size)


def print_rows(theirs: list[float], ours: list[float]) -> None:
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    for name, values in (("tutorial's loop", theirs), ("cnnsweep, alone", ours), ("ratio", ratios)):
        low, high = min(values), max(values)
        print(f"  {name:16s} median {statistics.median(values):.2f}  ({low:.2f} to {high:.2f}, n = {len(values)})")


def run_ours(data_root: Path, folder: Path, epochs: int) -> None:
    from cnnsweep.display.plain import PlainDisplay
    from cnnsweep.spec.load import parse_sweep
    from cnnsweep.sweep import SweepOptions, run_sweep

    text = f"""
name: alone
dataset: {{name: fashion_mnist, normalize: none}}
model: lenet
validation: 0
params: {json.dumps({**AXES, "epochs": epochs})}
"""
    spec = parse_sweep(text, "alone")
    start = time.perf_counter()
    result = run_sweep(spec, SweepOptions(folder, data_root), PlainDisplay(sys.stderr))
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "rows": json.loads(result.paths.results_json.read_text())["epochs"]}))


if __name__ == "__main__":
    main()
