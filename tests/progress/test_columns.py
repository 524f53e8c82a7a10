from rich.text import Text

from cnnsweep.formatting.columns import Column, fit_columns, setting_column
from cnnsweep.formatting.numbers import UNKNOWN


def column(width: int, drop: int, narrowest: int | None = None) -> Column:
    return Column("x" * width, [Text("y" * width)], drop, narrowest=narrowest)


def widths(columns: list[Column], width: int) -> list[tuple[int, int]]:
    """The position of each column that stays, and its width."""
    positions = {id(column): position for position, column in enumerate(columns)}
    return [(positions[id(column)], got) for column, got in fit_columns(columns, width)]


def test_all_columns_stay_where_there_is_room() -> None:
    # 5 + 2 + 6 + 2 + 7 = 22
    assert widths([column(5, 0), column(6, 1), column(7, 2)], 22) == [(0, 5), (1, 6), (2, 7)]


def test_least_important_column_goes_first() -> None:
    assert widths([column(5, 0), column(6, 9), column(7, 2)], 21) == [(0, 5), (2, 7)]


def test_of_equally_important_columns_the_last_goes_first() -> None:
    assert widths([column(5, 3), column(5, 3), column(5, 3)], 18) == [(0, 5), (1, 5)]


def test_cells_are_cut_before_a_column_goes() -> None:
    assert widths([column(5, 0), column(20, 1, narrowest=8), column(5, 2)], 30) == [(0, 5), (1, 16), (2, 5)]
    assert widths([column(5, 0), column(20, 1, narrowest=8), column(5, 2)], 22) == [(0, 5), (1, 8), (2, 5)]
    assert widths([column(5, 0), column(20, 1, narrowest=8), column(5, 2)], 21) == [(0, 5), (1, 14)]


def test_last_column_is_cut_to_the_terminal() -> None:
    assert widths([column(50, 0), column(50, 1)], 10) == [(0, 10)]


def test_empty_column_takes_no_room() -> None:
    assert widths([column(0, 0), column(5, 1)], 5) == [(1, 5)]


def test_wide_characters_count_twice() -> None:
    assert Column("数数", [Text("a")], 0).width == 4


def test_setting_that_is_not_used_is_a_dash_and_numbers_stay_aligned() -> None:
    values = [0.9, None, UNKNOWN, 10]
    column = setting_column("momentum", values, [""] * 4, 0)
    assert (column.justify, [cell.plain for cell in column.cells]) == ("right", ["0.9", "–", "–", "10  "])
    assert [cell.plain for cell in setting_column("grad_clip", [None, UNKNOWN], [""] * 2, 0).cells] == ["none", "–"]


def test_headers_and_numbers_stay_whole_while_columns_of_little_importance_can_go() -> None:
    params = setting_column("batch_size_of_all", [16, 256], [""] * 2, 3)
    other = Column("acc", [Text("0.5000")] * 2, 14)
    assert [column.header for column, _ in fit_columns([params, other], 22)] == ["batch_size_of_all"]
    assert [width for _, width in fit_columns([params, other], 25)] == [17, 6]
    important = Column("val acc", [Text("0.5000")] * 2, 2)
    assert [width for _, width in fit_columns([params, important], 18)] == [9, 7]  # then the header is cut


def test_numbers_are_written_shorter_where_there_is_little_room_but_never_cut() -> None:
    column = setting_column("lr", [0.024263, 8.7412e-05, None], [""] * 3, 3)
    assert [cell.plain for cell in column.cells_for(10)] == ["0.024263", "8.7412e-05", "–"]
    assert [cell.plain for cell in column.cells_for(9)] == ["0.02426", "8.741e-05", "–"]
    assert column.least == 9


def test_mappings_have_a_short_form_in_which_different_ones_differ():
    weights = ["none", {"cat": 2, "dog": 1, "elk": 5}, {"cat": 2, "dog": 1, "elk": 6.5}, "balanced"]
    losses = [{"name": "focal", "gamma": 1}, "poly", {"name": "focal", "gamma": 2.5}, "poly"]
    styles = [""] * len(weights)

    def shown(values: list[object], width: int) -> list[str]:
        return [cell.plain for cell in setting_column("class_weight", values, styles, 1).cells_for(width)]

    assert shown(weights, 30) == ["none", "{cat: 2, dog: 1, elk: 5}", "{cat: 2, dog: 1, elk: 6.5}", "balanced"]
    assert shown(weights, 20) == ["none", "cat=2,dog=1,elk=5", "cat=2,dog=1,elk=6.5", "balanced"]
    assert shown(losses, 14) == ["focal,gamma=1", "poly", "focal,gamma=2…", "poly"]
    for width in range(8, 30):
        texts = shown(weights, width)
        assert len(set(texts)) == len(texts)
        assert max(map(len, texts)) <= width
