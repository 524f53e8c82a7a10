"""A stranger's journal, its checksums right: the sweep goes on, or one clear error says why not."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from hostile_values import mutate
from small_sweeps import SEARCH, SilentDisplay, sweep

from cnnsweep.errors import CnnSweepError
from cnnsweep.maintenance.check_sweep import check_sweep
from cnnsweep.storage.journal import encode_event, read_lines
from cnnsweep.storage.paths import SweepPaths


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """A search whose last lines are lost, so that there is something to go on with."""
    folder = tmp_path_factory.mktemp("journals") / "small"
    sweep(folder, SEARCH, fuse=2)
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:-6]))
    return folder


def changed(events: list[dict], chance: random.Random) -> list[dict]:
    """Return events of which one is changed, or some are left out, put twice or put elsewhere."""
    events = [*events]
    place = chance.randrange(len(events))
    how = chance.randrange(10)
    if how == 0:
        del events[place]
    elif how == 1:
        events.insert(chance.randrange(len(events)), events[place])
    elif how == 2:
        chance.shuffle(events)
    else:
        events[place] = mutate(events[place], chance)
    return events


def fuzz(whole: Path, tmp_path: Path, count: int, seed: int) -> None:
    plain = [
        {key: value for key, value in event.items() if key != "crc"}
        for _, event in read_lines(whole / "journal.jsonl")
        if event is not None
    ]
    chance = random.Random(seed)
    went_on = 0
    for number in range(count):
        folder = tmp_path / "in" / "small"
        shutil.rmtree(folder.parent, ignore_errors=True)
        shutil.copytree(whole, folder)
        events = changed(plain, chance)
        try:
            text = b"".join(map(encode_event, events))
        except (UnicodeEncodeError, AttributeError):  # no file can hold it, or it is no event at all
            continue
        (folder / "journal.jsonl").write_bytes(text)
        about = f"seed {seed}, number {number}: {json.dumps(events)[:2000]}"
        for command in (lambda at: sweep(at, SEARCH, SilentDisplay(), fuse=2), check):
            try:
                command(folder)
                went_on += 1
            except CnnSweepError:
                pass
            except Exception as error:
                raise AssertionError(about) from error
        assert {path.name for path in folder.parent.iterdir()} == {"small"}, about
        assert {path.name for path in tmp_path.iterdir()} == {"in"}, about
    assert 0 < went_on < 2 * count


def check(folder: Path) -> None:
    check_sweep(SweepPaths(folder), lambda *_: None)


def test_a_changed_journal_goes_on_or_is_an_error(halfway, tmp_path):
    fuzz(halfway, tmp_path, count=40, seed=1)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(2, 6))
def test_thousands_of_changed_journals_go_on_or_are_errors(halfway, tmp_path, seed):
    fuzz(halfway, tmp_path, count=1000, seed=seed)
