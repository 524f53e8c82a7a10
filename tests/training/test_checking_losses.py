"""A user's own loss is tried before training; what is wrong is said with file and line of the user's code."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from test_fused_equals_alone import ADAM, make_runs

import cnnsweep
from cnnsweep.errors import SpecError, UsageError
from cnnsweep.training.check_class_weights import check_weighted_losses
from cnnsweep.training.check_losses import check_losses
from cnnsweep.types import Choice, ClassWeights

HEAD = "import random\nimport numpy\nimport torch\nfrom torch.nn import functional\n\n"
DEFINED = HEAD.count("\n") + 1  # the line of `def`
GOOD = "functional.cross_entropy(logits, targets, reduction='none')"

# Each body, its line of the mistake after `def`, and the words of the message.
WRONG = {
    "raises": ("return logits.nothing", 1, r"raised AttributeError: .* for logits \(7, 3\) and targets \(7,\) int64"),
    "batch": (
        "return functional.cross_entropy(logits, targets, logits.new_tensor([1, 2, 3]))",
        0,
        r"single number .* \(7,\): .* reduction='none' .* weights of classes are `class_weight`",
    ),
    "shape": ("return logits", 0, r"returned the shape \(7, 3\) .* allowed is one value an image, \(7,\)"),
    "squeezed": (f"return {GOOD}.squeeze()", 0, r"returned the shape \(\) for logits \(1, 3\) .* \(1,\)"),
    "text": ("return 'loss'", 0, "returned str, allowed is a tensor"),
    "none": ("pass", 0, "returned NoneType, allowed is a tensor"),
    "whole": ("return targets", 0, r"returned torch.int64, allowed is a floating-point number"),
    "infinite": (f"return {GOOD} / 0", 0, r"is inf for random logits .* finite number"),
    "nan": ("return (logits.sum(-1) * torch.nan)", 0, "is nan for random logits"),
    "detached": (f"return {GOOD}.detach()", 0, "has no gradient; compute with torch's operations"),
    "argmax": ("return (logits.argmax(-1) != targets).float()", 0, "has no gradient"),
    "constant": (f"return {GOOD} * 0", 0, "has no gradient"),
    "steep": (f"return ({GOOD} - {GOOD}).sqrt() + {GOOD}", 0, "its gradient is infinite or NaN"),
    "in place": ("logits.mul_(2)\n    return " + GOOD, 0, r"changes its logits in place.*`logits.clone\(\)`"),
    "targets": (f"value = {GOOD}\n    targets.zero_()\n    return value", 0, "changes its targets in place"),
    "counts": (
        f"fn.calls = getattr(fn, 'calls', 1) + 1\n    return {GOOD} * fn.calls",
        0,
        "gives other values for the same logits each time",
    ),
}


def checked(file: Path, name: str = "fn", *, several: bool = False, **arguments: object) -> None:
    choice = Choice(f"{file}:{name}", arguments, "hash")
    check_losses(make_runs(dataclasses.replace(ADAM, loss_function=choice)), 3, several=several)


@pytest.mark.parametrize(("body", "line", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_function_is_refused_with_its_line(tmp_path, body, line, words):
    file = tmp_path / "losses.py"
    file.write_text(f"{HEAD}def fn(logits, targets):\n    {body}\n")
    with pytest.raises(UsageError, match=words) as refused:
        checked(file)
    assert str(refused.value).startswith(f"{file}:{DEFINED + line}: loss losses.py:fn: ")


@pytest.mark.parametrize(
    "body",
    [
        f"return {GOOD}",
        f"return {GOOD} * torch.rand(len(targets))",  # torch's numbers repeat with the seed
        f"return {GOOD} * (1 + random.random()) * (1 + numpy.random.rand())",
        "return -logits.log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1)",
        "logits = logits.clone().mul_(2)\n    return " + GOOD,
        "return functional.cross_entropy(logits, targets)",  # the mean of the values that images have
        "return functional.cross_entropy(logits, targets, reduction='sum')",
    ],
)
def test_a_right_function_is_taken(tmp_path, body):
    file = tmp_path / "losses.py"
    file.write_text(f"{HEAD}def fn(logits, targets):\n    {body}\n")
    checked(file)


SIGNATURES = {
    "(logits)": "takes 1 arguments by position, allowed is a function of logits and targets",
    "(logits, targets, mean)": "the argument 'mean' needs another name",
    "(logits, targets, *, gamma)": "needs the argument 'gamma'",
    "(logits, targets, gamma=1)": "takes no argument 'beta'; it takes gamma",
}


@pytest.mark.parametrize(("signature", "words"), SIGNATURES.items())
def test_a_wrong_signature_is_refused(tmp_path, signature, words):
    file = tmp_path / "losses.py"
    file.write_text(f"{HEAD}def fn{signature}:\n    return {GOOD}\n")
    with pytest.raises(UsageError, match=re.escape(words)):
        checked(file, **({"beta": 1} if "gamma=1" in signature else {}))


def test_arguments_reach_the_function(tmp_path):
    file = tmp_path / "losses.py"
    file.write_text(f"{HEAD}def fn(logits, targets, gamma=1, **more):\n    return {GOOD} / (gamma - more['shift'])\n")
    checked(file, gamma=3, shift=2)
    with pytest.raises(UsageError, match="is inf"):
        checked(file, gamma=2, shift=2)


def test_a_class_is_tried_too(tmp_path):
    file = tmp_path / "losses.py"
    file.write_text(
        f"{HEAD}from cnnsweep.losses.base import Loss\n\nclass Mine(Loss):\n"
        "    def per_example(self, logits, targets):\n        return logits.mean()\n"
    )
    with pytest.raises(UsageError, match="returned a single number") as refused:
        checked(file, "Mine")
    assert str(refused.value).startswith(f"{file}:{DEFINED + 2}: ")


def test_with_several_labels_a_function_gets_zeros_and_ones(tmp_path):
    file = tmp_path / "losses.py"
    right = "functional.binary_cross_entropy_with_logits(logits, targets, reduction='none')"
    file.write_text(
        f"{HEAD}def fn(logits, targets):\n    return {right}.mean(-1)\n\n"
        f"def each(logits, targets):\n    return {right}\n\n"
        f"def column(logits, targets):\n    return {right}.mean(-1, keepdim=True)\n\n"
        f"def of_present(logits, targets):\n    return {right}.mean(-1) / targets.sum(-1)\n"
    )
    checked(file, several=True)
    checked(file, "each", several=True)  # the mean over the labels is taken here
    with pytest.raises(UsageError, match=r"the shape \(7, 1\) for logits \(7, 3\) and targets \(7, 3\) of 0 and 1"):
        checked(file, "column", several=True)
    with pytest.raises(UsageError, match=r"is inf for random logits .* of 0 and 1"):
        checked(file, "of_present", several=True)
    weighted = dataclasses.replace(ADAM, class_weight=ClassWeights("balanced"))
    check_weighted_losses(make_runs(weighted))
    own = dataclasses.replace(weighted, loss_function=Choice(f"{file}:fn", {}, "hash"))
    with pytest.raises(
        UsageError, match=r"params.class_weight: images have several labels .* losses.py:fn returns one"
    ):
        check_weighted_losses(make_runs(own))


SWEEP = {
    "name": "s",
    "dataset": {"name": "shapes", "size": 12, "classes": 3, "train": 40, "test": 6},
    "model": {"name": "cnn", "channels": [2], "kernel_size": 3, "hidden": [4]},
    "tensorboard": False,
}


def run(folder: Path, **more: object) -> cnnsweep.Sweep:
    return cnnsweep.run({**SWEEP, **more}, folder=folder / "s", device="cpu", jobs=1, threads=1, quiet=True)


def test_a_search_over_a_wrong_function_does_not_begin(tmp_path):
    (tmp_path / "losses.py").write_text(f"{HEAD}def fn(logits, targets, gamma):\n    return logits.std() * gamma\n")
    losses = ["focal", {"name": f"{tmp_path}/losses.py:fn", "gamma": 2}]
    search = {"method": "random", "runs": 2}
    with pytest.raises(UsageError, match="returned a single number"):
        run(tmp_path, search=search, params={"loss": losses, "lr": {"uniform": [0.1, 0.2]}, "epochs": 1})


def test_a_weight_of_an_unknown_class_is_said_with_its_place(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: s\ndataset: {name: shapes, classes: 3, train: 40, test: 6}\nmodel: lenet\n"
        "params:\n  class_weight: [none, {circle: 2, sqare: 3}, {sqare: 4, zebra: 2}]\n"
    )
    with pytest.raises(SpecError) as refused:
        cnnsweep.run(file, folder=tmp_path / "out", device="cpu", quiet=True)
    first, second = str(refused.value).splitlines()
    assert first == f"{file}:5:36  params.class_weight: the data set has no class 'sqare'; did you mean 'square'?"
    assert second.startswith(f"{file}:5:58  params.class_weight: the data set has no class 'zebra'; there are ")


def test_own_function_of_the_guide_trains_fused_and_alone(tmp_path):
    guide = (Path(__file__).parents[2] / "docs" / "sweep-file.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import torch\n.*?def hinge.*?)```", guide, re.DOTALL)
    (tmp_path / "losses.py").write_text(code)
    sweep = run(
        tmp_path,
        params={
            "loss": ["cross_entropy", f"{tmp_path}/losses.py:hinge"],
            "loss.margin": [1, 3],
            "epochs": 2,
            "lr": 0.05,
        },
    )
    assert list(sweep.runs["loss_function.margin"].dropna()) == [1, 3]
    assert (sweep.runs["status"] == "finished").all()
    assert sweep.runs["val_loss"].nunique() == 3
