"""The trials of a sweep: `zip`, `when`, `exclude`, `include`, seeds and folds; and how many runs they make."""

import hashlib
import itertools
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnsweep.config.dump import as_written, dump_spec, flow_yaml
from cnnsweep.config.grid import count_runs, dimensions, grid_params
from cnnsweep.config.load import parse_sweep
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import Expansion, expand_runs
from cnnsweep.errors import UsageError
from cnnsweep.types import Choice, Run

HEAD = "name: s\ndataset: shapes\n"


def spec_of(text: str) -> SweepSpec:
    model = "" if "model: " in text else "model: lenet\n"
    return parse_sweep(HEAD + model + text, "f")


def expand(text: str) -> Expansion:
    spec = spec_of(text)
    expansion = expand_runs(spec)
    assert count_runs(spec).runs == len(expansion.runs) + expansion.duplicates
    return expansion


def rows(text: str) -> list[tuple[Any, ...]]:
    return [tuple(run.params.values()) for run in expand(text).runs]


# zip


def test_zipped_axes_move_together_where_the_first_of_them_stands() -> None:
    zipped = "params: {batch_size: [64, 32], epochs: [1, 2], lr: [0.1, 0.2]}\nzip: [lr, batch_size]\n"
    assert [tuple(sorted(run.params.items())) for run in expand(zipped).runs] == [
        (("batch_size", 64), ("epochs", 1), ("lr", 0.1)),
        (("batch_size", 64), ("epochs", 2), ("lr", 0.1)),
        (("batch_size", 32), ("epochs", 1), ("lr", 0.2)),
        (("batch_size", 32), ("epochs", 2), ("lr", 0.2)),
    ]
    assert [dimension.name for dimension in dimensions(spec_of(zipped))] == ["batch_size+lr", "epochs"]


def test_several_groups_and_equal_values_within_one() -> None:
    text = "params: {lr: [1, 2, 1], epochs: [1, 2], batch_size: [8, 8, 4], shuffle: [yes, no]}\n"
    text += "zip: [[lr, batch_size], [shuffle, epochs]]\n"
    assert [(run.params["lr"], run.params["batch_size"], run.params["epochs"]) for run in expand(text).runs] == [
        *((1, 8, 1), (1, 8, 2), (2, 8, 1), (2, 8, 2), (1, 4, 1), (1, 4, 2))
    ]  # fmt: skip


def test_zipped_rows_that_are_equal_are_one_run() -> None:
    expansion = expand("params: {lr: [1, 2, 1], batch_size: [8, 8, 8]}\nzip: [lr, batch_size]\n")
    assert (len(expansion.runs), expansion.duplicates) == (2, 1)


def test_order_is_kept_where_values_repeat_and_another_axis_has_a_condition() -> None:
    text = "params: {lr: [1, 2, 1], batch_size: [8, 8, 4], epochs: [1, 2]}\nzip: [lr, batch_size]\n"
    text += "when: {epochs: {lr: 2}}\n"
    assert rows(text) == [(1, 8, 10), (2, 8, 1), (2, 8, 2), (1, 4, 10)]


# when


def test_axis_counts_only_under_its_condition_and_has_its_default_elsewhere() -> None:
    expansion = expand("params: {optimizer: [adam, sgd], momentum: [0.8, 0.9]}\nwhen: {momentum: {optimizer: sgd}}\n")
    assert [tuple(run.params.values()) for run in expansion.runs] == [("adam", None), ("sgd", 0.8), ("sgd", 0.9)]
    assert expansion.duplicates == 0
    assert rows("params: {lr: [1, 2], epochs: [1, 2]}\nwhen: {epochs: {lr: '> 1'}}\n") == [(1, 10), (2, 1), (2, 2)]


def test_axis_may_stand_before_the_one_that_its_condition_names() -> None:
    text = "params: {momentum: [0.9, 0.8], optimizer: [adam, sgd], lr: [2, 1]}\nwhen: {momentum: {optimizer: sgd}}\n"
    assert rows(text) == [
        *((None, "adam", 2), (None, "adam", 1)),
        *((0.9, "sgd", 2), (0.9, "sgd", 1), (0.8, "sgd", 2), (0.8, "sgd", 1)),
    ]


