"""A plan as people and programs read it: groups, places, ends, and clusters to choose from."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime

import pytest
from rich.console import Console

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.planning.cluster import compare_sizes, enough_nodes, read_cluster
from cnnsweep.planning.cost import Forecast, GroupCost
from cnnsweep.planning.scheduling import Slot
from cnnsweep.planning.simulation import Conditions, simulate
from cnnsweep.planning.timeline import Bar, Schedule
from cnnsweep.report.plan import plan_to_json, render_plan
from cnnsweep.report.simulated import render_simulation, simulation_to_json
from cnnsweep.report.timeline import bar_of_slot, end_text, percent_text
from cnnsweep.types import RunGroup

NOON = datetime(2026, 5, 4, 12, 0)
RUNS = expand_runs(
    parse_sweep("name: s\ndataset: shapes\nmodel: lenet\nparams: {lr: [0.1, 0.2, 0.3, 0.4], epochs: 5}", "s.yaml", ()),
    100,
).runs


def forecast(places=1, seconds=60.0, **changes) -> Forecast:
    groups = tuple(GroupCost(RunGroup.of([(run,)]), "--fuse off", seconds, 2_000_000) for run in RUNS)
    values = {
        "name": "s",
        "device": "cpu (1 thread)",
        "done": 0,
        "to_come": 0,
        "stops_early": False,
        "groups": groups,
        "measured_disk_bytes": 5_000_000,
        "epochs_done": {},
        "lockstep": False,
        "slots": tuple(Slot("cpu", 1) for _ in range(places)),
    }
    plan = Forecast(**{**values, **changes})
    if places == 1:
        return plan
    return Forecast(**{**values, **changes}, schedule=simulate(plan.jobs, plan.slots, Conditions({})))


def printed(render, *arguments, width=100) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    render(*arguments, console, NOON)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_one_place_has_an_end_and_no_bars():
    lines = printed(render_plan, forecast())
    assert lines[-1] == "in all about 4 m 00 s (until 12:04), 2.0 MB of memory and 5.0 MB of disk"
    assert not any("█" in line for line in lines)
    assert json.loads(plan_to_json(forecast()))["schedule"] is None


def test_several_places_have_a_bar_each():
    plan = forecast(places=3)
    *_, first, second, third, last = printed(render_plan, plan, width=120)
    assert first == f"cpu #1  {'█' * 30 + '▓' * 30}  2 groups"
    assert [line.split("  ")[0] for line in (first, second, third)] == ["cpu #1", "cpu #2", "cpu #3"]
    assert second == f"cpu #2  {'█' * 30 + '·' * 30}  1 group"
    assert last.startswith("in all about 2 m 00 s (until 12:02), 3 slots in training for 67 % of it, 6.0 MB of memory")
    content = json.loads(plan_to_json(plan))
    assert content["seconds"] == content["schedule"]["seconds"]
    assert content["schedule"]["seconds"] == pytest.approx(120, rel=0.01)
    assert sorted(name for bar in content["schedule"]["bars"] for name in bar["runs"]) == sorted(r.name for r in RUNS)
    assert content["schedule"]["places"][0] == {"device": "cpu", "threads": 1, "node": None}


def test_many_places_are_counted():
    lines = printed(render_plan, forecast(places=40))
    assert sum("█" in line for line in lines) == 4
    assert "and 24 slots more" in lines


def test_bars_fit_their_width_and_show_what_is_short():
    group = RunGroup.of([(RUNS[0],)])
    bars = [Bar(0, group, start, end) for start, end in ((0.0, 50.0), (50.0, 50.1), (60.0, 100.0))]
    assert bar_of_slot(bars, 100.0, 10) == "█████▓████"
    assert bar_of_slot([], 100.0, 4) == "····"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (60, "12:01"),
        (13 * 3600, "01:00 on 5 May"),
        (300 * 86400, "12:00 on 28 February 2027"),
        (1e12, "an unknown time"),
    ],
)
def test_an_end_has_its_date_if_that_is_not_today(seconds, text):
    assert end_text(NOON, seconds) == text


def test_shares_are_written_as_percents():
    assert [percent_text(share) for share in (0, 0.001, 0.5, 1)] == ["0 %", "0.1 %", "50 %", "100 %"]


def test_a_simulation_shows_sizes_to_choose_from():
    plan = forecast(seconds=3600.0)
    cluster = read_cluster("nodes=2,gpus=1,price=2.5,speed=2,startup=60")
    sizes = compare_sizes(cluster, plan)
    lines = printed(render_simulation, plan, cluster, sizes, enough_nodes(cluster, plan))
    assert lines[0] == "s: 4 runs to train on 2 nodes of 1 GPU, ready after 1 m 00 s"
    (header,) = (number for number, line in enumerate(lines) if line.startswith("nodes"))
    assert lines[header].split("  ")[-3:] == ["GPU-hours used", "paid", "cost"]
    assert [line.split()[0] for line in lines[header + 1 : header + 4]] == ["1", "2", "4"]
    # Four times half an hour at twice the speed, in two places after a minute each.
    assert re.split(r" {2,}", lines[header + 2].strip()) == ["2", "1 h 01 m", "13:01", "98 %", "2", "2.03", "5.08"]
    assert lines[-2] == "4 GPUs (4 nodes) are enough: more make it at most 5 % shorter"  # one for each run
    assert lines[-1] == "the time of a run is as measured on cpu (1 thread), divided by 2"
    half, asked, twice = simulation_to_json(sizes, 4)
    assert half["enough_nodes"] == 4
    assert (half["nodes"], asked["places"], twice["nodes"]) == (1, 2, 4)
    assert asked["gpu_hours_used"] == pytest.approx(2.0)
    assert asked["cost"] == pytest.approx(2.5 * asked["gpu_hours_paid"])
    assert json.loads(plan_to_json(plan, simulation_to_json(sizes, None)))["simulated"][1]["nodes"] == 2


def test_a_simulation_says_what_it_rests_on_and_what_stands_in_the_way():
    plan = forecast(seconds=0.01, given_s=0.002, stops_early=True, to_come=400)
    cluster = read_cluster("nodes=1,gpus=64")
    text = "\n".join(printed(render_simulation, plan, cluster, compare_sizes(cluster, plan), 1, width=200))
    assert "404 runs to train" in text
    assert "an epoch of a run takes 0.002 s, as given" in text
    assert "recording is the bottleneck: one process writes all results, 10 ms per run and epoch" in text
    assert "400 runs to be chosen later count like the known ones" in text
    assert "savings by early stopping are not included" in text


def test_a_finished_sweep_has_no_schedule():
    plan = forecast(groups=(), done=4)
    cluster = read_cluster("nodes=1,cpus=4")
    assert printed(render_simulation, plan, cluster, compare_sizes(cluster, plan), 1) == [
        "s: 0 runs to train on 1 node of 4 cores"
    ]
    assert printed(render_plan, plan) == ["s: 0 runs to train on cpu (1 thread), 4 runs done already"]


def test_a_schedule_without_time_has_no_share():
    assert Schedule((Slot("cpu", 1),), (), 0.0, 0.0, 0.0, 0.0, 0.0, 0).utilisation == 0
