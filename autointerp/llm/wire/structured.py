"""JSON replies, read strictly: the schema subset that both providers take, and our own validation of it.

Providers enforce keys, types and enumerated values; not all enforce counts and ranges (PROVIDERS: a constrained decoder
given minItems returned 1 of 5), so schemas may not contain any: a list of n things is an object with n fixed keys.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from autointerp.llm.asks import InvalidReply

_KEYWORDS = {
    "object": {"type", "properties", "required", "additionalProperties", "description", "title"},
    "array": {"type", "items", "description", "title"},
    "string": {"type", "enum", "description", "title"},
    "integer": {"type", "enum", "description", "title"},
    "number": {"type", "description", "title"},
    "boolean": {"type", "description", "title"},
}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
}  # fmt: skip


def check_schema(schema: Any, at: str = "schema") -> None:
    """Raises ValueError where a schema is not of the subset: that is a mistake of ours, not of a model."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind not in _KEYWORDS:
        raise ValueError(f"{at}: type must be one of {', '.join(_KEYWORDS)}, not {kind!r}")
    if beyond := set(schema) - _KEYWORDS[kind]:
        raise ValueError(f"{at}: not enforced by all providers: {', '.join(sorted(beyond))}")
    if kind == "object":
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False or sorted(schema.get("required", [])) != sorted(properties):
            raise ValueError(f"{at}: an object has additionalProperties false, and all its properties are required")
        for name, inner in properties.items():
            check_schema(inner, f"{at}.{name}")
    if kind == "array":
        check_schema(schema.get("items"), f"{at}[]")


def read_json(text: str) -> Any:
    """Strict JSON: one value, no fence, no words around it, no NaN, no key twice. Raises ValueError with the reason.

    A line break or tab may stand in a string as it is: llama.cpp's grammars let models write them so, and no other
    reading is possible.
    """
    stripped = text.strip()
    if stripped.startswith("```"):
        raise ValueError("fenced: the JSON stands in a code block")
    try:
        value = json.loads(stripped, object_pairs_hook=_object, parse_constant=_no_constant, strict=False)
        if "\\" in stripped:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError as error:
        raise ValueError("not text: half a character") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise ValueError("not JSON: nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise InvalidReply("an object has the same key twice")
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"not JSON: {name}")


def check_value(value: Any, schema: dict[str, Any], at: str = "reply") -> None:
    """Raises InvalidReply unless the value is what the schema says: exact keys, strict types, enumerated values."""
    kind = schema["type"]
    if kind == "object":
        if not isinstance(value, dict):
            raise InvalidReply(f"{at} is {_name(value)}, not an object")
        properties = schema["properties"]
        if value.keys() != properties.keys():
            missing, beyond = sorted(properties.keys() - value.keys()), sorted(value.keys() - properties.keys())
            raise InvalidReply(
                f"{at} has {len(missing)} keys missing {missing[:5]}, {len(beyond)} too many {beyond[:5]}"
            )
        for name, inner in properties.items():
            check_value(value[name], inner, f"{at}.{name}")
    elif kind == "array":
        if not isinstance(value, list):
            raise InvalidReply(f"{at} is {_name(value)}, not an array")
        for number, item in enumerate(value):
            check_value(item, schema["items"], f"{at}[{number}]")
    else:
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            raise InvalidReply(f"{at} is {_name(value)}, not a {kind}")
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidReply(f"{at} is {value}")
        if "enum" in schema and value not in schema["enum"]:
            raise InvalidReply(f"{at} is {str(value)[:80]!r}, none of the allowed values")


def _name(value: Any) -> str:
    return "null" if value is None else type(value).__name__
