"""Metrics of an evaluation that the sweep did not record, as an option names them."""

from __future__ import annotations

from collections.abc import Sequence

from cnnsweep.errors import UsageError
from cnnsweep.metrics.base import METRICS, make_metric
from cnnsweep.metrics.names import CLASS_METRICS, as_mapping, of_class
from cnnsweep.plugins import is_reference
from cnnsweep.types import Choice

OPTION = "--metrics"


def read_metrics(names: str | Sequence[str] | None, *, allow_code: bool) -> tuple[Choice, ...]:
    """Return the metrics that an option names.

    Args:
        names: separated by commas, or a list, such as `macro_f1,top_5,recall[truck]`.
        allow_code: a name may be code of the user's own, `my.py:metric`.

    Raises:
        UsageError: a name is unknown, or is code that is not allowed.
    """
    listed = names.split(",") if isinstance(names, str) else names or ()
    return tuple(_read(name.strip(), allow_code=allow_code) for name in listed)


def _read(name: str, *, allow_code: bool) -> Choice:
    if is_reference(name) and not allow_code:
        raise UsageError(f"{OPTION}: {name} is code, which would be run; add --allow-code if you trust it")
    given = as_mapping(name) or {"name": name}
    choice = Choice(given.pop("name"), given)
    if name in CLASS_METRICS:
        raise UsageError(f"{OPTION}: '{name}' is of one class: write {of_class(name, 'truck')}, or macro_{name}")
    if not is_reference(choice.name) and not METRICS.knows(choice.name):
        known = [one for one in METRICS.names if one not in CLASS_METRICS]
        raise UsageError(f"{OPTION}: unknown '{name}', allowed are {', '.join(known)}, recall[class], or path.py:name")
    make_metric(choice)
    return choice
