"""Ctrl-C, SIGTERM and SIGHUP at any time: exit codes, no traceback, and a resume that equals no interruption."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from small_sweeps import SilentDisplay, sweep, tables, untimed
from terminal_program import PATIENCE_S, SLOW, SLOW_NET, TerminalProgram, environment, write_slow_sweep

from cnnsweep.config.load import load_sweep
from cnnsweep.sweep import SweepOptions, run_sweep

STARTED = "run 1/2 lr=0.01  starts"  # as a dumb terminal shows it
HOW = ("--fuse", "off", "--out", "out")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The figures of a sweep that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    write_slow_sweep(folder)
    resume(folder)
    return figures(folder / "out")


def figures(folder: Path) -> dict[str, Any]:
    """Return every figure and all best weights, without the header that names the folder of the person's model."""
    all_figures = untimed(folder)
    best = {run: content[8 + int.from_bytes(content[:8], "little") :] for run, content in all_figures["best"].items()}
    return {**all_figures, "best": best}


def resume(folder: Path) -> None:
    """Do in this process what the same command does again."""
    result = run_sweep(
        load_sweep(folder / "slow.yaml"), SweepOptions(folder / "out", folder, fuse="off"), [SilentDisplay()]
    )
    assert result.interrupted is None


def run(folder: Path, pause: float = 0.05, **how: str) -> TerminalProgram:
    write_slow_sweep(folder)
    how.setdefault("TERM", "dumb")
    return TerminalProgram("run", "slow.yaml", *HOW, cwd=folder, PAUSE=str(pause), **how)


def check_ended_well(program: TerminalProgram, code: int) -> None:
    assert program.wait() == code, program.output
    assert "Traceback" not in program.output
    assert "ignored" not in program.output
    assert program.final_settings() == program.params


def test_ctrl_c_once_waits_for_the_epoch_and_says_how_to_go_on(tmp_path, whole):
    with run(tmp_path, pause=0.25, TERM="xterm") as program:
        program.wait_for("1/3")
        program.press(b"\x03")
        program.wait_for("once more (Ctrl-C) stops at once")
        check_ended_well(program, 130)
        assert f"resume with: cnnsweep run slow.yaml {' '.join(HOW)}" in program.output
        assert program.output.rindex("\x1b[?25h") > program.output.rindex("\x1b[?25l")  # the cursor is back
    content = tables(tmp_path / "out")
    assert content["sweep"]["status"] == "interrupted"
    assert 0 < len(content["epochs"]) < 6
    resume(tmp_path)
    assert figures(tmp_path / "out") == whole


@pytest.mark.faults
def test_a_dropped_connection_saves_and_stops(tmp_path, whole):
    with run(tmp_path, pause=0.25, TERM="xterm") as program:
        program.wait_for("1/3")
        program.hang_up()
        assert program.wait() == 129
    content = tables(tmp_path / "out")
    assert content["sweep"]["status"] == "interrupted"
    assert all("in the middle" not in (row["cause"] or "") for row in content["runs"])
    resume(tmp_path)
    assert figures(tmp_path / "out") == whole


@pytest.mark.faults
def test_under_nohup_training_goes_on_to_its_end_without_the_terminal(tmp_path, whole):
    with run(tmp_path, TERM="xterm", pause=0.2, script="""trap '' HUP; exec "$@" """) as program:
        program.wait_for("0/3")
        program.hang_up()
        assert program.wait() in (0, 141)  # nobody read the summary
    assert figures(tmp_path / "out") == whole


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_epochs_that_outlast_the_grace_are_given_up(tmp_path, whole, number):
    with run(tmp_path, pause=2, CNNSWEEP_GRACE_S="1") as program:
        program.wait_for(STARTED)
        program.process.send_signal(number)
        program.wait_for("in 1 s at the latest")
        said = time.monotonic()
        check_ended_well(program, 128 + number)
        assert time.monotonic() - said < 7  # the epoch would take 8 s
    resume(tmp_path)
    assert figures(tmp_path / "out") == whole


@pytest.mark.faults
def test_a_wrapper_that_sends_sigterm_twice_loses_no_epoch(tmp_path, whole):
    write_slow_sweep(tmp_path)
    command = ["timeout", "--signal=TERM", "30", sys.executable, "-m", "cnnsweep", "run", "slow.yaml", *HOW]
    where = {"cwd": tmp_path, "env": environment(PAUSE="0.2"), "start_new_session": True}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **where) as process:
        for line in process.stderr:
            if "epoch 1/3" in line:
                process.terminate()  # timeout hands it to its child and to its own group, which the child is in
                break
        said = process.stderr.read()
        assert process.wait(PATIENCE_S) == 143
    assert said.count("SIGTERM: stopping") == 1
    assert "in the middle of an epoch" not in said
    resume(tmp_path)
    assert figures(tmp_path / "out") == whole


