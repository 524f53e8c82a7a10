"""The JSON Schema of a sweep file, with which editors complete and explain its keys."""

from typing import Any

from cnnsweep.config.component_schema import described_fields
from cnnsweep.config.model_entry import has_known_arguments
from cnnsweep.config.schema import LOSS_PREFIX, MODEL_PREFIX, OPTIMIZER_PREFIX, SweepFile
from cnnsweep.config.schema_parts import with_definitions
from cnnsweep.config.spellings import FULL, SHORT
from cnnsweep.field_types import JsonSchema
from cnnsweep.losses.base import LABEL_SMOOTHING, LOSSES
from cnnsweep.models.base import MODELS
from cnnsweep.optimizers.base import FLAT, OPTIMIZERS

_ANY_ARGUMENT = "an argument of the {}, as a value or an axis"


def sweep_json_schema() -> JsonSchema:
    """Return a JSON Schema (draft 2020-12) for a sweep file read as YAML 1.2, as editors read it.

    It is less strict than `load_sweep` where keys depend on each other, and stricter in `yes` and `no` for booleans.
    """
    schema = _tidied(SweepFile.model_json_schema())
    params = schema["$defs"]["Params"]
    # pydantic knows the file's fixed keys only.
    params["patternProperties"] = {
        f"^{prefix.replace('.', '[.]')}.+$": {"description": _ANY_ARGUMENT.format(prefix.rstrip("."))}
        for prefix in (MODEL_PREFIX, OPTIMIZER_PREFIX, f"{SHORT}.", LOSS_PREFIX)
    }
    for model in MODELS.built_in:
        for argument, field in model.model_fields.items() if has_known_arguments(model.names[0]) else ():
            note = "; a list of lists is an axis" if argument in model.list_arguments else ""
            params["properties"][MODEL_PREFIX + argument] = {"description": f"{field.description}{note}"}
    for names, kind in OPTIMIZERS.installed():
        for argument, of_field in described_fields(kind.model_json_schema(), names[0], FLAT).items():
            params["properties"][OPTIMIZER_PREFIX + argument] = {"description": of_field["description"]}
    for names, loss in LOSSES.installed():
        for argument, of_field in described_fields(loss.model_json_schema(), names[0], (LABEL_SMOOTHING,)).items():
            params["properties"][f"{SHORT}.{argument}"] = {"description": of_field["description"]}
    properties = params["properties"]
    params["properties"] = {SHORT if key == FULL else key: value for key, value in properties.items()}
    params["properties"][FULL] = {**properties[FULL], "description": f"the same as `{SHORT}`"}
    params["not"] = {"required": [SHORT, FULL]}
    params["properties"], definitions = with_definitions(params["properties"])
    schema["$defs"] |= definitions
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cnnsweep sweep file",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _tidied(node: Any) -> Any:
    """Leave out titles made from field names, defaults of null, docstrings of models."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    is_model = isinstance(node.get("properties"), dict)
    left_out = {key for key in ("title",) if isinstance(node.get(key), str)}
    left_out |= {"default"} if node.get("default") in (None, [None]) else set()
    left_out |= {"description"} if is_model else set()
    return {key: _tidied(value) for key, value in node.items() if key not in left_out}
