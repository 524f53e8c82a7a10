"""Keys that take a component are read, checked and worded alike, whatever the registry."""

from pathlib import Path

import pytest

from cnnsweep.config.load import parse_sweep
from cnnsweep.errors import SpecError

HEAD = "name: s\ndataset: shapes\nmodel: lenet\n"
KEYS = {
    "dataset": ("dataset: {0}\nname: s\nmodel: lenet\n", "name", "shapes"),
    "model": ("model: {0}\nname: s\ndataset: shapes\n", "name", "lenet"),
    "params.optimizer": (HEAD + "params: {{optimizer: {0}}}\n", "name", "rmsprop"),
    "params.schedule": (HEAD + "params: {{schedule: {0}}}\n", "name", "cosine"),
    "params.loss_function": (HEAD + "params: {{loss_function: {0}}}\n", "name", "cross_entropy"),
    "search": (HEAD + "search: {0}\n", "method", "sobol"),
    "early_stop": (HEAD + "early_stop: {0}\n", "method", "median"),
    "trackers": (HEAD + "trackers: [{0}]\n", "name", "tensorboard"),
}
MARKED = """
from pathlib import Path
Path({marker!r}).touch()
from cnnsweep.metrics.base import Metric

class Recall(Metric):
    threshold: float = 0.5
"""

NESTED = """
from pydantic import BaseModel
from cnnsweep.pruners.median import Median

class Bounds(BaseModel, extra="forbid"):
    low: float

class Bounded(Median, name="bounded"):
    bounds: Bounds
"""


def message(text: str, folder: Path | None = None) -> str:
    with pytest.raises(SpecError) as raised:
        parse_sweep(text, "s.yaml", folder=folder)
    (problem,) = raised.value.problems
    return problem.message


@pytest.mark.parametrize("key", KEYS)
def test_mistakes_are_worded_alike(key: str) -> None:
    text, of_name, name = KEYS[key]
    needed = "runs: 3, " if key == "search" else ""
    unknown = message(text.format(f"{{{of_name}: {name}, {needed}no_such_key: 1}}"))
    assert unknown.startswith(f"{key}.no_such_key: unknown key; ")
    assert message(text.format(f"{name}x")) == f"{key}: unknown '{name}x'; did you mean '{name}'?"
    missing = message(text.format("{no_such_key: 1}"))
    assert missing.startswith(f"{key}.{of_name}: missing; add for example `{of_name}: ")
    assert message(text.format("zzz.py:Zzz")) == f"{key}: there is no file 'zzz.py' in the sweep file's folder"
    assert message(text.format(3)).startswith(f"{key}: found 3, allowed is ")
    assert message(text.format(f"{{{of_name}: 3}}")).startswith(f"{key}.{of_name}: found 3, allowed is ")


def test_a_key_of_another_component_is_named_as_such() -> None:
    for key, own, other in (("dataset", "mnist", "size"), ("params.schedule", "step", "peak")):
        found = message(KEYS[key][0].format(f"{{name: {own}, {other}: 1}}"))
        assert f"{key}.{other}: the {'data set' if key == 'dataset' else 'schedule'} {own} does not use it" in found


def test_fields_of_an_own_metric_are_checked_without_running_its_code(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MARKED.format(marker=str(tmp_path / "ran")))
    text = HEAD + "metrics: [{{name: mine.py:Recall, {}: 0.1}}]\n"
    assert message(text.format("treshold"), tmp_path) == "metrics.treshold: unknown key; did you mean 'threshold'?"
    assert parse_sweep(text.format("threshold"), "s", folder=tmp_path).metrics[0].arguments == {"threshold": 0.1}
    assert not (tmp_path / "ran").exists()


def test_a_tracker_keeps_the_arguments_that_are_its_defaults() -> None:
    """The key `tensorboard` sets others, which these have to override."""
    spec = parse_sweep(HEAD + "tensorboard: false\ntrackers: [{name: tensorboard, images: true}]\n", "s")
    assert spec.trackers[0].arguments == {"images": True}


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        ("{}", "early_stop.bounds.low: missing"),
        ("{low: 1, high: 2}", "early_stop.bounds.high: unknown key"),
        ("{low: x}", "early_stop.bounds.low: found 'x': input should be a valid number"),
        ("3", "early_stop.bounds: found 3, allowed is a mapping of keys and values"),
    ],
)
def test_a_mapping_inside_an_own_component_is_checked_by_its_own_model(bounds: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(NESTED)
    text = f"{HEAD}early_stop: {{method: mine.py:Bounded, bounds: {bounds}}}\n"
    assert message(text, tmp_path).startswith(found)