def test_conditions_make_chains_in_any_order() -> None:
    text = "params: {optimizer: [adam, sgd], momentum: [0, 0.9], nesterov: [no, yes]}\n"
    text += "when: {nesterov: {momentum: '> 0'}, momentum: {optimizer: sgd}}\n"
    assert rows(text) == [
        *(("adam", None, None), ("sgd", 0, False)),
        *(("sgd", 0.9, False), ("sgd", 0.9, True)),
    ]
    assert expand(text).duplicates == 0


def test_condition_on_several_keys_needs_all_of_them() -> None:
    text = "params: {lr: [1, 2], epochs: [1, 2], batch_size: [4, 8]}\nwhen: {batch_size: {lr: 1, epochs: [2, 3]}}\n"
    text = text.replace("[2, 3]", "['>= 2']")
    assert rows(text) == [(1, 1, 128), (1, 2, 4), (1, 2, 8), (2, 1, 128), (2, 2, 128)]


def test_single_value_may_have_a_condition() -> None:
    text = "params: {optimizer: [adam, sgd], weight_decay: 0.1}\nwhen: {weight_decay: {optimizer: sgd}}\n"
    assert rows(text) == [("adam", 0), ("sgd", 0.1)]
    assert [run.name.partition("-")[0] for run in expand(text).runs] == [
        "optimizer=adam,weight_decay=0.0",
        "optimizer=sgd,weight_decay=0.1",
    ]


def test_model_under_a_condition_is_the_one_at_the_top_elsewhere() -> None:
    text = "model: lenet\nparams: {lr: [1, 2], model: [cnn, resnet18]}\nwhen: {model: {lr: 2}}\n"
    assert rows(text) == [(1, "lenet"), (2, "cnn"), (2, "resnet18")]
    assert [run.model.name for run in expand(text).runs] == ["lenet", "cnn", "resnet18"]


def test_argument_of_the_model_under_a_condition() -> None:
    text = "params: {model: [lenet, cnn], model.pool: [1, 2]}\nwhen: {model.pool: {model: cnn}}\n"
    assert [(run.model.name, dict(run.model.arguments)) for run in expand(text).runs] == [
        *(("lenet", {}), ("cnn", {"pool": 1}), ("cnn", {"pool": 2}))
    ]  # fmt: skip


# exclude


def test_exclude_leaves_combinations_out() -> None:
    assert rows("params: {lr: [1, 2], epochs: [1, 2]}\nexclude: [{lr: 1, epochs: '> 1'}]\n") == [(1, 1), (2, 1), (2, 2)]


def test_exclude_sees_what_conditions_leave() -> None:
    text = "params: {optimizer: [adam, sgd], momentum: [0, 0.9]}\nwhen: {momentum: {optimizer: sgd}}\n"
    assert rows(text + "exclude: [{momentum: '!= 0.9'}]\n") == [("adam", None), ("sgd", 0.9)]


def test_exclude_that_leaves_nothing_is_said() -> None:
    with pytest.raises(UsageError, match="exclude: its conditions leave no combination to train"):
        expand_runs(spec_of("params: {lr: [1, 2]}\nexclude: [{lr: '> 0'}]\n"))


# include


def test_included_settings_come_after_the_grid_and_may_bring_other_keys() -> None:
    text = "params: {lr: [1, 2], epochs: 3}\ninclude: [{lr: 5}, {label_smoothing: 0.1, lr: 1, epochs: 4}]\n"
    expansion = expand(text)
    assert [run.params for run in expansion.runs] == [
        {"lr": 1, "epochs": 3, "label_smoothing": 0.0},
        {"lr": 2, "epochs": 3, "label_smoothing": 0.0},
        {"lr": 5, "epochs": 3, "label_smoothing": 0.0},
        {"lr": 1, "epochs": 4, "label_smoothing": 0.1},
    ]
    assert [run.name.rpartition("-")[0] for run in expansion.runs][2:] == [
        "lr=5.0,epochs=3,label_smoothing=0.0",
        "lr=1.0,epochs=4,label_smoothing=0.1",
    ]


def test_included_setting_that_the_grid_has_is_a_duplicate() -> None:
    assert expand("params: {lr: [1, 2]}\ninclude: [{lr: 1.0}]\n").duplicates == 1


def test_included_setting_is_not_excluded() -> None:
    assert rows("params: {lr: [1, 2]}\nexclude: [{lr: '> 1'}]\ninclude: [{lr: 2}]\n") == [(1,), (2,)]


