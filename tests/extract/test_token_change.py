"""What rises and falls where features are clamped equals what Hugging Face's model says with vectors added by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.extract import token_change
from autointerp.extract.ablate import Ablation
from autointerp.extract.effects import logit_path
from autointerp.extract.selected import Selected
from autointerp.extract.token_change import (
    CLAMPED,
    KEPT,
    ClampedPlaces,
    agreement,
    clamp,
    draw_places,
    features_at_once,
    strongest_changes,
    with_direct,
)
from autointerp.hashing import rng_for
from autointerp.pipeline.rows.ablation_rows import MEASURED_SPLITS
from autointerp.subject.baselines import FAMILIES
from autointerp.subject.dictionary import SparseAutoencoder, Units
from autointerp.subject.model import Subject
from autointerp.subject.patching import SuffixPasses, WholePasses
from autointerp.subject.tokens import TokenFile

N_TOKENS, N_CONTEXTS = 3, 4
NEVER_SEEN = 7
"""A token that is said to stand nowhere in the corpus."""
MODULES = {
    "blocks.1.hook_resid_post": ("transformer.h.1", "output"),
    "blocks.2.mlp.hook_post": ("transformer.h.2.mlp.c_proj", "input"),
}


def clamping(subject: Subject, tokens: TokenFile, dictionary: Any, *, whole: bool = False) -> Ablation:
    usable, hook = np.arange(subject.d_vocab) != NEVER_SEEN, dictionary.hook
    x = torch.randn(200, subject.width(hook), generator=torch.Generator().manual_seed(0))
    model = subject.plain.model if subject.plain is not None else subject.reference
    assert model is not None
    name, side = MODULES.get(hook, (f"transformer.h.{hook.split('.')[1]}", "output"))
    after = N_TOKENS - 1
    return Ablation(
        subject=subject,
        tokens=tokens,
        dictionary=dictionary,
        name="tried",
        passes=WholePasses(subject, hook, after)
        if whole
        else SuffixPasses(model, model.get_submodule(name), side, after),
        covariance=FAMILIES["random_covariance"](x),
        path=logit_path(subject, dictionary, usable),
        usable=torch.from_numpy(np.flatnonzero(usable)),
        seed=0,
    )


@torch.no_grad()
def logits_by_hand(model: Any, hook: str, ids: np.ndarray, added: np.ndarray) -> np.ndarray:
    """[L, V] of the plain model where each token's `added` [L, d] is added to what passes at the hook point."""
    name, side = MODULES[hook]
    module, vectors = model.get_submodule(name), torch.from_numpy(added.astype(np.float32))[None]
    if side == "input":
        handle = module.register_forward_pre_hook(lambda _m, values: (values[0] + vectors, *values[1:]))
    else:
        handle = module.register_forward_hook(
            lambda _m, _i, out: (out[0] + vectors, *out[1:]) if isinstance(out, tuple) else out + vectors
        )
    try:
        return np.asarray(model(torch.from_numpy(ids[None].astype(np.int64))).logits[0].double().numpy())
    finally:
        handle.remove()


@pytest.mark.parametrize(("name", "whole"), [("standard", False), ("standard", True), ("neurons", False)])
def test_every_feature_equals_the_patched_model(
    name: str,
    whole: bool,
    tiny_subject: Subject,
    plain_model: Any,
    token_file: TokenFile,
    dictionaries: dict[str, Selected],
    dense: dict[str, np.ndarray],
) -> None:
    dictionary = dictionaries[name].dictionary
    maximum = dense[name].max(axis=(0, 1)).astype(np.float64)
    features = np.flatnonzero(maximum > 0)[:: 5 if name == "neurons" else 1]
    assert len(features) > 20
    tools = clamping(tiny_subject, token_file, dictionary, whole=whole)
    places = draw_places(token_file, "explain", N_CONTEXTS, N_TOKENS, 0)
    found = clamp(tools, places, features, maximum[features])
    kept = strongest_changes(tools, found, "feature", "risen")
    directions, seen = dictionary.directions.double().numpy(), tools.usable.numpy()
    for row, feature in enumerate(features.tolist()):
        drawn = tools.covariance(rng_for(0, "clamp", "tried", feature))
        own = directions[feature]
        sides = [own, drawn * np.linalg.norm(own) / np.linalg.norm(drawn)]
        changes: list[list[np.ndarray]] = [[], []]
        kls: list[list[float]] = [[], []]
        for context, position in zip(places.context.tolist(), places.position.tolist(), strict=True):
            ids = np.asarray(token_file.tokens[context][: int(token_file.n_valid[context])])
            where = slice(position, position + N_TOKENS)
            before = logits_by_hand(plain_model, dictionary.hook, ids, np.zeros((len(ids), len(own))))[where]
            for side, direction in enumerate(sides):
                added = np.zeros((len(ids), len(own)))
                added[where] = (maximum[feature] - dense[name][context, where, feature])[:, None] * direction
                after = logits_by_hand(plain_model, dictionary.hook, ids, added)[where]
                change = (after - before).mean(axis=0)[seen]
                changes[side].append(change - lower_median(change))
                logp, logq = (x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in (before, after))
                kls[side].append(float((np.exp(logp) * (logp - logq)).sum(axis=1).mean()))
        for side in range(len(CLAMPED)):
            mean = np.mean(changes[side], axis=0)
            mean -= lower_median(mean)
            error = np.std(changes[side], axis=0, ddof=1) / np.sqrt(N_CONTEXTS)
            scale = np.abs(mean).max()
            np.testing.assert_allclose(found.change[row, side].numpy(), mean, atol=2e-3 * scale)
            np.testing.assert_allclose(found.error[row, side].numpy(), error, atol=2e-3 * scale)
            assert found.kl[row, side] == pytest.approx(np.mean(kls[side]), rel=3e-3, abs=3e-5)
        mean = found.change[row, 0].double().numpy()
        order = np.argsort(-mean, kind="stable")[: KEPT["feature"]]
        np.testing.assert_array_equal(kept.token[row], seen[order])
        np.testing.assert_allclose(kept.z[row], mean[order] / mean.std(ddof=1), rtol=1e-4)


