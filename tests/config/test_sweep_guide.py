"""Every example of `docs/sweep-file.md`, the starter file, and the repository's own sweeps."""

import re
from pathlib import Path

import pytest

from cnnsweep.config.distributions import DISTRIBUTIONS
from cnnsweep.config.grid import count_runs
from cnnsweep.config.load import load_sweep, parse_sweep
from cnnsweep.config.schema import Params, SweepFile, SweepSpec
from cnnsweep.config.template import starter_file
from cnnsweep.config.trials import expand_runs
from cnnsweep.datasets.base import DATASETS
from cnnsweep.models.base import MODELS
from cnnsweep.pruners.base import PRUNERS
from cnnsweep.samplers.base import SAMPLERS

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs" / "sweep-file.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
KEYS = [*SweepFile.model_fields, *("loss" if key == "loss_function" else key for key in Params.model_fields)]

CALLBACKS = """from cnnsweep import Callback
class Notify(Callback): ...
class Hopeless(Callback):
    def __init__(self, limit): ...
"""


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_of_the_guide_is_a_sweep(example: str, tmp_path: Path) -> None:
    for own in ("data.py", "nets.py", "metrics.py", "losses.py"):
        (tmp_path / own).write_text("")
    (tmp_path / "callbacks.py").write_text(CALLBACKS)  # which are imported
    lines = ("name: s", "dataset: shapes", "model: lenet")
    head = "".join(f"{line}\n" for line in lines if not re.search(f"^{line.split(' ')[0]}", example, re.MULTILINE))
    assert_has_runs(parse_sweep(head + example, "guide", folder=tmp_path))


def assert_has_runs(spec: SweepSpec) -> None:
    # Which runs a search has is known only while it trains.
    assert count_runs(spec).runs if spec.search is not None else expand_runs(spec).runs


@pytest.mark.parametrize("key", KEYS)
def test_every_key_stands_in_the_guide_and_in_an_example(key: str) -> None:
    assert f"`{key}`" in GUIDE
    assert any(re.search(rf"^\s*{key}:", example, re.MULTILINE) for example in EXAMPLES)


def test_numbers_of_runs_in_the_guide_are_right() -> None:
    assert "2 × 2 × 2 = 8" in GUIDE
    assert len(expand_runs(parse_sweep(EXAMPLES[0], "guide")).runs) == 8
    (optimizers,) = [example for example in EXAMPLES if "optimizer: [sgd, adam]" in example]
    runs = expand_runs(parse_sweep(f"name: s\ndataset: shapes\nmodel: lenet\n{optimizers}", "guide")).runs
    assert "three of `sgd` and one of `adam`" in GUIDE
    assert sorted(run.hyperparameters.optimizer for run in runs) == ["adam", "sgd", "sgd", "sgd"]


@pytest.mark.parametrize(
    ("claim", "part", "count"),
    [
        ("Here are 3 trials, not 9", "zip: [lr, batch_size]", 3),
        ("Here are 4 trials: `adam`, and `sgd`", "nesterov: {momentum: '> 0'}", 4),
        ("10, 11, 12, 13, 14", "seeds: 5", 5),
    ],
)
def test_numbers_of_settings_in_the_guide_are_right(claim: str, part: str, count: int) -> None:
    assert claim in GUIDE
    (example,) = [example for example in EXAMPLES if part in example]
    expansion = expand_runs(parse_sweep(f"name: s\ndataset: shapes\nmodel: lenet\n{example}", "guide"))
    assert (len(expansion.runs), expansion.duplicates) == (count, 0)


@pytest.mark.parametrize("method", ["grid", *SAMPLERS.names, *PRUNERS.names, *DISTRIBUTIONS])
def test_every_method_and_distribution_stands_in_the_guide(method: str) -> None:
    assert f"`{method}`" in GUIDE


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution_stands_in_an_example(distribution: str) -> None:
    assert any(f"{{{distribution}: [" in example for example in EXAMPLES)


def test_every_key_of_the_rules_and_searches_stands_in_the_guide_with_its_default() -> None:
    for component in (registry.get(name) for registry in (SAMPLERS, PRUNERS) for name in registry.names):
        for key, field in component.model_fields.items():
            has_default = not field.is_required() and key not in ("seed", "round")
            assert f"`{key}: {field.default:g}`" in GUIDE if has_default else f"`{key}`" in GUIDE


@pytest.mark.parametrize("name", ["s", "007", "null", "on", "Größe 1"])
def test_starter_file_is_a_sweep_of_four_runs(name: str) -> None:
    spec = parse_sweep(starter_file(name), "starter")
    assert spec.name == name
    assert len(expand_runs(spec).runs) == 4


def test_starter_file_takes_every_data_set_and_model() -> None:
    for dataset in set(DATASETS.names) - {"image_folder"}:  # which needs a path
        assert parse_sweep(starter_file("s", dataset), "starter").dataset_choice.name == dataset
    for model in MODELS.names:
        parsed = parse_sweep(starter_file("s", model=model), "starter").model
        assert parsed is not None
        assert parsed.name == model


@pytest.mark.parametrize("key", KEYS)
def test_starter_file_shows_every_key(key: str) -> None:
    assert re.search(rf"^[ #]*{key}:", starter_file("s"), re.MULTILINE)


SWITCHED_OFF = re.findall(r"^((?:  )?)# ([a-z_0-9.]+):(?!  #)(.*)$", starter_file("s"), re.MULTILINE)


@pytest.mark.parametrize(("indent", "key", "value"), SWITCHED_OFF)
def test_what_the_starter_file_switches_off_can_be_switched_on(indent: str, key: str, value: str) -> None:
    others = re.sub(rf"^{indent}{key}:.*\n", "", starter_file("s"), flags=re.MULTILINE)
    text = others.replace(f"{indent}# {key}:{value}\n", f"{indent}{key}:{value}\n")
    needed = {
        "momentum": ["params.optimizer=sgd"],
        "nesterov": ["params.optimizer=sgd"],
        "model.channels": ["model=cnn"],
    }
    assert_has_runs(parse_sweep(text, "starter", needed.get(key, [])))


@pytest.mark.parametrize("file", sorted((ROOT / "sweeps").glob("*.yaml")), ids=lambda file: file.name)
def test_sweeps_of_the_repository_are_without_mistakes(file: Path) -> None:
    assert count_runs(load_sweep(file)).runs
