"""Names of runs: the values that vary, and the first digits of the id."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from cnnsweep.config.identity import FULL_ID
from cnnsweep.types import OR_NONE

MAX_NAME_LENGTH = 120
_SHORT_ID = 6  # hex digits


def short_ids(run_ids: Iterable[str]) -> dict[str, str]:
    """Return the first digits of each id: six, and more for those that would look the same."""
    ids = list(run_ids)
    short_ids: dict[str, str] = {}
    for length in range(_SHORT_ID, FULL_ID + 1):
        counts = Counter(run_id[:length] for run_id in ids)
        for run_id in ids:
            if counts[run_id[:length]] == 1:
                short_ids.setdefault(run_id, run_id[:length])
    return short_ids


def run_name(params: Mapping[str, Any], short_id: str) -> str:
    """Return the name of a run, which is that of its folder."""
    # Of other keys, None is a value that the optimizer leaves unused.
    parts = [f"{key}={_short(value)}" for key, value in params.items() if value is not None or key in OR_NONE]
    text = re.sub(r"[^A-Za-z0-9._=,+-]", "_", ",".join(parts)) or "run"
    return f"{text[: MAX_NAME_LENGTH - len(short_id) - 1]}-{short_id}"


def _short(value: Any) -> str:
    """Return a value as it stands in a run's name: `0.01`, `true`, `6+12`, `cosine+warmup=2`."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "+".join(map(_short, value))
    if isinstance(value, Mapping):
        rest = [f"{key}={_short(item)}" for key, item in value.items() if key != "name"]
        return "+".join([_short(value["name"]), *rest] if "name" in value else rest)
    return str(value)
