"""Options of a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnnsweep.types import DatasetChoice


@dataclass(frozen=True, slots=True)
class NodeData:
    """The data set as each node has it on a disk.

    Attributes:
        folder: for `load_dataset`, as the choice is.
        fingerprint: that it must have.
    """

    choice: DatasetChoice
    folder: Path
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ClusterWish:
    """Address and resources of a Ray cluster.

    Attributes:
        address: `auto` or HOST:PORT of a Ray cluster; None starts one on this machine, unless RAY_ADDRESS names one.
        jobs: how many workers; None is as many as there is room for.
        places: for how many groups is planned; None is for as many as there is room for at the start.
        threads: of each worker.
        device: `auto`, `cpu` or `cuda`.
        code: names of models and data sets; of those that are a person's own, the code is sent.
        node_data: where nodes read the images; None sends them.
    """

    address: str | None = None
    jobs: int | None = None
    places: int | None = None
    threads: int = 1
    device: str = "auto"
    code: tuple[str, ...] = ()
    node_data: NodeData | None = None
