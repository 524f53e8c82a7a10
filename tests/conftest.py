"""Trials for every test: two threads at most, no terminal colours, no network."""

import os

# Before torch is imported: workers of pytest-xdist share the cores, and results must not depend on how many there are.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ["NO_COLOR"] = "1"
os.environ.pop("FORCE_COLOR", None)
os.environ.pop("CNNSWEEP_DATA", None)

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets; a test that needs it is skipped where it is absent."""
    if not (SHARED_DATA / "FashionMNIST").is_dir():
        pytest.skip("real data sets are not here")
    return SHARED_DATA
