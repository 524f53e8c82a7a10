"""What TensorBoard's HParams view reads: a row a run, from three records in the run's own event file."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf.struct_pb2 import Value
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from cnnsweep.records import RunStatus

HPARAMS, BEST = "_hparams_/", "best/"  # how tags of the view, and of the figures that it shows, begin
_METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


def start_of_session(settings: Mapping[str, Any], varying: Collection[str]) -> list[Summary]:
    """Return what a run's row begins with: which columns the view has, and the run's values.

    Args:
        settings: of every hyperparameter of the sweep, None where the run has no such: the view takes its columns from
            whichever run it meets first.
        varying: those that differ between runs.
    """
    experiment = api_pb2.Experiment(
        hparam_infos=[
            api_pb2.HParamInfo(name=name, type=_type(value), differs=name in varying)
            for name, value in settings.items()
        ],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=f"{BEST}{name}"), display_name=f"best {name}")
            for name in _METRICS
        ],
    )
    start = SessionStartInfo(start_time_secs=time.time())
    for name, value in settings.items():
        if value is None:  # the run has no such hyperparameter: an empty cell
            continue
        start.hparams[name].CopyFrom(_value(value))
    return [
        _summary(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment)),
        _summary(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)),
    ]


def end_of_session(status: RunStatus) -> Summary:
    """Return what a run's row ends with."""
    is_well = status in (RunStatus.FINISHED, RunStatus.STOPPED)
    end = SessionEndInfo(
        status=api_pb2.STATUS_SUCCESS if is_well else api_pb2.STATUS_FAILURE, end_time_secs=time.time()
    )
    return _summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))


def _summary(tag: str, content: HParamsPluginData) -> Summary:
    about = metadata.create_summary_metadata(content)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])


def _type(value: Any) -> int:
    if isinstance(value, bool):
        return int(api_pb2.DATA_TYPE_BOOL)
    is_number = value is None or isinstance(value, int | float)  # those that a run may lack are numbers
    return int(api_pb2.DATA_TYPE_FLOAT64 if is_number else api_pb2.DATA_TYPE_STRING)


def _value(value: Any) -> Value:
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int | float):
        return Value(number_value=value)
    return Value(string_value=str(value))
