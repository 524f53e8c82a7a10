"""Standard streams that never fail: a terminal that vanishes does not end the training."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

# For terminals that cannot show Unicode: one character for one, so that columns stay aligned.
_ASCII = str.maketrans("★–…━╸─·×↑↓✓✗▸→▁▂▃▄▅▆▇█", "*-.=- .x^v+x>>_.,-~=+#")
_SHOW_CURSOR = b"\x1b[?25h"


class ForgivingStream:
    """A text stream that drops all output after a failed write (EIO, a closed pipe, a full disk).

    It may also be written to from a signal handler that interrupts a write: Python's streams refuse that with a
    RuntimeError, so such text waits for the next write.

    Attributes:
        failure: the error after which output is dropped.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting = ""
        self.failure: OSError | ValueError | None = None

    @property
    def is_broken(self) -> bool:
        return self.failure is not None

    @property
    def has_lost_its_reader(self) -> bool:
        """A pipe was closed at its other end, or a terminal is gone."""
        return isinstance(self.failure, OSError) and self.failure.errno in (errno.EPIPE, errno.EIO)

    @property
    def encoding(self) -> str:
        return self._stream.encoding or "utf-8"

    def __getattr__(self, name: str) -> Any:
        """Return other attributes of the standard stream, for users' code and libraries."""
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Return the stream's own answer; False once it is broken or closed."""
        try:
            return not self.is_broken and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write `text`, or drop it if that is impossible."""
        if self.is_broken:
            return len(text)
        waiting, self._waiting = self._waiting, ""
        try:
            self._stream.write(waiting + self._showable(text))
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            self.failure = error
        except RuntimeError:
            self._waiting = waiting + text
        return len(text)

    def flush(self) -> None:
        """Flush written text."""
        if self.is_broken:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self.failure = error
        except RuntimeError:
            pass  # the interrupted write flushes

    def _showable(self, text: str) -> str:
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return text.translate(_ASCII).encode(self.encoding, "replace").decode(self.encoding)
        return text


@contextmanager
def forgiving_standard_streams() -> Iterator[tuple[ForgivingStream, ForgivingStream]]:
    """Protect every print from failing, also in libraries and users' models; yield stdout and stderr."""
    _open_closed_streams()
    out, err = sys.stdout, sys.stderr
    forgiving = ForgivingStream(out), ForgivingStream(err)
    sys.stdout, sys.stderr = cast(TextIO, forgiving[0]), cast(TextIO, forgiving[1])
    try:
        yield forgiving
    finally:
        for stream in forgiving:
            stream.flush()
        sys.stdout, sys.stderr = out, err


def show_cursor() -> None:
    """Restore a terminal's cursor at any end of the program."""
    with suppress(OSError, ValueError):
        if sys.stderr.isatty() and not is_dumb_terminal():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)


def is_dumb_terminal() -> bool:
    """True if the terminal cannot move its cursor, according to the environment."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def _open_closed_streams() -> None:
    """Replace streams that the shell has closed (`2>&-`).

    The next opened file, such as a journal, would otherwise get the free number, and then the output of libraries.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
