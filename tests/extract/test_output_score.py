"""Output scores equal those of Hugging Face's model with one feature after the other added by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract import output_score
from autointerp.extract.effects import logit_effects
from autointerp.extract.output_score import TOKENS, OutputScores, output_scores
from autointerp.extract.selected import Selected
from autointerp.subject.model import Subject
from autointerp.subject.patching import SuffixPasses, WholePasses, patched_passes

HOOK = "blocks.1.hook_resid_post"
PROMPT = torch.tensor([0, 7, 12, 3, 9])


@pytest.fixture(scope="module")
def promoted(tiny_subject: Subject, dictionaries: dict[str, Selected]) -> np.ndarray:
    dictionary = dictionaries["standard"].dictionary
    usable = np.arange(tiny_subject.d_vocab) >= 2
    strongest = logit_effects(tiny_subject, dictionary, np.arange(dictionary.n_features), usable)
    assert strongest is not None
    return strongest.token["promoted"][:, :TOKENS]


@pytest.fixture(scope="module")
def activation(dictionaries: dict[str, Selected]) -> np.ndarray:
    """Steps from hardly any to enormous ones; the fourth feature never fires."""
    sizes = np.geomspace(0.1, 300, dictionaries["standard"].dictionary.n_features)
    sizes[3] = 0
    return sizes


def measured(
    subject: Subject, passes: Any, chosen: Selected, activation: np.ndarray, promoted: np.ndarray
) -> OutputScores:
    directions = chosen.dictionary.directions.clone()
    directions[5] = 0
    features = np.arange(len(activation))
    return output_scores(passes.open(PROMPT), 4, directions, features, activation, promoted, subject.d_vocab)


@torch.no_grad()
def by_hand(model: Any, added: torch.Tensor, tokens: list[int]) -> tuple[int, float, int, float]:
    """Token, probability, rank and score: the whole prompt again, all tokens sorted."""

    def more(_module: Any, _inputs: Any, out: Any) -> Any:
        value = (out[0] if isinstance(out, tuple) else out).clone()
        value[0, -1] += added
        return (value, *out[1:]) if isinstance(out, tuple) else value

    handle = model.transformer.h[1].register_forward_hook(more)
    try:
        probabilities = model(PROMPT[None]).logits[0, -1].double().softmax(dim=0).numpy()
    finally:
        handle.remove()
    order = np.argsort(-probabilities).tolist()
    places = [order.index(token) for token in tokens]
    score = probabilities[tokens].max() * (1 - min(places) / len(probabilities))
    return order[min(places)], float(probabilities[tokens].max()), min(places) + 1, float(score)


@pytest.mark.parametrize("way", ["suffix", "whole"])
def test_scores_equal_those_of_one_feature_after_the_other(
    way: str,
    tiny_subject: Subject,
    plain_model: Any,
    dictionaries: dict[str, Selected],
    activation: np.ndarray,
    promoted: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output_score, "AT_ONCE", 7)  # the last batch is shorter
    chosen = dictionaries["standard"]
    passes = patched_passes(tiny_subject, HOOK, 0, PROMPT)
    assert isinstance(passes, SuffixPasses), "the quick way is the one that is used"
    passes = passes if way == "suffix" else WholePasses(tiny_subject, HOOK, 0)
    scores = measured(tiny_subject, passes, chosen, activation, promoted)
    assert scores.status == ["ok" if row not in (3, 5) else "silent" if row == 3 else "writes_nothing"
                             for row in range(len(activation))]  # fmt: skip
    width = chosen.dictionary.directions.shape[1]
    for row, status in enumerate(scores.status):
        if status != "ok":
            assert np.isnan(scores.score[row])
            assert scores.token[row] == scores.rank[row] == -1
            continue
        added = chosen.dictionary.directions[row] * float(activation[row])
        token, probability, rank, score = by_hand(plain_model, added, promoted[row].tolist())
        assert (scores.token[row], scores.rank[row]) == (token, rank)
        assert scores.probability[row] == pytest.approx(probability, rel=1e-3)
        assert scores.score[row] == pytest.approx(score, rel=1e-3)
        before = by_hand(plain_model, torch.zeros(width), promoted[row].tolist())[3]
        assert scores.score_before[row] == pytest.approx(before, rel=1e-3)
        assert scores.norm[row] == pytest.approx(float(added.norm()), rel=1e-5)
    assert len(set(scores.rank.tolist())) > 3, "ranks differ, so that their term is tried"


def test_memory_does_not_grow_with_the_vocabulary() -> None:
    """No more logits are asked for at once than LOGITS_HELD, and no more features than AT_ONCE."""
    asked: list[int] = []

    class Opened:
        def __init__(self, d_vocab: int) -> None:
            self.d_vocab = d_vocab

        def logits(self, positions: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
            assert len(positions) == len(added)
            asked.append(len(added) * self.d_vocab)
            return added[:, :1, None].expand(-1, 1, self.d_vocab)

        def last_streams(self, positions: torch.Tensor, added: torch.Tensor) -> tuple[torch.Tensor, None]:
            return self.logits(positions, added), None

    for d_vocab, n in ((1_000, 512), (400_000, 83)):
        asked.clear()
        features, tokens = np.arange(600), np.tile(np.arange(TOKENS), (600, 1))
        scores = output_scores(Opened(d_vocab), 1, torch.ones(600, 4), features, np.ones(600), tokens, d_vocab)
        assert max(asked) == n * d_vocab <= output_score.LOGITS_HELD
        assert sum(asked[1:]) == 600 * d_vocab
        np.testing.assert_allclose(scores.score, 1 / d_vocab, rtol=1e-6)


def test_an_output_that_is_not_finite_says_so(
    tiny_subject: Subject, dictionaries: dict[str, Selected], activation: np.ndarray, promoted: np.ndarray
) -> None:
    enormous = activation.copy()
    enormous[9] = 1e38
    passes = patched_passes(tiny_subject, HOOK, 0, PROMPT)
    scores = measured(tiny_subject, passes, dictionaries["standard"], enormous, promoted)
    assert scores.status[9] == "not_finite"
    assert scores.token[9] == -1
    assert np.isnan(scores.score[9])
    assert scores.status[8] == "ok"
