"""One layer of a set of transcoders by its number: `hf://owner/repository/folder#5`, also where the set is a list.

A set is a folder, here or on the hub, with a file for each layer; its `config.yaml` says the hook points. Some sets
hold no weights: their config lists the address of each layer's file (`transcoders`), which may lie in another
repository. The hook points are then the set's, and the reader is that of the listed file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.errors import InputError
from autointerp.subject.formats import circuit_tracer, cross_layer
from autointerp.subject.formats.common import read_yaml
from autointerp.subject.formats.hub import parse_hub

MARK = re.compile(r"(.+)#(\d+)")


@dataclass(frozen=True)
class LayerFile:
    """Where the weights of one layer lie."""

    path: str
    """As a run file could name it."""
    hook: str | None = None
    """The set's hook point in the block of this layer; None: the file's own reader says it."""


def is_layer_of_set(path: str) -> bool:
    """Whether a path says a layer by its number. A folder that is called so means itself."""
    return MARK.fullmatch(path) is not None and (path.startswith("hf://") or not Path(path).expanduser().exists())


def set_and_layer(path: str) -> tuple[str, int]:
    """The address of the set, and the layer."""
    matched = MARK.fullmatch(path)
    assert matched is not None, "is_layer_of_set was asked before"
    return matched[1].rstrip("/"), int(matched[2])


def file_of_layer(path: str, folder: Path) -> LayerFile:
    """What `path` means, whose set was found in `folder`. Raises InputError where the set has no such layer."""
    whole, layer = set_and_layer(path)
    if not folder.is_dir():
        raise InputError(f'"{path}": "{whole}" is a file; #{layer} means a layer of a folder')
    config = read_yaml(folder / circuit_tracer.CONFIG, path)
    listed = config.get("transcoders")
    if listed is not None:
        return _listed(config, listed, layer, path)
    pattern = cross_layer.FILES if _is_cross_layer(config, folder) else circuit_tracer.FILES
    name = pattern.replace("*", str(layer))
    if not whole.startswith("hf://"):
        return LayerFile(f"{whole}/{name}")
    hub = parse_hub(whole)
    inside = "/".join(part for part in (hub.repository, hub.inside, name) if part)
    return LayerFile(f"hf://{inside}" + ("" if hub.revision is None else f"@{hub.revision}"))


def _is_cross_layer(config: dict[str, Any], folder: Path) -> bool:
    return config.get("model_kind") == "cross_layer_transcoder" or any(folder.glob(cross_layer.FILES))


def _listed(config: dict[str, Any], listed: Any, layer: int, path: str) -> LayerFile:
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        what = f"transcoders = {listed!r}; it must be a list of addresses"
        raise InputError(f'"{path}": {circuit_tracer.CONFIG} has {what}')
    if layer >= len(listed):
        raise InputError(f'"{path}": {circuit_tracer.CONFIG} lists {len(listed)} layers, 0 to {len(listed) - 1}')
    address = listed[layer]
    if not address.startswith("hf://"):
        raise InputError(
            f'"{path}": {circuit_tracer.CONFIG} lists "{address}", which is no address on the hub (hf://...)'
        )
    return LayerFile(address, circuit_tracer.hook_in_block(config, "feature_input_hook", layer, path))
