"""An optimizer from outside the package trains as a loop by hand, alone and fused, and resumes after a break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from added_components import AddedPackage, added_package, metrics

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import SpecError, UsageError
from cnnsweep.optimizers.base import OPTIMIZERS

# Torch's SGD with momentum, by hand: p -= scale * lr * m, where m = momentum * m + gradient.
CODE = """
import torch
from cnnsweep.optimizers.base import Optimizer

class ByHand(torch.optim.Optimizer):
    def __init__(self, parameters, lr, momentum, scale):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "scale": scale})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    mean = self.state[parameter].setdefault("mean", torch.zeros_like(parameter))
                    mean.mul_(group["momentum"]).add_(parameter.grad)
                    parameter.sub_(group["scale"] * group["lr"] * mean)

class Scaled(Optimizer):
    '''SGD with a scale.'''
    momentum: float = 0.5
    scale: float = 1.0

    def build(self, parameters, lr, device):
        return ByHand(parameters, lr=lr, momentum=self.momentum, scale=self.scale)
"""
AT_HALF = {"name": "scaled", "scale": 0.5}


@pytest.fixture
def package(tmp_path: Path) -> Iterator[AddedPackage]:
    for package in added_package(tmp_path, OPTIMIZERS):
        package.write(CODE, scaled="Scaled")
        yield package


@pytest.mark.parametrize("fused", [False, True])
def test_added_optimizer_trains_as_its_formula_says(package, fused):
    train = package.train_fused if fused else package.train
    added = train("added", lr=[0.1, 0.2], optimizer=AT_HALF, momentum=0.9)
    known = package.train("known", lr=[0.05, 0.1], optimizer="sgd", momentum=0.9)
    for mine, theirs in zip(metrics(added), metrics(known), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)
    assert list(added.runs["status"]) == ["finished", "finished"]


def test_added_optimizer_goes_on_after_a_break_to_the_last_bit(package):
    params = {"lr": 0.1, "optimizer": AT_HALF, "epochs": 3}
    assert metrics(package.train_with_a_break("broken", **params)) == metrics(package.train("whole", **params))


def test_file_of_ones_own_trains_as_the_same_class_of_a_package(package):
    own = {"name": f"{package.file}:Scaled", "scale": 0.5}
    assert metrics(package.train("file", optimizer=own)) == metrics(package.train("entry", optimizer=AT_HALF))


def runs_of(params: str, folder: Path | None = None) -> list[object]:
    text = f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{{params}}}\n"
    return list(expand_runs(parse_sweep(text, "s.yaml", folder=folder)).runs)


def test_arguments_are_axes_of_the_optimizers_that_have_them(package):
    runs = runs_of("optimizer: [sgd, scaled], optimizer.scale: [1, 0.5]")
    about = [(run.hyperparameters.optimizer, run.hyperparameters.optimizer_arguments) for run in runs]
    assert about == [("sgd", {}), ("scaled", {}), ("scaled", {"scale": 0.5})]
    assert runs[2].id == runs_of("optimizer: {name: scaled, scale: 0.5}")[0].id
    assert runs[1].id == runs_of("optimizer: {name: scaled, scale: 1}")[0].id == runs_of("optimizer: scaled")[0].id


def test_keys_of_params_go_to_fields_of_their_name_which_have_their_own_defaults(package):
    own = f"'{package.file}:Scaled'"
    momenta = [runs_of(f"optimizer: {name}")[0].hyperparameters.momentum for name in ("scaled", "sgd", own)]
    assert momenta == [0.5, 0.0, None]  # None: a file is not run to check a sweep, and the class knows its own
    given = [runs_of(f"optimizer: {name}, momentum: 0.7")[0].hyperparameters.momentum for name in ("scaled", own)]
    assert given == [0.7, 0.7]


def test_own_file_counts_by_its_content_wherever_it_lies(package, tmp_path):
    def id_of(folder: str, code: str) -> str:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(code)
        return runs_of("optimizer: 'mine.py:Scaled'", tmp_path / folder)[0].id

    assert id_of("a", CODE) == id_of("b", CODE) != id_of("c", CODE + "# changed\n")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("optimizer: {name: scaled, scal: 1}", "params.optimizer.scal: unknown key; did you mean 'scale'?"),
        ("optimizer: {name: scaled, scale: x}", "params.optimizer.scale: found 'x': input should be a valid number"),
        ("optimizer: {name: sgd, scale: 1}", "params.optimizer.scale: the optimizer sgd does not use it"),
        ("optimizer: {name: scaled, momentum: 1}", "params.optimizer.momentum: is a key of its own: write `momentum`"),
        ("optimizer: scaled, optimizer.scal: 1", "params.optimizer.scal: no argument of the optimizers named (scaled)"),
        ("optimizer: scaled, optimizer.scale: x", "params.optimizer.scale: found 'x': input should be a valid number"),
        (
            "optimizer: scaled, nesterov: true",
            "params.nesterov: used by none of the optimizers named (scaled), only by",
        ),
        ("optimizer: scald", "params.optimizer: unknown 'scald'; did you mean 'scaled'?"),
        ("optimizer: 'added.py:Other'", "params.optimizer: there is no file 'added.py'"),
        ("optimizer: {name: 'FILE:Scaled', scal: 1}", "params.optimizer.scal: unknown key; did you mean 'scale'?"),
        ("optimizer: 'FILE:Scaled', nesterov: true", "params.nesterov: used by none of the optimizers named"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(package, params, message):
    with pytest.raises(SpecError) as raised:
        runs_of(params.replace("FILE", str(package.file)))
    assert message in str(raised.value)


def test_wrong_values_of_an_own_file_are_refused_before_the_first_run(package):
    with pytest.raises(UsageError, match="Scaled: scale: found 'x': input should be a valid number"):
        package.train("wrong", optimizer={"name": f"{package.file}:Scaled", "scale": "x"})
