"""Who a person wants to train a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnnsweep.errors import UsageError

AUTO = "auto"
LOCAL, RAY = "local", "ray"


@dataclass(frozen=True, slots=True)
class Staff:
    """Who a person wants to train a sweep.

    Attributes:
        jobs: how many groups train at once; `auto` is one for each GPU, and on a CPU what measuring says.
        threads: of the CPU, for each of them; by default they share the cores.
        executor: `local` or `ray`.
        address: of a Ray cluster, `auto` or HOST:PORT; None starts one on this machine.
        node_data: where each node of the cluster has the data set; None sends it there.
    """

    jobs: int | str = AUTO
    threads: int | None = None
    executor: str = LOCAL
    address: str | None = None
    node_data: Path | None = None


def make_staff(
    jobs: int | str, threads: int | None, executor: str, address: str | None, node_data: str | Path | None
) -> Staff:
    """Return who trains, as Python code says it.

    Raises:
        UsageError: a value is not allowed.
    """
    if jobs != AUTO:
        check_count("jobs", jobs, or_=f"'{AUTO}'")
    if threads is not None:
        check_count("threads", threads)
    if executor not in (LOCAL, RAY):
        raise UsageError(f"executor: found {executor!r}, allowed are '{LOCAL}' and '{RAY}'")
    if executor == LOCAL and (address is not None or node_data is not None):
        raise UsageError(f"address and node_data: are about a Ray cluster; add executor='{RAY}'")
    return Staff(jobs, threads, executor, address, None if node_data is None else Path(node_data))


def check_count(name: str, value: object, least: int = 1, or_: str | None = None) -> None:
    """Check an argument that is to be a whole number; `or_` says what else it may be.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        whole = f"a whole number from {least}"
        allowed = f"is {whole}" if or_ is None else f"are {or_} and {whole}"
        raise UsageError(f"{name}: found {value!r}, allowed {allowed}")
