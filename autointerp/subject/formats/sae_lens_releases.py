"""Release names of SAELens's registry: `sae-lens:RELEASE/ID`.

sae-lens holds TransformerLens below 4, so it cannot be imported beside this package. Its registry is one YAML file: it
is read from where `pip install --no-deps sae-lens` puts it, and nothing of the package is imported. A release names a
repository of the hub and the loader that its files need; what is in a format that we read is fetched and read by our
own readers, anything else is refused. What the registry adds to the files is kept: its overrides of their
configuration, and the scaling factor of the activations. What its loaders hold in their code, and the files do not say,
is in `SAID`: hook points, activation functions.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from autointerp.errors import InputError, nearest
from autointerp.subject.formats.common import Stated
from autointerp.subject.formats.refused import BY_LOADER
from autointerp.subject.formats.registry import BY_NAME

PREFIX = "sae-lens:"
FILE = "pretrained_saes.yaml"
FORMATS = {loader: row.name for row in BY_NAME.values() for loader in row.sae_lens_loaders}
"""Loaders of SAELens whose files we read, and the format of each."""


def _no_hook(_file: str) -> str | None:
    return None


def _hook_of_the_name(file: str) -> str | None:
    """The residual stream after the layer that ends a name such as `Llama-3.1-8B-Instruct-SAE-l19.pth`."""
    layer = re.search(r"-l(\d+)\.pth?$", file)
    return None if layer is None else f"blocks.{layer[1]}.hook_resid_post"


@dataclass(frozen=True)
class Said:
    """What a loader of SAELens holds in its code."""

    file: str = "{}"
    """The file in the repository, of the registry's `path`."""
    hook: Callable[[str], str | None] = _no_hook
    activation: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)


_TRANSCODER = {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "hook_mlp_out"}
SAID: dict[str | None, Said] = {
    "mwhanna_transcoder": Said(defaults=_TRANSCODER),
    "mntss_clt_layer_transcoder": Said(file="W_enc_{}.safetensors"),
    "goodfire": Said(hook=_hook_of_the_name, activation="relu"),
    "deepseek_r1": Said(hook=_hook_of_the_name, activation="relu"),
}


@dataclass(frozen=True)
class Release:
    """A dictionary in the registry."""

    hub: str
    """Where its files lie: a hub path."""
    format: str
    overrides: Mapping[str, Any]
    """Keys of its configuration that the registry knows better."""
    defaults: Mapping[str, Any]
    """Keys of its configuration that the registry knows where the files have none."""
    hook: str | None = None
    stated: Stated = field(default_factory=Stated)

    @property
    def scaling_factor(self) -> float | None:
        """What the activations were multiplied by in training, where the files leave that to the loader."""
        return self.defaults.get("norm_scaling_factor")


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
    if loader in BY_LOADER:
        raise InputError(f'"{path}": {BY_LOADER[loader].name} are not read: {BY_LOADER[loader].reason}')
    if loader not in FORMATS:
        readable = ", ".join(sorted({str(item) for item in FORMATS.values()}))
        raise InputError(f'"{path}": its files need SAELens\'s loader "{loader}", which is not read; {readable} are')
    entry = entries[dictionary]
    factor = entry.get("norm_scaling_factor")
    said = SAID.get(loader, Said())
    file = said.file.format(entry["path"])
    return Release(
        hub=f"hf://{release['repo_id']}/{file}",
        format=FORMATS[loader],
        overrides=release.get("config_overrides") or {},
        defaults={**said.defaults, **({} if factor is None else {"norm_scaling_factor": float(factor)})},
        hook=said.hook(file),
        stated=Stated(said.activation),
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


def model_of(path: str) -> str | None:
    """The model that the registry names for `sae-lens:RELEASE/ID`."""
    release = _releases(path).get(path.removeprefix(PREFIX).partition("/")[0], {})
    return str(release["model"]) if release.get("model") else None
