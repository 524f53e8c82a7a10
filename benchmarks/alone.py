"""How much faster cnnsweep trains a run than the tutorial's loop, each run alone, everything recorded.

    python benchmarks/alone.py --data-root data [--rounds 3] [--batch-sizes 100 1000] [--epochs 3]

Each round trains a sweep of two learning rates on the same 60,000 images of Fashion-MNIST with both, one after the other,
in fresh processes, so that both meet the same machine. Times are of the whole sweep after the imports: reading the
data, all epochs, and everything that is written. cnnsweep writes more than the loop: the loss of every batch, checkpoints after
every epoch, a journal.
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

HERE = Path(__file__).parent
LEARNING_RATES = [0.01, 0.001]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--side", choices=["ours"], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side == "ours":
        run_ours(arguments.data_root, arguments.out, arguments.batch_sizes, arguments.epochs)
        return
    import torch

    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads; {arguments.rounds} rounds of {arguments.epochs} epochs"
    )
    for batch_size in arguments.batch_sizes:
        compare(arguments, batch_size)


def compare(arguments: argparse.Namespace, batch_size: int) -> None:
    """Print the seconds a run and epoch of both, and the ratio of each round."""
    theirs, ours, recording = [], [], []
    epochs = arguments.epochs * len(LEARNING_RATES)
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            axes = json.dumps({"lr": LEARNING_RATES, "batch_size": [batch_size], "shuffle": [True]})
            loop = [str(HERE / "tutorial.py"), "--axes", axes, "--out", f"{folder}/theirs"]
            theirs.append(measure([*loop, *common(arguments)])["seconds"] / epochs)
            sweep = [__file__, "--side", "ours", "--out", f"{folder}/ours", "--batch-sizes", str(batch_size)]
            result = measure([*sweep, *common(arguments)])
            ours.append(result["seconds"] / epochs)
            recording.append(1 - result["training_seconds"] / result["seconds"])
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    print(f"batch {batch_size}, seconds a run and epoch")
    print(f"  tutorial's loop  {spread(theirs)}")
    print(f"  cnnsweep, alone  {spread(ours)}   beside training: {statistics.median(recording):.1%} of the time")
    print(f"  ratio            {spread(ratios)}")


def common(arguments: argparse.Namespace) -> list[str]:
    return ["--data-root", str(arguments.data_root), "--epochs", str(arguments.epochs)]


def measure(command: list[str]) -> dict[str, float]:
    done = subprocess.run([sys.executable, *command], check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def spread(values: list[float]) -> str:
    return f"median {statistics.median(values):.2f}  ({min(values):.2f} to {max(values):.2f}, n = {len(values)})"


def run_ours(data_root: Path, folder: Path, batch_sizes: list[int], epochs: int) -> None:
    from cnnsweep.display.plain import PlainDisplay
    from cnnsweep.report.results import load_results
    from cnnsweep.spec.load import parse_sweep
    from cnnsweep.sweep import SweepOptions, run_sweep

    text = f"""
name: alone
dataset: {{name: fashion_mnist, normalize: none}}
model: lenet
validation: 0
params: {{lr: {LEARNING_RATES}, batch_size: {batch_sizes}, shuffle: true, epochs: {epochs}}}
"""
    spec = parse_sweep(text, "alone")
    start = time.perf_counter()
    run_sweep(spec, SweepOptions(folder, data_root), PlainDisplay(sys.stderr))
    seconds = time.perf_counter() - start
    training = sum(run.run_duration or 0.0 for run in load_results(folder).runs)
    print(json.dumps({"seconds": seconds, "training_seconds": training}))


if __name__ == "__main__":
    main()
