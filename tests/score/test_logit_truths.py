"""Promoted and suppressed tokens, direct and measured: planted features of known directions, and who is at chance.

A vocabulary of word families stands in for the subject's: the tokens of a family look alike and lie near each other in
the unembedding. A planted feature writes towards one family and away from another, so that its label is known.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from label_reader import entries_in

from autointerp.explain.output_labels import StrongTokens, TwoSides, direct_labels
from autointerp.explain.sentence import token_names
from autointerp.extract.effects import LogitPath, strongest_effects
from autointerp.extract.hard_tokens import HardTokens, hard_tokens, hard_tokens_of_changes
from autointerp.records import Float64, Int64
from autointerp.score.measures import rated_accuracy
from autointerp.score.predictions import Rated, TokenItems
from autointerp.score.scorers.hard_logits import HardLogits, hard_items
from autointerp.score.scorers.logit_effects import LogitEffects, Truth, logit_ask, token_items
from autointerp.score.scorers.protocol import Distractors
from autointerp.score.scorers.registry import SCORERS
from autointerp.score.scorers.text_likeness import read_text
from autointerp.score.scorers.vocabulary import Vocabulary
from autointerp.words import LOGIT_SCORERS, MEASURED_SCORERS

WIDTH, N_FAMILIES, SIZE, N_FEATURES = 40, 24, 70, 20
STEMS = ["abab", "cdcd", "efef", "ghgh", "ijij", "klkl", "mnmn", "opop", "qrqr", "stst", "uvuv", "wxwx", "yzyz", "acac",
         "bdbd", "egeg", "fhfh", "ikik", "jljl", "moMO", "npnp", "qsqs", "rtrt", "uwuw"]  # fmt: skip
TEXTS = [f"{stem}{chr(97 + i % 26)}{chr(97 + i // 26)}" for stem in STEMS for i in range(SIZE)]
VOCABULARY = Vocabulary(TEXTS, np.ones(len(TEXTS), bool))


class Planted:
    """Features that write towards the centre of family f and away from that of family f + 1."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        centres = rng.standard_normal((N_FAMILIES, WIDTH))
        rows = np.repeat(centres, SIZE, axis=0) + 0.3 * rng.standard_normal((len(TEXTS), WIDTH))
        written = centres[:N_FEATURES] - centres[1 : N_FEATURES + 1]
        self.written = torch.from_numpy(written.astype(np.float32))
        n = len(TEXTS)
        table = torch.from_numpy(rows.T.astype(np.float32))
        self.path = LogitPath(lambda directions: directions, torch.arange(n), table, 1.0)
        self.features = np.arange(N_FEATURES)
        self.strongest = strongest_effects(self.path, self.written, self.features)
        self.fit, self.frequency = np.ones(n, bool), rng.integers(1, 50, n)
        self.effect = self.path.effects(self.written)
        noise = rng.standard_normal((2, *self.effect.shape)).astype(np.float32)
        self.measured = [self.effect + 0.3 * torch.from_numpy(part) for part in noise]  # in the two splits

    def ranked(self, truth: Truth) -> Int64:
        """[F, 60] as explainers and judges see them."""
        side, sign = ("suppressed", -1) if truth.endswith("suppressed") else ("promoted", 1)
        if truth.startswith("direct"):
            return np.asarray(self.strongest.token[side])
        shown, asked = ((sign * part).topk(60, dim=1).indices.numpy() for part in self.measured)
        rows = [
            [*own[:10], *[t for t in other if t not in own[:10]][:50]] for own, other in zip(shown, asked, strict=True)
        ]
        return np.array(rows)

    def hard(self, truth: Truth) -> HardTokens:
        side, sign = ("suppressed", -1.0) if truth.endswith("suppressed") else ("promoted", 1.0)
        if truth.startswith("direct"):
            return hard_tokens(self.path, self.written, self.strongest, self.fit, self.frequency, side)
        change = sign * self.measured[1]
        rows = self.path.unembed.T
        ids = np.arange(len(TEXTS))
        return hard_tokens_of_changes(rows, ids, self.features, change, self.ranked(truth), self.fit, self.frequency)

    def items(self, truth: Truth, hard: bool) -> list[TokenItems]:
        ranked = self.ranked(truth)
        if not hard:
            return [token_items(f, ranked[f], VOCABULARY, 0) for f in range(N_FEATURES)]
        made = self.hard(truth)
        none: Int64 = np.zeros(0, np.int64)
        return [
            hard_items(
                f,
                ranked[f],
                [
                    Distractors("similar", np.array(made.similar[f]), np.array(made.similar_to[f])),
                    Distractors("same_norm", np.array(made.same_norm[f]), np.array(made.same_norm_as[f])),
                    Distractors("neighbour", np.array(made.neighbour[f], dtype=np.int64), none),
                ],
                VOCABULARY,
                0,
            )
            for f in range(N_FEATURES)
        ]


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


