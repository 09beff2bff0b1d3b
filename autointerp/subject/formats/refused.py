"""Dictionaries that are known and not read: each by the files that tell it, with the reason.

What a setting in a file refuses stands in the row of its format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from autointerp.errors import InputError
from autointerp.subject.formats.common import DictionarySource


@dataclass(frozen=True)
class Refused:
    """A kind of dictionary that is not read."""

    name: str
    files: str
    """What tells it, for the documentation."""
    reason: str
    tells: Callable[[DictionarySource], bool]
    sae_lens_loaders: tuple[str, ...] = ()


def _temporal(source: DictionarySource) -> bool:
    return (source.folder / "conf.yaml").is_file() and (source.folder / "latest_ckpt.safetensors").is_file()


def _in_folder(name: str) -> Callable[[DictionarySource], bool]:
    """Whether Gemma Scope 2 puts such dictionaries into the folder: `crosscoder`, or `crosscoder_all`."""

    def tells(source: DictionarySource) -> bool:
        inside = any(re.fullmatch(rf"{name}(_all)?", part) for part in source.place)
        return inside and any(part.startswith("gemma-scope-2") for part in source.place)

    return tells


REFUSED = (
    Refused(
        "temporal SAEs",
        "`conf.yaml` and `latest_ckpt.safetensors`",
        "their features depend on the earlier tokens of a text, not on one activation",
        _temporal,
        ("temporal",),
    ),
    Refused(
        "crosscoders of Gemma Scope 2",
        "a folder `crosscoder` in a repository `gemma-scope-2-...`",
        "they read several hook points at once",
        _in_folder("crosscoder"),
    ),
    Refused(
        "cross-layer transcoders of Gemma Scope 2",
        "a folder `clt` in a repository `gemma-scope-2-...`",
        "the library that reads them leaves out a layer, so nothing tells whether a reader is right; "
        "those in circuit-tracer's own format are read",
        _in_folder("clt"),
    ),
)
BY_LOADER = {loader: kind for kind in REFUSED for loader in kind.sae_lens_loaders}
"""What SAELens's registry calls the loaders of such files."""


def refuse(source: DictionarySource) -> None:
    """Raises InputError where the files are of a kind that is not read."""
    for kind in REFUSED:
        if kind.tells(source):
            raise InputError(f'"{source.path}": {kind.name} are not read: {kind.reason}')
