"""Arguments that a network refuses are found with the other mistakes of a file, before anything is imported."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.model_arguments import accepted_arguments
from cnnsweep.errors import SpecError
from cnnsweep.types import ModelChoice

UNSUPPORTED = "pretrained weights are not supported: every run starts from random ones"
NETS = """
raise RuntimeError("a file is parsed, and not run")
import torch
from elsewhere import Other, decorate

class Net(torch.nn.Module):
    def __init__(self, in_channels, num_classes, width=8, *, depth=2):
        pass

class Child(Net):
    def forward(self, x):
        return x

class Needy(torch.nn.Module):
    def __init__(self, in_channels, width, *, depth):
        pass

class Anything(torch.nn.Module):
    def __init__(self, width, **others):
        pass

class Unknown(Other):
    pass

@decorate
class Decorated(torch.nn.Module):
    def __init__(self):
        pass

def make(num_classes, width=3):
    return Net(1, num_classes, width)

alias = Net
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "broken.py").write_text("class Net:\n    def __init__(self:\n")
    return tmp_path


def mistakes(text: str, folder: Path, try_model=None) -> list[str]:
    """Return the messages for a file that begins with four lines, if there are any."""
    try:
        parse_sweep("name: s\ndataset: cifar10\n" + text, "s.yaml", (), folder, try_model)
    except SpecError as error:
        return [line.removeprefix("s.yaml:") for line in str(error).splitlines()]
    return []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "model: {name: resnet18, pretrained: true, groupz: 2}\nparams: {lr: -1}",
            [
                f"3:25  model.pretrained: resnet18 has no such argument; {UNSUPPORTED}",
                "3:43  model.groupz: resnet18 has no such argument; did you mean 'groups'?",
                "4:14  params.lr: found -1, allowed is a number above 0",
            ],
        ),
        (
            "model: {name: resnet18, weights: IMAGENET1K_V1}",
            [f"3:34  model.weights: may not be given; {UNSUPPORTED}"],
        ),
        (
            "model: vgg11\nparams: {dropout: 0.1, model.width: 3}",
            ["4:24  params.model.width: vgg11 has no such argument; it takes init_weights, dropout"],
        ),
        (
            "params: {dropout: 0.1, model: [lenet, resnet18]}",
            [
                "3:10  params.dropout: resnet18 has no such argument; it takes zero_init_residual, groups, "
                "width_per_group, replace_stride_with_dilation"
            ],
        ),
        ("params: {dropout: 0.1, model: [lenet, resnet18]}\nwhen: {dropout: {model: lenet}}", []),
        (
            "model: {name: nets.py:Net, widht: 3}",
            ["3:28  model.widht: nets.py:Net has no such argument; did you mean 'width'?"],
        ),
        ("model: {name: nets.py:Child, depth: 3, width: 3}", []),
        (
            "model: nets.py:Child\nparams: {model.hight: 3}",
            ["4:10  params.model.hight: nets.py:Child has no such argument; it takes width, depth"],
        ),
        (
            "model: nets.py:Needy",
            [
                "3:8  model: nets.py:Needy needs the argument 'depth'; write {name: nets.py:Needy, depth: ...}",
                "3:8  model: nets.py:Needy needs the argument 'width'; write {name: nets.py:Needy, width: ...}",
            ],
        ),
        ("model: {name: nets.py:Needy, depth: 1}\nparams: {model.width: [1, 2]}", []),
        ("model: {name: nets.py:Anything, width: 1, whatever: 2}", []),
        ("model: {name: nets.py:Unknown, whatever: 2}", []),
        ("model: {name: nets.py:Decorated, whatever: 2}", []),
        ("model: {name: nets.py:alias, whatever: 2}", []),
        (
            "model: {name: nets.py:make, depth: 2}",
            ["3:29  model.depth: nets.py:make has no such argument; it takes width"],
        ),
        ("model: nets.py:Nett", ["3:8  model: nets.py has no 'Nett'; did you mean 'Net'?"]),
        ("model: broken.py:Net", ["3:8  model: broken.py is no valid Python: line 2: '(' was never closed"]),
        (
            "model: lenet\nparams: {lr: 1}\ninclude: [{model: {name: nets.py:Net, widht: 3}}]",
            ["5:39  include.model.widht: nets.py:Net has no such argument; did you mean 'width'?"],
        ),
    ],
)  # fmt: skip
def test_arguments_that_a_network_refuses_have_their_place(folder, text, expected):
    found = mistakes(text, folder)
    assert sorted(found) == sorted(expected)


