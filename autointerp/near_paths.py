"""What was probably meant by a path that leads nowhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from autointerp.errors import nearest


def near_path(path: str | os.PathLike[str]) -> str:
    """`'; the nearest is "data/x.txt"'` by the first part that is not there; the folder that is missing where nothing
    is near; "" where the name alone is wrong; what stands there, where something does. `path` as a person wrote it."""
    place = Path(path).expanduser()
    if kind := _kind(place):
        return f"; it is {kind}"
    missing = place
    while not missing.parent.exists() and missing.parent != missing:
        missing = missing.parent
    try:
        siblings = sorted(os.listdir(missing.parent))
    except OSError:
        return ""
    here = nearest(missing.name, [name for name in siblings if not name.startswith(".")])
    if here:
        name = here.removeprefix('; the nearest is "').removesuffix('"')
        return f'; the nearest is "{missing.parent / name / place.relative_to(missing)}"'
    return "" if missing == place else f'; there is no "{missing}"'


def _kind(place: Path) -> str:
    """What stands at a path at which something else is expected; "" where nothing does."""
    try:
        mode = place.stat().st_mode
    except OSError:
        return "a link that leads nowhere" if place.is_symlink() else ""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    return f"{kind}: write it to a file first" if kind in ("a pipe", "a device") else kind
