"""The README's examples work, its numbers are those of the pages it cites, and it stays short."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from cnnsweep.config.load import load_sweep, parse_sweep
from cnnsweep.config.trials import expand_runs

PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
QUICKSTART, PHOTOS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def cnnsweep(*arguments: object, cwd: Path) -> str:
    call = [sys.executable, "-m", "cnnsweep", *map(str, arguments)]
    return subprocess.run(call, cwd=cwd, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def folder_of_photos(tmp_path: Path) -> Path:
    """Make a folder in which the README's sweep of photos is a file beside eight images of two classes."""
    for name, colour in (("cat", "red"), ("dog", "blue")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (28, 28), colour).save(tmp_path / "photos" / name / f"{number}.jpg")
    (tmp_path / "photos.yaml").write_text(PHOTOS, encoding="utf-8")
    return tmp_path


def test_the_readme_is_a_screen_and_a_half():
    assert len(README.split()) <= 950


def test_the_quickstart_is_the_file_that_comes_along():
    mine, file = parse_sweep(QUICKSTART, "README.md"), load_sweep(PROJECT / "sweeps" / "quickstart.yaml")
    assert (mine.axes, mine.model, mine.dataset_choice) == (file.axes, file.model, file.dataset_choice)
    assert f"{len(expand_runs(mine).runs)} runs on drawn shapes" in README


def test_photos_take_six_lines():
    assert len(PHOTOS.splitlines()) == 6


def test_the_sweep_of_photos_is_listed_trained_and_predicts(folder_of_photos: Path):
    assert "photos: 6 runs" in cnnsweep("run", "photos.yaml", "--dry-run", cwd=folder_of_photos)
    fewer = ["--set", "params.lr=0.01", "--set", "params.augment=none", "--set", "params.epochs=1"]
    small = [*fewer, "--set", "model=lenet", "--set", "validation=0.5"]
    cnnsweep("run", "photos.yaml", *small, cwd=folder_of_photos)
    shown = cnnsweep("predict", "--checkpoint", "runs/photos", "photos/cat/0.jpg", cwd=folder_of_photos)
    assert re.search(r"0\.jpg +(cat|dog) +\d+", shown)


def test_the_quickstart_of_make_sweep_runs_and_reports(tmp_path: Path):
    commands = re.findall(r"^\t\$\(BIN\)/cnnsweep (.+)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert commands == ["run sweeps/quickstart.yaml", "report runs/quickstart"]
    assert all(f"    cnnsweep {command} " in README for command in commands)
    out = tmp_path / "quickstart"
    fewer = ["--set", "params.epochs=1", "--set", "params.batch_size=200", "--out", str(out)]
    for arguments in (["run", PROJECT / "sweeps/quickstart.yaml", *fewer], ["report", out]):
        assert "best" in cnnsweep(*arguments, cwd=tmp_path)


@pytest.mark.parametrize(
    ("page", "there", "here"),
    [
        ("benchmarks.md", r"16 runs of 2 epochs.*?\| Ray Tune \(.*? \| 4\.92 \(", "Ray Tune takes 4.9 times as long"),
        ("benchmarks.md", r"16 runs of 2 epochs.*?\| PyTorch Lightning \(.*? \| 5\.89 \(", "Lightning 5.9 times"),
        ("benchmarks.md", r"16 runs of 2 epochs.*?\| hand-tuned loop \(.*? \| 1\.83 \(", "a hand-tuned loop 1.8 times"),
        ("benchmarks.md", r"ResNet-18 at 32×32.*?\| hand-tuned loop \|.*? \| 0\.89 \(", "0.89 times the time"),
        ("benchmarks.md", r"\| Optuna: TPE, Hyperband \| 53 s \|", "in 53 s"),
        ("benchmarks.md", r"\| cnnsweep: TPE, halving \| 230 s \|", "in 230 s"),
        ("families.md", r"Of 90 networks that were traced 88 fuse", "Of 90 traced networks"),
        ("families.md", r"2e-10 between fused and alone", "by more than 2e-10 in float64"),
        ("families.md", r"\| all \|.*\| 66 \|", "of the 66 that were also trained fused"),
        (
            "reliability.md",
            r"406 kills in 114 sweeps \| 0 unreadable files, 0 lost epochs",
            "406 kills at random moments in 114",
        ),
        (
            "reliability.md",
            r"100,000: .*? in 0\.09 s",
            "Of 100,000 randomly changed sweep files the slowest to check took 0.09 s",
        ),
        ("statistics.md", r"\| 1,000 \| .*? in 97\.9 %", "97.9 %"),
        ("search.md", r"median \*\*19 %\*\* of the grid's", "19 % of the grid's epochs"),
    ],
)
def test_numbers_are_those_of_the_page_they_are_from(page: str, there: str, here: str):
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    assert re.search(there, text, re.DOTALL), page
    assert here in " ".join(README.split())


def test_the_license_and_python_that_pyproject_names_are_those_of_the_files():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert project["license"] in (PROJECT / "LICENSE").read_text()
    assert "Python 3.11" in README
