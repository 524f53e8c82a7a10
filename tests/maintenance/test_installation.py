"""What `cnnsweep doctor` says of an installation."""

from __future__ import annotations

import importlib.metadata
import json

import pytest

from cnnsweep.maintenance import check_installation as installation
from cnnsweep.maintenance.check_installation import check_installation
from cnnsweep.maintenance.diagnostic import Level, has_problems
from cnnsweep.maintenance.render import diagnostics_to_json


@pytest.fixture
def diagnostics(tmp_path):
    def found():
        return check_installation(tmp_path)

    return found


def of(diagnostics, subject):
    return [diagnostic for diagnostic in diagnostics if diagnostic.subject == subject]


def installed(monkeypatch, **versions):
    version = importlib.metadata.version

    def changed(name):
        if name in versions:
            if versions[name] is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return versions[name]
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", changed)


def test_this_installation_is_sound(diagnostics):
    found = diagnostics()
    assert not has_problems(found), [f for f in found if f.level is Level.PROBLEM]
    assert {"python", "packages", "torch", "device", "extras", "disk"} <= {diagnostic.subject for diagnostic in found}
    assert "a training step works" in of(found, "device")[-1].words
    assert json.loads(diagnostics_to_json(found))["sound"] is True


def test_a_package_that_is_too_old_or_missing_is_a_problem(diagnostics, monkeypatch):
    installed(monkeypatch, pandas="2.1.9", rich=None)
    words = [f.words for f in of(diagnostics(), "packages")]
    assert any(line.startswith("pandas is 2.1.9, 2.2") for line in words)
    assert any(line.startswith("rich is missing") for line in words)


def test_versions_are_compared_as_numbers():
    assert installation._fits("2.15.0+cu132", ">=", "2.10")
    assert not installation._fits("2.9.1", ">=", "2.10")
    assert installation._fits("2.15.0+cpu", "==", "2.15.0")
    assert not installation._fits("2.14.0", "==", "2.15.0")


def test_torchvision_that_was_built_for_another_torch_is_a_problem(diagnostics, monkeypatch):
    requires = importlib.metadata.requires
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda name: ["torch==1.2.3"] if name == "torchvision" else requires(name)
    )
    (found,) = of(diagnostics(), "torch")
    assert found.level is Level.PROBLEM
    assert "needs torch == 1.2.3" in found.words


def test_an_extra_that_is_missing_is_told_with_what_it_is_for(diagnostics, monkeypatch):
    installed(monkeypatch, cmaes=None)
    found = of(diagnostics(), "extras")[0]
    assert found.level is Level.NOTE
    assert found.remedy == "to install: pip install 'cnnsweep[search]'"
    assert not has_problems(diagnostics())


def test_a_device_that_cannot_train_is_a_problem(diagnostics, monkeypatch):
    def fail(_name):
        raise RuntimeError("no kernel image is available\nfor execution")

    monkeypatch.setattr(installation, "_try_training_step", fail)
    (found,) = of(diagnostics(), "device")
    assert found.level is Level.PROBLEM
    assert "no kernel image is available" in found.words


def test_a_check_that_fails_itself_does_not_end_the_others(diagnostics, monkeypatch):
    def fail():
        raise OSError("torn\x1b[31m")

    monkeypatch.setattr(installation, "_extras", fail)
    found = diagnostics()
    (broken,) = of(found, "extras")
    assert broken.level is Level.PROBLEM
    assert "\x1b" not in broken.words
    assert of(found, "disk")
