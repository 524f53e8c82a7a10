"""Every optimizer of torch that can train here has a name, with the arguments and defaults of torch's class."""

from __future__ import annotations

import inspect

import pytest
import torch
from test_new_optimizer import runs_of

from cnnsweep.config.load import parse_sweep
from cnnsweep.errors import SpecError
from cnnsweep.optimizers.base import OPTIMIZERS, REFUSED_OPTIMIZERS

CLASSES = {
    name.lower(): kind
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
}
# Arguments that change how torch computes, not what; or that would make training increase the loss.
LEFT_OUT = {"foreach", "fused", "capturable", "differentiable", "maximize"}
OTHERWISE = {("adam", "decoupled_weight_decay")}  # that is adamw
FIELDS_OF_OURS = {"adamw_lr", "beta1", "beta2"}  # of the AdamW beside muon


def torchs(name: str) -> dict[str, object]:
    """Return the arguments of torch's class with their defaults, the tuples that are several fields taken apart."""
    parameters = inspect.signature(CLASSES[name]).parameters.values()
    found = {one.name: one.default for one in parameters if one.name not in {"params", "lr", *LEFT_OUT}}
    if "betas" in found:
        found["beta1"], found["beta2"] = found.pop("betas")
    if name == "adafactor":
        found["eps"], found["eps2"] = found["eps"]
    return {key: value for key, value in found.items() if (name, key) not in OTHERWISE}


def test_every_optimizer_of_torch_is_known_or_refused_with_a_reason():
    assert set(CLASSES) == {*OPTIMIZERS.names, *REFUSED_OPTIMIZERS}


@pytest.mark.parametrize("name", OPTIMIZERS.names)
def test_fields_are_torchs_arguments_with_their_defaults(name):
    fields = {key: field.default for key, field in OPTIMIZERS.get(name).model_fields.items()}
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    expected = torchs(name)
    if name == "muon":
        fields = {key: value for key, value in fields.items() if key not in FIELDS_OF_OURS}
        assert expected["adjust_lr_fn"] is None  # which is torch's word for `original`
        expected["adjust_lr_fn"] = "original"
    assert fields == expected


def test_a_name_may_be_written_as_torchs_class():
    assert [run.hyperparameters.optimizer for run in runs_of("optimizer: [NAdam, nadam, RMSprop]")] == [
        "nadam", "rmsprop",
    ]  # fmt: skip


def test_arguments_are_axes_and_keys_of_params_go_to_every_optimizer_that_has_them():
    decay = "optimizer.momentum_decay: [0.004, 0.01]"
    runs = runs_of(f"optimizer: [nadam, sgd, adagrad], {decay}, eps: 1e-6, momentum: 0.9")
    about = [(h.optimizer, h.eps, h.momentum, h.optimizer_arguments) for h in (run.hyperparameters for run in runs)]
    assert about == [
        ("nadam", 1e-6, None, {}),
        ("nadam", 1e-6, None, {"momentum_decay": 0.01}),
        ("sgd", None, 0.9, {}),
        ("adagrad", 1e-6, None, {}),
    ]


def test_arguments_that_are_lists_are_axes_of_lists():
    runs = runs_of("optimizer: rprop, optimizer.etas: [[0.5, 1.2], [0.4, 1.3]]")
    assert [run.hyperparameters.optimizer_arguments for run in runs] == [{}, {"etas": [0.4, 1.3]}]
    assert runs[0].id == runs_of("optimizer: rprop")[0].id
    assert runs[1].id == runs_of("optimizer: {name: rprop, etas: [0.4, 1.3]}")[0].id


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("optimizer: lbfgs", "params.optimizer: found 'lbfgs', which needs a closure that computes the loss several"),
        ("optimizer: LBFGS", "params.optimizer: found 'LBFGS', which needs a closure that computes the loss several"),
        ("optimizer: sparse_adam", "params.optimizer: found 'sparse_adam', which is for sparse gradients"),
        ("optimizer: {name: SparseAdam}", "params.optimizer.name: found 'SparseAdam', which is for sparse gradients"),
        ("optimizer: nadm", "params.optimizer: unknown 'nadm'; did you mean 'nadam'?"),
        ("optimizer: {name: nadam, momentum_decy: 1}", "unknown key; did you mean 'momentum_decay'?"),
        ("optimizer: {name: nadam, momentum_decay: -1}", "found -1, allowed is a number of at least 0"),
        ("optimizer: {name: nadam, rho: 0.9}", "params.optimizer.rho: the optimizer nadam does not use it"),
        ("optimizer: {name: rprop, etas: 3}", "optimizer.etas: found 3, allowed is a list of two numbers above 0"),
        ("optimizer: rprop, optimizer.etas: [0.5, 1.2]", "params.optimizer.etas: found 0.5, allowed is a list of two"),
        ("optimizer: rprop, weight_decay: 0.1", "params.weight_decay: used by none of the optimizers named (rprop)"),
        ("optimizer: muon, optimizer.adjust_lr_fn: x", "allowed are original, match_rms_adamw, spectral_unclamped"),
        ("optimizer: {name: adafactor, d: 0.5}", "found 0.5, allowed is a number of at least 1"),
    ],
)
def test_mistakes_are_found_without_torch(params, message):
    with pytest.raises(SpecError) as raised:
        parse_sweep(f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{{params}}}\n", "s.yaml")
    assert message in str(raised.value)
