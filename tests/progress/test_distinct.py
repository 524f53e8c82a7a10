"""Texts of values beside each other: no two values look alike, and no two labels of an axis."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnsweep.formatting.columns import setting_column
from cnnsweep.formatting.distinct import cut_texts, distinct_texts, identity_of, number_texts
from cnnsweep.formatting.numbers import metric_texts

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False), st.text(max_size=4),
    st.sampled_from(["3", "true", "none", "null", "0.1", " ", "a, b", "'", "\u202e", "\u202d"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=2), part, max_size=2),
    max_leaves=5,
)


@given(st.lists(VALUES, max_size=8))
def test_of_any_values_equal_ones_have_equal_texts_and_others_have_not(values):
    for texts in (distinct_texts(values), distinct_texts(values, digits=4)):
        assert len(texts) == len(values)
        by_text = {}
        for value, text in zip(values, texts, strict=True):
            by_text.setdefault(text, set()).add(identity_of(value))
        assert all(len(identities) == 1 for identities in by_text.values())
        assert len(by_text) == len({identity_of(value) for value in values})


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.1, 0.10000001], ["0.1", "0.10000001"]),
        ([1e-4, 0.00010000001], ["0.0001", "0.00010000001"]),
        ([0.3, 0.1 + 0.2], ["0.3", "0.30000000000000004"]),
        ([3, "3"], ["3", "'3'"]),
        ([True, "true", 1], ["true", "'true'", "1"]),
        ([None, "none"], ["null", "'none'"]),
        ([[3, 5], "[3, 5]"], ["[3, 5]", "'[3, 5]'"]),
        ([["a", "b"], ["a, b"]], ["[a, b]", "['a, b']"]),
        ([1, 1.0, 2], ["1", "1", "2"]),  # to a sweep these are one value
        (["adam", "sgd", "adam"], ["adam", "sgd", "adam"]),
    ],
)
def test_values_that_would_look_alike_are_written_out(values, texts):
    assert distinct_texts(values) == texts


def test_numbers_have_as_few_digits_as_tell_them_apart():
    assert number_texts([0.123456, 0.2], 3) == ["0.123", "0.2"]
    assert number_texts([0.123456, 0.123457], 3) == ["0.123456", "0.123457"]
    assert number_texts([0.6931471805, 0.6931471806], 3) == ["0.6931471805", "0.6931471806"]
    assert number_texts([1.0, math.inf, 2], 3) == ["1", "inf", "2"]


def test_cut_labels_of_an_axis_stay_apart():
    assert cut_texts(["short", "a very long label"], 10) == ["short", "a very lo…"]
    same_begin = cut_texts(["model.layers [64, 64, 1]", "model.layers [64, 64, 2]"], 12)
    assert len(set(same_begin)) == 2
    assert all(len(text) <= 12 for text in same_begin)
    middle = cut_texts(["a" * 20 + "x" + "b" * 20, "a" * 20 + "y" + "b" * 20], 12)
    assert len(set(middle)) == 2


def test_a_narrow_column_of_settings_tells_them_apart():
    column = setting_column("lr", [0.10000001, 0.1, 0.2], [""] * 3, 1)
    assert len({cell.plain for cell in column.cells}) == 3
    assert column.short is not None
    assert len({cell.plain for cell in column.short}) == 3


def test_figures_that_are_held_against_each_other_do_not_look_equal():
    assert metric_texts("val_accuracy", [0.83331, 0.83334]) == ["0.83331", "0.83334"]
    assert metric_texts("val_accuracy", [0.5, 0.6]) == ["0.5000", "0.6000"]
    assert metric_texts("val_loss", [0.5, 0.5]) == ["0.5000", "0.5000"]
    assert metric_texts("val_accuracy", [None, 0.5]) == ["–", "0.5000"]
