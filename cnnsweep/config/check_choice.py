"""Checks the name and arguments of a data set or a model that come from elsewhere than a sweep file."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ValidationError, create_model

from cnnsweep.config.dataset_field import DATASET
from cnnsweep.config.error_messages import mistakes_in
from cnnsweep.config.model_entry import MODEL
from cnnsweep.config.yaml import dotted
from cnnsweep.errors import Problem, SpecError
from cnnsweep.types import DatasetChoice, ModelChoice

_CHOICES = {"dataset": Annotated[DatasetChoice, DATASET], "model": Annotated[ModelChoice, MODEL]}


def check_choice(key: str, name: str, arguments: Mapping[str, Any], file: str) -> None:
    """Raise if a sweep file could not name this.

    Args:
        key: dataset or model.
        name: a known name; a user's own code would be looked up.
        file: where it comes from, for messages.

    Raises:
        SpecError: the name is unknown, or arguments are; of several mistakes the first.
    """
    entry = {**arguments, "name": name}
    try:
        json.dumps(entry, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold and pydantic cannot
        raise SpecError([Problem(file, 0, 0, f"{key}: holds text that is not Unicode")]) from None
    try:
        _checker(key).model_validate({key: entry})
    except ValidationError as error:
        first = mistakes_in(error)[0]
        raise SpecError([Problem(file, 0, 0, f"{dotted(first.path)}: {first.text}")]) from None


@cache
def _checker(key: str) -> type[BaseModel]:
    checker: type[BaseModel] = create_model(f"One{key.capitalize()}", **{key: (_CHOICES[key], ...)})  # type: ignore[call-overload]
    return checker
