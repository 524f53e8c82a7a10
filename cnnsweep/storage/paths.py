"""All file names of a sweep, in one place."""

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cnnsweep.errors import FolderError

_LONGEST_NAME = 255  # bytes, in all file systems that are in use


def is_folder_name(name: object) -> bool:
    """True for the name of one folder: a name in an untrusted file must not lead out of the sweep's folder."""
    if not isinstance(name, str) or name in ("", ".", "..") or any(char in name for char in "/\\:\0"):
        return False
    return len(name.encode("utf-8", "replace")) <= _LONGEST_NAME and not _has_surrogates(name)


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def refuse_undecodable(path: Path) -> None:
    """Raise if a name cannot be passed to other programs: safetensors and TensorBoard require text.

    Python has bytes of a name that are no text in the file system's encoding as lone surrogates.

    Raises:
        FolderError: the name is not text.
    """
    if _has_surrogates(str(path)):
        raise FolderError(
            f"{path}: has bytes in its name that are no text here, so neither safetensors nor "
            "TensorBoard could open it; choose another name, or, if they are UTF-8, set PYTHONUTF8=1"
        )


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run."""

    folder: Path

    @property
    def best_weights(self) -> Path:
        return self.folder / "best.safetensors"

    @property
    def best_description(self) -> Path:
        return self.folder / "best.json"

    @property
    def last_checkpoint(self) -> Path:
        return self.folder / "last.safetensors"

    @property
    def previous_checkpoint(self) -> Path:
        return self.folder / "previous.safetensors"

    @property
    def pickled_checkpoint(self) -> Path:  # of cnnsweep before it wrote safetensors
        return self.folder / "last.pt"

    @property
    def batch_losses(self) -> Path:
        return self.folder / "batch_loss.csv"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def evaluation(self) -> Path:
        return self.folder / "evaluation.json"

    @property
    def event_files(self) -> list[Path]:  # TensorBoard's, in the order in which they were begun
        return sorted(self.folder.glob("events.out.tfevents.*"))


@dataclass(frozen=True, slots=True)
class SweepPaths:
    """The files of one sweep."""

    folder: Path

    @property
    def frozen_spec(self) -> Path:
        return self.folder / "sweep.yaml"

    @property
    def environment(self) -> Path:
        return self.folder / "environment.json"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def results_json(self) -> Path:
        return self.folder / "results.json"

    @property
    def results_csv(self) -> Path:
        return self.folder / "results.csv"

    @property
    def runs_csv(self) -> Path:
        return self.folder / "runs.csv"

    @property
    def lock(self) -> Path:
        return self.folder / ".lock"

    @property
    def lock_owner(self) -> Path:
        return self.folder / ".lock-owner.json"

    def run(self, name: str) -> RunPaths:
        """Return the paths of the run with this folder name."""
        return RunPaths(self.folder / name)


TEMPORARY = ".tmp"  # how names of files end that are not whole yet


def temporary_name(path: Path, process: int) -> Path:
    """Return the name of a file while a process writes it."""
    return path.with_name(f".{path.name}.{process}{TEMPORARY}")


def is_leftover(path: Path) -> bool:
    """True for an incomplete file of a killed process: its name is one of ours, so that no other file matches."""
    try:
        return _LEFTOVER.fullmatch(path.name) is not None and stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _names() -> list[str]:
    of_sweep, of_run = SweepPaths(Path()), RunPaths(Path())
    files = (
        *(of_sweep.frozen_spec, of_sweep.environment, of_sweep.results_json, of_sweep.results_csv, of_sweep.runs_csv),
        *(of_sweep.lock_owner, of_run.best_weights, of_run.best_description, of_run.last_checkpoint),
        *(of_run.previous_checkpoint, of_run.pickled_checkpoint, of_run.batch_losses, of_run.log, of_run.evaluation),
    )
    journals = re.escape(of_sweep.journal.name) + r"(?:\.[a-z]+-\d+)?"  # damaged and rescued ones
    return [*(re.escape(file.name) for file in files), journals, r"events\.out\.tfevents\..+"]


_LEFTOVER = re.compile(rf"\.(?:{'|'.join(_names())})\.\d+{re.escape(TEMPORARY)}", re.DOTALL)
