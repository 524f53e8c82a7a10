"""Names of metrics as journal, tables and options spell them.

A metric measured on validation images has the prefix `val_`. Loss and accuracy are recorded in every sweep, others if
the sweep file names them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

LOSS, ACCURACY = "loss", "accuracy"
VALIDATION = "val_"
ALWAYS = (LOSS, ACCURACY)
STANDARD = (LOSS, ACCURACY, VALIDATION + LOSS, VALIDATION + ACCURACY)  # in the order of columns
CHOICES = tuple(reversed(STANDARD))  # in the order of messages

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_@\[\]-]{0,59}")


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """The properties of a metric that tables and reports need, without its code.

    Attributes:
        label: in words, for axes and headings.
    """

    name: str
    label: str
    greater_is_better: bool


def on_validation(name: str) -> str:
    """Return the name of the same metric on validation images."""
    return VALIDATION + without_prefix(name)


def without_prefix(name: str) -> str:
    """Return a metric's own name: `accuracy` for `val_accuracy`."""
    return name.removeprefix(VALIDATION)


def is_on_validation(name: str) -> bool:
    """True for a metric that is measured on validation images."""
    return name.startswith(VALIDATION)


@cache
def is_accuracy(name: str) -> bool:
    """True for a share of images that are classified correctly, which is shown with four decimals or as percent."""
    return name.endswith(ACCURACY)


@cache
def loss_of(name: str) -> str | None:
    """Return the loss that decides between equal accuracies, on the same images; None for another metric."""
    return name.removesuffix(ACCURACY) + LOSS if name in STANDARD and is_accuracy(name) else None


def recorded_names(metrics: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of a table: the standard ones, then each further metric on training and validation images."""
    further = [name for name in metrics if name not in ALWAYS]
    return (*STANDARD, *(column for name in further for column in (name, on_validation(name))))


def is_metric_name(text: str) -> bool:
    """True for a valid column name in every table: letters, digits and few signs, without the prefix."""
    return bool(_NAME.fullmatch(text)) and not is_on_validation(text)
