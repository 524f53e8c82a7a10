"""Hyperparameter sweeps of image-classification CNNs, from one YAML file.

For notebooks and scripts: `load`, `run`, `plan`, `compare`, `doctor`, `clean`, `Sweep`, `TrainedRun`, `Callback`, and
`CnnSweepError`, the base of all errors that the user can fix; see docs/python.md.
"""

from typing import TYPE_CHECKING, Any

from cnnsweep._version import __version__

if TYPE_CHECKING:
    from cnnsweep.api import Sweep, TrainedRun, clean, compare, doctor, load, plan, run
    from cnnsweep.callbacks import Callback
    from cnnsweep.errors import CnnSweepError

__all__ = [
    "Callback",
    "CnnSweepError",
    "Sweep",
    "TrainedRun",
    "__version__",
    "clean",
    "compare",
    "doctor",
    "load",
    "plan",
    "run",
]
_MODULES = {"CnnSweepError": "cnnsweep.errors", "Callback": "cnnsweep.callbacks"}


def __getattr__(name: str) -> Any:
    """Import what is asked for: `import cnnsweep` itself loads neither torch nor pandas."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(_MODULES.get(name, "cnnsweep.api")), name)
    raise AttributeError(f"module 'cnnsweep' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
