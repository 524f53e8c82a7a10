"""Prints the lowest version that pyproject.toml allows of every package it names, as constraints for pip."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
_NAME, _FLOOR = r"[A-Za-z0-9._-]+", r"[0-9.]+"


def requirements() -> list[str]:
    """Return what the package and its extras need of others."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    return [one for one in (*project["dependencies"], *extras) if not one.startswith(project["name"])]


def constraint(requirement: str) -> str:
    """Return the lowest version that a requirement allows; one that names none is a mistake in the file."""
    parts = re.fullmatch(rf"({_NAME})>=({_FLOOR})", requirement)
    if parts is None:
        raise SystemExit(f"{PROJECT}: '{requirement}' names no lowest version, as in: torch>=2.11")
    return f"{parts[1]}=={parts[2]}"


if __name__ == "__main__":
    print("\n".join(map(constraint, requirements())))