def lower_median(values: np.ndarray) -> float:
    """The lower of the two in the middle."""
    return float(np.sort(values)[(len(values) - 1) // 2])


def test_places_hold_tokens_that_count_and_are_the_same_whatever_is_asked(token_file: TokenFile) -> None:
    places = draw_places(token_file, "score", 6, N_TOKENS, 0)
    assert len(places) == 6
    assert len(set(places.context.tolist())) == 6
    assert set(places.context.tolist()) <= set(token_file.contexts_of("score").tolist())
    for context, position in zip(places.context.tolist(), places.position.tolist(), strict=True):
        assert position > 0
        assert token_file.scored([context])[0, position : position + N_TOKENS].all()
    few = draw_places(token_file, "score", 2, N_TOKENS, 0)
    np.testing.assert_array_equal(few.context, places.context[:2])
    np.testing.assert_array_equal(few.position, places.position[:2])
    assert draw_places(token_file, "score", 6, N_TOKENS, 1).context.tolist() != places.context.tolist()
    assert len(draw_places(token_file, "score", 6, 10_000, 0)) == 0


def test_planted_directions_are_found_and_agree_between_splits(tiny_subject: Subject, token_file: TokenFile) -> None:
    """Units of the last block that write the unembedding of a token raise that token most, in both splits alike."""
    tokens = np.arange(20, 32)
    rows = tiny_subject.bridge.W_U.detach().T[torch.from_numpy(tokens)].float()
    rows = rows / rows.norm(dim=1, keepdim=True)
    plain = torch.zeros(len(rows))
    units = Units("planted", "blocks.2.hook_resid_post", 32, torch.arange(len(rows)), rows, plain + 1, plain, plain)
    tools = clamping(tiny_subject, token_file, units, whole=True)
    features, maximum = np.arange(len(rows)), np.full(len(rows), 4.0)
    places = [draw_places(token_file, split, 6, N_TOKENS, 0) for split in MEASURED_SPLITS]
    of_split = [clamp(tools, here, features, maximum) for here in places]
    found = strongest_changes(tools, of_split[0], "feature", "risen").token
    assert (found[:, 0] == tokens).mean() >= 0.75
    assert np.mean([token in row[:5] for token, row in zip(tokens, found, strict=True)]) == 1
    assert agreement(*of_split)[:, 0].min() > 0.9
    assert with_direct(tools, of_split[0], features)[:, 0].min() > 0.8
    assert np.isnan(with_direct(replace(tools, path=None), of_split[0], features)).all()


def test_portions_change_nothing(
    tiny_subject: Subject,
    token_file: TokenFile,
    dictionaries: dict[str, Selected],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tools = clamping(tiny_subject, token_file, dictionaries["standard"].dictionary)
    places, features = draw_places(token_file, "explain", 2, N_TOKENS, 0), np.arange(7)
    done: list[int] = []
    whole = clamp(tools, places, features, np.ones(7), done.append)
    assert sum(done) == 14
    monkeypatch.setattr(token_change, "LOGITS_AT_ONCE", 3 * 2 * N_TOKENS * tiny_subject.d_vocab)
    monkeypatch.setattr(token_change, "CHANGES_AT_ONCE", 8 * 3 * len(tools.usable))
    assert features_at_once(tools, 2) == 3
    portioned = clamp(tools, places, features, np.ones(7))
    torch.testing.assert_close(portioned.change, whole.change, atol=1e-5, rtol=1e-4)


def test_what_does_not_say_what_it_writes_is_refused(
    tiny_subject: Subject, token_file: TokenFile, dictionaries: dict[str, Selected]
) -> None:
    sae = dictionaries["standard"].dictionary
    assert isinstance(sae, SparseAutoencoder)
    tools = clamping(tiny_subject, token_file, replace(sae, incomplete="others write there too"))
    nothing = ClampedPlaces("explain", np.array([0]), np.array([3]), N_TOKENS)
    with pytest.raises(InputError, match="several places"):
        clamp(tools, nothing, np.arange(2), np.ones(2))
