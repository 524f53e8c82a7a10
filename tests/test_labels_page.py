"""The examples of docs/several-labels.md work as they are written."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from PIL import Image

PAGE = (Path(__file__).parent.parent / "docs" / "several-labels.md").read_text(encoding="utf-8")
LABELLED, PHOTOS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [shlex.split(line) for line in re.findall(r"^    cnnsweep (.+)$", PAGE, re.MULTILINE)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(folder: Path, count: int = 40) -> None:
    """Draw images with a bright bar for each of two labels, named `a.jpg`, `b.jpg` and by number."""
    random, lines = np.random.default_rng(0), ["file,labels"]
    for number in range(count):
        names = [name for place, name in enumerate(("cat", "dog")) if number >> place & 1]
        pixels = random.integers(0, 90, (16, 16, 3), dtype=np.uint8)
        for name in names:
            pixels[:, 2 if name == "cat" else 10] = 230
        file = f"{'ab'[number]}.jpg" if number < 2 else f"{number}.jpg"
        Image.fromarray(pixels).save(folder / file)
        lines.append(f"{file},{';'.join(names)}")
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")


def test_a_file_of_labels_is_enough_from_training_to_export(folder: Path) -> None:
    (folder / "photos").mkdir()
    draw(folder / "photos")
    (folder / "labelled.yaml").write_text(LABELLED, encoding="utf-8")
    for arguments in COMMANDS:
        if "runs/photos" not in arguments:
            outcome = call(*arguments)
            assert outcome.code == 0, outcome.err
    assert (folder / "photos.onnx").is_file()
    (evaluation,) = folder.glob("runs/labelled/*/evaluation.json")
    assert json.loads(evaluation.read_text())["labels"] == "several"


def test_the_function_of_the_page_trains_and_is_evaluated(folder: Path) -> None:
    (folder / "photos.py").write_text(CODE, encoding="utf-8")
    (folder / "photos.yaml").write_text(PHOTOS, encoding="utf-8")
    assert call("run", "photos.yaml", "--set", "params.epochs=1").code == 0
    (arguments,) = [one for one in COMMANDS if "runs/photos" in one]
    assert "By label" in call(*arguments).out
