"""What was probably meant by a path that leads nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from autointerp.errors import nearest


def near_path(path: str | os.PathLike[str]) -> str:
    """`'; the nearest is "data/x.txt"'` by the first part that is not there; the folder that is missing where nothing
    is near; "" where the name alone is wrong. `path` as a person wrote it."""
    place = Path(path).expanduser()
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
