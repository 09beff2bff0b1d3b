"""Which format files are in: told by their names, from the rows of the registry."""

from __future__ import annotations

from pathlib import Path

from autointerp.errors import InputError, nearest
from autointerp.subject.formats.common import DictionarySource
from autointerp.subject.formats.refused import refuse
from autointerp.subject.formats.registry import BY_NAME
from autointerp.subject.formats.row import Format


def format_of(source: DictionarySource, asked: str) -> Format:
    """The format that the run file asks for, else the one whose files are there. Raises InputError."""
    if asked not in (*BY_NAME, "auto"):
        raise InputError(f'there is no format "{asked}"{nearest(asked, BY_NAME)}')
    refuse(source)
    there = _formats_of_file(source.file) if source.file else _formats_of_folder(source.folder)
    if asked != "auto":
        if there and asked not in [row.name for row in there]:
            files = BY_NAME[asked].files
            what = f'format = "{asked}" means {files}; what is there is in the format "{there[0].name}"'
            raise InputError(f'"{source.path}": {what}')
        return BY_NAME[asked]
    if len(there) > 1 and source.file is None:
        names = [row.name for row in there]
        raise InputError(
            f'"{source.path}" has files of the formats {" and ".join(names)}; say which: format = "{names[0]}"'
        )
    if there:
        return there[0]
    if source.file is None:
        return _without_weights(source)
    raise InputError(f'"{source.path}": its name does not tell the format; give format = "saelens" or another')


def _without_weights(source: DictionarySource) -> Format:
    """A folder with settings that a format must have has lost its weights: its reader says so."""
    for row in BY_NAME.values():
        if row.needs_config and _has(source.folder, row.config):
            return row
    settings = dict.fromkeys(row.config for row in BY_NAME.values() if row.needs_config and row.config)
    weights = ", ".join(row.weights or str(row.one_of) for row in BY_NAME.values() if row.weights or row.one_of)
    below = _dictionaries_below(source.folder)
    if below:
        raise InputError(f'"{source.path}" holds {below}, and is no dictionary itself; let path name one of them')
    raise InputError(f'"{source.path}" has no {" or ".join(settings)}, and none of {weights}: not a dictionary')


def _dictionaries_below(folder: Path) -> str:
    """The folders one below that hold a dictionary's files (checkpoints, layers), as a person lists them."""
    inside = sorted(place.name for place in folder.iterdir() if place.is_dir() and _formats_of_folder(place))
    shown = ", ".join(f'"{name}"' for name in inside[:4])
    return f"{shown} and {len(inside) - 4} more" if len(inside) > 4 else shown


def _formats_of_folder(folder: Path) -> list[Format]:
    """Those whose weights are there by name. Where there are none, and no settings, any file of weights tells."""
    named = [row for row in BY_NAME.values() if row.holds(folder)]
    if named or any(row.needs_config and _has(folder, row.config) for row in BY_NAME.values()):
        return named
    files = [file for file in folder.iterdir() if file.is_file()]
    rows = [row for row in BY_NAME.values() if row.weights is None and row.one_of is None]
    fits = [row for row in rows if any(file.suffix in row.suffixes for file in files)]
    likely = [row for row in fits if any(file.suffix in row.suffixes and row.likely(file) for file in files)]
    return (likely or fits)[:1]


def _formats_of_file(file: Path) -> list[Format]:
    """By its name; where only its ending tells, the likelier format first."""
    named = [row for row in BY_NAME.values() if row.is_named(file)]
    if named:
        return [row for row in named if row.tells is not None and row.tells(file.parent)] or named
    fits = [row for row in BY_NAME.values() if file.suffix in row.suffixes]
    return sorted(fits, key=lambda row: 0 if row.likely(file) else 1 if row.weights is None else 2)


def _has(folder: Path, name: str | None) -> bool:
    return name is not None and (folder / name).is_file()
