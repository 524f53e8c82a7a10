"""Recovers lost journal lines (the sweep's and the runs') from the files beside the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnsweep.analysis.json_reader import parse_json
from cnnsweep.analysis.results import load_results
from cnnsweep.config.load import load_sweep
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.yaml import MAX_BYTES
from cnnsweep.errors import CnnSweepError
from cnnsweep.storage.journal import VERSION
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.read_limited import read_bounded
from cnnsweep.storage.results_tables import LABEL_FIELDS

_FACTS = (
    *("name", "description", "dataset", "model", "validation", "folds", "seed", "metric", "mode", "scope"),
    *("search", "early_stop", "precision", "device", "threads"),
)


@dataclass(frozen=True, slots=True)
class KnownResults:
    """Events by the files beside a journal.

    Attributes:
        sweep: the `sweep` event; None if a file that it needs is missing or damaged.
        runs: the `run` events by the runs' ids, in the order of their announcement.
        stops: the verdicts that stopped runs, by the runs' ids, as a `judged` event has them.
        named: the trials that the sweep file names, without those of a search.
    """

    sweep: Mapping[str, Any] | None = None
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stops: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    named: frozenset[str] = frozenset()


def read_known_results(paths: SweepPaths) -> KnownResults:
    """Return the content of results.json, sweep.yaml and environment.json; nothing if they are damaged."""
    spec = _frozen_spec(paths)
    named = frozenset() if spec is None else _named_trials(spec)
    try:
        results = load_results(paths.folder)  # checks the types of all that is taken from the file
        content = parse_json(paths.results_json)
    except CnnSweepError:
        return KnownResults(named=named)
    started = content["sweep"]["started"]
    runs = {
        row["id"]: {
            "event": "run",
            "run": row["id"],
            "name": row["run"],
            "settings": {name: row.get(name) for name in results.sweep.hyperparameters},
            "parameters": row.get("parameters") or 0,
            "configuration": row.get("configuration") or row["id"],
            "fold": row.get("fold"),
            "epochs": None,  # so that the next command announces the run again, with everything
            "time": started,
        }
        for row in content["runs"]
    }
    stops = {
        row["id"]: {"configuration": runs[row["id"]]["configuration"], "stops": True, **row["stop"]}
        for row in content["runs"]
        if row.get("stop") is not None
    }
    return KnownResults(
        _sweep_event(paths, spec, content["sweep"], [run.id for run in results.former]), runs, stops, named
    )


def _sweep_event(
    paths: SweepPaths, spec: SweepSpec | None, sweep: Mapping[str, Any], former: Sequence[str]
) -> Mapping[str, Any] | None:
    import dataclasses

    try:
        fingerprint = parse_json(paths.environment)["data_sha256"]
    except (CnnSweepError, LookupError, TypeError):
        return None
    if spec is None or not isinstance(fingerprint, str) or not all(name in sweep for name in _FACTS):
        return None
    return {
        "event": "sweep",
        "version": VERSION,
        **{name: sweep[name] for name in _FACTS},
        "fingerprint": fingerprint,
        "normalize": dataclasses.asdict(spec.dataset_choice.normalize),
        **({} if spec.dataset_choice.subset is None else {"subset": spec.dataset_choice.subset}),
        "overrides": [],
        "former": former,
        **{name: sweep.get(name) for name in ("validation_images", "largest_class")},
        **{name: sweep[name] for name in LABEL_FIELDS if sweep.get(name) is not None},
        "spec": read_bounded(paths.frozen_spec, MAX_BYTES).decode("utf-8"),
        "time": sweep["started"],
    }


def _frozen_spec(paths: SweepPaths) -> SweepSpec | None:
    try:
        return load_sweep(paths.frozen_spec, allow_code=False)
    except (CnnSweepError, OSError, ValueError):
        return None


def _named_trials(spec: SweepSpec) -> frozenset[str]:
    from cnnsweep.config.trials import expand_runs

    if spec.search is None:  # a grid has no rounds that could name others
        return frozenset()
    try:
        return frozenset(run.trial_id for run in expand_runs(spec).runs)
    except CnnSweepError:
        return frozenset()
