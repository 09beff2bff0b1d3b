"""SAEs of all heads: `encode` against the training script's forward pass, the hook point, every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.subject.fit import decode
from autointerp.subject.formats import load_dictionary

HEADS, D_HEAD, N = 3, 4, 20
D = HEADS * D_HEAD
NAME = "gpt2-small_L5_Hcat_z_lr1.20e-03_l11.00e+00_ds24576_bs4096_dc1.00e-06_rsanthropic_rie25000_nr4_v9"
SETTINGS = {"act_name": "blocks.5.attn.hook_z", "act_size": D, "dict_size": N, "head": "cat", "site": "z", "layer": 5}


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> torch.Tensor:
        return 0.4 * torch.randn(*shape, generator=generator)

    return {"W_enc": normal(D, N), "b_enc": normal(N), "W_dec": normal(N, D), "b_dec": normal(D)}


def heads(n: int = 50) -> torch.Tensor:
    """What passes `hook_z`: [n, heads, d_head]"""
    return torch.randn(n, HEADS, D_HEAD, generator=torch.Generator().manual_seed(3)) + 0.2


def write(folder: Path, name: str = NAME, **changed: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(weights(), folder / f"{name}.pt")
    (folder / f"{name}_cfg.json").write_text(json.dumps(SETTINGS | changed))
    return folder / f"{name}.pt"


def test_as_the_training_script_computes_it(tmp_path: Path) -> None:
    file = write(tmp_path)
    held = {name: value.double().numpy() for name, value in weights().items()}
    rows = [np.concatenate([token[head] for head in range(HEADS)]) for token in heads().double().numpy()]
    acts = np.maximum((np.stack(rows) - held["b_dec"]) @ held["W_enc"] + held["b_enc"], 0.0)
    assert 0.2 < (acts > 0).mean() < 0.8
    for path in (file, tmp_path):
        sae = load_dictionary(str(path))
        found = sae.encode(heads().flatten(1))
        np.testing.assert_allclose(found.numpy(), acts, rtol=0, atol=1e-5)
        rebuilt = acts @ held["W_dec"] + held["b_dec"]
        np.testing.assert_allclose(decode(sae, found, heads().flatten(1)).numpy(), rebuilt, rtol=1e-5, atol=1e-5)
        assert (sae.hook, sae.format, sae.kind, sae.processing) == ("blocks.5.attn.hook_z", "kissane", "sae", None)


def refusal(path: Path, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(path), **given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{path}"')
    return message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"head": 4}, "it was trained on one attention head (head = 4); not read"),
        ({"act_name": "z"}, "has act_name = 'z'; it must be a hook point, or give hook = ..."),
        ({"act_name": None}, "has act_name = None"),
        ({"act_size": D + 1}, f'"W_enc" has shape ({D}, {N}); the config says {D + 1} x {N}'),
        ({"dict_size": "20"}, "has dict_size = '20'; it must be an integer"),
        ({"activation": "topk"}, 'activation = "topk" is not read'),
    ],
)
def test_what_is_not_read(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path, **changed))


def test_a_folder_of_several_names_one(tmp_path: Path) -> None:
    files = [write(tmp_path, name) for name in ("L0_Hcat_z", "L1_Hcat_z")]
    assert f'holds 2 SAEs with a _cfg.json, and a dictionary is one of them: give path = "{files[0]}"' in refusal(
        tmp_path
    )
    assert load_dictionary(str(files[1])).n_features == N


def test_damaged_settings_are_a_line(tmp_path: Path) -> None:
    file = write(tmp_path)
    (tmp_path / f"{NAME}_cfg.json").write_text("[]")
    assert f"{NAME}_cfg.json does not hold a configuration" in refusal(file)
