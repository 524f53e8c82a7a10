"""Sweeps on Ray clusters: of this machine, and of several nodes that are killed."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("ray")

from ray_nodes import Nodes, can_be_made
from ray_pools import start_cluster
from small_sweeps import SMALL, SilentDisplay, sweep, untimed

from cnnsweep.config.load import parse_sweep
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import ExecutionError, UsageError
from cnnsweep.executors.base import TASK
from cnnsweep.executors.options import RAY, ExecutorOptions
from cnnsweep.executors.pool import PoolExecutor
from cnnsweep.executors.ray_actor import versions_here, what_differs
from cnnsweep.executors.ray_backend import RayWorkers
from cnnsweep.executors.ray_connection import Connection
from cnnsweep.executors.ray_options import RayOptions
from cnnsweep.training.data_module import DataModule
from cnnsweep.types import RunStatus

CNNSWEEP = str(Path(sys.executable).with_name("cnnsweep"))
SWEEPS = Path(__file__).parents[2] / "sweeps"
EPOCH = re.compile(r"^\[ *\d+/", re.MULTILINE)
NEEDS_NODES = pytest.mark.skipif(not can_be_made(), reason="nodes need root, ip and unshare")
OWN = re.sub("model: .*", "model: nets.py:Net", SMALL)
NETS = """
from torch import nn
from parts import width

class Net(nn.Module):
    def __init__(self, in_channels, num_classes, image_size):
        super().__init__()
        print("made in", __file__)
        pixels = in_channels * image_size[0] * image_size[1]
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, x):
        return self.layers(x)
