"""When workers of a Ray cluster are hired, heard and given up; the cluster is a test's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("ray")

from fake_cluster import FakeCluster
from ray import exceptions

from cnnsweep.errors import ExecutionError, UsageError
from cnnsweep.executors import ray_backend as ray_cluster
from cnnsweep.executors.backend import WorkerDied
from cnnsweep.executors.messages import BatchesDone, Decisions, EpochEnded, GroupEnded, Ready, StartupFailed, unpack
from cnnsweep.executors.ray_errors import how_it_was_lost
from cnnsweep.executors.ray_options import RayOptions

BATCHES = BatchesDone(("a",), 1, 1, 2)


@pytest.fixture
def open_fleet(monkeypatch):
    """Opens a fleet on a cluster; what it tells is in `fleet.told`."""

    def open_on(cluster, images=None, **wish):
        monkeypatch.setattr(ray_cluster, "ray", cluster)
        monkeypatch.setattr(
            ray_cluster, "Connection", lambda *_: SimpleNamespace(is_local=False, code={}, close=lambda: None)
        )
        monkeypatch.setattr(ray_cluster, "store", lambda *_: ())
        monkeypatch.setattr(ray_cluster, "_LOOK_EVERY_S", 0)
        told: list[str] = []
        fleet = ray_cluster.RayWorkers(SimpleNamespace(images=images), RayOptions(**wish), told.append)
        fleet.told = told
        return fleet

    return open_on


def hire_all(fleet):
    workers = []
    while (worker := fleet.start()) is not None:
        workers.append(worker)
    return workers


def test_as_many_are_hired_as_there_is_room_for(open_fleet):
    cluster = FakeCluster(a=3, b=2)
    fleet = open_fleet(cluster, threads=2)
    assert fleet.slots == 2  # a worker of two threads fits on no half of two nodes
    assert len(hire_all(fleet)) == 2


def test_what_others_use_is_left_to_them(open_fleet):
    cluster = FakeCluster(a=4)
    cluster.used = 3
    fleet = open_fleet(cluster)
    assert fleet.slots == 4
    assert len(hire_all(fleet)) == 1


def test_one_waits_for_its_turn_in_a_full_cluster(open_fleet):
    cluster = FakeCluster(a=4)
    cluster.used = 4
    assert len(hire_all(open_fleet(cluster))) == 1


def test_more_are_hired_when_nodes_join_and_when_workers_go(open_fleet):
    cluster = FakeCluster(a=2)
    fleet = open_fleet(cluster)
    first, _ = hire_all(fleet)
    for actor in cluster.actors:
        actor.be_at("a")
    fleet.wait(0.1)
    assert hire_all(fleet) == []
    cluster.cpus["b"] = 2
    assert len(hire_all(fleet)) == 2
    fleet.stop(first)
    assert cluster.actors[0].is_killed
    assert not cluster.actors[1].is_killed
    assert len(hire_all(fleet)) == 1
    assert fleet.slots == 2, "what is planned for stays, or a resumed sweep would be grouped anew"


def test_with_a_number_of_jobs_those_without_room_wait_in_the_cluster(open_fleet):
    fleet = open_fleet(FakeCluster(a=1), jobs=5)
    assert fleet.slots == 5
    assert len(hire_all(fleet)) == 5


def test_a_resumed_sweep_keeps_its_places(open_fleet):
    assert open_fleet(FakeCluster(a=8), slots=3).slots == 3


def test_a_long_wait_for_room_is_told_once(open_fleet, monkeypatch):
    monkeypatch.setattr(ray_cluster, "_LONG_S", 0.0)
    fleet = open_fleet(FakeCluster(a=1), jobs=2, threads=4)
    hire_all(fleet)
    fleet.wait(0)
    fleet.wait(0)
    assert fleet.told == [
        "2 workers cannot start yet: no node of the Ray cluster has 4 free CPUs; training begins when one has"
    ]


def test_it_listens_after_what_is_told_and_waits_after_what_is_asked(open_fleet):
    cluster = FakeCluster(a=1)
    fleet = open_fleet(cluster)
    worker = fleet.start()
    (actor,) = cluster.actors
    actor.be_at("a")
    actor.say(Ready("it"))
    assert fleet.wait(0.1) == [(worker, Ready("it"))]
    assert not actor.is_listened_to
    fleet.send(worker, Decisions({}))
    assert unpack(actor.heard[-1]) == Decisions({})
    actor.say(BATCHES, BATCHES)
    assert fleet.wait(0.1) == [(worker, BATCHES)] * 2
    assert actor.is_listened_to
    actor.say(BATCHES, EpochEnded(()))
    assert [message for _, message in fleet.wait(0.1)] == [BATCHES, EpochEnded(())]
    assert not actor.is_listened_to
    assert worker.name == "Ray worker on address-of-a (process 42)"
    assert worker.place.node == "address-of-a"


def test_the_death_of_an_idle_worker_is_heard(open_fleet):
    cluster = FakeCluster(a=1)
    fleet = open_fleet(cluster)
    worker = fleet.start()
    (actor,) = cluster.actors
    actor.be_at("a")
    actor.say(GroupEnded())
    fleet.wait(0.1)
    actor.die(exceptions.ActorUnavailableError("gone", None))
    assert fleet.wait(0.1) == [(worker, WorkerDied("cannot be reached on its node address-of-a any more"))]
    assert fleet.wait(0) == []
    fleet.send(worker, Decisions({}))
    assert actor.heard == []


def test_nothing_is_heard_of_a_dismissed_worker(open_fleet):
    cluster = FakeCluster(a=1)
    fleet = open_fleet(cluster)
    worker = fleet.start()
    fleet.stop(worker)
    cluster.actors[0].die(exceptions.ActorDiedError())
    assert fleet.wait(0) == []


def test_no_more_are_hired_on_a_node_that_is_unfit(open_fleet):
    cluster = FakeCluster(a=1, b=1)
    fleet = open_fleet(cluster)
    worker = fleet.start()
    cluster.actors[0].be_at("a")
    cluster.actors[0].say("torch 1 there, 2 here")
    assert fleet.wait(0.1) == [(worker, StartupFailed("torch 1 there, 2 here"))]
    fleet.stop(worker)
    assert len(hire_all(fleet)) == 1
    assert cluster.actors[1].options["label_selector"] == {"ray.io/node-id": "!in(a)"}


def test_where_no_node_is_fit_it_says_why(open_fleet):
    cluster = FakeCluster(a=1)
    fleet = open_fleet(cluster)
    worker = fleet.start()
    cluster.actors[0].be_at("a")
    cluster.actors[0].say(StartupFailed("no folder"))
    fleet.wait(0.1)
    fleet.stop(worker)
    with pytest.raises(ExecutionError, match="no node of the cluster can train: address-of-a: no folder"):
        fleet.start()


def preempted():
    error = exceptions.ActorDiedError()
    error._preempted = True
    return error


def not_importable():
    error = exceptions.RayActorError("id", "raised in its creation\nTraceback ...\nImportError: no torch", True)
    assert error.actor_init_failed
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (preempted(), "was lost: its node 10.0.0.3 was preempted"),
        (
            exceptions.RayActorError("id", "The actor died because its node has died."),
            "was lost with its node 10.0.0.3",
        ),
        (
            exceptions.RayActorError("id", "killed due to the node\nrunning low on memory"),
            "was ended by Ray, because its node 10.0.0.3 ran out of memory",
        ),
        (exceptions.ActorDiedError(), "was ended from outside, or crashed"),
        (not_importable(), "could not be started: ImportError: no torch"),
        (
            exceptions.ObjectLostError("00", None, ""),
            "was lost: its node 10.0.0.3 did not deliver its reports",
        ),
        (ValueError("Traceback\n  line\nKeyError: 'x'"), "failed: KeyError: 'x'"),
        (ValueError(), "failed: ValueError"),
    ],
)
def test_a_loss_is_told_in_words(error, words):
    assert how_it_was_lost(error, "10.0.0.3") == words


def test_images_that_are_streamed_are_not_sent(open_fleet):
    from cnnsweep.datasets.streaming import StreamedImages

    with pytest.raises(UsageError, match="add --node-data FOLDER"):
        open_fleet(FakeCluster(a=1), images=StreamedImages.__new__(StreamedImages))


def test_closing_ends_all(open_fleet):
    cluster = FakeCluster(a=3)
    fleet = open_fleet(cluster)
    hire_all(fleet)
    fleet.close()
    fleet.close()
    assert all(actor.is_killed for actor in cluster.actors)
