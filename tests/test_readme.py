"""What the README and the project's files promise is so."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from cnnsweep.config.load import load_sweep, parse_sweep

PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_readmes_sweep_files_load_and_are_those_that_come_along():
    grid, search = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    spec = parse_sweep(grid, "README.md")
    assert spec.axes == load_sweep(PROJECT / "sweeps" / "fashion.yaml").axes
    spec = parse_sweep(f"name: s\ndataset: fashion_mnist\nmodel: lenet\n{search}", "README.md")
    along = load_sweep(PROJECT / "sweeps" / "search.yaml")
    assert (spec.search, spec.when, spec.early_stop) == (along.search, along.when, along.early_stop)
    assert all(along.axes[key] == values for key, values in spec.axes.items())


def test_every_file_the_readme_names_exists():
    for path in re.findall(r"\]\(([^)#]+)\)|`(sweeps/[^`]+\.yaml)`", README):
        assert (PROJECT / "".join(path)).exists(), path


def test_the_quickstart_of_make_sweep_runs_and_reports(tmp_path):
    commands = re.findall(r"^\t\$\(BIN\)/cnnsweep (.+)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert commands == ["run sweeps/quickstart.yaml", "report runs/quickstart"]
    out = tmp_path / "quickstart"
    fewer = ["--set", "params.epochs=1", "--set", "params.batch_size=200", "--out", str(out)]
    for arguments in (["run", str(PROJECT / "sweeps/quickstart.yaml"), *fewer], ["report", str(out)]):
        done = subprocess.run(
            [sys.executable, "-m", "cnnsweep", *arguments], capture_output=True, text=True, check=True
        )
        assert "best" in done.stdout


def test_the_license_and_python_that_pyproject_names_are_those_of_the_files():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert project["license"] in (PROJECT / "LICENSE").read_text()
    assert "Python 3.11" in README
