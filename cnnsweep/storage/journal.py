"""The journal: the source of truth of a sweep, from which every other file can be rebuilt.

One JSON object a line, each ending in a checksum of itself, appended and fsynced. A crash can tear the last line only;
the torn tail is cut off before the next append. The events:

    sweep      a command began: the frozen spec, the command line, versions, threads, the data's fingerprint
    run        a run was announced: id, name, trials, model, number of parameters
    asked      a sampler suggested trials: its suggestions, and the number drawn so far
    planned    which runs train together: their ids by group, program and trajectory, why, and under what conditions
    epoch      a run's epoch ended: its EpochRecord, the SHA-256 of the checkpoint that holds its weights, and, where it
               is the best so far, that of the best weights
    judged     a pruner decided about trials after an epoch: its decisions
    resumed    a run resumes after an epoch; records of later epochs no longer count
    ended      a run ended: its RunOutcome
    left       the command ended: finished or interrupted
    cleaned    best weights of runs were removed at the user's request
    tested     a run's checkpoint was measured on the test set: accuracy, loss, number of images
"""

import errno
import itertools
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from cnnsweep.errors import FolderError, FolderLostError, ResultsError
from cnnsweep.storage.atomic_files import OutputFile, cut_file, replace_file_by, sync_folder, to_json, unwritable
from cnnsweep.storage.read_limited import open_regular

VERSION = 1
_LONGEST_LINE = 1 << 26  # bytes; the groups of 10,000 runs take less than one of these 64 MB
_MOST_BYTES = 4 << 30  # of a journal under repair, which is in memory meanwhile
RESCUED = ".rescued-"  # before the number, in the name of a journal that was written down again
_GO_ON = "; see that it is in the journal's place, and run the same command again"
_MOST_RESCUED = 10_000
_CHECKSUM_LENGTH = len(',"crc":"00000000"}')


class Journal:
    """An open journal; the folder's lock ensures that one process holds it."""

    def __init__(self, path: Path) -> None:
        """Open for appending, after cutting off a torn last line.

        Raises:
            ResultsError: a line before the last is damaged.
            FolderError: the file cannot be written.
        """
        self.path = path
        try:
            self._length = _cut_torn_tail(path) if path.exists() else 0
            self._file = OutputFile(path, append=True)
            self._reader = open_regular(path)  # what was written can be read when its name is gone
            sync_folder(path.parent)
        except OSError as error:
            raise unwritable(path, error) from error
        self._loss: FolderLostError | None = None

    def append(self, *events: Mapping[str, Any]) -> None:
        """Add events; when this returns, they survive a power loss.

        Raises:
            FolderError: the disk is full or gone; none of the events is added.
            FolderLostError: another file is in the journal's place, or another process has written to it; the message
                says where what was written is now.
        """
        self._refuse_if_lost()
        lines = b"".join(map(encode_event, events))
        try:
            self._file.write(lines)
            self._file.sync()
        except OSError as error:
            with suppress(OSError):  # a part of a line must not be followed by others
                self._file.cut(self._length)
            raise unwritable(self.path, error) from error
        self._length += len(lines)

    def _refuse_if_lost(self) -> None:
        if self._loss is None:
            became = self._file.displacement(self.path)
            if became is not None:
                self._loss = FolderLostError(
                    f"{self.path}: {became} while a command wrote to it; {self.keep(self.path)}{_GO_ON}"
                )
            elif os.fstat(self._reader.fileno()).st_size != self._length:
                self._loss = FolderLostError(
                    f"{self.path}: was changed by another program while a command wrote to it; look whether it is "
                    f"whole, with: cnnsweep doctor {self.path.parent}"
                )
        if self._loss is not None:
            raise self._loss

    def keep(self, place: Path) -> str:
        """Write lines that no name leads to any more to another file; return its place in words.

        Args:
            place: the path, if it is free; else a path beside it, with a number.
        """
        if os.fstat(self._reader.fileno()).st_nlink:
            return f"what was recorded is whole, {_name_now(self._reader)}"
        names = (place.with_name(f"{place.name}{RESCUED}{number}") for number in itertools.count(1))
        target = next(path for path in (place, *itertools.islice(names, _MOST_RESCUED)) if not os.path.lexists(path))

        def copy(file: OutputFile) -> None:
            self._reader.seek(0)
            shutil.copyfileobj(self._reader, file)

        try:
            replace_file_by(target, copy)
        except FolderError as error:
            return f"what was recorded could not be written down again: {error}"
        if target == self.path:
            return "what was recorded was written down again, whole"
        return f"what was recorded is in {target}"

    def close(self) -> None:
        self._file.close()
        self._reader.close()


def read_journal(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the events of a journal in order; a torn last line is left out, a missing file has no events.

    Raises:
        ResultsError: a line before the last is damaged, or the file cannot be read.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        for number, line in enumerate(lines_of(file), start=1):
            event = decode_event(line)
            if event is not None:
                yield event
            elif file.read(1):
                raise damaged_line(path, number)


def read_lines(path: Path) -> list[tuple[bytes, Mapping[str, Any] | None]]:
    """Return every line of a journal with its event, None for an incomplete line.

    Raises:
        OSError: the file cannot be read, or cannot be a journal.
    """
    lines = []
    with open_regular(path, _MOST_BYTES) as file:
        for number, line in enumerate(lines_of(file), start=1):
            if len(line) >= _LONGEST_LINE:
                raise OSError(errno.EFBIG, f"line {number} is longer than {_LONGEST_LINE:,} bytes", str(path))
            lines.append((line, decode_event(line)))
    return lines


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines; a line longer than any of ours comes in incomplete pieces."""
    return iter(lambda: file.readline(_LONGEST_LINE), b"")


def _name_now(file: BinaryIO) -> str:
    """Return the present name of an open file, in words, if the system knows it."""
    with suppress(OSError):
        return f"and is now {os.readlink(f'/proc/self/fd/{file.fileno()}')}"  # noqa: PTH115 - the name, not a path
    return "where it was moved to"


def _cut_torn_tail(path: Path) -> int:
    """Cut off a torn last line; return the length of the journal without it."""
    whole = 0
    with open_regular(path) as file:
        for number, line in enumerate(lines_of(file), start=1):
            if decode_event(line) is None:
                if file.read(1):
                    raise damaged_line(path, number)
                break
            whole += len(line)
    if whole < path.stat().st_size:
        cut_file(path, whole)
    return whole


def unreadable(path: Path, error: OSError) -> ResultsError:
    """Return the error for an unreadable journal, with the reason."""
    if error.errno in (errno.EISDIR, errno.EINVAL):
        return ResultsError(f"{path}: is not a file, so it is no journal; give a sweep's folder")
    return ResultsError(f"{path}: cannot be read ({error.strerror})")


def damaged_line(path: Path, number: int) -> ResultsError:
    """Return the error for a damaged line of a journal, with its number and the remedy."""
    return ResultsError(
        f"{path}:{number}: the line is damaged (its checksum does not match); "
        f"keep what is whole with: cnnsweep doctor {path.parent} --repair"
    )


def encode_event(event: Mapping[str, Any]) -> bytes:
    """Return the line of an event, with its checksum."""
    body = to_json(event).encode()
    return body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)


def decode_event(line: bytes) -> Mapping[str, Any] | None:
    """Return the event of a line, or None if the line is torn, damaged or no event."""
    if not line.endswith(b'"}\n') or len(line) < _CHECKSUM_LENGTH:
        return None
    body, checksum = line[: -_CHECKSUM_LENGTH - 1] + b"}", line[-11:-3]
    if b"%08x" % zlib.crc32(body) != checksum:
        return None
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
