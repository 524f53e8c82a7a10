"""The registry finds built-in implementations, those of other packages, and a person's own, and imports no torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from cnnsweep.errors import UsageError
from cnnsweep.registry import Component, Registry


class Fruit(Component):
    """Base."""


def registry() -> Registry[Fruit]:
    return Registry("fruit", "losses", Fruit)  # a package; what it holds is none of these


def test_a_reference_to_a_file_is_found(tmp_path: Path):
    file = tmp_path / "fruit.py"
    file.write_text(
        "from test_registry import Fruit\nclass Pear(Fruit):\n    '''A pear.\n\n    Ripe.'''\n    size: int = 3\n"
    )
    found = registry().get(f"{file}:Pear")
    assert found(size=4).size == 4
    assert (found.name, found.summary()) == ("Pear", "A pear")


def test_a_reference_to_something_else_is_refused(tmp_path: Path):
    file = tmp_path / "other.py"
    file.write_text("class Stone:\n    pass\n")
    with pytest.raises(UsageError, match=r"fruit .*Stone.*allowed is a subclass of test_registry\.Fruit"):
        registry().get(f"{file}:Stone")


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError):
        registry().get("stone")


def test_entry_points_of_other_packages_are_found(tmp_path: Path):
    (tmp_path / "pear.py").write_text("from cnnsweep.registry import Component\nclass Pear(Component): pass\n")
    (tmp_path / "pear-1.dist-info").mkdir()
    (tmp_path / "pear-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pear\nVersion: 1\n")
    (tmp_path / "pear-1.dist-info" / "entry_points.txt").write_text(
        "[cnnsweep.losses]\npear = pear:Pear\nstone = pear:Stone\n"
    )
    code = (
        "import sys; from cnnsweep.registry import Component, Registry\n"
        "found = Registry('fruit', 'losses', Component)\n"
        "assert {'pear', 'stone'} <= set(found.names) and 'pear' not in sys.modules and 'torch' not in sys.modules\n"
        "assert found.get('pear').__name__ == 'Pear'\n"
        "try: found.get('stone')\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parent.parent}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("fruit stone: its package cannot be imported (")
