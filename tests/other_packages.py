"""Packages with entry points, as another project installs them, and the command line in a process that sees them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def install(folder: Path, module: str, code: str, group: str, **points: str) -> None:
    """Put a package of one module below a folder; `points` are the entry points, such as `blobs="blobs:Blobs"`."""
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    metadata = folder / f"{module}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{lines}")


def cnnsweep(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder, with the packages below it."""
    return subprocess.run(
        [sys.executable, "-m", "cnnsweep", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
