"""Covariance directions of a model with a sink token: what the lane of a real model prints, with the truth known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sinks import DIRECTIONS, TOP, norm_lines, shared, sharing_line, top_exemplars, with_covariance_directions
from stored import rows

from autointerp.config.loading import load_run
from autointerp.pipeline import run
from autointerp.progress import Reporter

HOOK, SINK = "blocks.0.hook_resid_pre", 20


@pytest.fixture(scope="module")
def sunk(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model; one of its tokens has an embedding forty times as long as the others."""
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(tiny_model)
    with torch.no_grad():
        embedding = model.transformer.wte.weight
        length = embedding.norm(dim=1).median()
        embedding[SINK] *= 40 * length / embedding[SINK].norm()
    folder = tmp_path_factory.mktemp("sunk") / "model"
    model.save_pretrained(folder)
    return folder


def test_covariance_directions_no_longer_share_their_exemplars(sunk: Path, tokens_npy: Path, tmp_path: Path) -> None:
    stores = {}
    for exclude in (False, True):
        text = (
            f'name = "sunk"\nstore = "{tmp_path / f"{exclude}.duckdb"}"\n'
            f'[subject]\nmodel = "{sunk}"\ndevice = "cpu"\n'
            f'[tokens]\nsource = "npy:{tokens_npy}"\nn_tokens = 60_000\nallow_fewer = true\n'
            '[[dictionary]]\nname = "another"\n'
        )
        file = tmp_path / f"{exclude}.toml"
        file.write_text(with_covariance_directions(text, HOOK, exclude_outliers=exclude))
        stores[exclude] = run(load_run(file), until="extract", reporter=Reporter(quiet=True))
    before, after = (top_exemplars(stores[exclude]) for exclude in (False, True))
    assert len(before) == len(after) == DIRECTIONS
    assert {len(top) for top in before} == {TOP}
    tokens = {row["context"]: row["tokens"] for row in rows(stores[True], "SELECT context, tokens FROM contexts")}
    on_sink = [sum(tokens[context][peak] == SINK for context, peak in top) for top in (*before, *after)]
    assert min(on_sink[:DIRECTIONS]) > TOP / 2
    assert max(on_sink[DIRECTIONS:]) == 0
    assert shared(before) > 0.8
    assert shared(after) < 0.2
    [norms] = rows(stores[True], "SELECT * FROM hook_norms")
    assert norms["participation_all"] < 2 < norms["participation"]
    [line] = norm_lines(stores[True])
    assert f"norms at {HOOK}: median" in line
    assert f"{norms['n_outliers']} of" in line
    assert f"{shared(before):.1%} with" in sharing_line(shared(before), shared(after))


def test_what_is_shared_is_a_mean_over_pairs() -> None:
    tops = [{(0, 1), (0, 2)}, {(0, 2), (1, 5)}, {(9, 9), (0, 2)}]
    assert shared(tops) == pytest.approx(0.5)
    assert shared([tops[0], tops[0]]) == 1
    assert shared([{(0, 1)}, {(1, 1)}]) == 0
    assert shared([tops[0]]) == 0
