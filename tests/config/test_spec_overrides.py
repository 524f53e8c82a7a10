import pytest

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.schema import SweepSpec
from cnnsweep.errors import SpecError
from cnnsweep.pruners.halving import Halving
from cnnsweep.pruners.median import Median
from cnnsweep.samplers.random import Random
from cnnsweep.samplers.space import Interval
from cnnsweep.types import Choice, ModelChoice

SWEEP = "name: s\ndataset: shapes\nprecision: fp32\nmodel: cnn\nparams:\n  lr: 0.1\n  epochs: [1, 2]\n"


def parse(*overrides: str) -> SweepSpec:
    return parse_sweep(SWEEP, "sweep.yaml", overrides)


def problems_of(*overrides: str, sweep: str = SWEEP) -> list[str]:
    with pytest.raises(SpecError) as raised:
        parse_sweep(sweep, "sweep.yaml", overrides)
    return str(raised.value).splitlines()


def test_override_replaces_a_value_in_its_place() -> None:
    assert list(parse("params.lr=[0.1, 1e-3]").axes.items()) == [("lr", (0.1, 0.001)), ("epochs", (1, 2))]


def test_override_adds_a_key_at_the_end() -> None:
    assert list(parse("params.batch_size=64").axes) == ["lr", "epochs", "batch_size"]
    assert parse("description='a: b'").description == "a: b"


def test_last_override_of_a_key_counts() -> None:
    assert parse("seed=1", "seed=2").seed == 2


def test_override_reaches_into_mappings_and_makes_them() -> None:
    assert parse("dataset.size=32").dataset_choice.arguments["size"] == 32
    assert parse("dataset.normalize.mean=0.5", "dataset.normalize.std=1").dataset_choice.normalize.mean == (0.5,)
    assert parse("model.channels=[8, 16]").model == ModelChoice("cnn", {"channels": [8, 16]})
    assert parse("tensorboard.images=false").tensorboard.images is False
    assert parse("params.schedule=cosine", "params.schedule.warmup=2").axes["schedule"] == (
        Choice("cosine", {"warmup": 2.0}),
    )


def test_switch_of_tensorboard_becomes_switches() -> None:
    spec = parse_sweep(SWEEP + "tensorboard: false\n", "f", ["tensorboard.images=true"])
    assert (spec.tensorboard.images, spec.tensorboard.graph) == (True, False)


def test_override_makes_params() -> None:
    spec = parse_sweep("name: s\ndataset: shapes\nmodel: cnn\n", "f", ["params.lr=0.5"])
    assert spec.axes == {"lr": (0.5,)}


def test_model_arguments_are_keys_of_params() -> None:
    assert parse("params.model.channels=[[6, 12]]").axes["model.channels"] == ([6, 12],)
    assert parse("params.model=lenet").axes["model"] == (ModelChoice("lenet"),)


def test_override_reaches_into_a_search_and_a_rule() -> None:
    for search in ("", "search: grid\n", "search: {method: tpe, runs: 3, round: 2}\n"):
        spec = parse_sweep(SWEEP + search, "f", ["search.method=tpe", "search.runs=20"])
        assert (spec.search.name, spec.search.runs) == ("tpe", 20)
    assert parse_sweep(SWEEP + "search: {method: random, runs: 3}\n", "f", ["search.runs=20"]).search.runs == 20
    rule = parse_sweep(SWEEP + "early_stop: halving\n", "f", ["early_stop.factor=4"]).early_stop
    assert rule == Halving(factor=4)
    assert parse("search={method: random, runs: 5}").search == Random(runs=5)
    assert parse("early_stop=median").early_stop == Median()


def test_override_shapes_the_space() -> None:
    spec = parse("params.lr=[0.1, 1]", "exclude=[{lr: '> 0.1'}]", "when.epochs={lr: 1}")
    assert spec.exclude[0].holds({"lr": 1})
    assert list(spec.when) == ["epochs"]
    assert parse("params.lr=[0.1, 1]", "zip=[lr, epochs]").zips == (("lr", "epochs"),)
    assert parse("include=[{epochs: 3}]").include == ({"lr": 0.1, "epochs": 3},)
    assert parse("search={method: random, runs: 3}", "params.lr={log_uniform: [1e-4, 1]}").axes["lr"] == Interval(
        "log_uniform", 1e-4, 1
    )
    assert parse("seeds=3", "seed=4", "validation.folds=3", "scope=last").seeds == (4, 5, 6)


