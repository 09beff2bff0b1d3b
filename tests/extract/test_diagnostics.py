"""Correlations with neurons, tokens alone and nearest features against `np.corrcoef` of dense activations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract.diagnose import diagnostics, neighbours, sample
from autointerp.extract.diagnose.diagnostics import diagnose
from autointerp.extract.diagnose.neighbours import nearest_features
from autointerp.extract.diagnose.sample import DiagnosticSample, nearest_mlp, take_diagnostic_sample
from autointerp.extract.selected import Selected
from autointerp.subject.baselines import sample_contexts
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.tokens import TokenFile

SEED = 3
NAMES = ["standard", "jumprelu", "topk", "gated", "subset", "neurons", "random"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def taken(
    tiny_subject: Any,
    token_file: TokenFile,
    dictionaries: dict[str, Selected],
    tmp_path_factory: pytest.TempPathFactory,
) -> DiagnosticSample:
    hooks = sorted({chosen.dictionary.hook for chosen in dictionaries.values()})
    return take_diagnostic_sample(
        tiny_subject, token_file, hooks, SEED, tmp_path_factory.mktemp("sample"), lambda _: None
    )


@pytest.fixture(scope="module")
def model(plain_model: Any) -> Any:
    """Hugging Face's model: token ids [n, L] -> what the hooks of the tests hold, [n, L, d] by name."""
    hf_model = plain_model

    def run(ids: torch.Tensor) -> dict[str, np.ndarray]:
        neurons: dict[int, torch.Tensor] = {}
        handles = [
            hf_model.transformer.h[i].mlp.act.register_forward_hook(
                lambda *given, i=i: neurons.__setitem__(i, given[2])
            )
            for i in (1, 2)
        ]
        with torch.no_grad():
            hidden = hf_model(ids, output_hidden_states=True).hidden_states[2]
        for handle in handles:
            handle.remove()
        found = {"blocks.1.hook_resid_post": hidden}
        return {n: x.numpy() for n, x in (found | {f"blocks.{i}.mlp.hook_post": x for i, x in neurons.items()}).items()}

    return run


@pytest.fixture(scope="module")
def rows(token_file: TokenFile, model: Any) -> dict[str, np.ndarray]:
    """The sample by hook, [N, d], and the tokens of its rows under `token`."""
    contexts = sample_contexts(token_file, SEED, 1 << 16)
    scored = token_file.scored(contexts)
    ids = np.asarray(token_file.tokens[contexts]).astype(np.int64)
    return {name: x[scored] for name, x in model(torch.from_numpy(ids)).items()} | {"token": ids[scored]}


