"""Makes the executor of a sweep by its name, and replaces it by a larger one if that is faster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch

from cnnsweep.callbacks import INFO, WARNING
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import code_names
from cnnsweep.executors.base import EXECUTORS, Executor, ExecutorConfig, ExecutorSetup
from cnnsweep.executors.options import Staff
from cnnsweep.planning.scheduling import Load, Place
from cnnsweep.storage.state import SweepHistory
from cnnsweep.training.data_module import TrainingTask
from cnnsweep.training.devices import describe_device
from cnnsweep.types import Run, RunGroup


def executor_config(staff: Staff) -> ExecutorConfig:
    """Return the executor that the options name.

    Raises:
        UsageError: its code cannot be imported.
    """
    return EXECUTORS.get(staff.executor).from_options(staff)


def make_executor_setup(
    spec: SweepSpec,
    runs: Sequence[Run],
    fingerprint: str,
    task: TrainingTask,
    places: Sequence[Place],
    history: SweepHistory,
    log: Callable[[str, int], None],
    *,
    in_step: bool,
) -> ExecutorSetup:
    """Return the facts about a sweep that its executor is made for.

    Args:
        fingerprint: of the data set.
        log: takes a line for the user and its level.
    """
    return ExecutorSetup(
        task,
        tuple(places),
        in_step=in_step,
        info=lambda text: log(text, INFO),
        warning=lambda text: log(text, WARNING),
        device=spec.device,
        code=(*code_names(spec, runs), *(metric.name for metric in spec.metrics)),
        dataset=spec.dataset_choice,
        fingerprint=fingerprint,
        places_before=history.groups[-1].conditions.get("places", 1) if history.groups else None,
    )


def describe_places(places: Sequence[Place]) -> str:
    """Return where groups train, in words."""
    if len(places) == 1:
        return describe_device(torch.device(places[0].device))
    counts = Counter(places)
    if len({place.device for place in places}) == 1 and places[0].device == "cpu":
        threads = places[0].threads
        return f"cpu ({len(places)} processes of {threads} thread{'s' if threads != 1 else ''})"
    return ", ".join(f"{count} × {place.device}" if count > 1 else place.device for place, count in counts.items())


class Workforce:
    """The executor of a sweep; a larger one replaces it if that is faster.

    Attributes:
        executor: the present one.
        description: the workers in words, if this machine did not choose them.
    """

    def __init__(self, config: ExecutorConfig, setup: ExecutorSetup) -> None:
        self._config = config
        self._setup = setup
        self._may_grow = True
        self.executor: Executor = config.make(setup)
        self.description: str | None = getattr(self.executor, "description", None)

    def grow_for(self, loads: Sequence[Load], foresee: Callable[[RunGroup, float], Load]) -> bool:
        """Return True if a larger executor, which trains these jobs faster, has taken over; asked once only.

        Args:
            foresee: returns the job of a group, given the seconds of a step.
        """
        may_grow, self._may_grow = self._may_grow, False
        larger = self._config.scale_out(self._setup, loads, foresee) if may_grow else None
        if larger is None:
            return False
        self.executor.close()
        self.executor = larger
        return True

    def close(self) -> None:
        """End all workers."""
        self.executor.close()
