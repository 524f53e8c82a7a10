"""Reader of a journal that another process writes; nothing is read twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from cnnsweep.storage.journal import damaged_line, decode_event, lines_of, unreadable
from cnnsweep.storage.read_limited import open_regular

_ATTEMPTS = 4  # for an incomplete line that is followed by others: a shared disk may show new data out of order


class JournalTail:
    """Reads a journal as it grows.

    Attributes:
        lines: the number of lines read so far.
        is_replaced: the last read found another, or a shorter, journal than before (`--fresh`, `doctor --repair`), and
            began at its first line; earlier events no longer count.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._file: tuple[int, int] | None = None  # device and inode
        self._attempts = 0
        self.lines = 0
        self.is_replaced = False

    def new_events(self) -> list[Mapping[str, Any]]:
        """Return the events since the last call; an incomplete last line waits, a missing journal has none.

        Raises:
            ResultsError: a line before the last is damaged, or the journal cannot be read.
        """
        self.is_replaced = False
        try:
            with open_regular(self._path) as file:
                return self._read(file)
        except FileNotFoundError:
            self._restart(None)
            return []
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _read(self, file: BinaryIO) -> list[Mapping[str, Any]]:
        status = os.fstat(file.fileno())
        which = (status.st_dev, status.st_ino)
        if which != self._file or status.st_size < self._position:
            self._restart(which)
        file.seek(self._position)
        events = []
        for line in lines_of(file):
            event = decode_event(line)
            if event is None:
                self._note_incomplete(has_more=bool(file.read(1)))
                break
            self._attempts = 0
            self._position += len(line)
            self.lines += 1
            events.append(event)
        return events

    def _note_incomplete(self, *, has_more: bool) -> None:
        self._attempts = self._attempts + 1 if has_more else 0
        if self._attempts == _ATTEMPTS:
            raise damaged_line(self._path, self.lines + 1)

    def _restart(self, file: tuple[int, int] | None) -> None:
        self.is_replaced = self._file is not None
        self._file, self._position, self._attempts, self.lines = file, 0, 0, 0
