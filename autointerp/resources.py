"""Where the files beside the code lie, in a checkout and in an installed wheel alike.

A wheel holds `prompts/`, `runs/` and `analysis/` inside the package; a checkout holds them beside it.
"""

from __future__ import annotations

from pathlib import Path

from autointerp.errors import UserError, nearest
from autointerp.near_paths import near_path

PACKAGE = Path(__file__).resolve().parent
BUNDLED = PACKAGE / "bundled"
"""The bundled subject, dictionaries and corpus."""


def folder(name: str) -> Path:
    """`prompts`, `runs` or `analysis`."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def prompt_text(name: str) -> str:
    """Text of a prompt or template file, e.g. `lexical.md`."""
    return (folder("prompts") / name).read_text(encoding="utf-8")


def analysis_path(name: str) -> Path:
    """Path of an analysis question: a file of the user's, or one of ours by name."""
    return _find(Path(name), "analysis", ".sql")


def run_path(name: str) -> Path:
    """Path of a run file: a file of the user's, or one of ours by name."""
    return _find(Path(name), "runs", ".toml")


def _find(path: Path, where: str, suffix: str) -> Path:
    if path.is_file():
        return path
    ours = {file.stem: file for file in sorted(folder(where).glob(f"*{suffix}"))}
    if path.stem in ours and path.name in (path.stem, path.stem + suffix) and path.parent.name in ("", where):
        return ours[path.stem]
    near = nearest(path.stem, ours) or _near_file(path, suffix)
    raise UserError(f'there is no file "{path}", and none of that name in {where}/{near}')


def _near_file(path: Path, suffix: str) -> str:
    """A file of the user's that was probably meant."""
    if path.is_dir():
        return f'; "{path}" is a folder'
    whole = path.with_name(path.name + suffix)
    return f'; the nearest is "{whole}"' if whole.is_file() else near_path(path)
