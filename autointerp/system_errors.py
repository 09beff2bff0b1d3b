"""What the system says no to, in a line: which file, why, and what to do."""

from __future__ import annotations

import errno

_OF_USE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
"""Wrong places: the same command never works there."""
_DO = {
    errno.EROFS: "put it where it can be written (the store: --store)",
    errno.EACCES: "allow it to be read and written, or name another place",
    errno.EPERM: "allow it to be read and written, or name another place",
    errno.ENOSPC: "make room; the same command goes on",
    errno.EDQUOT: "make room in your quota; the same command goes on",
    errno.EIO: "the disk or the network behind it fails",
    errno.ESTALE: "the network disk was mounted anew; run again",
    errno.EMFILE: "allow more open files: `ulimit -n 4096`",
    errno.ENFILE: "the machine has too many files open",
    errno.ENOMEM: "the machine has no memory left",
    errno.ENOLCK: "the file system has no locks left; put the store on a local disk: --store",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ELOOP: "its links lead round in a circle",
}


def system_error_line(error: OSError) -> str:
    """`"a/b" cannot be used: Read-only file system; put it ...`; the error's own words where it has no number."""
    if error.errno is None or not error.strerror:
        return " ".join(str(error).split())
    names = " and ".join(f'"{_text(name)}"' for name in (error.filename, error.filename2) if name is not None)
    do = f"; {_DO[error.errno]}" if error.errno in _DO else ""
    return f"{f'{names} cannot be used: ' if names else ''}{error.strerror}{do}"


def is_wrong_use(error: Exception) -> bool:
    """Whether it is about a place that a person named."""
    return isinstance(error, OSError) and error.errno in _OF_USE and error.filename is not None


def _text(name: object) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
