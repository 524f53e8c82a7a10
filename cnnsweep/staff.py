"""Who a person wants to train a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
