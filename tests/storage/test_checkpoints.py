"""Checkpoints come back as they were, and a damaged one is refused."""

import dataclasses
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
import torch
from results_by_hand import standard_metrics
from safetensors.torch import save

from cnnsweep.errors import CheckpointError
from cnnsweep.storage.best_weights import load_best, save_best, weights_digest
from cnnsweep.storage.checkpoint import digest, encode_last, load_last, on_cpu
from cnnsweep.storage.paths import RunPaths
from cnnsweep.storage.rows import row_from_record
from cnnsweep.types import EpochRecord

RECORD = EpochRecord("r1", 2, standard_metrics(0.5, 0.8, 0.6, 0.7), 1.5, 3.0, 0.01, 10)
DESCRIPTION = {
    "run": "r", "epoch": 2, "model": {"name": "lenet", "arguments": {}}, "image_shape": [1, 28, 28],
    "classes": ["a", "b"], "pixels": {"mean": [0.0], "std": [1.0]}, "dataset": {}, "split": {},
}  # fmt: skip


def make_weights():
    return on_cpu({"w": torch.randn(3, 2, 5, 5).to(memory_format=torch.channels_last), "n": torch.tensor(7)})


def adam_state():
    parameter = torch.nn.Parameter(torch.randn(4))
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    parameter.sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def test_the_last_checkpoint_comes_back_with_its_optimizer(tmp_path):
    weights, optimizer = make_weights(), adam_state()
    paths = RunPaths(tmp_path)
    content = encode_last(RECORD, weights, optimizer)
    paths.last_checkpoint.write_bytes(content)
    last, damaged = load_last(paths, {digest(content): 2})
    assert last is not None
    assert damaged == {}
    assert last.record == RECORD
    assert last.weights.keys() == weights.keys()
    assert all(torch.equal(last.weights[name], weights[name]) for name in weights)
    assert torch.equal(last.optimizer["state"][0]["exp_avg"], optimizer["state"][0]["exp_avg"])
    assert last.optimizer["state"][0]["step"].shape == ()
    assert last.optimizer["param_groups"] == optimizer["param_groups"]  # tuples, None and booleans as they were


def test_a_missing_last_checkpoint_is_none(tmp_path):
    assert load_last(RunPaths(tmp_path), {}) == (None, {})


def damaged_versions(content):
    yield b""
    yield from (content[:length] for length in range(0, len(content), 97))
    yield from (
        content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :] for place in range(0, len(content), 61)
    )


def test_where_the_last_checkpoint_is_damaged_the_previous_one_counts(tmp_path):
    paths = RunPaths(tmp_path)
    earlier = encode_last(dataclasses.replace(RECORD, epoch=1), make_weights(), {})
    content = encode_last(RECORD, make_weights(), {})
    known = {digest(earlier): 1, digest(content): 2}
    paths.previous_checkpoint.write_bytes(earlier)
    for damaged_content in damaged_versions(content):
        paths.last_checkpoint.write_bytes(damaged_content)
        last, damaged = load_last(paths, known)
        assert last is not None
        assert last.record.epoch == 1
        assert list(damaged.values()) == [f"{paths.last_checkpoint}: is damaged (its SHA-256 is not in the journal)"]
    paths.last_checkpoint.write_bytes(content)
    last, damaged = load_last(paths, known)
    assert last is not None
    assert last.record.epoch == 2
    assert damaged == {}


def test_a_checkpoint_of_an_earlier_version_is_read_and_a_newer_one_counts(tmp_path):
    paths = RunPaths(tmp_path)
    weights, optimizer = make_weights(), adam_state()
    record = {"run_id": "r1", **row_from_record(RECORD)}
    torch.save({"version": 1, "record": record, "weights": weights, "optimizer": optimizer}, paths.pickled_checkpoint)
    known = {digest(paths.pickled_checkpoint.read_bytes()): 2}
    last, damaged = load_last(paths, known)
    assert last is not None
    assert damaged == {}
    assert last.record == RECORD
    assert torch.equal(last.weights["w"], weights["w"])
    content = encode_last(dataclasses.replace(RECORD, epoch=3), weights, optimizer)
    paths.last_checkpoint.write_bytes(content)
    last, _ = load_last(paths, {**known, digest(content): 3})
    assert last is not None
    assert last.record.epoch == 3


class Hostile:
    def __reduce__(self):
        return Path.write_text, (Path("hostile-code-ran"), "")


def pickles_of_strangers(tmp_path):
    good = {"version": 1, "record": dataclasses.asdict(RECORD), "weights": make_weights(), "optimizer": {}}
    yield "code", {**good, "optimizer": Hostile()}
    yield "stride 0", {**good, "weights": {"w": torch.zeros(1).expand(10**12)}}
    yield "no record", {**good, "record": {"run_id": "r"}}
    yield "no weights", {"version": 1}
    yield "a list", [1, 2]


def test_a_pickle_of_a_stranger_is_refused_though_the_journal_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = RunPaths(tmp_path)
    for what, value in pickles_of_strangers(tmp_path):
        torch.save(value, paths.pickled_checkpoint)
        last, damaged = load_last(paths, {digest(paths.pickled_checkpoint.read_bytes()): 2})
        assert last is None, what
        assert "cannot be read" in damaged[paths.pickled_checkpoint], what
        assert "weights_only" not in damaged[paths.pickled_checkpoint], what  # torch's way to run what is in it
        assert len(damaged[paths.pickled_checkpoint]) < 400, what
    assert not (tmp_path / "hostile-code-ran").exists()


def test_a_pickle_that_unpacks_to_more_than_itself_is_refused(tmp_path):
    paths = RunPaths(tmp_path)
    plain = io.BytesIO()
    torch.save({"version": 1, "weights": {"w": torch.zeros(10**6)}}, plain)
    with (
        zipfile.ZipFile(plain) as archive,
        zipfile.ZipFile(paths.pickled_checkpoint, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for member in archive.namelist():
            bomb.writestr(member, archive.read(member))
    assert paths.pickled_checkpoint.stat().st_size < 20_000
    last, damaged = load_last(paths, {digest(paths.pickled_checkpoint.read_bytes()): 2})
    assert last is None
    assert "its members are larger than the file" in damaged[paths.pickled_checkpoint]


@pytest.mark.parametrize(
    "about",
    ["[]", "{}", "[" * 100_000, '{"version": 9}', '{"version": 2, "record": {}, "optimizer": 1}', "not json",
     '{"version": 2, "record": {"run_id": "r"}, "optimizer": {"tensor": "gone"}}'],
)  # fmt: skip
def test_a_last_checkpoint_of_a_stranger_is_refused_though_the_journal_names_it(tmp_path, about):
    paths = RunPaths(tmp_path)
    paths.last_checkpoint.write_bytes(save({"weights.w": torch.zeros(2)}, {"cnnsweep-last": about}))
    last, damaged = load_last(paths, {digest(paths.last_checkpoint.read_bytes()): 2})
    assert last is None
    assert "cannot be read" in damaged[paths.last_checkpoint]


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
    save_best(RunPaths(tmp_path), on_cpu({"a": tied, "b": tied}), DESCRIPTION)
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


def test_a_pipe_in_the_place_of_a_checkpoint_is_not_waited_for(tmp_path):
    paths = RunPaths(tmp_path)
    os.mkfifo(paths.last_checkpoint)
    last, damaged = load_last(paths, {})
    assert last is None
    path = paths.last_checkpoint
    assert damaged[path] == f"{path}: cannot be read (it is a pipe or a device, not a file)"
