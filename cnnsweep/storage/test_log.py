"""Records uses of the test set, so that reports keep selection and test metrics apart."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cnnsweep.storage.journal import Journal
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.results_tables import write_tables
from cnnsweep.storage.state import read_state


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
        journal = Journal(paths.journal)
        try:
            stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
            events = [{"event": "tested", **test, "time": stamp} for test in tests]
            journal.append(*events)
        finally:
            journal.close()
        for event in events:
            history.apply(event)
        write_tables(paths, history)
