"""`loss` is the spelling of `loss_function` in sweep files, everywhere that a key of `params` stands."""

from __future__ import annotations

import pytest

from cnnsweep.config.dump import dump_spec
from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import SpecError

HEAD = "name: s\ndataset: shapes\nmodel: lenet\n"
EVERYWHERE = """\
zip: [loss, lr]
when: {loss.gamma: {loss: focal}}
exclude: [{loss: focal, loss.gamma: 3}]
include: [{loss: poly, loss.epsilon: 2, lr: 0.5}]
params:
  loss: [cross_entropy, focal]
  lr: [0.1, 0.2]
  loss.gamma: [1, 2, 3]
"""


def ids(text: str, *options: str) -> list[str]:
    return [run.id for run in expand_runs(parse_sweep(HEAD + text, "s.yaml", options)).runs]


def mistakes(text: str, *options: str) -> list[str]:
    with pytest.raises(SpecError) as refused:
        parse_sweep(HEAD + text, "s.yaml", options)
    return str(refused.value).splitlines()


def test_both_spellings_mean_the_same_everywhere():
    assert len(ids(EVERYWHERE)) == 4
    assert ids(EVERYWHERE.replace("loss", "loss_function")) == ids(EVERYWHERE)


def test_tables_and_the_frozen_file_have_the_full_name():
    spec = parse_sweep(HEAD + EVERYWHERE, "s.yaml")
    assert list(expand_runs(spec).runs[1].params) == [
        "loss_function",
        "lr",
        "loss_function.gamma",
        "loss_function.epsilon",
    ]
    frozen = dump_spec(spec)
    assert " loss: " not in frozen
    assert ids(EVERYWHERE) == [run.id for run in expand_runs(parse_sweep(frozen, "frozen")).runs]


def test_arguments_as_keys_are_those_of_the_mapping():
    assert ids("params: {loss: focal, loss.gamma: [1, 2, 3.5]}") == ids(
        "params: {loss: [{name: focal, gamma: 1}, focal, {name: focal, gamma: 3.5}]}"
    )


def test_options_of_the_command_line_have_both_spellings():
    expected = ids("params: {loss: {name: focal, gamma: 3}}")
    for file in ("loss: poly", "loss_function: poly"):
        for key in ("loss", "loss_function"):
            options = [f"params.{key}=focal", f"params.{key}.gamma=3"]
            assert ids(f"params: {{{file}}}", *options) == expected
    assert ids("params: {lr: 0.1}", "params={loss: focal}") == ids("params: {loss: focal}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params: {loss: focal, loss_function: poly}", "4:10  params.loss: given as loss_function too, which is"),
        ("params: {loss: focl}", "4:16  params.loss: unknown 'focl'; did you mean 'focal'?"),
        ("params: {loss_function: focl}", "4:25  params.loss_function: unknown 'focl'; did you mean 'focal'?"),
        ("params: {loss: {name: focal, gama: 1}}", "4:30  params.loss.gama: unknown key; did you mean 'gamma'?"),
        ("params: {loss: focal, loss.gama: 1}", "no argument of the losses named (focal); did you mean 'loss.gamma'?"),
        ("params: {loss: focal, loss.gamma: -1}", "4:35  params.loss.gamma: found -1, allowed is a number of at"),
        ("params: {loss: {name: focal, gamma: 3}, loss.gamma: 1}", "loss.gamma: given in {name: focal, gamma: 3} too"),
        ("params: {loss: focal, loss.name: poly}", "params.loss.name: to compare losses, write `loss` here"),
        ("params: {loss.label_smoothing: 0.1}", "params.loss.label_smoothing: is a key of its own"),
        ("params: {loss.gamma: 2}", "loss.gamma: no argument of the losses named (cross_entropy); allowed are none"),
        ("params: {loss: focal}\nexclude: [{loss: poly}]", "5:18  exclude.loss: found 'poly', which is none"),
        ("params: {lr: 1}\nexclude: [{loss: poly}]", "5:12  exclude.loss: 'loss' is no key of params here"),
        ("params: {loss: [focal, poly]}\nzip: [loss, lr]", "zip: 'lr' is no key of params here; there are loss"),
        ("params: {lr: 0.1}\ninclude: [{lr: 1, loss.gamma: 2}]", "include.loss.gamma: no argument of the losses named"),
        ("params: {criterion: focal}", "params.criterion: unknown key; did you mean 'loss'?"),
        ("loss: focal\nparams: {lr: 0.1}", "4:1  loss: unknown key; did you mean 'loss', under params?"),
    ],
)  # fmt: skip
def test_mistakes_are_said_as_the_file_spells_them(text, words):
    assert words in "\n".join(mistakes(text))


def test_a_mistake_in_an_option_names_the_option():
    assert mistakes("params: {loss: focal}", "params.loss=ce") == [
        "--set params.loss=ce  params.loss: unknown 'ce'; did you mean 'cross_entropy'?"
    ]
