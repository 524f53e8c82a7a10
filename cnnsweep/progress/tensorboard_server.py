"""TensorBoard, started on the right directory."""

from __future__ import annotations

import errno
import itertools
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnsweep.errors import CnnSweepError, ResultsError, UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.storage.paths import RunPaths, SweepPaths, refuse_undecodable

USUAL_PORT = 6006  # TensorBoard's own
_MOST_TRIED = 20  # ports from there on
_STARTS_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.1
_DEEPEST = 4  # folders between the one that is given and events: sweeps / sweep / refit / setting / run


def find_events(folder: Path) -> Path:
    """Return the directory that TensorBoard is to show: a run's folder, a sweep's, or one that holds sweeps.

    Raises:
        ResultsError: there are no events in it.
        FolderError: its name is no text, which TensorBoard cannot open.
    """
    refuse_undecodable(folder)
    if not folder.is_dir():
        raise ResultsError(f"{safe_text(folder)}: there is no such folder; give a sweep's, a run's, or one of sweeps")
    if not any(_folders_with_events(folder, _DEEPEST)):
        what = "no TensorBoard events yet" if SweepPaths(folder).journal.exists() else "no TensorBoard events"
        raise ResultsError(f"{safe_text(folder)}: holds {what}; give the folder of a sweep, or of a run")
    return folder


def _folders_with_events(folder: Path, depth: int) -> Iterator[Path]:
    if RunPaths(folder).event_files:
        yield folder
    if depth:
        for inner in folder.iterdir():
            if inner.is_dir():
                yield from _folders_with_events(inner, depth - 1)


def choose_port(host: str, port: int | None) -> int:
    """Return the port to serve on: the one that is wanted, where 0 is any, or the first free one from the usual.

    Raises:
        UsageError: it is taken, or there is no such host.
    """
    wanted = [port] if port is not None else range(USUAL_PORT, USUAL_PORT + _MOST_TRIED)
    for candidate in wanted:
        if (free := _free_port(host, candidate)) is not None:
            return free
    taken = f"port {port} is" if port is not None else f"ports {USUAL_PORT} to {USUAL_PORT + _MOST_TRIED - 1} are"
    raise UsageError(f"--port: {taken} taken on {safe_text(host)}; choose another, or 0 for any that is free")


def _free_port(host: str, port: int) -> int | None:
    """Return the port, or for 0 some free one; None where it is taken on one of the addresses that the host has."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise UsageError(f"--host: there is no host '{safe_text(host)}'; leave it out to serve here alone") from error
    free = None
    for family, kind, protocol, _, address in addresses:
        try:
            with socket.socket(family, kind, protocol) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that has just ended blocks none
                listener.bind(address)
                free = free or int(listener.getsockname()[1])
        except PermissionError as error:
            raise UsageError(f"--port: {port} is kept for the administrator; choose one from 1024 on") from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return None
    if free is None:
        raise UsageError(f"--host: '{safe_text(host)}' is no address of this machine; leave it out to serve here alone")
    return free


def serve(directory: Path, host: str, port: int, say: Callable[[str], None]) -> int:
    """Run TensorBoard until it ends, and return its exit code.

    Args:
        say: is told the address once it answers.

    Raises:
        CnnSweepError: it did not start.
    """
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(directory),
        "--host",
        host,
        "--port",
        str(port),
    ]
    with tempfile.TemporaryFile() as words, _ended_with_us(subprocess.Popen(command, stderr=words)) as process:
        for _ in itertools.repeat(None, round(_STARTS_WITHIN_S / _LOOK_EVERY_S)):
            if process.poll() is not None or _answers(host, port):
                break
            time.sleep(_LOOK_EVERY_S)
        if process.poll() is None:
            say(_address(host, port))
            code = process.wait()
        else:
            code = process.returncode
        if code > 0:
            words.seek(0)
            last = [line for line in words.read().decode(errors="replace").splitlines() if line.strip()][-3:]
            raise CnnSweepError(f"TensorBoard ended with exit code {code}: {safe_text(' / '.join(last))}")
        return code


@contextmanager
def _ended_with_us(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Leave no server behind, whatever ends this program."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((_reachable(host), port), timeout=1):
            return True
    except OSError:
        return False


def _reachable(host: str) -> str:
    """Return where a server that listens everywhere is reached from here."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _address(host: str, port: int) -> str:
    shown = _reachable(host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
