"""Folders that hold a dictionary for each layer: which file is meant, and which layer it is."""

from __future__ import annotations

import re
from pathlib import Path

from autointerp.errors import InputError
from autointerp.subject.formats.common import DictionarySource


def file_of_one_layer(source: DictionarySource, pattern: str, what: str) -> tuple[Path, int]:
    """The file that `path` names, or the only one in the folder that a pattern such as `layer_*.safetensors` fits."""
    if source.file is not None:
        return source.file, _layer(source.file, pattern, source.path)
    there = sorted(source.folder.glob(pattern), key=lambda file: (len(file.name), file.name))
    if len(there) == 1:
        return there[0], _layer(there[0], pattern, source.path)
    first = there[0].name if there else pattern.replace("*", "0")
    holds = f"holds {len(there)} {what}, one for each layer" if there else f"has no {pattern} here"
    where, mark, revision = source.path.partition("@") if source.path.startswith("hf://") else (source.path, "", "")
    raise InputError(
        f'"{source.path}" {holds}, and a dictionary is one of them: '
        f'give path = "{where.rstrip("/")}/{first}{mark}{revision}"'
    )


def _layer(file: Path, pattern: str, path: str) -> int:
    matched = re.fullmatch(re.escape(pattern).replace(r"\*", r"(\d+)"), file.name)
    if matched is None:
        raise InputError(f'"{path}": the name of the file does not tell the layer; it must be {pattern}')
    return int(matched[1])
