"""The hash: its vectorised forms against one Python integer at a time, and its uniformity."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from autointerp.extract.summary import segments
from autointerp.hashing import content_hash, hash01, hash64, mix, rng_for, stream_key

integers = st.integers(-(2**62), 2**62)


@given(st.integers(0, 2**32), st.lists(integers, min_size=1, max_size=3))
def test_numpy_and_torch_equal_the_scalar_form(seed: int, parts: list[int]) -> None:
    key = stream_key(seed, "a stream")
    state = key
    for part in parts:
        state = mix(state ^ (part & 0xFFFFFFFFFFFFFFFF))
    assert int(hash64(key, *parts)) == state >> 1
    assert int(segments.hash64(key, *(torch.tensor([part]) for part in parts))) == state >> 1


def test_uniform_and_uncorrelated() -> None:
    u = hash01(stream_key(0, "x"), np.arange(100_000))
    counts = np.histogram(u, 20, (0, 1))[0]
    assert ((counts - 5_000) ** 2 / 5_000).sum() < 44  # chi-square, 19 degrees of freedom: 1 in 1,000
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.012
    assert abs(np.corrcoef(u, hash01(stream_key(1, "x"), np.arange(100_000)))[0, 1]) < 0.012


def test_names_keep_streams_apart() -> None:
    assert stream_key(0, "a", "b") != stream_key(0, "a\0b", "")
    assert rng_for(0, "a").random() != rng_for(0, "b").random()
    assert rng_for(0, "a").random() == rng_for(0, "a").random()
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash([1], tag="x") != content_hash([1], tag="y")
