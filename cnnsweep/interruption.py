"""Stopping on request: the first signal asks to stop at the next epoch's end, the second stops at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody asked the sweep to stop."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def is_made(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM and SIGHUP into a request while the context lasts.

    Args:
        say: is told at once what the signal does and what a second one would.

    Raises:
        KeyboardInterrupt: on the second signal, wherever the program is.
    """
    request = StopRequest()

    def handle(number: int, _frame: FrameType | None) -> None:
        if request.is_made:
            raise KeyboardInterrupt
        request.signal = signal.Signals(number)
        say(
            f"{request.signal.name}: stopping after the epochs that are running now; "
            "once more (Ctrl-C) stops at once and loses only those epochs"
        )

    previous = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Under nohup SIGHUP is ignored, and stays so.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            previous[number] = signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
