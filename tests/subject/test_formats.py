"""Reading SAELens's format: `encode` against each architecture's formula written out, and every refusal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from autointerp.errors import InputError
from autointerp.extract.summary.events import encode_events
from autointerp.resources import BUNDLED
from autointerp.subject.activations import iterate_activations
from autointerp.subject.dictionary import checksum
from autointerp.subject.formats import load_dictionary, resolve_dictionary
from autointerp.subject.tokens import TokenFile

D_IN, D_SAE = 8, 11
WriteSae = Callable[..., Path]


def inputs(n: int = 30) -> torch.Tensor:
    return 2 * torch.randn(n, D_IN, generator=torch.Generator().manual_seed(1)) + 0.5


def slow_encode(folder: Path, x: torch.Tensor) -> np.ndarray:
    """One token and one feature at a time, in Python's own floats; SAELens 6.54's formulas."""
    cfg = json.loads((folder / "cfg.json").read_text())
    w = {name: value.double().numpy() for name, value in load_file(folder / "sae_weights.safetensors").items()}
    kind = cfg["architecture"].replace("_skip", "").replace("skip_", "").replace("jumprelu_transcoder", "jumprelu")
    kind = kind.replace("transcoder", "standard")
    found = np.zeros((len(x), D_SAE))
    for row in range(len(x)):
        v = [float(value) for value in x[row]]
        if cfg["normalize_activations"] == "layer_norm":
            mean = sum(v) / len(v)
            deviation = math.sqrt(sum((value - mean) ** 2 for value in v) / (len(v) - 1))
            v = [(value - mean) / (deviation + 1e-5) for value in v]
        elif cfg["normalize_activations"] == "constant_norm_rescale":
            norm = math.sqrt(sum(value**2 for value in v))
            v = [value * math.sqrt(len(v)) / norm for value in v]
        if cfg["apply_b_dec_to_input"]:
            v = [value - w["b_dec"][i] for i, value in enumerate(v)]
        pre = [sum(v[i] * w["W_enc"][i, f] for i in range(D_IN)) for f in range(D_SAE)]
        if kind == "gated":
            for f in range(D_SAE):
                if pre[f] + w["b_gate"][f] > 0:
                    found[row, f] = max(0.0, pre[f] * math.exp(w["r_mag"][f]) + w["b_mag"][f])
            continue
        pre = [value + w["b_enc"][f] for f, value in enumerate(pre)]
        if kind == "topk":
            if cfg.get("rescale_acts_by_decoder_norm"):
                pre = [value * math.sqrt(sum(w["W_dec"][f] ** 2)) for f, value in enumerate(pre)]
            largest = sorted(range(D_SAE), key=lambda f: -pre[f])[: cfg["k"]]
            pre = [value if f in largest else 0.0 for f, value in enumerate(pre)]
        for f, value in enumerate(pre):
            if kind == "jumprelu" and value <= w["threshold"][f]:
                continue
            found[row, f] = max(0.0, value)
    return found


def written(write_sae: WriteSae, folder: Path, architecture: str, **changed: Any) -> Path:
    return write_sae(folder, architecture, d_in=D_IN, d_sae=D_SAE, seed=5, **changed)


def check_encoding(folder: Path) -> None:
    x = inputs()
    expected = slow_encode(folder, x)
    assert 0.02 < (expected > 0).mean() < 0.9, "the twin must see both firing and silence"
    sae = load_dictionary(str(folder))
    found = sae.encode(x.clone())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.numpy() > 0, expected > 1e-6)
    assert (sae.d_in, sae.n_features) == (D_IN, D_SAE)


@pytest.mark.parametrize("normalize", ["none", "layer_norm", "constant_norm_rescale", "expected_average_only_in"])
@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk", "gated"])
@pytest.mark.parametrize("subtract", [True, False])
def test_encode_is_the_formula(
    architecture: str, normalize: str, subtract: bool, write_sae: WriteSae, tmp_path: Path
) -> None:
    folder = written(write_sae, tmp_path, architecture, normalize_activations=normalize, apply_b_dec_to_input=subtract)
    check_encoding(folder)
    x = inputs()
    other = written(
        write_sae, tmp_path / "other", architecture, normalize_activations=normalize, apply_b_dec_to_input=not subtract
    )
    assert not np.allclose(slow_encode(folder, x), slow_encode(other, x)), "b_dec must matter"


def test_a_negative_threshold_lets_no_negative_activation_through(write_sae: WriteSae, tmp_path: Path) -> None:
    def lower(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        weights["threshold"] -= 2

    check_encoding(written(write_sae, tmp_path, "jumprelu", change=lower))
    assert (load_dictionary(str(tmp_path)).encode(inputs()) >= 0).all()


@pytest.mark.parametrize("k", [1, 5, D_SAE])
@pytest.mark.parametrize("rescale", [True, False])
def test_topk(k: int, rescale: bool, write_sae: WriteSae, tmp_path: Path) -> None:
    folder = written(write_sae, tmp_path, "topk", k=k, rescale_acts_by_decoder_norm=rescale)
    if k == 5:
        check_encoding(folder)
    sae = load_dictionary(str(folder))
    acts = sae.encode(inputs())
    np.testing.assert_allclose(acts.numpy(), slow_encode(folder, inputs()), rtol=1e-4, atol=1e-5)
    assert (acts > 0).sum(dim=1).max() <= k
    assert sae.activation == f"topk (k = {k})"
    # What is written for a unit of activation: decoding by `directions` is SAELens's decoding.
    weights = load_file(folder / "sae_weights.safetensors")["W_dec"]
    divided = acts / weights.norm(dim=1) if rescale else acts
    torch.testing.assert_close(acts @ sae.directions, divided @ weights)


@pytest.mark.parametrize(
    "architecture", ["transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"]
)
def test_transcoders(architecture: str, write_sae: WriteSae, tmp_path: Path) -> None:
    def widen(cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        weights["W_dec"], weights["b_dec"] = torch.randn(D_SAE, 13), torch.randn(13)
        weights["W_skip"] = torch.randn(13, D_IN)
        cfg["metadata"]["hook_name_out"] = "blocks.1.hook_mlp_out"
        cfg["d_out"] = 13

    folder = written(write_sae, tmp_path, architecture, change=widen)
    check_encoding(folder)
    sae = load_dictionary(str(folder))
    assert (sae.kind, sae.hook_out) == ("transcoder", "blocks.1.hook_mlp_out")
    assert sae.directions.shape == (D_SAE, 13)


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu", "gated"])
@pytest.mark.parametrize("hook_key", ["hook_name", "hook_point"])
def test_configs_from_before_version_6(architecture: str, hook_key: str, write_sae: WriteSae, tmp_path: Path) -> None:
    modern = written(write_sae, tmp_path / "modern", architecture)

    def age(cfg: dict[str, Any], _weights: dict[str, Any]) -> None:
        del cfg["metadata"]
        cfg |= {hook_key: "blocks.1.hook_resid_post", "model_name": "tiny", "activation_fn_str": "relu"}
        if architecture == "topk":
            del cfg["k"]
            cfg |= {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 5}, "architecture": "standard"}
        if architecture == "standard":
            del cfg["architecture"]  # the oldest ones had none

    old = load_dictionary(str(written(write_sae, tmp_path / "old", architecture, change=age)))
    new = load_dictionary(str(modern))
    assert (old.hook, old.architecture, old.k) == (new.hook, new.architecture, new.k)
    torch.testing.assert_close(old.encode(inputs()), new.encode(inputs()), rtol=0, atol=0)
    assert (new.encode(inputs()) > 0).any()


def test_a_hook_in_the_run_file_wins(write_sae: WriteSae, tmp_path: Path) -> None:
    folder = written(write_sae, tmp_path, "standard")
    assert load_dictionary(str(folder)).hook == "blocks.1.hook_resid_post"
    assert load_dictionary(str(folder), hook="blocks.0.hook_mlp_out").hook == "blocks.0.hook_mlp_out"


def test_weights_of_half_precision_are_read_as_they_are(write_sae: WriteSae, tmp_path: Path) -> None:
    def halve(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        weights.update({name: weight.to(torch.bfloat16) for name, weight in weights.items()})

    folder = written(write_sae, tmp_path, "standard", change=halve)
    sae = load_dictionary(str(folder))
    assert sae.W_enc.dtype == torch.float32
    torch.testing.assert_close(sae.W_enc, load_file(folder / "sae_weights.safetensors")["W_enc"].float())
    check_encoding(folder)


def test_features_are_selected_after_the_top_k(
    write_sae: WriteSae, tmp_path: Path, tiny_subject: Any, npy_tokens: TokenFile
) -> None:
    sae = load_dictionary(str(write_sae(tmp_path, "topk", k=2)))
    chosen = torch.zeros(sae.n_features, dtype=torch.bool)
    chosen[[2, 17, 30, 31]] = True
    n_all = n_some = 0
    for batch in iterate_activations(tiny_subject, npy_tokens, [sae.hook], np.arange(npy_tokens.n_contexts)):
        whole = encode_events(sae, batch, npy_tokens, None)
        some = encode_events(sae, batch, npy_tokens, chosen)
        mine = chosen[whole.feature]
        for field in ("feature", "context", "position", "value"):
            torch.testing.assert_close(getattr(some, field), getattr(whole, field)[mine], rtol=0, atol=0)
        n_all, n_some = n_all + len(whole), n_some + len(some)
    assert 100 < n_some < n_all / 2
    assert n_all <= 2 * (npy_tokens.marks == 1).sum()


def test_planted_labels(write_sae: WriteSae, tmp_path: Path) -> None:
    folder = written(write_sae, tmp_path, "standard")
    (folder / "labels.json").write_text('[{"feature": 3, "label": "threes"}]')
    sae = load_dictionary(str(folder), kind="planted")
    assert (sae.kind, sae.labels) == ("planted", {3: "threes"})
    assert load_dictionary("bundled:planted").kind == "planted"
    for broken in ('{"feature": 3}', '[{"feature": "x", "label": ""}]', "[3]", "3"):
        (folder / "labels.json").write_text(broken)
        with pytest.raises(InputError, match=r"labels\.json is not a list of"):
            load_dictionary(str(folder))


@pytest.mark.parametrize("name", sorted(folder.name for folder in (BUNDLED / "dictionaries").iterdir()))
def test_bundled_dictionaries_load(name: str) -> None:
    sae = load_dictionary(f"bundled:{name}")
    assert sae.encode(torch.randn(3, sae.d_in)).shape == (3, sae.n_features)


def test_checksum_sees_every_weight(write_sae: WriteSae, tmp_path: Path) -> None:
    found = set()
    names = ["none", *load_file(written(write_sae, tmp_path / "first", "gated") / "sae_weights.safetensors")]
    for name in names:

        def change(_cfg: dict[str, Any], weights: dict[str, Any], name: str = name) -> None:
            if name != "none":
                weights[name].view(-1)[-1] += 1e-3

        found.add(checksum(load_dictionary(str(written(write_sae, tmp_path / name, "gated", change=change)))))
    assert len(found) == len(names) > 5
    again = load_dictionary(str(written(write_sae, tmp_path / "again", "gated")))
    assert checksum(again) == checksum(load_dictionary(str(tmp_path / "none")))


# --- refusals ---------------------------------------------------------------------------------------


def set_config(**values: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(cfg: dict[str, Any], _weights: dict[str, Any]) -> None:
        for key, value in values.items():
            if value is None:
                cfg.pop(key)
            else:
                cfg[key] = value

    return change


def set_weight(name: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        if value is None:
            del weights[name]
        elif isinstance(value, float):
            weights[name].view(-1)[7] = value
        else:
            weights[name] = torch.zeros(value)

    return change


@pytest.mark.parametrize(
    ("architecture", "change", "message"),
    [
        ("standard", set_config(architecture="standrad"), 'architecture "standrad" is not read; the nearest is "stand'),
        ("standard", set_config(architecture="crosscoder"), '"crosscoder" is not read'),
        ("standard", set_config(normalize_activations="layernorm"), 'the nearest is "layer_norm"'),
        ("standard", set_config(activation_fn_str="tanh-relu"), '"tanh-relu" is not read; relu and topk are'),
        ("standard", set_config(metadata=None), "names no hook; give hook ="),
        ("standard", set_config(metadata=[1]), "does not hold a configuration"),
        ("standard", set_config(d_in=None), "d_in = None; it must be an integer"),
        ("standard", set_config(d_sae="11"), "d_sae = '11'; it must be an integer"),
        ("standard", set_config(d_sae=12), '"W_enc" has shape (8, 11); the config says 8 x 12'),
        ("topk", set_config(k=None), "k = None"),
        ("topk", set_config(k=0), "k = 0 does not fit a TopK of width 11"),
        ("topk", set_config(k=12), "k = 12 does not fit"),
        ("standard", set_weight("W_dec", None), 'the weights have no "W_dec"; there are W_enc, b_dec, b_enc'),
        ("jumprelu", set_weight("threshold", None), 'no "threshold"'),
        ("gated", set_weight("r_mag", None), 'no "r_mag"'),
        ("standard", set_weight("b_enc", (3,)), '"b_enc" has shape (3,); the config says 11'),
        ("standard", set_weight("W_dec", (11,)), "the config says 11 x any"),
        ("standard", set_weight("W_enc", math.nan), '"W_enc" holds NaN or infinite weights'),
        ("standard", set_weight("b_dec", math.inf), '"b_dec" holds NaN or infinite weights'),
        ("jumprelu", set_weight("threshold", -math.inf), '"threshold" holds NaN or infinite weights'),
    ],
)
def test_what_cannot_be_read_is_named(
    architecture: str, change: Any, message: str, write_sae: WriteSae, tmp_path: Path
) -> None:
    folder = written(write_sae, tmp_path, architecture, change=change)
    with pytest.raises(InputError) as caught:
        load_dictionary(str(folder))
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1]", "3", "null", "\xff"])
def test_a_config_that_is_none(text: str, write_sae: WriteSae, tmp_path: Path) -> None:
    folder = written(write_sae, tmp_path, "standard")
    (folder / "cfg.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"cfg\.json"):
        load_dictionary(str(folder))


def test_missing_and_cut_files(write_sae: WriteSae, tmp_path: Path) -> None:
    folder = written(write_sae, tmp_path / "sae", "standard")
    weights = folder / "sae_weights.safetensors"
    whole = weights.read_bytes()
    for n in (0, 5, len(whole) // 2, len(whole) - 1):
        weights.write_bytes(whole[:n])
        with pytest.raises(InputError, match=r"sae_weights\.safetensors is damaged"):
            load_dictionary(str(folder))
    weights.unlink()
    with pytest.raises(InputError, match=r"has no sae_weights\.safetensors"):
        load_dictionary(str(folder))
    (folder / "cfg.json").unlink()
    with pytest.raises(InputError, match=r"has no cfg\.json"):
        load_dictionary(str(folder))


class Explosive:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("exploded"), "a pickle was loaded"))


def test_nothing_is_ever_unpickled(write_sae: WriteSae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = written(write_sae, tmp_path / "sae", "standard")
    (folder / "sae_weights.safetensors").unlink()
    for name in ("sae_weights.pt", "ae.pt", "sae_weights.safetensors"):
        torch.save({"W_enc": Explosive()}, folder / name)
    with pytest.raises(InputError):
        load_dictionary(str(folder))
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("bundled:mlp-1kk", 'the nearest is "mlp-1k"'),
        ("hf://a/b", '"hf://a/b": '),  # the hub is out of reach while testing
        ("nowhere/at/all", 'there is no folder "nowhere/at/all"'),
    ],
)
def test_where_there_is_no_dictionary(path: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve_dictionary(path)
    assert message in str(caught.value)


def test_written_weights_are_what_was_asked_for(write_sae: WriteSae, tmp_path: Path) -> None:
    """The fixture's `change` reaches the file; else the refusals above would test nothing."""
    folder = written(write_sae, tmp_path, "standard", change=set_weight("b_dec", math.inf))
    weights = load_file(folder / "sae_weights.safetensors")
    assert torch.isinf(weights["b_dec"]).sum() == 1
    weights["b_dec"][7] = 0
    save_file(weights, folder / "sae_weights.safetensors")
    check_encoding(folder)
