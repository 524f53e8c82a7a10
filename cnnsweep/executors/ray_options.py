"""Options of a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnnsweep.types import DatasetChoice


@dataclass(frozen=True, slots=True)
class NodeData:
    """The data set on the disk of each node.

    Attributes:
        folder: its data root.
        fingerprint: the one that it must have.
    """

    choice: DatasetChoice
    folder: Path
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Address and resources of a Ray cluster.

    Attributes:
        address: `auto` or HOST:PORT of a Ray cluster; None starts one on this machine, unless RAY_ADDRESS names one.
        jobs: the number of workers; None for as many as there is room for.
        places: the number of slots to plan for; None for as many as there is room for at the start.
        threads: of each worker.
        device: `auto`, `cpu` or `cuda`.
        code: names of models and data sets; the code of references is sent.
        node_data: the place of the images on the nodes; None sends them.
    """

    address: str | None = None
    jobs: int | None = None
    slots: int | None = None
    threads: int = 1
    device: str = "auto"
    code: tuple[str, ...] = ()
    node_data: NodeData | None = None
