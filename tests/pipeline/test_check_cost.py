"""What `autointerp check` costs as a whole: passes of the model, and memory at a vocabulary of 256,000."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from live_tensors import LiveTensors
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model

from autointerp.config.loading import parse_run
from autointerp.pipeline.check import check_run
from autointerp.progress import Reporter
from autointerp.subject.sample_pass import SLICE

QUIET = Reporter(quiet=True)
HOOKS = ("hook_resid_post", "hook_resid_pre", "hook_mlp_out", "hook_attn_out")


@pytest.fixture
def n_run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of each forward pass of the plain module, by whomever it is called."""
    counted: list[int] = []
    forward = GPT2Model.forward

    def counting(self: Any, input_ids: Any = None, *args: Any, **more: Any) -> Any:
        counted.append(int(input_ids.numel()))
        return forward(self, input_ids, *args, **more)

    monkeypatch.setattr(GPT2Model, "forward", counting)
    return counted


@pytest.mark.parametrize("n_dictionaries", [1, 12])
def test_the_sample_runs_three_times_at_most(
    n_dictionaries: int,
    n_run: list[int],
    tiny_model: Path,
    tokens_npy: Path,
    write_sae: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """All that the command runs through the model, the few tokens by which hook points are found among it."""
    hooks = [f"blocks.{i % 3}.{HOOKS[i % 4]}" for i in range(n_dictionaries)]
    paths = [write_sae(tmp_path / f"sae-{i}", hook=hook, seed=i) for i, hook in enumerate(hooks)]
    run = {
        "name": "x",
        "subject": {"model": str(tiny_model), "device": "cpu"},
        "tokens": {"source": f"npy:{tokens_npy}"},
        "dictionary": [{"name": f"sae-{i}", "path": str(path)} for i, path in enumerate(paths)],
    }
    checked = check_run(parse_run(run), QUIET)
    assert [report.hook for report in checked.reports] == hooks
    assert len(checked.hooks) == n_dictionaries
    sample = np.load(tokens_npy).size
    assert 1.5 * sample < sum(n_run) <= 3 * sample


def test_no_more_logits_than_a_slice_are_held(write_sae: Callable[..., Path], tmp_path: Path) -> None:
    """A vocabulary of 256,000, and 960 places: 983 MB of logits, of which no more are made at a time than SLICE."""
    torch.manual_seed(0)
    n_vocab = 256_000
    config = GPT2Config(
        vocab_size=n_vocab, n_embd=8, n_layer=2, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=1
    )
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).integers(2, n_vocab, (16, 60)))
    sae = write_sae(tmp_path / "sae", d_in=8, d_sae=16)
    run = {
        "name": "x",
        "subject": {"model": str(tmp_path / "model"), "device": "cpu"},
        "tokens": {"source": f"npy:{tmp_path / 'rows.npy'}"},
        "dictionary": [{"name": "sae", "path": str(sae)}],
    }
    with LiveTensors() as live:
        checked = check_run(parse_run(run), QUIET)
    [report] = checked.reports
    assert report.loss == pytest.approx(np.log(n_vocab), rel=0.02), "a model that has learned nothing"
    assert report.loss_recovered is not None or any("loss recovered" in line for line in report.not_checked)
    size = 4 * SLICE  # bytes
    assert live.largest <= size
    assert live.peak < 5 * size, "logits, their logarithms, both models' where they are compared, and the weights"
    assert 5 * size < 4 * n_vocab * 16 * 60 / 2, "far below all logits at once"
