"""Guard of what is written into a sweep's folder: whole, and only while the folder is this process's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from cnnsweep.errors import FolderLostError
from cnnsweep.storage.journal import Journal
from cnnsweep.storage.lock import Hold
from cnnsweep.storage.paths import SweepPaths


class WriteGuard:
    """Context for each piece of writing; see `writing`."""

    def __init__(
        self,
        paths: SweepPaths,
        journal: Journal,
        hold: Hold | None,
        deferred: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._paths = paths
        self._journal = journal
        self._hold = hold
        self._deferred = deferred
        self._loss: FolderLostError | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Give a context whose files are written whole in spite of signals.

        Raises:
            FolderLostError: the folder is no longer this process's.
        """
        with self._deferred():
            self.refuse_if_lost()
            yield

    def refuse_if_lost(self) -> None:
        """Raise FolderLostError if the folder is no longer this process's; from then on nothing is written there."""
        if self._loss is None and self._hold is not None and (loss := self._hold.loss()) is not None:
            folder = self._paths.folder
            beside = folder.with_name(f"{folder.name}.{self._paths.journal.name}")
            kept = self._journal.keep(beside)
            self._loss = FolderLostError(
                f"{loss}; nothing more is written there, and {kept}; check that the folder is there, or name it with "
                "--out, and run the same command again"
            )
        if self._loss is not None:
            raise self._loss
