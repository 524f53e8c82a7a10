"""The errors that a user can cause and fix.

    CnnSweepError              str(error) is the whole message: where, what was found, what is allowed, what to do
    ├── UsageError             options that contradict each other, an unknown device               exit 2
    │   ├── SpecError          mistakes in a sweep file, all of them at once                       exit 2
    │   └── ModelError         a model that cannot be built, or does not fit the data              exit 2
    ├── FolderError            a sweep folder that is locked, unwritable or cannot be resumed      exit 3
    │   ├── DiskFullError      no space is left for a file                                      exit 3
    │   └── FolderLostError    the folder, its lock or its journal was replaced meanwhile          exit 3
    ├── ExecutionError         no worker can be started, or a cluster cannot be reached             exit 1
    ├── MetricError            a metric's code raised; the run that was measured fails             never leaves
    ├── FusionError            runs that cannot train as one program; they train alone             never leaves
    └── InputError             a file we read is missing or damaged                                exit 4
        ├── DataError          a data set
        ├── CheckpointError    a checkpoint
        │   └── CheckpointSizeError  one that does not fit into memory                             exit 4
        └── ResultsError       a results file or journal

Only `cli/` turns them into exit codes. Any other exception is a bug of ours or of the user's own code.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class CnnSweepError(Exception):
    """Base of all errors shown without a traceback."""

    exit_code = 1


class UsageError(CnnSweepError):
    """The command line or the sweep file requests something impossible."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a sweep file. `line` and `column` count from 1; 0 means no place in the file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}  {self.message}"


class SpecError(UsageError):
    """A sweep file with mistakes; `problems` has all of them, in the file's order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ModelError(UsageError):
    """A model is unknown, refuses its arguments, or gives outputs of the wrong shape."""


class MetricError(CnnSweepError):
    """A metric's code raised during a measurement."""


class FolderError(CnnSweepError):
    """A sweep folder is in use, cannot be written, or holds another sweep."""

    exit_code = 3


class DiskFullError(FolderError):
    """No room is left on the disk, in the quota, or under the limit on file sizes."""


class FolderLostError(FolderError):
    """A sweep's folder, its lock or its journal is no longer the one that this process began with."""


class ExecutionError(CnnSweepError):
    """No worker is available: none can be started, or a cluster cannot be reached."""


class FusionError(CnnSweepError):
    """Runs of a model cannot train as one program; the message has the reason in one line, beginning in lower case."""


class InputError(CnnSweepError):
    """A file to read is missing, damaged or invalid."""

    exit_code = 4


class DataError(InputError):
    """A data set is missing, incomplete or damaged."""


class CheckpointError(InputError):
    """A checkpoint is missing, damaged or does not fit."""


class CheckpointSizeError(CheckpointError):
    """A checkpoint does not fit into the free memory, although it may be intact."""


class ResultsError(InputError):
    """A results file or journal cannot be read."""