def test_override_of_a_name_is_what_is_written() -> None:
    assert parse("name=007").name == "007"


def test_override_mends_a_mistake_of_the_file() -> None:
    broken = SWEEP.replace("lr: 0.1", "lr: {a: [1, 2]}")
    assert parse_sweep(broken, "f", ["params.lr=0.1"]).axes["lr"] == (0.1,)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("params.lr=-0.1", "params.lr: found -0.1, allowed is a number above 0"),
        ("params.lr=[0.1, x]", "params.lr: found 'x', allowed is a number above 0"),
        ("params.lrr=1", "params.lrr: unknown key; did you mean 'lr'?"),
        ("lr=0.1", "lr: this key belongs under params"),
        ("model.chanels=3", "model.chanels: unknown key; did you mean 'channels'?"),
        ("params.nesterov=true", "params.nesterov: used by none of the optimizers named (adam), only by muon, sgd"),
        ("params.model.pool=[0]", "params.model.pool: found 0, allowed is a whole number from 1 to 1,000"),
        ("params.lr", "allowed is KEY=VALUE, such as --set params.lr=0.01"),
        ("=3", "allowed is KEY=VALUE, such as --set params.lr=0.01"),
        ("params..lr=3", "allowed is KEY=VALUE, such as --set params.lr=0.01"),
        ("params.lr=[0.1", "this list is not closed: a ',' or ']' is missing"),
        ("params.lr=", "params.lr: found nothing, allowed is a number above 0"),
        ("seed=&a 1", "&a is a YAML anchor, which is not allowed; leave it out, or quote it"),
        ("params.epochs.x=1", "params.epochs is a list in the file, so it has no key 'x'"),
        ("name.x=1", "name is a single value in the file, so it has no key 'x'"),
        ("precision.x=1", "precision is a single value in the file, so it has no key 'x'"),
        ("search.runs=20", "search.method: missing; add for example `method: random`"),
        ("search=random", "search.runs: missing; add for example `runs: 20`"),
        ("early_stop.factor=4", "early_stop.method: missing; add for example `method: halving`"),
        ("exclude=[{lr: '> adam'}]", "exclude.lr: found '> adam', but only numbers are larger or smaller than others"),
        ("exclude=[{lr: > 0.1}]", "no value can begin with this character; put the text in quotes"),
        ("zip=[lr, epochs]", "zip: axes that move together need equally many values, but lr has 1, epochs has 2"),
        ("scope=first", "scope: found 'first', allowed is best, last, or mean of last K, such as mean of last 3"),
        ("model=resnt18", "model: unknown 'resnt18'; did you mean 'resnet18'?"),
    ],
)  # fmt: skip
def test_wrong_override_is_named(override: str, problem: str) -> None:
    assert problems_of(override) == [f"--set {override}  {problem}"]


def test_override_with_a_terminal_escape_is_shown_harmless() -> None:
    (line,) = problems_of("name=\x1b[31m")
    assert line.startswith(r"--set 'name=\x1b[31m'  the character U+001B is not allowed")


def test_mistakes_of_overrides_come_after_those_of_the_file() -> None:
    lines = problems_of("params.epochs=0", "seed=-1", sweep=SWEEP.replace("0.1", "-0.1"))
    assert [line.partition("  ")[0] for line in lines] == ["sweep.yaml:6:7", "--set params.epochs=0", "--set seed=-1"]


def test_unknown_argument_of_the_file_is_found_behind_an_override() -> None:
    sweep = "name: s\ndataset: shapes\nmodel: cnn2\n"
    assert problems_of("model.channels=[8]", sweep=sweep) == [
        "sweep.yaml:3:8  model.name: unknown 'cnn2'; did you mean 'cnn'?"
    ]
