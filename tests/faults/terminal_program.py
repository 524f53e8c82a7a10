"""cnnsweep in a process of its own on a pseudo-terminal, and a sweep whose batches last as long as a test wants."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from threading import Thread
from typing import Any

PATIENCE_S = 120.0  # several tests may share two cores

SLOW_NET = """
import os, time
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, num_classes, image_size):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size[0] * image_size[1], num_classes))

    def forward(self, x):
        if self.training:
            time.sleep(float(os.environ.get("PAUSE", "0")))
        return self.layers(x)
"""

# 4 batches an epoch
SLOW = """
name: slow
dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 30}
model: slow_net.py:Net
params:
  lr: [0.01, 0.001]
  batch_size: 16
  epochs: 3
tensorboard: {graph: false}
"""


def write_slow_sweep(folder: Path) -> Path:
    (folder / "slow_net.py").write_text(SLOW_NET)
    (folder / "slow.yaml").write_text(SLOW)
    return folder / "slow.yaml"


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[2]), **changes}


class TerminalProgram:
    """A command that believes that a person sits before it: it leads the terminal's session, as a shell would."""

    def __init__(self, *arguments: object, cwd: Path, script: str = 'exec "$@"', **changes: str) -> None:
        """Start it.

        Args:
            script: what the shell does that leads the session; the command is `"$@"`.
        """
        self.master, self._slave = os.openpty()
        self.resize(30, 100)
        self.params = termios.tcgetattr(self._slave)
        self._output = b""
        # A session's leader gets the terminal that it opens first for its own.
        command = ["bash", "-c", f'exec <>"$0" >&0 2>&1\n{script}', os.ttyname(self._slave)]
        command += [sys.executable, "-m", "cnnsweep", *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=cwd, env=environment(**changes), start_new_session=True)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> TerminalProgram:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._reader.join(5)
        for descriptor in (self.master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)

    @property
    def output(self) -> str:
        return self._output.decode(errors="replace")

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def wait_for(self, text: str, times: int = 1) -> None:
        until = time.monotonic() + PATIENCE_S
        while self.output.count(text) < times:
            assert self.process.poll() is None, f"ended with {self.process.poll()}:\n{self.output}"
            assert time.monotonic() < until, f"no {text!r} in:\n{self.output}"
            time.sleep(0.01)

    def wait(self) -> int:
        """Return the exit code, once all output is read."""
        code = self.process.wait(PATIENCE_S)
        time.sleep(0.05)
        return code

    def hang_up(self) -> None:
        """Close the terminal, as a dropped connection does."""
        os.close(self._slave)
        self._slave = -1
        master, self.master = self.master, -1
        os.close(master)

    def final_settings(self) -> list[Any]:
        return termios.tcgetattr(self._slave)

    def _read(self) -> None:
        import select

        while self.master >= 0:
            try:
                if select.select([self.master], [], [], 0.02)[0]:
                    self._output += os.read(self.master, 65536)
                elif self.process.poll() is not None:
                    return
            except (OSError, ValueError):
                return
