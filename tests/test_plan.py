"""`cnnsweep plan` on several places and on clusters: what it foresees, prints, and refuses."""

from __future__ import annotations

import json

import pytest
import torch
from small_sweeps import SMALL, sweep

from cnnsweep.cli import main
from cnnsweep.config.load import parse_sweep
from cnnsweep.executors.options import ExecutorOptions
from cnnsweep.planning.stage import keeps_lockstep
from cnnsweep.tuner.forecast import ForecastOptions, forecast_from_cost, forecast_sweep


def options(folder, fuse="auto", **changes):
    return ForecastOptions(folder / "s", folder, fuse, 1000, **changes)


def from_cost(folder, *overrides, fuse="auto", seconds=2.0, **changes):
    return forecast_from_cost(parse_sweep(SMALL, "small.yaml", overrides), options(folder, fuse, **changes), seconds)


def sizes(plan):
    return [len(cost.group.trajectories) for cost in plan.groups]


def test_given_costs_need_no_data_and_count_runs_and_epochs(tmp_path):
    nowhere = ["dataset=fashion_mnist", "model=lenet", "params.lr=[0.1,0.2,0.3,0.4,0.5]", "params.epochs=3"]
    plan = from_cost(tmp_path, *nowhere)
    assert (sizes(plan), plan.seconds, plan.memory_bytes, plan.disk_bytes) == ([1] * 5, 5 * 3 * 2.0, None, None)
    assert sizes(from_cost(tmp_path, *nowhere, fuse=2)) == [1, 2, 2]
    assert from_cost(tmp_path, *nowhere, fuse=2).seconds == 30
    shorter = from_cost(tmp_path, *nowhere, "params.epochs=[1,3]")
    assert (sizes(shorter), shorter.seconds) == ([1] * 5, 30)  # the shorter ones come along
    assert from_cost(tmp_path, *nowhere, "params.epochs=[1,3]", fuse="off").seconds == 40


def test_given_costs_leave_out_what_is_done(tmp_path):
    sweep(tmp_path / "s", overrides=["params.lr=0.01"])
    plan = from_cost(tmp_path)
    assert (plan.done, plan.seconds) == (1, 4.0)


def test_given_costs_keep_settings_that_are_stopped_early_whole(tmp_path):
    overrides = ["seeds=3", "early_stop={method: median}"]
    assert keeps_lockstep(parse_sweep(SMALL, "small.yaml", overrides))
    plan = from_cost(tmp_path, *overrides, fuse=3)
    assert [{run.trial_id for run in cost.group.runs} for cost in plan.groups] == [
        {cost.group.runs[0].trial_id} for cost in plan.groups
    ]
    assert (sizes(plan), plan.lockstep, plan.stops_early) == ([3, 3], True, True)


def test_several_jobs_have_a_schedule(tmp_path):
    threads = torch.get_num_threads()
    plan = from_cost(tmp_path, executor_options=ExecutorOptions(jobs=2))
    assert plan.schedule is not None
    assert (len(plan.slots), len(plan.schedule.bars)) == (2, 2)
    assert plan.schedule.makespan_s == pytest.approx(4.0, rel=0.02)
    assert from_cost(tmp_path).schedule is None
    assert torch.get_num_threads() == threads


@pytest.mark.faults
def test_measured_costs_of_several_jobs_are_those_of_processes_side_by_side(tmp_path):
    plan = forecast_sweep(
        parse_sweep(SMALL, "small.yaml", ()), options(tmp_path, "off", executor_options=ExecutorOptions(jobs=2))
    )
    assert plan.schedule is not None
    assert len(plan.schedule.bars) == 2
    assert 0 < plan.schedule.makespan_s < plan.seconds + 30  # two processes have to start, however slow the machine
    assert not (tmp_path / "s").exists()


@pytest.fixture
def cnnsweep(tmp_path, monkeypatch, capsys):
    (tmp_path / "small.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["cnnsweep", "plan", "small.yaml", "-q", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return call


def test_a_cluster_is_simulated(cnnsweep):
    code, out, _ = cnnsweep("--simulate", "nodes=2,gpus=1,price=3", "--cost", "900")
    assert code == 0
    assert "2 nodes of 1 GPU" in out
    assert "an epoch of a run takes 900 s, as given" in out
    code, out, _ = cnnsweep("--simulate", "nodes=2,gpus=1,price=3", "--cost", "900", "--json")
    one, two, four = json.loads(out)["simulated"]
    assert (one["nodes"], two["nodes"], four["nodes"]) == (1, 2, 4)
    assert two["seconds"] == pytest.approx(1800, rel=0.01)
    assert two["cost"] == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--simulate", "gpus=0"), "--simulate: gpus: found '0', allowed is a whole number from 1 to 10,000"),
        (
            ("--simulate", "gpus=1", "--jobs", "2"),
            "--simulate: cannot be combined with --jobs, which is for this machine",
        ),
        (("--cost", "0"), "--cost: found 0, allowed is a number of seconds above 0"),
        (("--cost", "nan"), "--cost: found nan, allowed is a number of seconds above 0"),
        (("--simulate", "cpus=1,lost=99999", "--cost", "9"), "--simulate: lost: found 99999 an hour"),
    ],
)
def test_what_cannot_be_is_refused(cnnsweep, arguments, message):
    code, out, err = cnnsweep(*arguments)
    assert (code, out) == (2, "")
    assert message in err
