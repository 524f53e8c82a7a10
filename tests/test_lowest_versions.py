"""The lowest versions that pyproject.toml allows: each is named, and none of those is allowed that are known unsafe."""

import re

import pytest
from lowest_versions import constraint, requirements

# By package, the first version without holes that a stranger's file or neighbour could use.
SAFE = {
    "torch": "2.11",
    "pillow": "13",
    "filelock": "3.20.3",
    "protobuf": "6.33.5",
    "onnx": "1.22",
    "ray": "2.56",
    "pytest": "9.0.3",
}


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_every_requirement_names_its_lowest_version():
    constraints = [constraint(requirement) for requirement in requirements()]
    assert len(constraints) == len(set(constraints)) > 25
    with pytest.raises(SystemExit, match=re.escape("'torch' names no lowest version")):
        constraint("torch")


def test_no_version_with_known_holes_is_allowed():
    lowest = dict(constraint(requirement).split("==") for requirement in requirements())
    assert [name for name, safe in SAFE.items() if numbers(lowest[name]) < numbers(safe)] == []
