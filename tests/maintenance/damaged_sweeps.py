"""A small sweep to damage, and what must be true of it after a repair."""

from __future__ import annotations

import shutil
from pathlib import Path

from small_sweeps import SilentDisplay, sweep, untimed

from cnnsweep.maintenance.check_sweep import check_sweep, find_sweep
from cnnsweep.maintenance.diagnostic import Diagnostic, has_problems
from cnnsweep.maintenance.repair import repair_sweep

# By its loss the best epoch is the last one, so that the last checkpoint has the best weights too.
OVERRIDES = ("metric=val_loss", "tensorboard.histograms=false", "tensorboard.images=false")


def make_sweep(folder: Path, fuse: object = "off") -> Path:
    sweep(folder, overrides=OVERRIDES, fuse=fuse)
    return folder


def copy_of(folder: Path, target: Path) -> Path:
    if target.exists():
        shutil.rmtree(target)
    return Path(shutil.copytree(folder, target))


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def check(folder: Path) -> list[Diagnostic]:
    return check_sweep(find_sweep(folder), silent)


def repair(folder: Path) -> list[str]:
    return repair_sweep(find_sweep(folder), silent)


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)


def write_lines(folder: Path, lines: list[bytes]) -> None:
    (folder / "journal.jsonl").write_bytes(b"".join(lines))


def flipped(data: bytes, place: float = 0.5) -> bytes:
    changed = bytearray(data)
    changed[int(place * (len(data) - 1))] ^= 1
    return bytes(changed)


def assert_repairs(
    folder: Path, whole: Path, label: object, overrides: tuple[str, ...] = OVERRIDES, fuse: object = "off"
) -> int:
    """Repair, run again, compare with the undamaged sweep; return how many epochs were trained anew."""
    repair(folder)
    assert not has_problems(check(folder)), (label, check(folder))
    display = SilentDisplay()
    sweep(folder, display=display, overrides=overrides, fuse=fuse)
    assert untimed(folder) == untimed(whole), label
    assert not has_problems(check(folder)), (label, check(folder))
    return len(display.records)
