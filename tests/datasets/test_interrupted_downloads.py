"""What is left when a server or a downloading process is killed, and who puts it right."""

import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnnsweep.datasets.download import DownloadFile, fetch_missing
from cnnsweep.errors import DataError

CONTENT = os.urandom(1 << 20)  # several pieces, and nothing that gzip could make small
TARGET = "set/raw/values"
LOCK = ".cnnsweep-download.lock"


class Server:
    """Serves one file; while `gate` is closed, connections get the first half and then nothing."""

    def __init__(self) -> None:
        self.content = gzip.compress(CONTENT)
        self.gate = threading.Event()
        self.half_sent = threading.Event()
        self.requests = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def download_file(self) -> DownloadFile:
        url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/values.gz"
        return DownloadFile((url,), hashlib.md5(self.content).hexdigest(), {TARGET: ""}, is_noted=True)

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if not connection.recv(4096):
                    return  # `close` knocked
                self.requests += 1
                head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(self.content)}\r\n\r\n".encode()
                half = len(self.content) // 2
                try:
                    connection.sendall(head + self.content[:half])
                    self.half_sent.set()
                    self.gate.wait(20)
                    connection.sendall(self.content[half:])
                except OSError:
                    pass  # the other side was killed

    def close(self) -> None:
        self.gate.set()
        with socket.create_connection(self._socket.getsockname()) as knock:
            knock.shutdown(socket.SHUT_WR)
            self._thread.join()
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


DOWNLOADER = """
import sys, time
from contextlib import contextmanager
from pathlib import Path
from cnnsweep.datasets import checksums, download

def stop(*_):
    print("stopped", flush=True)
    time.sleep(60)

def silent(*_): pass

class Halting:
    def __init__(self, source): self.source, self.reads = source, 0
    def read(self, count):
        self.reads += 1
        return self.source.read(count) if self.reads < 3 else stop()

def unpack_half(archive, member):
    @contextmanager
    def opened(archive, member):
        with original(archive, member) as source: yield Halting(source)
    return opened(archive, member)

original = download._opened
where, url, md5, target, root = sys.argv[1:]
if where == "unpacking":
    download._PIECE_BYTES = 1 << 12
    import cnnsweep.storage.atomic_files as files
    files._KEPT_BYTES = 1
    download._opened = unpack_half
if where == "noting": checksums.replace_file = stop
if where == "renaming": download.note_checksum = lambda *a: (checksums.note_checksum(*a), stop())
download.fetch_missing([download.DownloadFile((url,), md5, {target: ""}, is_noted=True)], Path(root), silent)
print("done", flush=True)
"""


def start_downloader(where: str, server: Server, root: Path) -> "subprocess.Popen[str]":
    download_file = server.download_file
    command = [sys.executable, "-c", DOWNLOADER, where, download_file.urls[0], download_file.md5, TARGET, str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def files_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {LOCK}


@pytest.mark.parametrize("where", ["downloading", "unpacking", "noting", "renaming"])
def test_a_killed_process_leaves_nothing_that_counts_and_the_next_one_mends_it(
    where: str, server: Server, tmp_path: Path
) -> None:
    if where != "downloading":
        server.gate.set()
    process = start_downloader(where, server, tmp_path)
    if where == "downloading":
        assert server.half_sent.wait(20)
    else:
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
    kill(process)
    assert not (tmp_path / TARGET).exists()
    assert list(tmp_path.glob(".cnnsweep-download-*"))  # what it had begun
    assert bool(list((tmp_path / "set").rglob("*.tmp"))) == (where != "downloading")

    (tmp_path / "set/raw").mkdir(parents=True, exist_ok=True)
    (tmp_path / "set/raw/..cnnsweep-sha256.json.1.tmp").touch()  # killed while it was written
    server.gate.set()
    fetch_missing([server.download_file], tmp_path, silent)
    assert (tmp_path / TARGET).read_bytes() == CONTENT
    assert files_in(tmp_path) == {TARGET, "set/raw/.cnnsweep-sha256.json"}
    assert not list(tmp_path.glob(".cnnsweep-download-*"))


def test_two_processes_that_need_the_same_files_download_them_once(server: Server, tmp_path: Path) -> None:
    process = start_downloader("undisturbed", server, tmp_path)
    assert server.half_sent.wait(20)
    told = []

    def tell(what: str, done: int, total: int) -> None:
        told.append((what, done, total))
        server.gate.set()  # the other one goes on when this one has said that it waits

    fetch_missing([server.download_file], tmp_path, tell)
    assert process.communicate(timeout=20) == ("done\n", None)
    assert server.requests == 1
    waiting = "waiting for the download of another process"
    assert told[0] == (waiting, 0, 1)
    assert told[-1] == (waiting, 1, 1)
    assert (tmp_path / TARGET).read_bytes() == CONTENT


def test_a_server_that_is_killed_in_mid_body_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    code = (
        "import os, signal, socket\n"
        "listening = socket.create_server(('127.0.0.1', 0))\n"
        "print(listening.getsockname()[1], flush=True)\n"
        "connection, _ = listening.accept()\n"
        "connection.recv(4096)\n"
        "connection.sendall(b'HTTP/1.0 200 OK\\r\\nContent-Length: 2000000\\r\\n\\r\\n' + bytes(1000000))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/values.gz"
        with pytest.raises(DataError, match=f"^{url}: ") as caught:
            fetch_missing([DownloadFile((url,), "0" * 32, {TARGET: ""})], tmp_path, silent)
        assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == set()
