"""The files of one run: additions of an epoch, and the return to an earlier epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from cnnsweep.errors import CheckpointError, CheckpointSizeError, FolderError
from cnnsweep.storage.atomic_files import (
    append_to,
    make_folder,
    remove_file,
    remove_leftovers,
    replace_and_keep,
    replace_file,
    unwritable,
)
from cnnsweep.storage.best_weights import load_best, save_best
from cnnsweep.storage.checkpoint import LastCheckpoint, load_last
from cnnsweep.storage.paths import RunPaths
from cnnsweep.storage.read_limited import MOST_BYTES, read_bounded
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState
from cnnsweep.storage.verified_weights import why_weights_of_others
from cnnsweep.types import EpochReport


class RunFiles:
    """Log, batch losses and checkpoints of a run; the events of trackers are files of their own.

    Every method raises FolderError if the disk is full or the folder cannot be written.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths

    def make_folder(self) -> None:
        """Create the run's folder if missing.

        Raises:
            FolderError: a symbolic link is in its place, which would lead our files somewhere else.
        """
        if self.paths.folder.is_symlink():
            raise FolderError(f"{self.paths.folder}: is a symbolic link; a run's folder must not be one: remove it")
        make_folder(self.paths.folder)

    def log(self, line: str, details: str | None = None) -> None:
        """Add a line to the log, with the time."""
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        append_to(self.paths.log, f"{stamp}  {line}\n" + (f"{details}\n" if details else ""))

    def add_batch_losses(self, report: EpochReport) -> None:
        """Add an epoch's losses; `last.safetensors`, which follows, commits them."""
        epoch, steps = report.record.epoch, report.record.steps
        losses = enumerate(report.batch_losses.tolist(), start=(epoch - 1) * steps + 1)
        lines = "".join([f"{epoch},{step},{loss!r}\n" for step, loss in losses])
        append_to(self.paths.batch_losses, lines, heading="epoch,step,loss\n", sync=True)

    def save_last(self, content: bytes) -> None:
        """Replace the last checkpoint; the one before stays as the previous one."""
        replace_and_keep(self.paths.last_checkpoint, self.paths.previous_checkpoint, content)
        if self.paths.pickled_checkpoint.exists():
            remove_file(self.paths.pickled_checkpoint)

    def remove_previous(self) -> None:
        """Remove the checkpoint before the last one, which was kept in case the last one is damaged."""
        try:
            remove_file(self.paths.previous_checkpoint)
        except OSError as error:
            raise unwritable(self.paths.previous_checkpoint, error) from error

    def save_best(self, weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
        """Replace the best weights; see `best_weights.save_best`."""
        save_best(self.paths, weights, description)

    def load_last(self, known: Mapping[str, int]) -> tuple[LastCheckpoint | None, dict[Path, str]]:
        """Return the newest intact checkpoint, and the problems of others; see `checkpoint.load_last`."""
        return load_last(self.paths, known)

    def problem_of_best(self, history: SweepState, run: RunState, epoch: int) -> str | None:
        """Return why the best weights do not belong to a run's epoch, in words; None if they do.

        Raises:
            CheckpointSizeError: there is not enough memory to compare.
        """
        try:
            found = load_best(self.paths.best_weights).description
        except CheckpointSizeError:
            raise
        except CheckpointError as error:
            return str(error)
        if found["epoch"] != epoch:
            return f"{self.paths.best_weights}: is not of epoch {epoch}"
        problem = why_weights_of_others(found, history, run)
        return None if problem is None else f"{self.paths.best_weights}: {problem}"

    def go_back(self, last: LastCheckpoint | None, damaged: Iterable[Path]) -> None:
        """Remove everything newer than a checkpoint, and incomplete files of a killed process; all of it for None.

        Args:
            damaged: unusable checkpoints.
        """
        try:
            remove_leftovers(self.paths.folder)
            remove_file(self.paths.evaluation)  # the run trains on, and may find better weights
            if last is None:
                self._start_over()
                return
            for path in damaged:  # or the next epoch would keep it as the previous one
                remove_file(path)
            if self.paths.batch_losses.exists():
                lines = read_bounded(self.paths.batch_losses, MOST_BYTES).decode("ascii").splitlines(keepends=True)
                kept = 1 + last.record.epoch * last.record.steps  # and the heading
                if len(lines) > kept:
                    replace_file(self.paths.batch_losses, "".join(lines[:kept]))
        except OSError as error:
            raise unwritable(self.paths.folder, error) from error

    def _start_over(self) -> None:
        paths = self.paths
        checkpoints = (paths.last_checkpoint, paths.previous_checkpoint, paths.pickled_checkpoint)
        for path in (*checkpoints, paths.best_weights, paths.best_description, paths.batch_losses):
            remove_file(path)
        for path in paths.event_files:
            remove_file(path)
