"""OpenAI's sparse_autoencoder: `encode` against its definition written out, and every refusal."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import load_dictionary

D, N, K = 8, 14, 4
HOOK = "blocks.8.hook_resid_post"
State = dict[str, Any]


def inputs(n: int = 40) -> torch.Tensor:
    return 3 * torch.randn(n, D, generator=torch.Generator().manual_seed(3)) + 2


def state_of(activation: str) -> State:
    """What their `Autoencoder.state_dict` holds: weights, statistics of training, the activation by name."""
    generator = torch.Generator().manual_seed(5)

    def normal(*shape: int, scale: float = 0.1) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=generator)

    return OrderedDict(
        {
            "pre_bias": normal(D, scale=0.5),
            "latent_bias": normal(N),
            "stats_last_nonzero": torch.zeros(N, dtype=torch.long),
            "latents_activation_frequency": torch.ones(N, dtype=torch.float),
            "latents_mean_square": torch.zeros(N),
            "encoder.weight": normal(N, D),
            "decoder.weight": normal(D, N),
            "activation": activation,
            "activation_state_dict": OrderedDict({"k": K, "postact_fn": "ReLU"} if activation == "TopK" else {}),
        }
    )


def write(file: Path, activation: str = "TopK", change: Callable[[State], Any] | None = None) -> Path:
    state = state_of(activation)
    if change is not None:
        change(state)
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, file)
    return file


def slow_encode(activation: str, x: torch.Tensor) -> np.ndarray:
    """The definition, one token and one feature at a time."""
    w = {key: value.double().numpy() for key, value in state_of(activation).items() if isinstance(value, torch.Tensor)}
    found = np.zeros((len(x), N))
    for row, token in enumerate(x.double().tolist()):
        mean, scale = 0.0, 1.0
        if activation == "TopK":
            mean = sum(token) / D
            scale = math.sqrt(sum((value - mean) ** 2 for value in token) / (D - 1)) + 1e-5
        v = [(value - mean) / scale - w["pre_bias"][i] for i, value in enumerate(token)]
        pre = [sum(v[i] * w["encoder.weight"][f, i] for i in range(D)) + w["latent_bias"][f] for f in range(N)]
        kept = sorted(range(N), key=lambda f: -pre[f])[:K] if activation == "TopK" else range(N)
        for f in kept:
            found[row, f] = max(0.0, pre[f])
    return found


def check(sae: SparseAutoencoder, activation: str) -> None:
    expected = slow_encode(activation, inputs())
    assert 0.02 < (expected > 0).mean() < 0.9, "the twin must see both firing and silence"
    found = sae.encode(inputs())
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.numpy() > 0, expected > 0)


@pytest.mark.parametrize("activation", ["TopK", "ReLU"])
def test_encode_is_the_definition(activation: str, tmp_path: Path) -> None:
    sae = load_dictionary(str(write(tmp_path / "8.pt", activation)), hook=HOOK)
    check(sae, activation)
    assert (sae.d_in, sae.n_features, sae.format, sae.hook, sae.kind) == (D, N, "openai", HOOK, "sae")
    assert sae.activation == ("topk (k = 4)" if activation == "TopK" else "relu")
    torch.testing.assert_close(sae.directions, state_of(activation)["decoder.weight"].T)
    assert sae.config == {"activation": activation, "k": K if activation == "TopK" else None}
    assert sae.processing is None


def test_top_k_sees_each_token_centred_and_of_unit_deviation(tmp_path: Path) -> None:
    sae = load_dictionary(str(write(tmp_path / "8.pt")), hook=HOOK)
    torch.testing.assert_close(sae.encode(7 * inputs() + 3), sae.encode(inputs()), rtol=0, atol=1e-4)
    sae = load_dictionary(str(write(tmp_path / "8.pt", "ReLU")), hook=HOOK)
    assert not torch.allclose(sae.encode(7 * inputs() + 3), sae.encode(inputs()), atol=0.1)


def test_the_oldest_files_name_no_activation(tmp_path: Path) -> None:
    def age(state: State) -> None:
        del state["activation"], state["activation_state_dict"]

    check(load_dictionary(str(write(tmp_path / "8.pt", "ReLU", age)), hook=HOOK), "ReLU")


def test_a_folder_with_one_file(tmp_path: Path) -> None:
    write(tmp_path / "v5" / "8.pt")
    check(load_dictionary(str(tmp_path / "v5"), hook=HOOK), "TopK")
    write(tmp_path / "v5" / "9.pt")
    assert "has 2 .pt files (8.pt, 9.pt); give the path of one" in refusal(tmp_path / "v5")
    check(load_dictionary(str(tmp_path / "v5" / "9.pt"), hook=HOOK), "TopK")
    (tmp_path / "empty").mkdir()
    assert "has 0 .pt files (none); give the path of one" in refusal(tmp_path / "empty", format="openai")


def refusal(path: Path, hook: str | None = HOOK, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(path), hook=hook, **given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{path}"')
    return message


def test_the_hook_must_be_given(tmp_path: Path) -> None:
    assert "names no hook; give hook =" in refusal(write(tmp_path / "8.pt"), hook=None)


def last(name: str, value: float) -> Callable[[State], Any]:
    def change(state: State) -> None:
        state[name].view(-1)[-1] = value

    return change


@pytest.mark.parametrize(
    ("activation", "change", "message"),
    [
        ("Identity", None, "activation = 'Identity' is not read; ReLU and TopK are"),
        ("GELU", None, "activation = 'GELU' is not read"),
        ("TopK", lambda s: s.update(activation=3), "activation = 3 is not read"),
        ("TopK", lambda s: s.pop("activation_state_dict"), "activation_state_dict has k = None; it must be an integer"),
        ("TopK", lambda s: s.update(activation_state_dict=[1]), "activation_state_dict has k = None"),
        ("TopK", lambda s: s["activation_state_dict"].update(k=2.5), "activation_state_dict has k = 2.5"),
        ("TopK", lambda s: s["activation_state_dict"].update(k=15), "k = 15 does not fit a TopK of width 14"),
        ("TopK", lambda s: s["activation_state_dict"].update(k=0), "k = 0 does not fit"),
        ("TopK", lambda s: s["activation_state_dict"].update(postact_fn="Identity"), "postact_fn = 'Identity' is"),
        ("ReLU", lambda s: s.pop("pre_bias"), 'have no "pre_bias"; there are decoder.weight, encoder.weight'),
        ("ReLU", lambda s: s.pop("decoder.weight"), 'have no "decoder.weight"'),
        ("ReLU", lambda s: s.update(scale=torch.ones(N)), 'the weights hold "scale", of which this'),
        ("ReLU", lambda s: s.update({"decoder.weight": torch.ones(N, D)}), '"decoder.weight" has shape (14, 8); the'),
        ("ReLU", lambda s: s.update(latent_bias=torch.ones(3)), '"latent_bias" has shape (3,); the encoder says 14'),
        ("ReLU", lambda s: s.update(pre_bias="x"), '"pre_bias" is a str, not a tensor'),
        ("ReLU", last("encoder.weight", math.nan), '"encoder.weight" holds NaN or infinite weights'),
        ("TopK", last("pre_bias", -math.inf), '"pre_bias" holds NaN or infinite weights'),
    ],
)
def test_what_cannot_be_read_is_named(
    activation: str, change: Callable[[State], Any] | None, message: str, tmp_path: Path
) -> None:
    assert message in refusal(write(tmp_path / "8.pt", activation, change))


def test_damaged_files(tmp_path: Path) -> None:
    file = write(tmp_path / "8.pt")
    whole = file.read_bytes()
    for data in (b"", b"no checkpoint", whole[: len(whole) // 2], whole[:-1]):
        file.write_bytes(data)
        assert "8.pt" in refusal(file)


class Explosive:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("exploded"), "a pickle was loaded"))


def test_nothing_is_ever_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "8.pt", change=lambda state: state.update(activation=Explosive()))
    assert "nothing is unpickled" in refusal(file)
    assert not Path("exploded").exists()
    torch.load(file, weights_only=False)
    assert Path("exploded").exists(), "the file must have been one that explodes"
