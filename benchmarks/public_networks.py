"""Networks in a checkout of somebody's repository: which files define them, and with what arguments each is made."""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnnsweep.errors import CnnSweepError
from cnnsweep.models.build import build_model
from cnnsweep.models.logits import named_tensors
from cnnsweep.plugins import load_object
from cnnsweep.types import ModelChoice

CLASSES = 10
SHAPES = ((3, 32, 32), (1, 28, 28), (1, 32, 32), (3, 64, 64), (3, 224, 224))
# For factories that must be told how deep a network is, where the checkout does not call them.
DEPTHS = (20, 28, 29, 11, 18)
# Files that train or set up when they are imported, and are no networks.
NOT_NETWORKS = frozenset(["setup", "train", "main", "test", "conftest", "hubconf"])
# How the error of what is not tried begins.
NOT_BUILT = "not built"
NO_NETWORK = ("no images", "no classifier")
# What cnnsweep gives to a network that takes it.
GIVEN = frozenset(["in_channels", "num_classes", "image_size"])


@dataclass(frozen=True, slots=True)
class Network:
    """A network that can be made.

    Attributes:
        shape: (C, H, W) of the images that it takes.
        classes: how many outputs it has.
        error: why PyTorch does not make it, or none of the shapes passes; what else is known is zero then.
    """

    choice: ModelChoice
    shape: tuple[int, int, int] = (0, 0, 0)
    classes: int = 0
    parameters: int = 0
    error: str = ""


def network_files(checkout: Path) -> list[Path]:
    """Return the Python files that define modules, by their syntax alone."""
    found = []
    for file in sorted(checkout.rglob("*.py")):
        with contextlib.suppress(SyntaxError, ValueError):
            text = ast.dump(ast.parse(file.read_text(errors="replace")))
            is_network = file.stem not in NOT_NETWORKS and not file.stem.startswith("test_")
            if is_network and ("'Module'" in text or "'nn'" in text):
                found.append(file)
    return found


def import_path(checkout: Path, file: Path) -> str:
    """Return what to import: a module of the package that a file is in, or the file; its root is the current folder."""
    root = file.parent
    while (root / "__init__.py").exists() and root != checkout:
        root = root.parent
    os.chdir(root)
    sys.path[:0] = [str(root), str(checkout)]
    return str(file) if file.parent == root else ".".join(file.relative_to(root).with_suffix("").parts)


def names_defined(file: Path) -> list[str]:
    """Return the classes and functions at the top of a file, without its own tests."""
    tree = ast.parse(file.read_text(encoding="utf-8", errors="replace"))
    defined = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return [name for name in defined if not name.startswith(("_", "test"))]


def calls_in(checkout: Path) -> dict[str, list[ast.Call]]:
    """Return by name what a checkout calls with literal arguments, in lines that are commented out too."""
    calls: dict[str, list[ast.Call]] = {}
    for file in sorted(checkout.rglob("*.py")):
        text = file.read_text(errors="replace")
        sources = [text, *(match[1] for match in re.finditer(r"^\s*#\s*(\w+ = \w+\(.*\))\s*$", text, re.MULTILINE))]
        for source in sources:
            with contextlib.suppress(SyntaxError, ValueError):
                for node in ast.walk(ast.parse(source)):
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (node.args or node.keywords):
                        calls.setdefault(node.func.id, []).append(node)
    return calls


def networks_of(
    reference: str, calls: list[ast.Call], arguments: Mapping[str, Any] | None = None
) -> Iterator[tuple[Network, dict[str, Any]]]:
    """Yield the networks that a class or function makes, and the arguments of each; none where it makes no network.

    Args:
        calls: of it in the checkout; tried where it does not do with what cnnsweep gives.
        arguments: what to call it with instead.
    """
    try:
        made = load_object(reference)
        signature = inspect.signature(made)
    except (CnnSweepError, ValueError, TypeError):
        return
    if inspect.isclass(made) and not issubclass(made, nn.Module):
        return
    found = []
    for given in [dict(arguments)] if arguments else _possible_arguments(signature, calls):
        network = _network(ModelChoice(reference, given))
        if network is None:
            continue
        if network.parameters:
            yield network, given
            if not given or ("depth" in given and not calls):
                return
        found.append((network, given))
    if found and not any(network.parameters for network, _ in found):
        yield found[0]


def _possible_arguments(signature: inspect.Signature, calls: list[ast.Call]) -> Iterator[dict[str, Any]]:
    """Yield arguments: none where none must be given, those of calls in the checkout, and depths."""
    parameters = signature.parameters.values()
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = {p.name for p in parameters if p.default is p.empty and p.kind not in variadic} - GIVEN
    if not missing:
        yield {}
    called = []
    for call in calls:
        with contextlib.suppress(ValueError, TypeError):
            positional = [ast.literal_eval(argument) for argument in call.args]
            named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
            bound = signature.bind_partial(*positional, **named).arguments
            given = {**bound.pop("kwargs", {}), **bound}
            if missing and missing <= given.keys() and given not in called:
                called.append(given)
    yield from called
    if not called and (missing == {"depth"} or (not missing and takes_any)):
        yield from ({"depth": depth} for depth in DEPTHS)


def _network(choice: ModelChoice) -> Network | None:
    """Return a network with the images that it takes, or with why it is none; None for what makes no module."""
    try:
        model = build_model(choice, SHAPES[0], CLASSES, seed=0)
    except Exception as error:  # whatever a stranger's code raises
        return None if "is no torch.nn.Module" in str(error) else Network(choice, error=f"{NOT_BUILT}: {error}")
    if not any(True for _ in model.parameters()):
        return None
    error = ""
    for shape in SHAPES:
        try:
            answer = _classes_of(choice, shape)
        except Exception as refused:  # as above
            error = error or f"{NO_NETWORK[0]}: {refused}"
            continue
        if answer is None:
            error = error or f"{NO_NETWORK[1]}: its output is not (N, classes)"
        else:
            return Network(choice, shape, *answer)
    return Network(choice, error=" ".join(error.split())[:200])


def _classes_of(choice: ModelChoice, shape: tuple[int, int, int]) -> tuple[int, int] | None:
    """Return how many classes a network has and its number of parameters; None if it is no classifier."""
    model = build_model(choice, shape, CLASSES, seed=0).eval()
    with torch.no_grad():
        output = model(torch.zeros(2, *shape))
    tensors = [output] if isinstance(output, Tensor) else [tensor for _, tensor in named_tensors(output)]
    sizes = [t.shape[1] for t in tensors if t.ndim == 2 and t.shape[0] == 2 and t.shape[1] > 1]
    if not sizes:
        return None
    return CLASSES if CLASSES in sizes else sizes[0], sum(p.numel() for p in model.parameters())
