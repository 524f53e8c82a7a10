"""Whether cnnsweep can work here: versions, devices, threads, extras, data, cache, disk and limits."""

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

from cnnsweep.errors import CnnSweepError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text
from cnnsweep.maintenance.diagnostic import Finding, good, note, problem

_OLDEST_PYTHON = (3, 11)
_EXTRAS = {
    "search": (("optuna", "cmaes"), "search methods tpe, gp and cmaes, and the importance of hyperparameters"),
    "report": (("plotly", "matplotlib"), "the report as a page, and figures for papers"),
    "export": (("onnx", "onnxruntime", "onnxscript"), "models as ONNX"),
    "ray": (("ray",), "training on a cluster"),
}
_LITTLE_SPACE = 5e9  # bytes
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*\(?(>=|==)\s*([0-9.]+)")


def check_installation(data_root: Path, folder: Path) -> list[Finding]:
    """Return what is right and wrong with this installation.

    Args:
        data_root: where data sets lie.
        folder: where sweeps are going to be written.
    """
    findings: list[Finding] = []
    checks: Sequence[tuple[str, Callable[[], Iterator[Finding]]]] = (
        ("python", _python),
        ("packages", _packages),
        ("device", _devices),
        ("threads", _threads),
        ("extras", _extras),
        ("tensorboard", _tensorboard),
        ("data", lambda: _data(data_root)),
        ("cache", _cache),
        ("disk", lambda: _disk(folder)),
        ("limits", _limits),
        ("other sweeps", _other_sweeps),
    )
    for subject, check in checks:
        try:
            findings += check()
        except (
            Exception
        ) as error:  # a broken package may raise anything; the other checks are worth having all the same
            words = f"cannot be checked ({type(error).__name__}: {safe_text(error)})"
            findings.append(problem(subject, words, "install cnnsweep anew in a fresh environment"))
    return findings


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        yield problem("python", version, f"install Python {'.'.join(map(str, _OLDEST_PYTHON))} or later")
    else:
        yield good("python", f"{version}, {platform.system()} {platform.machine()}")


def _packages() -> Iterator[Finding]:
    too_old = []
    for name, relation, wanted in _requirements("cnnsweep"):
        found = _version(name)
        if found is None or not _fits(found, relation, wanted):
            too_old.append(f"{name} is {found or 'missing'}, needed is {wanted} or later")
    for words in too_old:
        yield problem("packages", words, f"pip install --upgrade '{words.split()[0]}'")
    if not too_old:
        yield good("packages", f"cnnsweep {_version('cnnsweep')}, all that it needs is there")
    torch, torchvision = _version("torch"), _version("torchvision")
    pair = f"torch {torch}, torchvision {torchvision}"
    needed = [(relation, wanted) for name, relation, wanted in _requirements("torchvision") if name == "torch"]
    if torch is None or torchvision is None:
        return  # said above
    for relation, wanted in needed:
        if not _fits(torch, relation, wanted):
            remedy = "install a pair that fits: pip install --upgrade torch torchvision"
            yield problem("torch", f"{pair}, which needs torch {relation} {wanted}", remedy)
            return
    yield good("torch", f"{pair}, which fit each other")


def _requirements(package: str) -> list[tuple[str, str, str]]:
    """Return what a package needs in any case, as (name, >= or ==, version)."""
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


def _devices() -> Iterator[Finding]:
    from cnnsweep.training.devices import available_devices, choose_device, describe_device

    for name in available_devices():
        device = choose_device(name)
        try:
            seconds = _try_training_step(name)
        except Exception as error:  # whatever a driver or a kernel raises
            words = f"{describe_device(device)}: a training step fails ({safe_text(str(error).splitlines()[0])})"
            yield problem("device", words, "update its driver, or choose another device with --device")
        else:
            yield good("device", f"{describe_device(device)}: a training step works ({seconds * 1000:.0f} ms)")


def _try_training_step(name: str) -> float:
    """Train a small network for two steps; return how long the second one took.

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


def _threads() -> Iterator[Finding]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = _control_group_cores()
    usable = cores if allowed is None else min(cores, max(1, round(allowed)))
    threads = torch.get_num_threads()
    wish = os.environ.get("OMP_NUM_THREADS")
    words = f"{count_text(threads, 'thread')} on {count_text(usable, 'usable core')}"
    words += "" if wish is None else f" (OMP_NUM_THREADS={safe_text(wish)})"
    if threads > usable:
        yield note("threads", words, f"set OMP_NUM_THREADS={usable}: more threads than cores slow each other down")
    elif threads < usable and wish is not None:
        yield note("threads", words, "unset OMP_NUM_THREADS to use them all")
    else:
        yield good("threads", words)


def _control_group_cores() -> float | None:
    """Return how many cores a container may use (Linux control groups, version 2); None without a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return float(quota) / float(period)
    except (OSError, ValueError):
        return None


def _extras() -> Iterator[Finding]:
    for extra, (packages, purpose) in _EXTRAS.items():
        missing = [name for name in packages if _version(name) is None]
        if missing:
            words = f"{extra} is not installed ({', '.join(missing)}): {purpose}"
            yield note("extras", words, f"if you want these: pip install 'cnnsweep[{extra}]'")
        else:
            yield good("extras", f"{extra} is installed: {purpose}")


def _tensorboard() -> Iterator[Finding]:
    importlib.import_module("cnnsweep.trackers.tensorboard_writer")
    yield good("tensorboard", f"{_version('tensorboard')}: its files can be written")


def _data(data_root: Path) -> Iterator[Finding]:
    from cnnsweep.datasets.base import DATASETS
    from cnnsweep.datasets.torchvision import TorchvisionDataset

    here, partly = [], []
    for dataset in sorted(DATASETS.built_in, key=lambda dataset: dataset.name):
        if not issubclass(dataset, TorchvisionDataset):
            continue
        files = dataset.model_construct().files
        missing = files.missing_files(data_root)
        if not missing:
            here.append(dataset.name)
        elif len(missing) < len(files.files):
            partly.append((dataset.name, missing))
    place = safe_text(data_root)
    for name, missing in partly:
        words = (
            f"{place}: {name} is incomplete, {', '.join(missing[:3])} {'is' if len(missing) == 1 else 'are'} missing"
        )
        yield note("data", words, "a sweep that names it downloads what is missing")
    words = ", ".join(here) if here else "no data set yet; a sweep downloads what it names"
    yield good("data", f"{place}: {words}")


def _cache() -> Iterator[Finding]:
    from cnnsweep.datasets.cache import cache_entries, cache_folder, cache_limit_bytes, cache_problem

    wrong = cache_problem()
    if wrong is not None:
        yield note("cache", wrong, "images are decoded anew for every command until then")
        return
    try:
        limit = cache_limit_bytes()
    except CnnSweepError as error:
        yield problem("cache", str(error), "correct the variable, or unset it")
        return
    entries = cache_entries()
    size = sum(entry.size_bytes for entry in entries)
    words = f"{safe_text(cache_folder())}: decoded images of {count_text(len(entries), 'data set')}"
    yield good("cache", f"{words}, {size / 1e9:.1f} of at most {limit / 1e9:g} GB")


def _disk(folder: Path) -> Iterator[Finding]:
    place = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(place).free
    words = f"{safe_text(place)}: {free / 1e9:.1f} GB are free"
    if not os.access(place, os.W_OK):
        yield note("disk", f"{safe_text(place)}: cannot be written", "choose another folder for sweeps with --out")
    elif free < _LITTLE_SPACE:
        yield note("disk", words, "'cnnsweep plan' says what a sweep needs")
    else:
        yield good("disk", words)


def _limits() -> Iterator[Finding]:
    try:
        import resource
    except ImportError:  # Windows has none
        return
    found = []
    for name, words in ((resource.RLIMIT_FSIZE, "the size of a file"), (resource.RLIMIT_AS, "memory")):
        limit, _ = resource.getrlimit(name)
        if limit != resource.RLIM_INFINITY:
            found.append(f"{words} is limited to {limit / 1e9:.1f} GB")
    if found:
        yield note("limits", "; ".join(found), "a sweep that needs more is stopped; see 'ulimit -a'")
    else:
        yield good("limits", "neither memory nor the size of files is limited for this user")


def _other_sweeps() -> Iterator[Finding]:
    others = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is another user's
            continue
        is_ours = any(word == b"cnnsweep" or word.endswith(b"/cnnsweep") for word in words[:3])
        if is_ours and b"run" in words and int(folder.name) != os.getpid():
            others.append(folder.name)
    if others:
        remedy = "sweeps that share cores slow each other down by more than half: run one after the other"
        yield note("other sweeps", f"at work: process {', '.join(sorted(others))}", remedy)
