"""Reading dictionaries: whatever format the files are in, one record comes out, or one line that says why not.

    saelens              cfg.json, sae_weights.safetensors
    dictionary_learning  config.json, ae.pt
    sparsify             cfg.json, sae.safetensors
    openai               one .pt
    gemma_scope          params.npz

A format is told by its files' names, and each has its reader in a module of its name. Loading never changes
what a dictionary means: what a reader does not know, it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from autointerp.errors import InputError, nearest
from autointerp.resources import BUNDLED
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import dictionary_learning, gemma_scope, openai, registry, saelens, sparsify
from autointerp.subject.formats.common import Source
from autointerp.subject.formats.hub import SUFFIXES, fetch, parse_hub

__all__ = ["FORMATS", "check_path", "load_dictionary", "resolve_dictionary"]

READERS: dict[str, Callable[[Source, str | None, str], SparseAutoencoder]] = {
    "saelens": saelens.read,
    "dictionary_learning": dictionary_learning.read,
    "sparsify": sparsify.read,
    "openai": openai.read,
    "gemma_scope": gemma_scope.read,
}
FORMATS = {
    "saelens": f"cfg.json and {saelens.FILE}",
    "dictionary_learning": f"config.json and {dictionary_learning.FILE}",
    "sparsify": f"cfg.json and {sparsify.FILE}",
    "openai": "one .pt file",
    "gemma_scope": gemma_scope.FILE,
}
"""The formats, and the files of each."""


def check_path(path: str) -> None:
    """What can be said of a path without fetching anything. Raises InputError."""
    if path.startswith(registry.PREFIX):
        parse_hub(registry.look_up(path).hub)
    elif path.startswith("hf://"):
        parse_hub(path)
    else:
        resolve_dictionary(path)


def resolve_dictionary(path: str) -> Path:
    """`bundled:NAME`, `sae-lens:RELEASE/ID`, `hf://owner/repository/folder@revision`, a local folder or file."""
    if path.startswith(registry.PREFIX):
        return fetch(registry.look_up(path).hub)
    if path.startswith("bundled:"):
        name = path.removeprefix("bundled:")
        known = sorted(folder.name for folder in (BUNDLED / "dictionaries").iterdir() if folder.is_dir())
        if name not in known:
            raise InputError(f'there is no bundled dictionary "{name}"{nearest(name, known)}')
        return BUNDLED / "dictionaries" / name
    if path.startswith("hf://"):
        return fetch(path)
    found = Path(path)
    if not found.exists():
        what = "file" if found.suffix in SUFFIXES else "folder"
        raise InputError(f'there is no {what} "{path}" to read a dictionary from')
    return found


def load_dictionary(
    path: str, *, hook: str | None = None, kind: str = "auto", format: str = "auto"
) -> SparseAutoencoder:
    """Reads a dictionary. `hook` is needed where the files do not name one."""
    release = registry.look_up(path) if path.startswith(registry.PREFIX) else None
    source = _source(path, path if release is None else release.hub)
    if release is not None:
        source = replace(source, overrides=release.overrides)
        format = release.format if format == "auto" else format
    sae = READERS[_format_of(source, format)](source, hook, kind)
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


def _source(shown: str, path: str) -> Source:
    """The files at `path`; `shown` is what the run file calls it."""
    found = resolve_dictionary(path)
    if found.suffix == ".json" and found.is_file():
        found = found.parent
    folder = found.parent if found.is_file() else found
    place = parse_hub(path).place if path.startswith("hf://") else folder.absolute().parts
    return Source(shown, folder, found if found.is_file() else None, place)


def _format_of(source: Source, asked: str) -> str:
    """The format that the run file asks for, else the one whose files are there."""
    if asked not in (*READERS, "auto"):
        raise InputError(f'there is no format "{asked}"{nearest(asked, READERS)}')
    there = _formats_of_file(source.file) if source.file else _formats_of_folder(source.folder)
    if asked != "auto":
        if there and asked not in there:
            what = f'format = "{asked}" means {FORMATS[asked]}; what is there is in the format "{there[0]}"'
            raise InputError(f'"{source.path}": {what}')
        return asked
    if len(there) > 1 and source.file is None:
        raise InputError(
            f'"{source.path}" has files of the formats {" and ".join(there)}; say which: format = "{there[0]}"'
        )
    if there:
        return there[0]
    if source.file is None and (source.folder / "cfg.json").is_file():
        return "saelens"  # it has lost its weights, and says so
    if source.file is None:
        files = ", ".join((saelens.FILE, sparsify.FILE, dictionary_learning.FILE, gemma_scope.FILE))
        raise InputError(f'"{source.path}" has no cfg.json, and none of {files}: not a dictionary')
    raise InputError(f'"{source.path}": its name does not tell the format; give format = "saelens" or another')


def _formats_of_folder(folder: Path) -> list[str]:
    files = {
        "saelens": saelens.FILE,
        "dictionary_learning": dictionary_learning.FILE,
        "sparsify": sparsify.FILE,
        "gemma_scope": gemma_scope.FILE,
    }
    there = [name for name, file in files.items() if (folder / file).is_file()]
    if there or (folder / "cfg.json").is_file():
        return there
    return ["openai"] if any(file.suffix in openai.SUFFIXES for file in folder.iterdir()) else []


def _formats_of_file(file: Path) -> list[str]:
    """By its name, the likelier first: a `.pt` called ae, or with a config beside it, is dictionary_learning's."""
    by_name = {saelens.FILE: "saelens", sparsify.FILE: "sparsify", gemma_scope.FILE: "gemma_scope"}
    if file.name in by_name:
        return [by_name[file.name]]
    if file.suffix in openai.SUFFIXES:
        trained = re.fullmatch(r"ae(_\w+)?\.pt", file.name) or (file.parent / "config.json").is_file()
        return ["dictionary_learning", "openai"] if trained else ["openai", "dictionary_learning"]
    return ["gemma_scope"] if file.suffix == ".npz" else []
