"""The `schedule` key of `params`: how the learning rate moves. Each schedule has only the keys that it uses."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from cnnsweep.config.choice_field import CLOSED, Entry, name_of
from cnnsweep.config.names import SCHEDULES
from cnnsweep.field_types import Number, OneOf, Whole
from cnnsweep.types import Schedule

_SCHEDULE_NAME = Field(description="how the learning rate moves")
_WARMUP = Field(default=0.0, description="epochs in which the rate first climbs from 0 to lr")


class ConstantSchedule(BaseModel):
    """The learning rate stays."""

    model_config = CLOSED
    name: Annotated[str, OneOf(("constant",))] = _SCHEDULE_NAME
    warmup: Annotated[float, Number(least=0)] = _WARMUP


class CosineSchedule(BaseModel):
    """The learning rate falls along half a cosine."""

    model_config = CLOSED
    name: Annotated[str, OneOf(("cosine",))] = _SCHEDULE_NAME
    warmup: Annotated[float, Number(least=0)] = _WARMUP
    final: Annotated[float, Number(least=0, most=1)] = Field(default=0.0, description="the last rate, as a share of lr")


class OneCycleSchedule(BaseModel):
    """The learning rate climbs to lr and falls again."""

    model_config = CLOSED
    name: Annotated[str, OneOf(("one_cycle",))] = _SCHEDULE_NAME
    peak: Annotated[float, Number(above=0, below=1)] = Field(
        default=0.3, description="the share of training at which lr is reached"
    )


class StepSchedule(BaseModel):
    """The learning rate drops every few epochs."""

    model_config = CLOSED
    name: Annotated[str, OneOf(("step",))] = _SCHEDULE_NAME
    warmup: Annotated[float, Number(least=0)] = _WARMUP
    every: Annotated[int, Whole(1, 1_000_000)] = Field(default=1, description="epochs between two drops")
    factor: Annotated[float, Number(above=0, most=1)] = Field(
        default=0.1, description="what each drop multiplies the rate by"
    )


class UnknownSchedule(BaseModel):
    """Takes every other key, so that a mistyped name is one mistake and not several."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True, json_schema_extra={"not": {}})
    name: Annotated[str, OneOf(SCHEDULES)] = _SCHEDULE_NAME


def _schedule_variant(mapping: dict[str, Any]) -> str:
    name = name_of(mapping)
    return f"<{name}>" if name in SCHEDULES else "<unknown schedule>"


SCHEDULE = Entry(
    names=SCHEDULES,
    own_code=False,
    variants={
        "<constant>": ConstantSchedule,
        "<cosine>": CosineSchedule,
        "<one_cycle>": OneCycleSchedule,
        "<step>": StepSchedule,
        "<unknown schedule>": UnknownSchedule,
    },
    variant_of=_schedule_variant,
    build=lambda entry: Schedule(**entry.model_dump()),
    allowed=f"one of {', '.join(SCHEDULES)}, or a mapping such as {{name: cosine, warmup: 2}}",
)
