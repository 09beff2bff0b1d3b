"""Tokens of enormous norm: counted, shown apart, and never among the other exemplars; against the dense twin."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.config.evidence import EvidenceSection, IntervalsSection, QuantilesSection
from autointerp.extract.engines.whole import KeptPerFeature, summarise
from autointerp.extract.exemplar_rows import Exemplars
from autointerp.extract.exemplars import explain_exemplars
from autointerp.extract.selected import Selected
from autointerp.extract.summary.statistics import log_histogram
from autointerp.extract.summary.summary import SPARE, Summary
from autointerp.extract.thinning import PHRASE
from autointerp.records import SPLITS
from autointerp.subject.tokens import TokenFile

SEED, TOP, OUTLIER = 3, 4, 3
NAMES = ["standard", "topk"]


@pytest.fixture(scope="module")
def norms(plain_model: Any, token_file: TokenFile) -> np.ndarray:
    """[C, L] of the hook of both dictionaries, straight from Hugging Face's model."""
    ids = torch.from_numpy(np.asarray(token_file.tokens).astype(np.int64))
    with torch.no_grad():
        hidden = plain_model(ids, output_hidden_states=True).hidden_states[2]
    return np.asarray(hidden.norm(dim=-1).numpy())


@pytest.fixture(scope="module")
def limit(norms: np.ndarray) -> float:
    """A tenth of the tokens are past it, none within rounding of it."""
    ordered = np.sort(norms, axis=None)
    place = int(0.9 * len(ordered))
    assert ordered[place + 1] - ordered[place] > 1e-5
    return float(ordered[place] + ordered[place + 1]) / 2


@pytest.fixture(scope="module")
def summaries(
    tiny_subject: Any, token_file: TokenFile, dictionaries: dict[str, Selected], limit: float
) -> dict[str, Summary]:
    return summarise(
        tiny_subject,
        token_file,
        {name: dictionaries[name] for name in NAMES},
        np.arange(token_file.n_contexts),
        seed=SEED,
        kept=KeptPerFeature(TOP, 6, select_windows=5, left=4, norm_limit=limit, outlier=OUTLIER),
        progress=lambda _: None,
    )


@pytest.fixture(scope="module")
def strata(summaries: dict[str, Summary], token_file: TokenFile) -> dict[str, dict[str, list[tuple[Exemplars, int]]]]:
    evidence = EvidenceSection(
        top=TOP, quantiles=QuantilesSection(n=4, each=3), intervals=IntervalsSection(n=5, each=2)
    )
    found: dict[str, dict[str, list[tuple[Exemplars, int]]]] = {}
    for name, summary in summaries.items():
        found[name] = defaultdict(list)
        features = np.arange(summary.plan.n_features)
        heavy = token_table_of(summary)
        for part in explain_exemplars(summary, token_file, heavy, evidence, features):
            for i, stratum in enumerate(part.stratum):
                found[name][stratum].append((part, i))
    return found


def token_table_of(summary: Summary) -> Any:
    from autointerp.extract.summary.grams import token_table

    return token_table(summary.tokens, summary.frequent, 256)


@pytest.mark.parametrize("name", NAMES)
def test_firings_on_outliers_are_counted(
    name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile, norms: np.ndarray, limit: float
) -> None:
    for index in range(len(SPLITS)):
        rows = np.flatnonzero(token_file.split == index)
        on_outliers = dense[name][rows] * (norms[rows] > limit)[:, :, None]
        counts = summaries[name].statistics.n_firing_outliers[index].numpy()
        np.testing.assert_array_equal(counts, (on_outliers > 0).sum(axis=(0, 1)))
        assert counts.sum() > 0, "there must be some"
        whole = log_histogram(summaries[name].statistics.histogram[index].numpy().astype(np.int64))
        assert (summaries[name].statistics.outliers[index].numpy() <= whole).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("stratum", "wanted", "most"), [("top", False, TOP), ("outlier", True, OUTLIER)])
def test_the_strongest_of_each_kind_one_a_context(
    name: str,
    stratum: str,
    wanted: bool,
    most: int,
    strata: Any,
    dense: Any,
    token_file: TokenFile,
    norms: np.ndarray,
    limit: float,
) -> None:
    acts = dense[name] * ((norms > limit) == wanted)[:, :, None]
    explain = np.flatnonzero(token_file.split == 0)
    shown: dict[int, list[float]] = defaultdict(list)
    for part, i in strata[name][stratum]:
        context = part.window[i] // token_file.windows_per_context
        assert (norms[context, part.peak[i]] > limit) == wanted
        shown[int(part.feature[i])].append(float(dense[name][context, part.peak[i], part.feature[i]]))
        ends = np.cumsum(part.length)
        inner = slice(ends[i] - part.length[i], ends[i])
        span = dense[name][context, part.start[i] : part.start[i] + part.n_tokens[i], part.feature[i]]
        np.testing.assert_allclose(part.value[inner], span[span > 0], rtol=1e-4, atol=1e-6)  # all that fires is shown
    for feature in range(acts.shape[-1]):
        strongest = explain[np.argsort(-acts[explain, :, feature].max(axis=1), kind="stable")][: SPARE * most]
        strongest = strongest[acts[strongest, :, feature].max(axis=1) > 0]
        best = acts[strongest, :, feature].max(axis=1)
        peaks = acts[strongest, :, feature].argmax(axis=1)
        read = [
            tuple(token_file.tokens[context, max(0, peak - PHRASE + 1) : peak + 1].tolist())
            for context, peak in zip(strongest, peaks, strict=True)
        ]
        assert len(shown[feature]) == min(most, len(set(read))), "each phrase once"
        assert shown[feature] == sorted(shown[feature], reverse=True)
        assert all(np.isclose(best, value, rtol=1e-4).any() for value in shown[feature])


@pytest.mark.parametrize("name", NAMES)
def test_no_quantile_or_interval_is_of_an_outlier(
    name: str, strata: Any, dense: Any, token_file: TokenFile, norms: np.ndarray, limit: float
) -> None:
    ordinary = dense[name] * (norms <= limit)[:, :, None]
    explain = ordinary[token_file.split == 0]
    n = 0
    for stratum, members in strata[name].items():
        if not stratum.startswith(("quantile", "interval")):
            continue
        for part, i in members:
            context, feature = part.window[i] // token_file.windows_per_context, part.feature[i]
            assert norms[context, part.peak[i]] <= limit
            n += 1
            if stratum.startswith("interval"):
                step = explain[:, :, feature].max() / 5
                assert part.high[i] == pytest.approx(step * (int(stratum[-2:]) + 1), rel=1e-4)
            values = np.sort(explain[:, :, feature][explain[:, :, feature] > 0])
            if stratum.startswith("quantile") and len(values) <= 32:
                peak = dense[name][context, part.peak[i], feature]
                ranks = np.flatnonzero(np.isclose(values, peak, rtol=1e-5))
                assert (np.abs((ranks + 0.5) / len(values) * 4 - int(stratum[-2:]) - 0.5) <= 0.5 + 1e-9).any()
    assert n > 100
