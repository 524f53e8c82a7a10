"""Records of TensorBoard's HParams view: one row per run, from three records in the run's own event file."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from google.protobuf.struct_pb2 import Value
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from cnnsweep.formatting.numbers import trial_text
from cnnsweep.metrics.names import STANDARD
from cnnsweep.types import RunStatus

HPARAMS, BEST = "_hparams_/", "best/"  # prefixes of the view's tags, and of its metrics
_TYPES = {
    "number": api_pb2.DATA_TYPE_FLOAT64,
    "bool": api_pb2.DATA_TYPE_BOOL,
    "text": api_pb2.DATA_TYPE_STRING,
}


class Kind(StrEnum):
    """Kind of a column's values; the view sorts a column, and fails on mixed kinds."""

    NUMBER = "number"
    BOOL = "bool"
    TEXT = "text"


def kind_of(values: Iterable[Any]) -> Kind:
    """Return the kind of a column with these values; None, an empty cell, has no kind."""
    kinds = {_kind(value) for value in values if value is not None}
    return kinds.pop() if len(kinds) == 1 else Kind.TEXT if kinds else Kind.NUMBER


def is_of_mixed_kinds(params: Mapping[str, Any], kinds: Mapping[str, Kind]) -> bool:
    """True if a run has a number or truth value in a column where other runs have texts, lists or mappings."""
    return any(
        kinds.get(name) is Kind.TEXT and value is not None and _kind(value) is not Kind.TEXT
        for name, value in params.items()
    )


def _kind(value: Any) -> Kind:
    if isinstance(value, bool):
        return Kind.BOOL
    # The view cannot write infinite values or NaN, nor integers beyond the range of floats.
    is_number = isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return Kind.NUMBER if is_number else Kind.TEXT


def start_of_session(
    params: Mapping[str, Any],
    varying: Collection[str],
    kinds: Mapping[str, Kind],
    metrics: Sequence[str] = STANDARD,
) -> list[Summary]:
    """Return the start of a run's row: the columns of the view, and the run's values.

    Args:
        params: values of every hyperparameter of the sweep, None if the run lacks it: the view takes its columns from
            the first run that it reads.
        varying: the hyperparameters that differ between runs.
        kinds: kinds of the columns, equal for all runs of the sweep; other columns follow the run's own value.
        metrics: the recorded metrics; their best values are columns too.
    """
    of = {name: kinds.get(name, kind_of([value])) for name, value in params.items()}
    experiment = api_pb2.Experiment(
        hparam_infos=[
            api_pb2.HParamInfo(name=name, type=_TYPES[kind], differs=name in varying) for name, kind in of.items()
        ],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=f"{BEST}{name}"), display_name=f"best {name}")
            for name in metrics
        ],
    )
    start = SessionStartInfo(start_time_secs=time.time())
    for name, value in params.items():
        if value is None:  # an empty cell for a missing hyperparameter
            continue
        start.hparams[name].CopyFrom(_value(value, of[name]))
    return [
        _summary(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment)),
        _summary(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)),
    ]


def end_of_session(status: RunStatus) -> Summary:
    """Return the end of a run's row."""
    is_well = status in (RunStatus.FINISHED, RunStatus.STOPPED)
    end = SessionEndInfo(
        status=api_pb2.STATUS_SUCCESS if is_well else api_pb2.STATUS_FAILURE, end_time_secs=time.time()
    )
    return _summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))


def _summary(tag: str, content: HParamsPluginData) -> Summary:
    about = metadata.create_summary_metadata(content)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])


def _value(value: Any, kind: Kind) -> Value:
    if kind is Kind.BOOL:
        return Value(bool_value=value)
    if kind is Kind.NUMBER:
        return Value(number_value=value)
    return Value(string_value=trial_text(value))
