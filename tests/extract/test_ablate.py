"""Measured effects equal those of Hugging Face's model, run context by context with a vector taken away by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.extract.ablate import DIRECTIONS, MOVED, Ablation, contributions, divergence
from autointerp.extract.effects import logit_path
from autointerp.extract.firings import Firings, draw_firings
from autointerp.extract.selected import Selected
from autointerp.hashing import rng_for
from autointerp.records import Split
from autointerp.subject.baselines import FAMILIES
from autointerp.subject.dictionary import SparseAutoencoder, Units
from autointerp.subject.model import Subject
from autointerp.subject.output_gradients import LIKELIEST
from autointerp.subject.patching import SuffixPasses, WholePasses
from autointerp.subject.tokens import TokenFile

AFTER = 4
NEVER_SEEN = 7
"""A token that is said to stand nowhere in the corpus."""


def firings_of(dense: np.ndarray, n: int, split: Split = "explain") -> Firings:
    """The first `n` firing tokens of each feature, contexts falling; dense [C, L, F]."""
    feature, context, position = np.nonzero(dense.transpose(2, 0, 1)[:, ::-1])
    context = len(dense) - 1 - context
    first = np.searchsorted(feature, feature, side="left")
    some = np.arange(len(feature)) - first < n
    feature, context, position = feature[some], context[some], position[some]
    value = dense[context, position, feature].astype(np.float32)
    return Firings(split, feature, context, position.astype(np.int32), value)


def ablation(subject: Subject, tokens: TokenFile, dictionary: Any, *, whole: bool = False) -> Ablation:
    usable = np.arange(subject.d_vocab) != NEVER_SEEN
    hook = dictionary.hook
    x = torch.randn(200, subject.width(hook), generator=torch.Generator().manual_seed(0))
    model = subject.plain.model if subject.plain is not None else subject.reference
    module = {"blocks.1.hook_resid_post": ("transformer.h.1", "output"), "blocks.2.mlp.hook_post": ("", "input")}
    name, side = module.get(hook, (f"transformer.h.{hook.split('.')[1]}", "output"))
    assert model is not None
    target = model.get_submodule(name or "transformer.h.2.mlp.c_proj")
    return Ablation(
        subject=subject,
        tokens=tokens,
        dictionary=dictionary,
        name="tried",
        passes=WholePasses(subject, hook, AFTER) if whole else SuffixPasses(model, target, side, AFTER),
        covariance=FAMILIES["random_covariance"](x),
        path=logit_path(subject, dictionary, usable),
        usable=torch.from_numpy(np.flatnonzero(usable)),
        seed=0,
    )


class ByHand:
    """Logits of Hugging Face's model with a vector taken away at one position, one context at a time."""

    def __init__(self, model: Any, tokens: TokenFile, hook: str) -> None:
        self.model, self.tokens = model, tokens
        self.neurons = "mlp" in hook
        block = model.transformer.h[int(hook.split(".")[1])]
        self.module = block.mlp.c_proj if self.neurons else block

    @torch.no_grad()
    def logits(self, context: int, position: int, taken: np.ndarray) -> np.ndarray:
        """[L, V] float64"""
        vector = torch.from_numpy(taken.astype(np.float32))

        def less(value: torch.Tensor) -> torch.Tensor:
            value = value.clone()
            value[0, position] -= vector
            return value

        if self.neurons:
            handle = self.module.register_forward_pre_hook(lambda _m, inputs: (less(inputs[0]), *inputs[1:]))
        else:
            handle = self.module.register_forward_hook(
                lambda _m, _i, out: (less(out[0]), *out[1:]) if isinstance(out, tuple) else less(out)
            )
        ids = torch.from_numpy(np.asarray(self.tokens.tokens[context])[None].astype(np.int64))
        try:
            return np.asarray(self.model(ids).logits[0].double().numpy())
        finally:
            handle.remove()

    def gradient(self, context: int, position: int, width: int, token: int | None) -> np.ndarray:
        """[width] float64, by what stands at the position: of the loss of the next token; or of the logit of `token`,
        less the mean logit."""
        probe = torch.zeros(width, requires_grad=True)
        at = torch.zeros(self.tokens.tokens.shape[1], 1)
        at[position] = 1

        def more(value: torch.Tensor) -> torch.Tensor:
            return value + at * probe

        if self.neurons:
            handle = self.module.register_forward_pre_hook(lambda _m, inputs: (more(inputs[0]), *inputs[1:]))
        else:
            handle = self.module.register_forward_hook(
                lambda _m, _i, out: (more(out[0]), *out[1:]) if isinstance(out, tuple) else more(out)
            )
        ids = torch.from_numpy(np.asarray(self.tokens.tokens[context])[None].astype(np.int64))
        try:
            logits = self.model(ids).logits[0, position].double()
        finally:
            handle.remove()
        loss = -logits.log_softmax(dim=0)[ids[0, position + 1]]
        (loss if token is None else logits[token] - logits.mean()).backward()
        assert probe.grad is not None
        return np.asarray(probe.grad.double().numpy())


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


