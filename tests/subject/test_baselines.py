"""Baselines: directions from the right distributions, and units that fire as often as what they stand beside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.errors import InputError
from autointerp.hashing import hash64, stream_key
from autointerp.subject.baselines import (
    ActivationSample,
    Target,
    count_firings,
    directions,
    make_units,
    match_order,
    n_baseline_features,
    natural_twin,
    sample_contexts,
    take_sample,
    threshold_for,
)
from autointerp.subject.dictionary import SparseAutoencoder, Units, checksum
from autointerp.subject.formats import load_dictionary
from autointerp.subject.random_init import random_init_sae
from autointerp.subject.tokens import TokenFile

HOOK = "blocks.1.hook_resid_post"
RANDOM = ("random_isotropic", "random_covariance", "activation_difference")
KINDS = ("neurons", "residual_basis", "pca", "ica", *RANDOM)
WriteSae = Callable[..., Path]


def config(kind: str, match: str | None = "sae", n: int | None = None, name: str = "base") -> DictionaryEntry:
    return DictionaryEntry(name=name, kind=kind, hook=HOOK, match=match, n_features=n)


@pytest.fixture(scope="module")
def sample(tiny_subject: Any, npy_tokens: TokenFile, tmp_path_factory: pytest.TempPathFactory) -> ActivationSample:
    return take_sample(tiny_subject, npy_tokens, [HOOK], 0, tmp_path_factory.mktemp("pass0"))


@pytest.fixture(scope="module")
def x(sample: ActivationSample) -> torch.Tensor:
    return sample.by_hook[HOOK]


@pytest.fixture(scope="module")
def sae(write_sae: WriteSae, tmp_path_factory: pytest.TempPathFactory) -> SparseAutoencoder:
    """48 features of very different densities, some below 100 firings."""

    def spread(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        weights["b_enc"] = torch.linspace(-9, 1, 48)

    return load_dictionary(str(write_sae(tmp_path_factory.mktemp("sae"), seed=2, change=spread)))


@pytest.fixture(scope="module")
def target(sae: SparseAutoencoder, x: torch.Tensor) -> Target:
    return count_firings(sae, x, np.arange(48))


# --- pass 0 -----------------------------------------------------------------------------------------


def test_the_sample_is_of_smallest_hash(npy_tokens: TokenFile) -> None:
    explain = [int(context) for context in np.flatnonzero(npy_tokens.split == 0)]
    scored = {context: int((npy_tokens.marks[context] == 1).sum()) for context in explain}
    order = sorted(explain, key=lambda context: int(hash64(stream_key(3, "pass 0"), context)))
    for n_tokens in (1, 100, 300, 10**6):
        expected, total = [], 0
        for context in order:
            if total < n_tokens:
                expected.append(context)
                total += scored[context]
        assert sample_contexts(npy_tokens, 3, n_tokens).tolist() == sorted(expected)


def test_the_sample_holds_the_activations_at_scored_tokens(
    sample: ActivationSample, npy_tokens: TokenFile, plain_model: Any
) -> None:
    rows = np.flatnonzero(npy_tokens.split == 0)
    with torch.no_grad():
        ids = torch.from_numpy(npy_tokens.tokens[rows].astype(np.int64))
        states = plain_model(ids, output_hidden_states=True).hidden_states[2]
    expected = states[torch.from_numpy(npy_tokens.marks[rows] == 1)]
    assert len(expected) > 900
    torch.testing.assert_close(sample.by_hook[HOOK], expected, rtol=1e-4, atol=1e-5)
    assert sample.share == 1.0


def test_the_sample_leaves_no_file(tiny_subject: Any, npy_tokens: TokenFile, tmp_path: Path) -> None:
    found = take_sample(tiny_subject, npy_tokens, [HOOK, "hook_embed"], 0, tmp_path)
    assert sorted(found.by_hook) == [HOOK, "hook_embed"]
    assert list(tmp_path.iterdir()) == []


# --- matching ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [None, 20])
def test_matched_units_fire_as_often_as_their_features(
    kind: str, n: int | None, sample: ActivationSample, x: torch.Tensor, target: Target
) -> None:
    units = make_units(config(kind, n=n), HOOK, sample, 0, target)
    assert units.n_features == (n or 48)
    assert units.matched_feature is not None
    fires = (units.encode(x) > 0).sum(dim=0).numpy()
    wanted = target.n_firing[units.matched_feature.numpy()]
    matched = np.array(units.matched)
    np.testing.assert_array_equal(matched, wanted >= 100)
    assert matched.sum() > 5
    if n is None:
        assert (~matched).sum() > 5
    lines = torch.eye(32)[units.unit] if units.direction is None else units.direction
    z = (units.sign * (x @ lines.T - units.mu)).double().numpy()
    for i in np.flatnonzero(matched):
        near = 1e-5 * np.abs(z[:, i]).max()  # the same token after BOS is the same activation: ties are real
        n_tied = int((np.abs(z[:, i] - np.sort(z[:, i])[-wanted[i]]) < near).sum())
        assert abs(fires[i] - wanted[i]) <= max(1, n_tied / 2 + 1)
        assert np.abs(z[:, i] - float(units.theta[i])).min() > near / 25, "rounding must not decide who fires"
    assert (fires == wanted)[matched].mean() > 0.7
    assert len(set(wanted[matched].tolist())) > 5, "densities must differ for this to test anything"
    assert not fires[~matched].any()


def test_a_unit_below_100_firings_stays_and_never_fires(
    sample: ActivationSample, x: torch.Tensor, target: Target
) -> None:
    n_firing = target.n_firing.copy()
    n_firing[:4] = (99, 100, 0, 3)
    units = make_units(config("random_isotropic"), HOOK, sample, 0, Target(target.features, n_firing, len(n_firing)))
    assert units.matched_feature is not None
    place = {int(feature): i for i, feature in enumerate(units.matched_feature)}
    assert [units.matched[place[feature]] for feature in range(4)] == [False, True, False, False]
    silent = [place[feature] for feature in (0, 2, 3)]
    assert torch.isinf(units.theta[silent]).all()
    huge = torch.cat([x, 1e30 * x])
    assert not units.encode(huge)[:, silent].any()
    assert int((units.encode(x)[:, place[1]] > 0).sum()) == 100
    assert units.directions.isfinite().all()


def test_a_sample_of_a_share_of_the_split_counts_for_the_whole(x: torch.Tensor, target: Target) -> None:
    units = make_units(config("random_isotropic"), HOOK, ActivationSample({HOOK: x}, share=0.1), 0, target)
    assert units.matched_feature is not None
    wanted = target.n_firing[units.matched_feature.numpy()]
    np.testing.assert_array_equal(np.array(units.matched), wanted >= 10)
    assert ((wanted >= 10) & (wanted < 100)).any()


def test_pairs_are_drawn_without_replacement_and_alike_for_all_baselines(
    sample: ActivationSample, target: Target
) -> None:
    chosen = Target(np.arange(5, 45, 2), target.n_firing[5:45:2], 20)
    made = [make_units(config(kind, n=n, name=kind), HOOK, sample, 0, chosen) for kind in KINDS for n in (20, 12)]
    pairs = [units.matched_feature.tolist() for units in made if units.matched_feature is not None]
    assert len(pairs) == 2 * len(KINDS)
    assert sorted(pairs[0]) == chosen.features.tolist()
    for whole, part in zip(pairs[::2], pairs[1::2], strict=True):
        assert whole == pairs[0]
        assert part == pairs[0][:12]
    first = np.sort(match_order(chosen.features, 0, "sae")[:12])
    few = Target(first, target.n_firing[first], len(chosen.features))  # counted where 12 of them are paired
    for kind in KINDS:
        all_counted, some = (make_units(config(kind, n=12, name=kind), HOOK, sample, 0, of) for of in (chosen, few))
        assert torch.equal(all_counted.theta, some.theta)
        assert all_counted.matched_feature is not None
        assert some.matched_feature is not None
        assert torch.equal(all_counted.matched_feature, some.matched_feature)
    with pytest.raises(InputError, match="has 20 features to match"):
        make_units(config("neurons", n=21), HOOK, sample, 0, few)
    other = make_units(config("neurons"), HOOK, sample, 1, chosen).matched_feature
    assert other is not None
    assert sorted(other.tolist()) == chosen.features.tolist()
    assert other.tolist() != pairs[0]


def test_reuse_of_neurons_is_counted(sample: ActivationSample, target: Target) -> None:
    units = make_units(config("neurons"), HOOK, sample, 0, target)
    uses = np.bincount(units.unit.numpy(), minlength=32)
    assert sorted(uses.tolist()) == [1] * 16 + [2] * 16  # 48 features, 32 neurons: no third use before all had two
    assert units.n_units == 32
    few = make_units(config("neurons", n=20), HOOK, sample, 0, target)
    assert (few.n_units, few.n_features) == (20, 20)
    drawn = make_units(config("random_isotropic"), HOOK, sample, 0, target)
    assert drawn.n_units == 48
    for kind in ("pca", "ica", "residual_basis"):
        assert make_units(config(kind), HOOK, sample, 0, target).n_units == 32
    pca = make_units(config("pca", n=20), HOOK, sample, 0, target)
    assert pca.unit.tolist() == list(range(20))  # the first, of largest variance


@pytest.mark.parametrize("kind", KINDS)
def test_sign_and_mean(kind: str, sample: ActivationSample, x: torch.Tensor, target: Target) -> None:
    units = make_units(config(kind), HOOK, sample, 0, target)
    lines = torch.eye(32)[units.unit] if units.direction is None else units.direction
    projected = (x.double() @ lines.double().T).numpy()
    np.testing.assert_allclose(units.mu, projected.mean(axis=0), rtol=1e-4, atol=1e-4)
    skewness = stats.skew(projected, axis=0)
    sure = np.abs(skewness) > 1e-3
    np.testing.assert_array_equal(units.sign.numpy()[sure], np.sign(skewness)[sure])
    assert {-1.0, 1.0} == set(units.sign.tolist())
    # the formula, and that a flipped unit writes the other way
    signed = units.sign.numpy() * (projected - units.mu.double().numpy()) - units.theta.double().numpy()
    np.testing.assert_allclose(units.encode(x.clone()), np.maximum(signed, 0), rtol=1e-4, atol=1e-4)
    written = lines if units.written is None else units.written
    assert (units.written is not None) == (kind == "ica")
    np.testing.assert_allclose(units.directions, units.sign[:, None] * written, rtol=1e-6)


def test_as_many_as_there_are() -> None:
    assert n_baseline_features(config("neurons"), 32, 48) == 48
    assert n_baseline_features(config("neurons", n=20), 32, 48) == 20
    assert n_baseline_features(config("neurons", match=None), 32, None) == 64
    assert n_baseline_features(config("random_isotropic", match=None, n=7), 32, None) == 7
    with pytest.raises(InputError, match='n_features = 49, but "sae" has 48 features to match'):
        n_baseline_features(config("neurons", n=49), 32, 48)
    with pytest.raises(InputError, match="unmatched neurons are all 64"):
        n_baseline_features(config("neurons", match=None, n=3), 32, None)
    with pytest.raises(InputError, match="unmatched basis directions are all 64"):
        n_baseline_features(config("residual_basis", match=None, n=3), 32, None)
    for kind in ("pca", "ica"):
        assert n_baseline_features(config(kind, match=None), 32, None) == 32
        assert n_baseline_features(config(kind, match=None, n=5), 32, None) == 5
        with pytest.raises(InputError, match="n_features = 33, but activations of width 32 have 32 components"):
            n_baseline_features(config(kind, match=None, n=33), 32, None)


@pytest.mark.parametrize("n_above", [0, 1, 7, 49, 50, 99, 100, 200])
def test_threshold(n_above: int) -> None:
    values = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    theta = threshold_for(values, n_above)
    assert int((values > theta).sum()) == min(n_above, 100)
    tied = (np.repeat([3, 1, 2, 0], 25) + 1e-7 * (np.arange(100) % 2)).astype(np.float32)
    theta = threshold_for(tied, n_above)
    nearest = {0: 0, 1: 25, 7: 25, 49: 50, 50: 50, 99: 100, 100: 100, 200: 100}[n_above]  # never none: it must fire
    assert int((tied > theta).sum()) == nearest
    assert n_above == 0 or np.abs(tied - theta).min() > 0.4


@pytest.mark.parametrize("n_above", [1, 7, 50])
def test_threshold_where_a_share_of_the_maximum_counts_as_firing(n_above: int) -> None:
    values = np.random.default_rng(1).gamma(2.0, 1.0, 400).astype(np.float32)
    theta = threshold_for(values, n_above, 0.05)
    activation = np.maximum(values - theta, 0.0)
    assert int((activation > 0.05 * activation.max()).sum()) == n_above
    assert int((activation > 0).sum()) >= n_above
    assert threshold_for(values, 0, 0.05) == np.inf


def test_densities_are_matched_above_a_share_of_the_maximum(sae: SparseAutoencoder, sample: ActivationSample) -> None:
    x = sample.by_hook[HOOK]
    strong, plain = count_firings(sae, x, np.arange(48), 0.2), count_firings(sae, x, np.arange(48))
    activation = sae.encode(x).numpy()
    expected = (activation > np.float32(0.2) * activation.max(axis=0)).sum(axis=0)
    assert np.abs(strong.n_firing - expected).max() <= 1  # a value on the limit
    assert (strong.n_firing <= plain.n_firing).all()
    entry = config("random_isotropic").model_copy(update={"match_at": 0.2})
    units = make_units(entry, HOOK, sample, 0, strong)
    made = units.encode(x.clone()).numpy()
    fires = (made > 0.2 * made.max(axis=0)).sum(axis=0)
    wanted = strong.n_firing[np.asarray(units.matched_feature)]
    kept = np.asarray(units.matched)
    assert kept.sum() > 5
    assert np.abs(fires - wanted)[kept].max() <= 2
    assert ((made > 0).sum(axis=0)[kept] > fires[kept]).mean() > 0.9


# --- unmatched --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["neurons", "residual_basis"])
def test_unmatched_coordinates_stand_in_both_signs(kind: str, sample: ActivationSample, x: torch.Tensor) -> None:
    units = make_units(config(kind, match=None), HOOK, sample, 0, None)
    assert (units.n_features, units.n_units) == (64, 32)
    acts = units.encode(x.clone())
    torch.testing.assert_close(acts[:, :32], x.clamp(min=0), rtol=0, atol=0)
    torch.testing.assert_close(acts[:, 32:], (-x).clamp(min=0), rtol=0, atol=0)
    torch.testing.assert_close(units.directions, torch.cat([torch.eye(32), -torch.eye(32)]))
    assert (units.matched_to, units.matched_feature, units.matched) == (None, None, ())


@pytest.mark.parametrize("kind", [*RANDOM, "pca", "ica"])
def test_unmatched_directions_are_centred_at_their_natural_density(
    kind: str, sample: ActivationSample, x: torch.Tensor
) -> None:
    units = make_units(config(kind, match=None, n=30), HOOK, sample, 0, None)
    assert units.direction is not None
    projected = x.double() @ units.direction.double().T
    centred = units.sign * (projected - projected.mean(dim=0))
    torch.testing.assert_close(units.encode(x.clone()), centred.clamp(min=0).float(), rtol=1e-4, atol=1e-4)
    assert not units.theta.any()
    assert (stats.skew(centred.numpy(), axis=0) > -1e-3).all()


@pytest.mark.parametrize("kind", ["pca", "ica"])
def test_components_past_the_rank_never_fire(kind: str, x: torch.Tensor) -> None:
    flat = x - x.mean(dim=1, keepdim=True)  # as folded processing leaves it: rank 31 of 32
    units = make_units(config(kind, match=None), HOOK, ActivationSample({HOOK: flat}, share=1.0), 0, None)
    assert units.n_features == 32
    assert units.config["rank"] == 31
    fires = (units.encode(flat.clone()) > 0).sum(dim=0)
    assert (fires[:31] > 100).all()
    assert not units.encode(torch.cat([flat, 1e20 * flat]))[:, 31].any()
    assert units.directions.isfinite().all()
    assert not units.directions[31].any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_natural_twin_has_the_same_units(
    kind: str, sample: ActivationSample, x: torch.Tensor, target: Target
) -> None:
    units = make_units(config(kind), HOOK, sample, 0, target)
    twin = natural_twin("base", units)
    assert (twin.natural_of, twin.matched_to) == ("base", "sae")
    torch.testing.assert_close(twin.directions, units.directions, rtol=0, atol=0)
    torch.testing.assert_close(twin.unit, units.unit)
    lines = torch.eye(32)[units.unit] if units.direction is None else units.direction
    projected = x.double() @ lines.double().T
    if units.direction is not None:  # neurons are not centred where they are natural
        projected = projected - projected.mean(dim=0)
    natural = (units.sign * projected).clamp(min=0).float()
    torch.testing.assert_close(twin.encode(x.clone()), natural, rtol=1e-4, atol=1e-4)
    matched = units.encode(x.clone())
    assert ((matched > 0) <= (twin.encode(x.clone()) > 0)).float().mean() > 0.9


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu", "gated"])
def test_a_fresh_sae_has_the_architecture_of_its_model(
    architecture: str, write_sae: WriteSae, tmp_path: Path, sample: ActivationSample, x: torch.Tensor, target: Target
) -> None:
    like = load_dictionary(str(write_sae(tmp_path, architecture)))
    fresh = random_init_sae(like, "fresh", 3, "like")
    assert (fresh.kind, fresh.architecture, fresh.k, fresh.hook) == ("random_init_sae", architecture, like.k, HOOK)
    assert fresh.W_enc.shape == like.W_enc.shape
    torch.testing.assert_close(fresh.W_dec.norm(dim=1), torch.ones(48))
    torch.testing.assert_close(fresh.W_enc, fresh.W_dec.T)
    assert not any(bool(bias.any()) for bias in (fresh.b_enc, fresh.b_dec))
    again, other = random_init_sae(like, "fresh", 3, "like"), random_init_sae(like, "other", 3, "like")
    assert checksum(again) == checksum(fresh) != checksum(other)
    pre = x @ fresh.W_enc
    if architecture == "topk":
        assert like.k is not None
        rank = pre.argsort(dim=1, descending=True).argsort(dim=1)
        expected = pre.clamp(min=0) * (rank < like.k)
    else:
        expected = pre.clamp(min=0) * (pre > (0.01 if architecture == "jumprelu" else 0))
    torch.testing.assert_close(fresh.encode(x.clone()), expected, rtol=1e-5, atol=1e-5)
    # matched: what its encoder reads, as units
    units = make_units(config("random_init_sae", name="fresh"), HOOK, sample, 3, target, like)
    assert units.direction is not None
    torch.testing.assert_close(units.direction, fresh.W_enc.T, rtol=0, atol=0)
    assert units.n_units == 48


# --- directions -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloud() -> torch.Tensor:
    """20,000 points with a far mean and a covariance whose eigenvalues span a factor of 400."""
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    points = rng.standard_normal((20_000, 6)) * [20, 10, 5, 3, 2, 1]
    return torch.from_numpy((points @ rotation + [50, 0, -30, 0, 0, 10]).astype(np.float32))


def test_directions_are_unit_vectors_of_their_own_generator(cloud: torch.Tensor) -> None:
    for kind in RANDOM:
        found = directions(kind, "name", 40, cloud, 0)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(40))
        torch.testing.assert_close(directions(kind, "name", 25, cloud, 0), found[:25], rtol=0, atol=0)
        for other in (directions(kind, "other", 40, cloud, 0), directions(kind, "name", 40, cloud, 1)):
            assert (other != found).all()


def squared_spread(found: np.ndarray) -> float:
    """Largest deviation of the mean outer product of unit vectors from uniformity on the sphere, in its own sigmas."""
    n, d = found.shape
    product = found.T @ found / n
    on = 2 * (d - 1) / (d**2 * (d + 2)) / n
    off = 1 / (d * (d + 2)) / n
    sigma = np.sqrt(np.where(np.eye(d) > 0, on, off))
    return float(np.abs((product - np.eye(d) / d) / sigma).max())


def test_covariance_directions_have_the_covariance_of_the_activations(cloud: torch.Tensor) -> None:
    """z ~ N(0, 2 C) divided by its norm: taken through C^(-1/2) and divided again it is uniform on the sphere."""
    values, vectors = np.linalg.eigh(np.cov(cloud.double().numpy().T))
    whiten = (vectors / np.sqrt(values)) @ vectors.T
    found = directions("random_covariance", "name", 6000, cloud, 0).double().numpy()
    back = found @ whiten
    assert squared_spread(back / np.linalg.norm(back, axis=1, keepdims=True)) < 5
    assert squared_spread(found) > 50, "not isotropic"
    assert np.abs(found.mean(axis=0)).max() < 5 / np.sqrt(6000), "differences have no mean"
    twice = found @ whiten @ whiten
    assert squared_spread(twice / np.linalg.norm(twice, axis=1, keepdims=True)) > 50, "the test can fail"


def test_isotropic_directions_are_uniform(cloud: torch.Tensor) -> None:
    found = directions("random_isotropic", "name", 6000, cloud, 0).double().numpy()
    assert squared_spread(found) < 5
    assert np.abs(found.mean(axis=0)).max() < 5 / np.sqrt(6 * 6000)


def test_activation_differences_are_differences_of_activations(cloud: torch.Tensor) -> None:
    few = cloud[:12]
    found = directions("activation_difference", "name", 300, few, 0)
    pairs = few[:, None] - few[None]
    off = ~torch.eye(12, dtype=torch.bool)
    lines = pairs[off] / pairs[off].norm(dim=1, keepdim=True)
    cosine = found @ lines.T
    torch.testing.assert_close(cosine.max(dim=1).values, torch.ones(300), rtol=0, atol=1e-5)
    assert len(set(cosine.argmax(dim=1).tolist())) > 60, "of the 132 ordered pairs, many"


def test_units_move_whole() -> None:
    units = Units(
        "neurons",
        HOOK,
        2,
        torch.tensor([1]),
        None,
        torch.ones(1),
        torch.zeros(1),
        torch.zeros(1),
        "sae",
        torch.tensor([4]),
        (True,),
    )
    moved = units.to(torch.device("cpu"))
    assert (moved.matched_to, moved.matched) == ("sae", (True,))
    torch.testing.assert_close(moved.encode(torch.tensor([[3.0, 5.0]])), torch.tensor([[5.0]]))
