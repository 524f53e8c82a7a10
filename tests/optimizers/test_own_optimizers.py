"""A class of `torch.optim.Optimizer` of one's own trains as it stands, alone and fused, and is tried before that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from added_components import AddedPackage, added_package, metrics
from test_new_optimizer import runs_of

from cnnsweep.errors import SpecError, UsageError
from cnnsweep.optimizers.base import OPTIMIZERS

CODE = '''
import torch

class Momentum(torch.optim.Optimizer):
    """SGD with momentum, as a person writes it: p -= scale * lr * m, where m = momentum * m + gradient."""

    def __init__(self, params, lr=1e-3, momentum=0.9, betas=(1.0, 1.0), *, scale=1.0):
        assert isinstance(betas, tuple)
        super().__init__(params, dict(lr=lr, momentum=momentum, scale=scale))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                assert p.requires_grad and p.is_contiguous()
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.mul_(group["momentum"]).add_(p.grad)
                self.move(p, group["scale"] * group["lr"] * mean)

    def move(self, p, by):
        p.sub_(by)

class Replacing(Momentum):
    """Gives each parameter new memory."""

    def move(self, p, by):
        p.data = p.data - by

class Averaging(Momentum):
    """In evaluation the weights are halfway to where training began, in training they are not."""

    def __init__(self, params, lr=1e-3, momentum=0.9):
        super().__init__(params, lr, momentum)
        self.param_groups[0]["trains"] = True

    def shift(self, trains):
        if self.param_groups[0]["trains"] is not trains:
            for group in self.param_groups:
                for p in group["params"]:
                    start = self.state[p].setdefault("start", p.detach().clone())
                    with torch.no_grad():
                        p.copy_(2 * p - start if trains else (p + start) / 2)
            self.param_groups[0]["trains"] = trains

    def train(self):
        self.shift(True)

    def eval(self):
        self.shift(False)

    def step(self, closure=None):
        assert self.param_groups[0]["trains"]
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p].setdefault("start", p.detach().clone())
        super().step()

def two_rates(params, lr, momentum=0.0, biases=10.0):
    """Biases have another learning rate."""
    groups = [
        {"params": [p for p in params if p.ndim > 1]},
        {"params": [p for p in params if p.ndim == 1], "lr": biases * lr},
    ]
    return torch.optim.SGD(groups, lr=lr, momentum=momentum)
'''


@pytest.fixture
def package(tmp_path: Path) -> Iterator[AddedPackage]:
    for package in added_package(tmp_path, OPTIMIZERS):
        package.write(CODE)
        yield package


def named(package: AddedPackage, name: str, **arguments: object) -> dict[str, object]:
    return {"name": f"{package.file}:{name}", **arguments}


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["Momentum", "Replacing"])
def test_own_class_trains_as_its_formula_says(package, name, fused):
    train = package.train_fused if fused else package.train
    own = train("own", lr=[0.1, 0.2], optimizer=named(package, name, **({"scale": 0.5} if name == "Momentum" else {})))
    lr = [0.05, 0.1] if name == "Momentum" else [0.1, 0.2]
    known = package.train("known", lr=lr, optimizer="sgd", momentum=0.9)
    for mine, theirs in zip(metrics(own), metrics(known), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("name", ["Momentum", "Replacing", "Averaging", "two_rates"])
def test_own_class_is_fused_with_others_and_equals_itself_alone(package, name):
    params = {"lr": [0.1, 0.05], "optimizer": [named(package, name), "nadam"]}
    alone, fused = package.train("alone", **params), package.train_fused("fused", **params)
    for mine, theirs in zip(metrics(fused), metrics(alone), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)
    assert _programs(package.folder / "fused") == [4]


@pytest.mark.parametrize("name", ["Replacing", "Averaging"])
def test_runs_that_stay_when_others_of_their_program_end_are_as_alone(package, name):
    params = {"lr": [0.1, 0.05], "epochs": [2, 3], "schedule": "cosine", "optimizer": named(package, name)}
    alone, fused = package.train("alone", **params), package.train_fused("fused", **params)
    assert _programs(package.folder / "fused") == [4]
    for mine, theirs in zip(metrics(fused), metrics(alone), strict=True):
        assert sorted(mine) == pytest.approx(sorted(theirs), rel=1e-9)


def test_optimizers_that_follow_rounding_train_alone_and_the_others_fused(package):
    """Rprop takes the sign of the gradient, which for a bias before batch norm is rounding alone."""
    model = {"model.batch_norm": True, "model.channels": [[16]]}
    params = {"lr": [0.01, 0.02], "optimizer": ["adam", "rprop", "sgd"], **model}
    alone, fused = package.train("alone", **params), package.train_fused("fused", **params)
    assert _programs(package.folder / "fused") == [1, 1, 4]
    for mine, theirs in zip(metrics(fused), metrics(alone), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)


def _programs(folder: Path) -> list[int]:
    """Return the size of each program, also of those into which one that failed was split."""
    events = map(json.loads, (folder / "journal.jsonl").read_text().splitlines())
    groups = [group for event in events if event["event"] == "planned" for group in event["groups"]]
    return sorted(len(program) for group in groups for program in group["programs"])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["Momentum", "Replacing", "Averaging", "two_rates"])
def test_own_class_goes_on_after_a_break_to_the_last_bit(package, name, fused):
    params = {"lr": [0.1, 0.05], "optimizer": named(package, name)}
    if fused:
        broken, whole = package.train_fused_with_a_break("broken", **params), package.train_fused("whole", **params)
    else:
        broken, whole = package.train_with_a_break("broken", **params), package.train("whole", **params)
    assert metrics(broken) == metrics(whole)


def test_weights_in_evaluation_are_those_that_are_measured_and_kept(package):
    """Halfway to the start, the net is worse than SGD's, though it trains with the same gradients."""
    averaging = package.train("averaging", lr=0.1, epochs=3, optimizer=named(package, "Averaging"))
    known = package.train("known", lr=0.1, epochs=3, optimizer="sgd", momentum=0.9)
    ((mine, my_val), (theirs, their_val)) = (metrics(sweep, "loss", "val_loss") for sweep in (averaging, known))
    assert mine == pytest.approx(theirs, rel=1e-9)
    assert my_val != pytest.approx(their_val, rel=1e-3)
    kept = averaging.best.evaluate("val", allow_code=True, quiet=True)
    assert kept["loss"] == pytest.approx(my_val[kept["epoch"] - 1], rel=1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_weights_in_evaluation_are_kept_where_nothing_is_held_out_too(package, fused):
    train = package.train_fused if fused else package.train
    losses = []
    for name in ("Averaging", "Momentum"):
        sweep = train(name, lr=[0.1, 0.05], validation=0, optimizer=named(package, name))
        losses.append(sweep.best.evaluate("test", allow_code=True, quiet=True)["loss"])
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_groups_keep_the_ratio_of_their_learning_rates(package):
    """Ten times the rate of biases equals ten times the rate of all where nothing else moves."""
    equal = package.train("equal", lr=0.1, optimizer=named(package, "two_rates", biases=1))
    known = package.train("known", lr=0.1, optimizer="sgd")
    faster = package.train("faster", lr=0.1, schedule="cosine", optimizer=named(package, "two_rates", biases=3))
    assert metrics(equal) == [pytest.approx(values, rel=1e-9) for values in metrics(known)]
    assert metrics(faster) != metrics(equal)


def test_arguments_come_from_the_source_which_is_not_run(package):
    package.file.write_text("raise SystemExit\n" + CODE)
    own = f"'{package.file}:Momentum'"
    runs = runs_of(f"optimizer: [sgd, {own}], optimizer.scale: [1, 0.5], momentum: 0.5")
    found = [(run.hyperparameters.momentum, run.hyperparameters.optimizer_arguments) for run in runs]
    assert found == [(0.5, {}), (0.5, {"scale": 1}), (0.5, {"scale": 0.5})]
    for params, message in [
        (f"optimizer: {{name: {own}, scle: 1}}", r"params\.optimizer\.scle: unknown key; did you mean 'scale'\?"),
        (f"optimizer: {{name: {own}, lr: 1}}", r"params\.optimizer\.lr: unknown key"),
        (f"optimizer: {{name: {own}, momentum: 1}}", "is a key of its own: write `momentum` under params"),
        (f"optimizer: {own}, weight_decay: 1", "params.weight_decay: used by none of the optimizers named"),
        (f"optimizer: {own}, optimizer.scle: 1", r"did you mean 'optimizer\.scale'\?"),
    ]:
        with pytest.raises(SpecError, match=message):
            runs_of(params)


def test_lists_become_tuples_where_the_default_is_one(package):
    sweep = package.train("tuples", optimizer=named(package, "Momentum", betas=[0.5, 0.6]))
    assert list(sweep.runs["status"]) == ["finished"]


WRONG = {
    "closure": ("def step(self, closure): pass", "its step needs a closure that computes the loss several times"),
    "asserts": (
        "def step(self, closure=None):\n        assert closure is not None, 'give me a closure'",
        "wrong.py:8: optimizer wrong.py:Wrong: raised AssertionError: give me a closure",
    ),
    "raises": ("def step(self):\n        1 / 0", "wrong.py:8: optimizer wrong.py:Wrong: raised ZeroDivisionError"),
    "idle": ("def step(self): pass", "wrong.py:3: optimizer wrong.py:Wrong: its steps change no weight"),
    "forgets": (
        "def step(self):\n"
        "        self.count = getattr(self, 'count', 0) + 1\n"
        "        for p in self.param_groups[0]['params']:\n"
        "            p.add_(p.grad, alpha=-self.count * self.param_groups[0]['lr'])",
        "wrong.py:3: optimizer wrong.py:Wrong: a run that resumes would differ from one that was not interrupted",
    ),
    "unsaved": (
        "def step(self):\n"
        "        for p in self.param_groups[0]['params']:\n"
        "            self.state[p]['seen'] = {1, 2}\n"
        "            p.sub_(p.grad)",
        "wrong.py:3: optimizer wrong.py:Wrong: its state cannot be saved and loaded: TypeError",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_an_optimizer_that_cannot_train_is_refused_before_training(package, fault):
    step, message = WRONG[fault]
    file = package.folder / "wrong.py"
    file.write_text(
        "import torch\n\nclass Wrong(torch.optim.Optimizer):\n    def __init__(self, params, lr):\n"
        f"        super().__init__(params, dict(lr=lr))\n\n    {step}\n"
    )
    with pytest.raises(UsageError) as raised:
        package.train("wrong", optimizer=f"{file}:Wrong")
    assert message in str(raised.value)
    assert not (package.folder / "wrong" / "journal.jsonl").exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("class Wrong: pass", "allowed is a subclass of torch.optim.Optimizer, or of cnnsweep"),
        ("def Wrong(params): pass", "takes no argument 'lr', so the learning rate would have no effect"),
        ("def Wrong(params, lr): return 3", "raised TypeError: returned int, allowed is a torch.optim.Optimizer"),
        ("def Wrong(): pass", "its first parameter has to take the parameters of the model"),
        ("def Wrong(params, lr, size): pass", "needs the argument 'size'"),
        ("import torch\nWrong = torch.optim.LBFGS", "its step needs a closure"),
        ("import torch\nWrong = torch.optim.SparseAdam", "SparseAdam does not support dense gradients"),
    ],
)
def test_something_else_is_refused_with_the_reason(package, code, message):
    package.file.write_text(code)
    with pytest.raises(UsageError, match=message):
        package.train("wrong", optimizer=f"{package.file}:Wrong")


def test_a_class_of_another_package_needs_no_file(package):
    own = package.train("own", lr=0.05, optimizer={"name": "torch.optim:NAdam", "momentum_decay": 0.01})
    known = package.train("known", lr=0.05, optimizer={"name": "nadam", "momentum_decay": 0.01})
    assert metrics(own) == [pytest.approx(values, rel=1e-9) for values in metrics(known)]


def test_a_search_that_may_choose_a_wrong_optimizer_is_refused_before_it_begins(package):
    package.file.write_text("import torch\nclass Idle(torch.optim.SGD):\n    def step(self): pass\n")
    with pytest.raises(UsageError, match="its steps change no weight"):
        package.train("wrong", optimizer=["adam", f"{package.file}:Idle"], search={"method": "random", "runs": 1})
