"""Which devices a sweep trains on, on machines that have other ones than this."""

from __future__ import annotations

import pytest
import torch

from cnnsweep.errors import UsageError
from cnnsweep.executors.factory import describe_slots
from cnnsweep.planning.scheduling import Slot
from cnnsweep.training import devices
from cnnsweep.training.devices import choose_device, choose_devices


@pytest.fixture
def three_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def names(wish: str) -> list[str]:
    return [str(device) for device in choose_devices(wish)]


def test_auto_takes_every_gpu(three_gpus):
    assert names("auto") == ["cuda:0", "cuda:1", "cuda:2"]
    assert str(choose_device("auto")) == "cuda:0"  # to evaluate, one is enough


def test_devices_that_are_named_are_taken_in_their_order(three_gpus):
    assert names("cuda:2,cpu, cuda:0") == ["cuda:2", "cpu", "cuda:0"]
    assert names("cuda") == ["cuda:0"]


def test_a_device_counts_once_whatever_it_is_called(three_gpus):
    with pytest.raises(UsageError, match="'cuda,cuda:0', which names a device twice; use --jobs for several"):
        choose_devices("cuda,cuda:0")


def test_a_device_that_is_not_there_is_refused(three_gpus):
    with pytest.raises(UsageError, match="'cuda:3' is not on this machine, which has cuda:0, cuda:1, cuda:2, cpu"):
        choose_devices("cuda:0,cuda:3")


def test_without_a_gpu_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(devices, "available_devices", lambda: ["cpu"])
    assert names("auto") == ["cpu"]


def test_places_are_described_in_few_words():
    assert describe_slots([Slot("cpu", 2)] * 3) == "cpu (3 processes of 2 threads)"
    assert describe_slots([Slot("cpu", 4), Slot("cuda:0", 1), Slot("cuda:1", 1)]) == "cpu, cuda:0, cuda:1"
    assert describe_slots([Slot("cuda:0", 1), Slot("cuda:0", 1)]) == "2 × cuda:0"
