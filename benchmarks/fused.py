"""How much faster a sweep trains as one program: against the tutorial's loop, and against cnnsweep's own runs alone.

    python benchmarks/fused.py --data-root data [--rounds 3] [--only grid rates cifar_cnn resnet18]

Every round trains all sides one after the other, in fresh processes, on the same images; times are of the whole sweep
after the imports, everything recorded, measuring which way is faster included. The sweeps:

    grid       the tutorial's 8 runs of 3 epochs on Fashion-MNIST
    rates      16 runs (8 learning rates, 2 seeds) of 3 epochs in batches of 100; of the loop only 2 runs are trained,
               since it trains one after the other
    cifar_cnn  4 runs of 1 epoch on 30,000 images of 32×32 and 3 channels, against alone only: wide layers, which a CPU
               may train no faster together
    resnet18   2 runs of 1 epoch on 2,000 such images, the same
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from side_by_side import about_machine, matrix_product_rate, measure_sweep, measure_tutorial, print_comparison

GRID: dict[str, list[Any]] = {"lr": [0.01, 0.001], "batch_size": [100, 1000], "shuffle": [True, False]}
RATES = [0.0003, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.007, 0.01]
# Of lenet, for an image forward and backward: twice its multiply-adds, the first layer without a gradient for images.
LENET_FLOP = 2 * (2 * 86_400 + 3 * (115_200 + 30_840))
COLOURED = "{{name: shapes, size: 32, channels: 3, train: {}}}"
FASHION = "{name: fashion_mnist, normalize: none}"


def sweep_file(dataset: str, model: str, params: dict[str, Any]) -> str:
    return f"name: fused\ndataset: {dataset}\nmodel: {model}\nvalidation: 0\nparams: {json.dumps(params)}\n"


SWEEPS = {
    "grid": (sweep_file(FASHION, "lenet", {**GRID, "epochs": 3}), 24),
    "rates": (sweep_file(FASHION, "lenet", {"lr": RATES, "seed": [0, 1], "batch_size": 100, "epochs": 3}), 48),
    "cifar_cnn": (
        sweep_file(COLOURED.format(30_000), "cifar_cnn", {"lr": RATES[:4], "batch_size": 32, "epochs": 1}),
        4,
    ),
    "resnet18": (sweep_file(COLOURED.format(2000), "resnet18", {"lr": RATES[:2], "batch_size": 64, "epochs": 1}), 2),
}
LOOPS = {"grid": (GRID, 24), "rates": ({"lr": [0.001], "batch_size": [100], "seed": [0, 1]}, 6)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(SWEEPS), default=list(SWEEPS))
    arguments = parser.parse_args()
    print(f"{about_machine()}; {arguments.rounds} rounds")
    for name in arguments.only:
        compare(name, arguments.data_root, arguments.rounds)


def compare(name: str, data_root: Path, rounds: int) -> None:
    """Print the seconds per run and epoch of every side, and their ratios in each round."""
    text, each = SWEEPS[name]
    sides: dict[str, list[float]] = {}
    rate = 0.0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            if name in LOOPS:
                axes, runs = LOOPS[name]
                result = measure_tutorial(axes, Path(folder, "loop"), data_root, epochs=3)
                sides.setdefault("tutorial's loop", []).append(result["seconds"] / runs)
            for side, fuse in (("alone", "off"), ("together", "auto")):
                result = measure_sweep(text, Path(folder, side), data_root, fuse)
                sides.setdefault(side, []).append(result["seconds"] / each)
            rate = max(rate, matrix_product_rate())
    print(f"{name}: whole sweep, seconds per run and epoch")
    print_comparison(sides)
    if name in LOOPS:
        share = 60_000 * LENET_FLOP / min(sides["together"]) / 1e9 / rate
        print(f"  the fastest round: {share:.0%} of the {rate:.0f} GFLOP/s of a large matrix product here")


if __name__ == "__main__":
    main()
