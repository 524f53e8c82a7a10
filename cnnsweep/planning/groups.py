"""Which runs train together as one program."""

from collections.abc import Sequence

from cnnsweep.records import Run, RunGroup


def plan_groups(runs: Sequence[Run]) -> list[RunGroup]:
    """Return the runs in their order, each a group of its own."""
    return [RunGroup(((run,),)) for run in runs]
