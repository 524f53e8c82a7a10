"""The keys `class_weight` and `sampling`: mappings are told from distributions, and ids count them only if used."""

from __future__ import annotations

import pytest

from cnnsweep.config.dump import dump_spec
from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import SpecError
from cnnsweep.types import ClassWeights, Run

HEAD = "name: s\ndataset: shapes\nmodel: lenet\n"


def runs_of(params: str, more: str = "") -> tuple[Run, ...]:
    return expand_runs(parse_sweep(f"{HEAD}params: {{{params}}}\n{more}", "s.yaml")).runs


def weights_of(params: str, more: str = "") -> list[ClassWeights]:
    return [run.hyperparameters.class_weight for run in runs_of(params, more)]


def mistakes(params: str, more: str = "") -> str:
    with pytest.raises(SpecError) as refused:
        parse_sweep(f"{HEAD}params: {{{params}}}\n{more}", "s.yaml")
    return str(refused.value)


def test_a_mapping_has_any_names_of_classes():
    (weights,) = weights_of("class_weight: {normal: 4, uniform: 2, choice: 3, low: 0.5, name: 7, 1: 2, no: 3}")
    assert weights == ClassWeights(
        "given", (("1", 2), ("choice", 3), ("low", 0.5), ("name", 7), ("no", 3), ("normal", 4), ("uniform", 2))
    )
    assert [one.kind for one in weights_of("class_weight: [none, balanced, sqrt, {a: 2}]")] == [
        "none",
        "balanced",
        "sqrt",
        "given",
    ]


def test_a_search_draws_from_a_list_and_from_a_choice():
    for values in ("[none, {normal: 2}]", "{choice: [none, {normal: 2}]}"):
        spec = parse_sweep(
            f"{HEAD}search: {{method: random, runs: 2}}\nparams: {{class_weight: {values}, lr: {{uniform: [0.1, 1]}}}}",
            "s",
        )
        assert spec.axes["class_weight"] == (ClassWeights(), ClassWeights("given", (("normal", 2),)))


def test_conditions_and_included_trials_know_mappings():
    params = "class_weight: [none, {normal: 2}], lr: [0.1, 0.2]"
    assert len(weights_of(params, "exclude: [{class_weight: {normal: 2.0}, lr: 0.1}]")) == 3
    included = weights_of(params, "include: [{class_weight: {uniform: 5}, lr: 0.3}]")
    assert included[-1] == ClassWeights("given", (("uniform", 5),))
    assert "include.class_weight: found a distribution" in mistakes(
        params, "include: [{class_weight: {choice: [none]}, lr: 0.3}]"
    )


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ("class_weight: {a: 0}", "4:28  params.class_weight.a: found 0, allowed is a number from 1e-06 to 1,000,000"),
        ("class_weight: {a: -1, b: .inf}", "4:35  params.class_weight.b: found inf, allowed is a number from"),
        ("class_weight: {a: .nan}", "params.class_weight.a: found nan, allowed is a number from"),
        ("class_weight: {a: true}", "params.class_weight.a: found true, allowed is a number from"),
        ("class_weight: [none, {a: '2'}]", "4:35  params.class_weight.a: found '2' in quotes, allowed is a number"),
        ("class_weight: {uniform: [1, 2]}", "params.class_weight.uniform: found a list, allowed is a number"),
        ("class_weight: balancd", "4:24  params.class_weight: unknown 'balancd'; did you mean 'balanced'?"),
        ("class_weight: 3", "params.class_weight: found 3, allowed is one of none, balanced, sqrt, or a mapping of"),
        ("class_weight: {}", "params.class_weight: found an empty mapping, allowed is one of none, balanced, sqrt"),
        ("class_weight: ", "params.class_weight: found nothing, allowed is one of none, balanced, sqrt"),
        ("sampling: even", "params.sampling: unknown 'even'; allowed are natural, balanced"),
        ("sampling: 3", "params.sampling: found 3, allowed is one of natural, balanced"),
    ],
)
def test_wrong_values_are_said_with_their_place(params, words):
    assert words in mistakes(params)


def test_defaults_alone_do_not_change_an_id():
    (plain,) = runs_of("lr: 0.1")
    assert [run.id for run in runs_of("lr: 0.1, class_weight: [none], sampling: natural")] == [plain.id]
    assert (
        len({run.id for run in runs_of("class_weight: [none, balanced, sqrt, {a: 2}], sampling: [natural, balanced]")})
        == 8
    )


def test_equal_weights_are_one_run_in_any_order_and_form():
    assert len(runs_of("class_weight: [{a: 2, b: 3}, {b: 3.0, a: 2}]")) == 1


def test_shuffle_does_not_count_for_balanced_sampling():
    runs = runs_of("sampling: [natural, balanced], shuffle: [true, false]")
    assert [(run.params["sampling"], run.params["shuffle"]) for run in runs] == [
        ("natural", True),
        ("natural", False),
        ("balanced", True),
    ]


def test_frozen_file_means_the_same():
    text = f"{HEAD}params: {{class_weight: [none, {{no: 2, '1': 3.5, normal: 1}}], sampling: balanced}}\n"
    spec = parse_sweep(text, "s")
    frozen = parse_sweep(dump_spec(spec), "frozen")
    assert [run.id for run in expand_runs(frozen).runs] == [run.id for run in expand_runs(spec).runs]


def test_names_of_runs_show_the_weights():
    assert [run.name.rpartition("-")[0] for run in runs_of("class_weight: [balanced, {ship: 2, name: 0.5}]")] == [
        "class_weight=balanced",
        "class_weight=0.5+ship=2",
    ]