def test_what_the_constructor_refuses_has_the_place_of_its_value(folder):
    asked = []

    def refuses_threes(model: ModelChoice, _dataset: object) -> str | None:
        asked.append(dict(model.arguments))
        return f"model {model.name}: ValueError: three" if 3 in model.arguments.values() else None

    text = "model: nets.py:Net\nparams: {model.width: [1, 2, 3], model.depth: [1, 3]}"
    assert mistakes(text, folder, refuses_threes) == [
        "4:30  params.model.width: ValueError: three",
        "4:51  params.model.depth: ValueError: three",
    ]
    assert asked[0] == {"width": 1, "depth": 1}
    assert len(asked) == 4  # each value once, not each combination
    assert mistakes("model: {name: nets.py:Net, width: 3}", folder, refuses_threes) == ["3:8  model: ValueError: three"]
    asked.clear()
    assert mistakes("model: lenet\nparams: {model.kernel_size: [3, 5]}", folder, refuses_threes) == []
    assert mistakes("model: resnet18", folder, refuses_threes) == []
    assert asked == []  # a preset is checked by its schema, and a network without arguments has nothing to refuse


FAMILIES = [
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3"),
    *("maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "resnet18", "resnext50_32x4d"),
    *("shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vit_b_16", "wide_resnet50_2"),
]
CALLABLES = {
    "block", "blocks", "inception_blocks", "norm_layer", "activation", "activation_layer", "stem_type", "block_type",
    "inverted_residual", "downsample_layer",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    FAMILIES,
)
@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
def test_list_of_torchvisions_arguments_is_what_it_takes(name):
    import torch
    from torchvision import models

    device = torch.device("cpu" if name.startswith("regnet") else "meta")  # RegNet computes its widths with tensors
    with device:
        built = models.get_model(name, weights=None, num_classes=2)
    taken = {"progress"}
    for of_class in type(built).__mro__:
        if of_class.__module__.startswith("torchvision"):
            for argument, parameter in inspect.signature(of_class.__init__).parameters.items():
                default = parameter.default
                if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or argument == "self":
                    continue
                if default is parameter.empty:
                    default = getattr(built, argument, 1)
                try:
                    with device:
                        models.get_model(name, weights=None, **{argument: default})
                except (TypeError, ValueError, AttributeError, RuntimeError):
                    continue
                taken.add(argument)
    of_builders = {"mobilenet_v3_small": {"width_mult", "reduced_tail", "dilated"}, "maxvit_t": {"input_size"}}
    listed = set(accepted_arguments(ModelChoice(name)).names)
    assert listed - {"norm_layer"} == (taken | of_builders.get(name, set())) - CALLABLES - {"num_classes"}


def dry_run(folder: Path, text: str) -> tuple[int, str, bool]:
    """Return exit code, messages, and whether torch was imported, of a process of its own."""
    (folder / "s.yaml").write_text("name: s\n" + text)
    code = (
        "import sys, atexit; atexit.register(lambda: print('torch' in sys.modules)); "
        "sys.argv = ['cnnsweep', 'run', 's.yaml', '--dry-run']; from cnnsweep.cli import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr, ended.stdout.splitlines()[-1] == "True"


def test_dry_run_builds_networks_with_arguments_and_own_code_only(tmp_path):
    assert dry_run(tmp_path, "dataset: mnist\nmodel: resnet18\n") == (0, "", False)
    (tmp_path / "net.py").write_text(
        "import torch\nprint('imported')\nclass Net(torch.nn.Module):\n    def __init__(self, num_classes, width=1):\n"
        "        super().__init__()\n        self.last = torch.nn.Linear(784 * width, num_classes)\n"
        "    def forward(self, x):\n        return self.last(x.flatten(1))\n"
    )
    code, errors, has_torch = dry_run(tmp_path, "dataset: mnist\nmodel: net.py:Net\nparams: {model.width: [1, 2]}\n")
    assert (code, has_torch) == (2, True)
    assert "s.yaml:4:27  params.model.width: a batch of 1×28×28 images raised RuntimeError: " in errors
    # Where only the files say what the images are, nothing can be tried.
    (tmp_path / "data.py").write_text("def load():\n    raise AssertionError\n")
    assert dry_run(tmp_path, "dataset: data.py:load\nmodel: net.py:Net\n") == (0, "", False)
