"""One pass over a sample: how often the model runs, what is held, and that the loss is the plain model's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from autointerp.config.loading import parse_run
from autointerp.pipeline.check import check_run
from autointerp.progress import Reporter
from autointerp.subject.check import Probe, check_dictionaries
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.fit import MOST_FIRING, WIDE, FitSums, decode, measure
from autointerp.subject.loading import load_subject
from autointerp.subject.model import Subject
from autointerp.subject.sample_pass import ContextSample, logits_of, run_sample


def random_sae(hook: str, d: int = 32, n: int = 48, **changed: Any) -> SparseAutoencoder:
    generator = torch.Generator().manual_seed(0)
    sae = SparseAutoencoder(
        hook=hook,
        architecture="topk",
        k=5,
        W_enc=torch.randn(d, n, generator=generator) / d**0.5,
        b_enc=torch.randn(n, generator=generator),
        W_dec=torch.randn(n, d, generator=generator),
        b_dec=0.1 * torch.randn(d, generator=generator),
    )
    return replace(sae, **changed)


@pytest.fixture(scope="module")
def sample(token_array: np.ndarray) -> ContextSample:
    tokens = torch.from_numpy(token_array.astype(np.int64))
    return ContextSample(tokens, tokens > 1)


@pytest.fixture(scope="module")
def probe(tiny_subject: Subject, tiny_model: Path, sample: ContextSample) -> Probe:
    def other() -> Subject:
        return load_subject(str(tiny_model), None, "folded", "float32", "cpu")

    return Probe(tiny_subject, sample.tokens, sample.scored, other)


def loss_by_hand(plain: Any, tokens: torch.Tensor, scored: torch.Tensor) -> float:
    """All logits at once."""
    with torch.no_grad():
        logits = plain(tokens).logits[:, :-1].float()
    counted = scored[:, 1:]
    return float(F.cross_entropy(logits[counted], tokens[:, 1:][counted]))


def test_the_loss_is_the_plain_models(tiny_subject: Subject, plain_model: Any, sample: ContextSample) -> None:
    found = run_sample(tiny_subject, sample, {}, losses=True)
    assert found is not None
    assert found.mean() == pytest.approx(loss_by_hand(plain_model, sample.tokens, sample.scored), rel=1e-5)
    some = torch.tensor([3, 50])
    by_hand = loss_by_hand(plain_model, sample.tokens[some], sample.scored[some])
    assert found.mean(some) == pytest.approx(by_hand, rel=1e-5)


@contextmanager
def counted(*subjects: Subject) -> Iterator[Counter[str]]:
    """Contexts that go into the first block of these subjects' models, however they are run."""
    counts: Counter[str] = Counter()
    handles = []
    for subject in subjects:
        models = [
            subject.bridge.original_model,
            subject.reference,
            None if subject.plain is None else subject.plain.model,
        ]
        for model in [model for model in models if model is not None]:
            block: Any = model.transformer.h[0]
            handles.append(
                block.register_forward_pre_hook(
                    lambda _m, inputs, key=subject.processing: counts.update({key: inputs[0].shape[0]})
                )
            )
    yield counts
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("n_dictionaries", [1, 3, 9])
def test_the_sample_is_run_three_times_at_most(n_dictionaries: int, probe: Probe) -> None:
    """Whatever the number of dictionaries, and with all other blocks tried for each."""
    hooks = [f"blocks.{i % 3}.hook_resid_post" for i in range(n_dictionaries)]
    saes = {f"sae-{i}": random_sae(hook) for i, hook in enumerate(hooks)}
    assert probe.other is not None
    other = probe.other()
    told: list[int] = []
    few = replace(probe, other=lambda: other)
    with counted(probe.subject, other) as counts:
        reports = check_dictionaries(saes, few, told.append)
    assert len(reports) == n_dictionaries
    assert counts.total() <= 3 * len(probe.tokens)
    assert counts.total() * probe.tokens.shape[1] == sum(told)
    assert counts["folded"] == len(probe.few)


def test_figures_are_those_of_all_activations_at_once(
    probe: Probe, plain_model: Any, tiny_subject: Subject, sample: ContextSample
) -> None:
    sae = random_sae("blocks.1.hook_resid_post")
    [report] = check_dictionaries({"it": sae}, probe)
    x = tiny_subject.activations(sample.tokens, [sae.hook])[sae.hook][sample.scored]
    acts = sae.encode(x.clone())
    residual = (x - decode(sae, acts, x)).double().square().sum()
    total = (x.double() - x.double().mean(dim=0)).square().sum()
    assert report.measured.l0 == pytest.approx(float((acts != 0).sum()) / len(x))
    assert report.measured.variance_explained_all == pytest.approx(float(1 - residual / total), rel=1e-6)
    assert report.measured.dead_share == pytest.approx(float((acts == 0).all(dim=0).double().mean()))
    assert report.loss == pytest.approx(loss_by_hand(plain_model, sample.tokens, sample.scored), rel=1e-5)
    assert report.n_tokens == len(x)


