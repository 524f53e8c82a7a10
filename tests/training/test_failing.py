"""Every failure gets the kind that says who can mend it, and one line of cause."""

from __future__ import annotations

import dataclasses
import inspect
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import torch
from test_trainer import ADAM, SMALL_CNN, Listener, make_run, train
from test_trainer import task as task

from cnnsweep import errors
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.errors import DataError
from cnnsweep.losses.cross_entropy import CrossEntropy
from cnnsweep.training import trainer
from cnnsweep.training.failures import calls_a_model, failed_outcome, is_out_of_memory
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import SingleLearner
from cnnsweep.training.trainer import train_group
from cnnsweep.types import FailureKind, ModelChoice, RunGroup, RunOutcome, RunStatus

OURS = Path(errors.__file__).parent

NET = """
import torch
from torch import nn
from torch.nn import functional as F

class Cut(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()
    @staticmethod
    def backward(context, gradient):
        raise RuntimeError("no way back")

class Net(nn.Module):
    def __init__(self, how="well"):
        super().__init__()
        if how == "build":
            raise ValueError("cannot be built")
        if how == "huge":
            torch.empty(1 << 50)
        self.how, self.layer = how, nn.Linear(64, 3)
    def forward(self, x):
        x = self.layer(x.flatten(1))
        if self.how == "python":
            return {}["x"]
        if self.how == "torch":
            return F.linear(x, x)  # gives one logit an image of the batch
        if self.how == "shape":
            return x.flatten()
        if self.how == "backward":
            return Cut.apply(x)
        if self.how == "file":
            open("/no/such/file")
        return x
"""


def own(folder: Path, how: str) -> ModelChoice:
    path = folder / "net.py"
    path.write_text(NET)
    return ModelChoice(f"{path}:Net", {"how": how})


def moved(function: FunctionType, path: Path, names: Mapping[str, Any] | None = None) -> FunctionType:
    """Return a function that lies in another file, to a traceback; its module has a new name."""
    code = function.__code__.replace(co_filename=str(path))
    names = {**(globals() if names is None else names), "__name__": "cnnsweep.elsewhere"}
    return FunctionType(code, names, function.__name__, function.__defaults__, function.__closure__)


def failure(listener: Listener) -> RunOutcome:
    (outcome,) = listener.outcomes
    assert outcome.status is RunStatus.FAILED
    assert outcome.cause
    assert "\n" not in outcome.cause
    assert "Traceback (most recent call last)" in str(outcome.details)
    return outcome


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("build", "ValueError: cannot be built"),
        ("python", "KeyError: 'x'"),
        ("shape", "ValueError"),  # raised by torch's loss
        ("backward", "RuntimeError: no way back"),
        ("file", "FileNotFoundError"),
    ],
)
def test_what_a_persons_model_raises_or_makes_torch_raise_is_their_code(task, tmp_path, how, cause):
    outcome = failure(train(task, ADAM, model=own(tmp_path, how)))
    assert outcome.failure is FailureKind.USER_CODE
    assert cause in str(outcome.cause)


ANYWHERE = [OURS / "training" / "program.py", OURS / "new_folder" / "deep" / "new.py", OURS / "flat.py"]


@pytest.mark.parametrize("is_custom", [False, True])
@pytest.mark.parametrize("place", ANYWHERE, ids=lambda path: path.name)
def test_what_cnnsweep_raises_is_its_own_fault_whoever_wrote_the_model(task, tmp_path, monkeypatch, place, is_custom):
    def broken(*_arguments):
        raise KeyError("a bug")

    monkeypatch.setattr(SingleLearner, "_set_training", moved(broken, place))  # below what calls the model
    outcome = failure(train(task, ADAM, model=own(tmp_path, "well") if is_custom else SMALL_CNN))
    assert (outcome.failure, outcome.cause) == (FailureKind.CNNSWEEP, "KeyError: 'a bug'")


@pytest.mark.parametrize("is_custom", [False, True])
def test_an_error_of_the_recorder_is_not_the_models(task, tmp_path, is_custom):
    def unforeseen(_reports):
        Path("/no/such/file").read_text()

    listener = Listener()
    listener.on_epoch_end = moved(unforeseen, OURS / "storage" / "writer.py")
    model = own(tmp_path, "well") if is_custom else SMALL_CNN
    assert failure(train(task, ADAM, listener, model=model)).failure is FailureKind.CNNSWEEP


@pytest.mark.parametrize("is_custom", [False, True])
@pytest.mark.parametrize("error", [DataError("a.png: cannot be read any more; put it back"), OSError(5, "I/O error")])
def test_images_that_cannot_be_read_are_the_datas_fault(task, tmp_path, monkeypatch, error, is_custom):
    def gone(_chunks, _device):
        raise error

    monkeypatch.setattr(MemoryImages, "batches", lambda _images, *arguments: gone(*arguments))
    model = own(tmp_path, "well") if is_custom else SMALL_CNN
    outcome = failure(train(task, ADAM, model=model))
    assert outcome.failure is FailureKind.DATA
    assert str(error) in str(outcome.cause)


