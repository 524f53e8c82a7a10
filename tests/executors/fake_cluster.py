"""A Ray cluster in memory: its nodes come and go, and its actors answer, when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from ray import exceptions

from cnnsweep.executors.messages import FromWorker, pack


class FakeCluster:
    """Stands for the module `ray`, as far as the fleet uses it.

    Attributes:
        cpus: of each node, by id.
        used: CPUs that others have.
        actors: all that were ever asked for.
    """

    def __init__(self, **cpus: int) -> None:
        self.cpus = cpus
        self.used = 0
        self.actors: list[FakeActor] = []

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(sum(self.cpus.values()))}

    def available_resources(self) -> dict[str, float]:
        placed = sum(actor.is_placed and not actor.is_killed for actor in self.actors)
        return {"CPU": float(sum(self.cpus.values()) - self.used - placed)}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": node, "Alive": True, "Resources": {"CPU": float(n)}} for node, n in self.cpus.items()]

    def kill(self, actor: FakeActor) -> None:
        actor.is_killed = True
        actor.die(exceptions.ActorDiedError())

    def remote(self, _kind: object) -> Any:
        return SimpleNamespace(options=self._options)

    def _options(self, **options: Any) -> Any:
        return SimpleNamespace(remote=lambda *_arguments: self._new(options))

    def _new(self, options: dict[str, Any]) -> FakeActor:
        self.actors.append(FakeActor(options))
        return self.actors[-1]


class FakeActor:
    """An actor that a test speaks for.

    Attributes:
        options: that it was asked for with.
        heard: what the parent passed on, oldest first.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.is_placed = self.is_killed = False
        self.heard: list[bytes] = []
        self._calls: dict[str, Future[Any]] = {}
        self.where, self.stay, self.exchange = (
            SimpleNamespace(remote=self._method(name)) for name in ("where", "stay", "exchange")
        )

    def be_at(self, node: str) -> None:
        self.is_placed = True
        self._calls.pop("where").set_result((node, f"address-of-{node}", 42))

    def say(self, *messages: FromWorker | str) -> None:
        texts = [message if isinstance(message, str) else pack(message) for message in messages]
        self._calls.pop("exchange").set_result(texts)

    def die(self, error: Exception) -> None:
        for name in list(self._calls):
            self._calls.pop(name).set_exception(error)

    @property
    def is_listened_to(self) -> bool:
        return "exchange" in self._calls

    def _method(self, name: str) -> Callable[..., Any]:
        def call(content: bytes | None = None) -> Any:
            assert name not in self._calls, "two calls at once wait for each other"
            self._calls[name] = Future()
            if content is not None:
                self.heard.append(content)
            return SimpleNamespace(future=lambda future=self._calls[name]: future)

        return call
