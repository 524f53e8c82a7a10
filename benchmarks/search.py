"""How many training epochs a search needs to reach what a grid reaches, on real Fashion-MNIST.

A grid over lr × weight_decay × batch_size × optimizer trains every trial to the end. Random search and TPE draw up to
100 trials from the same ranges, with halving, once for each seed of the search, and end when they get there. What
counts is the number of epochs, in the order of the journal, until the best validation accuracy so far is at least the
grid's best, as a share of the grid's epochs.

    python benchmarks/search.py --data-root ../shared/data --out /tmp/search
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from cnnsweep.storage.journal import read_journal

HELD_OUT = 45_000

SHARED = """
dataset: fashion_mnist
model: lenet
seed: {model_seed}
validation: 0.75
tensorboard: false
"""

GRID = """
name: grid
params:
  lr: [0.1, 0.03, 0.01, 0.003, 0.001]
  weight_decay: [1e-5, 1e-3]
  batch_size: [64, 256]
  optimizer: [adam, sgd]
  epochs: 9
"""

SEARCH = """
name: {method}{seed}
params:
  lr: {{log_uniform: [1e-3, 1e-1]}}
  weight_decay: {{log_uniform: [1e-5, 1e-3]}}
  batch_size: [64, 256]
  optimizer: [adam, sgd]
  epochs: 9
search: {{method: {method}, runs: 100, seed: {seed}}}
early_stop: halving
"""


def figures(folder: Path) -> list[float]:
    """Return the validation accuracy of every epoch, in the order in which they were trained."""
    events = read_journal(folder / "journal.jsonl")
    return [event["val_accuracy"] for event in events if event["event"] == "epoch"]


def train(name: str, text: str, args: argparse.Namespace, goal: float = float("inf")) -> list[float]:
    """Return the figures of a sweep that is ended once one of them reaches the goal."""
    folder = args.out / name
    file = args.out / f"{name}.yaml"
    file.write_text(text + SHARED.format(model_seed=args.model_seed))
    command = [sys.executable, "-m", "cnnsweep", "run", str(file), "--data-root", str(args.data_root), "--quiet"]
    process = subprocess.Popen([*command, "--out", str(folder)])
    while process.poll() is None:
        time.sleep(3)
        if (folder / "journal.jsonl").exists() and max(figures(folder), default=0.0) >= goal:
            process.terminate()  # once: the second time it would not wait for the epoch's end
            process.wait()
    if process.returncode not in (0, 143):
        sys.exit(f"{name}: exit code {process.returncode}")
    return figures(folder)


def epochs_to_reach(goal: float, reached: list[float]) -> int | None:
    return next((number for number, figure in enumerate(reached, start=1) if figure >= goal), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of the search")
    parser.add_argument("--methods", nargs="+", default=["random", "tpe"])
    parser.add_argument("--model-seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    grid = train("grid", GRID, args)
    goal = max(grid)
    print(f"grid: {len(grid)} epochs, best {goal:.4f}", flush=True)
    for method in args.methods:
        shares: dict[str, list[float]] = {"the grid's best": [], "a standard error below": []}
        for seed in args.seeds:
            found = train(f"{method}{seed}", SEARCH.format(method=method, seed=seed), args, goal)
            stop_epochs = (goal, goal - (goal * (1 - goal) / HELD_OUT) ** 0.5)
            for what, near in zip(shares, stop_epochs, strict=True):
                needed = epochs_to_reach(near, found)
                # A search that never gets there counts as infinitely long: a median over those that do would flatter.
                shares[what].append(float("inf") if needed is None else needed / len(grid))
                print(
                    f"{method} seed {seed}: {len(found)} epochs, best {max(found):.4f}; {what} after {needed}",
                    flush=True,
                )
        for what, found_shares in shares.items():
            print(f"{method}: {what}: median share of the grid's epochs {median(found_shares):.3f}", flush=True)


if __name__ == "__main__":
    main()
