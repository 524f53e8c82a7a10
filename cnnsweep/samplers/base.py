"""Samplers: rules that choose the next trials of a search.

A sampler is a class with a name, in a file of this package; its fields are the keys of `search`:

    class Coarse(Sampler, name="coarse"):
        levels: Annotated[int, Whole(2, 100)] = 3

        def suggest(self, space, observations, drawn, count):
            ...

Other packages add samplers with an entry point in the group `cnnsweep.samplers`, and a sweep file may name a class of
its own: `search: {method: mine.py:Coarse, runs: 20, levels: 5}`. Without a sampler every combination is tried (`grid`).

A sampler keeps no state. All that it knows is handed to it each time, so a resumed sweep, which has it from its
journal, continues with the same suggestions.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from cnnsweep.errors import UsageError
from cnnsweep.field_types import Whole
from cnnsweep.registry import Component, Registry
from cnnsweep.samplers.space import SearchSpace

Suggestion = Mapping[str, float | int]  # by dimension: the index of an option, or a number of the interval


@dataclass(frozen=True, slots=True)
class Observation:
    """A suggestion and the metric that its trial has reached.

    Attributes:
        value: the metric; None if it is not finite (the trial diverged or failed), or not known yet.
        curve: the metric by epoch, for a trial that was pruned or still trains; empty otherwise.
        is_pending: the trial has no metric yet.
    """

    suggestion: Suggestion
    value: float | None
    curve: Mapping[int, float] = field(default_factory=dict)
    is_pending: bool = False


class Sampler(Component):
    """Base of all samplers.

    Attributes:
        learns: suggestions depend on the results so far, so trials are chosen round by round.
        uses_running: observations of trials that still train are of use, so freed places are filled while others train.
        package: the package that the sampler needs, by the name to import it; empty for none.
        install: the argument of `pip install` for it.
    """

    learns: ClassVar[bool] = False
    uses_running: ClassVar[bool] = False
    package: ClassVar[str] = ""
    install: ClassVar[str] = "cnnsweep[search]"

    runs: Annotated[int, Whole(1, 1_000_000)] = Field(description="number of trials to try", examples=[20])
    seed: Annotated[int, Whole(0, 2**63 - 1)] = Field(
        default=0, description="seed of the search itself; the runs have their own"
    )

    def suggest(
        self, space: SearchSpace, observations: Sequence[Observation], drawn: int, count: int
    ) -> list[Suggestion]:
        """Return `count` suggestions; a pure function of the sampler's fields and the arguments.

        Args:
            observations: the trials so far, in the order in which they were suggested. Suggestions of this round that
                were refused belong there too, as pending: a Gaussian process would propose them again.
            drawn: the number of suggestions before, including those that were refused.
        """
        raise NotImplementedError

    def refusal(self, distributions: Collection[str]) -> str | None:  # noqa: ARG002 - most take any space
        """Return why a space cannot be searched, for the error message; None if it can.

        Args:
            distributions: the keys of `params` that have a distribution; the others have lists.
        """
        return None

    def require_package(self) -> None:
        """Import the package that the sampler needs.

        Raises:
            UsageError: it is not installed.
        """
        try:
            importlib.import_module(self.package) if self.package else None
        except ImportError:
            text = f"search: method {self.name} needs the package {self.package}: pip install '{self.install}'"
            raise UsageError(text) from None


class LearningSampler(Sampler):
    """Base of samplers that choose trials by the results of those before."""

    learns: ClassVar[bool] = True

    round: Annotated[int | None, Whole(1, 10_000)] = Field(
        default=None, description="number of trials under way at once; by default the number that train together"
    )


SAMPLERS = Registry("sampler", "samplers", Sampler)


def text_seed(text: str) -> int:
    """Return 32 bits, which is what NumPy's older generators take, that depend on every character of a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def worst_value(observations: Sequence[Observation], mode: str) -> float | None:
    """Return the worst metric that any trial has reached, which stands for those that diverged. None if there is none.

    Args:
        mode: `max` or `min`.
    """
    values = [one.value for one in observations if one.value is not None]
    return (min if mode == "max" else max)(values, default=None)
