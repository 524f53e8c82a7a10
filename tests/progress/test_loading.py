import io

import pytest
from sweeps_by_hand import Terminal, make_overview, make_runs

from cnnsweep.progress.live import LiveDisplay
from cnnsweep.progress.loading import loading_progress


class Tty(io.StringIO):
    """A terminal that shows what it gets on a screen."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return self.terminal.console.file.write(text)


def test_bar_leaves_the_terminal_to_the_live_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    terminal = Terminal(80, 24)
    with loading_progress(False, Tty(terminal)) as show:
        show("decoding\x1b[2J", 1, 2)
        assert "decoding\\x1b[2J" in terminal.text
        show("decoding\x1b[2J", 2, 2)
        assert terminal.text.strip() == ""
        display = LiveDisplay(terminal.console)
        display.on_sweep_start(make_overview(make_runs(4)))
        assert terminal.lines[0].startswith("fashion")
        display.close()
        assert [line for line in terminal.lines if line] == [terminal.lines[0]]
        show("more", 1, 2)
    assert "more" not in terminal.text


def test_nothing_is_written_where_nobody_waits() -> None:
    stream = io.StringIO()
    with loading_progress(False, stream) as show:
        show("reading", 1, 2)
    with loading_progress(True, stream) as show:
        show("reading", 2, 2)
    assert stream.getvalue() == ""
