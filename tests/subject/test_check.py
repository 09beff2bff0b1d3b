"""The self-check: trained dictionaries pass, and every planted fault is refused with its named cause."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp.cli import main
from autointerp.config.loading import parse_run
from autointerp.pipeline.check import make_probe
from autointerp.pipeline.plan.prepare import Prepared, prepare
from autointerp.subject.check import Probe, Report, check_dictionary, check_subject
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import load_dictionary
from autointerp.subject.sources import open_source

NAMES = ("mlp-1k", "mlp-2k", "resid-1k", "planted")


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(
        parse_run(
            {
                "name": "check",
                "subject": {"model": "bundled:subject"},
                "tokens": {"source": "bundled:corpus"},
                "dictionary": [{"name": name, "path": f"bundled:{name}"} for name in NAMES],
            }
        )
    )


@pytest.fixture(scope="module")
def probe(prepared: Prepared) -> Probe:
    return make_probe(prepared, n_tokens=2_000)


def report(sae: SparseAutoencoder, probe: Probe) -> Report:
    return check_dictionary("it", sae, probe)


@pytest.mark.parametrize("name", NAMES)
def test_trained_dictionaries_pass(name: str, prepared: Prepared, probe: Probe) -> None:
    found = report(prepared.saes[name], probe)
    assert found.ok, found.cause
    if name != "planted":
        assert found.measured.variance_explained > 0.7
        assert found.loss_recovered is not None
        assert 0.9 < found.loss_recovered < 1


def test_the_subject_is_the_plain_model(prepared: Prepared, probe: Probe) -> None:
    apart = check_subject(prepared.subject, probe.tokens)
    assert apart is not None
    assert apart < 1e-4


def faults(saes: dict[str, SparseAutoencoder]) -> dict[str, tuple[SparseAutoencoder, str]]:
    relu, jumprelu, topk = saes["mlp-1k"], saes["mlp-2k"], saes["resid-1k"]
    return {
        "topk read as relu": (replace(topk, architecture="standard", k=None), "TopK read as ReLU"),
        "threshold lost": (replace(jumprelu, architecture="standard", threshold=None), "threshold lost"),
        "k halved": (replace(topk, k=8), "wrong k: 16"),
        "k doubled": (replace(topk, k=32), "wrong k: 16"),
        "no encoder bias": (replace(relu, b_enc=torch.zeros_like(relu.b_enc)), "missing bias: the encoder bias"),
        "no decoder bias": (replace(topk, b_dec=torch.zeros_like(topk.b_dec)), "missing bias: b_dec"),
        "wrong layer": (replace(topk, hook="blocks.1.hook_resid_post"), "wrong layer: blocks.0.hook_resid_post"),
        "wrong layer, neurons": (replace(relu, hook="blocks.1.mlp.hook_post"), "wrong layer: blocks.0.mlp.hook_post"),
        "b_dec not subtracted": (replace(relu, subtract_b_dec=False), "b_dec must be subtracted"),
    }


FAULTS = (
    "topk read as relu",
    "threshold lost",
    "k halved",
    "k doubled",
    "no encoder bias",
    "no decoder bias",
    "wrong layer",
    "wrong layer, neurons",
    "b_dec not subtracted",
)


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_named(fault: str, prepared: Prepared, probe: Probe) -> None:
    sae, cause = faults(prepared.saes)[fault]
    found = report(sae, probe)
    assert found.cause is not None
    assert cause in found.cause


def test_weights_folded_or_raw(tiny_model: Path, tokens_npy: Path, tmp_path: Path) -> None:
    """On raw weights the residual stream has a mean over its coordinates; folding takes it out of what is written."""
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(tiny_model)
    with torch.no_grad():
        model.transformer.wte.weight.add_(3.0)
    model.save_pretrained(tmp_path / "shifted")
    config = {
        "name": "x",
        "subject": {"model": str(tmp_path / "shifted")},
        "tokens": {"source": f"npy:{tokens_npy}"},
        "dictionary": [{"name": "n", "kind": "neurons", "hook": "blocks.0.mlp.hook_post"}],
    }
    probe = make_probe(prepare(parse_run(config)))
    d = 32
    centring = torch.eye(d) - torch.ones(d, d) / d
    sae = SparseAutoencoder(
        hook="blocks.0.hook_resid_post",
        architecture="topk",
        k=d,
        W_enc=torch.cat([centring, -centring], dim=1),
        b_enc=torch.zeros(2 * d),
        W_dec=torch.cat([centring, -centring]),
        b_dec=torch.full((d,), 1e-6),
    )
    found = report(sae, probe)  # it reconstructs centred activations, and the subject is raw
    assert found.cause is not None
    assert found.cause.startswith('folded weights or raw: it was trained on folded ones; set processing = "folded"')
    assert probe.other is not None
    right = report(sae, replace(probe, subject=probe.other(), other=lambda: probe.subject))
    assert right.cause is None or "folded" not in right.cause
    assert right.measured.variance_explained > 0.99


def test_the_wrong_subject(prepared: Prepared, probe: Probe) -> None:
    sae = prepared.saes["resid-1k"]
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(sae.d_in, sae.d_in, generator=generator)).Q
    other = replace(sae, W_enc=turn @ sae.W_enc, W_dec=sae.W_dec @ turn.T, b_dec=turn @ sae.b_dec)
    found = report(other, probe)
    assert found.cause is not None
    assert "wrong subject" in found.cause


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    monkeypatch.chdir(tmp_path)
    sae = load_dictionary("bundled:resid-1k")
    config: dict[str, Any] = {**sae.config, "architecture": "standard"}
    (tmp_path / "sae").mkdir()
    (tmp_path / "sae" / "cfg.json").write_text(json.dumps({k: v for k, v in config.items() if k != "k"}))
    some = itertools.islice(open_source("bundled:corpus").documents(), 2)
    (tmp_path / "some.jsonl").write_text("".join(json.dumps({"text": document.text}) + "\n" for document in some))
    names = ("W_enc", "b_enc", "W_dec", "b_dec")
    save_file({name: getattr(sae, name) for name in names}, tmp_path / "sae" / "sae_weights.safetensors")
    (tmp_path / "run.toml").write_text(
        'name = "x"\n[subject]\nmodel = "bundled:subject"\n[tokens]\nsource = "jsonl:some.jsonl#text"\n'
        '[[dictionary]]\nname = "good"\npath = "bundled:mlp-1k"\n[[dictionary]]\nname = "bad"\npath = "sae"\n'
    )
    with pytest.raises(SystemExit) as stop:
        main(["check", "run.toml"])
    assert stop.value.code == 1
    shown = capsys.readouterr()
    assert "bad: a TopK read as ReLU" in shown.err
    assert "good:" not in shown.err
    assert "good" in shown.out
    assert {path.name for path in tmp_path.iterdir()} == {"sae", "run.toml", "some.jsonl"}, "a check writes nothing"