@pytest.mark.parametrize("whole", [False, True], ids=["what follows", "whole"])
@pytest.mark.parametrize("name", ["standard", "neurons"])
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
    firings = firings_of(dense[name], 1 if whole else 2)
    if name == "neurons":
        firings = firings.take(np.arange(0, len(firings), 5))
    tried = ablation(tiny_subject, token_file, dictionary, whole=whole)
    found = tried.measure(firings)
    assert len(set(firings.feature.tolist())) > 20
    hand = ByHand(plain_model, token_file, dictionary.hook)
    directions = dictionary.directions.numpy()
    for row in range(len(firings)):
        feature, context, position = (int(of[row]) for of in (firings.feature, firings.context, firings.position))
        ids = np.asarray(token_file.tokens[context])
        taken = directions[feature] * firings.activation[row]
        rng = rng_for(0, "ablate", "tried", feature, context, position)
        isotropic, covariance = rng.standard_normal(len(taken)), tried.covariance(rng)
        norm = np.linalg.norm(taken)
        vectors = [taken, *(drawn * norm / np.linalg.norm(drawn) for drawn in (isotropic, covariance))]
        logits = hand.logits(context, position, np.zeros_like(taken))
        logp = log_softmax(logits)
        p, ends = np.exp(logp), min(position + AFTER + 1, len(ids))
        assert found.norm[row] == pytest.approx(norm, rel=1e-5)
        assert found.entropy[row] == pytest.approx(-(p[position] * logp[position]).sum(), rel=1e-3, abs=1e-4)
        assert found.n_after[row] == ends - position - 1
        for side, vector in enumerate(vectors):
            other = hand.logits(context, position, vector)
            logq = log_softmax(other)
            kl = (p * (logp - logq)).sum(axis=1)
            assert found.kl[row, side] == pytest.approx(kl[position], rel=2e-3, abs=2e-5)
            lost = np.array([logp[t, ids[t + 1]] - logq[t, ids[t + 1]] for t in range(position, len(ids) - 1)])
            if position + 1 < len(ids):
                assert found.kl_after[row, side] == pytest.approx(kl[position + 1 : ends].mean(), rel=2e-3, abs=2e-5)
                assert found.loss_change[row, side] == pytest.approx(lost[0], rel=2e-3, abs=2e-4)
                tokens = np.argsort(-logits[position], kind="stable")[:LIKELIEST]
                assert found.likeliest[row].tolist() == tokens.tolist()
                change = other[position] - logits[position]
                expected = change[tokens] - change.mean()
                np.testing.assert_allclose(found.likeliest_change[row, side], expected, rtol=2e-3, atol=2e-4)
                if not row % 5:
                    said = [found.loss_estimate[row, side], *found.likeliest_estimate[row, side]]
                    for token, estimate in zip([None, *tokens.tolist()], said, strict=True):
                        gradient = hand.gradient(context, position, len(taken), token)
                        assert estimate == pytest.approx(-float(gradient @ vector), rel=2e-3, abs=5e-5), token
            else:
                assert (found.likeliest[row] == -1).all()
                assert np.isnan(found.likeliest_estimate[row]).all()
                assert np.isnan(found.likeliest_change[row]).all()
                assert np.isnan(found.loss_estimate[row, side])
                assert np.isnan(found.kl_after[row, side])
                assert np.isnan(found.loss_change[row, side])
            if len(lost) > 1:
                expected = lost[1 : AFTER + 1].mean()
                assert found.loss_change_after[row, side] == pytest.approx(expected, rel=2e-3, abs=2e-4)
            if side == 0:
                _check_moved(found.moved[row], found.moved_by[row], other[position] - logits[position])


