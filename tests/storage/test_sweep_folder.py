"""The folder of a sweep while a command trains in it."""

import json
from pathlib import Path

import pytest
from small_sweeps import sweep

from cnnsweep.errors import FolderError
from cnnsweep.storage.lock import holder
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.sweep_folder import SweepFolder

CUT_OFF = "the last command in this folder was cut off"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "small"
    sweep(folder, overrides=["params.epochs=1"])
    return folder


def test_a_folder_is_made_and_locked_until_the_context_is_left(tmp_path: Path):
    with SweepFolder.open(tmp_path / "new") as folder:
        assert folder.read_state().sweep is None
        with pytest.raises(FolderError, match="is in use by"), SweepFolder.open(tmp_path / "new"):
            pass
    assert holder(SweepPaths(tmp_path / "new")) is None


def test_nothing_is_said_about_the_same_sweep_file_after_a_command_that_ended(trained):
    with SweepFolder.open(trained) as folder:
        state = folder.read_state()
        assert folder.check_compatible(state, state.sweep, None) == []


def test_a_command_that_was_cut_off_and_an_edited_sweep_file_are_notes_in_this_order(trained):
    with SweepFolder.open(trained) as folder:
        state = folder.read_state()
        state.status = "running"  # the journal's last event is not that of an end
        first, *others = folder.check_compatible(state, {**state.sweep, "spec": "seed: 3\n"}, None)
    assert first.startswith(CUT_OFF)
    assert others[0].startswith("the sweep file changed since the last time")
    assert "  + seed: 3" in others


def test_another_sweep_is_refused_with_the_values_that_differ(trained):
    with SweepFolder.open(trained) as folder:
        state = folder.read_state()
        with pytest.raises(FolderError, match="seed was 0, is now 7"):
            folder.check_compatible(state, {**state.sweep, "seed": 7}, None)


def test_opening_and_checking_writes_nothing_but_the_lock(trained):
    before = {path.name: path.stat().st_mtime_ns for path in trained.iterdir() if not path.name.startswith(".")}
    with SweepFolder.open(trained) as folder:
        state = folder.read_state()
        folder.check_compatible(state, json.loads(json.dumps(state.sweep)), None)
    after = {path.name: path.stat().st_mtime_ns for path in trained.iterdir() if not path.name.startswith(".")}
    assert after == before
