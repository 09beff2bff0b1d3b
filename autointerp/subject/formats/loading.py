"""From the path that a run file gives to a dictionary in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autointerp.config.own_code import OwnCode
from autointerp.errors import InputError, nearest
from autointerp.near_paths import near_path
from autointerp.resources import BUNDLED
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import sae_lens_releases
from autointerp.subject.formats.beside import check_beside
from autointerp.subject.formats.common import DictionarySource, Stated
from autointerp.subject.formats.detect import format_of
from autointerp.subject.formats.hub import fetch, names_beside, parse_hub
from autointerp.subject.formats.layer_of_set import file_of_layer, is_layer_of_set, set_and_layer
from autointerp.subject.formats.own import own_reader
from autointerp.subject.formats.registry import suffixes
from autointerp.subject.formats.row import Format


def check_path(path: str) -> None:
    """What can be said of a path without fetching anything. Raises InputError."""
    if path.startswith(sae_lens_releases.PREFIX):
        parse_hub(sae_lens_releases.look_up(path).hub)
    elif path.startswith("hf://"):
        parse_hub(set_and_layer(path)[0] if is_layer_of_set(path) else path)
    elif is_layer_of_set(path):
        check_path(file_of_layer(path, resolve_dictionary(set_and_layer(path)[0])).path)
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
        raise InputError(f'there is no {what} "{path}" to read a dictionary from{_meant(path)}')
    return place


def _meant(path: str) -> str:
    """What a path that leads nowhere may be: one near it, or a name whose beginning is missing."""
    bundled = [folder.name for folder in (BUNDLED / "dictionaries").iterdir() if folder.is_dir()]
    if path in bundled:
        return f'; the bundled one is "bundled:{path}"'
    near = near_path(path)
    if "the nearest" in near or path.startswith((".", "/", "~", "\\")):
        return near
    return f"{near}; names of SAELens's registry begin with sae-lens:, those on the hub with hf://, ours with bundled:"


def load_dictionary(
    path: str,
    *,
    hook: str | None = None,
    kind: str = "auto",
    format: str | OwnCode = "auto",
    activation: str | None = None,
    k: int | None = None,
) -> SparseAutoencoder:
    """Reads a dictionary. `hook`, `activation` and `k` are needed where the files do not say them; `format` may be the
    user's own."""
    release = sae_lens_releases.look_up(path) if path.startswith(sae_lens_releases.PREFIX) else None
    where = path if release is None else release.hub
    if is_layer_of_set(where):
        of_set = file_of_layer(where, resolve_dictionary(set_and_layer(where)[0]))
        where, hook = of_set.path, hook or of_set.hook
    source = replace(_source(path, where), stated=Stated(activation, k))
    if release is not None:
        format = release.format if format == "auto" else format
        hook = hook or release.hook
        stated = Stated(activation or release.stated.activation, k or release.stated.k)
        source = replace(source, overrides=release.overrides, defaults=release.defaults, stated=stated)
    if isinstance(format, OwnCode):
        sae = own_reader(format)(source, hook, kind)
    else:
        row = format_of(source, format)
        _check_stated(source, row)
        sae = row.read(source, hook, kind)
        check_beside(source, row, names_beside(where) | _names_in(source.folder))
    return sae if sae.processing is None else replace(sae, config={**sae.config, "processing": sae.processing})


def _check_stated(source: DictionarySource, row: Format) -> None:
    """The run file says nothing that the files say."""
    for name, value in (("activation", source.stated.activation), ("k", source.stated.k)):
        if value is not None and name not in row.states:
            what = f'files of the format "{row.name}" say it themselves; leave {name} out'
            raise InputError(f'"{source.path}": {name} = {value!r}: {what}')


def _names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.is_file()}


def _source(shown: str, path: str) -> DictionarySource:
    """The files at `path`; `shown` is what the run file calls it."""
    resolved = resolve_dictionary(path)
    if resolved.suffix == ".json" and resolved.is_file():
        resolved = resolved.parent
    folder = resolved.parent if resolved.is_file() else resolved
    place = parse_hub(path).place if path.startswith("hf://") else folder.absolute().parts
    return DictionarySource(shown, folder, resolved if resolved.is_file() else None, place)