def test_included_setting_needs_no_axis_that_does_not_apply_to_it() -> None:
    text = "params: {optimizer: [adam, sgd], momentum: [0.8, 0.9], lr: [1, 2]}\nwhen: {momentum: {optimizer: sgd}}\n"
    spec = spec_of(text + "include: [{optimizer: adam, lr: 3}, {optimizer: sgd, lr: 3, momentum: 0.5}]\n")
    assert spec.include == (
        {"optimizer": Choice("adam"), "lr": 3.0},
        {"optimizer": Choice("sgd"), "momentum": 0.5, "lr": 3.0},
    )
    assert parse_sweep(dump_spec(spec), "dumped") == spec


def test_included_arguments_of_models_are_one_value_each() -> None:
    (_, run) = expand("model: cnn\nparams: {lr: 1}\ninclude: [{model.channels: [6, 12], dropout: 0.1}]\n").runs
    assert run.model.arguments == {"channels": [6, 12], "dropout": 0.1}


def test_runs_of_a_search_are_those_of_include_until_it_asks() -> None:
    spec = spec_of("search: {method: random, runs: 7}\nparams: {lr: {uniform: [1, 2]}}\ninclude: [{lr: 3}]\nseeds: 2\n")
    assert (count_runs(spec).trials, count_runs(spec).included, count_runs(spec).runs) == (7, 1, 16)
    assert [run.hyperparameters.lr for run in expand_runs(spec).runs] == [3, 3]


# Seeds and folds


def test_each_setting_has_every_seed_and_fold() -> None:
    text = "params: {lr: [1, 2]}\nseed: 7\nseeds: 2\nvalidation: {folds: 3}\n"
    assert rows(text) == [(lr, seed, fold) for lr in (1, 2) for seed in (7, 8) for fold in (0, 1, 2)]
    runs = expand(text).runs
    assert [(run.hyperparameters.seed, run.fold) for run in runs[:4]] == [(7, 0), (7, 1), (7, 2), (8, 0)]
    assert runs[0].name.startswith("lr=1.0,seed=7,fold=0-")
    assert count_runs(spec_of(text)).replicates == 6


@pytest.mark.parametrize(
    ("written", "seeds"), [("1", (0,)), ("3", (0, 1, 2)), ("[5, 3]", (5, 3)), ("[9223372036854775807]", (2**63 - 1,))]
)
def test_seeds_are_a_number_or_a_list(written: str, seeds: tuple[int, ...]) -> None:
    assert spec_of(f"seeds: {written}\n").seeds == seeds


def test_configuration_is_the_same_for_replicates_and_another_for_settings() -> None:
    runs = expand("params: {lr: [1, 2], seed: [1, 2]}\nvalidation: {folds: 2}\n").runs
    assert_configurations_tell_settings(runs)
    more = expand("params: {lr: [1, 2]}\nseeds: [1, 2]\nvalidation: {folds: 2}\n").runs
    assert [run.trial_id for run in runs] == [run.trial_id for run in more]
    assert [run.id for run in runs] == [run.id for run in more]
    assert expand("params: {lr: 1}\n").runs[0].trial_id != runs[0].trial_id  # another split


def test_seeds_have_the_ids_that_the_axis_would_have() -> None:
    assert expand("seeds: [0]\n").runs[0].id == expand("").runs[0].id == expand("params: {seed: 0}\n").runs[0].id


def assert_configurations_tell_settings(runs: tuple[Run, ...]) -> None:
    by_trial: dict[str, set[str]] = {}
    for run in runs:
        setting = {key: value for key, value in run.params.items() if key not in ("seed", "fold")}
        by_trial.setdefault(run.trial_id, set()).add(json.dumps(setting))
    assert all(len(found) == 1 for found in by_trial.values())
    assert len({next(iter(found)) for found in by_trial.values()}) == len(by_trial)


def test_scope_other_than_best_changes_the_id() -> None:
    ids = {expand(f"scope: {scope}\n").runs[0].id for scope in ("best", "last", "mean of last 3")}
    assert len(ids) == 3
    assert expand("").runs[0].id in ids


def test_search_and_rules_do_not_change_the_id() -> None:
    run = expand("params: {lr: 1}\n").runs[0]
    same = "params: {lr: [1, 2]}\nexclude: [{lr: 2}]\nearly_stop: halving\n"
    assert expand(same).runs[0].id == run.id
    drawn = spec_of("params: {lr: [1, 2]}\nsearch: {method: random, runs: 1}\ninclude: [{lr: 1}]\n")
    assert expand_runs(drawn).runs[0].id == run.id