def test_the_loss_recovered_is_that_of_a_changed_plain_model(
    probe: Probe, plain_model: Any, sample: ContextSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change made by a forward hook on Hugging Face's block, on the same contexts."""
    monkeypatch.setattr("autointerp.subject.check.LOSS_PASSES", 2.0)  # one dictionary: all contexts
    sae = random_sae("blocks.1.hook_resid_post", k=20)
    [report] = check_dictionaries({"it": sae}, probe)

    def changed(edit: Any) -> float:
        def hook(_module: Any, _inputs: Any, out: Any) -> Any:
            value = (out[0] if isinstance(out, tuple) else out).clone()
            value[sample.scored] = edit(value[sample.scored])
            return (value, *out[1:]) if isinstance(out, tuple) else value

        handle = plain_model.transformer.h[1].register_forward_hook(hook)
        try:
            return loss_by_hand(plain_model, sample.tokens, sample.scored)
        finally:
            handle.remove()

    clean, zeroed = loss_by_hand(plain_model, sample.tokens, sample.scored), changed(torch.zeros_like)
    replaced = changed(lambda x: decode(sae, sae.encode(x.clone()), x))
    assert report.loss_recovered == pytest.approx((zeroed - replaced) / (zeroed - clean), rel=1e-4)


def test_sums_in_portions_are_the_sums_at_once() -> None:
    """A large mean beside a small spread, which sums of squares would lose."""
    sae = random_sae("blocks.0.hook_resid_post")
    x = torch.randn(500, 32, generator=torch.Generator().manual_seed(1)) + 1000
    sums = FitSums(sae)
    for first in (0, 7, 300):
        sums.add(x[first : {0: 7, 7: 300, 300: 500}[first]])
    whole = measure(sae, x)
    exact = x.double()
    scatter = float((exact - exact.mean(dim=0)).square().sum())
    residual = float((x - decode(sae, sae.encode(x.clone()), x)).double().square().sum())
    assert sums.fit.variance_explained_all == pytest.approx(1 - residual / scatter, rel=1e-6)
    assert whole.variance_explained == pytest.approx(sums.fit.variance_explained, rel=1e-6)
    assert sums.mean_share == pytest.approx(1, abs=1e-4)


def test_outliers_are_summed_apart() -> None:
    """Twenty tokens of forty times the norm; the figures of the others are those of the others alone."""
    sae = random_sae("blocks.0.hook_resid_post")
    x = torch.randn(500, 32, generator=torch.Generator().manual_seed(1))
    ordinary = torch.arange(500) % 25 != 3
    x[~ordinary] *= 40
    sums = FitSums(sae)
    for first in range(0, 500, 100):
        sums.add(x[first : first + 100])
    alone = measure(sae, x[ordinary])
    assert (sums.fit.n_outliers, alone.n_outliers) == (20, 0)
    assert sums.fit.variance_explained == pytest.approx(alone.variance_explained_all, rel=1e-6)
    residual = float((x - decode(sae, sae.encode(x.clone()), x)).double().square().sum())
    scatter = float((x.double() - x.double().mean(dim=0)).square().sum())
    assert sums.fit.variance_explained_all == pytest.approx(1 - residual / scatter, rel=1e-6)
    assert sums.fit.counting(outliers=True).variance_explained == sums.fit.variance_explained_all


# --- the whole command --------------------------------------------------------------------------------


def test_a_doubled_bos_is_called_by_its_name(tiny_model: Path, tmp_path: Path, token_array: np.ndarray) -> None:
    rows = np.concatenate([np.zeros((len(token_array), 1), np.int32), token_array[:, :-1]], axis=1)
    np.save(tmp_path / "rows.npy", rows)
    run = {
        "name": "x",
        "subject": {"model": str(tiny_model)},
        "tokens": {"source": f"npy:{tmp_path / 'rows.npy'}"},
        "dictionary": [{"name": "n", "kind": "neurons", "hook": "blocks.1.mlp.hook_post"}],
    }
    checked = check_run(parse_run(run), Reporter(quiet=True))
    [line] = [line for line in checked.tokens if line.startswith("doubled BOS")]
    assert line == "doubled BOS: 90 of 90 contexts begin with <0> <0>; take one out of the source"
    np.save(tmp_path / "rows.npy", token_array)
    checked = check_run(parse_run(run), Reporter(quiet=True))
    assert not [line for line in checked.tokens if line.startswith("doubled BOS")]
    assert [token.id for token in checked.context] == token_array[0].tolist()
    assert [token.is_special for token in checked.context] == (token_array[0] < 2).tolist()
    assert checked.hooks[0].place == "output of transformer.h.1.mlp.act"
    assert any("a baseline is made here" in line for line in checked.not_checked)


@pytest.mark.parametrize("processing", ["raw", "folded"])
def test_the_unembedding_by_slices_is_the_whole(processing: str, tiny_model: Path, sample: ContextSample) -> None:
    subject = load_subject(str(tiny_model), None, processing, "float32", "cpu")
    tokens = sample.tokens[:3]
    stream = subject.activations(tokens, ["unembed.hook_in"])["unembed.hook_in"]
    with torch.no_grad():
        expected = subject.bridge(tokens)
    found = torch.stack([logits_of(subject, row) for row in stream])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [3, 400])
def test_few_of_many_features_reconstruct_what_all_of_them_do(k: int) -> None:
    """Whether few fire, and only those are summed, or many; and activations that are there are not made again."""
    n_features, d = WIDE, 8
    generator = torch.Generator().manual_seed(2)
    directions = torch.randn(n_features, d, generator=generator)
    sae = SparseAutoencoder(
        "blocks.0.hook_resid_post", "topk", directions.T.contiguous(), torch.zeros(n_features), directions,
        torch.randn(d, generator=generator), k=k,
    )  # fmt: skip
    x = torch.randn(40, d, generator=generator)
    acts = sae.encode(x.clone())
    assert ((acts != 0).sum() > acts.numel() * MOST_FIRING) == (k == 400)
    torch.testing.assert_close(decode(sae, acts, x), acts @ directions + sae.b_dec, rtol=1e-4, atol=1e-3)
    sums = FitSums(sae)
    sums.add_encoded(x, acts)
    assert sums.fit == measure(sae, x)
