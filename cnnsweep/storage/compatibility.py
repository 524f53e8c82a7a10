"""Compatibility of a sweep file with the results in its folder, and the changes since the last command."""

from collections.abc import Mapping
from typing import Any

from cnnsweep.errors import FolderError
from cnnsweep.metrics.names import without_prefix
from cnnsweep.metrics.objective import BEST
from cnnsweep.storage.atomic_files import to_json
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepState

# The metrics of two runs are comparable if these agree; all else may change between two commands on one folder.
_MUST_AGREE = (
    *("name", "dataset", "fingerprint", "normalize", "validation", "folds", "seed", "metric", "mode", "scope"),
    *("precision", "subset"),
)
# By the key of a sampler's and a pruner's code: what its former version has decided.
_STAYS = {"search": "trials that it has chosen stay", "early_stop": "runs that it has stopped stay stopped"}
_STAYS_BY_NAME = {"metrics": "measured epochs stay", "callbacks": "trained epochs stay"}
# The meaning of a journal without these: it is from before they were written, or a subset is not used.
_SINCE = {"folds": None, "scope": BEST, "subset": None}


def refuse_other_sweep(
    paths: SweepPaths, history: SweepState, facts: Mapping[str, Any], fingerprint_before: str | None = None
) -> None:
    """Raise if results of this sweep would be mixed with others.

    Args:
        fingerprint_before: see `Dataset`.

    Raises:
        FolderError: the folder holds another sweep, or files that no sweep wrote.
    """
    if history.sweep is None:
        foreign = [p.name for p in paths.folder.iterdir() if not p.name.startswith(".")]
        # An empty journal is what --fresh leaves, or a crash in the very first moment.
        if foreign and not paths.journal.exists():
            raise FolderError(
                f"{paths.folder}: holds other files ({', '.join(sorted(foreign)[:3])}…) and no journal; "
                "choose another folder with --out"
            )
        return
    # As JSON, since a tuple comes back from the journal as a list.
    before = {key: _value(history.sweep, key) for key in _MUST_AGREE}
    changed = [key for key in _MUST_AGREE if to_json(before[key]) != to_json(_value(facts, key))]
    if changed:
        raise FolderError(
            f"{paths.folder}: holds a sweep whose results cannot be compared with this one: "
            f"{'; '.join(_difference(key, before[key], _value(facts, key), fingerprint_before) for key in changed)}. "
            "Choose another folder with --out, give the sweep another name, or start over with --fresh"
        )


def _value(facts: Mapping[str, Any], key: str) -> Any:
    return facts.get(key, _SINCE[key]) if key in _SINCE else facts[key]


def _difference(key: str, before: Any, now: Any, fingerprint_before: str | None) -> str:
    if key == "fingerprint" and before == fingerprint_before:
        return "the data set's own validation part is held out now, and was not when this sweep began"
    if key == "fingerprint":
        return f"the data changed (SHA-256 {before[:12]}…, now {now[:12]}…)"
    return f"{key} was {to_json(before)}, is now {to_json(now)}"


def what_changed(history: SweepState, facts: Mapping[str, Any]) -> list[str]:
    """Return in lines how the sweep file, and the code that it names, differ from the last time; none if equal."""
    if history.sweep is None:
        return []
    return [*_changed_lines(history.sweep, facts), *_changed_code(history.sweep, facts)]


def _changed_lines(last: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    if last["spec"] == facts["spec"]:
        return []
    before, now = last["spec"].splitlines(), facts["spec"].splitlines()
    gone = [f"  - {line.strip()}" for line in before if line not in now]
    new = [f"  + {line.strip()}" for line in now if line not in before]
    return ["the sweep file changed since the last time; runs that are done stay:", *gone, *new]


def has_other_spec(history: SweepState, facts: Mapping[str, Any]) -> bool:
    """True if the last command had another sweep file, or was of a version before the journal had former runs."""
    before = history.sweep
    return before is not None and (before["spec"] != facts["spec"] or "former" not in before)


def _changed_code(last: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """Return a line about each sampler, pruner, metric or callback of the same name, but other code."""
    before, now = last.get("code", {}), facts.get("code", {})
    decides = without_prefix(facts["metric"])
    lines = [
        f"{key}: the code of {name} changed since the last time; "
        + ("it decides, so all runs train again" if (key, name) == ("metrics", decides) else stays)
        for key, stays in _STAYS_BY_NAME.items()
        for name, code in now.get(key, {}).items()
        if before.get(key, {}).get(name, code) != code
    ]
    return lines + [
        f"{key}: the code of {facts[key]['method']} changed since the last time; {_STAYS[key]}"
        for key in _STAYS
        if key in now and last.get(key) is not None and before.get(key, now[key]) != now[key]
        if last[key].get("method") == facts[key]["method"]
    ]
