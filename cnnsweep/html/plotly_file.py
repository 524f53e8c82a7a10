"""The plotting library's own file, taken from its Python package."""

import importlib.util
from pathlib import Path

from cnnsweep.errors import UsageError

NEEDS_PLOTLY = "--html needs plotly: pip install 'cnnsweep[report]'"


def plotly_script() -> str:
    """Return plotly.js, without importing the package, which takes a while.

    Raises:
        UsageError: plotly is not installed.
    """
    found = importlib.util.find_spec("plotly")
    file = None if found is None or found.origin is None else Path(found.origin).parent / "package_data/plotly.min.js"
    if file is None or not file.exists():
        raise UsageError(NEEDS_PLOTLY)
    # Nothing in it may end the script element around it.
    return file.read_text(encoding="utf-8").replace("</script", "<\\/script").strip()
