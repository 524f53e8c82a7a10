"""The `search` key: how settings are chosen from the space that `params` describes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from cnnsweep.config.choice_field import CLOSED, Entry, name_of
from cnnsweep.config.names import SEARCHES
from cnnsweep.field_types import OneOf, Whole


@dataclass(frozen=True, slots=True)
class Search:
    """How settings are chosen.

    Attributes:
        method: one of `names.SEARCHES`; `grid` takes every combination.
        runs: how many settings are tried; 0 for `grid`, which counts its own.
        round: how many of them are under way at once, chosen from what those before have shown; None for as many as
            train together.
    """

    method: str = "grid"
    runs: int = 0
    seed: int = 0
    round: int | None = None

    @property
    def learns(self) -> bool:
        """True if what is chosen depends on the results so far."""
        return self.method in ("tpe", "gp", "cmaes")


_METHOD = Field(description="how settings are chosen", examples=["random"])
_RUNS = Field(description="how many settings are tried", examples=[20])
_SEED = Field(default=0, description="seed of the search itself; the runs have their own")
_COUNT = Whole(1, 1_000_000)


class GridSearch(BaseModel):
    """Every combination."""

    model_config = CLOSED
    method: Annotated[str, OneOf(("grid",))] = _METHOD


class DrawnSearch(BaseModel):
    """Settings drawn from the space, whatever the results: at random, or evenly spread (Sobol)."""

    model_config = CLOSED
    method: Annotated[str, OneOf(("random", "sobol"))] = _METHOD
    runs: Annotated[int, _COUNT] = _RUNS
    seed: Annotated[int, Whole(0, 2**63 - 1)] = _SEED


class LearningSearch(BaseModel):
    """Settings chosen by what the ones before have shown, with Optuna's samplers."""

    model_config = CLOSED
    method: Annotated[str, OneOf(("tpe", "gp", "cmaes"))] = _METHOD
    runs: Annotated[int, _COUNT] = _RUNS
    seed: Annotated[int, Whole(0, 2**63 - 1)] = _SEED
    round: Annotated[int | None, Whole(1, 10_000)] = Field(
        default=None, description="how many are under way at once; by default as many as train together"
    )


class UnknownSearch(BaseModel):
    """Takes every other key, so that a mistyped method is one mistake and not several."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True, json_schema_extra={"not": {}})
    method: Annotated[str, OneOf(SEARCHES)] = _METHOD


_VARIANTS: Mapping[str, type[BaseModel]] = {
    "grid": GridSearch,
    **dict.fromkeys(("random", "sobol"), DrawnSearch),
    **dict.fromkeys(("tpe", "gp", "cmaes"), LearningSearch),
}


def _search_variant(mapping: dict[str, Any]) -> str:
    method = name_of(mapping, "method")
    return f"<{method}>" if method in _VARIANTS else "<unknown search>"


SEARCH = Entry(
    names=("grid",),
    own_code=False,
    variants={**{f"<{method}>": variant for method, variant in _VARIANTS.items()}, "<unknown search>": UnknownSearch},
    variant_of=_search_variant,
    build=lambda entry: Search(**entry.model_dump()),
    allowed=f"one of {', '.join(SEARCHES)}, or a mapping such as {{method: random, runs: 20}}",
    key="method",
)
