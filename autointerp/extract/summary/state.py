"""Objects to tensors and back: how a summary is written to a file and continued from it, exactly.

`take` walks over everything an object holds and returns a description (JSON) and the tensors, uncopied.
`put_back` sets all of it in an object made alike, in place. A new attribute needs no new code as long as
it is a tensor, a number, a string, a list or tuple of such, one of RECORDS, or an object of this package.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from autointerp.extract.summary.grams import Table
from autointerp.extract.summary.smallest_keys import Kept
from autointerp.extract.summary.summary import SummaryPlan

RECORDS: dict[str, type] = {"Kept": Kept, "Table": Table}
"""Frozen records that stand in lists: made anew when they are read."""
FIXED = (torch.device, SummaryPlan)
"""What the object made alike has already."""


def take(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """`(description, tensors by path)`; a tensor or object that is there twice is written once."""
    tensors: dict[str, Tensor] = {}
    return _described(value, "", tensors, {}), tensors


def _described(value: Any, path: str, tensors: dict[str, Tensor], seen: dict[int, str]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, FIXED):
        return {"fixed": None}
    if isinstance(value, Tensor):
        name = seen.setdefault(id(value), path)
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, list | tuple):
        items = [_described(item, f"{path}/{i}", tensors, seen) for i, item in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if isinstance(value, dict):
        return {"dict": {key: _described(item, f"{path}/{key}", tensors, seen) for key, item in value.items()}}
    for name, record in RECORDS.items():
        if isinstance(value, record):
            inner = {item.name: getattr(value, item.name) for item in fields(record)}
            return {"record": name, "of": _described(inner, path, tensors, seen)}
    if not type(value).__module__.startswith("autointerp.extract."):
        raise TypeError(f"{path}: a {type(value).__name__} cannot be written to a checkpoint")
    if id(value) in seen:
        return {"fixed": None}
    seen[id(value)] = path
    return {"object": _described(vars(value), path, tensors, seen)}


def put_back(value: Any, description: Any, tensors: dict[str, Tensor]) -> Any:
    """`value` with all its parts as `take` described them; objects are changed in place.

    Raises ValueError where it was described in another shape: by another version, or for other work.
    """
    if not isinstance(description, dict):
        return description
    (kind, inner), *_ = description.items()
    if kind == "fixed":
        return value
    if kind == "tensor":
        return tensors[inner]
    if kind in ("list", "tuple"):
        listed = value if isinstance(value, list | tuple) else ()
        items = [put_back(listed[i] if i < len(listed) else None, item, tensors) for i, item in enumerate(inner)]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        now = value if isinstance(value, dict) else {}
        return {key: put_back(now.get(key), item, tensors) for key, item in inner.items()}
    if kind == "record":
        return RECORDS[inner](**put_back(None, description["of"], tensors))
    assert kind == "object"
    if value is None or vars(value).keys() != inner["dict"].keys():
        raise ValueError(f"a {type(value).__name__} was written with other parts")
    for name, item in put_back(vars(value), inner, tensors).items():
        setattr(value, name, item)
    return value
