"""The JSON Schema is checked with a small validator of our own, for the keywords that it uses."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnnsweep.config.json_schema import sweep_json_schema
from cnnsweep.config.load import parse_sweep
from cnnsweep.config.schema import Params, SweepFile
from cnnsweep.config.template import starter_file
from cnnsweep.config.yaml import read_yaml
from cnnsweep.datasets.base import DATASETS
from cnnsweep.errors import SpecError
from cnnsweep.losses.base import LABEL_SMOOTHING, LOSSES
from cnnsweep.models.base import MODELS
from cnnsweep.models.cnn import ConfigurableCNN
from cnnsweep.optimizers.base import FLAT, OPTIMIZERS
from cnnsweep.samplers.base import SAMPLERS

SCHEMA = sweep_json_schema()
TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value == int(value),
}
NOTES = {"description", "title", "default", "examples", "$schema", "$defs"}


def is_valid(value: Any, schema: Any) -> bool:
    if isinstance(schema, bool):
        return schema
    return all(holds(keyword, value, schema) for keyword in schema if keyword not in NOTES)


def holds(keyword: str, value: Any, schema: dict[str, Any]) -> bool:
    rule = schema[keyword]
    is_number = TYPES["number"](value)
    if keyword in ("required", "properties", "patternProperties", "additionalProperties") and not isinstance(
        value, dict
    ):
        return True
    match keyword:
        case "$ref":
            return is_valid(value, SCHEMA["$defs"][rule.removeprefix("#/$defs/")])
        case "type":
            return TYPES[rule](value)
        case "enum":
            return value in rule
        case "const":
            return bool(value == rule)
        case "anyOf":
            return any(is_valid(value, option) for option in rule)
        case "oneOf":
            return sum(is_valid(value, option) for option in rule) == 1
        case "not":
            return not is_valid(value, rule)
        case "pattern":
            return not isinstance(value, str) or re.search(rule, value) is not None
        case "maxLength":
            return not isinstance(value, str) or len(value) <= rule
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            checks = {"minimum": value >= rule, "maximum": value <= rule} if is_number else {}
            checks |= {"exclusiveMinimum": value > rule, "exclusiveMaximum": value < rule} if is_number else {}
            return bool(checks.get(keyword, True))
        case "items":
            return not isinstance(value, list) or all(is_valid(item, rule) for item in value)
        case "minItems" | "maxItems":
            return not isinstance(value, list) or (len(value) >= rule if keyword == "minItems" else len(value) <= rule)
        case "uniqueItems":
            return not isinstance(value, list) or all(item not in value[:n] for n, item in enumerate(value))
        case "minProperties":
            return not isinstance(value, dict) or len(value) >= rule
        case "required":
            return all(key in value for key in rule)
        case "properties":
            return all(is_valid(value[key], rule[key]) for key in value if key in rule)
        case "patternProperties":
            return all(is_valid(value[key], rule[name]) for name in rule for key in value if re.search(name, key))
        case "additionalProperties":
            patterns = schema.get("patternProperties", {})
            rest = [key for key in value if key not in schema.get("properties", {})]
            rest = [key for key in rest if not any(re.search(pattern, key) for pattern in patterns)]
            return all(is_valid(value[key], rule) for key in rest)
    raise AssertionError(f"the test knows nothing of {keyword}")


def is_valid_sweep(text: str) -> bool:
    return is_valid(read_yaml(text, "f").value, SCHEMA)


def examples() -> Iterator[str]:
    root = Path(__file__).parent.parent.parent
    for file in sorted((root / "sweeps").glob("*.yaml")):
        yield file.read_text(encoding="utf-8")
    yield starter_file("s")
    guide = (root / "docs" / "sweep-file.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL):
        head = ("name: s\n", "dataset: shapes\n")
        yield "".join(line for line in head if f"\n{line.split(' ')[0]}" not in f"\n{block}") + block


@pytest.mark.parametrize("text", list(examples()))
def test_examples_are_valid(text: str) -> None:
    assert is_valid_sweep(text)


HEAD = "name: s\ndataset: shapes\nmodel: lenet\n"


@pytest.mark.parametrize(
    "text",
    [
        "dataset: shapes\nmodel: lenet\n",
        HEAD + "lr: 0.1\n",
        HEAD + "params: {lr: -0.1}\n",
        HEAD + "params: {lr: []}\n",
        HEAD + "params: {lrr: 0.1}\n",
        HEAD + "params: {optimizer: [adam, adma]}\n",
        HEAD + "params: {schedule: {name: cosine, every: 2}}\n",
        HEAD + "params: {augment: flipp}\n",
        HEAD + "device: gpu\n",
        HEAD + "validation: 1.5\n",
        "name: a/b\ndataset: shapes\nmodel: lenet\n",
        "name: s\ndataset: shape\nmodel: lenet\n",
        "name: s\ndataset: {name: shapes, size: 4}\nmodel: lenet\n",
        "name: s\ndataset: shapes\nmodel: resnt18\n",
        "name: s\ndataset: shapes\nmodel: {name: lenet, chanels: [6]}\n",
        "name: s\ndataset: shapes\nmodel: {name: resnet18, weights: DEFAULT}\n",
    ],
)
def test_mistakes_are_not_valid(text: str) -> None:
    assert is_valid_sweep(HEAD)
    assert not is_valid_sweep(text)


@pytest.mark.parametrize(
    "text",
    [
        "params: {lr: {uniform: [0.1]}}\n",
        "params: {lr: {uniform: [0.1, 1], steps: 0.1}}\n",
        "params: {lr: {choice: []}}\n",
        "params: {lr: {choice: [0.1, x]}}\n",
        "search: random\n",
        "search: {method: random}\n",
        "search: {method: bayes, runs: 3}\n",
        "search: {method: random, runs: 3, round: 2}\n",
        "seeds: 0\n",
        "seeds: [1, 1]\n",
        "scope: first\n",
        "scope: mean of last 0\n",
        "early_stop: patience\n",
        "early_stop: {method: patience, epochs: 3, factor: 2}\n",
        "validation: {folds: 1}\n",
    ],
)
def test_mistakes_in_the_search_are_not_valid(text: str) -> None:
    assert not is_valid_sweep(HEAD + text)
    with pytest.raises(SpecError):
        parse_sweep(HEAD + text, "f")


SEARCHES = [
    *(f"search: {{method: {method}, runs: 3, seed: 1}}\n" for method in SAMPLERS.names),
    *(f"search: {{method: {method}, runs: 3, round: 2}}\n" for method in ("tpe", "gp", "cmaes")),
    "search: grid\n",
    "search: {method: grid}\n",
]
RULES = [
    *(f"early_stop: {method}\n" for method in ("halving", "hyperband", "median")),
    *(f"early_stop: {{method: {method}, min_epochs: 2, factor: 2.5}}\n" for method in ("halving", "hyperband")),
    "early_stop: {method: median, min_epochs: 2, min_settings: 1}\n",
    "early_stop: {method: patience, min_epochs: 2, epochs: 1, min_delta: 0}\n",
    "early_stop: {method: threshold, min_epochs: 2, value: -1}\n",
]
DISTRIBUTED = [
    "lr: {uniform: [0.1, 1]}",
    "lr: {uniform: [0.1, 1], step: 0.1}",
    "lr: {log_uniform: [0.1, 1]}",
    "batch_size: {integer: [1, 9], step: 2}",
    "batch_size: {log_integer: [1, 9]}",
    "lr: {normal: [0.1, 0.01]}",
    "lr: {normal: [0.1, 1], min: 0.01, max: 1}",
    "augment: {choice: [none, flip+crop, {crop: 2}]}",
    "model.channels: {choice: [[6, 12], [3, 4]]}",
]
SHAPED = [
    *("seeds: 3\n", "seeds: [0, 7]\n", "validation: {folds: 5}\n"),
    *("scope: best\n", "scope: last\n", "scope: mean of last 12\n"),
    "zip: [lr, epochs]\nparams: {lr: [1, 2], epochs: [1, 2]}\n",
    "when: {epochs: {lr: ['> 1', 2]}}\nparams: {lr: [1, 2], epochs: [1, 2]}\n",
    "exclude: [{lr: '> 1'}]\ninclude: [{lr: 3}]\nparams: {lr: [1, 2]}\n",
]


@pytest.mark.parametrize("text", [*RULES, *SHAPED])
def test_what_the_loader_accepts_is_valid(text: str) -> None:
    parse_sweep(HEAD + text, "f")
    assert is_valid_sweep(HEAD + text)


@pytest.mark.parametrize("text", SEARCHES)
def test_every_search_that_the_loader_accepts_is_valid(text: str) -> None:
    drawn = "" if "grid" in text else "params: {lr: {uniform: [0.1, 1]}, eps: {log_uniform: [1e-9, 1e-7]}}\n"
    parse_sweep(HEAD + drawn + text, "f")
    assert is_valid_sweep(HEAD + drawn + text)


@pytest.mark.parametrize("axis", DISTRIBUTED)
def test_every_distribution_that_the_loader_accepts_is_valid(axis: str) -> None:
    text = f"{HEAD}search: {{method: random, runs: 3}}\nparams: {{{axis}}}\n"
    parse_sweep(text, "f")
    assert is_valid_sweep(text)


def test_own_code_is_valid_beside_the_known_names() -> None:
    assert is_valid_sweep("name: s\ndataset: {name: data.py:load, fold: 1}\nmodel: {name: 'pkg.mod:Net', width: 2}\n")
    assert is_valid_sweep("name: s\ndataset: pkg.data:load\nparams: {model: [nets.py:Net, lenet]}\n")


def test_every_key_has_a_description() -> None:
    assert set(SCHEMA["properties"]) == set(SweepFile.model_fields)
    arguments = {f"model.{argument}" for argument in ConfigurableCNN.model_fields}
    fields = {field for kind in OPTIMIZERS.built_in for field in kind.model_fields}
    arguments |= {f"optimizer.{argument}" for argument in fields - set(FLAT)}
    of_losses = {field for kind in LOSSES.built_in for field in kind.model_fields} - {LABEL_SMOOTHING}
    arguments |= {"loss", *(f"loss.{argument}" for argument in of_losses)}
    assert set(SCHEMA["$defs"]["Params"]["properties"]) == set(Params.model_fields) | arguments
    sections = [part for name, part in SCHEMA["$defs"].items() if name[0].isupper()]  # others are parts of keys
    for section in (SCHEMA, *sections):
        for key, property_ in section["properties"].items():
            assert len(property_["description"]) > 3, key
    assert SCHEMA["$defs"]["Params"]["patternProperties"]["^model[.].+$"]["description"]


def test_the_schema_is_small_enough_for_an_editor() -> None:
    assert len(json.dumps(SCHEMA)) < 100_000


def test_known_names_that_need_no_arguments_are_offered() -> None:
    assert set(SCHEMA["properties"]["dataset"]["anyOf"][0]["enum"]) == {*DATASETS.names} - {"image_folder"}
    assert SCHEMA["properties"]["model"]["anyOf"][0] == {"enum": list(MODELS.names)}


def test_defaults_are_shown_as_files_write_them() -> None:
    params = SCHEMA["$defs"]["Params"]["properties"]
    assert params["lr"]["default"] == 0.001
    assert params["schedule"]["default"] == "constant"
    assert params["augment"]["default"] == "none"
    assert "default" not in params["weight_decay"]
