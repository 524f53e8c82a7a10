"""Stopping on request: the first signal asks to stop at the next epoch's end, a second Ctrl-C stops at once."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from types import FrameType

from cnnsweep.errors import UsageError

GRACE_VARIABLE = "CNNSWEEP_GRACE_S"
DEFAULT_GRACE_S = 20.0  # Slurm and Kubernetes kill 30 s after SIGTERM

Handler = Callable[[int, FrameType | None], None]


class StoppedAtOnce(KeyboardInterrupt):
    """The user, or the operator of the machine, stops the sweep at once.

    Attributes:
        exit_code: 128 + the first signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


class StopRequest:
    """True after a request to stop the sweep.

    Attributes:
        signal: the first signal that came.
        running: the runs that train, whose epochs the first signal waits for. Without any it stops at once.
    """

    def __init__(self, grace_s: float = DEFAULT_GRACE_S) -> None:
        self.signal: signal.Signals | None = None
        self.running: Collection[object] = ()
        self._grace_s = grace_s
        self._grace_began = False
        self._deferrals = 0
        self._is_due = False
        self._was_hurried = False

    @property
    def is_made(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Give a context that an immediate stop does not cut short, for work such as writing an epoch.

        A third signal comes through all the same, or a dead network disk could block the user for ever.

        Raises:
            StoppedAtOnce: when the outermost of such contexts is left, if a signal came meanwhile.
        """
        self._deferrals += 1
        try:
            yield
        finally:
            self._deferrals -= 1
        # Not in `finally`: an error on its way out matters more than the request to stop.
        if self._is_due and not self._deferrals:
            self._is_due = False
            raise StoppedAtOnce(self.exit_code)

    def receive(self, number: int, say: Callable[[str], None]) -> None:
        """Take a signal in.

        Only Ctrl-C is in a hurry when it comes second: shells, `timeout` and systemd send the others twice for one
        request, and those have an end of their own.

        Args:
            say: takes a line on the effect of the signal and of a second one.

        Raises:
            StoppedAtOnce: in the program, at any point.
        """
        # SIGALRM is the end of the grace. Windows lacks it.
        is_hurry = number == getattr(signal, "SIGALRM", None) or (self.is_made and number == signal.SIGINT)
        if is_hurry:
            must_raise = self._was_hurried
            self._was_hurried = True
            self._stop_at_once(even_if_deferred=must_raise)
            return
        is_first = not self.is_made
        if is_first:
            self.signal = signal.Signals(number)
        if is_first and not self.running:
            say(f"{signal.Signals(number).name}: stopping")
            self._stop_at_once()
            return
        begins_grace = number != signal.SIGINT and not self._grace_began and hasattr(signal, "setitimer")
        if begins_grace:
            self._grace_began = True
            signal.setitimer(signal.ITIMER_REAL, max(self._grace_s, 1e-6))  # 0 would be never
        if is_first or begins_grace:
            bound = f", in {self._grace_s:g} s at the latest" if begins_grace else ""
            say(
                f"{signal.Signals(number).name}: stopping after the epochs that are running now{bound}; "
                "once more (Ctrl-C) stops at once and loses only those epochs"
            )

    def _stop_at_once(self, *, even_if_deferred: bool = False) -> None:
        if self._deferrals and not even_if_deferred:
            self._is_due = True
        else:
            raise StoppedAtOnce(self.exit_code)


class _Swallowed:
    """The end that a signal asked for before a sweep listened.

    Raised in the middle of an import, it may come to nothing in a callback of an extension module.
    """

    end: SystemExit | None = None


_swallowed = _Swallowed()


def remember_end(end: SystemExit | None) -> None:
    """Have the next sweep of this process end at once; None forgets it."""
    _swallowed.end = end


@contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM and SIGHUP into a request while the context lasts.

    In a thread other than the main one, which gets no signals, there is never a request.

    Args:
        say: takes a line on the effect of the signal and of a second one; another thread calls it at once.

    Raises:
        StoppedAtOnce: a KeyboardInterrupt at any point: on the first signal while no epoch is running, on
            a second Ctrl-C, and when epochs outlast the grace after SIGTERM or SIGHUP.
        SystemExit: a signal came before, and an import swallowed it.
        UsageError: the environment's grace is no number.
    """
    request = StopRequest(_grace())
    if _swallowed.end is not None:
        raise _swallowed.end
    with _announcing(say) as announce:

        def handle(number: int, _frame: FrameType | None) -> None:
            request.receive(number, announce)

        with handled(("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM"), handle):
            try:
                yield request
            finally:
                if hasattr(signal, "setitimer"):
                    signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def handled(names: tuple[str, ...], handler: Handler) -> Iterator[None]:
    """Handle the signals that the system has and that are not ignored, as SIGHUP is under nohup."""
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for name in names:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


@contextmanager
def _announcing(say: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Yield a function for signal handlers, which may interrupt code that holds the locks of `say`."""
    texts: SimpleQueue[str | None] = SimpleQueue()  # the one queue that a signal handler may put into

    def speak() -> None:
        for text in iter(texts.get, None):
            say(text)

    speaker = threading.Thread(target=speak, name="announcer", daemon=True)
    speaker.start()
    try:
        yield texts.put
    finally:
        texts.put(None)
        speaker.join(1)  # no longer: the terminal may be stuck


def _grace() -> float:
    text = os.environ.get(GRACE_VARIABLE, "")
    seconds = DEFAULT_GRACE_S if not text else -1.0
    with suppress(ValueError):
        seconds = float(text or seconds)
    if not 0 <= seconds < math.inf:
        raise UsageError(f"{GRACE_VARIABLE}: found '{text}', allowed is a number of seconds from 0")
    return seconds
