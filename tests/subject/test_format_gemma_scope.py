"""Gemma Scope: `encode` against its definition written out, hooks from names, and every refusal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import load_dictionary

D, N = 8, 14
HOOK = "blocks.3.hook_resid_post"


def inputs(n: int = 40) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(3)) + 0.5


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)

    def normal(*shape: int) -> np.ndarray:
        return (0.3 * rng.standard_normal(shape)).astype(np.float32)

    return {
        "W_enc": normal(D, N),
        "b_enc": normal(N),
        "W_dec": normal(N, D),
        "b_dec": normal(D),
        "threshold": abs(normal(N)),
    }


def write(folder: Path, **changed: Any) -> Path:
    held = arrays() | changed
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "params.npz", **{name: value for name, value in held.items() if value is not None})
    return folder


def slow_encode(x: torch.Tensor, w: dict[str, np.ndarray]) -> np.ndarray:
    """The definition, one token and one feature at a time."""
    found = np.zeros((len(x), N))
    for row, token in enumerate(x.double().numpy()):
        for f in range(N):
            pre = sum(token[i] * float(w["W_enc"][i, f]) for i in range(D)) + float(w["b_enc"][f])
            found[row, f] = max(0.0, pre) if pre > w["threshold"][f] else 0.0
    return found


def check(sae: SparseAutoencoder) -> None:
    expected = slow_encode(inputs(), arrays())
    assert 0.02 < (expected > 0).mean() < 0.9, "the twin must see both firing and silence"
    found = sae.encode(inputs())
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.numpy() > 0, expected > 0)


def test_encode_is_the_definition(tmp_path: Path) -> None:
    sae = load_dictionary(str(write(tmp_path)), hook=HOOK)
    check(sae)
    assert (sae.d_in, sae.n_features, sae.format, sae.hook) == (D, N, "gemma_scope", HOOK)
    assert (sae.activation, sae.subtract_b_dec, sae.kind, sae.processing) == ("jumprelu", False, "sae", None)
    np.testing.assert_array_equal(sae.directions.numpy(), arrays()["W_dec"])


def test_a_negative_threshold_lets_no_negative_activation_through(tmp_path: Path) -> None:
    sae = load_dictionary(str(write(tmp_path, threshold=arrays()["threshold"] - 2)), hook=HOOK)
    assert (sae.encode(inputs()) >= 0).all()


def test_files_that_spell_the_names_otherwise(tmp_path: Path) -> None:
    held = arrays()
    folder = write(tmp_path, W_enc=None, W_dec=None, w_enc=held["W_enc"], w_dec=held["W_dec"].astype(np.float64))
    check(load_dictionary(str(folder), hook=HOOK))
    check(load_dictionary(str(folder / "params.npz"), hook=HOOK))


@pytest.mark.parametrize(
    ("folder", "hook"),
    [
        ("gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_22", "blocks.12.hook_resid_post"),
        ("gemma-scope-9b-it-res/layer_9/width_131k/average_l0_14", "blocks.9.hook_resid_post"),
        ("gemma-scope-2b-pt-mlp/layer_0/width_65k/average_l0_72", "blocks.0.hook_mlp_out"),
        ("gemma-scope-9b-pt-att/layer_41/width_16k/average_l0_12", "blocks.41.attn.hook_z"),
        (
            "models--google--gemma-scope-2b-pt-att/snapshots/0123abc/layer_5/width_16k/average_l0_71",
            "blocks.5.attn.hook_z",
        ),
    ],
)
def test_the_hook_is_in_the_names(folder: str, hook: str, tmp_path: Path) -> None:
    sae = load_dictionary(str(write(tmp_path / folder)))
    check(sae)
    assert (sae.hook, sae.kind, sae.hook_out) == (hook, "sae", None)
    assert sae.config["hook"] == hook


def test_transcoders(tmp_path: Path) -> None:
    folder = tmp_path / "gemma-scope-2b-pt-transcoders" / "layer_3" / "width_16k" / "average_l0_76"
    wide = np.ones((N, 5), dtype=np.float32)
    sae = load_dictionary(str(write(folder, W_dec=wide, b_dec=wide[0])))
    check(sae)
    assert (sae.hook, sae.hook_out) == ("blocks.3.ln2.hook_normalized", "blocks.3.hook_mlp_out")
    assert (sae.kind, sae.directions.shape) == ("transcoder", (N, 5))


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("layer_12/width_16k/average_l0_22", "do not tell the repository (gemma-scope-...-res, mlp or att); give hook"),
        ("gemma-scope-2b-pt-res/width_16k", "do not tell the layer (layer_12); give hook ="),
        ("gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6", "do not tell the layer"),
        ("gemma-scope-2b-pt-all/layer_12", "do not tell the repository"),
    ],
)
def test_names_that_tell_no_hook(folder: str, message: str, tmp_path: Path) -> None:
    written = write(tmp_path / folder)
    assert message in refusal(written, hook=None)
    check(load_dictionary(str(written), hook=HOOK))


def refusal(path: Path, hook: str | None = HOOK, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(path), hook=hook, **given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{path}"')
    return message


def spoiled(name: str, value: float) -> dict[str, np.ndarray]:
    array = arrays()[name]
    array.flat[-1] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threshold": None}, 'have no "threshold"; there are W_dec, W_enc, b_dec, b_enc'),
        ({"W_enc": None}, 'have no "W_enc"'),
        ({"W_enc": np.ones(3, dtype=np.float32)}, '"W_enc" has shape (3,); it must be a matrix'),
        ({"W_dec": np.ones((D, N), dtype=np.float32)}, '"W_dec" has shape (8, 14); the encoder says 14 x 8'),
        ({"b_enc": np.ones(3, dtype=np.float32)}, '"b_enc" has shape (3,); the encoder says 14'),
        ({"threshold": np.float32(0.1)}, '"threshold" has shape (); the encoder says 14'),
        ({"b_enc": np.arange(N)}, '"b_enc" holds int64, not plain floating-point weights'),
        ({"scaling_factor": np.full(N, 2.0)}, 'the weights hold "scaling_factor"'),
        ({"W_skip": np.ones((D, D))}, 'the weights hold "W_skip", of which this format knows nothing'),
        (spoiled("W_enc", math.nan), '"W_enc" holds NaN or infinite weights'),
        (spoiled("threshold", math.inf), '"threshold" holds NaN or infinite weights'),
    ],
)
def test_what_cannot_be_read_is_named(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path, **changed))


def test_a_scaling_factor_of_ones_does_nothing(tmp_path: Path) -> None:
    check(load_dictionary(str(write(tmp_path, scaling_factor=np.ones(N))), hook=HOOK))


def test_damaged_files(tmp_path: Path) -> None:
    file = write(tmp_path) / "params.npz"
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[200] ^= 255
    for data in (b"", b"no archive", whole[: len(whole) // 2], whole[:-1], bytes(flipped)):
        file.write_bytes(data)
        assert "params.npz" in refusal(tmp_path)
    with file.open("wb") as opened:
        np.save(opened, arrays()["W_enc"])
    assert "params.npz is one array" in refusal(tmp_path)


class Explosive:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("exploded"), "a pickle was loaded"))


def test_nothing_is_ever_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path / "gemma", b_dec=np.array([Explosive()], dtype=object))
    assert "nothing is unpickled" in refusal(folder)
    assert not Path("exploded").exists()
    with np.load(folder / "params.npz", allow_pickle=True) as held:
        _ = held["b_dec"]
    assert Path("exploded").exists(), "the file must have been one that explodes"
