"""The guide on unequal classes: its example trains, and what it says of the settings is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import cnnsweep

GUIDE = (Path(__file__).parents[1] / "docs" / "unequal-classes.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> cnnsweep.Sweep:
    """The example with one seed and one loss."""
    folder = tmp_path_factory.mktemp("unequal")
    (code,) = re.findall(r"```python\n# animals.py\n(.*?)```", GUIDE, re.DOTALL)
    (text,) = re.findall(r"```yaml\n# animals.yaml\n(.*?)```", GUIDE, re.DOTALL)
    (folder / "animals.py").write_text(code)
    spec = yaml.safe_load(text)
    file = folder / "animals.yaml"
    file.write_text(yaml.safe_dump({**spec, "seeds": 1, "params": {**spec["params"], "loss": "cross_entropy"}}))
    return cnnsweep.run(file, folder=folder / "out", device="cpu", jobs=1, threads=1, quiet=True)


def of(sweep: cnnsweep.Sweep, class_weight: str, sampling: str) -> dict[str, float]:
    runs = sweep.runs
    (row,) = runs[(runs["class_weight"] == class_weight) & (runs["sampling"] == sampling)].to_dict("records")
    return row


def test_the_baseline_is_that_of_the_guide(sweep):
    (share,) = re.findall(r"here `cat`, (\d+) % of the validation images", GUIDE)
    results = (Path(sweep.folder) / "results.json").read_text()
    assert f'"val_accuracy": {int(share) / 100}' in results


def test_weights_or_sampling_find_the_rare_class_at_equal_accuracy(sweep):
    plain = of(sweep, "none", "natural")
    assert plain["val_accuracy"] > 0.85
    assert plain["val_recall[elk]"] < 0.5
    for remedy in (of(sweep, "balanced", "natural"), of(sweep, "none", "balanced")):
        assert remedy["val_recall[elk]"] > 0.6
        assert remedy["val_balanced_accuracy"] > plain["val_balanced_accuracy"] + 0.1
        assert remedy["val_accuracy"] > plain["val_accuracy"] - 0.1


def test_both_together_count_rare_classes_twice(sweep):
    both = of(sweep, "balanced", "balanced")
    assert both["val_recall[cat]"] < of(sweep, "balanced", "natural")["val_recall[cat]"] - 0.1
    assert sweep.best.params["class_weight"] != sweep.best.params["sampling"]
