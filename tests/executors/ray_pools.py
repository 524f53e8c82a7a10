"""Executors on a Ray cluster of this machine, which is started once for all of them."""

from __future__ import annotations

import atexit
import functools

import pytest

from cnnsweep.errors import ExecutionError
from cnnsweep.executors.base import Executor
from cnnsweep.training.data_module import DataModule


@functools.cache
def start_cluster() -> None:
    """Start a cluster that lasts as long as this process; where none can be started, skip the test."""
    pytest.importorskip("ray")
    from cnnsweep.executors.ray_connection import Connection

    try:
        connection = Connection("local", 16, ())  # several executors may be open at once
    except ExecutionError as error:
        pytest.skip(str(error))
    atexit.register(connection.close)


def two_ray_workers(task: DataModule) -> Executor:
    """Return an executor on that cluster; a sweep of this process trains there too, if it is told to use Ray."""
    start_cluster()
    from cnnsweep.executors.pool import PoolExecutor
    from cnnsweep.executors.ray_backend import RayWorkers
    from cnnsweep.executors.ray_options import RayOptions

    return PoolExecutor(RayWorkers(task, RayOptions(jobs=2), print))
