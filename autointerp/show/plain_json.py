"""A page's dataclass as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any

from autointerp.show.text import escape_json


def plain(value: Any) -> Any:
    """A page as JSON knows it: objects, lists, numbers; what is no number is null."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def as_json(page: object) -> bytes:
    """The dataclass as JSON in a line, with control characters escaped."""
    text = escape_json(json.dumps(plain(page), ensure_ascii=False, allow_nan=False))
    return text.encode("utf-8", "backslashreplace")
