"""A terminal may vanish in the middle of a night of training; nobody should lose the night to it."""

from typing import TextIO

# For terminals that cannot show Unicode: one character for one, so that columns stay aligned.
_ASCII = str.maketrans("★–…━╸─·×↑↓✓✗▸→", "*-.=- .x^v+x>>")


class ForgivingStream:
    """A text stream that falls silent for good when it cannot be written to (EIO, a closed pipe, a full disk).

    It may also be written to from a signal handler that interrupts a write: Python's streams refuse that with a
    RuntimeError, so such text waits for the next write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting = ""
        self.is_broken = False
        self._is_unicode = (stream.encoding or "utf-8").lower().startswith("utf")

    @property
    def encoding(self) -> str:
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        """Return what the stream says about itself; False once it is broken or closed."""
        try:
            return not self.is_broken and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write `text`, or drop it where that is not possible."""
        if self.is_broken:
            return len(text)
        waiting, self._waiting = self._waiting, ""
        try:
            self._stream.write(waiting + (text if self._is_unicode else _to_ascii(text)))
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.is_broken = True
        except RuntimeError:
            self._waiting = waiting + text
        return len(text)

    def flush(self) -> None:
        """Flush what was written."""
        if self.is_broken:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.is_broken = True
        except RuntimeError:
            pass  # the interrupted write flushes


def _to_ascii(text: str) -> str:
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
