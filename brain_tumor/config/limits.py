"""Between which values a number of the configuration may lie, by the types that check it."""

import math
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from brain_tumor.config.train import TrainConfig


def limits(key: str) -> tuple[float, bool, float, bool]:
    """The lowest value of a key, whether it is one itself, the highest, and whether that is one; infinite if unknown.

    `key` as Hydra takes it, "schedule.all.dropout" say.
    """
    schema = _schema()
    node: dict[str, Any] = schema
    for part in key.lstrip("+").split("."):
        node = _resolved(schema, node)
        node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        node = node if isinstance(node, dict) else {}
    kinds = [_resolved(schema, each) for each in node.get("anyOf", [node])]
    [kind, *_] = [*(each for each in kinds if each.get("type") in ("number", "integer")), {}]
    low, high = kind.get("minimum"), kind.get("maximum")
    return (
        float(kind.get("exclusiveMinimum", -math.inf) if low is None else low),
        low is not None,
        float(kind.get("exclusiveMaximum", math.inf) if high is None else high),
        high is not None,
    )


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """What a node refers to; of several kinds the first that is a mapping of keys."""
    node = next((each for each in node.get("anyOf", []) if "$ref" in each), node)
    if "$ref" in node:
        found: dict[str, Any] = schema["$defs"][node["$ref"].rpartition("/")[2]]
        return found
    return node


@cache
def _schema() -> dict[str, Any]:
    return TypeAdapter(TrainConfig).json_schema()
