"""Follows a journal that another process writes; nothing is read twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from cnnsweep.storage.journal import damaged_line, decode_event, lines_of, unreadable
from cnnsweep.storage.read_limited import open_regular

_LOOKS = 4  # at a line that is followed by others and still not whole: a shared disk may show what is new out of order


class JournalTail:
    """Reads a journal as it grows.

    Attributes:
        lines: how many were read so far.
        is_replaced: the last look found another, or a shorter, journal than before (`--fresh`, `doctor --repair`):
            what was read of the former one no longer counts, and reading began anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._file: tuple[int, int] | None = None  # device and inode
        self._looks = 0
        self.lines = 0
        self.is_replaced = False

    def new_events(self) -> list[Mapping[str, Any]]:
        """Return the events since the last look; a last line that is not whole waits, a missing journal has none.

        Raises:
            ResultsError: a line before the last is damaged, or the journal cannot be read.
        """
        self.is_replaced = False
        try:
            with open_regular(self._path) as file:
                return self._read(file)
        except FileNotFoundError:
            self._begin_anew(None)
            return []
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _read(self, file: BinaryIO) -> list[Mapping[str, Any]]:
        status = os.fstat(file.fileno())
        which = (status.st_dev, status.st_ino)
        if which != self._file or status.st_size < self._position:
            self._begin_anew(which)
        file.seek(self._position)
        events = []
        for line in lines_of(file):
            event = decode_event(line)
            if event is None:
                self._doubt(has_more=bool(file.read(1)))
                break
            self._looks = 0
            self._position += len(line)
            self.lines += 1
            events.append(event)
        return events

    def _doubt(self, *, has_more: bool) -> None:
        self._looks = self._looks + 1 if has_more else 0
        if self._looks == _LOOKS:
            raise damaged_line(self._path, self.lines + 1)

    def _begin_anew(self, file: tuple[int, int] | None) -> None:
        self.is_replaced = self._file is not None
        self._file, self._position, self._looks, self.lines = file, 0, 0, 0
