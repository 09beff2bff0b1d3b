"""Qwen-Scope and bare state dicts: files without settings, of which a name or the run file says the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.config.loading import parse_run
from autointerp.errors import ConfigError, InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import load_dictionary

D, N, K = 8, 14, 4
HOOK = "blocks.19.hook_resid_post"
QWEN = "SAE-Res-Qwen3-1.7B-Base-W32K-L0_4"


def inputs(n: int = 40) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(3)) + 0.5


def normal(seed: int, *shape: int) -> torch.Tensor:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parts() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """W_enc [F, d], b_enc [F], W_dec [d, F], b_dec [d], as the files hold them."""
    return normal(0, N, D), normal(1, N), normal(2, D, N), normal(3, D)


def check(sae: SparseAutoencoder, k: int | None) -> None:
    """The definition, one token and one feature at a time."""
    w_enc, b_enc = (part.double().numpy() for part in parts()[:2])
    expected = np.zeros((len(inputs()), N))
    for row, token in enumerate(inputs().double().numpy()):
        pre = [sum(token[i] * w_enc[f, i] for i in range(D)) + b_enc[f] for f in range(N)]
        kept = sorted(range(N), key=lambda f, pre=pre: -pre[f])[: N if k is None else k]  # type: ignore[misc]
        expected[row, kept] = [max(0.0, pre[f]) for f in kept]
    assert 0.02 < (expected > 0).mean() < 0.9
    np.testing.assert_allclose(sae.encode(inputs()).numpy(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(sae.directions, parts()[2].T.contiguous())
    assert not sae.subtract_b_dec


def write_qwen(folder: Path, layers: tuple[int, ...] = (0, 11)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for layer in layers:
        torch.save(
            dict(zip(("W_enc", "b_enc", "W_dec", "b_dec"), parts(), strict=True)), folder / f"layer{layer}.sae.pt"
        )
    return folder


def write_bare(file: Path, names: tuple[str, str] = ("encoder_linear", "decoder_linear"), **more: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    w_enc, b_enc, w_dec, b_dec = parts()
    encoder, decoder = names
    held = {f"{encoder}.weight": w_enc, f"{encoder}.bias": b_enc, f"{decoder}.weight": w_dec, f"{decoder}.bias": b_dec}
    torch.save(held | more, file)
    return file


def refusal(path: Path, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(path), **given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{path}"')
    return message


# --- Qwen-Scope -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [QWEN, f"models--Qwen--{QWEN}/snapshots/0123abc"])
def test_qwen_scope(place: str, tmp_path: Path) -> None:
    sae = load_dictionary(str(write_qwen(tmp_path / place) / "layer11.sae.pt"))
    check(sae, K)
    assert (sae.hook, sae.activation, sae.processing) == ("blocks.11.hook_resid_post", "topk (k = 4)", "raw")
    assert sae.config == {"model_name": "Qwen3-1.7B-Base", "layer": 11, "k": K, "processing": "raw"}


def test_k_of_a_folder_of_another_name_is_the_user_s(tmp_path: Path) -> None:
    file = write_qwen(tmp_path / "mine") / "layer0.sae.pt"
    assert "which says k; give k = ... in the run file" in refusal(file)
    check(load_dictionary(str(file), k=K), K)
    named = write_qwen(tmp_path / QWEN) / "layer0.sae.pt"
    assert "the run file says k = 5, but the repository's name says 4" in refusal(named, k=5)
    assert "holds 2 SAEs, one for each layer" in refusal(named.parent)
    check(load_dictionary(str(write_qwen(tmp_path / "one" / QWEN, (3,)))), K)


# --- bare state dicts -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Llama-3.1-8B-Instruct-SAE-l19.pth", "any.pt"])
@pytest.mark.parametrize("names", [("encoder_linear", "decoder_linear"), ("encoder", "decoder")])
@pytest.mark.parametrize("k", [None, K])
def test_a_bare_state_dict(name: str, names: tuple[str, str], k: int | None, tmp_path: Path) -> None:
    file = write_bare(tmp_path / name, names)
    for path in (file, file.parent):
        sae = load_dictionary(str(path), hook=HOOK, activation="relu" if k is None else "topk", k=k)
        check(sae, k)
        assert (sae.format, sae.hook, sae.processing) == ("state_dict", HOOK, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "a file of this format names no hook; give hook"),
        ({"hook": HOOK}, 'does not say what its values go through; give activation = "relu", or'),
        ({"hook": HOOK, "activation": "topk"}, 'activation = "topk" and k = None: only topk has a k'),
        ({"hook": HOOK, "activation": "relu", "k": 3}, 'activation = "relu" and k = 3: only topk has a k'),
        ({"hook": HOOK, "activation": "topk", "k": 99}, "k = 99 does not fit a TopK of width 14"),
        ({"hook": HOOK, "activation": "gelu"}, 'activation = "gelu" is not read'),
    ],
)
def test_what_the_user_must_say(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(write_bare(tmp_path / "a.pth"), **given)


def test_a_weight_that_nobody_knows(tmp_path: Path) -> None:
    file = write_bare(tmp_path / "a.pth", threshold=torch.ones(N))
    said = refusal(file, hook=HOOK, activation="relu", format="state_dict")
    assert 'the weights hold "threshold", of which this format knows nothing' in said


@pytest.mark.parametrize("wrapper", ["", "state_dict", "model_state_dict", "sae"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.sae."])
def test_weights_as_training_scripts_save_them(wrapper: str, prefix: str, tmp_path: Path) -> None:
    def again(file: Path) -> None:
        held = {f"{prefix}{name}": tensor for name, tensor in torch.load(file, weights_only=True).items()}
        torch.save({wrapper: held, "epoch": 3, "optimizer": {"lr": 0.1}} if wrapper else held, file)

    bare, qwen = write_bare(tmp_path / "a.pth"), write_qwen(tmp_path / QWEN, (3,)) / "layer3.sae.pt"
    again(bare)
    again(qwen)
    for path in (bare, bare.parent):
        check(load_dictionary(str(path), hook=HOOK, activation="topk", k=K), K)
    check(load_dictionary(str(qwen)), K)


def test_layers_without_a_bias(tmp_path: Path) -> None:
    file = write_bare(tmp_path / "a.pth", ("encoder", "decoder"))
    held = torch.load(file, weights_only=True)
    torch.save({name: tensor for name, tensor in held.items() if name != "decoder.bias"}, file)
    sae = load_dictionary(str(file), hook=HOOK, activation="topk", k=K)
    check(sae, K)
    assert not sae.b_dec.any()
    torch.save({name: tensor for name, tensor in held.items() if not name.endswith("bias")}, file)
    w_enc = parts()[0]
    sae = load_dictionary(str(file), hook=HOOK, activation="relu")
    torch.testing.assert_close(sae.encode(inputs()), torch.relu(inputs() @ w_enc.T))


class Explosive:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("exploded"), "a pickle was loaded"))


@pytest.mark.parametrize("format", ["state_dict", "qwen_scope"])
def test_nothing_is_ever_unpickled(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ("layer0.sae.pt" if format == "qwen_scope" else "a.pth")
    torch.save({"W_enc": Explosive()}, file)
    given = {"k": K} if format == "qwen_scope" else {"activation": "relu"}
    assert "nothing is unpickled" in refusal(file, hook=HOOK, format=format, **given)
    assert not Path("exploded").exists()
    torch.load(file, weights_only=False)
    assert Path("exploded").exists(), "the file must have been one that explodes"


# --- what the run file says -------------------------------------------------------------------------


def test_files_that_say_it_themselves(tmp_path: Path, write_sae: Any) -> None:
    folder = write_sae(tmp_path / "sae")
    said = refusal(folder, activation="relu")
    assert "activation = 'relu': files of the format \"saelens\" say it themselves; leave activation out" in said
    assert 'k = 3: files of the format "saelens" say it themselves' in refusal(folder, k=3)
    assert "leave activation out" in refusal(write_qwen(tmp_path / "q") / "layer0.sae.pt", activation="topk", k=K)


@pytest.mark.parametrize("value", ["false", "yes", 2, [], 0.5])
def test_a_yes_or_no_that_is_none(value: Any, tmp_path: Path, write_sae: Any) -> None:
    """The text "false" would pass for a yes, and the bias would be taken off."""
    folder = write_sae(tmp_path / "sae", apply_b_dec_to_input=value)
    assert f"cfg.json has apply_b_dec_to_input = {value!r}; it must be true or false" in refusal(folder)


def test_in_a_run_file() -> None:
    def run(**entry: Any) -> Any:
        source = {"source": "bundled:corpus"}
        return parse_run(
            {"name": "r", "subject": {"model": "m"}, "tokens": source, "dictionary": [{"name": "d", **entry}]}
        )

    [entry] = run(path="a.pth", hook=HOOK, activation="topk", k=8).dictionary
    assert (entry.activation, entry.k) == ("topk", 8)
    with pytest.raises(ConfigError, match="activation"):
        run(path="a.pth", activation="gelu")
    with pytest.raises(ConfigError, match="is a baseline: k is for a dictionary with a path"):
        run(kind="neurons", hook=HOOK, k=8)
