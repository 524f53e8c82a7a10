"""Loads sweeps to compare: results, environment and sweep file.

Only results.json is needed. Facts of missing files stay unknown.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnsweep.analysis.json_reader import parse_json
from cnnsweep.analysis.results import Results, load_results
from cnnsweep.analysis.run_evaluation import RunEvaluation, load_run_evaluation
from cnnsweep.errors import ResultsError, SpecError, UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.storage.journal import read_journal
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.read_limited import read_bounded

_DEFAULT = re.compile(r"^  # (\w+): (.*) \(default\)$", re.MULTILINE)  # as the frozen sweep file has them
_PACKAGES = ("cnnsweep", "torch", "torchvision", "numpy")  # packages that can change a metric


@dataclass(frozen=True, slots=True)
class Source:
    """One of the compared sweeps.

    Attributes:
        letter: A, B, … as in tables.
        path: as it was given.
        environment: recorded facts by name.
        spec: the frozen sweep file by dotted key (`dataset.size`, `params.lr`); None if it is missing.
        defaults: the keys of `params` that the sweep file leaves to their default.
        missing: messages about files that could not be read.
        evaluation: of the best run by class; None if it was not measured.
    """

    letter: str
    path: Path
    results: Results
    environment: Mapping[str, Any]
    spec: Mapping[str, Any] | None
    defaults: Mapping[str, Any]
    missing: tuple[str, ...] = ()
    evaluation: RunEvaluation | None = None

    @property
    def name(self) -> str:
        return self.results.sweep.name

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the data set, None if unknown."""
        found = self.environment.get("data SHA-256")
        return found if isinstance(found, str) else None


def load_sources(paths: Sequence[Path]) -> tuple[Source, ...]:
    """Return the sweeps in `paths`, folders or results files, with the files beside them.

    Raises:
        UsageError: there are fewer than two, or two are the same.
        ResultsError: a results file is missing or damaged.
    """
    if len(paths) < 2:
        raise UsageError(
            "compare: give two sweeps or more, folders or results.json files, "
            "as in: cnnsweep compare runs/first runs/second; for one sweep use 'cnnsweep report'"
        )
    given: dict[Path, Path] = {}
    for path in paths:
        file = Path(os.path.realpath(_results_file(path)))  # unlike `resolve`, accepts circular links
        if file in given:
            both = f"{given[file]} and {path}" if str(given[file]) != str(path) else str(path)
            raise UsageError(f"compare: {safe_text(both)}: the same sweep is given twice; give each sweep once")
        given[file] = path
    return tuple(_load_source(path, letters(position)) for position, path in enumerate(paths))


def letters(position: int) -> str:
    """Return A to Z, then AA, AB and so on, for positions from 0."""
    text = ""
    position += 1
    while position:
        position, digit = divmod(position - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


def _results_file(path: Path) -> Path:
    return SweepPaths(path).results_json if path.is_dir() else path


def _load_source(path: Path, letter: str) -> Source:
    results = load_results(path)
    paths = SweepPaths(results.folder)
    if _results_file(path).name != paths.results_json.name:
        # A renamed copy may have nothing to do with the other files of its folder.
        why = f"{paths.environment.name} and {paths.frozen_spec.name} are read only beside a file named results.json"
        return Source(letter, path, results, {}, None, {}, (why,))
    missing: list[str] = []
    environment = _read_environment(paths, missing)
    text = _read_text(paths.frozen_spec, missing)
    if text is None or "data SHA-256" not in environment:
        event = _last_sweep_event(paths, missing)
        if event:
            missing.append(f"{paths.journal.name} replaces the data's hash and the sweep file")
        if text is None:
            text = event.get("spec") if isinstance(event.get("spec"), str) else None
        if isinstance(event.get("fingerprint"), str):
            environment.setdefault("data SHA-256", event["fingerprint"])
    spec, defaults = (None, {}) if text is None else _read_spec(text, paths.frozen_spec, missing)
    evaluation = _evaluation(results, missing)
    return Source(letter, path, results, environment, spec, defaults, tuple(missing), evaluation)


def _evaluation(results: Results, missing: list[str]) -> RunEvaluation | None:
    """Return the evaluation of the best run."""
    for run in results.runs:
        if run.name == results.sweep.best:
            try:
                return load_run_evaluation(SweepPaths(results.folder).run(run.name).folder, run.best_epoch)
            except ResultsError as error:
                missing.append(str(error))
    return None


def _read_environment(paths: SweepPaths, missing: list[str]) -> dict[str, Any]:
    """Return the facts of environment.json that can explain a difference, under readable names."""
    if not paths.environment.exists():
        missing.append(f"{paths.environment.name} is missing")
        return {}
    try:
        content = parse_json(paths.environment)
    except ResultsError as error:
        missing.append(str(error))
        return {}
    if not isinstance(content, dict):
        missing.append(f"{paths.environment.name} is not a mapping")
        return {}
    packages = content.get("packages")
    facts = {name: packages.get(name) for name in _PACKAGES} if isinstance(packages, dict) else {}
    facts |= {name: content.get(name) for name in ("python", "system", "processor", "host")}
    facts["data SHA-256"] = content.get("data_sha256")
    facts["git commit"] = _commit(content["git"]) if "git" in content else None
    return {name: value for name, value in facts.items() if isinstance(value, str | int)}  # else of a foreign file


def _commit(git: Any) -> str:
    if not isinstance(git, dict):
        return "no repository"
    return f"{str(git.get('commit'))[:10]}{' with changes' if git.get('modified') else ''}"


def _read_text(file: Path, missing: list[str]) -> str | None:
    from cnnsweep.config.yaml import MAX_BYTES

    try:
        return read_bounded(file, MAX_BYTES).decode("utf-8")
    except FileNotFoundError:
        missing.append(f"{file.name} is missing")
    except (OSError, UnicodeDecodeError):
        missing.append(f"{file.name} cannot be read")
    return None


def _last_sweep_event(paths: SweepPaths, missing: list[str]) -> Mapping[str, Any]:
    """Return the journal's facts about the sweep, which replace those of missing files."""
    found: Mapping[str, Any] = {}
    if paths.journal.exists() and not paths.journal.is_file():
        missing.append(f"{paths.journal.name} is not a file")
        return found
    try:
        for event in read_journal(paths.journal):
            if event.get("event") == "sweep":
                found = event
    except (ResultsError, OSError) as error:
        missing.append(str(error))
    return found


def _read_spec(text: str, file: Path, missing: list[str]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    """Return a frozen sweep file's values by dotted key, defaults of `params` included, and the defaults alone."""
    from cnnsweep.config.yaml import read_yaml

    names = {match[1] for match in _DEFAULT.finditer(text)}
    written = _DEFAULT.sub(r"  \1: \2", text.replace("\nparams: {}\n", "\nparams:\n") if names else text)
    try:
        content = read_yaml(written, file.name).value
    except SpecError as error:
        missing.append(f"{file.name} cannot be read: {error.problems[0].message}")
        return None, {}
    if not isinstance(content, dict):
        missing.append(f"{file.name} is not a mapping")
        return None, {}
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if key in ("dataset", "model", "params") and isinstance(value, dict):
            flat |= {f"{key}.{part}": item for part, item in value.items()}
        elif key in ("dataset", "model"):
            flat[f"{key}.name"] = value
        elif key != "params":
            flat[key] = value
    return flat, {name: flat[f"params.{name}"] for name in names if f"params.{name}" in flat}
