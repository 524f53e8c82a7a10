import errno
import io

import pytest
from sweeps_by_hand import make_overview, make_runs, train

from cnnsweep.formatting.stream import ForgivingStream
from cnnsweep.progress.plain import PlainDisplay


class Dying(io.StringIO):
    """A stream that takes `lines` writes and then fails, as a terminal that was closed."""

    def __init__(self, writes: int, error: Exception) -> None:
        super().__init__()
        self.left, self.error, self.refused = writes, error, 0

    def write(self, text: str) -> int:
        if self.left == 0:
            self.refused += 1
            raise self.error
        self.left -= 1
        return super().write(text)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "input/output error"), BrokenPipeError(), ValueError("closed")])
def test_display_falls_silent_when_the_terminal_is_gone(error: Exception) -> None:
    stream = Dying(1, error)
    runs = make_runs(1)
    display = PlainDisplay(stream)
    display.on_sweep_start(make_overview(runs))
    display.on_run_start(runs[0], None)
    train(display, runs[0], [0.5])
    display.on_log("unseen")
    display.close()
    assert stream.getvalue().count("\n") == 1
    assert stream.refused == 1  # it is not asked again


def test_broken_stream_is_no_terminal_any_more() -> None:
    stream = ForgivingStream(Dying(0, BrokenPipeError()))
    assert stream.write("four") == 4
    assert stream.is_broken
    assert not stream.isatty()
    stream.flush()


def test_text_from_a_signal_handler_within_a_write_is_not_lost() -> None:
    class Interrupted(io.StringIO):
        """Runs a signal handler in the middle of a write, and as a BufferedWriter refuses a second one."""

        is_writing = False

        def write(self, text: str) -> int:
            if self.is_writing:
                raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")
            self.is_writing = True
            if text == "epoch\n":
                forgiving.write("SIGINT: stopping\n")
            self.is_writing = False
            return super().write(text)

    stream = Interrupted()
    forgiving = ForgivingStream(stream)
    forgiving.write("epoch\n")
    forgiving.write("next\n")
    assert stream.getvalue() == "epoch\nSIGINT: stopping\nnext\n"


def test_streams_without_unicode_get_plain_characters() -> None:
    raw = io.BytesIO()
    stream = ForgivingStream(io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    stream.write("★ 1 – 数")
    assert raw.getvalue() == b"* 1 - ?"
