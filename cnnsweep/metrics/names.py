"""Names of metrics as sweep file, journal, tables and options spell them.

A metric measured on validation images has the prefix `val_`. Loss and accuracy are recorded in every sweep, others if
the sweep file names them. A metric of one class has the class in brackets, `recall[truck]`: the class is all between
the first bracket and the last character, so that its name may have brackets of its own.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

LOSS, ACCURACY = "loss", "accuracy"
VALIDATION = "val_"
ALWAYS = (LOSS, ACCURACY)
STANDARD = (LOSS, ACCURACY, VALIDATION + LOSS, VALIDATION + ACCURACY)  # in the order of columns
CHOICES = tuple(reversed(STANDARD))  # in the order of messages

TOP_K, OF_CLASS = "top_k", "of_class"  # a metric with a number in its name, and the argument of one of a class
CLASS_METRICS = ("f1", "precision", "recall")
AT_THRESHOLDS = "_at_thresholds"  # end of the name of a metric at the chosen thresholds of several labels

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_@\[\]-]{0,59}")
_TOP = re.compile(r"top_(0|[1-9]\d{0,8})")
_SHARES = re.compile(
    r"(balanced_)?accuracy|(macro|weighted|micro)_(f1|precision|recall)|(f1|precision|recall)\[.*\]|top_\d+|auroc|average_precision|ece"
)
_OTHERS = re.compile(r"kappa|mcc|nll|brier")
_RANGES = {
    **{"kappa": (-1.0, 1.0), "mcc": (-1.0, 1.0)},
    **{"nll": (0.0, math.inf), "brier": (0.0, 2.0)},
}


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """The properties of a metric that tables and reports need, without its code.

    Attributes:
        label: in words, for axes and headings.
        on_training, on_validation: it is measured on these images.
    """

    name: str
    label: str
    greater_is_better: bool
    on_training: bool = True
    on_validation: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns in tables."""
        own = (self.name,) if self.on_training else ()
        return (*own, on_validation(self.name)) if self.on_validation else own


def fact_of(info: MetricInfo) -> dict[str, Any]:
    """Return the properties of a metric as the journal has them: of the images only what is unusual."""
    fact: dict[str, Any] = {
        "name": info.name,
        "label": info.label,
        "greater_is_better": info.greater_is_better,
    }
    images = {"on_training": info.on_training, "on_validation": info.on_validation}
    return {**fact, **{key: value for key, value in images.items() if not value}}


def info_of(fact: Mapping[str, Any]) -> MetricInfo:
    """Return the properties of a metric as the journal has them; undoes `fact_of`."""
    return MetricInfo(
        fact["name"],
        fact.get("label") or fact["name"],
        fact["greater_is_better"],
        fact.get("on_training", True),
        fact.get("on_validation", True),
    )


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
    """True for an accuracy of any kind, of which more is better."""
    return name.endswith(ACCURACY)


@cache
def is_share(name: str) -> bool:
    """True for a share, such as accuracy, F1 or AUROC, which is shown with four decimals or as percent.

    Of the built-in metrics alone: a `my_accuracy` may be in percent.
    """
    return bool(_SHARES.fullmatch(without_prefix(name).removesuffix(AT_THRESHOLDS)))


@cache
def range_of(name: str) -> tuple[float, float]:
    """Return the lowest and highest possible value of a metric; infinite where they are unknown."""
    return (0.0, 1.0) if is_share(name) else _RANGES.get(without_prefix(name), (-math.inf, math.inf))


def is_built_in_name(name: str) -> bool:
    """True for a name that a built-in metric has, whose meaning readers know."""
    return bool(_SHARES.fullmatch(name) or _OTHERS.fullmatch(name))


@cache
def loss_of(name: str) -> str | None:
    """Return the loss that decides between equal accuracies, on the same images; None for another metric."""
    return name.removesuffix(ACCURACY) + LOSS if name in STANDARD and is_accuracy(name) else None


def recorded_names(metrics: Iterable[MetricInfo]) -> tuple[str, ...]:
    """Return the columns of a table: the standard ones, then those of each further metric."""
    return (*STANDARD, *(column for metric in metrics if metric.name not in ALWAYS for column in metric.columns))


def in_a_line(measured: Iterable[str], deciding: str) -> list[str]:
    """Return the columns that a sentence names: the deciding one, the standard ones, others on held-out images.

    Without held-out images, those on training images take their place. Tables have all.
    """
    columns = dict.fromkeys(measured)
    seen = {name for name in columns if not is_on_validation(name) and on_validation(name) in columns}
    named = [name for name in columns if name in STANDARD or name == deciding or name not in seen]
    return sorted(named, key=lambda name: (name != deciding, name not in STANDARD))


def written_column(text: str, recorded: Iterable[str]) -> str | None:
    """Return the recorded column that an option names; without the prefix, one on validation images alone will do."""
    columns = set(recorded)
    return next((name for name in (text, VALIDATION + text) if name in columns), None)


def meant_column(text: str, recorded: Iterable[str], measured: Iterable[str]) -> str | None:
    """Return the recorded column that a metric's name means, as in a sweep file: on held-out images where possible.

    Loss and accuracy mean the training images.
    """
    if text not in STANDARD and (held_out := on_validation(text)) in set(measured):
        return held_out
    return written_column(text, recorded)


def is_metric_name(text: str) -> bool:
    """True for a valid column name in every table, without the prefix.

    That is letters, digits and few signs; of a metric of one class, also the printable name of the class.
    """
    if is_on_validation(text):
        return False
    kind, of_class = split_class(text)
    return bool(_NAME.fullmatch(text)) or (of_class is not None and kind in CLASS_METRICS and of_class.isprintable())


def split_class(text: str) -> tuple[str, str | None]:
    """Return the kind of a metric and its class: `recall` and `truck` for `recall[truck]`; None without a class."""
    kind, bracket, rest = text.partition("[")
    return (kind, rest[:-1]) if bracket and len(rest) > 1 and rest.endswith("]") else (text, None)


def of_class(kind: str, name: str) -> str:
    """Return the name of a metric of one class."""
    return f"{kind}[{name}]"


def top(k: int) -> str:
    """Return the name of the metric `top_k`."""
    return f"top_{k}"


def as_mapping(text: str) -> dict[str, Any] | None:
    """Return `top_5` and `recall[truck]` as mappings of name and arguments; None for another text."""
    if found := _TOP.fullmatch(text):
        return {"name": TOP_K, "k": int(found[1])}
    kind, name = split_class(text)
    return {"name": kind, OF_CLASS: name} if name is not None else None
