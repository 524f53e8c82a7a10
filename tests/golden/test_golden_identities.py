"""Ids never move: a folder of any earlier version is recognised, whatever was added to the program since."""

from __future__ import annotations

import json

import pytest
from golden_identities import EXPECTED, identities, write_code
from golden_specs import PICKS, sweep_files

GOLDEN = json.loads(EXPECTED.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    folder = tmp_path_factory.mktemp("code")
    write_code(folder)
    return folder


@pytest.mark.parametrize("name", sweep_files())
def test_a_sweep_file_gives_the_ids_that_it_always_gave(name, code, monkeypatch):
    monkeypatch.chdir(code)
    found = json.loads(json.dumps(identities(name, sweep_files()[name])))
    assert list(found["runs"]) == list(GOLDEN[name]["runs"]), "finished runs would train again"
    assert found == GOLDEN[name]


def test_every_sweep_file_has_its_expected_ids():
    assert GOLDEN.keys() == sweep_files().keys()
    assert set(GOLDEN) >= PICKS.keys()
    assert len(GOLDEN) >= 60


def test_what_does_not_change_a_result_does_not_change_an_id():
    assert list(GOLDEN["not_part_of_it"]["runs"]) == list(GOLDEN["the_same_without"]["runs"])


def test_the_ids_are_of_many_different_runs():
    assert len({id_ for found in GOLDEN.values() for id_ in found["runs"]}) > 190
