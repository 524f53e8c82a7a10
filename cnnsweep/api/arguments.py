"""Arguments of `run` and `plan`: sweep file, overrides, folder and fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnsweep.errors import UsageError
from cnnsweep.executors.options import check_count

if TYPE_CHECKING:
    from cnnsweep.config.schema import SweepSpec


def all_overrides(overrides: Sequence[str], device: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the overrides of a sweep file, with one for the device."""
    if device is None:
        return tuple(overrides)
    return (*overrides, f"device={device if isinstance(device, str) else ','.join(device)}")


def target_folder(spec: SweepSpec, folder: str | Path | None) -> Path:
    """Return the sweep's own folder, `runs/<name>` by default."""
    return Path("runs") / spec.name if folder is None else Path(folder)


def check_fuse(fuse: str | int) -> str | int:
    """Return auto, off, or the largest number of runs in a group.

    Raises:
        UsageError: it is none of these.
    """
    if fuse not in ("auto", "off"):
        check_count("fuse", fuse, or_="'auto', 'off'")
    return "off" if fuse == 1 else fuse


def load_spec(spec: str | Path | Mapping[str, Any], overrides: Sequence[str]) -> SweepSpec:
    """Return the sweep of a file, a text or a dict.

    Raises:
        CnnSweepError: it is no valid sweep file.
    """
    from cnnsweep.config.load import load_sweep, parse_sweep

    if isinstance(spec, Mapping):
        import yaml

        try:
            text = yaml.safe_dump(dict(spec), sort_keys=False)
        except yaml.YAMLError as error:
            raise UsageError(f"spec: {error}; allowed are numbers, texts, true, false, lists and dicts") from error
        return parse_sweep(text, "the dict", overrides)
    if isinstance(spec, str) and "\n" in spec:
        return parse_sweep(spec, "the text", overrides)
    return load_sweep(Path(spec), overrides)
