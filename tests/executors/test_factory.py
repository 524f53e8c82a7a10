"""The slots of a sweep, and the change from one process to several."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_sweeps import SMALL

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import UsageError
from cnnsweep.executors import scale_out
from cnnsweep.executors.base import ExecutorSetup
from cnnsweep.executors.factory import ExecutorFactory, executor_config
from cnnsweep.executors.inline import InProcessExecutor
from cnnsweep.executors.options import RAY, ExecutorOptions
from cnnsweep.planning.scheduling import Job, Slot
from cnnsweep.storage.state import SweepState
from cnnsweep.training import devices
from cnnsweep.training.data_module import DataModule
from cnnsweep.types import RunGroup

CPU, GPU0, GPU1 = torch.device("cpu"), torch.device("cuda", 0), torch.device("cuda", 1)


@pytest.fixture(autouse=True)
def eight_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", lambda _count: None)


def before(**conditions: Any) -> SweepState:
    """A sweep that was trained under some conditions."""
    history = SweepState()
    group = {"programs": [[["a"]]], "threaded": False, "why": "", "step_s": None, "kind": "", "way": None}
    history.apply({"event": "planned", "time": "", "groups": [group], "conditions": conditions})
    return history


def choose_slots(
    devices: list[torch.device], executor_options: ExecutorOptions, history: SweepState
) -> tuple[Slot, ...]:
    return executor_config(executor_options).choose_slots(devices, history)


def choose_sweep_devices(wish: str, executor_options: ExecutorOptions) -> tuple[torch.device, ...]:
    return executor_config(executor_options).devices(wish)


def test_places_share_the_threads():
    assert choose_slots([CPU], ExecutorOptions(), SweepState()) == (Slot("cpu", 8),)
    assert choose_slots([CPU], ExecutorOptions(3), SweepState()) == (Slot("cpu", 2),) * 3
    assert choose_slots([CPU], ExecutorOptions(20), SweepState()) == (Slot("cpu", 1),) * 20
    assert choose_slots([CPU], ExecutorOptions(2, threads=3), SweepState()) == (Slot("cpu", 3),) * 2


def test_each_device_has_a_place_and_several_jobs_take_turns_over_them():
    assert choose_slots([GPU0, GPU1], ExecutorOptions(), SweepState()) == (Slot("cuda:0", 4), Slot("cuda:1", 4))
    of_three = [place.device for place in choose_slots([GPU0, GPU1], ExecutorOptions(3), SweepState())]
    assert of_three == ["cuda:0", "cuda:1", "cuda:0"]


def test_fewer_jobs_than_devices_are_refused():
    with pytest.raises(UsageError, match="found 1, but 2 devices are to be used: give 2, or fewer devices"):
        choose_slots([GPU0, CPU], ExecutorOptions(1), SweepState())


def test_of_all_devices_as_many_are_taken_as_there_are_jobs(monkeypatch):
    monkeypatch.setattr(devices, "choose_devices", lambda _wish: (GPU0, GPU1))
    assert choose_sweep_devices("auto", ExecutorOptions(1)) == (GPU0,)
    assert choose_sweep_devices("auto", ExecutorOptions()) == (GPU0, GPU1)
    assert choose_sweep_devices("cuda:0,cuda:1", ExecutorOptions(1)) == (GPU0, GPU1)  # named: `choose_slots` refuses


def test_a_resumed_sweep_has_the_places_and_threads_that_it_had():
    assert choose_slots([CPU], ExecutorOptions(), before(places=2, threads=3)) == (Slot("cpu", 3),) * 2
    assert choose_slots([CPU], ExecutorOptions(2), before(places=2, threads=3)) == (Slot("cpu", 3),) * 2
    assert choose_slots([CPU], ExecutorOptions(), before(threads=5)) == (Slot("cpu", 5),)


def test_who_says_how_many_gets_them_and_their_share_of_the_threads():
    assert choose_slots([CPU], ExecutorOptions(4), before(places=2, threads=3)) == (Slot("cpu", 2),) * 4
    assert choose_slots([CPU], ExecutorOptions(threads=1), before(places=2, threads=3)) == (Slot("cpu", 1),) * 2


def test_inline_has_one_slot_with_all_threads():
    assert choose_slots([CPU], ExecutorOptions(executor="inline"), SweepState()) == (Slot("cpu", 8),)
    with pytest.raises(UsageError, match="--jobs: found 2, but the executor 'inline' trains one group at a time"):
        choose_slots([CPU], ExecutorOptions(2, executor="inline"), SweepState())


def test_a_worker_of_a_cluster_has_one_thread_if_nobody_says_more():
    assert choose_slots([CPU], ExecutorOptions(executor=RAY), SweepState()) == (Slot("cpu", 1),)


class Trial:
    """A workforce whose measurements are given, and whose pool is none."""

    def __init__(
        self, monkeypatch, tmp_path, *, here: float, there: float, executor_options: ExecutorOptions | None = None
    ) -> None:
        spec = parse_sweep(SMALL, "small.yaml")
        task = DataModule.load(spec, load_dataset(spec.dataset_choice, tmp_path), CPU)
        self.told: list[str] = []
        self.closed = 0
        trial = self

        class Pool:
            slots = 8

            def __init__(self, *_args, **_options) -> None:
                pass

            def call_everywhere(self, *_args):
                return [there] * 8

            def close(self):
                trial.closed += 1

        monkeypatch.setattr(scale_out, "PoolExecutor", Pool)
        monkeypatch.setattr(scale_out, "LocalWorkers", lambda *_args: None)
        for measure in ("guess_alone", "seconds_alone"):
            monkeypatch.setattr(scale_out, measure, lambda *_args, **_budget: here)
        self.pool = Pool
        setup = ExecutorSetup(task, (Slot("cpu", 8),), False, info=self.told.append, warning=self.told.append)
        self.executor_factory = ExecutorFactory(executor_config(executor_options or ExecutorOptions()), setup)
        run = expand_runs(spec, 10).runs[0]
        self.group = RunGroup.of([(run,)])

    def grows(self, *seconds: float | None) -> bool:
        loads = [Job(self.group, one) for one in seconds]
        return self.executor_factory.maybe_scale_out(loads, lambda group, step_s: Job(group, 100 * step_s))


def test_processes_take_over_where_they_are_faster(monkeypatch, tmp_path):
    trial = Trial(monkeypatch, tmp_path, here=1.0, there=4.0)  # 8 at once take four times as long each
    assert trial.grows(*[30.0] * 16)
    assert isinstance(trial.executor_factory.executor, trial.pool)
    assert trial.told == ["8 processes of one thread each, 2.0 times as fast as one of 8"]


def test_processes_that_are_hardly_faster_are_sent_home(monkeypatch, tmp_path):
    trial = Trial(monkeypatch, tmp_path, here=1.0, there=7.5)
    assert not trial.grows(*[30.0] * 16)
    assert isinstance(trial.executor_factory.executor, InProcessExecutor)
    assert trial.closed == 1


def test_processes_that_would_have_nothing_to_do_do_not_count(monkeypatch, tmp_path):
    trial = Trial(monkeypatch, tmp_path, here=1.0, there=4.0)
    assert not trial.grows(100.0, 100.0)  # six of eight idle: half as fast


def test_a_short_sweep_is_left_alone(monkeypatch, tmp_path):
    assert not Trial(monkeypatch, tmp_path, here=1.0, there=1.0).grows(*[5.0] * 16)


def test_what_is_not_known_is_measured(monkeypatch, tmp_path):
    assert Trial(monkeypatch, tmp_path, here=1.0, there=1.0).grows(*[None] * 16)
    assert not Trial(monkeypatch, tmp_path, here=0.01, there=0.01).grows(*[None] * 16)


def test_a_first_guess_spares_a_short_sweep_the_measuring_and_a_long_one_is_measured(monkeypatch, tmp_path):
    trial = Trial(monkeypatch, tmp_path, here=1.0, there=1.0)
    measured = []
    monkeypatch.setattr(scale_out, "seconds_alone", lambda run, *_args, **_budget: measured.append(run) or 1.0)
    monkeypatch.setattr(scale_out, "guess_alone", lambda *_args: 0.01)
    assert not trial.grows(*[None] * 16)
    assert not measured
    trial = Trial(monkeypatch, tmp_path, here=1.0, there=1.0)
    monkeypatch.setattr(scale_out, "seconds_alone", lambda run, *_args, **_budget: measured.append(run) or 1.0)
    assert trial.grows(*[None] * 16)
    assert len(measured) == 2  # 16 runs of one kind are measured once, and once more beside the processes


def test_it_is_asked_once_and_not_at_all_where_a_person_chose(monkeypatch, tmp_path):
    trial = Trial(monkeypatch, tmp_path, here=1.0, there=7.9)
    assert not trial.grows(*[30.0] * 16)
    monkeypatch.setattr(scale_out, "seconds_alone", lambda *_args, **_budget: 100.0)
    assert not trial.grows(*[30.0] * 16)
    for executor_options in (ExecutorOptions(1), ExecutorOptions(threads=8)):
        assert not Trial(monkeypatch, tmp_path, here=1.0, there=1.0, executor_options=executor_options).grows(
            *[30.0] * 16
        )


def test_a_model_that_raises_leaves_the_sweep_to_tell_of_it(monkeypatch, tmp_path):
    trial = Trial(monkeypatch, tmp_path, here=1.0, there=1.0)

    def raises(*_args: object, **_budget: object) -> float:
        raise ValueError("no such layer")

    monkeypatch.setattr(scale_out, "seconds_alone", raises)
    assert not trial.grows(*[30.0] * 16)
    assert trial.told == ["the speed of several processes could not be measured (ValueError: no such layer)"]
