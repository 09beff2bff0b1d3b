"""`autointerp steer` on the bundled subject: the size that it states has the KL that it states, in the plain model."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import Refused
from click.testing import CliRunner
from rich.console import Console

from autointerp.cli import cli
from autointerp.pipeline.steer import SteerChoice, Steerer
from autointerp.progress import Reporter
from autointerp.show.steer import steer_json, steer_page
from autointerp.subject.formats import load_dictionary
from autointerp.subject.loading import load_subject

TEXT = "def f("


@pytest.fixture(scope="module")
def steerer(judged_store: Path) -> Steerer:
    return Steerer(judged_store, "mlp-1k", Reporter(quiet=True))


def test_the_stated_size_has_the_stated_kl(steerer: Steerer) -> None:
    report = steerer.steer(7, TEXT, SteerChoice(kl=0.3, n_tokens=4, against=True))
    subject = load_subject("bundled:subject", None, "raw", "float32", "cpu")
    [ids] = subject.encode_texts([TEXT])
    assert list(report.tokens) == [0, *ids]
    model: Any = subject.reference
    vector = -load_dictionary("bundled:mlp-1k").directions[7]
    size = report.directions[0].size
    assert size is not None
    vector = vector / vector.norm() * size
    mlp_in = next(name for name, module in model.named_modules() if name.endswith("mlp.c_proj"))

    @torch.no_grad()
    def logp(added: torch.Tensor, tokens: list[int]) -> np.ndarray:
        def more(_module: Any, inputs: Any) -> Any:
            value = inputs[0].clone()
            value[0, 1:] += added
            return (value, *inputs[1:])

        handle = model.get_submodule(mlp_in).register_forward_pre_hook(more)
        try:
            return np.asarray(model(torch.tensor([tokens])).logits[0, -1].double().log_softmax(dim=0).numpy())
        finally:
            handle.remove()

    tokens = list(report.tokens)
    before, after = logp(torch.zeros_like(vector), tokens), logp(vector, tokens)
    assert (np.exp(before) * (before - after)).sum() == pytest.approx(0.3, rel=1e-2)
    assert report.entropy == pytest.approx(-(np.exp(before) * before).sum(), rel=1e-3)
    for token in report.next_tokens:
        assert (token.as_it_is, token.steered[0]) == pytest.approx((before[token.token], after[token.token]), abs=2e-3)
    changes = [after[token.token] - before[token.token] for token in report.next_tokens]
    assert changes == sorted(changes, reverse=True)
    for of in report.directions:
        assert of.kl == pytest.approx(0.3, rel=1e-3)
        assert of.continued is not None
    assert report.directions[0].continued is not None
    assert report.directions[0].continued.tokens[0] == int(after.argmax())
    assert report.as_it_is.tokens[0] == int(before.argmax())
    again = steerer.steer(7, TEXT, SteerChoice(kl=0.3, n_tokens=4, against=True))
    assert again == report
    said = json.loads(steer_json(report, 'Fires on " self".'))
    assert said["directions"][0]["size"] == size
    assert said["label"] == 'Fires on " self".'


def test_the_command_and_what_it_refuses(judged_store: Path, steerer: Steerer, refused: Refused) -> None:
    result = CliRunner().invoke(cli, ["steer", str(judged_store), "mlp-1k/7", TEXT, "--tokens", "2"])
    assert result.exit_code == 0, result.output
    for words in ("mlp-1k/7  ", "moves by 0.5 nats", "as activations vary", f"as it is: {TEXT}", "what comes next"):
        assert words in result.stdout
    assert 'no dictionary "nobody"' in refused("steer", judged_store, "nobody/7", TEXT)
    assert "not DICT/FEATURE" in refused("steer", judged_store, "7", TEXT)
    with pytest.raises(Exception, match="no feature 99999"):
        steerer.steer(99999, TEXT, SteerChoice())
    with pytest.raises(Exception, match="no token to read"):
        steerer.steer(7, "", SteerChoice())
    with pytest.raises(Exception, match="fit into the"):
        steerer.steer(7, "x = 1\n" * 300, SteerChoice())
    with pytest.raises(Exception, match="does not move the output by 1e\\+06 nats"):
        steerer.steer(7, TEXT, SteerChoice(kl=1e6))


def test_a_direction_that_does_not_reach_says_so(steerer: Steerer) -> None:
    report = steerer.steer(7, TEXT, SteerChoice(n_tokens=1, temperature=0.5, seed=3))
    feature, isotropic, covariance = report.directions
    short = replace(isotropic, size=None, of_activation=None, kl=0.1, continued=None)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(steer_page(replace(report, directions=(feature, short, covariance)), None))
    page = console.export_text()
    assert "never: 0.1 at most" in page
    assert "drawn at 0.5" in page
    assert "isotropic:" not in page
