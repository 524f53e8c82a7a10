"""Code that a stranger's sweep names is run by no command, unless a person says so or names the code themselves."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch
from command_line import call
from PIL import Image
from small_sweeps import sweep, tables

import cnnsweep
from cnnsweep.errors import CheckpointError
from cnnsweep.models import build

CODE = """
from pathlib import Path
import torch
Path({marker!r}).touch()

class Net(torch.nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.layer = torch.nn.Linear(144, num_classes)

    def forward(self, images):
        return self.layer(images.flatten(1))

def load():
    images = torch.randint(0, 256, (60, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(60) % 3
    return (images[:48], labels[:48]), (images[48:], labels[48:]), ("a", "b", "c")
"""
SHAPES, CNN = "{name: shapes, size: 12, classes: 3, train: 48, test: 12}", "{name: cnn, channels: [2], hidden: []}"
KINDS = {"model": (SHAPES, "{code}:Net"), "data": ("{code}:load", CNN), "module": (SHAPES, "a_strangers_module:Net")}
COMPONENTS = """
from pathlib import Path
Path({marker!r}).touch()
from cnnsweep.metrics.base import Metric
from cnnsweep.pruners.median import Median
from cnnsweep.samplers.random import Random
from cnnsweep.trackers.base import Tracker

from cnnsweep.losses.cross_entropy import CrossEntropy
from cnnsweep.optimizers.sgd import SGD
from cnnsweep.schedules.cosine import Cosine

class Moves(SGD): ...
class Falls(Cosine): ...
class Counts(CrossEntropy): ...
class Draws(Random): ...
class Stops(Median): ...
class Logs(Tracker): ...
class Right(Metric):
    def update(self, logits, targets):
        return (logits.argmax(-1) == targets).sum(-1)

    def compute(self, sums, images):
        return sums.double() / images
"""
KEYS = {
    "sampler": "search: {{method: '{code}:Draws', runs: 2}}",
    "pruner": "early_stop: '{code}:Stops'",
    "tracker": "trackers: ['{code}:Logs']",
    "metric": "metrics: ['{code}:Right']",
    "optimizer": "optimizer: '{code}:Moves'",
    "schedule": "schedule: '{code}:Falls'",
    "loss": "loss_function: '{code}:Counts'",
}
NEVER = [
    "report {s}",
    "report {s} --run {r}",
    "report {s} --format json",
    "report {s} --html {o}/page.html",
    "compare {s} {c}",
    "watch {s} --once",
    "doctor {s} -q",
    "doctor {s} --repair -q",
    "clean {s} --dry-run",
    "logs {s} {r}",
    "logs {s}",
]
GATED = [
    "evaluate {s} -q",
    "evaluate {s} --split val -q",
    "evaluate {s}/{r} -q",
    "evaluate --checkpoint {s} -q",
    "evaluate --checkpoint {s}/{r}/best.safetensors -q",
    "evaluate {s} --refit -q",
    "predict --checkpoint {s} {o}/a.png",
    "predict --checkpoint {s}/{r}/best.safetensors {o}/a.png",
    "export --checkpoint {s} --format safetensors -o {o}/model -q",
    "export --checkpoint {s} --format torch-export -o {o}/model -q",
    "export --checkpoint {s} --format onnx -o {o}/model -q",
]
TYPED = ["run {o}/small.yaml --out {o}/new --fuse off -q", "plan {o}/small.yaml --out {o}/new -q"]


class Stranger:
    """A sweep that somebody else has trained, and whether their code ran since."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.marker = folder / "small", folder / "ran"
        code = folder / "a_strangers_module.py"
        code.write_text(CODE.format(marker=str(self.marker)))
        data, model = (text.format(code=code) if "{code}" in text else text for text in KINDS[kind])
        self.text = (
            f"name: small\ndataset: {data}\nmodel: {model}\nparams: {{lr: [0.1, 0.01], batch_size: 20, epochs: 1}}\n"
        )
        (folder / "small.yaml").write_text(self.text)
        Image.new("L", (12, 12)).save(folder / "a.png")

    def forget(self) -> None:
        """Let code that is imported run again."""
        self.marker.unlink(missing_ok=True)
        build._found.clear()  # what is known of a network is not looked at again
        for name in [name for name in sys.modules if name.startswith(("cnnsweep_user_", "a_strangers_module"))]:
            del sys.modules[name]

    def call(self, command: str, *more: str) -> int:
        run = tables(self.folder)["runs"][0]["run"]
        places = {"s": self.folder, "r": run, "o": self.folder.parent, "c": self.folder.parent / "copy"}
        outcome = call(*[word.format(**places) for word in command.split()], *more)
        assert "Traceback" not in outcome.err, outcome.err
        if outcome.code and not more:
            assert "--allow-code" in outcome.error, outcome.err
        return outcome.code


@pytest.fixture(params=KINDS, scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    folder = tmp_path_factory.mktemp("stranger")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        stranger = Stranger(folder, request.param)
        sweep(stranger.folder, stranger.text)
    assert stranger.marker.exists()
    shutil.copytree(stranger.folder, folder / "copy")
    return stranger


@pytest.fixture
def stranger(trained: Stranger, monkeypatch: pytest.MonkeyPatch) -> Stranger:
    monkeypatch.chdir(trained.folder.parent)  # where a module could be found
    trained.forget()
    return trained


def test_no_command_runs_a_strangers_code(stranger: Stranger) -> None:
    for command in NEVER if "py:Net" in stranger.text else ():  # they are the same to all kinds of code
        assert stranger.call(command) == 0, command
        assert not stranger.marker.exists(), command
    for command in GATED:
        assert stranger.call(command) in (2, 4), command
        assert not stranger.marker.exists(), command


@pytest.mark.faults  # drawing takes long
def test_figures_run_no_code(stranger: Stranger) -> None:
    assert stranger.call("report {s} --figures {o}/figures") == 0
    assert not stranger.marker.exists()


def test_python_runs_it_on_a_persons_word_only(stranger: Stranger) -> None:
    best = cnnsweep.load(stranger.folder).best
    images = torch.zeros(1, 1, 12, 12, dtype=torch.uint8)
    for use in (lambda: best.model(), lambda: best.predict(images), lambda: best.predict(["a.png"])):
        with pytest.raises(CheckpointError, match="names code of its own"):
            use()
        assert not stranger.marker.exists()
    has_custom_model = ":Net" in stranger.text  # a data set's code is not needed for a prediction
    for use in (lambda: best.model(allow_code=True), lambda: best.predict(images, allow_code=True)):
        use()
        assert stranger.marker.exists() == has_custom_model
        stranger.forget()


@pytest.mark.parametrize("command", [GATED[0], GATED[3], GATED[5], GATED[6], GATED[8]])
def test_with_the_persons_word_the_same_command_runs_it(stranger: Stranger, command: str) -> None:
    """So the marker would tell."""
    has_custom_model = ":Net" in stranger.text
    assert stranger.call(command, "--allow-code") == 0
    assert stranger.marker.exists() == (has_custom_model or not command.startswith("predict"))


@pytest.mark.parametrize("command", TYPED)
def test_code_that_a_persons_own_sweep_file_names_runs(stranger: Stranger, command: str) -> None:
    assert stranger.call(command) == 0
    assert stranger.marker.exists()


def test_a_refit_that_lies_there_already_is_gated_too(stranger: Stranger) -> None:
    stranger.call("evaluate {s} --refit -q", "--allow-code")
    (refit,) = (stranger.folder / "refit").iterdir()
    stranger.forget()
    (run,) = [path.parent for path in refit.glob("*/best.safetensors")]
    for command in ("evaluate {s} --refit -q", f"evaluate {refit} -q", f"predict -c {run} {{o}}/a.png"):
        assert stranger.call(command) in (2, 4)
        assert not stranger.marker.exists()


@pytest.mark.parametrize("key", KEYS)
def test_code_of_a_strangers_component_is_gated(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stranger = Stranger(tmp_path, "model")
    code = tmp_path / "a_strangers_module.py"
    code.write_text(COMPONENTS.format(marker=str(stranger.marker)))
    text, more = stranger.text.replace(f"{code}:Net", CNN), KEYS[key].format(code=code)
    is_hyperparameter = key in ("optimizer", "schedule", "loss")
    text = text.replace("params: {", f"params: {{{more}, ") if is_hyperparameter else f"{text}{more}\n"
    sweep(stranger.folder, text)
    assert stranger.marker.exists()
    shutil.copytree(stranger.folder, tmp_path / "copy")
    stranger.forget()
    for command in (*NEVER, "evaluate {s} -q", "predict --checkpoint {s} {o}/a.png"):
        needs_loss = key == "loss" and command.startswith("evaluate")  # predict runs no loss
        assert stranger.call(command) == (4 if needs_loss else 0), command
        assert not stranger.marker.exists(), command
    assert stranger.call("evaluate {s} --refit -q") in (2, 4)
    assert not stranger.marker.exists()
    assert stranger.call("evaluate {s} --refit -q", "--allow-code") == 0
    assert stranger.marker.exists()
