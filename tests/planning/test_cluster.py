"""What `--simulate` may say, and what a sweep takes on such a cluster."""

from __future__ import annotations

import pytest
from test_placement import load

from cnnsweep.errors import UsageError
from cnnsweep.planning.cluster import Cluster, compare_sizes, enough_nodes, play, read_cluster
from cnnsweep.planning.cost import Forecast, GroupCost
from cnnsweep.planning.scheduling import Slot


def forecast(*jobs, to_come=0, threads=2):
    return Forecast(
        name="s",
        device="cpu",
        done=0,
        to_come=to_come,
        stops_early=False,
        groups=tuple(GroupCost(one.group, "", one.seconds, None) for one in jobs),
        measured_disk_bytes=None,
        epochs_done={},
        lockstep=False,
        slots=(Slot("cpu", threads),),
    )


def test_what_is_said_is_read():
    assert read_cluster("nodes=64,gpus=8") == Cluster(nodes=64, gpus=8)
    assert read_cluster("nodes=3") == Cluster(nodes=3, gpus=1)
    text = " nodes = 2, cpus=16, threads=4, speed=0.5, price=0, startup=1e2, lost=.1 "
    assert read_cluster(text) == Cluster(2, 0, 16, 4, 0.5, 0.0, 100.0, 0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found '', allowed are nodes, gpus, cpus, threads, speed, price, startup, lost, each with =VALUE"),
        ("nods=3", "found 'nods', allowed are nodes, "),
        ("nodes", "nodes: found '', allowed is a whole number from 1 to 10,000 (nodes)"),
        ("nodes=1.5", "nodes: found '1.5', allowed is a whole number"),
        ("gpus=0", "gpus: found '0', allowed is a whole number"),
        ("gpus=²", "gpus: found '²', allowed is a whole number"),
        ("speed=0", "speed: found '0', allowed is a number above 0 (speed relative to the measured device)"),
        ("startup=nan", "startup: found 'nan', allowed is a number from 0 (seconds until a worker is ready)"),
        ("lost=-1", "lost: found '-1', allowed is a number from 0 (losses per node-hour)"),
        ("price=1e999", "price: found '1e999', allowed is a number from 0"),
        ("nodes=1,nodes=2", "nodes: found twice"),
        ("gpus=1,cpus=1", "found gpus and cpus, allowed is one of them"),
        ("gpus=1,threads=2", "threads: found without cpus; give the cores of a node"),
        ("cpus=2,threads=4", "threads: found 4, allowed are up to cpus (2)"),
        ("nodes=9999,gpus=8", "found 79,992 slots in total, allowed are up to 10,000"),
        ("\x1b[31m=1", "found '\\x1b[31m', allowed are"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_allowed(text, message):
    with pytest.raises(UsageError) as raised:
        read_cluster(text)
    assert str(raised.value).startswith(f"--simulate: {message}")


def test_all_mistakes_are_said_at_once():
    with pytest.raises(UsageError) as raised:
        read_cluster("nodes=0,gpu=1,lost=often")
    assert [line.split(":")[1].strip() for line in str(raised.value).splitlines()] == [
        "nodes",
        "found 'gpu', allowed are nodes, gpus, cpus, threads, speed, price, startup, lost, each with =VALUE",
        "lost",
    ]


def test_a_node_has_as_many_workers_as_gpus_or_as_its_cores_allow():
    assert read_cluster("nodes=2,gpus=2").slots(1) == [
        Slot(f"cuda:{gpu}", 1, f"node {node}") for node in (1, 2) for gpu in (0, 1)
    ]
    assert len(read_cluster("cpus=16").slots(4)) == 4
    assert len(read_cluster("cpus=16,threads=1").slots(4)) == 16
    with pytest.raises(UsageError, match="cpus: found 2, but a worker has 4 threads; add threads=1"):
        play(read_cluster("cpus=2"), forecast(load("a", 1.0), threads=4))


def test_half_and_twice_as_many_nodes_are_compared_and_groups_are_cut_for_each():
    whole = forecast(load("a", 64.0, runs=16))
    sizes = compare_sizes(read_cluster("nodes=4,gpus=2"), whole)
    assert [(cluster.nodes, len(schedule.slots), len(schedule.bars)) for cluster, schedule in sizes] == [
        (2, 4, 4),
        (4, 8, 8),
        (8, 16, 16),
    ]
    spans = [schedule.makespan_s for _, schedule in sizes]
    assert spans == sorted(spans, reverse=True)
    assert [cluster.nodes for cluster, _ in compare_sizes(Cluster(nodes=1, gpus=1), whole)] == [1, 2]


def test_enough_nodes_leave_hardly_anything_to_gain():
    one_long = forecast(load("long", 100.0), *[load(f"{number}-", 10.0) for number in range(20)])
    # 300 s of work, of which one run takes 100 s: three slots bring it down to that, two only to 150 s.
    assert enough_nodes(Cluster(gpus=1), one_long) == 3
    assert enough_nodes(Cluster(gpus=3), one_long) == 1
    assert enough_nodes(Cluster(gpus=1), forecast(*[load(f"{number}-", 10.0) for number in range(8)])) == 8
    assert enough_nodes(Cluster(gpus=1), forecast()) == 1


def test_runs_to_come_count_like_those_that_are_known():
    known = forecast(load("a", 10.0, runs=2))
    more = forecast(load("a", 10.0, runs=2), to_come=3)
    assert len(more.jobs) == 3
    assert play(Cluster(gpus=1), more).training_s == pytest.approx(3 * play(Cluster(gpus=1), known).training_s)


def test_what_was_not_measured_is_refused_and_a_finished_sweep_takes_no_time():
    with pytest.raises(UsageError, match="no group could be measured; give the seconds per epoch of a run with --cost"):
        play(Cluster(gpus=1), forecast(load("a", None)))
    assert play(Cluster(gpus=1), forecast()).makespan_s == 0


def test_losses_that_let_no_epoch_end_are_said_to_be_of_the_option():
    with pytest.raises(UsageError, match=r"^--simulate: lost: found 9"):
        play(Cluster(gpus=1, lost=9), forecast(load("a", 30_000.0)))
