"""Exit codes of the program; signals and closed pipes end it without a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cnnsweep.formatting.stream import ForgivingStream
from cnnsweep.tuner.stop_signal import handled, remember_end

_LOST_READER = 128 + 13  # SIGPIPE, which not every system has


_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows


def keep_exit_code(code: int) -> None:
    """End at once with the command's own exit code on a signal from now on: its work is done, the interpreter ends."""
    for number in _SIGNALS:
        signal.signal(number, lambda _number, _frame: os._exit(code))


def ignore_signals() -> None:
    """Let the last part of the interpreter's end, in which no handler works, pass with the command's own exit code."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def ended_by_signals(before_the_end: Callable[[], None]) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end the program with their exit codes and without a traceback.

    The first signal unwinds the program, a second one ends it at once.

    Args:
        before_the_end: called in both cases.

    Raises:
        SystemExit: on the first signal.
    """
    ending: SystemExit | None = None
    usual_hook = sys.unraisablehook

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal ending
        if ending is not None:
            before_the_end()
            os._exit(128 + number)
        ending = SystemExit(128 + number)
        remember_end(ending)
        sys.unraisablehook = _say_nothing  # an exception during an import may end in a callback
        raise ending

    try:
        with handled(("SIGINT", "SIGTERM", "SIGHUP"), handle):
            try:
                yield
                if ending is not None:  # the exception was lost during an import
                    raise ending
            except Exception:
                if ending is not None:  # extension modules convert an exception during their import
                    raise ending from None
                raise
            finally:
                if ending is not None:
                    before_the_end()
    finally:
        sys.unraisablehook = usual_hook
        remember_end(None)


@contextmanager
def suspended_by_ctrl_z(before: Callable[[], None]) -> Iterator[None]:
    """Call `before` when Ctrl-Z suspends the program, so that the shell does not inherit a hidden cursor."""

    def handle(number: int, _frame: FrameType | None) -> None:
        before()
        usual = signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # stops here, until `fg`
        signal.signal(number, usual)

    with handled(("SIGTSTP",), handle):
        yield


def _say_nothing(_what: Any) -> None:
    pass


def exit_code_with_output(code: int, out: ForgivingStream) -> int:
    """Return the exit code of a command, and report output that could not be written.

    A closed pipe (`| head`) is the reader's choice: the code is 141, as of SIGPIPE, without a message. An earlier
    failure or a signal takes precedence.
    """
    out.flush()
    if out.failure is None:
        return code
    if out.has_lost_its_reader:
        return code or _LOST_READER
    print(f"error: the output cannot be written ({getattr(out.failure, 'strerror', out.failure)})", file=sys.stderr)
    return code or 1
