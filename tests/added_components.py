"""Implementations that another package adds by an entry point, or a user's own file, and sweeps with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cnnsweep
from cnnsweep import registry as registries
from cnnsweep.registry import Registry

BASE: dict[str, Any] = {
    "name": "added",
    "dataset": {"name": "shapes", "size": 12, "classes": 3, "train": 40, "test": 6},
    "model": {"name": "cnn", "channels": [2], "kernel_size": 3, "hidden": [4]},
    "precision": "fp64",
    "tensorboard": False,
}


class InterruptError(Exception):
    """Stops a sweep after its first epoch."""


class AddedPackage:
    """A package on the path that adds one class, also as a file `added.py`; and sweeps in folders beside it."""

    def __init__(self, folder: Path, registry: Registry[Any]) -> None:
        self.folder, self.registry = folder, registry
        self.file = folder / "added.py"

    def write(self, code: str, **entries: str) -> None:
        """Write the module, and metadata with an entry point for each name."""
        self.file.write_text(code)
        metadata = self.folder / "added-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: added\nVersion: 1\n")
        lines = [f"{name} = added:{kind}" for name, kind in entries.items()]
        (metadata / "entry_points.txt").write_text("\n".join([f"[cnnsweep.{self.registry.package}]", *lines, ""]))

    def train(self, name: str, **params: Any) -> cnnsweep.Sweep:
        """Train a sweep of two epochs."""
        return self._run(name, params, fuse="off")

    def train_fused(self, name: str, **params: Any) -> cnnsweep.Sweep:
        """Train a sweep whose runs are one fused program."""
        return self._run(name, params, fuse=8)

    def train_with_a_break(self, name: str, **params: Any) -> cnnsweep.Sweep:
        """Train a sweep that is stopped after one epoch of its first run, then resumed."""

        return self._run_with_a_break(name, params, "off")

    def train_fused_with_a_break(self, name: str, **params: Any) -> cnnsweep.Sweep:
        """Train a sweep whose runs are one fused program, which is stopped after its first epoch, then resumed."""
        return self._run_with_a_break(name, params, 8)

    def _run_with_a_break(self, name: str, params: Any, fuse: str | int) -> cnnsweep.Sweep:
        def stop(_: object) -> None:
            raise InterruptError

        with pytest.raises(InterruptError):
            self._run(name, params, fuse=fuse, on_epoch=stop)
        assert cnnsweep.load(self.folder / name).status == "interrupted"
        return self._run(name, params, fuse=fuse)

    def _run(self, name: str, params: Any, **options: Any) -> cnnsweep.Sweep:
        top = {key: params[key] for key in ("search", "early_stop", "validation") if key in params}
        own = {key: value for key, value in params.items() if key not in top}
        spec = {**BASE, **top, "params": {"batch_size": 16, "epochs": 2, **own}}
        return cnnsweep.run(spec, folder=self.folder / name, device="cpu", jobs=1, threads=1, quiet=True, **options)


def added_package(folder: Path, registry: Registry[Any]) -> Iterator[AddedPackage]:
    """Yield a package on the path whose entry points are found, and take it away again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        _forget(registry)
        yield AddedPackage(folder, registry)
    sys.modules.pop("added", None)
    _forget(registry)


def _forget(registry: Registry[Any]) -> None:
    registries._installed_entry_points.cache_clear()
    for known in ("names", "_entry_points"):
        registry.__dict__.pop(known, None)


def metrics(sweep: cnnsweep.Sweep, *names: str) -> list[list[float]]:
    """Return metrics of every epoch, a list for each name."""
    return [list(sweep.epochs[name]) for name in names or ("loss", "val_loss", "accuracy", "val_accuracy")]
