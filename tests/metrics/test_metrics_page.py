"""The page on metrics lists every metric with its range and the data it is for, and its examples run."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from small_sweeps import SMALL, SilentDisplay, sweep

from cnnsweep.metrics.base import METRICS, make_metric
from cnnsweep.metrics.metric import ONE_LABEL_ONLY, Metric
from cnnsweep.metrics.names import CLASS_METRICS, TOP_K, as_mapping, is_share, range_of
from cnnsweep.types import Choice, LabelCounts

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
ROWS = [
    (name, *(cell.strip() for cell in cells.split("|")))
    for names, cells in re.findall(r"^\| (`[^|]+) \| [^|]+ \| ((?:[^|]+\|){4})$", PAGE, re.MULTILINE)
    for name in re.findall(r"`([^`]+)`", names)
]
YAML = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CODE = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL)


def metric_of(name: str) -> Metric:
    mapping = as_mapping(name) or {"name": name}
    return make_metric(Choice(mapping.pop("name"), mapping))


def test_the_page_lists_every_metric() -> None:
    listed = {name.partition("[")[0] for name, *_ in ROWS} - {"top_5"}
    assert listed == set(METRICS.names)
    assert len(METRICS.names) > 20
    assert all(f"{kind}[class]" in PAGE for kind in CLASS_METRICS)


@pytest.mark.parametrize("row", [row for row in ROWS if row[0] != TOP_K], ids=lambda row: row[0])
def test_a_row_of_the_page_is_true(row: tuple[str, ...]) -> None:
    name, source, between, several, baseline, *_ = row
    metric = metric_of(name)
    ends = between.removesuffix(", lower is better").replace("−", "-").replace("∞", "inf").split(" to ")
    assert range_of(name) == tuple(map(float, ends))
    assert between.endswith("lower is better") is not metric.greater_is_better
    assert re.search(r"\b(sk|tm) `", source)
    counts = LabelCounts(("class", "b", "c", "d", "e", "f"), (5, 4, 3, 2, 1, 1), 16, True)
    assert {"yes": None, "no": ONE_LABEL_ONLY}[several] == metric.problem(counts)
    one = LabelCounts(counts.classes, counts.counts, counts.images)
    found = metric.for_classes(one.classes).baseline(one)
    if name.startswith("recall[") or baseline == "none":
        assert found is None
    elif re.fullmatch(r"[\d.]+", baseline):
        assert found == float(baseline)
    else:
        assert found is not None
        assert math.isfinite(found)


def test_the_baselines_with_a_formula() -> None:
    counts = LabelCounts(("a", "b", "c"), (6, 3, 1), 10)
    assert metric_of("accuracy").baseline(counts) == 0.6
    assert metric_of("balanced_accuracy").baseline(counts) == pytest.approx(1 / 3)
    assert metric_of("precision[b]").for_classes(counts.classes).baseline(counts) == 0.3
    assert metric_of("top_2").baseline(counts) == pytest.approx(0.9)
    assert metric_of("average_precision").baseline(counts) == pytest.approx(1 / 3)
    assert metric_of("nll").baseline(counts) == pytest.approx(-sum(p * math.log(p) for p in (0.6, 0.3, 0.1)))
    assert metric_of("brier").baseline(counts) == pytest.approx(0.6 * 0.4 + 0.3 * 0.7 + 0.1 * 0.9)


@pytest.mark.parametrize("number", range(len(YAML)))
def test_an_example_of_the_page_trains(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file, code in CODE:
        (tmp_path / file).write_text(code)
    monkeypatch.chdir(tmp_path)
    display = SilentDisplay()
    sweep(tmp_path / "s", SMALL.replace("classes: 3", "classes: 5") + "validation: 0.5\n" + YAML[number], display)
    (record, *_) = display.records
    assert len(record.metrics) >= 6
    assert not [name for name, value in record.metrics.items() if value is None and name.startswith("val_")]


def test_a_name_of_ones_own_says_nothing_about_its_range() -> None:
    assert [is_share(name) for name in ("val_accuracy", "balanced_accuracy", "accuracy_at_thresholds")] == [True] * 3
    assert not is_share("val_my_accuracy")
    assert range_of("my_accuracy") == (-math.inf, math.inf)