def labels_of(planted: Planted, truth: Truth) -> list[str]:
    """What says the truth: the ten tokens shown of each side."""
    effects = {}
    suffix = "measured" if truth.startswith("measured") else "direct"
    for f in range(N_FEATURES):
        up, down = (planted.ranked(one)[f][:10].tolist() for one in (suffix, f"{suffix}_suppressed"))  # type: ignore[arg-type]
        effects[f] = TwoSides(StrongTokens(up, [1.0] * 10), StrongTokens(down, [-1.0] * 10))
    made = direct_labels(planted.features, N_FEATURES, effects, token_names(TEXTS))
    return [said.text for said in made.explanations]


def accuracies(planted: Planted, truth: Truth, hard: bool, texts: list[str], vocabulary: Vocabulary) -> Float64:
    side = "_suppressed" if truth.endswith("_suppressed") else ""
    values = []
    for label, items in zip(texts, planted.items(truth, hard), strict=True):
        assert len(items) >= 20
        rated: Rated = read_text(label, items, vocabulary.texts, side)
        values.append(rated)
    return np.array([of.value for of in rated_accuracy(values)], dtype=np.float64)


@pytest.mark.parametrize("hard", [False, True], ids=["published", "hard"])
@pytest.mark.parametrize("truth", get_args(Truth))
def test_planted_directions_score_near_one_and_controls_at_chance(planted: Planted, truth: Truth, hard: bool) -> None:
    texts = labels_of(planted, truth)
    right = accuracies(planted, truth, hard, texts, VOCABULARY)
    assert right.mean() > 0.93, right.mean()
    permuted = VOCABULARY.with_texts(VOCABULARY.permuted(0))
    for control in (
        accuracies(planted, truth, hard, texts, permuted),
        accuracies(planted, truth, hard, np.roll(texts, 7).tolist(), VOCABULARY),
    ):
        error = control.std(ddof=1) / np.sqrt(len(control))
        assert abs(control.mean() - 0.5) < 3 * error + 0.02, (control.mean(), error)


def test_a_label_of_the_other_side_is_no_better_than_nothing(planted: Planted) -> None:
    texts = labels_of(planted, "direct")
    silent = [text.split(" Suppresses")[0] for text in texts]
    assert (accuracies(planted, "direct_suppressed", True, silent, VOCABULARY) == 0.5).all(), "it says nothing of them"
    promoted = accuracies(planted, "direct", True, texts, VOCABULARY)
    assert promoted.mean() > 0.93, "what it suppresses is not taken for promoted"
    read = entries_in(texts[0], TEXTS)
    assert len(read) == 10


def test_hard_tokens_of_measured_effects_are_none_of_those_that_rise(planted: Planted) -> None:
    made, ranked = planted.hard("measured"), planted.ranked("measured")
    order = (-planted.measured[1]).argsort(dim=1).argsort(dim=1).numpy() + 1
    for f in range(N_FEATURES):
        own = set(ranked[f].tolist())
        for tokens, limit in ((made.similar[f], 60), (made.same_norm[f], 60), (made.neighbour[f], 60)):
            assert tokens
            assert not own & set(tokens)
            assert (order[f][tokens] > limit).all()


def test_each_truth_and_set_is_a_scorer_with_words_of_its_side() -> None:
    assert tuple(name for name in SCORERS if name.startswith("logits")) == LOGIT_SCORERS
    for name in LOGIT_SCORERS:
        scorer = SCORERS[name]
        assert isinstance(scorer, HardLogits if "hard" in name else LogitEffects)
        assert scorer.name == name
        assert (scorer.measured_by == "token_changes") == (name in MEASURED_SCORERS)
        ask = logit_ask("x", TokenItems(0, np.zeros(1, np.int64), np.ones(1, bool), np.zeros(0, np.int64)), ["a"],
                        kind=scorer.kind, truth=scorer.truth)  # fmt: skip
        assert ("less likely" in ask.system) == name.endswith("_suppressed")
