"""`cnnsweep tensorboard`: the right directory, a free port, an end without leftovers."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnnsweep.errors import CnnSweepError, ResultsError, UsageError
from cnnsweep.progress.tensorboard_server import USUAL_PORT, choose_port, find_events, serve
from cnnsweep.storage.paths import SweepPaths


def events(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1.host").touch()


@contextmanager
def listening(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((host, port))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("where", ["runs/sweep/run", "runs/sweep", "runs"])
def test_folder_of_a_run_of_a_sweep_and_of_sweeps_are_shown(tmp_path, where):
    events(tmp_path / "runs" / "sweep" / "run")
    assert find_events(tmp_path / where) == tmp_path / where


def test_folder_without_events_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="holds no TensorBoard events; give the folder of a sweep"):
        find_events(tmp_path)
    SweepPaths(tmp_path).journal.touch()
    with pytest.raises(ResultsError, match="no TensorBoard events yet"):
        find_events(tmp_path)
    with pytest.raises(ResultsError, match="there is no such folder"):
        find_events(tmp_path / "nothing")


def test_links_in_a_circle_come_to_an_end(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ResultsError):
        find_events(tmp_path)


def test_port_that_is_taken_is_refused_by_its_number():
    with listening() as port, pytest.raises(UsageError, match=rf"^--port: port {port} is taken on 127\.0\.0\.1"):
        choose_port("127.0.0.1", port)


def test_next_port_is_taken_where_none_is_wanted(monkeypatch):
    with listening() as port:
        monkeypatch.setattr("cnnsweep.progress.tensorboard_server.USUAL_PORT", port)
        assert choose_port("127.0.0.1", None) > port
    assert USUAL_PORT == 6006


def test_any_free_port_is_found():
    with listening(port=choose_port("127.0.0.1", 0)):
        pass


def test_host_that_is_not_here_is_refused():
    with pytest.raises(UsageError, match=r"'192\.0\.2\.1' is no address of this machine"):
        choose_port("192.0.2.1", 0)


def fake_tensorboard(folder: Path, code: str) -> dict[str, str]:
    """Put a package in the way that stands for TensorBoard, which takes seconds to start."""
    (folder / "tensorboard").mkdir(parents=True)
    (folder / "tensorboard" / "__init__.py").touch()
    (folder / "tensorboard" / "main.py").write_text(code)
    return {**os.environ, "PYTHONPATH": str(folder)}


SERVER = """
import http.server, os, pathlib, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
pathlib.Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(options["--logdir"].encode())
    def log_message(self, *_):
        pass
http.server.HTTPServer((options["--host"], int(options["--port"])), Handler).serve_forever()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_address_is_printed_once_it_answers_and_a_signal_ends_both(tmp_path, number, code):
    events(tmp_path / "sweep" / "run")
    environment = {**fake_tensorboard(tmp_path / "fake", SERVER), "PID_FILE": str(tmp_path / "pid")}
    port = choose_port("127.0.0.1", 0)
    call = [sys.executable, "-m", "cnnsweep", "tensorboard", str(tmp_path / "sweep"), "--host", "127.0.0.1"]
    process = subprocess.Popen([*call, "--port", str(port)], stdout=subprocess.PIPE, env=environment, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        address = re.search(r"http://\S+", said)
        assert address is not None
        assert address[0] == f"http://127.0.0.1:{port}/"
        with urllib.request.urlopen(address[0]) as answer:
            assert answer.read().decode() == str(tmp_path / "sweep")
        process.send_signal(number)
        assert process.wait(20) == code
        server = int((tmp_path / "pid").read_text())
        deadline = time.monotonic() + 10
        while Path(f"/proc/{server}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(ProcessLookupError):
            os.kill(server, 0)
    finally:
        process.kill()
        process.communicate()


def test_tensorboard_that_does_not_start_is_an_error_with_its_words(tmp_path, monkeypatch):
    fake_tensorboard(tmp_path / "fake", "import sys; print('no\\x1b[2J good', file=sys.stderr); sys.exit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    said: list[str] = []
    with pytest.raises(CnnSweepError, match=r"TensorBoard ended with exit code 7: no\\x1b\[2J good"):
        serve(tmp_path, "127.0.0.1", choose_port("127.0.0.1", 0), said.append)
    assert said == []
