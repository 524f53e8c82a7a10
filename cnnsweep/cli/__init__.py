"""The command line: read the options, make one library call, print.

Nothing heavy is imported before a command needs it, so that `--help` and completion answer at once.
"""

from cnnsweep.cli.application import app, main

__all__ = ["app", "main"]
