"""The `early_stop` key: which rule ends a run before its last epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.choice_field import CLOSED, Entry, name_of
from cnnsweep.config.names import EARLY_STOPS
from cnnsweep.field_types import JsonSchema, Number, OneOf, Whole


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """A rule that ends runs early. It looks at configurations: at the mean over their seeds and folds.

    Attributes:
        method: one of `names.EARLY_STOPS`.
        min_epochs: halving, hyperband: epochs before the first rung. The others stop nothing before so many epochs.
        factor: halving, hyperband: one in so many goes on at each rung, for so many times as long.
        min_settings: median: how many other configurations must have come as far.
        epochs: patience: how many epochs may pass without a better figure.
        min_delta: patience: by how much a figure must be better to count.
        value: threshold: what a configuration must reach, and never be worse than again.
    """

    method: str
    min_epochs: int = 1
    factor: float = 3.0
    min_settings: int = 4
    epochs: int = 0
    min_delta: float = 0.0
    value: float = 0.0

    @property
    def has_rungs(self) -> bool:
        """True if it judges all settings together, at a few epochs; the others judge each after every epoch."""
        return self.method in ("halving", "hyperband")


_EPOCHS = Whole(1, 1_000_000)
_METHOD = Field(description="which rule stops runs", examples=["halving"])
_FIRST = Field(default=1, description="epochs that every run trains")


class Halving(BaseModel):
    """Of the settings that come to a rung, the best 1/factor go on to the next, which is factor times as far (ASHA)."""

    model_config = CLOSED
    method: Annotated[str, OneOf(("halving", "hyperband"))] = _METHOD
    min_epochs: Annotated[int, _EPOCHS] = _FIRST
    factor: Annotated[float, Number(least=1.5, most=100)] = Field(default=3.0, description="one in so many goes on")


class Median(BaseModel):
    """Stops a setting whose best figure is worse than the median of the others' running means."""

    model_config = CLOSED
    method: Annotated[str, OneOf(("median",))] = _METHOD
    min_epochs: Annotated[int, _EPOCHS] = _FIRST
    min_settings: Annotated[int, _EPOCHS] = Field(
        default=4, description="how many other settings must have come as far"
    )


class Patience(BaseModel):
    """Stops a setting that has not become better for some epochs."""

    model_config = CLOSED
    method: Annotated[str, OneOf(("patience",))] = _METHOD
    min_epochs: Annotated[int, _EPOCHS] = _FIRST
    epochs: Annotated[int, _EPOCHS] = Field(description="epochs that may pass without a better figure", examples=[5])
    min_delta: Annotated[float, Number(least=0)] = Field(
        default=0.0, description="by how much a figure must be better to count"
    )


class Threshold(BaseModel):
    """Stops a setting that is worse than a figure."""

    model_config = CLOSED
    method: Annotated[str, OneOf(("threshold",))] = _METHOD
    min_epochs: Annotated[int, _EPOCHS] = _FIRST
    value: Annotated[float, Number()] = Field(description="what the metric must reach", examples=[0.5])


class UnknownRule(BaseModel):
    """Takes every other key, so that a mistyped method is one mistake and not several."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True, json_schema_extra={"not": {}})
    method: Annotated[str, OneOf(EARLY_STOPS)] = _METHOD


_VARIANTS: Mapping[str, type[BaseModel]] = {
    **dict.fromkeys(("halving", "hyperband"), Halving),
    "median": Median,
    "patience": Patience,
    "threshold": Threshold,
}


def _rule_variant(mapping: dict[str, Any]) -> str:
    method = name_of(mapping, "method")
    return f"<{method}>" if method in _VARIANTS else "<unknown rule>"


class OrNone:
    """A rule, or `none`, with which `--set early_stop=none` takes the file's rule back."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        rule = handler(source)
        return core_schema.no_info_wrap_validator_function(
            lambda value, check: None if value in ("none", None) else check(value), rule
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [{"enum": ["none", None]}, handler(schema)]}


EARLY_STOP = Entry(
    names=("halving", "hyperband", "median"),
    own_code=False,
    variants={**{f"<{method}>": variant for method, variant in _VARIANTS.items()}, "<unknown rule>": UnknownRule},
    variant_of=_rule_variant,
    build=lambda entry: EarlyStop(**entry.model_dump()),
    allowed=f"one of {', '.join(EARLY_STOPS)}, or a mapping such as {{method: halving, factor: 3}}",
    key="method",
)
