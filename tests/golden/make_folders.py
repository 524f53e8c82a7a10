"""Makes the frozen folders: one archive a kind of sweep, trained to its end, and again until it was killed.

    python tests/golden/make_folders.py OUT [KIND...]

It knows cnnsweep by its command line alone, so that any version can make them: put that version on PYTHONPATH. To
compare with an older one on a machine that computes otherwise than the one on which the archives were made, have that
one write its own, and name their folder in CNNSWEEP_GOLDEN when the tests are run.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from golden_folders import KINDS, Kind, computes_like, event_shapes, events, metrics_by_epoch

# Counts what is synced to the disk, and dies of a SIGKILL after so much of it.
_PROGRAM = """
import os, runpy, sys
sync, done, last, count_file = os.fsync, 0, int(sys.argv[1]), sys.argv[2]
def fsync(descriptor):
    global done
    sync(descriptor)
    done += 1
    if done == last:
        os.kill(os.getpid(), 9)
os.fsync = fsync
sys.argv = ["cnnsweep", *sys.argv[3:]]
try:
    runpy.run_module("cnnsweep", run_name="__main__")
finally:
    with open(count_file, "w") as file:
        file.write(str(done))
"""
_HOST = os.uname().nodename


def cnnsweep(*arguments: str, folder: Path, dies_at: int = 0) -> tuple[str, int]:
    """Run a command; return its output, and how often it synced."""
    counted = folder / "count.txt"
    command = [sys.executable, "-c", _PROGRAM, str(dies_at), str(counted), *arguments]
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=folder, env={**os.environ, **threads}, capture_output=True, text=True)
    assert ended.returncode == (-signal.SIGKILL if dies_at else 0), ended.stderr
    return ended.stdout, 0 if dies_at else int(counted.read_text())


def make(kind: Kind, folder: Path) -> None:
    """Train a sweep whole and cut, and write down what reports and evaluation say of them."""
    (folder / "sweep.yaml").write_text(kind.file, encoding="utf-8")
    run = ("run", "sweep.yaml", "--quiet", *kind.options)
    _, syncs = cnnsweep(*run, "--out", "whole", folder=folder)
    cnnsweep(*run, "--out", "cut", folder=folder, dies_at=int(kind.killed_at * syncs))
    done, ends = len(metrics_by_epoch(folder / "cut")), sum(one["event"] == "ended" for one in events(folder / "cut"))
    assert 0 < done < len(metrics_by_epoch(folder / "whole")), done
    print(f"  cut after {done} epochs of {len(metrics_by_epoch(folder / 'whole'))}, {ends} runs ended")
    expected: dict[str, Any] = {"computes_like": computes_like()}
    if kind.needs is not None:
        expected["needs"] = {kind.needs: importlib.metadata.version(kind.needs)}
    for name in ("whole", "cut"):
        report, _ = cnnsweep("report", name, "--format", "json", folder=folder)
        expected[f"report of {name}"] = json.loads(report)
    shutil.copytree(folder / "whole", folder / "measured")
    measured, _ = cnnsweep("evaluate", "measured", "--quiet", "--json", folder=folder)
    expected["evaluation"] = json.loads(measured.replace('"measured/', '"whole/'))
    shutil.copytree(folder / "cut", folder / "resumed")
    cnnsweep(*run, "--out", "resumed", folder=folder)
    written = [event for name in ("whole", "measured", "resumed") for event in events(folder / name)]
    expected["events"] = event_shapes(written)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1), encoding="utf-8")


def pack(folder: Path, target: Path) -> None:
    """Write an archive that holds nothing of the machine and the moment."""
    names = ["expected.json", "whole", "cut"]
    files = sorted(path for name in names for path in [folder / name, *(folder / name).rglob("*")] if path.is_file())
    with tarfile.open(target, "w:xz", preset=9) as archive:
        for path in files:
            name, content = str(path.relative_to(folder)).replace(f".{_HOST}.", ".host."), path.read_bytes()
            if path.name == "environment.json":
                content = _anonymous(json.loads(content))
            elif path.name == ".lock-owner.json":
                content = json.dumps({**json.loads(content), "host": "host"}).encode()
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))


def _anonymous(environment: Mapping[str, Any]) -> bytes:
    plain = {"host": "host", "folder": "/sweeps", "git": None, "processor": "processor"}
    changed = {key: plain.get(key, value) for key, value in environment.items()}
    return (json.dumps(changed, indent=2) + "\n").encode()


def main(out: Path, names: Sequence[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in names or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            print(name)
            make(KINDS[name], Path(folder))
            pack(Path(folder), out / f"{name}.tar.xz")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
