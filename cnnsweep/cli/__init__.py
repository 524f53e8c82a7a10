"""The command line: reads the options, makes one library call, prints.

Heavy modules are imported only when a command needs them, so that `--help` and completion are fast.
"""

import atexit
import sys

from cnnsweep.cli.exit_codes import ended_by_signals, ignore_signals, keep_exit_code, suspended_by_ctrl_z
from cnnsweep.cli.gc import collect_rarely
from cnnsweep.formatting.stream import forgiving_standard_streams, show_cursor


def main() -> None:
    """Run the command line and exit; expected errors end with one message and their exit code."""
    atexit.register(ignore_signals)  # registered first, so called last
    collect_rarely()
    with forgiving_standard_streams() as (out, _), ended_by_signals(show_cursor), suspended_by_ctrl_z(show_cursor):
        from cnnsweep.cli.app import run_command  # Ctrl-C ends quietly while Typer is imported, too

        code = run_command(out)
    atexit.register(keep_exit_code, code)  # registered last, so called first
    sys.exit(code)
