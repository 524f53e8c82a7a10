"""Factory of a sweep's executor, by name; replaces it by a larger one if that is faster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import torch

from cnnsweep.callbacks import INFO, WARNING
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import code_references
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.executors.base import EXECUTORS, Executor, ExecutorConfig, ExecutorSetup
from cnnsweep.executors.options import ExecutorOptions
from cnnsweep.planning.scheduling import Job, Slot
from cnnsweep.planning.stage import keeps_lockstep
from cnnsweep.storage.state import SweepState
from cnnsweep.training.data_module import DataModule
from cnnsweep.training.devices import describe_device
from cnnsweep.types import Run, RunGroup


def executor_config(executor_options: ExecutorOptions) -> ExecutorConfig:
    """Return the executor that the options name.

    Raises:
        UsageError: its code cannot be imported.
    """
    return EXECUTORS.get(executor_options.executor).from_options(executor_options)


def take_slots(config: ExecutorConfig, devices: Sequence[torch.device], history: SweepState) -> tuple[Slot, ...]:
    """Return the slots, and have this process use the threads of one; see `ExecutorConfig.choose_slots`.

    Raises:
        UsageError: there are more devices than jobs.
    """
    slots = config.choose_slots(devices, history)
    torch.set_num_threads(slots[0].threads)
    return slots


@contextmanager
def open_executor(
    config: ExecutorConfig,
    spec: SweepSpec,
    runs: Sequence[Run],
    dataset: Dataset,
    task: DataModule,
    slots: Sequence[Slot],
    history: SweepState,
    log: Callable[[str, int], None],
) -> Iterator[ExecutorFactory]:
    """Make the executor of a sweep; its workers end when the context is left.

    Args:
        log: takes a line for the user and its level.

    Raises:
        CnnSweepError: it cannot train here.
    """
    setup = ExecutorSetup(
        task,
        tuple(slots),
        lockstep=keeps_lockstep(spec),
        info=lambda text: log(text, INFO),
        warning=lambda text: log(text, WARNING),
        device=spec.device,
        code=code_references(spec, runs),
        dataset=spec.dataset_choice,
        fingerprint=dataset.fingerprint,
        seed=spec.seed,
        slots_before=history.groups[-1].conditions.get("places", 1) if history.groups else None,
    )
    with closing(ExecutorFactory(config, setup)) as executors:
        yield executors


def describe_slots(slots: Sequence[Slot]) -> str:
    """Return the devices of training in words."""
    if len(slots) == 1:
        return describe_device(torch.device(slots[0].device))
    counts = Counter(slots)
    if len({place.device for place in slots}) == 1 and slots[0].device == "cpu":
        threads = slots[0].threads
        return f"cpu ({len(slots)} processes of {threads} thread{'s' if threads != 1 else ''})"
    return ", ".join(f"{count} × {place.device}" if count > 1 else place.device for place, count in counts.items())


class ExecutorFactory:
    """The executor of a sweep, replaced by a larger one if that is faster.

    Attributes:
        executor: the present one.
        description: the workers in words.
    """

    def __init__(self, config: ExecutorConfig, setup: ExecutorSetup) -> None:
        self._config = config
        self._setup = setup
        self._may_scale_out = True
        self.executor: Executor = config.make(setup)
        self.description: str = getattr(self.executor, "description", None) or describe_slots(setup.slots)

    def maybe_scale_out(self, jobs: Sequence[Job], foresee: Callable[[RunGroup, float], Job]) -> bool:
        """Return True if a larger executor, which trains these jobs faster, has taken over; effective once.

        Args:
            foresee: returns the job of a group, given the seconds of a step.
        """
        may_scale_out, self._may_scale_out = self._may_scale_out, False
        larger = self._config.scale_out(self._setup, jobs, foresee) if may_scale_out else None
        if larger is None:
            return False
        self.executor.close()
        self.executor = larger
        return True

    def close(self) -> None:
        """End all workers."""
        self.executor.close()
