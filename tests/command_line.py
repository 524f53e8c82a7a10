"""The real command line, called in this process."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

import pytest

from cnnsweep.cli import main


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """What went wrong, as one line, however wide the terminal."""
        return self.err.replace("\n", " ").replace("  ", " ")


def call(*arguments: object) -> Outcome:
    """Run `cnnsweep ARGUMENTS`."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr("sys.argv", ["cnnsweep", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
    return Outcome(code, out.getvalue(), err.getvalue())
