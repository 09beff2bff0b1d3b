"""Changed contexts and tokens that follow, against Hugging Face's model changed by hand; and planted contexts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract.context_effects import (
    NO_OTHER,
    PAIRED,
    REPLACEMENTS,
    ContextEffects,
    Replacements,
    depend,
    earlier_tokens,
)
from autointerp.extract.feature_reader import ActivationReader, FeatureReader
from autointerp.extract.following import follow
from autointerp.extract.selected import Selected
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.hidden_tokens import HiddenTokens, hidden_tokens
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile

HOOK = "blocks.1.hook_resid_post"
BEFORE = 6


class ByHand:
    """The activation of a feature at the last token of a text, from the plain model."""

    def __init__(self, model: Any, dictionary: Any, feature: int) -> None:
        self.model, self.dictionary, self.feature = model, dictionary, feature

    @torch.no_grad()
    def read(self, ids: list[int], hidden: tuple[int, ...] = ()) -> float:
        n = len(ids)
        mask = torch.full((n, n), torch.finfo(torch.float32).min).triu(1)
        for place in hidden:
            mask[place + 1 :, place] = torch.finfo(torch.float32).min
        x = self.model(torch.tensor([ids]), attention_mask=mask[None, None], output_hidden_states=True).hidden_states[2]
        return float(self.dictionary.encode(x[0])[-1, self.feature])


@pytest.mark.parametrize("name", ["standard", "topk"])
def test_changed_contexts_equal_those_changed_by_hand(
    name: str,
    tiny_subject: Subject,
    plain_model: Any,
    token_file: TokenFile,
    dictionaries: dict[str, Selected],
    dense: dict[str, np.ndarray],
) -> None:
    dictionary = dictionaries[name].dictionary
    ids_of = np.asarray(token_file.tokens).astype(np.int64)
    hiding = hidden_tokens(tiny_subject, HOOK, torch.from_numpy(ids_of[3]))
    assert hiding is not None
    n_silenced = 0
    for feature in (4, 9):
        late = dense[name][:, 8:, feature]
        context, peak = divmod(int(late.argmax()), late.shape[1])
        ids, peak = ids_of[context], peak + 8
        special = np.isin(ids, [0, 1])
        earlier = earlier_tokens(special, peak, BEFORE)
        counts = np.cumsum(np.bincount(ids_of.ravel(), minlength=tiny_subject.d_vocab)).astype(float)
        drawn = Replacements(counts, 0, "tried").draw(ids[earlier], feature, context, peak)
        reader = FeatureReader(tiny_subject, dictionary, feature, None, hiding)
        effects = depend(reader, ids, special, peak, earlier, drawn)
        hand = ByHand(plain_model, dictionary, feature)
        text = ids[: peak + 1].tolist()
        assert effects.activation == pytest.approx(dense[name][context, peak, feature], rel=1e-3)
        assert len(effects.position) == len(earlier) + PAIRED * (PAIRED - 1) // 2
        for row, (place, other) in enumerate(zip(effects.position.tolist(), effects.other.tolist(), strict=True)):
            places = [place] if other == NO_OTHER else [place, other]
            swapped = []
            for draw in drawn:
                changed = list(text)
                for at in places:
                    changed[at] = int(draw[earlier.tolist().index(at)])
                swapped.append(hand.read(changed))
            expected = {"masked": hand.read(text, tuple(places)), "replaced": np.mean(swapped)}
            if other == NO_OTHER:
                expected["removed"] = hand.read(text[:place] + text[place + 1 :])
                expected["cut"] = hand.read(text[:1] + text[place + 1 :])
                expected["between"] = hand.read(text, tuple(range(place, peak)))
            for way in ("removed", "masked", "replaced", "cut", "between"):
                value = getattr(effects, way)[row]
                if way in expected:
                    assert value == pytest.approx(expected[way], rel=2e-3, abs=2e-3), (way, place, other)
                    n_silenced += value == 0
                else:
                    assert np.isnan(value)
    assert n_silenced > 0, "some change silences a feature"


class Planted:
    """Fires by the tokens that it sees before the last one: token 1 or token 2 is enough, and token 3 doubles it."""

    def __init__(self, *, hides: bool = True) -> None:
        self.hides = hides

    def read(self, tokens: torch.Tensor, last: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
        values = []
        for row, end in enumerate(last.tolist()):
            seen = [t for i, t in enumerate(tokens[row, :end].tolist()) if hidden is None or not hidden[row, i]]
            values.append(float(1 in seen or 2 in seen) * (2.0 if 3 in seen else 1.0))
        return torch.tensor(values, dtype=torch.float64)


def planted(ids: list[int], *, hides: bool = True) -> ContextEffects:
    tokens = np.asarray(ids)
    reader = Planted(hides=hides)
    assert isinstance(reader, ActivationReader)
    special = tokens == 0
    earlier = earlier_tokens(special, len(ids) - 1, 40)
    neutral = np.full((REPLACEMENTS, len(earlier)), 9)
    return depend(reader, tokens, special, len(ids) - 1, earlier, neutral)


def test_a_context_that_is_a_or_b_shows_in_pairs_alone() -> None:
    far, near, doubling = 3, 9, 12
    ids = [0, *([7] * 14)]
    ids[far], ids[near], ids[doubling] = 1, 2, 3
    effects = planted(ids)
    row_of = {(int(p), int(o)): row for row, (p, o) in enumerate(zip(effects.position, effects.other, strict=True))}
    assert effects.activation == 2.0
    for way in ("removed", "masked", "replaced"):
        values = getattr(effects, way)
        assert values[row_of[far, NO_OTHER]] == values[row_of[near, NO_OTHER]] == 2.0, "neither is missed alone"
        assert values[row_of[doubling, NO_OTHER]] == 1.0
    for way in ("masked", "replaced"):
        assert getattr(effects, way)[row_of[far, near]] == 0.0, "without both it is silent"
        assert getattr(effects, way)[row_of[far, doubling]] == 1.0
    assert effects.cut[row_of[near, NO_OTHER]] == 0.0
    assert effects.cut[row_of[far, NO_OTHER]] == 2.0
    assert effects.between[row_of[far, NO_OTHER]] == 0.0
    assert effects.between[row_of[near, NO_OTHER]] == 1.0


def test_where_tokens_cannot_be_hidden_the_other_ways_stand() -> None:
    effects = planted([0, 7, 1, 7, 2, 7, 5], hides=False)
    assert np.isnan(effects.masked).all()
    assert np.isnan(effects.between).all()
    pair = (effects.position == 2) & (effects.other == 4)
    assert effects.replaced[pair].tolist() == [0.0]
    alone = planted([0, 5])
    assert alone.activation == 0.0
    assert len(alone.position) == 0


def test_replacements_are_as_frequent_as_the_corpus_and_never_the_token_itself() -> None:
    counts = np.array([0.0, 50, 30, 15, 5])
    drawn = Replacements(np.cumsum(counts), 0, "tried").draw(np.full(20_000, 2), 3, 4, 5)
    shares = np.bincount(drawn.ravel(), minlength=5) / drawn.size
    assert shares == pytest.approx(np.array([0, 50, 0, 15, 5]) / 70, abs=0.01)


def test_a_model_that_counts_positions_by_its_mask_hides_nothing(
    tiny_subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = torch.arange(2, 14)
    assert hidden_tokens(replace(tiny_subject, reference=None), HOOK, ids) is None
    assert hidden_tokens(tiny_subject, HOOK, ids[:2]) is None
    hiding = hidden_tokens(tiny_subject, HOOK, ids)
    assert hiding is not None
    model = hiding.model
    before = model.config.__dict__.get("alibi", False)
    model.config.alibi = True
    try:
        assert hidden_tokens(tiny_subject, HOOK, ids) is None
    finally:
        model.config.alibi = before
    whole = HiddenTokens.activations
    monkeypatch.setattr(HiddenTokens, "activations", lambda self, ids, hidden: whole(self, ids, hidden & False))
    assert hidden_tokens(tiny_subject, HOOK, ids) is None, "its mask does nothing"


@pytest.mark.parametrize("name", ["standard", "neurons"])
def test_what_follows_equals_the_model_patched_at_every_firing(
    name: str,
    tiny_subject: Subject,
    plain_model: Any,
    token_file: TokenFile,
    dictionaries: dict[str, Selected],
    dense: dict[str, np.ndarray],
) -> None:
    dictionary = dictionaries[name].dictionary
    directions = dictionary.directions
    block = plain_model.transformer.h[1] if name == "standard" else plain_model.transformer.h[2].mlp.c_proj
    n_several = 0
    often = np.argsort(-(dense[name][:, :-4] > 0).sum(axis=(0, 1)))
    for feature in often[3:24:5].tolist():
        context = int(dense[name][:, :-4, feature].max(axis=1).argmax())
        ids = torch.from_numpy(np.asarray(token_file.tokens[context]).astype(np.int64))
        counted = token_file.scored(np.array([context]))[0]
        reader = FeatureReader(tiny_subject, dictionary, feature, None, None)
        effects = follow(reader, dictionary.hook, ids, counted, context)
        truth = dense[name][context, :, feature]
        assert effects is not None
        assert effects.start == int(np.flatnonzero(truth)[0]) + 1
        assert effects.n_firing == int((truth > 0).sum())
        n_several += effects.n_firing > 1
        taken = torch.from_numpy(truth.astype(np.float32))[:, None] * directions[feature]

        def less(value: torch.Tensor, taken: torch.Tensor = taken) -> torch.Tensor:
            return value - taken[None]

        def logp(ids: torch.Tensor = ids) -> np.ndarray:
            with torch.no_grad():
                logits = plain_model(ids[None]).logits[0].double().log_softmax(dim=-1)
            return np.asarray(logits[:-1].gather(1, ids[1:, None])[:, 0])

        before = logp()
        if name == "standard":
            handle = block.register_forward_hook(
                lambda _m, _i, out, less=less: (less(out[0]), *out[1:]) if isinstance(out, tuple) else less(out)
            )
        else:
            handle = block.register_forward_pre_hook(lambda _m, inputs, less=less: (less(inputs[0]), *inputs[1:]))
        try:
            after = logp()
        finally:
            handle.remove()
        np.testing.assert_allclose(effects.logp_change, (after - before)[effects.start - 1 :], rtol=2e-3, atol=5e-4)
        assert np.abs(effects.logp_change).max() > 0.01
    assert n_several > 0


def test_nothing_follows_where_it_is_silent_or_last(
    tiny_subject: Subject, token_file: TokenFile, dictionaries: dict[str, Selected]
) -> None:
    sae = dictionaries["standard"].dictionary
    assert isinstance(sae, SparseAutoencoder)
    ids = torch.from_numpy(np.asarray(token_file.tokens[0]).astype(np.int64))
    reader = FeatureReader(tiny_subject, sae, 4, None, None)
    assert follow(reader, HOOK, ids, np.zeros(len(ids), dtype=np.bool_), 0) is None
    loud = FeatureReader(tiny_subject, replace(sae, b_enc=sae.b_enc + 1000), 4, None, None)
    last = np.arange(len(ids)) == len(ids) - 1
    assert follow(loud, HOOK, ids, last, 0) is None
    assert follow(loud, HOOK, ids, ~last, 0) is not None
    assert follow(replace(loud, norm_limit=1e-3), HOOK, ids, ~last, 0) is None, "outliers fire nothing"
