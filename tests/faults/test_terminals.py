"""Pipes that close, disks that are full, terminals that change: the training goes on, and the terminal stays whole."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pyte
import pytest
from small_sweeps import sweep, tables
from terminal_program import TerminalProgram, environment, write_slow_sweep

CNNSWEEP = f"'{sys.executable}' -m cnnsweep"
RUN = f"{CNNSWEEP} run slow.yaml --fuse off --out out"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "small"
    sweep(folder)
    return folder


def shell(command: str, cwd: Path, **changes: str) -> tuple[str, str]:
    """Run a command of bash; return what it printed, the exit codes of its pipeline last, and its messages."""
    done = subprocess.run(
        ["bash", "-c", f'{command}; echo "${{PIPESTATUS[*]}}"'],
        cwd=cwd, env=environment(**changes), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("arguments", ["report {}", "report {} --format json", "--help", "schema"])
def test_a_reader_that_leaves_is_no_error(trained, tmp_path, arguments):
    out, err = shell(f"{CNNSWEEP} {arguments.replace('{}', str(trained))} | true", tmp_path)
    assert out in ("141 0\n", "0 0\n")  # 0: it was faster
    assert err == ""


def test_the_first_line_is_printed_all_the_same(trained, tmp_path):
    out, _ = shell(f"{CNNSWEEP} report '{trained}' --format csv | head -1", tmp_path)
    assert out.startswith("rank,")


@pytest.mark.parametrize("arguments", ["report {}", "report {} --format csv", "--help"])
def test_a_full_disk_behind_a_redirect_is_said(trained, tmp_path, arguments):
    out, err = shell(f"{CNNSWEEP} {arguments.replace('{}', str(trained))} >/dev/full", tmp_path)
    assert out == "1\n"
    assert err == "error: the output cannot be written (No space left on device)\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_the_shell_closed_are_missed_by_nobody(trained, tmp_path, closed):
    out, err = shell(f"{CNNSWEEP} report '{trained}' --format csv {closed}", tmp_path)
    assert out.endswith("0\n")
    assert err == ""


@pytest.mark.faults
@pytest.mark.parametrize(
    "command",
    [
        f"{RUN} | true",
        f"{RUN} 2>&1 | head -1",
        f"{RUN} --json | true",
        f"{RUN} 2> >(true)",
        f"{RUN} <&- >&- 2>&-",
        f"{RUN} 2>/dev/full",
    ],
)
def test_training_does_not_mind_that_nobody_listens(tmp_path, command):
    write_slow_sweep(tmp_path)
    net = tmp_path / "slow_net.py"
    net.write_text(net.read_text().replace("        return", "        print('a line', flush=True)\n        return"))
    shell(command, tmp_path)
    assert tables(tmp_path / "out")["sweep"]["status"] == "finished"
    assert {row["status"] for row in tables(tmp_path / "out")["runs"]} == {"finished"}


@pytest.mark.faults
def test_results_that_cannot_be_printed_give_an_exit_code(tmp_path):
    write_slow_sweep(tmp_path)
    out, err = shell(f"{RUN} --json >/dev/full", tmp_path)
    assert out == "1\n"
    assert "error: the output cannot be written (No space left on device)" in err
    assert tables(tmp_path / "out")["sweep"]["status"] == "finished"


def table_program(folder: Path, pause: float, **how: str) -> TerminalProgram:
    write_slow_sweep(folder)
    return TerminalProgram("run", "slow.yaml", "--fuse", "off", "--out", "out", cwd=folder, PAUSE=str(pause), **how)


def show(program: TerminalProgram, lines: int = 60, columns: int = 100) -> pyte.Screen:
    screen = pyte.Screen(columns, lines)
    pyte.Stream(screen).feed(program.output)
    return screen


@pytest.mark.faults
def test_a_terminal_that_is_resized_shows_the_table_in_its_new_size(tmp_path):
    with table_program(tmp_path, 0.15) as program:
        program.wait_for("0/3")
        for size in ((30, 60), (10, 200), (1, 1), (50, 100)):
            program.resize(*size)
            time.sleep(0.3)
        assert program.wait() == 0
        assert not show(program).cursor.hidden
        assert program.final_settings() == program.params
    assert tables(tmp_path / "out")["sweep"]["status"] == "finished"


@pytest.mark.faults
@pytest.mark.parametrize(
    "how", [{"TERM": "dumb"}, {"TERM": ""}, {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}]
)
def test_poor_terminals_get_what_they_can_show(tmp_path, how):
    with table_program(tmp_path, 0, **how) as program:
        assert program.wait() == 0, program.output
        if how.get("TERM") == "dumb":
            assert "\x1b" not in program.output
        if "LANG" in how:
            assert program.output.isascii()
        assert not show(program).cursor.hidden


@pytest.mark.faults
def test_ctrl_z_gives_the_cursor_back_and_fg_goes_on(tmp_path):
    job_control = 'set -m; "$@"; echo suspended; sleep 2; fg'
    with table_program(tmp_path, 0.3, script=job_control) as program:
        program.wait_for("0/3")
        program.press(b"\x1a")
        program.wait_for("suspended")
        assert not show(program).cursor.hidden
        assert program.wait() == 0
        assert not show(program).cursor.hidden
    assert tables(tmp_path / "out")["sweep"]["status"] == "finished"
