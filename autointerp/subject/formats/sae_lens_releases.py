"""Release names of SAELens's registry: `sae-lens:RELEASE/ID`.

sae-lens holds TransformerLens below 4, so it cannot be imported beside this package. Its registry is one YAML file: it
is read from where `pip install --no-deps sae-lens` puts it, and nothing of the package is imported. A release names a
repository of the hub and the loader that its files need; what is in a format that we read is fetched and read by our
own readers, anything else is refused. What the registry adds to the files is kept: its overrides of their
configuration, and the scaling factor of the activations, folded into the weights as SAELens folds it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from autointerp.errors import InputError, nearest
from autointerp.subject.formats.registry import BY_NAME

PREFIX = "sae-lens:"
FILE = "pretrained_saes.yaml"
FORMATS = {loader: row.name for row in BY_NAME.values() for loader in row.sae_lens_loaders}
"""Loaders of SAELens whose files we read, and the format of each."""


@dataclass(frozen=True)
class Release:
    """A dictionary in the registry."""

    hub: str
    """Where its files lie: a hub path."""
    format: str
    overrides: Mapping[str, Any]
    """Keys of its configuration that the registry knows better."""
    scaling_factor: float | None
    """What the activations were multiplied by in training, where the files leave that to the loader."""


def look_up(path: str) -> Release:
    """What the registry says of `sae-lens:RELEASE/ID`. Raises InputError where it does not, or we cannot read it."""
    name, _, dictionary = path.removeprefix(PREFIX).partition("/")
    if not name or not dictionary:
        raise InputError(f'"{path}": a name of SAELens\'s registry is sae-lens:RELEASE/ID')
    releases = _releases(path)
    if name not in releases:
        raise InputError(f'"{path}": the registry has no release "{name}"{nearest(name, releases)}')
    release = releases[name]
    entries = {str(entry["id"]): entry for entry in release["saes"]}
    if dictionary not in entries:
        raise InputError(f'"{path}": the release "{name}" has no "{dictionary}"{nearest(dictionary, entries)}')
    loader = release.get("conversion_func")
    if loader not in FORMATS:
        readable = ", ".join(sorted({str(item) for item in FORMATS.values()}))
        raise InputError(f'"{path}": its files need SAELens\'s loader "{loader}", which is not read; {readable} are')
    entry = entries[dictionary]
    factor = entry.get("norm_scaling_factor")
    return Release(
        hub=f"hf://{release['repo_id']}/{entry['path']}",
        format=FORMATS[loader],
        overrides=release.get("config_overrides") or {},
        scaling_factor=None if factor is None else float(factor),
    )


def _releases(path: str) -> dict[str, Any]:
    package = importlib.util.find_spec("sae_lens")  # looks for the package, does not import it
    folders = list(package.submodule_search_locations or []) if package is not None else []
    file = next((Path(folder) / FILE for folder in folders if (Path(folder) / FILE).is_file()), None)
    if file is None:
        raise InputError(f'"{path}": SAELens\'s registry is not installed; pip install --no-deps sae-lens')
    return _read(file)


@cache
def _read(file: Path) -> dict[str, Any]:
    import yaml

    with file.open(encoding="utf-8") as text:
        held: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return held
