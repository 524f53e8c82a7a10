"""Hyperparameter sweeps of image-classification CNNs, from one YAML file.

For notebooks and scripts: `load`, `run`, `Sweep`, `TrainedRun`, and `CnnSweepError`, the base of all errors that a
person can mend; see docs/python.md.
"""

from typing import TYPE_CHECKING, Any

from cnnsweep._version import __version__

if TYPE_CHECKING:
    from cnnsweep.api import Sweep, TrainedRun, load, run
    from cnnsweep.errors import CnnSweepError

__all__ = ["CnnSweepError", "Sweep", "TrainedRun", "__version__", "load", "run"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: `import cnnsweep` itself loads neither torch nor pandas."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("cnnsweep.errors" if name == "CnnSweepError" else "cnnsweep.api"), name)
    raise AttributeError(f"module 'cnnsweep' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
