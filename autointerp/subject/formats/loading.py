"""From the path that a run file gives to a dictionary in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autointerp.config.own_code import OwnCode
from autointerp.errors import InputError, nearest
from autointerp.resources import BUNDLED
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import sae_lens_releases
from autointerp.subject.formats.common import DictionarySource
from autointerp.subject.formats.detect import format_of
from autointerp.subject.formats.hub import fetch, parse_hub
from autointerp.subject.formats.own import own_reader
from autointerp.subject.formats.registry import suffixes


def check_path(path: str) -> None:
    """What can be said of a path without fetching anything. Raises InputError."""
    if path.startswith(sae_lens_releases.PREFIX):
        parse_hub(sae_lens_releases.look_up(path).hub)
    elif path.startswith("hf://"):
        parse_hub(path)
    else:
        resolve_dictionary(path)


def resolve_dictionary(path: str) -> Path:
    """`bundled:NAME`, `sae-lens:RELEASE/ID`, `hf://owner/repository/folder@revision`, a local folder or file."""
    if path.startswith(sae_lens_releases.PREFIX):
        return fetch(sae_lens_releases.look_up(path).hub)
    if path.startswith("bundled:"):
        name = path.removeprefix("bundled:")
        known = sorted(folder.name for folder in (BUNDLED / "dictionaries").iterdir() if folder.is_dir())
        if name not in known:
            raise InputError(f'there is no bundled dictionary "{name}"{nearest(name, known)}')
        return BUNDLED / "dictionaries" / name
    if path.startswith("hf://"):
        return fetch(path)
    place = Path(path).expanduser()
    if not place.exists():
        what = "file" if place.suffix in suffixes() else "folder"
        raise InputError(f'there is no {what} "{path}" to read a dictionary from')
    return place


def load_dictionary(
    path: str, *, hook: str | None = None, kind: str = "auto", format: str | OwnCode = "auto"
) -> SparseAutoencoder:
    """Reads a dictionary. `hook` is needed where the files do not name one; `format` may be the user's own."""
    release = sae_lens_releases.look_up(path) if path.startswith(sae_lens_releases.PREFIX) else None
    source = _source(path, path if release is None else release.hub)
    if release is not None:
        source = replace(source, overrides=release.overrides)
        format = release.format if format == "auto" else format
    read = own_reader(format) if isinstance(format, OwnCode) else format_of(source, format).read
    sae = read(source, hook, kind)
    if release is not None and release.scaling_factor is not None:
        sae = _scaled(sae, release.scaling_factor)
    return sae if sae.processing is None else replace(sae, config={**sae.config, "processing": sae.processing})


def _scaled(sae: SparseAutoencoder, factor: float) -> SparseAutoencoder:
    """The activations' scaling factor folded into the weights, where the files leave it to the loader."""
    if sae.config.get("normalize_activations") not in ("expected_average_only_in", True):
        return sae
    return replace(
        sae,
        W_enc=sae.W_enc * factor,
        W_dec=sae.W_dec / factor,
        b_dec=sae.b_dec / factor,
        config={**sae.config, "norm_scaling_factor_folded": factor},
    )


def _source(shown: str, path: str) -> DictionarySource:
    """The files at `path`; `shown` is what the run file calls it."""
    resolved = resolve_dictionary(path)
    if resolved.suffix == ".json" and resolved.is_file():
        resolved = resolved.parent
    folder = resolved.parent if resolved.is_file() else resolved
    place = parse_hub(path).place if path.startswith("hf://") else folder.absolute().parts
    return DictionarySource(shown, folder, resolved if resolved.is_file() else None, place)
