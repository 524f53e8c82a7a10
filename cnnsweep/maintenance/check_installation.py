"""Checks of an installation: versions, devices, extras, disk."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cnnsweep.formatting.escape import safe_text
from cnnsweep.maintenance.diagnostic import Diagnostic, good, note, problem

_OLDEST_PYTHON = (3, 11)
_EXTRAS = {
    "search": (("optuna", "cmaes"), "search methods tpe, gp and cmaes, and the importance of hyperparameters"),
    "report": (("plotly", "matplotlib"), "the report as a page, and figures for papers"),
    "export": (("onnx", "onnxruntime", "onnxscript"), "models as ONNX"),
    "ray": (("ray",), "training on a cluster"),
}
_LITTLE_SPACE = 5e9  # bytes
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*\(?(>=|==)\s*([0-9.]+)")


def check_installation(folder: Path) -> list[Diagnostic]:
    """Return the state of this installation, good and bad.

    Args:
        folder: for new sweeps.
    """
    diagnostics: list[Diagnostic] = []
    checks: Sequence[tuple[str, Callable[[], Iterator[Diagnostic]]]] = (
        ("python", _python),
        ("packages", _packages),
        ("device", _devices),
        ("extras", _extras),
        ("disk", lambda: _disk(folder)),
    )
    for subject, check in checks:
        try:
            diagnostics += check()
        except Exception as error:  # a broken package may raise anything; the other checks continue
            words = f"cannot be checked ({type(error).__name__}: {safe_text(error)})"
            diagnostics.append(problem(subject, words, "reinstall cnnsweep in a fresh environment"))
    return diagnostics


def _python() -> Iterator[Diagnostic]:
    version = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        yield problem("python", version, f"install Python {'.'.join(map(str, _OLDEST_PYTHON))} or later")
    else:
        yield good("python", f"{version}, {platform.system()} {platform.machine()}")


def _packages() -> Iterator[Diagnostic]:
    too_old = []
    for name, relation, wanted in _requirements("cnnsweep"):
        found = _version(name)
        if found is None or not _fits(found, relation, wanted):
            too_old.append(f"{name} is {found or 'missing'}, {wanted} or later is needed")
    for words in too_old:
        yield problem("packages", words, f"pip install --upgrade '{words.split()[0]}'")
    if not too_old:
        yield good("packages", f"cnnsweep {_version('cnnsweep')}, all requirements are installed")
    torch, torchvision = _version("torch"), _version("torchvision")
    pair = f"torch {torch}, torchvision {torchvision}"
    needed = [(relation, wanted) for name, relation, wanted in _requirements("torchvision") if name == "torch"]
    if torch is None or torchvision is None:
        return  # reported above
    for relation, wanted in needed:
        if not _fits(torch, relation, wanted):
            remedy = "install a compatible pair: pip install --upgrade torch torchvision"
            yield problem("torch", f"{pair}, which needs torch {relation} {wanted}", remedy)
            return
    yield good("torch", f"{pair}, which are compatible")


def _requirements(package: str) -> list[tuple[str, str, str]]:
    """Return the requirements of a package without its extras, as (name, >= or ==, version)."""
    try:
        lines = importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = [_REQUIREMENT.match(line) for line in lines if "extra ==" not in line]
    return [(match[1], match[2], match[3]) for match in found if match]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _fits(found: str, relation: str, wanted: str) -> bool:
    have, need = _numbers(found), _numbers(wanted)
    return have[: len(need)] == need if relation == "==" else have >= need


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def _devices() -> Iterator[Diagnostic]:
    from cnnsweep.training.devices import available_devices, choose_device, describe_device

    for name in available_devices():
        device = choose_device(name)
        try:
            seconds = _try_training_step(name)
        except Exception as error:  # a driver or a kernel may raise anything
            words = f"{describe_device(device)}: a training step fails ({safe_text(str(error).splitlines()[0])})"
            yield problem("device", words, "update its driver, or choose another device with --device")
        else:
            yield good("device", f"{describe_device(device)}: a training step works ({seconds * 1000:.0f} ms)")


def _try_training_step(name: str) -> float:
    """Train a small network for two steps; return the seconds of the second one.

    Raises:
        RuntimeError: the result is not finite, or torch's own error.
    """
    import torch
    from torch import nn

    device = torch.device(name)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3)).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    images = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)).to(device)
    labels = torch.arange(8, device=device) % 3
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if not torch.isfinite(loss).item():
            raise RuntimeError("the loss is not finite")
        seconds = time.perf_counter() - start
    return seconds


def _extras() -> Iterator[Diagnostic]:
    for extra, (packages, purpose) in _EXTRAS.items():
        missing = [name for name in packages if _version(name) is None]
        if missing:
            words = f"{extra} is not installed ({', '.join(missing)}): {purpose}"
            yield note("extras", words, f"to install: pip install 'cnnsweep[{extra}]'")
        else:
            yield good("extras", f"{extra} is installed: {purpose}")


def _disk(folder: Path) -> Iterator[Diagnostic]:
    place = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(place).free
    words = f"{safe_text(place)}: {free / 1e9:.1f} GB are free"
    if not os.access(place, os.W_OK):
        yield note("disk", f"{safe_text(place)}: cannot be written", "choose another folder for sweeps with --out")
    elif free < _LITTLE_SPACE:
        yield note("disk", words, "'cnnsweep plan' shows the disk space that a sweep needs")
    else:
        yield good("disk", words)
