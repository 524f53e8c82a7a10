"""What the benchmarks share: each side of a comparison in a fresh process, medians and spreads, what machine it was.

As a program it trains one sweep file and prints, as its last line, JSON with the seconds it took after the imports:

    python benchmarks/side_by_side.py SWEEP.yaml --data-root data --out DIR [--fuse auto|off|K]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def about_machine() -> str:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} threads"
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {device}, torch {torch.__version__}"


def matrix_product_rate() -> float:
    """Return the GFLOP/s of a large float32 matrix product on this machine's CPU, the best of ten."""
    import torch

    size = 2048
    a = torch.randn(size, size)
    a @ a
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def memory_rate() -> float:
    """Return the GB/s, read and written, of copying what is too large for any cache, the best of ten."""
    import torch

    source = torch.rand(64 << 20)
    target = torch.empty_like(source)
    target.copy_(source)
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        target.copy_(source)
        best = min(best, time.perf_counter() - start)
    return (source.nbytes + target.nbytes) / best / 1e9


def measure(command: list[str]) -> dict[str, Any]:
    """Run a Python program and return what its last line says."""
    done = subprocess.run([sys.executable, *command], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure_sweep(text: str, folder: Path, data_root: Path, fuse: str) -> dict[str, Any]:
    """Train a sweep file's text in a fresh process."""
    folder.mkdir(parents=True)
    file = folder / "sweep.yaml"
    file.write_text(text)
    options = ["--data-root", str(data_root), "--out", str(folder / "out"), "--fuse", fuse]
    return measure([str(HERE / "side_by_side.py"), str(file), *options])


def measure_tutorial(axes: dict[str, list[Any]], folder: Path, data_root: Path, epochs: int) -> dict[str, Any]:
    """Train the tutorial's way in a fresh process."""
    folder.mkdir(parents=True)
    options = ["--axes", json.dumps(axes), "--out", str(folder), "--epochs", str(epochs)]
    return measure([str(HERE / "tutorial.py"), "--data-root", str(data_root), *options])


def print_row(name: str, values: list[float], digits: int = 2) -> None:
    low, high = min(values), max(values)
    median = statistics.median(values)
    print(f"  {name:28s} median {median:.{digits}f}  ({low:.{digits}f} to {high:.{digits}f}, n = {len(values)})")


def print_comparison(sides: dict[str, list[float]]) -> None:
    """Print each side, and how many times as long each took as the last one, round by round."""
    for name, values in sides.items():
        print_row(name, values)
    *others, last = sides
    for name in others:
        print_row(f"{name} / {last}", [a / b for a, b in zip(sides[name], sides[last], strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fuse", default="auto")
    arguments = parser.parse_args()

    from cnnsweep.config.load import load_sweep
    from cnnsweep.progress.plain import PlainDisplay
    from cnnsweep.sweep import SweepOptions, run_sweep

    spec = load_sweep(arguments.sweep, [])
    fuse = int(arguments.fuse) if arguments.fuse.isdigit() else arguments.fuse
    start = time.perf_counter()
    result = run_sweep(spec, SweepOptions(arguments.out, arguments.data_root, fuse=fuse), [PlainDisplay(sys.stderr)])
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "rows": json.loads(result.paths.results_json.read_text())["epochs"]}))


if __name__ == "__main__":
    main()
