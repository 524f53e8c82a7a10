"""Check of the free disk space before training."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from cnnsweep.errors import DiskFullError
from cnnsweep.formatting.numbers import bytes_text
from cnnsweep.planning.cost import disk_bytes
from cnnsweep.types import Run


def refuse_full_disk(
    folder: Path, runs: Sequence[Run], parameters: Mapping[str, int], images: int, *, histograms: bool
) -> str | None:
    """Return a warning if the disk is too small for all of these runs, else None.

    Args:
        folder: the existing folder of the sweep.
        parameters: numbers of parameters by run id.
        images: number of training images.
        histograms: TensorBoard's files include histograms.

    Raises:
        DiskFullError: the disk is too small for a single run.
    """
    needed = [disk_bytes([run], parameters, images, histograms=histograms) for run in runs]
    free = shutil.disk_usage(folder).free
    place = f"{folder}: {bytes_text(free)} of disk are free"
    if free < max(needed, default=0):
        raise DiskFullError(
            f"{place}, and one run alone needs about {bytes_text(max(needed))}; free some space, or choose another "
            "folder with --out"
        )
    if free < sum(needed):
        return (
            f"{place}, and the runs to come need about {bytes_text(sum(needed))}: free some space meanwhile. If it "
            "runs out, the sweep stops and loses nothing"
        )
    return None
