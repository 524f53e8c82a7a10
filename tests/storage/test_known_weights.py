"""Weights that are another run's are never taken for a run's own, wherever a checkpoint is read."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from command_line import call
from PIL import Image
from small_sweeps import SilentDisplay, sweep, tables, untimed

import cnnsweep
from cnnsweep.analysis.results import load_results
from cnnsweep.analysis.run_evaluation import load_run_evaluation
from cnnsweep.analysis.trials import group_trials
from cnnsweep.errors import CheckpointError, ResultsError
from cnnsweep.html.evaluations import evaluated_runs
from cnnsweep.storage.best_weights import load_best
from cnnsweep.storage.journal import encode_event
from cnnsweep.storage.verified_weights import load_known_best
from cnnsweep.storage.writer import SweepWriter

OLD = Path(__file__).parent / "old"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "small"
    sweep(folder)
    return folder


@pytest.fixture
def swapped(whole, tmp_path):
    """The best run has the other run's best weights; return the folder, the best run's name, the other's."""
    folder = tmp_path / "small"
    shutil.copytree(whole, folder)
    best = tables(folder)["sweep"]["best"]
    other = next(row["run"] for row in tables(folder)["runs"] if row["run"] != best)
    shutil.copy(folder / other / "best.safetensors", folder / best / "best.safetensors")
    return folder, best, other


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "{sweep}"],
        ["evaluate", "{run}"],
        ["evaluate", "--checkpoint", "{sweep}"],
        ["evaluate", "--checkpoint", "{run}"],
        ["evaluate", "--checkpoint", "{run}/best.safetensors"],
        ["evaluate", "--checkpoint", "{run}/../{name}/best.safetensors", "--split", "val"],
        ["evaluate", "--checkpoint", "{link}"],
        ["export", "--checkpoint", "{sweep}", "--format", "safetensors", "--output", "{out}"],
        ["export", "--checkpoint", "{run}", "--format", "safetensors", "--output", "{out}"],
        ["predict", "--checkpoint", "{sweep}", "{picture}"],
        ["predict", "--checkpoint", "{run}/best.safetensors", "{picture}"],
    ],
    ids=" ".join,
)
def test_a_command_refuses_weights_of_another_run_and_writes_nothing(swapped, tmp_path, command):
    folder, best, other = swapped
    (tmp_path / "link").symlink_to(folder / best)
    picture = tmp_path / "a.png"
    Image.new("L", (12, 12)).save(picture)
    places = {"sweep": folder, "run": folder / best, "name": best, "link": tmp_path / "link", "out": tmp_path / "out"}
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outcome = call(*[word.format(**places, picture=picture) for word in command])
    assert outcome.code == 4
    found = load_best(folder / other / "best.safetensors").description["weights_sha256"]
    assert f"best.safetensors: holds weights of run {other} (SHA-256 {found[:12]}…" in outcome.error
    assert f"cnnsweep doctor {folder} --repair" in outcome.error
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "out").exists()


def test_python_refuses_them_too(swapped):
    folder, _, other = swapped
    best = cnnsweep.load(folder).best
    with pytest.raises(CheckpointError, match=re.escape(f"holds weights of run {other}")):
        best.model()
    with pytest.raises(CheckpointError, match=re.escape(f"holds weights of run {other}")):
        best.predict(torch.zeros(1, 1, 12, 12, dtype=torch.uint8))


def test_the_closing_measurement_refuses_them(swapped):
    folder, best, other = swapped
    (folder / best / "evaluation.json").unlink()
    display = SilentDisplay()
    sweep(folder, display=display)  # nothing is left to train; what was not measured is
    assert any(f"holds weights of run {other}" in words for words in display.messages)
    assert not (folder / best / "evaluation.json").exists()


def test_repair_and_run_bring_the_right_ones_back(swapped, whole):
    folder, _, _ = swapped
    assert call("doctor", folder, "--repair", "--quiet").code == 0  # it is to be trained again
    sweep(folder)
    assert untimed(folder) == untimed(whole)


def test_the_right_weights_are_measured_at_their_place_by_a_link_and_anywhere_else(whole, tmp_path):
    best = whole / tables(whole)["sweep"]["best"] / "best.safetensors"
    (tmp_path / "link").symlink_to(best.parent)
    shutil.copy(best, tmp_path / "model.safetensors")
    for path in (best, tmp_path / "link" / "best.safetensors", tmp_path / "model.safetensors"):
        assert load_known_best(path).description["run"] == best.parent.name


