"""The kernel's library: built by the system's C compiler at first use, kept in the user's cache, called with tensors.

Where there is no compiler, where what it makes cannot be loaded, and with AUTOINTERP_KERNEL=off, the steps are done by
torch and NumPy: the same rows, to the bit, in more time. `missing` says why.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SWITCH = "AUTOINTERP_KERNEL"
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-shared")
"""No fused multiply-add, and nothing of this one processor: sums are those of torch on any machine."""
SECONDS = 120
TYPES = {
    "int64_t": (torch.int64,),
    "int32_t": (torch.int32,),
    "int16_t": (torch.int16,),
    "uint8_t": (torch.uint8, torch.bool),
    "float": (torch.float32,),
    "double": (torch.float64,),
}
_FUNCTION = re.compile(r"^int64_t (\w+)\(([^)]*)\)\n\{", re.MULTILINE)
_switched_off = False


class NotBuilt(Exception):
    """Why there is no library."""


def usable(tensor: Tensor) -> bool:
    """Whether the steps of a tensor's device are to be done by the kernel."""
    return not tensor.is_cuda and not _switched_off and loaded()[0] is not None


def missing() -> str | None:
    """Why the kernel is not used on a CPU; None: it is."""
    return loaded()[1]


@contextmanager
def switched_off() -> Iterator[None]:
    """The same work without the kernel."""
    global _switched_off  # noqa: PLW0603
    before, _switched_off = _switched_off, True
    try:
        yield
    finally:
        _switched_off = before


def call(name: str, *arguments: Tensor | int | None) -> int:
    """Calls a function of the kernel. Tensors must be contiguous, on the CPU and of the types that it declares.

    Raises MemoryError where the function found none.
    """
    library = loaded()[0]
    assert library is not None
    given: list[ctypes.c_void_p | ctypes.c_int64] = []
    for argument, types in zip(arguments, _declared()[name], strict=True):
        if isinstance(argument, Tensor):
            assert argument.dtype in types, (name, argument.dtype, types)
            assert argument.is_contiguous()
            assert not argument.is_cuda
            given.append(ctypes.c_void_p(argument.data_ptr()))
        elif argument is None:
            assert types, name
            given.append(ctypes.c_void_p(None))
        else:
            assert not types, name
            given.append(ctypes.c_int64(argument))  # also of unsigned numbers: the same 64 bits
    function = getattr(library, name)
    function.restype = ctypes.c_int64
    returned: int = function(*given)
    if returned == -1:
        raise MemoryError(f"{name}: no memory")
    return returned


def _sources() -> list[Path]:
    return sorted(Path(__file__).parent.glob("*.[ch]"))


@cache
def _declared() -> dict[str, list[tuple[torch.dtype, ...]]]:
    """Of each function of the sources the types that each argument may have; none where it is a number."""
    return {
        name: [
            TYPES[argument.replace("const ", "").split()[0]] if "*" in argument else () for argument in given.split(",")
        ]
        for path in _sources()
        for name, given in _FUNCTION.findall(path.read_text(encoding="utf-8"))
    }


@cache
def loaded() -> tuple[ctypes.CDLL | None, str | None]:
    """The library, or why there is none. Asked for once a process."""
    if asked_off():
        return None, f"{SWITCH} is off"
    try:
        return ctypes.CDLL(str(built_in(*_folders()))), None
    except (NotBuilt, OSError) as error:
        return None, str(error)


def asked_off() -> bool:
    """Whether the environment says that there is to be none."""
    return os.environ.get(SWITCH, "").lower() in ("off", "0", "no")


def built_in(*folders: Path) -> Path:
    """The library's file in the first of the folders that can hold it, built if it is not there yet.

    Raises NotBuilt.
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if sys.platform == "win32" or compiler is None:
        raise NotBuilt(f"no C compiler ({', '.join(COMPILERS)})")
    digest = hashlib.blake2b("\0".join([sys.platform, platform.machine(), *FLAGS]).encode(), digest_size=12)
    for path in _sources():
        digest.update(path.read_bytes())
    for folder in folders:
        path = folder / f"kernel-{digest.hexdigest()}.so"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.is_file():
                _build(compiler, path)
            return path
        except OSError:  # not ours to write in, or full
            continue
    raise NotBuilt("no folder to keep it in")


def _folders() -> Iterator[Path]:
    """Where the library may be kept: in the user's cache; else in a folder of this process, gone with it."""
    with suppress(RuntimeError):  # no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autointerp"
    yield Path(_own_folder().name)


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="autointerp-kernel-", ignore_cleanup_errors=True)


def _build(compiler: str, path: Path) -> None:
    """Written beside it and renamed: another process may build it at the same time."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    command = [
        compiler,
        *FLAGS,
        "-o",
        str(part),
        *(str(source) for source in _sources() if source.suffix == ".c"),
        "-lm",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired as error:
        raise NotBuilt(f"{compiler} took more than {SECONDS} seconds") from error
    if done.returncode:
        part.unlink(missing_ok=True)
        raise NotBuilt(f"{compiler}: {(done.stderr.strip().splitlines() or ['it failed'])[0][:200]}")
    part.rename(path)
