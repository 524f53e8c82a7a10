"""The models that a sweep file can name, for listings, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnnsweep.models.base import MODELS


@dataclass(frozen=True, slots=True)
class ModelListing:
    """All known models.

    Attributes:
        single: descriptions by name, models of other packages last.
        families: description and names of each family, by the module that defines it.
    """

    single: Mapping[str, str]
    families: Mapping[str, tuple[str, tuple[str, ...]]]


def list_models() -> ModelListing:
    """Return the built-in models and those of other packages, which are imported."""
    classes = [component for _, component in MODELS.installed()]
    single = {model.names[0]: model.summary() for model in classes if len(model.names) == 1}
    families = {
        model.__module__.rpartition(".")[2]: (model.summary(), model.names) for model in classes if len(model.names) > 1
    }
    return ModelListing(single, families)
