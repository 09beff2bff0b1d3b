"""Files that only say where their content lies: what a clone without its large files leaves in their place."""

from __future__ import annotations

from pathlib import Path

_BEGINNINGS = {b"version https://git-lfs": "git lfs pull", b"/annex/objects/": "git annex get ."}
LONGEST = 1024
"""Bytes of such a file at most."""


def pointer_line(file: Path) -> str | None:
    """What to say of a file that holds no more than where its content lies; None of any other."""
    try:
        if not file.is_file() or file.stat().st_size > LONGEST:
            return None
        with file.open("rb") as content:
            return pointer_words(content.read(LONGEST))
    except OSError:
        return None


def pointer_words(head: bytes) -> str | None:
    """The same by a file's first bytes."""
    for begins, command in _BEGINNINGS.items():
        if head.startswith(begins):
            return f"says only where its content lies: fetch it first ({command})"
    return None
