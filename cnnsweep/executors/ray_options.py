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
        fingerprint: its required fingerprint.
        seed: the sweep's, which draws a subset.
    """

    choice: DatasetChoice
    folder: Path
    fingerprint: str
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Address and resources of a Ray cluster.

    Attributes:
        address: `auto` or HOST:PORT of a Ray cluster; None starts one on this machine, unless RAY_ADDRESS names one.
        jobs: the number of workers; None for all free resources.
        slots: the number of slots to plan for; None for the free resources at the start.
        threads: threads of each worker.
        device: `auto`, `cpu` or `cuda`.
        code: names of models and data sets; the code of references is sent.
        node_data: the location of the images on the nodes; None sends them.
    """

    address: str | None = None
    jobs: int | None = None
    slots: int | None = None
    threads: int = 1
    device: str = "auto"
    code: tuple[str, ...] = ()
    node_data: NodeData | None = None
