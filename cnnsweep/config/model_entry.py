"""The `model` key, at the top and in `params`: a model by name, and its arguments."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from cnnsweep.config.choice_field import OPEN, Entry, NameOrCode, name_of
from cnnsweep.config.component_entry import checked_arguments, entry_variants
from cnnsweep.field_types import Plain, Refused
from cnnsweep.models.base import MODELS
from cnnsweep.plugins import is_reference
from cnnsweep.types import ModelChoice

MODEL_NAME = NameOrCode("model", MODELS.names, "cnnsweep models")
_DATA_DECIDES = Refused("the data set decides it")


class CustomModel(BaseModel):
    """A class or function of the user's; it checks its own arguments when it is called."""

    model_config = OPEN
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    name: Annotated[Any, MODEL_NAME] = Field(description="package.module:Class or path.py:Class")
    in_channels: Annotated[None, _DATA_DECIDES] = None
    num_classes: Annotated[None, _DATA_DECIDES] = None
    image_size: Annotated[None, _DATA_DECIDES] = None


_BUILT_IN = entry_variants(MODELS, MODEL_NAME, {})


def _model_choice(entry: Any) -> ModelChoice:
    # Only what is given: the models know their own defaults.
    name, arguments = entry.name.name, entry.model_dump(mode="json", exclude={"name"}, exclude_unset=True)
    if not is_reference(name):
        arguments = checked_arguments(MODELS, name, arguments).model_dump(mode="json", exclude_unset=True)
    return ModelChoice(name, arguments, entry.name.code)


def has_known_arguments(name: str) -> bool:
    """Return whether a model's fields are all its arguments, so that the sweep file's check is complete."""
    return not is_reference(name) and MODELS.get(name).model_config.get("extra") == "forbid"


def takes_list(name: str, argument: str) -> bool:
    """Return whether a value of a model's argument is a list, which then is no axis."""
    return not is_reference(name) and argument in MODELS.get(name).list_arguments


MODEL = Entry(
    names=MODEL_NAME.known,
    own_code=True,
    variants={**_BUILT_IN.models, "<own model>": CustomModel},
    variant_of=lambda mapping: _BUILT_IN.tags.get(name_of(mapping), "<own model>"),
    build=_model_choice,
    allowed="the name of a model (see `cnnsweep models`), or a mapping with its name and arguments",
)
