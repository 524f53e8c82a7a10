"""A pruner from outside the package: a class in a file of one's own, or an entry point of another package."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from small_sweeps import untimed

from cnnsweep import api
from cnnsweep.config.load import dump_spec, load_sweep
from cnnsweep.errors import SpecError
from cnnsweep.storage.state import read_state
from cnnsweep.types import RunStatus

HERE = Path(__file__).parent.parent

# Both compare by hand: one after every epoch, one at rungs that its own fields decide.
MINE = '''
from pydantic import Field
from cnnsweep.pruners.base import EpochPruner, Pruner
from cnnsweep.types import PruneDecision

class Gap(EpochPruner, name="gap"):
    """Stops a trial that is further below the best one than a gap."""

    gap: float = Field(default=0.0, ge=0)

    def decide_one(self, curve, curves, objective):
        epoch = curve.epoch
        value = curve.selected_at(epoch)
        best = max(one.selected_at(epoch) or 0.0 for one in curves.values() if one.epoch >= epoch)
        stops = value is None or value < best - self.gap
        return PruneDecision(curve.trial_id, epoch, stops, value, best - self.gap, len(curves), f"gap at epoch {epoch}")


class Last(Pruner, name="last"):
    """Stops the worst trial at a rung."""

    has_rungs = True
    rung: int = Field(default=1, ge=1)

    def rungs(self, longest, trial):
        return [self.rung] if self.rung < longest else []

    def decide(self, due, curves, objective, longest):
        epoch = due[0].epoch
        if epoch != self.rung:
            return []
        order = objective.rank([one.selected_at(epoch) for one in due])
        worst = due[order[-1]].trial_id
        return [
            PruneDecision(
                one.trial_id, epoch, one.trial_id == worst, one.selected_at(epoch), None, len(due), "not the last"
            )
            for one in due
        ]
'''
SWEEP = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 96, test: 6}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: []}
params: {lr: [0.1, 0.00001, 0.01], batch_size: 8, epochs: 4}
early_stop: {method: 'mine.py:Gap', gap: 0.05}
tensorboard: false
"""
LAST = "{method: 'mine.py:Last', rung: 2}"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A sweep file beside the pruners' file."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "small.yaml").write_text(SWEEP)
    return tmp_path / "small.yaml"


def train(file: Path, folder: Path, stop_after: int | None = None) -> None:
    """Train a sweep; stop it after some epochs."""
    left = [stop_after]

    def count(_epoch: object) -> None:
        left[0] = None if left[0] is None else left[0] - 1
        if left[0] == 0:
            raise InterruptedError

    with contextlib.suppress(InterruptedError):
        api.run(file, folder=folder, fuse="off", jobs=1, quiet=True, on_epoch=count)


def pruned(folder: Path) -> dict[str, int]:
    """Return the epoch after which each pruned run ended, by its name."""
    runs = read_state(folder / "journal.jsonl").runs.values()
    return {run.name: len(run.records) for run in runs if run.status is RunStatus.STOPPED}


@pytest.mark.parametrize("method", ["{method: 'mine.py:Gap', gap: 0.05}", LAST])
def test_interrupted_sweep_of_a_pruner_in_a_file_of_ones_own_equals_the_uninterrupted_one(mine: Path, method: str):
    mine.write_text(SWEEP.replace("{method: 'mine.py:Gap', gap: 0.05}", method))
    whole, cut = mine.parent / "whole", mine.parent / "cut"
    train(mine, whole)
    assert pruned(whole)
    assert len(pruned(whole)) < 3
    if method == LAST:
        assert list(pruned(whole).values()) == [2]
    for epochs in (1, 3, 2):
        train(mine, cut, stop_after=epochs)
    train(mine, cut)
    assert pruned(cut) == pruned(whole)
    assert untimed(cut) == untimed(whole)
    decisions = [read_state(folder / "journal.jsonl").decisions for folder in (cut, whole)]
    assert decisions[0] == decisions[1]


def test_pruner_of_another_package_is_found_by_its_entry_point(mine: Path):
    package = mine.parent / "site"
    info = package / "pruning-1.dist-info"
    info.mkdir(parents=True)
    (package / "pruning.py").write_text(MINE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pruning\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[cnnsweep.pruners]\nlast = pruning:Last\ngap = pruning:Gap\n")
    code = """
        from pathlib import Path
        from test_new_pruner import LAST, SWEEP, pruned, train
        own = SWEEP.replace("{method: 'mine.py:Gap', gap: 0.05}", LAST)
        Path("own.yaml").write_text(own)
        Path("other.yaml").write_text(own.replace("'mine.py:Last'", "last"))
        Path("plain.yaml").write_text(own.replace(LAST, "last"))
        train(Path("other.yaml"), Path("other"), stop_after=4)
        for name in ("other", "own", "plain"):
            train(Path(f"{name}.yaml"), Path(name))
        assert pruned(Path("other")) == pruned(Path("own")) and list(pruned(Path("own")).values()) == [2]
        assert list(pruned(Path("plain")).values()) == [1]
    """
    paths = [package, HERE, HERE.parent, HERE / "pruners"]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"},
        cwd=mine.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_reference_alone_takes_the_defaults_and_is_written_with_them(mine: Path):
    spec = load_sweep(mine, ["early_stop=mine.py:Gap"])
    assert f"early_stop: {{method: '{mine.parent / 'mine.py'}:Gap', min_epochs: 1, gap: 0.0}}" in dump_spec(
        spec
    ) or f"early_stop: {{method: {mine.parent / 'mine.py'}:Gap, min_epochs: 1, gap: 0.0}}" in dump_spec(spec)
    assert load_sweep(mine, ["early_stop=none"]).early_stop is None


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{method: 'mine.py:Gap', gab: 1}", "early_stop.gab: unknown key; did you mean 'gap'?"),
        ("{method: 'mine.py:Gap', factor: 3}", "the pruner gap does not use it; allowed are method, min_epochs, gap"),
        ("{method: 'mine.py:Gap', min_epochs: 0}", "found 0, allowed is a whole number from 1 to 1,000,000"),
        ("{method: 'mine.py:PruneDecision'}", "allowed is a subclass of cnnsweep.pruners.base.Pruner"),
        ("{method: none, gap: 1}", "early_stop.gap: unknown key; allowed are method"),
    ],
)
def test_mistakes_are_named(mine: Path, written: str, words: str):
    mine.write_text(SWEEP.replace("{method: 'mine.py:Gap', gap: 0.05}", written))
    with pytest.raises(SpecError) as caught:
        load_sweep(mine)
    (problem,) = caught.value.problems
    assert words in problem.message
