"""Recorded differences between sweeps, and warnings where they make metrics hard to compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnsweep.analysis.axes import canonical
from cnnsweep.analysis.compare_sources import Source
from cnnsweep.metrics.names import is_on_validation
from cnnsweep.metrics.objective import BEST, LAST, Objective

# Keys of a sweep file that do not affect metrics, or that results.json also has.
_NOT_COMPARED = ("name", "description", "tensorboard", "dataset.name", "model.name", "validation")
_TOLD_OTHERWISE = ("seed", "seeds", "metric", "mode", "scope", "device", "precision", "search", "early_stop")


class _Unknown:
    """Placeholder for an unrecorded value, which differs from an empty one."""

    def __repr__(self) -> str:
        return "not known"


UNKNOWN_FACT = _Unknown()
ABSENT = None  # a sweep file has no such key


@dataclass(frozen=True, slots=True)
class Distinction:
    """One property in which sweeps differ; values by letter, `UNKNOWN_FACT` if unrecorded."""

    name: str
    values: Mapping[str, Any]


def distinctions(sources: Sequence[Source]) -> tuple[Distinction, ...]:
    """Return the differences of the sweeps: first those of results and environments, then those of the sweep files."""
    facts = {source.letter: facts_of(source) for source in sources}
    names = dict.fromkeys(name for one in facts.values() for name in one)
    found = [_distinct(name, {letter: one.get(name, UNKNOWN_FACT) for letter, one in facts.items()}) for name in names]
    known = [source for source in sources if source.spec is not None]
    keys = dict.fromkeys(key for source in known for key in source.spec or ())
    varies = "params.model" in keys
    if varies:
        found = [one for one in found if one is not None and one.name != "model"]
        models = {s.letter: UNKNOWN_FACT if s.spec is None else _written_model(s.spec) for s in sources}
        found.append(_distinct("model", models))
    for key in keys:
        if key in (*_NOT_COMPARED, *_TOLD_OTHERWISE) or _is_mere_default(key, known):
            continue
        if varies and (key == "params.model" or key.startswith("model.")):
            continue
        name = key.removeprefix("params.")
        found.append(
            _distinct(
                name,
                {s.letter: UNKNOWN_FACT if s.spec is None else s.spec.get(key, ABSENT) for s in sources},
            )
        )
    return tuple(one for one in found if one is not None)


def _written_model(spec: Mapping[str, Any]) -> Any:
    """Return the model or models of a sweep file, as written there."""
    parts = {key.removeprefix("model."): value for key, value in spec.items() if key.startswith("model.")}
    return spec.get("params.model", parts["name"] if set(parts) == {"name"} else parts)


def _is_mere_default(key: str, known: Sequence[Source]) -> bool:
    """True for a value in no file: an optimizer's default that another sweep's optimizer lacks."""
    name = key.removeprefix("params.")
    having = [source for source in known if key in (source.spec or ())]
    return len(having) < len(known) and all(name in source.defaults for source in having)


def _distinct(name: str, values: Mapping[str, Any]) -> Distinction | None:
    known = {same_text(value) for value in values.values() if value is not UNKNOWN_FACT}
    return Distinction(name, values) if len(known) > 1 else None


def facts_of(source: Source) -> dict[str, Any]:
    """Return the conditions of a sweep by name; an unrecorded one is unknown or has no key."""
    sweep, environment = source.results.sweep, dict(source.environment)
    seeds = {same_text(run.params.get("seed")): run.params.get("seed") for run in source.results.runs}
    facts = {
        "data set": sweep.dataset,
        "data SHA-256": environment.pop("data SHA-256", UNKNOWN_FACT),
        "model": sweep.model,
        "metric": sweep.objective.metric,
        "mode": sweep.objective.mode,
        "scope": sweep.objective.scope,
        "validation": sweep.validation if sweep.folds is None else {"folds": sweep.folds},
        "seed of the sweep": sweep.seed,
        "seeds": [seed for seed in seeds.values() if seed is not None] or [sweep.seed],
        "search": _rule(sweep.search or {"method": "grid"}),
        "early stop": None if sweep.early_stop is None else _rule(sweep.early_stop),
        "precision": sweep.precision,
        "device": sweep.device,
        "threads": sweep.threads,
        **environment,
    }
    if not source.results.runs:
        del facts["seeds"]  # nothing was trained yet
    return facts


def _rule(trials: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a search or pruner; in a foreign file they may be nested too deeply."""
    return {key: value for key, value in trials.items() if not isinstance(value, Mapping | list) or _is_flat(value)}


def _is_flat(value: Mapping[str, Any] | list[Any]) -> bool:
    parts = value.values() if isinstance(value, Mapping) else value
    return not any(isinstance(part, Mapping | list) for part in parts)


def same_text(value: Any) -> str:
    """Return a text that is equal for equal values: 1 equals 1.0, but not true."""
    return canonical(int(value) if isinstance(value, float) and value.is_integer() else value)


def image_warnings(sources: Sequence[Source], images: str) -> list[str]:
    """Return warnings of metrics that were measured on different images."""
    sweeps = [source.results.sweep for source in sources]
    known = {source.fingerprint for source in sources} - {None}
    reasons = []
    if len(known) > 1 or len({sweep.dataset for sweep in sweeps}) > 1:
        reasons.append("other data")
    if len({(sweep.validation, sweep.folds) for sweep in sweeps}) > 1:
        reasons.append("different validation split")
    if len({sweep.seed for sweep in sweeps}) > 1:
        reasons.append("different seed of the sweep, so a different split")
    if reasons:
        return [
            f"Metrics were not measured on the same {images} ({'; '.join(reasons)}): "
            "ranks across the sweeps may mislead."
        ]
    unknown = [source.letter for source in sources if source.fingerprint is None]
    if unknown:
        return [
            f"The data may differ (no hash of {_and(unknown)}): "
            "if so, ranks across the sweeps mislead. Runs are not compared in pairs."
        ]
    return []


def choice_warnings(sources: Sequence[Source], objective: Objective) -> list[str]:
    """Return warnings of metrics that were selected in different ways."""
    found = []
    if not is_on_validation(objective.metric):
        found.append(
            "Ranked by training metrics, measured while the weights moved: new images may rank the trials otherwise."
        )
    own = {source.letter: source.results.sweep.objective for source in sources}
    others = [f"{letter} by {one.metric}" for letter, one in own.items() if one.metric != objective.metric]
    if others:
        found.append(f"Some values are from epochs that were selected by another metric: {_and(others)}.")
    if len({one.scope for one in own.values()}) > 1:
        scopes = [f"{letter} {scope_words(one.scope)}" for letter, one in own.items()]
        found.append(f"Values are from different epochs: {_and(scopes)}; a best epoch is partly luck.")
    return found


def scope_words(scope: str) -> str:
    """Return the selected epochs of a run: `at the best epoch`."""
    return (
        f"at the {scope} epoch" if scope in (BEST, LAST) else f"{scope} {'epoch' if scope.endswith(' 1') else 'epochs'}"
    )


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