def encode(chosen: Selected, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return chosen.dictionary.encode(torch.from_numpy(x).clone()).numpy().astype(np.float64)


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float("nan") if np.ptp(x) == 0 or np.ptp(y) == 0 else float(np.corrcoef(x, y)[0, 1])


def find(chosen: Selected, taken: DiagnosticSample, pairs: tuple[np.ndarray, np.ndarray] | None = None) -> Any:
    none = np.zeros(0, np.int64)
    return diagnose(chosen.dictionary, chosen.features, taken, pairs or (none, none), CPU, lambda _: None)


@pytest.mark.parametrize("small", [False, True], ids=["at once", "in portions"])
@pytest.mark.parametrize("name", NAMES)
def test_neurons(
    name: str,
    small: bool,
    dictionaries: dict[str, Selected],
    taken: DiagnosticSample,
    rows: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if small:  # several ranges of features, each with portions of a few rows
        monkeypatch.setattr(diagnostics, "NEURON_SUMS", 11 * 128)
        monkeypatch.setattr(diagnostics, "PORTION_VALUES", 48 * 40)
        monkeypatch.setattr(diagnostics, "NEURON_ROWS", 100)
    chosen = dictionaries[name]
    hook = chosen.dictionary.hook
    neurons = hook if "mlp" in hook else "blocks.1.mlp.hook_post"
    assert taken.neurons[hook] == neurons
    diagnosed = find(chosen, taken)
    acts, y = encode(chosen, rows[hook]), rows[neurons].astype(np.float64)
    assert diagnosed.n_tokens == len(y) == len(taken.token)
    for i, feature in list(enumerate(chosen.features))[:: 1 + len(chosen.features) // 48]:
        t = acts[:, feature]
        assert diagnosed.n_firing[i] == (t > 0).sum()
        if not (t > 0).any():
            assert (diagnosed.neuron[i], diagnosed.neuron_status[i]) == (-1, "silent")
            assert np.isnan(diagnosed.neuron_correlation[i])
            continue
        with np.errstate(invalid="ignore"):  # of a neuron that never changes there is none
            truth = np.corrcoef(t, y.T)[0, 1:]
        assert diagnosed.neuron_status[i] == "ok"
        assert abs(diagnosed.neuron_correlation[i]) == pytest.approx(np.nanmax(np.abs(truth)), abs=1e-5)
        assert diagnosed.neuron_correlation[i] == pytest.approx(truth[diagnosed.neuron[i]], abs=1e-5)


def test_a_neuron_is_a_neuron(dictionaries: dict[str, Selected], taken: DiagnosticSample) -> None:
    """A unit that is a neuron's negative part or positive part correlates with it more than with any other."""
    found = find(dictionaries["neurons"], taken)
    fires = found.n_firing > 50
    assert (found.neuron == np.arange(len(fires)) % 128)[fires].mean() > 0.9
    plus = np.arange(len(fires)) < 128
    assert (found.neuron_correlation[fires & plus] > 0).all()
    assert (found.neuron_correlation[fires & ~plus] < 0).mean() > 0.9


@pytest.mark.parametrize("name", ["standard", "topk", "subset", "neurons"])
def test_tokens_alone(
    name: str, dictionaries: dict[str, Selected], taken: DiagnosticSample, rows: Any, model: Any, token_file: TokenFile
) -> None:
    chosen = dictionaries[name]
    hook = chosen.dictionary.hook
    vocabulary = np.unique(
        token_file.tokens[token_file.contexts_of("explain")][token_file.scored(token_file.contexts_of("explain"))]
    )
    np.testing.assert_array_equal(taken.vocabulary, vocabulary)
    ids = torch.tensor([[0, token] for token in vocabulary.tolist()])  # 0 is BOS
    alone = encode(chosen, model(ids)[hook][:, 1])
    pairs = (np.repeat(chosen.features, 3), np.tile(vocabulary[[5, 0, 17]], len(chosen.features)).astype(np.int64))
    diagnosed = find(chosen, taken, pairs)
    wanted = [alone[np.searchsorted(vocabulary, token), feature] for feature, token in zip(*pairs, strict=True)]
    np.testing.assert_allclose(diagnosed.alone, wanted, rtol=1e-4, atol=1e-5)
    acts = encode(chosen, rows[hook])
    seen = set()
    for i, feature in enumerate(chosen.features):
        t, p = acts[:, feature], alone[np.searchsorted(vocabulary, rows["token"]), feature]
        status = diagnosed.alone_status[i]
        seen.add(status)
        if not t.any():
            assert status == "silent"
            assert np.isnan(diagnosed.alone_correlation[i])
        elif not p.any():
            assert (status, diagnosed.alone_correlation[i]) == ("constant", 0)
        else:
            assert status == "ok"
            assert diagnosed.alone_correlation[i] == pytest.approx(pearson(t, p), abs=1e-5)
    assert "ok" in seen


def test_what_is_a_function_of_the_token_can_be_read_off_it(
    tiny_subject: Any, token_file: TokenFile, dictionaries: dict[str, Selected], tmp_path: Path
) -> None:
    sae = dictionaries["standard"].dictionary
    assert isinstance(sae, SparseAutoencoder)
    sae = replace(sae, hook="hook_embed", b_enc=sae.b_enc + 1.5)
    taken = take_diagnostic_sample(tiny_subject, token_file, ["hook_embed"], SEED, tmp_path, lambda _: None)
    assert taken.neurons["hook_embed"] == "blocks.0.mlp.hook_post"
    found = find(Selected(sae, np.arange(48)), taken)
    ok = np.array(found.alone_status) == "ok"
    assert ok.sum() > 10
    np.testing.assert_allclose(found.alone_correlation[ok], 1, atol=1e-6)
    assert not list(tmp_path.iterdir()), "what lies on disk has no name"


@pytest.mark.parametrize("name", ["standard", "topk", "subset", "random"])
def test_neighbours(name: str, dictionaries: dict[str, Selected], taken: DiagnosticSample, rows: Any) -> None:
    chosen = dictionaries[name]
    diagnosed = find(chosen, taken)
    acts = encode(chosen, rows[chosen.dictionary.hook])
    unit = chosen.dictionary.directions.numpy().astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    for i, feature in enumerate(chosen.features):
        cosine = unit @ unit[feature]
        cosine[feature] = -2
        nearest = np.argsort(-cosine)[:5]
        np.testing.assert_array_equal(diagnosed.neighbour[i], np.where(cosine[nearest] > 0, nearest, -1))
        for rank, other in enumerate(nearest):
            if cosine[other] > 0:
                assert diagnosed.cosine[i, rank] == pytest.approx(cosine[other], abs=1e-6)
                truth = pearson(acts[:, feature], acts[:, other])
                assert diagnosed.correlation[i, rank] == pytest.approx(truth, abs=1e-6, nan_ok=True)


def test_nearest_features_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    directions = torch.randn(300, 16, generator=torch.Generator().manual_seed(0))
    directions[7] = 0
    asked = np.array([0, 7, 8, 299])
    whole = nearest_features(directions, asked)
    monkeypatch.setattr(neighbours, "BLOCK_VALUES", 300)
    for one, other in zip(whole, nearest_features(directions, asked), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert (whole[0][1] == -1).all(), "a direction of no length is near to none"
    assert not (whole[0] == 7).any()
    few, cosine = nearest_features(directions[:3], np.arange(3))
    assert few.shape == (3, 5)
    assert (few[:, 2:] == -1).all()
    assert np.isnan(cosine[:, 2:]).all()


@pytest.mark.parametrize(
    ("hook", "block"),
    [
        ("hook_embed", 0),
        ("hook_pos_embed", 0),
        ("blocks.0.hook_resid_pre", 0),
        ("blocks.3.hook_resid_pre", 2),
        ("blocks.3.hook_in", 2),
        ("blocks.3.hook_resid_mid", 3),
        ("blocks.3.hook_resid_post", 3),
        ("blocks.3.attn.hook_z", 3),
        ("blocks.3.hook_mlp_out", 3),
        ("blocks.3.mlp.hook_post", 3),
        ("blocks.3.ln1.hook_normalized", 3),
        ("ln_final.hook_normalized", 5),
        ("somewhere", None),
    ],
)
def test_the_nearest_mlp(hook: str, block: int | None) -> None:
    assert nearest_mlp(hook, 6) == block


def test_a_subject_without_such_neurons(
    dictionaries: dict[str, Selected], taken: DiagnosticSample, monkeypatch: pytest.MonkeyPatch, tiny_subject: Any
) -> None:
    hook = dictionaries["standard"].dictionary.hook
    found = find(dictionaries["standard"], replace(taken, neurons=taken.neurons | {hook: None}))
    assert set(found.neuron_status) == {"no_mlp"}
    assert (found.neuron == -1).all()
    assert np.isnan(found.neuron_correlation).all()
    assert found.neuron_hook is None
    monkeypatch.setattr(sample, "nearest_mlp", lambda *_: 17)
    assert sample.neurons_of(tiny_subject, hook) is None