def test_a_checkpoint_outside_of_any_run_is_not_journaled_though_it_names_one(whole, tmp_path, capsys):
    folder = tmp_path / "small"
    shutil.copytree(whole, folder)
    best = folder / tables(folder)["sweep"]["best"]
    shutil.copy(best / "best.safetensors", best / "copy.safetensors")
    before = (folder / "journal.jsonl").read_bytes()
    assert call("evaluate", "--checkpoint", best / "copy.safetensors", "--data-root", tmp_path).code == 0
    assert (folder / "journal.jsonl").read_bytes() == before
    assert call("evaluate", "--checkpoint", best, "--data-root", tmp_path).code == 0
    assert b'"tested"' in (folder / "journal.jsonl").read_bytes()[len(before) :]


def events(folder):
    return [
        {key: value for key, value in json.loads(line).items() if key != "crc"}
        for line in (folder / "journal.jsonl").read_bytes().splitlines()
    ]


def write_events(folder, changed):
    (folder / "journal.jsonl").write_bytes(b"".join(map(encode_event, changed)))


def test_after_a_crash_before_the_best_weights_were_written_those_before_them_count(whole, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(whole, folder)
    path = folder / tables(folder)["sweep"]["best"] / "best.safetensors"
    about = load_best(path).description
    cut = []
    for event in events(folder):  # the journal of a sweep that was killed: it names a better epoch than the file's
        if event["event"] == "epoch" and event["run"] == about["run_id"] and event["epoch"] == about["epoch"]:
            later = {
                **event,
                "epoch": event["epoch"] + 1,
                "val_accuracy": 1.0,
                "best": "f" * 64,
                "checkpoint": "e" * 64,
            }
            cut += [event, later]
            break
        cut.append(event)
    write_events(folder, cut)
    assert load_known_best(path).description["epoch"] == about["epoch"]
    ended = {"event": "ended", "run": about["run_id"], "status": "finished", "cause": None, "time": cut[-1]["time"]}
    write_events(folder, [*cut, ended])
    with pytest.raises(CheckpointError, match=f"is of epoch {about['epoch']}, which is not the best"):
        load_known_best(path)


class Crash(BaseException):
    """Ends a sweep as a kill does, as far as one process can see it."""


def test_after_a_crash_before_the_best_weights_were_written_they_come_from_the_last_checkpoint(tmp_path, monkeypatch):
    folder, overrides = tmp_path / "small", ["params.lr=0.01", "metric=val_loss"]
    sweep(tmp_path / "whole", overrides=overrides)
    save = SweepWriter._save_best

    def save_or_crash(recorder, run, selected, weights):
        if selected.epoch == 2:
            raise Crash
        save(recorder, run, selected, weights)

    with monkeypatch.context() as patch:
        patch.setattr(SweepWriter, "_save_best", save_or_crash)
        with pytest.raises(Crash):
            sweep(folder, overrides=overrides)
    (path,) = folder.glob("*/best.safetensors")
    assert load_best(path).description["epoch"] == 1
    display = SilentDisplay()
    sweep(folder, display=display, overrides=overrides)
    assert display.records == []
    assert load_best(path).description["epoch"] == 2
    assert untimed(folder) == untimed(tmp_path / "whole")


def test_a_journal_that_has_no_digest_still_tells_one_run_from_another(tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(OLD / "together", folder)
    first, second = sorted(folder.glob("*/best.safetensors"))[:2]
    assert load_known_best(first).description["run"] == first.parent.name
    shutil.copy(first, second)
    with pytest.raises(CheckpointError, match="holds weights of"):
        load_known_best(second)


def test_a_damaged_journal_is_said_with_what_to_do(whole, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(whole, folder)
    content = (folder / "journal.jsonl").read_bytes()
    (folder / "journal.jsonl").write_bytes(content[:100] + b"?" + content[101:])
    with pytest.raises(ResultsError, match=r"doctor .* --repair"):
        load_known_best(next(folder.glob("*/best.safetensors")))


def test_pictures_of_another_run_or_epoch_are_not_shown(swapped):
    folder, best, other = swapped
    shutil.copy(folder / best / "evaluation.json", folder / other / "evaluation.json")
    with pytest.raises(ResultsError, match=re.escape(f'is about run "{best}"')):
        load_run_evaluation(folder / other)
    with pytest.raises(ResultsError, match="measure this one"):
        load_run_evaluation(folder / best, best_epoch=99)
    file = folder / best / "evaluation.json"
    file.write_bytes(file.read_bytes().replace(b'"val"', b'"test"'))
    with pytest.raises(ResultsError, match="its SHA-256 does not match"):
        load_run_evaluation(folder / best)
    results = load_results(folder)
    found, problems = evaluated_runs(results, group_trials(results))
    assert (found, len(problems)) == ([], 2)
