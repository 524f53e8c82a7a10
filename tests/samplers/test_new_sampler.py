"""A sampler from outside the package: a class in a file of one's own, or an entry point of another package."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from small_sweeps import SilentDisplay, sweep, untimed

from cnnsweep import api
from cnnsweep.config.load import dump_spec, load_sweep, parse_sweep
from cnnsweep.errors import CnnSweepError, SpecError
from cnnsweep.storage.state import read_state

HERE = Path(__file__).parent.parent

CLIMB = '''
from pydantic import Field
from cnnsweep.samplers.base import LearningSampler

class Climb(LearningSampler, name="climb"):
    """Steps away from the best trial so far, by an amount that depends on its metric."""

    start: float = Field(default=0.5, ge=0, le=1, description="share of each dimension to begin with")

    def suggest(self, space, observations, drawn, count):
        values = [one.value for one in observations if one.value is not None]
        share = self.start + (max(values) if space.mode == "max" and values else 0.0)
        return [{d.name: d.at((share + 0.3 * (drawn + n)) % 1) for d in space.dimensions} for n in range(count)]
'''
SWEEP = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 48, test: 6}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: []}
params: {lr: {log_uniform: [1.0e-3, 0.1]}, batch_size: 16, epochs: 2}
search: {method: 'climb.py:Climb', runs: 4, round: 2, start: 0.25}
tensorboard: false
"""


@pytest.fixture
def climb(tmp_path: Path) -> Path:
    """A sweep file beside the sampler's file."""
    (tmp_path / "climb.py").write_text(CLIMB)
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


def chosen(folder: Path) -> list[tuple[object, ...]]:
    rounds = read_state(folder / "journal.jsonl").rounds
    return [(one.drawn, one.picks, one.trial_ids) for one in rounds]


def test_interrupted_sweep_of_a_sampler_in_a_file_of_ones_own_equals_the_uninterrupted_one(climb: Path):
    whole, cut = climb.parent / "whole", climb.parent / "cut"
    train(climb, whole)
    assert [len(picks) for _, picks, _ in chosen(whole)] == [2, 2]
    for epochs in (1, 2, 2):  # in the first round, at its end, and in the second
        train(climb, cut, stop_after=epochs)
        assert chosen(cut) == chosen(whole)[: len(chosen(cut))]
    train(climb, cut)
    assert chosen(cut) == chosen(whole)
    assert untimed(cut) == untimed(whole)
    learned = [pick["lr"] for _, picks, _ in chosen(whole) for pick in picks]
    assert len(set(learned)) == 4
    best = max(row["val_accuracy"] for row in untimed(whole)["rows"][:2])
    assert learned[2] == pytest.approx(10 ** (-3 + 2 * ((0.25 + best + 0.6) % 1)), rel=1e-4)


