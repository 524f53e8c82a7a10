"""Nothing says `1 runs`: every command's output on a sweep of which there is one of everything."""

from __future__ import annotations

import re
import sys

import pytest

from cnnsweep.cli import main
from cnnsweep.formatting.numbers import count_text

ONE = """
name: one
dataset: {name: shapes, size: 12, classes: 2, train: 20, test: 1}
model: {name: cnn, channels: [2], hidden: []}
validation: 1
scope: mean of last 1
params: {lr: [0.1, 0.1], batch_size: 50, epochs: 1}
"""
NOUNS = (
    "runs|epochs|seeds|images|settings|files|classes|folds|groups|batches|steps|combinations|threads|places|models|"
    "bytes|others|values|channels|processes|workers|sweeps"
)
PLURAL_OF_ONE = re.compile(rf"(?<![\d.,/])1 (training |test |validation )?({NOUNS})\b")


@pytest.fixture
def output(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text(ONE)

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["cnnsweep", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit):
            main()
        return "".join(capfd.readouterr())

    return call


def test_no_command_counts_one_in_the_plural(output, tmp_path):
    commands = [
        ("run", "one.yaml", "--dry-run"),
        ("run", "one.yaml", "--dry-run", "--max-runs", "1"),
        ("plan", "one.yaml"),
        ("plan", "one.yaml", "--simulate", "nodes=1,gpus=1", "--cost", "1"),
        ("run", "one.yaml"),
        ("report", "runs/one"),
        ("report", "runs/one", "--html", "page.html"),
        ("evaluate", "runs/one"),
        ("report", "runs/one"),
        ("watch", "runs/one"),
        ("doctor", "runs/one"),
        ("logs", "runs/one"),
        ("clean", "runs/one"),
    ]
    texts = {" ".join(command): output(*command) for command in commands}
    texts["page"] = re.sub(r"(?s)<script.*?</script>", "", (tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "1 run, 1 epoch; 1 duplicate left out" in texts["run one.yaml --dry-run"]
    assert "1 combination repeats another and is trained once" in texts["run one.yaml"]
    found = {name: match[0] for name, text in texts.items() if (match := PLURAL_OF_ONE.search(text))}
    assert found == {}


def test_counts_agree_with_their_nouns():
    assert [count_text(count, "run") for count in (0, 1, 2, 12_000)] == ["0 runs", "1 run", "2 runs", "12,000 runs"]
    assert [count_text(count, "batch", "batches") for count in (1, 2)] == ["1 batch", "2 batches"]
