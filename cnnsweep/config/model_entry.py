"""The `model` key, at the top and in `params`: a model by name, and its arguments."""

from typing import Annotated

from cnnsweep.config.component_field import Checked, ComponentField, OwnCode
from cnnsweep.config.component_schema import AnyArguments
from cnnsweep.field_types import Refused
from cnnsweep.models.base import MODELS
from cnnsweep.plugins import is_reference
from cnnsweep.types import ModelChoice

_DATA_DECIDES = Refused("the data set decides it")


class ModelArguments(AnyArguments):
    """Arguments of a user's class or function, which checks them when it is called."""

    in_channels: Annotated[None, _DATA_DECIDES] = None
    num_classes: Annotated[None, _DATA_DECIDES] = None
    image_size: Annotated[None, _DATA_DECIDES] = None


def _model_choice(checked: Checked) -> ModelChoice:
    """Return the model with the arguments that are given: the models have their own defaults."""
    arguments = checked.fields.model_dump(mode="json", exclude_unset=True)
    return ModelChoice(checked.origin.name, arguments, checked.origin.code)


def has_known_arguments(name: str) -> bool:
    """True if a model's fields are all its arguments, so that the sweep file's check is complete."""
    return not is_reference(name) and MODELS.get(name).model_config.get("extra") == "forbid"


def takes_list(name: str, argument: str) -> bool:
    """True if a value of a model's argument is a list, which then is no axis."""
    return not is_reference(name) and argument in MODELS.get(name).list_arguments


MODEL = ComponentField(
    MODELS,
    "{name: cnn, channels: [8, 16]}",
    own=OwnCode.ANY,
    arguments=ModelArguments,
    see="cnnsweep models",
    build=_model_choice,
)
