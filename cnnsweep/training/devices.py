"""Choice of the training device."""

from __future__ import annotations

import torch

from cnnsweep.errors import UsageError


def choose_device(wish: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; `auto` prefers CUDA, then MPS, then the CPU.

    Raises:
        UsageError: it is not on this machine; the message lists the available ones.
    """
    if wish == "auto":
        wish = available_devices()[0]
    try:
        device = torch.device(wish)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"device: found '{wish}', allowed are auto, cpu, cuda, cuda:N and mps")
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", 0)
    if str(device) not in available_devices():
        no_cuda = device.type == "cuda" and torch.version.cuda is None and torch.version.hip is None
        hint = "; this torch was installed without CUDA" if no_cuda else ""
        raise UsageError(f"device: '{wish}' is not on this machine, which has {', '.join(available_devices())}{hint}")
    return device


def choose_devices(wish: str) -> tuple[torch.device, ...]:
    """Return all devices for a sweep: a comma-separated list, or for `auto` every GPU, else as above.

    Raises:
        UsageError: one is not on this machine, or is named twice.
    """
    if wish == "auto" and torch.cuda.device_count() > 1:
        return tuple(torch.device("cuda", index) for index in range(torch.cuda.device_count()))
    devices = tuple(choose_device(name.strip()) for name in wish.split(","))
    if len(set(devices)) < len(devices):
        raise UsageError(f"device: found '{wish}', which names a device twice; use --jobs for several workers on one")
    return devices


def describe_device(device: torch.device) -> str:
    """Return a device in words."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} thread{'s' if threads != 1 else ''})"
    return str(device)


def available_devices() -> list[str]:
    """Return the names of the available devices, the fastest first."""
    devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]
