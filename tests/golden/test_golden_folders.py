"""Folders that an earlier version wrote, whole and killed in the middle: reported, measured and gone on with.

On a machine that computes as the one does on which they were made, all metrics and weights are the same bits; on
another they are close. See `make_folders.py` for how to compare bits there.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest
import torch
from golden_folders import ARCHIVES, KINDS, computes_like, event_shapes, events, metrics_by_epoch, unpack, weights

from cnnsweep import cli

_LOOSE = {"rel": 0.02, "abs": 0.02}  # what other kernels may change in a dozen steps
_ONE_IMAGE = 1 / 16


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def frozen(kind, tmp_path, monkeypatch):
    """A kind's folders, in the current one."""
    monkeypatch.chdir(unpack(kind, tmp_path))
    return tmp_path


@pytest.fixture
def expected(frozen):
    return json.loads((frozen / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture
def is_alike(expected):
    """Whether this machine trains to the same bits as the one that wrote the folders."""
    return expected["computes_like"] == computes_like()


@pytest.fixture
def cnnsweep(frozen, monkeypatch, capsys):
    """Call the command line in this process; its output."""

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["cnnsweep", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert not ended.value.code, captured.err
        assert "damaged" not in captured.err + captured.out
        assert "starts over" not in captured.err + captured.out
        return captured.out

    return call


def run(cnnsweep, kind, folder, file="whole/sweep.yaml"):
    cnnsweep("run", file, "--out", folder, "--quiet", *KINDS[kind].options)


def holds(found, expected):
    """True if everything that was said is still said; more may be."""
    if isinstance(expected, dict):
        return all(key in found and holds(found[key], value) for key, value in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(holds, found, expected))
    return found == expected


def assert_same_training(found, whole, is_alike):
    """Check the metrics of every epoch, and the best weights, against the folder that was trained in one go."""
    metrics, golden = metrics_by_epoch(found), metrics_by_epoch(whole)
    assert metrics.keys() == golden.keys()
    if is_alike:
        assert metrics == golden
    for key, epoch in golden.items():
        for name, value in epoch.items():
            allowed = {"abs": 2 * _ONE_IMAGE} if name.endswith("accuracy") else _LOOSE
            assert metrics[key][name] == (None if value is None else pytest.approx(value, **allowed)), (key, name)
    ends = [  # without the cause, whose words may get better
        {(one["run"], one["status"]) for one in events(folder) if one["event"] == "ended"} for folder in (found, whole)
    ]
    assert {run for run, _ in ends[0]} == {run for run, _ in ends[1]}
    if is_alike:
        assert ends[0] == ends[1]
        best, golden_best = weights(found), weights(whole)
        assert best.keys() == golden_best.keys()
        for name, tensors in golden_best.items():
            assert tensors.keys() == best[name].keys()
            assert all(torch.equal(tensor, best[name][key]) for key, tensor in tensors.items()), name
            assert (found / name / "batch_loss.csv").read_text() == (whole / name / "batch_loss.csv").read_text()


def skip_where_another_package_decides(expected):
    for package, version in expected.get("needs", {}).items():
        if importlib.metadata.version(package) != version:
            pytest.skip(f"{package} {version} chose these settings")


def test_a_frozen_folder_is_reported_as_it_was(cnnsweep, expected):
    for name in ("whole", "cut"):
        rows = json.loads(cnnsweep("report", name, "--format", "json"))["runs"]
        assert holds(rows, expected[f"report of {name}"])


def test_a_frozen_folder_is_measured_as_it_was(cnnsweep, frozen, expected, is_alike):
    measured = json.loads(cnnsweep("evaluate", "whole", "--quiet", "--json"))
    golden = expected["evaluation"]
    assert_shapes([one for one in events(frozen / "whole") if one["event"] == "tested"], expected["events"])
    if is_alike:
        assert holds(measured, golden)
    assert measured["configuration"] == golden["configuration"]
    for run, golden_run in zip(measured["runs"], golden["runs"], strict=True):
        assert run["checkpoint"] == golden_run["checkpoint"]
        assert run["loss"] == pytest.approx(golden_run["loss"], rel=1e-4)
        assert run["accuracy"] == pytest.approx(golden_run["accuracy"], abs=_ONE_IMAGE)


def test_a_frozen_folder_that_is_whole_trains_nothing_more(cnnsweep, kind, frozen):
    before = len(metrics_by_epoch(frozen / "whole")), len(events(frozen / "whole"))
    run(cnnsweep, kind, "whole")
    new = events(frozen / "whole")[before[1] :]
    assert {one["event"] for one in new} <= {"sweep", "left"}
    assert len(metrics_by_epoch(frozen / "whole")) == before[0]


def test_a_frozen_folder_that_was_cut_goes_on_to_what_it_would_have_been(cnnsweep, kind, frozen, expected, is_alike):
    skip_where_another_package_decides(expected)
    cut, whole = frozen / "cut", frozen / "whole"
    before, lines = metrics_by_epoch(cut), len(events(cut))
    run(cnnsweep, kind, "cut", "cut/sweep.yaml")
    after = metrics_by_epoch(cut)
    new = events(cut)[lines:]
    # One epoch of each run may have been in the journal without its checkpoint: it is trained again.
    taken_back = {one["run"]: one["epoch"] for one in new if one["event"] == "resumed"}
    again = [one for one in new if one["event"] == "epoch" and one["epoch"] <= taken_back.get(one["run"], 0)]
    assert again == []
    assert after.keys() >= before.keys()
    assert_same_training(cut, whole, is_alike)
    assert_shapes(new, expected["events"])


def test_the_same_sweep_trains_anew_to_the_same(cnnsweep, kind, frozen, expected, is_alike):
    skip_where_another_package_decides(expected)
    run(cnnsweep, kind, "anew")
    assert_same_training(frozen / "anew", frozen / "whole", is_alike)
    assert_shapes(events(frozen / "anew"), expected["events"])


def assert_shapes(new, golden):
    """Check that each event has every field that those of its kind had, of the same types."""
    for kind, found in event_shapes(new).items():
        assert kind in golden, f"no event of old is a {kind!r}"
        missing = golden[kind].keys() - found.keys()
        assert not missing, f"events of the kind {kind!r} lack {missing}"
        for path, types in golden[kind].items():
            assert set(found[path]) <= set(types) or "NoneType" in types, f"{kind}: {path} is {found[path]}"


def test_the_archives_are_small_and_one_for_each_kind():
    files = list(ARCHIVES.glob("*.tar.xz"))
    assert {file.name.split(".")[0] for file in files} == KINDS.keys()
    assert sum(file.stat().st_size for file in files) < 1_500_000


def test_what_was_cut_was_cut_in_the_middle(frozen):
    cut, whole = (metrics_by_epoch(Path(name)) for name in ("cut", "whole"))
    assert 0 < len(cut) < len(whole)
    assert "left" not in {one["event"] for one in events(frozen / "cut")}
