"""The ten units of a line-up: what each does on the sample, against the definition, and what of it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract.made_up import COMBINED, OTHERS, TOP, LineupUnit, lineup_units, strengths
from autointerp.extract.selected import Selected
from autointerp.subject.baselines import sample_contexts, take_sample
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.tokens import TokenFile

SEED = 11


@pytest.fixture(scope="module")
def world(
    tiny_subject: Any,
    token_file: TokenFile,
    dictionaries: dict[str, Selected],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[SparseAutoencoder, np.ndarray, np.ndarray, torch.Tensor, np.ndarray]:
    """A dictionary, five features that fire often, others, the sample and its contexts."""
    sae = dictionaries["standard"].dictionary
    assert isinstance(sae, SparseAutoencoder)
    sample = take_sample(tiny_subject, token_file, [sae.hook], 0, tmp_path_factory.mktemp("sample"))
    x = sample.by_hook[sae.hook]
    n_firing = (sae.encode(x.clone()) > 0).sum(dim=0).numpy()
    often = np.flatnonzero((n_firing > 20) & (n_firing < 0.5 * len(x)))
    return sae, often[:5], often[5:], x, sample_contexts(token_file, 0)


@pytest.fixture(scope="module")
def units(world: tuple[Any, ...], token_file: TokenFile) -> list[LineupUnit]:
    sae, features, others, x, contexts = world
    return lineup_units(sae, features, others, x, contexts, token_file, SEED)


def test_five_are_features_and_five_are_made_up_as_dense(world: tuple[Any, ...], units: list[LineupUnit]) -> None:
    sae, features, others, x, _ = world
    assert [unit.kind for unit in units] == ["real"] * 5 + ["combination", "random"] * 2 + ["combination"]
    assert [unit.feature for unit in units] == [*features, *features]
    activation = sae.encode(x.clone()).numpy()
    for real, made_up in zip(units[:5], units[5:], strict=True):
        mine = activation[:, real.feature]
        assert real.n_firing == (mine > 0).sum()
        assert real.maximum == pytest.approx(mine.max())
        assert abs(made_up.n_firing - real.n_firing) <= max(2, 0.02 * real.n_firing)
        assert made_up.maximum > 0
        assert len(made_up.parents) == (COMBINED if made_up.kind == "combination" else 0)
        assert set(made_up.parents) <= set(others.tolist())


def test_the_excerpts_are_the_text_and_what_the_unit_does_there(
    world: tuple[Any, ...], units: list[LineupUnit], token_file: TokenFile
) -> None:
    sae, _, _, x, contexts = world
    row, position = np.nonzero(token_file.scored(contexts))
    activation = sae.encode(x.clone()).numpy()
    for unit in units:
        assert 1 <= len(unit.excerpts) <= TOP + OTHERS
        assert len({excerpt.context for excerpt in unit.excerpts}) == len(unit.excerpts)
        for excerpt in unit.excerpts:
            text = token_file.tokens[excerpt.context, excerpt.start : excerpt.start + len(excerpt.tokens)]
            assert list(excerpt.tokens) == text.tolist()
            assert max(excerpt.activation) > 0
            assert token_file.split[excerpt.context] == 0, "of the explain split"
        peaks = [max(excerpt.activation) for excerpt in unit.excerpts[:TOP]]
        assert peaks[0] == pytest.approx(unit.maximum)
        if unit.kind != "real":
            continue
        for excerpt in unit.excerpts:
            here = contexts[row] == excerpt.context
            expected = np.zeros(token_file.context_length)
            expected[position[here]] = activation[here, unit.feature]
            np.testing.assert_allclose(
                excerpt.activation, expected[excerpt.start : excerpt.start + len(excerpt.tokens)], rtol=1e-6
            )


def test_the_same_seed_makes_the_same_units_and_another_one_others(
    world: tuple[Any, ...], units: list[LineupUnit], token_file: TokenFile
) -> None:
    sae, features, others, x, contexts = world
    assert lineup_units(sae, features, others, x, contexts, token_file, SEED) == units
    again = lineup_units(sae, features, others, x, contexts, token_file, SEED + 1)
    assert [unit.parents for unit in again] != [unit.parents for unit in units]


def test_on_tokens_of_enormous_norm_no_unit_fires(world: tuple[Any, ...], token_file: TokenFile) -> None:
    sae, features, others, x, contexts = world
    limit = float(x.norm(dim=1).quantile(0.8))
    cut = lineup_units(sae, features, others, x, contexts, token_file, SEED, norm_limit=limit)
    ordinary = x.norm(dim=1).numpy() <= limit
    activation = sae.encode(x.clone()).numpy()
    assert [unit.n_firing for unit in cut[:5]] == [(activation[ordinary, f] > 0).sum() for f in features]
    for real, made_up in zip(cut[:5], cut[5:], strict=True):
        assert abs(made_up.n_firing - real.n_firing) <= max(2, 0.03 * real.n_firing)
    with pytest.raises(ValueError, match="activations at"):
        lineup_units(sae, features, others, x[:-1], contexts, token_file, SEED)


def test_strengths_are_ninths_of_the_maximum() -> None:
    assert strengths([0.0, 0.01, 1.0, 4.5, 8.9, 9.0], 9.0) == [0, 1, 1, 5, 9, 9]
