"""The table of training steps, from figures written by hand."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from benchmark_report import steps_section

STEP = {
    "runs": 4,
    "seconds": 0.040,
    "spent": {"convolution, forward": 0.010, "pooling": 0.004, "loss": 0.006, "Python, autograd, dispatch": 0.020},
    "arithmetic": {"convolution, forward": 2_000_000_000},
    "moved": {"convolution, forward": 150_000_000, "pooling": 50_000_000},
}


def test_a_step_has_its_shares_its_rate_and_its_intensity():
    machine = {"about": "a machine", "versions": {"torch": "1"}, "gflops": 200.0, "memory_gb_s": 20.0}
    text = steps_section({**machine, "works": {"grid": [STEP]}})
    row = next(line for line in text.splitlines() if line.startswith("| grid, 4 together"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        *("grid, 4 together", "10"),
        *("0%", "25%", "10%", "0%", "0%", "50%", "15%"),  # the loss is the rest
        *("50", "25%", "10.0"),  # 2 GFLOP in 0.04 s, of 200; 2 GFLOP for 0.2 GB
    ]