def test_id_is_the_hash_of_plain_json() -> None:
    spec = spec_of("model: {name: cnn, channels: [8], padding: same}\nparams: {schedule: [{name: step, every: 2}]}\n")
    (run,) = expand_runs(spec).runs
    hyperparameters = {
        **{"lr": 0.001, "batch_size": 128, "shuffle": True, "epochs": 10, "optimizer": "adam", "momentum": None},
        **{"nesterov": None, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0, "label_smoothing": 0},
        **{"schedule": {"name": "step", "warmup": 0, "final": 0, "peak": 0.3, "every": 2, "factor": 0.1}},
        **{"grad_clip": None, "augment": {"flip": False, "crop": 0, "cutout": 0}, "seed": 0},
    }
    shapes = {"size": 28, "channels": 1, "classes": 10, "train": 10000, "test": 2000, "seed": 0}
    normalize = {"kind": "standard", "mean": None, "std": None}
    identity = {
        "dataset": {"name": "shapes", "arguments": shapes, "code": None, "normalize": normalize},
        "model": {"name": "cnn", "arguments": {"channels": [8], "padding": "same"}, "code": None},
        "hyperparameters": hyperparameters,
        **{"validation": 0.1, "sweep_seed": 0, "precision": "fp32", "metric": "val_accuracy", "mode": "max"},
    }
    assert {key: getattr(run.hyperparameters, key) for key in ("lr", "eps", "seed")} == {
        "lr": 1e-3,
        "eps": 1e-8,
        "seed": 0,
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    assert run.id == hashlib.sha256(text.encode()).hexdigest()[:16]


# Counting


def test_billion_combinations_with_conditions_are_counted() -> None:
    values = "[" + ", ".join(str(n / 1000) for n in range(1, 1000)) + "]"
    text = f"params: {{lr: {values}, label_smoothing: {values}, dropout: {values}, "
    text += "optimizer: [adam, sgd], momentum: [0, 0.9]}\n"
    text += "when: {momentum: {optimizer: sgd}}\nexclude: [{optimizer: adam, dropout: '> 0.5'}]\n"
    count = count_runs(spec_of(text))
    assert (count.trials, count.is_exact) == (999**2 * (999 * 2 + 500), True)
    with pytest.raises(UsageError, match="the sweep has 2,493,006,498 combinations"):
        expand_runs(spec_of(text))


def test_what_is_too_much_to_look_at_is_counted_from_above() -> None:
    values = "[" + ", ".join(str(n / 1000) for n in range(1, 1000)) + "]"
    text = f"params: {{lr: {values}, dropout: {values}}}\nexclude: [{{lr: '> 0.5', dropout: 0.1}}]\n"
    count = count_runs(spec_of(text))
    assert (count.trials, count.is_exact) == (999**2, False)
    with pytest.raises(UsageError, match="the sweep has up to 998,001 combinations"):
        expand_runs(spec_of(text))


def test_ten_thousand_runs_are_made() -> None:
    lists = ", ".join(str(n + 1) for n in range(100))
    runs = expand(f"params: {{lr: [{lists}], batch_size: [{lists}]}}\n").runs
    assert len({run.id for run in runs}) == len({run.name for run in runs}) == 10_000


# Any sweep

VALUES: dict[str, list[Any]] = {
    "lr": [0.1, 0.2, 1, 2],
    "batch_size": [1, 2, 3, 4],
    "epochs": [1, 2, 3],
    "optimizer": ["adam", "sgd", "rmsprop"],
    "label_smoothing": [0, 0.1, 0.2],
    "shuffle": [True, False],
    "schedule": ["cosine", "step", {"name": "step", "every": 3}],
    "model.pool": [1, 2],
}


@st.composite
def sweeps(draw: st.DrawFn) -> dict[str, Any]:
    keys = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5, unique=True))
    params = {key: draw(st.lists(st.sampled_from(VALUES[key]), min_size=1, max_size=3)) for key in keys}
    sweep: dict[str, Any] = {"name": "s", "dataset": "shapes", "model": "cnn", "params": params}
    pairs = [(one, other) for one, other in itertools.combinations(keys, 2) if len(params[one]) == len(params[other])]
    zipped = draw(st.none() | st.sampled_from(pairs)) if pairs else None
    if zipped:
        sweep["zip"] = list(zipped)

    def condition(among: list[str]) -> dict[str, Any]:
        chosen = draw(st.lists(st.sampled_from(among), min_size=1, max_size=2, unique=True))
        return {key: draw(test_of(key)) for key in chosen}

    def test_of(key: str) -> st.SearchStrategy[Any]:
        one = st.sampled_from(params[key])
        plain = one | st.lists(one, min_size=1, max_size=2)
        signs = ["> {}", "<= {}", "!= {}", "> 0 and < {}"] if type(params[key][0]) in (int, float) else []
        compared = st.tuples(st.sampled_from(signs), one).map(lambda pair: pair[0].format(pair[1])) if signs else plain
        return plain | compared

    free = [key for key in keys if key not in (zipped or ())]
    when = {key: condition(keys[n:]) for n, key in enumerate(free_of(keys, free), start=1) if draw(st.booleans())}
    if when:
        sweep["when"] = when
    if draw(st.booleans()):
        sweep["exclude"] = [condition(keys) for _ in range(draw(st.integers(1, 2)))]
    if draw(st.booleans()):
        included = {key: draw(st.sampled_from(VALUES[key])) for key in keys}
        sweep["include"] = [included]
    if draw(st.booleans()):
        sweep["seeds"] = draw(st.sampled_from([1, 2, [4, 2]]))
    if draw(st.booleans()):
        sweep["validation"] = {"folds": draw(st.integers(2, 3))}
    return sweep


