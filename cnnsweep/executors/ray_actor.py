"""The Ray actor that trains on a node of a cluster.

It is sent as code, not by name, and needs only Python, so a node without cnnsweep, or with another version, can report
that.
"""

from __future__ import annotations

import importlib
import os
import platform
import threading
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from typing import Any, NoReturn


class TrainingActor:
    """Passes messages between the parent and a thread that trains.

    Args:
        versions: the parent's versions of Python and of packages.
        device: to train on.
        threads: of the CPU.
        objects: the references from `ray_task.store`.
    """

    def __init__(self, versions: Mapping[str, str], device: str, threads: int, objects: Sequence[Any]) -> None:
        # Before torch is imported: its thread pools are made for this number.
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
        self._to_thread: SimpleQueue[bytes] = SimpleQueue()
        self._to_parent: SimpleQueue[bytes | str | Exception] = SimpleQueue()
        arguments = (versions, device, threads, objects)
        threading.Thread(target=self._work, args=arguments, daemon=True, name="training").start()

    def where(self) -> tuple[str, str, int]:
        """Return the id and the address of the node, and the process's number."""
        import ray

        return ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address(), os.getpid()

    def stay(self) -> NoReturn:
        """Never return: the parent waits for the result, and gets an error when the actor dies."""
        while True:
            threading.Event().wait()

    def exchange(self, content: bytes | None) -> list[bytes | str]:
        """Forward a message, if given, and return the next messages, in order.

        They are bytes of `messages.pack`; the last may be a text with the reason why the node cannot train.

        Raises:
            Exception: the error that ended the thread, after all its messages.
        """
        if content is not None:
            self._to_thread.put(content)
        messages: list[bytes | str] = []
        while not messages or not self._to_parent.empty():
            message = self._to_parent.get()
            if not isinstance(message, Exception):
                messages.append(message)
            elif messages:
                self._to_parent.put(message)  # for the next call: no message follows it
                break
            else:
                raise message
        return messages

    def _work(self, versions: Mapping[str, str], device: str, threads: int, objects: Sequence[Any]) -> None:
        try:
            difference = what_differs(versions)
            if difference is not None:
                self._to_parent.put(difference)
                return
            worker = importlib.import_module("cnnsweep.executors.ray_worker")
            worker.train_for_parent(self._to_thread, self._to_parent, device, threads, objects)
        except Exception as error:
            self._to_parent.put(error)


def versions_here() -> dict[str, str]:
    """Return the versions that must be equal on all nodes."""
    versions = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for package in ("cnnsweep", "torch"):
        try:
            versions[package] = str(importlib.import_module(package).__version__)
        except ModuleNotFoundError:
            versions[package] = "none"
    return versions


def what_differs(wanted: Mapping[str, str]) -> str | None:
    """Describe the versions that differ from the parent's; None if all are equal."""
    here = versions_here()
    wrong = [f"{name} {here[name]} there, {version} here" for name, version in wanted.items() if here[name] != version]
    return f"{'; '.join(wrong)} (install the same on every node)" if wrong else None
