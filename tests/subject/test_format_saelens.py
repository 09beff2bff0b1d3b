"""SAELens's format beyond test_formats.py: unknown weights, one head, what it was trained on, the oldest files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp.errors import InputError
from autointerp.subject.formats import load_dictionary

D_IN, D_SAE = 8, 11
WriteSae = Callable[..., Path]
Change = Callable[[dict[str, Any], dict[str, Any]], None]


def written(write_sae: WriteSae, folder: Path, architecture: str = "standard", change: Change | None = None) -> Path:
    return write_sae(folder, architecture, d_in=D_IN, d_sae=D_SAE, seed=5, change=change)


def refusal(folder: Path, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(folder), **given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{folder}"')
    return message


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu", "gated", "transcoder"])
@pytest.mark.parametrize("name", ["scaling_factor", "W_skip", "finetuning_scaling_factor", "log_sparsity"])
def test_a_weight_that_nobody_asked_for_is_refused(
    architecture: str, name: str, write_sae: WriteSae, tmp_path: Path
) -> None:
    def add(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        weights[name] = torch.full((D_IN, D_IN) if name == "W_skip" else (D_SAE,), 2.0)

    folder = written(write_sae, tmp_path, architecture, add)
    if (architecture, name) == ("transcoder", "W_skip"):
        assert load_dictionary(str(folder)).W_skip is not None
    else:
        assert f'the weights hold "{name}", of which this format knows nothing; not read' in refusal(folder)


def test_a_scaling_factor_of_ones_does_nothing(write_sae: WriteSae, tmp_path: Path) -> None:
    def add(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        weights["scaling_factor"] = torch.ones(D_SAE)

    x = torch.randn(20, D_IN)
    found = load_dictionary(str(written(write_sae, tmp_path / "a", change=add))).encode(x)
    torch.testing.assert_close(found, load_dictionary(str(written(write_sae, tmp_path / "b"))).encode(x))


@pytest.mark.parametrize("architecture", ["skip_transcoder", "jumprelu_skip_transcoder"])
def test_the_skip_connection_is_kept(architecture: str, write_sae: WriteSae, tmp_path: Path) -> None:
    def widen(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        weights["W_dec"], weights["b_dec"] = torch.randn(D_SAE, 13), torch.randn(13)
        weights["W_skip"] = torch.arange(13.0 * D_IN).reshape(13, D_IN)

    sae = load_dictionary(str(written(write_sae, tmp_path, architecture, widen)))
    assert sae.W_skip is not None
    assert sae.W_skip.shape == (13, D_IN)

    def lose(cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        widen(cfg, weights)
        del weights["W_skip"]

    assert 'have no "W_skip"' in refusal(written(write_sae, tmp_path, architecture, lose))


def test_an_sae_writes_where_it_reads(write_sae: WriteSae, tmp_path: Path) -> None:
    def widen(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        weights["W_dec"], weights["b_dec"] = torch.randn(D_SAE, 13), torch.randn(13)

    assert '"W_dec" has shape (11, 13); the config says 11 x 8' in refusal(written(write_sae, tmp_path, change=widen))


@pytest.mark.parametrize(("value", "mode"), [(True, "none"), (False, "none"), (None, "none")])
def test_the_oldest_files_say_yes_or_no_to_normalisation(
    value: bool | None, mode: str, write_sae: WriteSae, tmp_path: Path
) -> None:
    def age(cfg: dict[str, Any], _weights: dict[str, Any]) -> None:
        cfg["normalize_activations"] = value

    assert load_dictionary(str(written(write_sae, tmp_path, change=age))).normalize == mode


@pytest.mark.parametrize("key", ["hook_head_index", "hook_point_head_index"])
def test_one_head_is_refused(key: str, write_sae: WriteSae, tmp_path: Path) -> None:
    def one(value: int | None) -> Change:
        def change(cfg: dict[str, Any], _weights: dict[str, Any]) -> None:
            cfg["metadata"][key] = value

        return change

    assert "trained on one attention head (hook_head_index = 0)" in refusal(
        written(write_sae, tmp_path / "a", change=one(0))
    )
    assert load_dictionary(str(written(write_sae, tmp_path / "b", change=one(None)))).d_in == D_IN


@pytest.mark.parametrize(
    ("metadata", "processing"),
    [
        ({}, None),
        ({"model_from_pretrained_kwargs": None}, None),
        ({"model_from_pretrained_kwargs": {}}, "raw"),
        ({"model_from_pretrained_kwargs": {"center_writing_weights": False}}, "raw"),
        ({"model_from_pretrained_kwargs": {"center_writing_weights": True}}, "folded"),
        ({"model_from_pretrained_kwargs": {"fold_ln": True, "center_writing_weights": True}}, "folded"),
        ({"model_from_pretrained_kwargs": {"fold_ln": True}}, "raw"),  # the residual stream stays what it is
        ({"model_class_name": "AutoModelForCausalLM", "model_from_pretrained_kwargs": {"dtype": "float32"}}, "raw"),
        (
            {"hook_name": "blocks.1.attn.hook_z", "model_from_pretrained_kwargs": {"center_writing_weights": True}},
            "raw",
        ),
        ({"hook_name": "blocks.1.attn.hook_z", "model_from_pretrained_kwargs": {"fold_value_biases": True}}, "folded"),
    ],
)
def test_what_it_was_trained_on(
    metadata: dict[str, Any], processing: str | None, write_sae: WriteSae, tmp_path: Path
) -> None:
    def change(cfg: dict[str, Any], _weights: dict[str, Any]) -> None:
        cfg["metadata"] |= metadata

    sae = load_dictionary(str(written(write_sae, tmp_path, change=change)))
    assert sae.processing == processing
    assert sae.config.get("processing") == processing

    def age(cfg: dict[str, Any], _weights: dict[str, Any]) -> None:  # before version 6: at the top level
        cfg |= cfg.pop("metadata") | metadata | {"activation_fn_str": "relu"}

    assert load_dictionary(str(written(write_sae, tmp_path, change=age))).processing == processing
