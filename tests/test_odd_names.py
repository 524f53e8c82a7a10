"""Names that are no text, and terminals that lack characters: all works, or one message says what does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cnnsweep.errors import FolderError
from cnnsweep.evaluation.find_checkpoint import find_checkpoint
from cnnsweep.storage.atomic_files import encoded, replace_file, to_json
from cnnsweep.storage.journal import decode_event, encode_event

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SWEEP = """
name: größe
dataset: {name: image_folder, path: data, size: 6}
model: nets.py:Net
params: {lr: 0.01, batch_size: 8, epochs: 1}
"""
NETS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, num_classes, image_size):
        super().__init__()
        print("größer ★ \\udcf6")
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size[0] * image_size[1], num_classes))

    def forward(self, x):
        return self.layers(x)
"""


@pytest.fixture
def odd(tmp_path):
    """A folder whose name is no UTF-8, with a sweep, a model, and images of a class whose name is none either."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xf6\xdfe"))
    for name in (b"gr\xf6\xdfe", b"klein"):
        inside = Path(os.fsdecode(os.fsencode(folder) + b"/data/" + name))
        inside.mkdir(parents=True)
        for number in range(8):
            Image.new("L", (6, 6), 20 * number).save(inside / f"{number}.png")
    (folder / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    (folder / "nets.py").write_text(NETS, encoding="utf-8")
    return folder


def call(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "cnnsweep", *map(str, arguments)]
    path = str(Path(__file__).parent.parent)
    outcome = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path, **environment}, capture_output=True, timeout=120
    )
    assert b"Traceback" not in outcome.stderr + outcome.stdout, outcome.stderr.decode(errors="replace")
    return outcome


@pytest.mark.parametrize("environment", [{}, ASCII], ids=["utf-8", "ascii"])
def test_a_sweep_below_a_folder_whose_name_is_no_text_trains_and_its_path_comes_back_from_the_journal(odd, environment):
    assert call(odd, "run", odd / "sweep.yaml", "--out", "out", "--data-root", odd, **environment).returncode == 0
    first = (odd / "out" / "journal.jsonl").read_text(encoding="utf-8").split("\n")[0]
    assert decode_event((first + "\n").encode()) is not None
    best = json.loads(next((odd / "out").glob("*/best.json")).read_text(encoding="utf-8"))
    assert best["classes"] == ["gr\\udcf6\\udcdfe", "klein"]
    picture = next((odd / "data").glob("gr*/0.png"))
    for words in (
        ["evaluate", "out", "--split", "val", "--allow-code", "--data-root", odd],
        ["predict", picture, "-c", "out", "--allow-code"],
        ["predict", picture, "-c", "out", "--allow-code", "--csv"],
        ["report", "out"],
    ):
        assert call(odd, *words, **environment).returncode == 0, words


@pytest.mark.parametrize(
    "words",
    [["run", "sweep.yaml", "--out"], ["run", "sweep.yaml", "--dry-run", "--out"], ["init"]],
    ids=" ".join,
)
def test_a_sweep_in_a_folder_whose_name_is_no_text_is_refused_before_anything_is_made(odd, words):
    name = os.fsdecode(b"\xf6.yaml")
    outcome = call(odd, *words, name)
    assert outcome.returncode == 3
    assert b"\\udcf6.yaml: has bytes in its name that are no text here" in outcome.stderr
    assert not (odd / name).exists()


def test_a_checkpoint_whose_name_is_no_text_is_refused(tmp_path):
    with pytest.raises(FolderError, match="are no text"):
        find_checkpoint(tmp_path / "\udcf6")


def test_bytes_that_are_no_text_come_back_from_json_and_are_escapes_in_other_files(tmp_path):
    path = os.fsdecode(b"/data/gr\xf6\xdfe/\xc3\xbc")
    assert json.loads(to_json({"path": path})) == {"path": path}
    assert to_json("ü") == '"ü"'
    event = decode_event(encode_event({"event": "sweep", "path": path}))
    assert event is not None
    assert event["path"] == path
    replace_file(tmp_path / "table.csv", path)
    assert (tmp_path / "table.csv").read_bytes() == rb"/data/gr\udcf6\udcdfe/" + "ü".encode() == encoded(path)