def free_of(keys: list[str], free: list[str]) -> list[str]:
    """Return the keys from the first on that may depend on those after them."""
    return list(itertools.takewhile(lambda key: key in free, keys[:-1]))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(sweep=sweeps())
def test_any_sweep_has_as_many_runs_as_counted(sweep: dict[str, Any]) -> None:
    spec = parse_sweep("".join(f"{key}: {flow_yaml(value)}\n" for key, value in sweep.items()), "f")
    count = count_runs(spec)
    try:
        expansion = expand_runs(spec)
    except UsageError:
        assert count.runs == 0
        return
    assert count.runs == len(expansion.runs) + expansion.duplicates
    assert count.replicates == max(len(spec.seeds), 1) * (spec.folds or 1)
    names = Counter(run.name for run in expansion.runs)
    assert max(names.values()) == 1
    assert_configurations_tell_settings(expansion.runs)
    assert parse_sweep(dump_spec(spec), "dumped") == spec
    assert expand_runs(parse_sweep(dump_spec(spec), "dumped")) == expansion


@settings(max_examples=300, derandomize=True, deadline=None)
@given(sweep=sweeps())
def test_settings_are_those_of_the_product_that_the_conditions_allow(sweep: dict[str, Any]) -> None:
    spec = parse_sweep("".join(f"{key}: {flow_yaml(value)}\n" for key, value in sweep.items()), "f")
    expected: list[dict[str, Any]] = []
    places: list[tuple[int, ...]] = []
    for options in itertools.product(*(range(len(dimension.options)) for dimension in dimensions(spec))):
        setting: dict[str, Any] = {}
        for dimension, place in zip(dimensions(spec), options, strict=True):
            setting.update(zip(dimension.keys, dimension.options[place], strict=True))
        # A key that counts only under a condition, and does not, is taken once: with its first value.
        kept = allowed_keys(spec, setting)
        ignored = [d.keys[0] not in kept for d in dimensions(spec)]
        if any(place for place, is_ignored in zip(options, ignored, strict=True) if is_ignored):
            continue
        setting = {key: value for key, value in setting.items() if key in kept}
        written = {key: as_written(value) for key, value in setting.items()}
        if not any(condition.holds(written) for condition in spec.exclude):
            expected.append(setting)
            places.append(tuple(-1 if is_ignored else p for p, is_ignored in zip(options, ignored, strict=True)))
    in_order = [setting for _, setting in sorted(zip(places, expected, strict=True), key=lambda pair: pair[0])]
    assert list(grid_params(spec)) == in_order


def allowed_keys(spec: SweepSpec, setting: dict[str, Any]) -> set[str]:
    kept = {key for key in setting if key not in spec.when}
    for _ in spec.when:  # as long as the longest chain can be
        written = {key: as_written(setting[key]) for key in kept}
        kept |= {key for key, condition in spec.when.items() if condition.holds(written)}
    return kept