@pytest.mark.parametrize("how", ["python", "shape", "backward"])
@pytest.mark.parametrize("place", ANYWHERE, ids=lambda path: path.name)
def test_moving_our_modules_changes_no_kind(task, tmp_path, monkeypatch, how, place):
    """The trainer's modules, wherever they come to lie and whatever they are called."""
    for kind in (SingleLearner, FusedLearner):
        for name in ("__init__", "train_step"):
            monkeypatch.setattr(kind, name, moved(getattr(kind, name), place, vars(inspect.getmodule(kind))))
        calls_a_model(kind)
    monkeypatch.setattr(trainer, "_train_part", moved(trainer._train_part, place, vars(trainer)))
    assert failure(train(task, ADAM, model=own(tmp_path, how))).failure is FailureKind.USER_CODE


@pytest.mark.parametrize("name", ["on_batch_end", "on_epoch_end"])
def test_what_another_library_raises_for_a_callback_is_not_the_models(task, tmp_path, name):
    def unforeseen(*_arguments):
        torch.nn.functional.linear(torch.ones(2), torch.ones(3))

    listener = Listener()
    setattr(listener, name, unforeseen)
    assert failure(train(task, ADAM, listener, model=own(tmp_path, "well"))).failure is FailureKind.CNNSWEEP


def test_a_model_of_ours_that_does_not_fit_names_the_settings(task):
    choice = ModelChoice("cnn", {"channels": [4, 4, 4, 4]})
    run = dataclasses.replace(make_run(ADAM, choice), params={"lr": 0.1, "model.channels": [4, 4, 4, 4]})
    listener = Listener()
    train_group(RunGroup.of(((run,),)), task, listener, {})
    outcome = failure(listener)
    assert outcome.failure is FailureKind.SETTINGS
    assert "no pixel left" in str(outcome.cause)
    assert str(outcome.cause).endswith("(hyperparameters: model.channels=[4, 4, 4, 4])")


def test_divergence_is_a_kind_of_its_own(task):
    (outcome,) = train(task, dataclasses.replace(ADAM, lr=1e38, optimizer="sgd", momentum=0.0, nesterov=False)).outcomes
    assert (outcome.status, outcome.failure) == (RunStatus.DIVERGED, FailureKind.DIVERGED)


@pytest.mark.parametrize(
    ("error", "amount"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 1 GiB free"), "20.00 GiB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes. Error"),
         "8 bytes"),
        (MemoryError(), None),
    ],
)  # fmt: skip
def test_running_out_of_memory_says_how_much_was_asked_for_and_what_to_do(task, monkeypatch, error, amount):
    def refuse(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(CrossEntropy, "mean", refuse)
    outcome = failure(train(task, ADAM))
    assert outcome.failure is FailureKind.MEMORY
    what = "memory ran out" if amount is None else f"tried to allocate {amount}"
    assert outcome.cause == f"{what}; use a batch_size below 16, or a smaller model"


def test_memory_that_runs_out_while_a_persons_model_is_built_is_memory_too(task, tmp_path):
    outcome = failure(train(task, ADAM, model=own(tmp_path, "huge")))
    assert outcome.failure is FailureKind.MEMORY


def test_another_runtime_error_is_not_taken_for_memory():
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))
    run = make_run(ADAM)
    assert failed_outcome(run, RuntimeError()).cause == "RuntimeError"


WIDE = """
import torch
from torch import nn

class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(144, 3)
    def forward(self, x):
        x.new_empty(len(x), 2**22)  # 16 MiB an image
        return self.layer(x.flatten(1))
"""

LIMITED = """
import resource, sys
from pathlib import Path
from small_sweeps import SMALL, sweep, tables
import cnnsweep.storage.results_tables

folder = Path(sys.argv[1])
text = SMALL.replace("model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8], dropout: 0.2}",
                     f"model: {folder}/wide.py:Wide")
text = text.replace("train: 60", "train: 200").replace("lr: [0.01, 0.001]", "lr: 0.01")
text = text.replace("batch_size: 16", "batch_size: [128, 16]").replace("epochs: 2", "epochs: 1")
taken = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (int(taken.split()[1]) * 1024 + (1 << 30),) * 2)
sweep(folder / "s", text)
for run in tables(folder / "s")["runs"]:
    print(run["batch_size"], run["status"], run["failure"], run["cause"])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see how much memory is taken")
def test_a_real_lack_of_memory_fails_the_run_that_needs_it_and_no_other(tmp_path):
    (tmp_path / "wide.py").write_text(WIDE)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    call = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    cause = f"tried to allocate {128 * 2**24} bytes; use a batch_size below 128, or a smaller model"
    assert done.stdout.splitlines() == [f"128 failed out of memory {cause}", "16 finished None None"]
