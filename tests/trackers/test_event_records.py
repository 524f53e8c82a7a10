"""Records of event files are, byte for byte, those of TensorBoard's own writer."""

from __future__ import annotations

import io
import random

import pytest
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow
from tensorboard.summary.writer.record_writer import RecordWriter

from cnnsweep.trackers.event_records import crc32c, read_records, write_record

RANDOM = random.Random(0).randbytes(5000)


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_checksum_of_the_examples_in_rfc_3720(data, checksum):
    assert crc32c(data) == checksum


@pytest.mark.parametrize("begin", [0, 1000])
def test_checksum_of_every_length_is_tensorboards(begin):
    lengths = [*range(600), 1023, 1024, 1025, 4000]
    wrong = [
        n for n in lengths if crc32c(RANDOM[begin : begin + n]) != pywrap_tensorflow.crc32c(RANDOM[begin : begin + n])
    ]
    assert wrong == []


@pytest.mark.parametrize("data", [bytes(1000), b"\xff" * 1000])
def test_checksum_of_equal_bytes_is_tensorboards(data):
    assert crc32c(data) == pywrap_tensorflow.crc32c(data)


@pytest.mark.parametrize("length", [0, 43, 99, 100, 256, 3000])
def test_record_is_that_of_tensorboards_writer(length):
    ours, theirs = io.BytesIO(), io.BytesIO()
    write_record(ours.write, RANDOM[:length])
    RecordWriter(theirs).write(RANDOM[:length])
    assert ours.getvalue() == theirs.getvalue()


@pytest.mark.parametrize("wrong", [0, 9, 13, 60])  # in the length, its checksum, the data, their checksum
def test_reading_ends_at_the_first_record_that_is_damaged(tmp_path, wrong):
    written = io.BytesIO()
    for data in (b"first", RANDOM[:46], b"last"):
        write_record(written.write, data)
    content = bytearray(written.getvalue())
    content[12 + 5 + 4 + wrong] ^= 1
    (tmp_path / "events").write_bytes(content)
    with (tmp_path / "events").open("rb") as file:
        assert list(read_records(file)) == [b"first"]
