"""Plans and token files over the tiny subject; an encoder that everybody can follow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp.subject.tokenise import TokenPlan, open_tokens
from autointerp.subject.tokens import TokenFile


def letters(texts: list[str]) -> list[list[int]]:
    """A token a character: 2 + its code, modulo 50."""
    return [[2 + ord(character) % 50 for character in text] for text in texts]


@pytest.fixture(scope="session")
def encode() -> Callable[[list[str]], list[list[int]]]:
    return letters


@pytest.fixture(scope="session")
def plan() -> Callable[..., TokenPlan]:
    """A plan with id 0 as BOS, 0 and 1 special, 61 ids; any field can be given."""

    def make(source: str | Path, **changed: Any) -> TokenPlan:
        fields: dict[str, Any] = {
            "source": str(source),
            "context_length": 24,
            "n_tokens": None,
            "allow_fewer": False,
            "bos": 0,
            "special": (0, 1),
            "d_vocab": 61,
            "window": 7,
            "shares": (0.5, 0.2, 0.3),
            "tokenizer": "",
        }
        return TokenPlan(**fields | changed)

    return make


@pytest.fixture(scope="session")
def tokenised(plan: Callable[..., TokenPlan], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TokenFile]:
    """The token file of a source, in a folder of its own."""

    def make(source: str | Path, **changed: Any) -> TokenFile:
        return open_tokens(tmp_path_factory.mktemp("work"), plan(source, **changed), letters, lambda _: None)

    return make


@pytest.fixture(scope="session")
def npy_tokens(tokenised: Callable[..., TokenFile], tokens_npy: Path) -> TokenFile:
    """The 90 rows of `tokens_npy`, which bring their BOS."""
    return tokenised(f"npy:{tokens_npy}", bos=None)


@pytest.fixture(scope="session")
def save_rows(tmp_path_factory: pytest.TempPathFactory) -> Callable[[np.ndarray], str]:
    """Saves an array and returns it as a source."""

    def save(array: np.ndarray) -> str:
        path = tmp_path_factory.mktemp("rows") / "rows.npy"
        np.save(path, array)
        return f"npy:{path}"

    return save
