"""What the tables of `make bench` say, from results written by hand."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from figures_of_sides import compare_sides, find_disagreeing, whole_seconds

MANY = 1_000_000  # images held out
COLUMNS = ["lr", "accuracy", "val_accuracy"]


def side(rows, seconds=10.0, start_up=2.0):
    return {
        **{"seconds": seconds, "start_up": start_up, "wall_s": seconds + 3, "cpu_s": seconds, "peak_bytes": 10**6},
        **{"runs": len(rows), "columns": COLUMNS, "rows": rows},
    }


def accuracies(*values):
    return [[0.001 * position, value, value] for position, value in enumerate(values)]


def test_time_of_sides_that_trained_fewer_runs_is_that_of_all_runs_with_one_start_up():
    measured = side(accuracies(0.8, 0.8), seconds=10.0, start_up=2.0)
    assert whole_seconds(measured, {"runs": 8}) == 2 + 8 * 4


def test_ratio_is_taken_within_each_round():
    runs = accuracies(0.8, 0.8)
    rounds = [
        {"hand": side(runs, seconds=20.0), "cnnsweep": side(runs, seconds=10.0)},
        {"hand": side(runs, seconds=90.0), "cnnsweep": side(runs, seconds=30.0)},
        {"hand": side(runs, seconds=16.0), "cnnsweep": side(runs, seconds=4.0)},
    ]
    result = {
        "images": 1000,
        "runs": 2,
        "epochs": 1,
        "rounds": rounds,
        "matrix_product_gflops": [1],
        "flop_a_run_and_epoch": 10**9,
    }
    ratio = compare_sides(result)["hand"].ratio
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((3, 2, 4))
    assert compare_sides(result)["hand"].share_of_rate == pytest.approx(2 / 20)


def test_sides_that_see_the_same_batches_are_held_to_a_hundredth_and_others_to_three():
    reference = accuracies(0.80, 0.82, 0.85, 0.70)
    round_ = {
        "cnnsweep_off": side(reference),
        "hand": side(accuracies(0.82, 0.83, 0.87, 0.72)),  # 0.0175 more on average
        "vmap": side(accuracies(0.801, 0.822, 0.849, 0.71)),
        "lightning": side(accuracies(0.78, 0.80, 0.83, 0.68)),
        "tutorial": side(accuracies(0.90, 0.92, 0.95, 0.80)),
    }
    assert find_disagreeing(round_, MANY) == {"hand", "tutorial"}


def test_few_images_held_out_say_less():
    def round_(difference):
        rows = [[0.001, 0.8, 0.8 + difference]]
        return {"cnnsweep_off": side([[0.001, 0.8, 0.8]]), "hand": side(rows)}

    assert find_disagreeing(round_(0.03), 100) == set()
    assert find_disagreeing(round_(0.03), 10_000) == {"hand"}
    assert find_disagreeing(round_(0.04), 100) == {"hand"}


def test_only_the_runs_that_both_trained_are_compared():
    round_ = {"cnnsweep_off": side(accuracies(0.80, 0.1)), "hand": side([[0.0, 0.80, 0.80], [0.9, 0.3, 0.3]])}
    assert find_disagreeing(round_, MANY) == set()


def test_an_axis_that_a_side_leaves_out_has_its_usual_value():
    rows = [[0.001, True, 0.8, 0.8], [0.001, False, 0.6, 0.6]]
    reference = {**side(rows), "columns": ["lr", "shuffle", "accuracy", "val_accuracy"]}
    assert find_disagreeing({"cnnsweep_off": reference, "hand": side([[0.001, 0.8, 0.8]])}, MANY) == set()
    assert find_disagreeing({"cnnsweep_off": reference, "hand": side([[0.001, 0.6, 0.6]])}, MANY) == {"hand"}


def test_a_side_without_a_number_disagrees():
    round_ = {"cnnsweep_off": side(accuracies(0.80)), "hand": side(accuracies(float("nan")))}
    assert find_disagreeing(round_, MANY) == {"hand"}
