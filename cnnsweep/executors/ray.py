"""The executor of a Ray cluster; the modules `ray_*` alone import Ray."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnnsweep.errors import UsageError
from cnnsweep.executors.base import Executor, ExecutorConfig, ExecutorSetup
from cnnsweep.executors.options import AUTO
from cnnsweep.executors.ray_options import NodeData, RayOptions

if TYPE_CHECKING:
    import torch


class Ray(ExecutorConfig, name="ray"):
    """Workers of a Ray cluster, up to the free resources.

    Attributes:
        address: `auto` or HOST:PORT; by default a cluster starts on this machine.
        node_data: the folder of the data set on each node; by default images are sent.
    """

    address: str | None = None
    node_data: Path | None = None

    def devices(self, wish: str) -> tuple[torch.device, ...]:
        from cnnsweep.training.devices import choose_devices

        if wish not in ("auto", "cpu", "cuda"):
            raise UsageError(f"device: found '{wish}', allowed are auto, cpu and cuda: the cluster assigns GPUs")
        return choose_devices("cpu" if wish == "cpu" else "auto")[:1]  # for the light work in this process

    def default_threads(self, _jobs: int) -> int:
        return 1

    def make(self, setup: ExecutorSetup) -> Executor:
        try:
            from cnnsweep.executors.ray_backend import RayWorkers
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise UsageError("--executor ray needs Ray: pip install 'cnnsweep[ray]'") from None
        from cnnsweep.executors.pool import PoolExecutor

        return PoolExecutor(RayWorkers(setup.task, self._options(setup), setup.warning), lockstep=setup.lockstep)

    def _options(self, setup: ExecutorSetup) -> RayOptions:
        data, code = None, setup.code
        if self.node_data is not None and setup.dataset is not None:
            data = NodeData(setup.dataset, self.node_data, setup.fingerprint, setup.seed)
            code = (*code, setup.dataset.name)
        return RayOptions(
            address=self.address,
            jobs=None if self.jobs == AUTO else int(self.jobs),
            slots=setup.slots_before,
            threads=setup.slots[0].threads,
            device=setup.device,
            code=code,
            node_data=data,
        )
