"""Connection to a Ray cluster, or to a temporary cluster on this machine for one sweep."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray._raylet import AuthenticationMode, Config, get_authentication_mode  # type: ignore[attr-defined]  # compiled

from cnnsweep.datasets.decode import usable_cores
from cnnsweep.errors import ExecutionError, UsageError
from cnnsweep.executors.code_upload import stage_code
from cnnsweep.formatting.escape import safe_text

_ANSWER_S = 3.0  # seconds for a machine to accept a connection
_JOINING_S = 12.0  # seconds for a cluster to accept a process
_LONGEST_FOLDER = 40  # characters: paths of sockets below it may have at most about a hundred
_ADDRESS = re.compile(r"(?P<host>[^:\s]+|\[[^\]\s]+\]):(?P<port>[0-9]{1,5})")
_SUBMITTED_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by `ray job submit`, which uploads its own folder

# Joining may take minutes to fail, and prints meanwhile: so another process tries it first.
_PROBE = """
import logging, sys
import ray
try:
    ray.init(sys.argv[1], logging_level=logging.CRITICAL, log_to_driver=False)
except Exception as error:
    while error.__cause__ is not None:
        error = error.__cause__
    sys.exit(" ".join(str(error).split()) or type(error).__name__)
"""


class _Own:
    is_running = False


_own = _Own()


class Connection:
    """A process's connection to a cluster.

    Attributes:
        is_local: the cluster is only on this machine, and was started by this process.
        code: the path of each local folder's copy, below an actor's current folder.

    Args:
        address: `auto` or HOST:PORT; None starts a cluster here, unless RAY_ADDRESS names one. A process that is in a
            cluster stays in it.
        cores: minimum number of cores of a cluster that is started here.
        references: names of models and data sets; the code of references is sent.

    Raises:
        UsageError: the address is malformed, or the code cannot be sent.
        ExecutionError: the cluster does not exist, or none can be started.
    """

    def __init__(self, address: str | None, cores: int, references: Sequence[str]) -> None:
        self.code: dict[str, str] = {}
        self._folder: str | None = None
        self._token_before = os.environ.get("RAY_AUTH_TOKEN")
        self._mode_before = os.environ.get("RAY_AUTH_MODE")
        self._may_shut_down = not ray.is_initialized()
        address = address or os.environ.get("RAY_ADDRESS") or None
        self.is_local = address in (None, "local") if self._may_shut_down else _own.is_running
        if not self._may_shut_down:
            return
        try:
            if self.is_local:
                self._start(cores)
            else:
                assert address is not None
                self.code = _join(address, references)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the cluster, and stop it if it was started here."""
        if self._may_shut_down and ray.is_initialized():
            ray.shutdown()
            _own.is_running = False
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            _set("RAY_AUTH_TOKEN", self._token_before)
            _set("RAY_AUTH_MODE", self._mode_before)
            _read_authentication()

    def _start(self, cores: int) -> None:
        # A separate folder: Ray's usual one belongs to the first user of Ray on this machine. Ray makes its folder
        # accessible to all users, so it is inside a private one.
        self._folder = tempfile.mkdtemp(prefix="cnnsweep-ray-")
        if len(self._folder) > _LONGEST_FOLDER:
            shutil.rmtree(self._folder)
            self._folder = tempfile.mkdtemp(prefix="cnnsweep-ray-", dir="/tmp")
        # Excludes other users of this machine or network. Without it, Ray would write a token into the home folder.
        os.environ["RAY_AUTH_TOKEN"] = self._token_before or _token_of_process()
        os.environ["RAY_AUTH_MODE"] = "token"
        _read_authentication()
        folder = str(Path(self._folder, "r"))
        with _in_words("no Ray cluster can be started on this machine"), _on_loopback():
            _initialise("local", num_cpus=max(cores, usable_cores()), include_dashboard=False, _temp_dir=folder)
        _own.is_running = True
        _refuse_open_doors()


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Make Ray start servers that only this machine can reach, as on systems without clusters of several machines.

    Otherwise Ray replaces 127.0.0.1, the only address at which it does not listen on all interfaces, by another one.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _read_authentication() -> None:
    """Make Ray read RAY_AUTH_MODE again, which it reads only on import."""
    Config.initialize("")


def _refuse_open_doors() -> None:
    """Raise if a cluster started here can be reached from other machines, or used without a token."""
    address = ray.get_runtime_context().gcs_address
    if not address.startswith("127.0.0.1:") or get_authentication_mode() != AuthenticationMode.TOKEN:
        raise ExecutionError(
            f"no Ray cluster is started on this machine: Ray {ray.__version__} would let others use it (it listens at "
            f"{address}); install another version, or start a cluster yourself (docs/clusters.md) and add --address"
        )


@functools.cache
def _token_of_process() -> str:
    """Return the token of every cluster that this process starts: Ray reads a token once per process."""
    return secrets.token_hex(32)


def _join(address: str, references: Sequence[str]) -> dict[str, str]:
    """Join a cluster; return the copies of the uploaded code, like `stage_code`."""
    where = f"the Ray cluster at {safe_text(address)}" if address != "auto" else "a Ray cluster of this machine"
    if "://" in address:
        raise UsageError(
            f"--address: found '{safe_text(address)}', allowed are auto and HOST:PORT; Ray Client cannot be used: run "
            "cnnsweep on a node, or make this machine one (ray start --address=HOST:PORT --num-cpus=0)"
        )
    if address != "auto":
        _refuse_silent(address, where)
    try:
        command = [sys.executable, "-c", _PROBE, address]
        tried = subprocess.run(command, capture_output=True, text=True, timeout=_JOINING_S, stdin=subprocess.DEVNULL)
        cause = tried.stderr.strip().rpartition("\n")[2] if tried.returncode else None
    except subprocess.TimeoutExpired:
        cause = (
            f"no answer in {_JOINING_S:.0f} s: is that the port of `ray start --head` (6379 by default), is this "
            "machine a node, and has it the cluster's authentication token?"
        )
    if cause is not None:
        raise ExecutionError(f"--address: {where} cannot be joined: {safe_text(cause)}")
    with _in_words(f"--address: {where} cannot be joined"), tempfile.TemporaryDirectory() as staged:
        if _SUBMITTED_JOB in os.environ:  # then the whole current folder was uploaded
            _initialise(address)
            return {str(Path.cwd()): "."}
        code = stage_code(references, Path(staged))
        _initialise(address, runtime_env={"working_dir": staged} if code else None)
    return code


def _refuse_silent(address: str, where: str) -> None:
    """Raise if no server listens at an address."""
    parts = _ADDRESS.fullmatch(address)
    if parts is None or not 0 < int(parts["port"]) < 2**16:
        raise UsageError(f"--address: found '{safe_text(address)}', allowed are auto and HOST:PORT (10.0.0.1:6379)")
    try:
        socket.create_connection((parts["host"].strip("[]"), int(parts["port"])), _ANSWER_S).close()
    except OSError as error:
        cause = error.strerror or str(error)
        raise ExecutionError(
            f"--address: {where} cannot be reached ({cause}); `ray status` on its head node shows whether it runs"
        ) from None


def _initialise(address: str, **options: Any) -> None:
    with _same_handlers():
        ray.init(address, logging_level=logging.CRITICAL, log_to_driver=False, **options)


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        raise ExecutionError(f"{what}: {safe_text(' '.join(str(error).split()))}") from error


@contextlib.contextmanager
def _same_handlers() -> Iterator[None]:
    """Restore our signal handlers, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