def _check_moved(moved: np.ndarray, moved_by: np.ndarray, change: np.ndarray) -> None:
    """The ten that fall most, then the ten that rise most, of the tokens that are seen."""
    change[NEVER_SEEN] = np.nan
    change = change - np.sort(change)[(np.isfinite(change).sum() - 1) // 2]  # the lower of the two in the middle
    falling = np.argsort(change, kind="stable")[:MOVED]
    rising = np.argsort(-change, kind="stable")[:MOVED]
    expected = np.concatenate([change[falling], change[rising]])
    np.testing.assert_allclose(moved_by, expected, rtol=2e-3, atol=5e-3)
    np.testing.assert_allclose(change[moved], expected, rtol=2e-3, atol=5e-3)


def test_the_share_that_is_direct_is_near_one_in_the_last_block_and_lower_in_the_first(
    tiny_subject: Subject, token_file: TokenFile
) -> None:
    """A small step, so that the final norm is all but linear."""
    directions = torch.randn(24, 32, generator=torch.Generator().manual_seed(3))
    plain = torch.zeros(24)
    n = len(directions)
    firings = Firings("score", np.arange(n), np.arange(n), np.full(n, 9, np.int32), np.full(n, 0.01, np.float32))
    shares = []
    for layer in (2, 0):
        hook = f"blocks.{layer}.hook_resid_post"
        units = Units("random_isotropic", hook, 32, torch.arange(n), directions, plain + 1, plain, plain)
        shares.append(ablation(tiny_subject, token_file, units).measure(firings).direct_share)
    last, first = shares
    assert last.mean() > 0.95
    assert first.mean() < last.mean() - 0.2


def test_divergences_of_small_changes_are_exact() -> None:
    """Changes of 1e-3 in logits have divergences of 1e-7: a difference of float32 log probabilities would be noise."""
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((5, 3, 400)) * 4
    others = whole + rng.standard_normal((2, 5, 3, 400)) * np.array([1e-3, 1.0]).reshape(2, 1, 1, 1)
    whole, others = (array.astype(np.float32).astype(np.float64) for array in (whole, others))
    target = rng.integers(0, 400, (5, 3))
    entropy, kl, loss = divergence(
        torch.from_numpy(whole).float(), torch.from_numpy(others).float(), torch.from_numpy(target)
    )
    logp, logq = log_softmax(whole), log_softmax(others)
    np.testing.assert_allclose(entropy.numpy(), -(np.exp(logp) * logp).sum(axis=-1), rtol=1e-5)
    expected = (np.exp(logp) * (logp - logq)).sum(axis=-1)
    assert 1e-8 < expected[0].mean() < 1e-6 < expected[1].mean()
    np.testing.assert_allclose(kl.numpy(), expected, rtol=1e-3)
    index = (np.arange(5)[:, None], np.arange(3), target)
    np.testing.assert_allclose(
        loss.numpy(), np.stack([logp[index] - logq[side][index] for side in range(2)]), rtol=1e-3, atol=1e-6
    )


def test_nothing_taken_away_changes_nothing(
    tiny_subject: Subject, token_file: TokenFile, dictionaries: dict[str, Selected], dense: dict[str, np.ndarray]
) -> None:
    firings = firings_of(dense["standard"], 1)
    silent = replace(firings, activation=np.zeros_like(firings.activation))
    found = ablation(tiny_subject, token_file, dictionaries["standard"].dictionary).measure(silent)
    assert found.kl.shape == (len(firings), len(DIRECTIONS))
    assert np.all(found.kl == 0)
    assert np.nanmax(np.abs(found.loss_change)) == 0
    none = ablation(tiny_subject, token_file, dictionaries["standard"].dictionary).measure(
        firings.take(np.zeros(0, np.int64))
    )
    assert len(none.kl) == 0


def test_contributions_are_in_the_scale_of_what_is_written(dictionaries: dict[str, Selected]) -> None:
    """What an SAE that scales its input subtracts is its reconstruction's change, undone to the model's own scale."""
    sae = dictionaries["standard"].dictionary
    assert isinstance(sae, SparseAutoencoder)
    x = torch.randn(6, sae.d_in, generator=torch.Generator().manual_seed(0)) * 3
    feature, activation = np.array([4, 9, 1, 0, 2, 7]), np.linspace(0.5, 3, 6).astype(np.float32)
    firings = Firings("explain", feature, np.zeros(6, np.int64), np.zeros(6, np.int32), activation)
    plain = sae.directions[torch.from_numpy(feature)] * torch.from_numpy(activation)[:, None]
    torch.testing.assert_close(contributions(sae, firings, None), plain)
    scaled = contributions(replace(sae, normalize="constant_norm_rescale"), firings, x)
    torch.testing.assert_close(scaled, plain * x.norm(dim=1, keepdim=True) / sae.d_in**0.5)
    layered = contributions(replace(sae, normalize="layer_norm"), firings, x)
    torch.testing.assert_close(layered, plain * (x.std(dim=1, keepdim=True) + 1e-5))
    with pytest.raises(InputError, match="writes to several places"):
        contributions(replace(sae, incomplete="others write there too"), firings, x)
    with pytest.raises(InputError, match="does not say in which scale it writes"):
        contributions(replace(sae, normalize="layer_norm", hook_out="blocks.1.hook_mlp_out"), firings, x)


def test_each_firing_token_is_as_likely() -> None:
    """Strong tokens are kept always and weak ones one time in eight: the drawn ones are as often strong as all are."""
    n_strong, n_weak, drawn = 40, 360, []
    rng = np.random.default_rng(0)
    for trial in range(400):
        kept = np.r_[np.arange(n_strong), n_strong + np.flatnonzero(rng.random(n_weak) < 1 / 8)]
        weight = np.where(kept < n_strong, 1.0, 8.0)
        places = Firings(
            "score",
            np.zeros(len(kept), np.int64),
            kept.astype(np.int64),
            np.zeros(len(kept), np.int32),
            np.ones(len(kept), np.float32),
        )
        chosen = draw_firings(places, weight, 6, trial, "tried")
        assert len(set(chosen.context.tolist())) == 6
        drawn.append(float((chosen.context < n_strong).mean()))
    expected = n_strong / (n_strong + n_weak)
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - expected) < 4 * error + 0.01
    assert np.mean(drawn) < 0.2, "and not as often as among those that are kept, half"


def test_the_same_firings_are_drawn_whatever_else_is_there() -> None:
    """A hash of the token decides; another feature beside it changes nothing."""
    context, ones = np.arange(50), np.ones(50, np.float32)
    alone = Firings("score", np.full(50, 3), context, np.zeros(50, np.int32), ones)
    beside = Firings(
        "score",
        np.r_[np.full(50, 1), alone.feature],
        np.r_[context, context],
        np.zeros(100, np.int32),
        np.r_[ones, ones],
    )
    few = draw_firings(alone, np.ones(50), 5, 0, "tried")
    many = draw_firings(beside, np.ones(100), 5, 0, "tried")
    np.testing.assert_array_equal(many.context[many.feature == 3], few.context)
    assert draw_firings(alone, np.ones(50), 5, 1, "tried").context.tolist() != few.context.tolist()
