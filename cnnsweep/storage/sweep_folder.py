"""The folder of a sweep while one command trains in it: lock, journal, compatibility, writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from cnnsweep.storage.compatibility import refuse_other_sweep, what_changed
from cnnsweep.storage.lock import Hold, locked
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepState, read_state
from cnnsweep.storage.writer import SweepWriter
from cnnsweep.types import Run

_CUT_OFF = (
    "the last command in this folder was cut off (killed, or the machine went down); "
    "every run resumes after its last saved epoch"
)


class SweepFolder:
    """A sweep's folder that this process holds; see `open`."""

    def __init__(self, paths: SweepPaths, hold: Hold) -> None:
        self.paths = paths
        self._hold = hold

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[SweepFolder]:
        """Lock a folder, created if missing, until the context is left.

        Raises:
            FolderError: another process holds it, or it cannot be written.
        """
        paths = SweepPaths(folder)
        with locked(paths) as hold:
            yield cls(paths, hold)

    def read_state(self) -> SweepState:
        """Return the state of the sweep by its journal; empty without one.

        Raises:
            ResultsError: the journal is damaged, or of a later version.
        """
        return read_state(self.paths.journal)

    def check_compatible(
        self, state: SweepState, facts: Mapping[str, Any], fingerprint_before: str | None
    ) -> list[str]:
        """Return notes on the last command and on changes since then, as lines.

        Args:
            facts: the fields of the `sweep` event of this command.
            fingerprint_before: see `Dataset`.

        Raises:
            FolderError: the folder holds another sweep, or files that no sweep wrote.
        """
        refuse_other_sweep(self.paths, state, facts, fingerprint_before)
        was_cut_off = state.sweep is not None and state.status == "running"
        return [*([_CUT_OFF] if was_cut_off else []), *what_changed(state, facts)]

    @contextmanager
    def open_writer(
        self,
        state: SweepState,
        model_card: Callable[[Run], Mapping[str, Any]],
        warn: Callable[[str], None],
        deferred: Callable[[], AbstractContextManager[None]],
    ) -> Iterator[SweepWriter]:
        """Open the journal for appending; see `SweepWriter` for the arguments.

        Raises:
            FolderError: the journal cannot be written.
        """
        writer = SweepWriter(self.paths, state, model_card, warn, deferred, self._hold)
        try:
            yield writer
        finally:
            writer.close()
