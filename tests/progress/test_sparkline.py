import math

import pytest

from cnnsweep.formatting.sparkline import BLOCKS, WIDEST, curve_column, sparkline


@pytest.mark.parametrize(
    ("curve", "epochs", "drawn"),
    [
        ([0.0, 0.5, 1.0], 3, "▁▅█"),
        ([0.0, 0.5, 1.0], 6, "▁▅█"),  # half through
        ([0.0], 6, "▁"),
        ([], 6, ""),
        ([0.0, 1.0, math.nan], 6, "▁█×"),
        ([0.0, None], 6, "▁×"),
        ([-5.0, 7.0], 6, "▁█"),  # outside the scale
    ],
)
def test_block_is_as_high_as_the_figure(curve, epochs, drawn):
    assert sparkline(curve, 0.0, 1.0, epochs, epochs) == drawn


def test_long_curves_are_means_of_neighbours():
    curve = [0.0] * 50 + [1.0] * 50
    assert sparkline(curve, 0.0, 1.0, 12, 100) == "▁" * 6 + "█" * 6
    assert sparkline([0.0, 1.0, math.nan], 0.0, 1.0, 1, 3) == "▅"  # the NaN does not hide the others


@pytest.mark.parametrize("epochs", [*range(3, 40), 100, 1000])
def test_length_tells_how_far_a_run_is(epochs):
    width = min(epochs, WIDEST)
    for done in range(epochs + 1):
        drawn = sparkline([0.5] * done, 0.0, 1.0, width, epochs)
        assert len(drawn) == math.ceil(done * width / epochs)


def test_rows_share_a_scale():
    (column,) = curve_column([[0.1, 0.2, 0.3], [0.6, 0.7, 0.8], []], 3, ["", "", ""])
    assert [cell.plain for cell in column.cells] == ["▁▂▃", "▆▇█", ""]


def test_loss_that_explodes_does_not_flatten_the_others():
    falling = [[2.0 - 0.1 * epoch - 0.05 * run for epoch in range(10)] for run in range(5)]
    (column,) = curve_column([*falling, [2.0, 1e6, math.nan]], 10, [""] * 6)
    calm, exploding = column.cells[0].plain, column.cells[-1].plain
    assert [calm[0], calm[-1]] == [BLOCKS[-1], BLOCKS[1]]
    assert exploding == "██×"


def test_equal_figures_lie_in_the_middle():
    (column,) = curve_column([[0.5, 0.5, 0.5]], 3, [""])
    assert column.cells[0].plain == "▅▅▅"


@pytest.mark.parametrize(("curves", "epochs"), [([[0.1, 0.2]], 2), ([[0.1], []], 10), ([], 0)])
def test_there_is_no_column_where_there_is_no_curve(curves, epochs):
    assert curve_column(curves, epochs, [""] * len(curves)) == []
