"""The suggester of each search method; what a method stands on is imported only for it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from cnnsweep.config.search_entry import Search
from cnnsweep.errors import UsageError
from cnnsweep.samplers.base import Dimension, Suggester


def make_suggester(search: Search, dimensions: Sequence[Dimension], mode: str) -> Suggester:
    """Return the suggester of a search over these dimensions; `mode` is `max` or `min`.

    Raises:
        UsageError: what the method needs is not installed.
        ValueError: the method does not choose (`grid`), or two dimensions have one name.
    """
    # Each method imports what it stands on, so that a grid needs neither SciPy nor Optuna.
    ordered = tuple(sorted(dimensions, key=lambda dimension: dimension.name))
    if len({dimension.name for dimension in ordered}) < len(ordered):
        raise ValueError("two dimensions have one name")
    if search.method == "random":
        from cnnsweep.samplers.random import RandomSuggester

        return RandomSuggester(search.seed, ordered)
    if search.method == "sobol":
        from cnnsweep.samplers.random import SobolSuggester

        return SobolSuggester(search.seed, ordered)
    if search.method == "cmaes":
        _require("cmaes", search.method)
        from cnnsweep.samplers.cmaes import EvolutionSuggester

        return EvolutionSuggester(search, ordered, mode)
    if search.method in ("tpe", "gp"):
        _require("optuna", search.method)
        from cnnsweep.samplers.optuna_base import LearnedSuggester

        return LearnedSuggester(search, ordered, mode)
    raise ValueError(f"search method {search.method} draws nothing")


def _require(package: str, method: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError:
        name = "Optuna" if package == "optuna" else f"the package {package}"
        raise UsageError(f"search: method {method} needs {name}: pip install 'cnnsweep[search]'") from None
