"""Events of commands that train nothing, such as uses of the test set, which reports keep apart from selection."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cnnsweep.storage.journal import Journal
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.results_tables import write_tables
from cnnsweep.storage.state import SweepState, read_state


def record_tests(paths: SweepPaths, tests: Sequence[Mapping[str, Any]]) -> None:
    """Append test metrics to a sweep's journal, and update its tables.

    Args:
        tests: the fields of `tables.TEST_FIELDS` but for the time.

    Raises:
        FolderError: the sweep is running, or its folder cannot be written.
        ResultsError: the journal is damaged.
    """
    with locked(paths):
        history = read_state(paths.journal)
        record_events(paths.journal, history, ({"event": "tested", **test} for test in tests))
        write_tables(paths, history)


def record_events(journal: Path, state: SweepState, events: Iterable[Mapping[str, Any]]) -> None:
    """Append events to a locked sweep's journal, with the time, and apply them to its state.

    Raises:
        FolderError: the folder cannot be written.
    """
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    stamped = [{**event, "time": stamp} for event in events]
    with closing(Journal(journal)) as file:
        file.append(*stamped)
    for event in stamped:
        state.apply(event)
