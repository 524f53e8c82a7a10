"""Turn a captured terminal screen into an SVG: `python docs/terminal_svg.py CAPTURE TITLE TARGET`.

A capture is the output of `tmux capture-pane -e -p` while the command runs. The SVG names common fonts and loads none.
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

THEME = TerminalTheme(
    (22, 25, 31),
    (214, 219, 227),
    [
        *((40, 44, 52), (224, 108, 117), (152, 195, 121), (229, 192, 123)),
        *((97, 175, 239), (198, 120, 221), (86, 214, 224), (171, 178, 191)),
    ],
)
FONTS = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas'


def svg_of(capture: str, title: str) -> str:
    """Return the screen as SVG, without empty lines at its end."""
    screen = Text.from_ansi(capture.rstrip())
    screen.rstrip()
    width = max(line.cell_len for line in screen.split()) + 1
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(screen)
    svg = console.export_svg(title=title, theme=THEME, unique_id="live")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", FONTS)


if __name__ == "__main__":
    source, heading, target = sys.argv[1:]
    Path(target).write_text(svg_of(Path(source).read_text(encoding="utf-8"), heading), encoding="utf-8")
