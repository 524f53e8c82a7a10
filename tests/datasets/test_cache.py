import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest

from cnnsweep.datasets.cache import (
    cache_entries,
    cache_limit_bytes,
    cache_problem,
    make_room,
    remove_cache_entries,
)
from cnnsweep.datasets.decode import Form
from cnnsweep.datasets.decoded_cache import CacheEntry, Index, Sizes
from cnnsweep.errors import UsageError

KEYS = [digit * 32 for digit in "abc"]
INDEX = Index(Form(2, 2, 1), {}, "f" * 64, Sizes(1, (2, 2), (2, 2)))
IMAGES = np.arange(400, dtype=np.uint8).reshape(100, 1, 2, 2)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CNNSWEEP_CACHE_GB", raising=False)
    return tmp_path / "cache"


def keep(cache: Path, key: str, age_s: float = 0) -> None:
    """Write an entry that was last used some time ago."""
    CacheEntry(cache, key).write(INDEX, [IMAGES])
    then = time.time() - age_s
    for file in cache.glob(f"{key}.*"):
        os.utime(file, (then, then))


def bytes_of(cache: Path, key: str) -> int:
    return sum(file.stat().st_size for file in cache.glob(f"{key}.*"))


def test_entries_are_told_with_size_and_last_use_the_oldest_first(cache: Path) -> None:
    assert cache_entries() == []
    for key, age_s in zip(KEYS, (10, 1000, 100), strict=True):
        keep(cache, key, age_s)
    (cache / "notes.json").write_text("not ours")
    (cache / "folder").mkdir()
    entries = cache_entries()
    assert [entry.key for entry in entries] == [KEYS[1], KEYS[2], KEYS[0]]
    assert [entry.size_bytes for entry in entries] == [bytes_of(cache, entry.key) for entry in entries]
    assert [round(time.time() - entry.last_used, -1) for entry in entries] == [1000, 100, 10]


def test_reading_an_entry_makes_it_the_last_used(cache: Path) -> None:
    for key, age_s in zip(KEYS, (30, 20, 10), strict=True):
        keep(cache, key, age_s)
    assert CacheEntry(cache, KEYS[0]).read_index() == INDEX
    assert [entry.key for entry in cache_entries()] == [KEYS[1], KEYS[2], KEYS[0]]


