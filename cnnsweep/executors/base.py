"""The contract of executors, and their registry: groups in, reports out, decisions back.

Only the parent process writes: an executor calls the callback there, from one thread. Its workers stay idle between two
calls of `execute`, so that they need no restart for every stage, and it is closed when the sweep ends.

An executor is a config class with its options, whose `make` returns an object with `call`, `execute` and `close`:

    class Slurm(ExecutorConfig, name="slurm"):
        partition: str = "gpu"

        def make(self, setup):
            return SlurmExecutor(self, setup)

To add one, write a file in this folder, name your own as `--executor file.py:Name`, or declare an entry point in the
group `cnnsweep.executors`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeVar

from cnnsweep.errors import UsageError
from cnnsweep.executors.options import AUTO, ExecutorOptions
from cnnsweep.planning.scheduling import Job, Slot
from cnnsweep.registry import Component, Registry
from cnnsweep.training.callback import TrainerCallback
from cnnsweep.types import DatasetChoice, RunGroup

if TYPE_CHECKING:
    import torch

    from cnnsweep.storage.checkpoint import LastCheckpoint
    from cnnsweep.storage.state import SweepState
    from cnnsweep.training.data_module import DataModule

R = TypeVar("R")


class Placeholder(Enum):
    """An argument that each worker replaces by its own object."""

    TASK = "task"


TASK = Placeholder.TASK


class ExecutorCallback(TrainerCallback, Protocol):
    """The callbacks of an executor; called in the parent process only.

    Groups that train in parallel call in turn, each about its own runs.
    """

    def on_group_start(self, group: RunGroup) -> Mapping[str, LastCheckpoint] | None:
        """Return the checkpoints from which the group's runs resume, by run id; None if no further group may start."""

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        """Handle a group that could not train fused; its runs restart in these groups, from their checkpoints."""

    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        """Handle the loss of a worker; its group restarts from the last checkpoints."""

    def on_log(self, text: str) -> None:
        """Handle a line that a worker printed, or a line about a worker."""


class Executor(Protocol):
    """Trains groups, in this process or elsewhere.

    Attributes:
        slots: the number of groups that train at once, as far as known.
    """

    @property
    def slots(self) -> int: ...

    def call(self, function: Callable[..., R], *arguments: object) -> R:
        """Call a function where groups train, to measure their cost there.

        Args:
            function: a module-level function.
            arguments: TASK stands for the worker's own `DataModule`.

        Raises:
            ExecutionError: no worker is left.
            RuntimeError: each worker that calls it dies, or the function raises an error from another library.
            Exception: the function raises one of our errors, or memory runs out.
        """
        ...

    def execute(self, jobs: Sequence[Job], callback: ExecutorCallback) -> None:
        """Train all groups to their ends, or until the callback starts no further group.

        A group that cannot train fused is split, and a group of a dead worker trains again. So every run of every group
        has ended when this returns, unless the callback interrupted it.

        Raises:
            ExecutionError: no worker is left.
            FolderError: the folder can no longer be written.
            KeyboardInterrupt: the user stops the sweep at once. All training has stopped when this is raised.
        """

    def close(self) -> None:
        """End all workers at once; may be called more than once."""


@dataclass(frozen=True, slots=True)
class ExecutorSetup:
    """Facts about the sweep of an executor.

    Attributes:
        task: the data that all runs share.
        slots: the slots from `ExecutorConfig.slots`.
        lockstep: groups hold whole trials, also after a split.
        info: takes a line with a detail.
        warning: takes a line for the user.
        device: as in the sweep file.
        code: references, such as `file.py:Name`, to the user's models and components, which workers import.
        dataset: the data set, for workers that read it themselves; None if it is not needed.
        fingerprint: of the data set.
        seed: the sweep's, which draws a subset.
        slots_before: the number of slots of the previous command; None for the first.
    """

    task: DataModule
    slots: tuple[Slot, ...]
    lockstep: bool
    info: Callable[[str], None]
    warning: Callable[[str], None]
    device: str = AUTO
    code: tuple[str, ...] = ()
    dataset: DatasetChoice | None = None
    fingerprint: str = ""
    seed: int = 0
    slots_before: int | None = None


class ExecutorConfig(Component):
    """Base of all executors: their options, slots, and `make`.

    Attributes:
        jobs: the number of groups that train at once, or `auto`.
        threads: CPU threads for each; by default they share the cores.
    """

    jobs: int | str = AUTO
    threads: int | None = None

    @classmethod
    def from_options(cls, options: ExecutorOptions) -> ExecutorConfig:
        """Return the executor with the options that are among its fields."""
        given = {name: getattr(options, name) for name in ("jobs", "threads", "address", "node_data")}
        return cls(**{name: value for name, value in given.items() if name in cls.model_fields})

    def devices(self, wish: str) -> tuple[torch.device, ...]:
        """Return the devices of this machine that are used.

        Raises:
            UsageError: there is no such device.
        """
        from cnnsweep.training.devices import choose_devices

        found = choose_devices(wish)
        return found[: self.jobs] if wish == AUTO and isinstance(self.jobs, int) else found

    def choose_slots(self, devices: Sequence[torch.device], history: SweepState) -> tuple[Slot, ...]:
        """Return the slots, with their devices and threads.

        A resumed sweep has the same numbers of slots and threads as before, unless `jobs` is given: sums depend on the
        number of threads, and a resumed sweep must equal an uninterrupted one bit for bit.

        Raises:
            UsageError: there are more devices than jobs.
        """
        under = history.groups[-1].conditions if history.groups else history.sweep or {}
        before, threads_before = under.get("places", 1), under.get("threads")
        jobs = max(before, len(devices)) if isinstance(self.jobs, str) else self.jobs
        if jobs < (count := len(devices)):
            raise UsageError(
                f"--jobs: found {jobs}, but {count} devices are to be used: give {count}, or fewer devices"
            )
        threads = self.threads or (threads_before if jobs == before else None) or self.default_threads(jobs)
        return tuple(Slot(str(devices[number % len(devices)]), threads) for number in range(jobs))

    def default_threads(self, jobs: int) -> int:
        """Return the default number of threads of each slot, without an option or an earlier command."""
        import torch

        return max(1, torch.get_num_threads() // jobs)

    def make(self, setup: ExecutorSetup) -> Executor:
        """Return the executor.

        Raises:
            CnnSweepError: it cannot train here.
        """
        raise NotImplementedError

    def scale_out(
        self, setup: ExecutorSetup, jobs: Sequence[Job], foresee: Callable[[RunGroup, float], Job]
    ) -> Executor | None:
        """Return a larger executor to replace the one that `make` returned, if it is faster; None by default.

        Called once, before the first groups train.

        Args:
            foresee: returns the job of a group, given the seconds of a step.
        """


EXECUTORS = Registry("executor", "executors", ExecutorConfig)