"""


@pytest.mark.ray
def test_a_sweep_on_ray_equals_one_in_this_process(tmp_path):
    start_cluster()
    sweep(tmp_path / "here", executor_options=ExecutorOptions(jobs=1, threads=1))
    display = SilentDisplay()
    result = sweep(
        tmp_path / "there", display=display, executor_options=ExecutorOptions(jobs=2, threads=1, executor=RAY)
    )
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    assert untimed(tmp_path / "there") == untimed(tmp_path / "here")
    assert display.overview.device == "2 workers of a Ray cluster on this machine, 1 thread each"
    assert display.messages == []


def test_a_node_with_other_versions_is_told_apart():
    assert what_differs(versions_here()) is None
    other = {**versions_here(), "torch": "1.0", "cnnsweep": "0.0"}
    here = versions_here()
    assert what_differs(other) == (
        f"cnnsweep {here['cnnsweep']} there, 0.0 here; torch {here['torch']} there, 1.0 here "
        "(install the same on every node)"
    )


@pytest.mark.parametrize("address", ["here", "10.0.0.1:", ":6379", "host:99999", "ray://host:10001"])
def test_an_address_that_cannot_be_one_is_refused(address, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(UsageError, match="allowed are auto and HOST:PORT"):
        Connection(address, 1, ())


def test_a_cluster_that_is_not_there_is_told_in_a_sentence(monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ExecutionError) as caught:
            Connection(address, 1, ())
    assert str(caught.value) == (
        f"--address: the Ray cluster at {address} cannot be reached (Connection refused); `ray status` on its head "
        "node shows whether it runs"
    )


@pytest.mark.ray
def test_a_worker_has_its_threads_and_the_memory_of_its_node():
    start_cluster()
    spec = parse_sweep(SMALL, "small.yaml")
    task = DataModule.load(spec, load_dataset(spec.dataset_choice, Path()), torch.device("cpu"))
    executor = PoolExecutor(RayWorkers(task, RayOptions(jobs=2, threads=3), print))
    assert executor.call_everywhere(torch.get_num_threads) == [3, 3]
    assert executor.call_everywhere(_pixels_lie_in, TASK) == ["shared", "shared"]
    executor.close()


def _pixels_lie_in(task: DataModule) -> str:
    """Return in what kind of memory the images are."""
    address = task.images.images.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, _, end = line.split()[0].partition("-")
        if int(start, 16) <= address < int(end, 16):
            return "shared" if line.split()[1][3] == "s" else "private"
    return "nowhere"


@pytest.mark.ray
def test_something_else_at_the_address_is_found_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        began = time.monotonic()
        ended = run_command(tmp_path, "--address", address)
    assert time.monotonic() - began < 60
    assert ended.returncode == 1
    assert re.search(rf"{address} cannot be joined: no answer in \d+ s: is that the port of `ray start", ended.stderr)
    assert "Traceback" not in ended.stderr
    assert "rpc_client" not in ended.stderr


@pytest.mark.ray
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_local_cluster(tmp_path, end):
    (tmp_path / "small.yaml").write_text(SMALL.replace("epochs: 2", "epochs: 4000"))
    with (tmp_path / "log").open("w") as log:
        command = [CNNSWEEP, "run", "small.yaml", "--executor", "ray", "--jobs", "2"]
        driver = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
        wait_until(lambda: EPOCH.search((tmp_path / "log").read_text()), 120)
        assert ray_processes(driver.pid)
        os.killpg(driver.pid, end) if end == signal.SIGINT else driver.send_signal(end)  # Ctrl-C reaches all
        code = driver.wait(60)
    assert code == (-signal.SIGKILL if end == signal.SIGKILL else 128 + end)
    wait_until(lambda: not ray_processes(driver.pid), 30)
    text = (tmp_path / "log").read_text()
    assert "Ray worker on" not in text, "no worker was lost, none had anything to say"
    left = list(Path(tempfile.gettempdir()).glob(f"cnnsweep-ray-*/r/session*_{driver.pid}"))
    if end == signal.SIGKILL:
        shutil.rmtree(left[0].parents[1])  # of what was killed the folder stays
    else:
        assert left == []
        assert "interrupted; resume with" in text


@pytest.fixture
def folder():
    """A folder that all nodes share; /tmp is each node's own."""
    path = Path(tempfile.mkdtemp(prefix="cnnsweep-nodes-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.mark.ray
@NEEDS_NODES
def test_a_node_that_is_killed_costs_its_epochs_in_flight(folder, shared_data):
    how = [str(SWEEPS / "fashion.yaml"), "--data-root", str(shared_data.resolve()), "--set", "params.epochs=2"]
    how += ["--fuse", "off", "--threads", "1"]
    log = folder / "log"
    with Nodes(folder, [1, 1, 1]) as nodes, log.open("w") as output:
        there = [*how, "--out", str(folder / "there"), "--executor", "ray", "--address", nodes.head]
        driver = nodes.popen(0, CNNSWEEP, "run", *there, output=output)
        wait_until(lambda: driver.poll() is not None or len(EPOCH.findall(log.read_text())) >= 5, 300)
        nodes.kill(2)
        assert driver.wait(600) == 0, log.read_text()
    text = log.read_text()
    assert re.findall(r"Ray worker on (\S+) .*; its run resumes from its last epoch", text) == [nodes.address(2)]
    assert len(EPOCH.findall(text)) == 16, "what was written down is not trained again"
    subprocess.run([CNNSWEEP, "run", *how, "--out", str(folder / "here"), "--jobs", "2"], check=True)
    assert untimed(folder / "there") == untimed(folder / "here")


@pytest.mark.ray
@NEEDS_NODES
def test_own_code_is_sent_and_nodes_read_their_own_data(folder):
    """The head trains nothing; its own /tmp holds the code, which the other nodes do not have."""
    files = {"nets.py": NETS, "parts.py": "width = 8", "own.yaml": OWN}
    write = "; ".join(f"echo {shlex.quote(text)} > /tmp/own/{name}" for name, text in files.items())
    with Nodes(folder, [0, 1]) as nodes:
        nodes.run(0, "bash", "-c", f"mkdir /tmp/own; {write}")
        nodes.run(1, "mkdir", "/tmp/sets")
        run = f"{CNNSWEEP} run /tmp/own/own.yaml --out {folder}/runs --fuse off --executor ray"
        away = nodes.run(0, "bash", "-c", f"{run} --address auto --node-data /tmp/elsewhere")
        assert away.returncode == 1
        assert re.search(r"no folder /tmp/elsewhere on this node", away.stderr), away.stderr
        assert "Traceback" not in away.stderr
        there = nodes.run(0, "bash", "-c", f"{run} --address auto --node-data /tmp/sets")
        assert there.returncode == 0, there.stderr
        said = rf"Ray worker on {nodes.address(1)} .*: made in /tmp/ray/\S+/nets.py"
        assert re.search(said, there.stderr), there.stderr


@pytest.mark.ray
@NEEDS_NODES
def test_nodes_that_join_get_work_and_a_cluster_with_room_for_nobody_is_waited_for(folder):
    (folder / "small.yaml").write_text(SMALL.replace("[0.01, 0.001]", "[0.01, 0.001, 0.002, 0.005]"))
    log = folder / "log"
    with Nodes(folder, [0]) as nodes, log.open("w") as output:
        run = ["run", f"{folder}/small.yaml", "--out", f"{folder}/runs", "--fuse", "off", "--executor", "ray"]
        driver = nodes.popen(0, CNNSWEEP, *run, "--address", nodes.head, output=output)
        told = "1 worker cannot start yet: no node of the Ray cluster has 1 free CPU"
        wait_until(lambda: told in log.read_text(), 120)
        nodes.start(1)
        assert driver.wait(200) == 0, log.read_text()


def run_command(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "small.yaml").write_text(SMALL)
    command = [CNNSWEEP, "run", "small.yaml", "--executor", "ray", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def ray_processes(driver: int) -> list[str]:
    """Return the processes of the cluster that a driver has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if re.search(rf"cnnsweep-ray-\w+/r/session_[-\d_]+_{driver}\b", line):
            found.append(line)
    return found


def wait_until(is_so, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)


TWO_CLUSTERS = """
import os
from cnnsweep.executors.ray_connection import Connection

for _ in range(2):
    connection = Connection(None, 1, [])
    assert connection.is_local
    connection.close()
assert "RAY_AUTH_TOKEN" not in os.environ
"""


@pytest.mark.ray
def test_a_process_may_start_clusters_one_after_the_other():
    """Ray keeps the first one's token; a second one with a token of its own refused the process that had started it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    subprocess.run([sys.executable, "-c", TWO_CLUSTERS], env=environment, check=True, timeout=120)


ONE_CLUSTER = """
import os, sys
import ray
from cnnsweep.executors.ray_connection import Connection

connection = Connection(None, 1, [])
print(os.getpid(), ray.get_runtime_context().gcs_address, connection._folder, flush=True)
sys.stdin.read()
connection.close()
"""
STRANGER = """
import sys
from ray._raylet import GcsClient
GcsClient(address=sys.argv[1]).internal_kv_put(b"mine", b"now", True)
"""


@pytest.mark.ray
@pytest.mark.parametrize("mode", [None, "disabled"])
def test_a_cluster_of_this_machine_is_reached_by_this_machine_alone_and_only_with_its_token(mode):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-c", ONE_CLUSTER]
    driver = subprocess.Popen(
        command,
        env={**environment, **({} if mode is None else {"RAY_AUTH_MODE": mode})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        process, address, folder = driver.stdout.readline().split()
        slots = [place for one in family(int(process)) for place in listening(one)]
        stranger = subprocess.run(
            [sys.executable, "-c", STRANGER, address], env=environment, capture_output=True, text=True, timeout=60
        )
        mode_of_folder = Path(folder).stat().st_mode & 0o777
    finally:
        driver.communicate()
    assert driver.returncode == 0
    assert len(slots) >= 4, "control plane, node, object store, driver"
    assert [place for place in slots if not place.is_loopback] == []
    assert "InvalidAuthToken" in stranger.stderr
    assert mode_of_folder == 0o700
    assert not Path(folder).exists()


def family(process: int) -> list[int]:
    """Return a process with its children and theirs."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(one for child in children for one in family(int(child)))]


def listening(process: int) -> list[ipaddress.IPv4Address]:
    """Return at which addresses a process listens."""
    sockets = {str(path.readlink()) for path in Path(f"/proc/{process}/fd").iterdir() if path.is_symlink()}
    rows = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().split("\n")[1:-1]
    ]
    found = [row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets]
    return [ipaddress.IPv4Address(bytes.fromhex(address[-8:])[::-1]) for address in found]