def test_the_least_recently_used_go_when_the_cache_is_full(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(cache, KEYS[0], 1000)
    one = bytes_of(cache, KEYS[0])
    monkeypatch.setenv("CNNSWEEP_CACHE_GB", str(2.5 * one / 1e9))
    keep(cache, KEYS[1], 100)
    assert [entry.key for entry in cache_entries()] == [KEYS[0], KEYS[1]]
    keep(cache, KEYS[2])
    assert [entry.key for entry in cache_entries()] == [KEYS[1], KEYS[2]]
    keep(cache, KEYS[2])  # takes the place of its like, so nothing has to go
    assert {entry.key for entry in cache_entries()} == {KEYS[1], KEYS[2]}


@pytest.mark.parametrize("limit", ["0", "1e-7"])
def test_what_never_fits_is_not_kept_and_drives_nothing_out(
    limit: str, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keep(cache, KEYS[0])
    monkeypatch.setenv("CNNSWEEP_CACHE_GB", limit)
    keep(cache, KEYS[1])
    assert [entry.key for entry in cache_entries()] == [KEYS[0]]
    assert "decoded images are not cached: they take " in caplog.text


def test_an_unlimited_cache_keeps_everything(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNSWEEP_CACHE_GB", "inf")
    keep(cache, KEYS[0])
    assert make_room(1 << 60, KEYS[1])
    assert len(cache_entries()) == 1


@pytest.mark.parametrize("text", ["many", "-1", "nan", "1\x1b[2J"])
def test_a_limit_that_is_no_number_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNSWEEP_CACHE_GB", text)
    shown = text.replace("\x1b", "\\x1b")
    with pytest.raises(UsageError) as caught:
        cache_limit_bytes()
    assert str(caught.value) == f"CNNSWEEP_CACHE_GB: found '{shown}', allowed is a number of gigabytes from 0 to inf"


def test_entries_are_removed_and_nothing_else(cache: Path) -> None:
    for key in KEYS:
        keep(cache, key)
    others = ["notes.json", f"{KEYS[1]}.txt", f"{KEYS[1]}.json.bak", "0.images"]
    for name in others:
        (cache / name).write_text("not ours")
    expected = bytes_of(cache, KEYS[0]) * 2
    assert remove_cache_entries(KEYS[1:]) == expected
    assert remove_cache_entries(KEYS[1:]) == 0
    left = {file.name for file in cache.iterdir()}
    assert left == {*others, f"{KEYS[0]}.json", f"{KEYS[0]}.images"}


def test_what_a_killed_process_left_goes_once_it_is_old(cache: Path) -> None:
    cache.mkdir()
    old, new = (cache / f".{KEYS[0]}.images.{pid}.tmp" for pid in (1, 2))
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert remove_cache_entries([]) == 4
    assert list(cache.iterdir()) == [new]


def test_images_without_an_index_count_too(cache: Path) -> None:
    keep(cache, KEYS[0])
    (cache / f"{KEYS[0]}.json").unlink()  # killed between the two files
    assert [(entry.key, entry.size_bytes) for entry in cache_entries()] == [(KEYS[0], 400)]
    assert CacheEntry(cache, KEYS[0]).read_index() is None
    assert remove_cache_entries(KEYS) == 400


def test_a_truncated_or_flipped_index_is_absent_wherever_it_is_damaged(cache: Path) -> None:
    keep(cache, KEYS[0])
    entry, file = CacheEntry(cache, KEYS[0]), cache / f"{KEYS[0]}.json"
    whole = file.read_bytes()
    for place in range(len(whole)):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            file.write_bytes(damaged)
            assert entry.read_index() in (None, INDEX)  # a changed space or letter of an escape may mean the same
    for absent in (b"null", b"{}", b'{"sha256": 1, "body": 1}', b"[" * 100_000):
        file.write_bytes(absent)
        assert entry.read_index() is None


def test_images_of_another_length_are_absent(cache: Path) -> None:
    keep(cache, KEYS[0])
    entry, file = CacheEntry(cache, KEYS[0]), cache / f"{KEYS[0]}.images"
    (images,) = entry.read_images(INDEX.form, [100]) or [None]
    assert np.array_equal(images, IMAGES)
    for length in (0, 1, 399):
        file.write_bytes(bytes(length))
        assert entry.read_images(INDEX.form, [100]) is None
    file.write_bytes(bytes(401))
    assert entry.read_images(INDEX.form, [100]) is None
    file.unlink()
    assert entry.read_images(INDEX.form, [100]) is None


def test_large_images_are_written_in_pieces_and_empty_parts_are_no_trouble(cache: Path) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 256, (count, 1, 1000, 1000), dtype=np.uint8) for count in (3, 0, 1)]
    entry = CacheEntry(cache, KEYS[0])
    form = Form(1000, 1000, 1)
    entry.write(dataclasses.replace(INDEX, form=form), parts)
    read = entry.read_images(form, [3, 0, 1])
    assert read is not None
    assert all(np.array_equal(part, kept) for part, kept in zip(parts, read, strict=True))


def test_a_cache_folder_that_cannot_be_written_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_problem() is None
    assert list(cache.iterdir()) == []
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path / "file" / "below"))
    assert cache_problem() == (
        f"{tmp_path / 'file' / 'below'}: cannot be written (Not a directory); set CNNSWEEP_CACHE to another folder"
    )
    assert cache_entries() == []


def test_looking_at_the_cache_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    code = (
        "import sys, cnnsweep.datasets.cache; assert not {'torch', 'numpy', 'PIL', 'pandas', 'rich'} "
        "& set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