@pytest.mark.faults
@pytest.mark.parametrize("presses", [1, 2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_ctrl_c_at_random_times(tmp_path, whole, presses, seed):
    """Stopped again and again, at random times, until it is through: all figures are those of a sweep left alone."""
    times = random.Random(seed)
    for _attempt in range(3):
        with run(tmp_path, pause=0.02, TERM=times.choice(["dumb", "xterm"])) as program:
            program.wait_for("slow")  # the sweep's name comes when the folder is ready
            for _ in range(presses):
                time.sleep(times.uniform(0, 0.6 / presses))
                if times.random() < 0.5 and program.process.poll() is None:
                    program.process.send_signal(signal.SIGINT)
                else:
                    program.press(b"\x03")
            code = program.wait()
            # A last press may come when only Python itself is left, which then ends by the signal: to a shell 130.
            assert code in (0, 130, -signal.SIGINT), program.output
            check_ended_well(program, code)
        if code == 0:
            break
    resume(tmp_path)
    assert figures(tmp_path / "out") == whole


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cnnsweep", *map(str, arguments)],
        cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def check_interruption(process: subprocess.Popen[str], number: signal.Signals, after_s: float) -> None:
    time.sleep(after_s)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err
    assert "ignored" not in err
    was_too_late = process.returncode == 0 and out  # a fast machine: what it prints last is there
    assert was_too_late or process.returncode == 128 + number, (after_s, out, err)


def test_sigterm_while_torch_is_imported(tmp_path):
    write_slow_sweep(tmp_path)
    check_interruption(start("run", "slow.yaml", cwd=tmp_path), signal.SIGTERM, 0.5)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("command", ["run", "plan", "evaluate"])
def test_signals_at_random_times_before_anything_trains(tmp_path, command, seed, number):
    """Python itself needs some 0.1 s until the program's first line."""
    write_slow_sweep(tmp_path)
    target = "slow.yaml"
    if command == "evaluate":
        sweep(tmp_path / "trained", overrides=["params.epochs=1"])
        target = "trained"
    after_s = random.Random(f"{command}{seed}{number}").uniform(0.25, 1.5)
    check_interruption(start(command, target, cwd=tmp_path), number, after_s)


@pytest.mark.faults
def test_ctrl_c_while_data_load(tmp_path):
    """Nothing trains that would have to be waited for."""
    (tmp_path / "slow_data.py").write_text(
        "import sys, time\ndef load():\n    print('loading', file=sys.stderr, flush=True)\n    time.sleep(60)\n"
    )
    write_slow_sweep(tmp_path)
    with TerminalProgram(
        "run", "slow.yaml", "--set", "dataset=slow_data.py:load", *HOW, cwd=tmp_path, TERM="dumb"
    ) as program:
        program.wait_for("loading")
        program.press(b"\x03")
        began = time.monotonic()
        check_ended_well(program, 130)
        assert time.monotonic() - began < 20
        assert "SIGINT: stopping" in program.output
        assert "resume with: cnnsweep run slow.yaml" in program.output


@pytest.mark.faults
def test_ctrl_c_while_a_search_asks(tmp_path, monkeypatch):
    """In this process, so that the signal comes while the search is at work."""
    import cnnsweep.tuner.sampling as asking

    text = SLOW.replace("lr: [0.01, 0.001]", "lr: {log_uniform: [0.001, 0.1]}") + "search: {method: random, runs: 3}\n"
    (tmp_path / "slow_net.py").write_text(SLOW_NET)
    ask, calls = asking.TrialSource.ask, []

    def interrupted(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return ask(self, *args, **kwargs)

    monkeypatch.setattr(asking.TrialSource, "ask", interrupted)
    monkeypatch.chdir(tmp_path)
    first = sweep(tmp_path / "out", text)
    assert first.interrupted == 130
    assert sweep(tmp_path / "out", text).interrupted is None
    monkeypatch.setattr(asking.TrialSource, "ask", ask)
    sweep(tmp_path / "whole", text)
    assert untimed(tmp_path / "out") == untimed(tmp_path / "whole")
