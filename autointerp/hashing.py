"""Randomness and identity by name.

Every random choice is a hash of what it is about, `(seed, stream, feature, context, position)`, never
the state of a generator: the same choice falls whatever the batch size, the number of workers or the
order in which data arrive. Work is identified by the hash of its content.

The mixer is the finaliser of SplitMix64 (Steele, Lea & Flood 2014), applied once per key. It is the
only arithmetic here that has a twin: `autointerp.extract.summary.segments` computes the same values on a device.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt

UInt64 = npt.NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_MASK = 0xFFFFFFFFFFFFFFFF


def content_hash(value: Any, *, tag: str = "autointerp") -> str:
    """32 hexadecimal digits of the canonical JSON of `value`; `tag` keeps kinds of content apart."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.blake2b(f"{tag}\0{text}".encode(), digest_size=16).hexdigest()


def bytes_hash(data: bytes) -> str:
    """32 hexadecimal digits of raw bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def stream_key(seed: int, *names: str | int) -> int:
    """The 64-bit key of a named stream of random numbers."""
    digest = hashlib.blake2b("\0".join([str(seed), *map(str, names)]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def mix(value: int) -> int:
    """SplitMix64's finaliser on one Python integer: the obvious twin of the vectorised forms."""
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)


def hash64(key: int, *parts: npt.ArrayLike) -> UInt64:
    """Broadcasts integer arrays to one 63-bit hash each (63, so that signed 64-bit stores hold it)."""
    state = np.asarray(np.uint64(key))
    with np.errstate(over="ignore"):
        for part in parts:
            state = _mix_array(state ^ np.asarray(part).astype(np.int64).view(np.uint64))
    return np.asarray(state >> np.uint64(1), dtype=np.uint64)


def _mix_array(value: npt.NDArray[np.uint64]) -> UInt64:
    value = np.asarray(value + np.uint64(_GOLDEN), dtype=np.uint64)
    for places, factor in ((30, _MIX_1), (27, _MIX_2)):
        value ^= value >> np.uint64(places)
        value *= np.uint64(factor)
    value ^= value >> np.uint64(31)
    return value


def hash01(key: int, *parts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1), one for each broadcast tuple of `parts`."""
    return hash64(key, *parts).astype(np.float64) / float(1 << 63)


def rng_for(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for one named purpose, e.g. `rng_for(seed, "sample", dictionary)`."""
    return np.random.default_rng(stream_key(seed, *names))
