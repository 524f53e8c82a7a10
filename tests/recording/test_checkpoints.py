"""Checkpoints come back as they were, and a damaged one is refused."""

import json

import pytest
import torch

from cnnsweep.errors import CheckpointError
from cnnsweep.recording.checkpoints import (
    LastCheckpoint,
    digest,
    encode_last,
    load_best,
    load_last,
    save_best,
    weights_digest,
)
from cnnsweep.recording.paths import RunPaths
from cnnsweep.records import EpochRecord

RECORD = EpochRecord("r1", 2, 0.5, 0.8, 0.6, 0.7, 1.5, 3.0, 0.01, 10)
DESCRIPTION = {
    "run": "r", "epoch": 2, "model": {"name": "lenet", "arguments": {}}, "image_shape": [1, 28, 28],
    "classes": ["a", "b"], "pixels": {"mean": [0.0], "std": [1.0]}, "dataset": {}, "split": {},
}  # fmt: skip


def make_weights():
    return {"w": torch.randn(3, 2, 5, 5).to(memory_format=torch.channels_last), "n": torch.tensor(7)}


def test_the_last_checkpoint_comes_back_with_its_optimizer(tmp_path):
    parameter = torch.nn.Parameter(torch.randn(4))
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    parameter.sum().backward()
    optimizer.step()
    weights = make_weights()
    content = encode_last(LastCheckpoint(RECORD, weights, optimizer.state_dict()))
    path = tmp_path / "last.pt"
    path.write_bytes(content)
    last = load_last(path, {digest(content): 2})
    assert last is not None
    assert last.record == RECORD
    assert all(torch.equal(last.weights[name], weights[name]) for name in weights)
    assert torch.equal(last.optimizer["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])


def test_a_missing_last_checkpoint_is_none(tmp_path):
    assert load_last(tmp_path / "last.pt", {}) is None


def test_a_last_checkpoint_is_never_opened_unless_the_journal_knows_it(tmp_path):
    content = encode_last(LastCheckpoint(RECORD, make_weights(), {}))
    path = tmp_path / "last.pt"
    for damaged in (content[:-1], content[: len(content) // 2], b"", content[:100] + b"\x00" + content[101:]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"last.pt: is damaged \(its SHA-256 is not in the journal\)"):
            load_last(path, {digest(content): 2})


def test_the_best_checkpoint_describes_itself(tmp_path):
    weights = make_weights()
    paths = RunPaths(tmp_path)
    save_best(paths, weights, DESCRIPTION)
    best = load_best(paths.best_weights)
    assert best.weights.keys() == weights.keys()
    assert all(torch.equal(best.weights[name], weights[name]) for name in weights)
    assert {key: best.description[key] for key in DESCRIPTION} == DESCRIPTION
    assert json.loads(paths.best_description.read_text()) == best.description


def test_tied_weights_are_saved_under_each_name(tmp_path):
    tied = torch.randn(4, 4)
    save_best(RunPaths(tmp_path), {"a": tied, "b": tied}, DESCRIPTION)
    best = load_best(RunPaths(tmp_path).best_weights)
    assert torch.equal(best.weights["a"], tied)
    assert torch.equal(best.weights["b"], tied)


def test_every_truncation_and_every_sampled_flipped_byte_is_refused(tmp_path):
    paths = RunPaths(tmp_path)
    save_best(paths, make_weights(), DESCRIPTION)
    content = paths.best_weights.read_bytes()
    for length in range(0, len(content), 13):
        paths.best_weights.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            load_best(paths.best_weights)
    header = int.from_bytes(content[:8], "little") + 8
    for place in range(header, len(content), 7):  # in the weights: safetensors itself would not notice
        paths.best_weights.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        with pytest.raises(CheckpointError, match="SHA-256 of its weights does not match"):
            load_best(paths.best_weights)


def test_files_of_others_are_refused_with_what_to_give(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"was not written by cnnsweep; give a run's best.safetensors"):
        load_best(path)
    path.write_bytes(b"PK\x03\x04 this is a zip")
    with pytest.raises(CheckpointError, match="is no safetensors file, or damaged"):
        load_best(path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_best(tmp_path / "gone.safetensors")
    save_file({"w": torch.zeros(2)}, path, {"cnnsweep": '{"version": 1, "run": "x"}'})
    with pytest.raises(CheckpointError, match="its description lacks classes, dataset, epoch, image_shape, model"):
        load_best(path)
    save_file({"w": torch.zeros(2)}, path, {"cnnsweep": '{"version": 2}'})
    with pytest.raises(CheckpointError, match="version 2 of a checkpoint; this cnnsweep reads 1: upgrade it"):
        load_best(path)
    save_file({"w": torch.zeros(2)}, path, {"cnnsweep": "[]"})
    with pytest.raises(CheckpointError, match="its description cannot be read"):
        load_best(path)


def test_the_digest_depends_on_names_types_shapes_and_values():
    base = {"a": torch.arange(4.0)}
    others = [
        {"b": torch.arange(4.0)},
        {"a": torch.arange(4.0).double()},
        {"a": torch.arange(4.0).view(2, 2)},
        {"a": torch.tensor([0.0, 1.0, 2.0, 4.0])},
    ]
    assert weights_digest(base) == weights_digest({"a": torch.arange(8.0)[:4]})
    assert len({weights_digest(w) for w in [base, *others]}) == 5
