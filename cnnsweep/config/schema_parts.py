"""Parts of a JSON Schema that stand in it several times, as definitions: the values of a key of `params`, for one."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cnnsweep.field_types import JsonSchema

_SMALLEST = 300  # characters; a reference instead of less would only be harder to read


def with_definitions(properties: Mapping[str, JsonSchema]) -> tuple[dict[str, JsonSchema], dict[str, JsonSchema]]:
    """Return the properties with references to parts that are repeated, and these parts by name."""
    places = _places(properties)
    names: dict[str, str] = {}
    definitions: dict[str, JsonSchema] = {}

    def shortened(node: Any, key: str) -> Any:
        if isinstance(node, list):
            return [shortened(item, key) for item in node]
        if not isinstance(node, dict):
            return node
        text = _text(node)
        short = {name: shortened(item, key) for name, item in node.items()}
        if len(text) < _SMALLEST or places[text] < 2:
            return short
        if text not in names:
            names[text] = key if key not in definitions else f"{key}_{len(definitions)}"
            definitions[names[text]] = short
        return {"$ref": f"#/$defs/{names[text]}"}

    short = {key: {name: shortened(item, key) for name, item in part.items()} for key, part in properties.items()}
    return short, definitions


def _places(properties: Mapping[str, JsonSchema]) -> Counter[str]:
    """Return the number of places of each mapping, where equal mappings around it count once."""
    places: Counter[str] = Counter()
    pending: list[Any] = list(properties.values())
    while pending:
        for child in _mappings_in(pending.pop()):
            text = _text(child)
            places[text] += 1
            if places[text] == 1:
                pending.append(child)
    return places


def _mappings_in(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the mappings right below a node, and those in its lists."""
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict):
            yield child
        elif isinstance(child, list):
            yield from _mappings_in(child)


def _text(node: Any) -> str:
    return json.dumps(node, sort_keys=True)
