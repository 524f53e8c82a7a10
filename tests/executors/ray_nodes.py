"""A Ray cluster of several nodes on this machine, each as far apart from the others as Linux can keep them.

A node has its own network address, process numbers, /tmp and /dev/shm: to the others it is another machine, and it
ends all at once when its first process is killed. Needs root, `ip` and `unshare`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

_BIN = Path(sys.executable).parent
_PORT = 6379
_TOKEN = "0" * 64
_APART = ("unshare", "--mount", "--pid", "--fork", "--mount-proc")
# In a node: own folders, then Ray until the end.
_NODE = """
mount -t tmpfs none /tmp && mount -t tmpfs none /dev/shm && ip link set lo up || exit 9
exec "$@" > {log} 2>&1
"""


def can_be_made() -> bool:
    """True if this machine lets us make such nodes."""
    if sys.platform != "linux" or os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("unshare")):
        return False
    return subprocess.run([*_APART, "--net", "true"], capture_output=True).returncode == 0


class Nodes:
    """A cluster; its first node is the head.

    Args:
        folder: for logs, not below /tmp.
        cpus: of each node.
    """

    def __init__(self, folder: Path, cpus: Sequence[int]) -> None:
        self._folder = folder
        self._number = os.getpid() % 200 + 20
        self._bridge = f"rb{os.getpid()}"
        self._first_processes: dict[int, int] = {}  # by node
        self._starters: dict[int, subprocess.Popen[bytes]] = {}
        self._cpus = list(cpus)

    def __enter__(self) -> Nodes:
        _run("ip", "link", "add", self._bridge, "type", "bridge")
        _run("ip", "addr", "add", f"10.213.{self._number}.1/24", "dev", self._bridge)
        _run("ip", "link", "set", self._bridge, "up")
        try:
            for node in range(len(self._cpus)):
                self.start(node)
            self.wait_for(len(self._cpus))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in list(self._first_processes):
            self.kill(node)
        subprocess.run(["ip", "link", "del", self._bridge], check=False)

    @property
    def head(self) -> str:
        return f"{self.address(0)}:{_PORT}"

    def address(self, node: int) -> str:
        return f"10.213.{self._number}.{10 + node}"

    def start(self, node: int) -> None:
        """Start a node; a number that is not among the first ones joins."""
        space = f"{self._bridge}n{node}"
        log = self._folder / f"node{node}.log"
        _run("ip", "netns", "add", space)
        _run("ip", "link", "add", f"{self._bridge}v{node}", "type", "veth", "peer", "name", "eth0", "netns", space)
        _run("ip", "link", "set", f"{self._bridge}v{node}", "master", self._bridge, "up")
        inside = ["ip", "-n", space]
        _run(*inside, "addr", "add", f"{self.address(node)}/24", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")
        _run(*inside, "route", "add", "default", "via", f"10.213.{self._number}.1")
        role = ["--head", f"--port={_PORT}", "--include-dashboard=false"] if node == 0 else [f"--address={self.head}"]
        cpus = self._cpus[node] if node < len(self._cpus) else 1
        start = [str(_BIN / "ray"), "start", *role, f"--num-cpus={cpus}", "--block", "--disable-usage-stats"]
        start += [f"--node-ip-address={self.address(node)}", "--object-store-memory=300000000"]
        starter = subprocess.Popen(
            ["ip", "netns", "exec", space, *_APART, "bash", "-c", _NODE.format(log=log), "bash", *start],
            env={**os.environ, **self.environment},
        )
        self._starters[node] = starter
        self._first_processes[node] = _only_child(starter.pid)

    @property
    def environment(self) -> dict[str, str]:
        """What processes of the cluster need to know."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _TOKEN, "HOME": str(self._folder)}

    def inside(self, node: int, *command: str) -> list[str]:
        """Return a command that runs on a node."""
        spaces = ["--mount", "--net", "--pid"]
        return ["nsenter", "-t", str(self._first_processes[node]), *spaces, "--wd=/tmp", *command]

    def popen(self, node: int, *command: str, output: IO[str]) -> subprocess.Popen[bytes]:
        """Start a program of the cluster on a node."""
        environment = {**os.environ, **self.environment}
        return subprocess.Popen(self.inside(node, *command), env=environment, stdout=output, stderr=output)

    def run(self, node: int, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the cluster on a node."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(self.inside(node, *command), env=environment, capture_output=True, text=True)

    def kill(self, node: int) -> None:
        """End all processes of a node at once, with SIGKILL."""
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.kill(self._first_processes.pop(node), signal.SIGKILL)
        self._starters.pop(node).wait()
        subprocess.run(["ip", "netns", "del", f"{self._bridge}n{node}"], check=False)

    def wait_for(self, count: int, seconds: float = 90) -> None:
        """Wait until so many nodes have joined."""
        ask = f"import ray; ray.init({self.head!r}, log_to_driver=False); n = [x for x in ray.nodes() if x['Alive']]; "
        ask += "print('nodes:', len(n))"
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            command = self.inside(0, sys.executable, "-c", ask)
            asked = subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, text=True)
            if f"nodes: {count}" in asked.stdout:
                return
            time.sleep(1)
        logs = "\n".join(path.read_text()[-1000:] for path in self._folder.glob("node*.log"))
        raise TimeoutError(f"not {count} nodes after {seconds:.0f} s: {asked.stdout}{asked.stderr[-500:]}\n{logs}")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _only_child(parent: int) -> int:
    """Return the number of a process's child, as soon as it has one."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise TimeoutError("the node did not start")
