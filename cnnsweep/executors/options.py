"""Executor options: where to train, the number of workers, threads per worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnnsweep.errors import UsageError
from cnnsweep.plugins import is_reference
from cnnsweep.registry import Component, Registry

AUTO = "auto"
INLINE, LOCAL, RAY = "inline", "local", "ray"


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """The options of executors; each executor takes the options among its fields.

    Attributes:
        jobs: the number of groups that train at once; `auto` is one for each GPU, or a measured number on a CPU.
        threads: CPU threads for each of them; by default they share the cores.
        executor: a name in the registry, or `file.py:Name`.
        address: of a Ray cluster, `auto` or HOST:PORT; None starts one on this machine.
        node_data: the folder of the data set on each node of a cluster; None sends it there.
    """

    jobs: int | str = AUTO
    threads: int | None = None
    executor: str = LOCAL
    address: str | None = None
    node_data: Path | None = None


def make_executor_options(
    jobs: int | str, threads: int | None, executor: str, address: str | None, node_data: str | Path | None
) -> ExecutorOptions:
    """Return the options of an executor, checked.

    Raises:
        UsageError: a value is not allowed.
    """
    if jobs != AUTO:
        check_count("jobs", jobs, or_=f"'{AUTO}'")
    if threads is not None:
        check_count("threads", threads)
    check_executor("executor", executor)
    if (address is not None or node_data is not None) and is_of_this_machine(executor):
        raise UsageError(f"address and node_data: are about a Ray cluster; add executor='{RAY}'")
    return ExecutorOptions(jobs, threads, executor, address, None if node_data is None else Path(node_data))


def check_executor(option: str, name: object) -> None:
    """Check the name of an executor.

    Raises:
        UsageError: it is neither known nor a reference.
    """
    if not isinstance(name, str) or not (name in executor_names() or is_reference(name)):
        shown = f"'{name}'" if isinstance(name, str) else repr(name)
        raise UsageError(
            f"{option}: found {shown}, allowed are {', '.join(executor_names())}, and your own as file.py:Name"
        )


def executor_names() -> tuple[str, ...]:
    """Return the names of all executors, sorted, without importing them."""
    return tuple(sorted(Registry("executor", "executors", Component).names))


def is_of_this_machine(executor: str) -> bool:
    """True for the built-in executors without a cluster, which have no address."""
    return executor in (INLINE, LOCAL)


def check_count(name: str, value: object, least: int = 1, or_: str | None = None) -> None:
    """Check an argument that must be a whole number; `or_` names the other allowed values.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        whole = f"a whole number from {least}"
        allowed = f"is {whole}" if or_ is None else f"are {or_} and {whole}"
        raise UsageError(f"{name}: found {value!r}, allowed {allowed}")
