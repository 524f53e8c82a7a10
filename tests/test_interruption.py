"""What signals do to a sweep: which wait, which hurry, and that nothing is cut in the middle of a write."""

# ruff: noqa: PT012 -- what a signal interrupts, and when it may, is what is tested
from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import pytest

from cnnsweep.cli.exit_codes import ended_by_signals
from cnnsweep.errors import FolderError, UsageError
from cnnsweep.tuner.stop_signal import GRACE_VARIABLE, StoppedAtOnce, StopRequest, stop_on_signals


def send(*numbers: signal.Signals) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)
        time.sleep(0)  # handlers run between two lines of Python


@pytest.fixture
def said():
    return []


@pytest.fixture
def stop(said):
    """A request of a sweep that trains a run."""
    with stop_on_signals(said.append) as stop:
        stop.running = {"a run"}
        yield stop


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda n: str(n)
)
def test_the_first_signal_waits_for_running_epochs(stop, number, code):
    assert not stop.is_made
    send(number)
    assert stop.is_made
    assert stop.exit_code == code


def test_what_a_second_press_does_is_said_at_once_even_while_the_display_is_locked(said):
    locked = threading.Lock()

    def say(text: str) -> None:
        with locked:
            said.append(text)

    with stop_on_signals(say) as stop:
        stop.running = {"a run"}
        with locked:
            send(signal.SIGINT)  # would wait for ever if the handler itself spoke
        until = time.monotonic() + 10
        while not said and time.monotonic() < until:
            time.sleep(0.001)
        assert "once more (Ctrl-C) stops at once" in said[0]


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_after_a_request_stops_at_once(stop, first):
    with pytest.raises(StoppedAtOnce) as stopped:
        send(first, signal.SIGINT)
    assert stopped.value.exit_code == 128 + first


def test_sigterm_and_sighup_that_come_twice_are_one_request(stop, said):
    send(signal.SIGTERM, signal.SIGTERM, signal.SIGHUP)
    assert stop.exit_code == 143


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_waited_for_where_nothing_trains(number):
    with stop_on_signals(print) as stop:
        with pytest.raises(StoppedAtOnce) as stopped:
            send(number)
        assert stop.is_made
    assert stopped.value.exit_code == 128 + number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_epochs_that_outlast_the_grace_are_lost(monkeypatch, said, number):
    monkeypatch.setenv(GRACE_VARIABLE, "0.05")
    with pytest.raises(StoppedAtOnce) as stopped, stop_on_signals(said.append) as stop:
        stop.running = {"a run"}
        send(number)
        time.sleep(10)
    assert stopped.value.exit_code == 128 + number
    assert "in 0.05 s at the latest" in said[0]


def test_ctrl_c_has_no_grace_but_sigterm_after_it_has(monkeypatch, stop):
    stop._grace_s = 0.05
    send(signal.SIGINT)
    time.sleep(0.1)
    with pytest.raises(StoppedAtOnce):
        send(signal.SIGTERM)
        time.sleep(10)


def test_the_grace_ends_with_the_sweep(monkeypatch):
    monkeypatch.setenv(GRACE_VARIABLE, "0.02")
    with stop_on_signals(print) as stop:
        stop.running = {"a run"}
        send(signal.SIGTERM)
    time.sleep(0.05)  # SIGALRM would end the tests here


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_grace_that_is_no_number_is_an_error(monkeypatch, text):
    monkeypatch.setenv(GRACE_VARIABLE, text)
    with pytest.raises(UsageError, match="CNNSWEEP_GRACE_S: found"), stop_on_signals(print):
        pass


def test_a_second_signal_waits_until_the_outermost_deferral_is_left(stop):
    done = []
    with pytest.raises(StoppedAtOnce), stop.deferred():
        with stop.deferred():
            send(signal.SIGINT, signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with stop.deferred():  # it is raised once
        done.append("after")
    assert done[-1] == "after"


def test_the_end_of_the_grace_waits_for_a_deferral_too(stop):
    stop._grace_s = 0.01
    done = []
    with pytest.raises(StoppedAtOnce), stop.deferred():
        send(signal.SIGTERM)
        time.sleep(0.05)
        done.append("written")
    assert done == ["written"]


def test_a_first_signal_that_would_stop_at_once_waits_for_a_deferral_too():
    request = StopRequest()
    done = []
    with pytest.raises(StoppedAtOnce), request.deferred():
        request.receive(signal.SIGINT, print)
        request.receive(signal.SIGINT, print)
        done.append("written")
    assert done == ["written"]


def test_a_third_press_comes_through_a_deferral(stop):
    with pytest.raises(StoppedAtOnce), stop.deferred():
        send(signal.SIGINT, signal.SIGINT)
        send(signal.SIGINT)
        pytest.fail("a dead disk would hold the person up")


def test_an_error_within_a_deferral_is_not_hidden_by_the_interruption(stop):
    with pytest.raises(FolderError), stop.deferred():
        send(signal.SIGINT, signal.SIGINT)
        raise FolderError("disk full")


def test_handlers_are_put_back_and_what_is_ignored_stays_so():
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_on_signals(print) as stop:
            stop.running = {"a run"}
            send(signal.SIGHUP)
            assert not stop.is_made
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before[2])
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)] == before


def test_a_sweep_in_another_thread_gets_no_signals():
    made = []

    def train() -> None:
        with stop_on_signals(print) as stop:
            made.append(stop.is_made)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert made == [False]


def test_a_signal_that_an_import_swallowed_ends_the_sweep_before_it_begins():
    with pytest.raises(SystemExit) as ended, ended_by_signals(lambda: None):
        with contextlib.suppress(SystemExit):  # what a callback of an extension module does
            signal.raise_signal(signal.SIGTERM)
        with stop_on_signals(print):
            pytest.fail("the sweep began")
    assert ended.value.code == 143
    with stop_on_signals(print) as stop:  # a later sweep of the same process is not concerned
        assert not stop.is_made


def test_a_signal_that_an_import_swallowed_is_in_the_exit_code():
    with pytest.raises(SystemExit) as ended, ended_by_signals(lambda: None), contextlib.suppress(SystemExit):
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143