def test_sampler_of_another_package_is_found_by_its_entry_point(climb: Path):
    package = climb.parent / "site"
    info = package / "climbing-1.dist-info"
    info.mkdir(parents=True)
    (package / "climbing.py").write_text(CLIMB)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: climbing\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[cnnsweep.samplers]\nclimb = climbing:Climb\n")
    code = """
        from pathlib import Path
        from test_new_sampler import SWEEP, chosen, train
        from cnnsweep.config.json_schema import sweep_json_schema
        from cnnsweep.samplers.base import SAMPLERS
        Path("other.yaml").write_text(SWEEP.replace("'climb.py:Climb'", "climb"))
        train(Path("other.yaml"), Path("other"), stop_after=3)
        train(Path("other.yaml"), Path("other"))
        train(Path("small.yaml"), Path("own"))
        assert [picks for _, picks, _ in chosen(Path("other"))] == [picks for _, picks, _ in chosen(Path("own"))]
        assert SAMPLERS.names[-1] == "climb"
        mappings = sweep_json_schema()["properties"]["search"]["anyOf"]
        assert any(one.get("properties", {}).get("start", {}).get("default") == 0.5 for one in mappings)
    """
    paths = [package, HERE, HERE.parent, HERE / "samplers"]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"},
        cwd=climb.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_changed_code_is_said_and_the_rounds_before_stay(climb: Path):
    train(climb, climb.parent / "s", stop_after=2)
    before = chosen(climb.parent / "s")
    file = climb.parent / "climb.py"
    file.write_text(CLIMB.replace("0.3 *", "0.2 *"))
    sys.modules.pop(next(name for name in sys.modules if name.endswith("_climb")))
    display = SilentDisplay()
    sweep(climb.parent / "s", SWEEP.replace("climb.py", str(file)), display)
    lines = [line for line in display.notes + display.messages if "changed" in line]
    assert lines == ["search: the code of climb.py:Climb changed since the last time; trials that it has chosen stay"]
    assert chosen(climb.parent / "s")[: len(before)] == before
    again = SilentDisplay()
    sweep(climb.parent / "s", SWEEP.replace("climb.py", str(file)), again)
    assert not [line for line in again.notes + again.messages if "changed" in line]


def test_other_options_of_a_sampler_begin_a_new_search(climb: Path):
    from cnnsweep.tuner.sampling import TrialSource

    spaces = {
        TrialSource(load_sweep(climb, [f"search.{change}"]))._space for change in ("start=0.25", "runs=9", "round=3")
    }
    assert len(spaces) == 1  # more trials, and other rounds, go on with those before
    assert TrialSource(load_sweep(climb, ["search.start=0.5"]))._space not in spaces


def test_frozen_sweep_file_means_the_same_from_anywhere(climb: Path, tmp_path_factory: pytest.TempPathFactory):
    spec = load_sweep(climb)
    again = parse_sweep(dump_spec(spec), "again.yaml", folder=tmp_path_factory.mktemp("elsewhere"))
    assert (again.search, dump_spec(again)) == (spec.search, dump_spec(spec))


def test_code_of_a_sampler_is_imported_only_where_it_is_allowed(climb: Path):
    (climb.parent / "climb.py").write_text("raise SystemError('imported')\n")
    with pytest.raises(SpecError, match="names code of its own, which would be run; add --allow-code"):
        load_sweep(climb, allow_code=False)
    with pytest.raises(SpecError, match="importing it raised SystemError: imported"):
        load_sweep(climb)


@pytest.mark.parametrize(
    ("written", "line", "words"),
    [
        ("{method: 'climb.py:Climb', runs: 4, strat: 1}", 6, "search.strat: unknown key; did you mean 'start'?"),
        ("{method: 'climb.py:Climb', runs: 4, start: 2}", 6, "search.start: found 2: "),
        ("{method: 'climb.py:Climb', start: 0.2}", 6, "search.runs: missing; add for example `runs: 20`"),
        ("{method: 'climb.py:Clmb', runs: 4}", 6, "has no 'Clmb'"),
        (
            "{method: 'clim.py:Climb', runs: 4}",
            6,
            "search.method: there is no file 'clim.py' in the sweep file's folder",
        ),
        ("{method: 'pathlib:Path', runs: 4}", 6, "allowed is a subclass of cnnsweep.samplers.base.Sampler"),
        (
            "{method: climb, runs: 4}",
            6,
            "search.method: unknown 'climb'; allowed are grid, cmaes, gp, random, sobol, tpe",
        ),
    ],
)
def test_mistakes_are_named_with_their_place(climb: Path, written: str, line: int, words: str):
    climb.write_text(SWEEP.replace("{method: 'climb.py:Climb', runs: 4, round: 2, start: 0.25}", written))
    with pytest.raises(CnnSweepError) as caught:
        load_sweep(climb)
    assert isinstance(caught.value, SpecError)
    (problem,) = caught.value.problems
    assert words in problem.message
    assert problem.line == line
