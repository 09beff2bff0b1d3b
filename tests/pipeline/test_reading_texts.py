"""Texts that a judge wrote are read by the subject: many at once as each by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.extract.selected import Selected
from autointerp.pipeline.asking.reading_texts import AT_ONCE, read_texts, with_activations
from autointerp.score.predictions import Judged
from autointerp.score.scorers.generation import read_generated
from autointerp.subject.formats import load_dictionary
from autointerp.subject.loading import load_subject

CONTEXT = 24


@pytest.fixture(scope="module")
def subject() -> Any:
    return load_subject("bundled:subject", None, "raw", "float32", "cpu")


@pytest.fixture(scope="module")
def selected() -> Selected:
    dictionary = load_dictionary("bundled:mlp-1k")
    return Selected(dictionary, np.arange(dictionary.n_features))


TEXTS = [
    "def parse(self, text):\n    return text",
    "x",
    "",
    "The quick brown fox. " * 20,
    "é\x00?",
    "import os\n\n\n" * 3,
    *(f"return value {i} of {'a longer line ' * (i % 5)}" for i in range(2 * AT_ONCE)),
]
ROWS = [(7 * i % 1024, text) for i, text in enumerate(TEXTS)]


def slow(subject: Any, selected: Selected, feature: int, text: str) -> float:
    """One text, no filling."""
    [ids] = subject.encode_texts([text])
    ids = [0, *ids[: CONTEXT - 1]]
    if len(ids) == 1:
        return float("nan")
    hook = selected.dictionary.hook
    x = subject.activations(torch.tensor([ids]), [hook])[hook][0, 1:]
    return float(selected.dictionary.encode(x)[:, feature].max())


def test_many_texts_are_read_as_each_by_itself(subject: Any, selected: Selected) -> None:
    maximum, n_tokens = read_texts(subject, selected, ROWS, 0, CONTEXT)
    expected = [slow(subject, selected, feature, text) for feature, text in ROWS]
    np.testing.assert_allclose(maximum, expected, rtol=1e-4, atol=1e-5)
    assert (np.nan_to_num(maximum) > 0).any()
    assert n_tokens.max() == CONTEXT - 1  # a long text is cut where a context ends
    assert np.isnan(maximum[2])
    assert n_tokens[2] == 0


def test_predictions_get_their_activations_and_others_are_left(subject: Any, selected: Selected) -> None:
    answer: Any = SimpleNamespace(status="ok", data=[f"text {i}" for i in range(7)] + ["return None"], reason="")
    refused: Any = SimpleNamespace(status="refused", data=None, reason="no")
    maxima = np.array([0.1, 0.2])
    other: Any = Judged.__new__(Judged)
    given = {3: read_generated(3, maxima, 0.5, answer), 4: read_generated(4, maxima, 0.5, refused), 5: other}
    made: Any = with_activations(subject, selected, given, 0, CONTEXT)
    assert made[5] is other
    assert made[4] is given[4]
    assert made[3].status == ("ok",) * 8
    assert made[3].maximum[7] == pytest.approx(slow(subject, selected, 3, "return None"), abs=1e-5)


def test_a_subject_without_a_tokenizer_cannot(tiny_subject: Any, selected: Selected) -> None:
    with pytest.raises(InputError, match="no tokenizer"):
        read_texts(tiny_subject, selected, [(0, "x")], 0, CONTEXT)
