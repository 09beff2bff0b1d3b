"""dictionary_learning: each class's `encode` against its definition written out, its hooks, and every refusal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import load_dictionary

D, N, K = 8, 12, 3
CLASSES = (
    "AutoEncoder",
    "AutoEncoderNew",
    "GatedAutoEncoder",
    "AutoEncoderTopK",
    "BatchTopKSAE",
    "MatryoshkaBatchTopKSAE",
    "JumpReluAutoEncoder",
)
State = dict[str, Any]
Change = Callable[[dict[str, Any], State], None]


def inputs(n: int = 40) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(2)) + 0.3


def state_of(name: str) -> State:
    """Random weights under the names and in the shapes of the class."""
    generator = torch.Generator().manual_seed(len(name))

    def normal(*shape: int, scale: float = 0.3) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=generator)

    if name in ("MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder"):
        state = {"W_enc": normal(D, N), "b_enc": normal(N), "W_dec": normal(N, D), "b_dec": normal(D)}
        if name == "JumpReluAutoEncoder":
            return state | {"threshold": normal(N).abs()}
        return state | {
            "k": torch.tensor(K, dtype=torch.int),
            "threshold": torch.tensor(0.2),
            "group_sizes": torch.tensor([4, 8]),
        }
    state = {"encoder.weight": normal(N, D), "decoder.weight": normal(D, N)}
    if name == "GatedAutoEncoder":
        return state | {"decoder_bias": normal(D), "r_mag": normal(N), "gate_bias": normal(N), "mag_bias": normal(N)}
    state["encoder.bias"] = normal(N)
    if name == "AutoEncoder":
        return state | {"bias": normal(D)}
    if name == "AutoEncoderNew":
        return state | {"decoder.bias": normal(D)}
    threshold = torch.tensor(-1.0 if name == "AutoEncoderTopK" else 0.2)
    return state | {"b_dec": normal(D), "k": torch.tensor(K, dtype=torch.int), "threshold": threshold}


def write(folder: Path, name: str, change: Change | None = None) -> Path:
    """What `trainSAE` leaves: config.json with the trainer's and the buffer's settings, ae.pt with the state dict."""
    config: dict[str, Any] = {
        "trainer": {
            "dict_class": name,
            "trainer_class": "Trainer",
            "activation_dim": D,
            "dict_size": N,
            "lr": 1e-3,
            "device": "cuda:0",
            "layer": 1,
            "lm_name": "EleutherAI/pythia-70m",
            "submodule_name": "resid_post_layer_1",
        },
        "buffer": {"d_submodule": D, "io": "out", "n_ctxs": 3000, "ctx_len": 128, "device": "cuda:0"},
    }
    if "TopK" in name:
        config["trainer"]["k"] = K
    state = state_of(name)
    if change is not None:
        change(config, state)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=4))
    torch.save(state, folder / "ae.pt")
    return folder


def slow_encode(name: str, state: State, x: torch.Tensor) -> np.ndarray:
    """The classes' definitions, one token and one feature at a time."""
    w = {key: value.double().numpy() for key, value in state.items() if isinstance(value, torch.Tensor)}
    columns = w["W_enc"].T if "W_enc" in w else w["encoder.weight"]  # [N, D]
    centre = {"AutoEncoder": "bias", "GatedAutoEncoder": "decoder_bias"}.get(name, "b_dec")
    found = np.zeros((len(x), N))
    for row, token in enumerate(x.double().numpy()):
        v = token if name in ("AutoEncoderNew", "JumpReluAutoEncoder") else token - w[centre]
        projected = [float(sum(v[i] * columns[f, i] for i in range(D))) for f in range(N)]
        if name == "GatedAutoEncoder":
            for f in range(N):
                if projected[f] + w["gate_bias"][f] > 0:
                    found[row, f] = max(0.0, math.exp(w["r_mag"][f]) * projected[f] + w["mag_bias"][f])
            continue
        bias = w["b_enc"] if "b_enc" in w else w["encoder.bias"]
        acts = [max(0.0, projected[f] + bias[f]) for f in range(N)]
        if name == "AutoEncoderTopK":
            largest = sorted(range(N), key=lambda f: -acts[f])[:K]
            acts = [acts[f] if f in largest else 0.0 for f in range(N)]
        if "threshold" in w and name != "AutoEncoderTopK":
            threshold = np.broadcast_to(w["threshold"], (N,))
            acts = [acts[f] if acts[f] > threshold[f] else 0.0 for f in range(N)]
        found[row] = acts
    return found


def check(sae: SparseAutoencoder, expected: np.ndarray) -> None:
    assert 0.02 < (expected > 0).mean() < 0.98, "the twin must see both firing and silence"
    found = sae.encode(inputs())
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.numpy() > 0, expected > 0)


@pytest.mark.parametrize("name", CLASSES)
def test_encode_is_the_definition(name: str, tmp_path: Path) -> None:
    sae = load_dictionary(str(write(tmp_path, name)))
    state = state_of(name)
    check(sae, slow_encode(name, state, inputs()))
    assert (sae.d_in, sae.n_features, sae.format, sae.kind) == (D, N, "dictionary_learning", "sae")
    decoder = state["W_dec"] if "W_dec" in state else state["decoder.weight"].T
    torch.testing.assert_close(sae.directions, decoder)
    assert sae.config["dict_class"] == name
    json.dumps(sae.config)


@pytest.mark.parametrize("name", CLASSES)
def test_half_precision_is_read_as_it_is(name: str, tmp_path: Path) -> None:
    def halve(_config: dict[str, Any], state: State) -> None:
        for key, value in state.items():
            state[key] = value.to(torch.bfloat16) if value.is_floating_point() and value.ndim else value

    halved = state_of(name)
    halve({}, halved)
    check(load_dictionary(str(write(tmp_path, name, halve))), slow_encode(name, halved, inputs()))


@pytest.mark.parametrize("name", ["AutoEncoder", "AutoEncoderNew", "GatedAutoEncoder", "MatryoshkaBatchTopKSAE"])
def test_a_class_that_only_its_weights_tell(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, name, lambda config, _state: config["trainer"].pop("dict_class") and None)
    check(load_dictionary(str(folder)), slow_encode(name, state_of(name), inputs()))
    (folder / "config.json").unlink()
    sae = load_dictionary(str(folder / "ae.pt"), hook="blocks.0.hook_resid_post")
    check(sae, slow_encode(name, state_of(name), inputs()))
    assert sae.processing is None


def test_a_checkpoint_of_a_training_run(tmp_path: Path) -> None:
    folder = write(tmp_path, "AutoEncoderTopK")
    (folder / "checkpoints").mkdir()
    (folder / "ae.pt").rename(folder / "checkpoints" / "ae_500.pt")
    sae = load_dictionary(str(folder / "checkpoints" / "ae_500.pt"))
    check(sae, slow_encode("AutoEncoderTopK", state_of("AutoEncoderTopK"), inputs()))
    assert sae.activation == "topk (k = 3)"


def test_a_top_k_from_before_the_buffers(tmp_path: Path) -> None:
    """The first versions kept neither k nor a threshold among the weights."""

    def age(_config: dict[str, Any], state: State) -> None:
        del state["k"], state["threshold"]

    sae = load_dictionary(str(write(tmp_path, "AutoEncoderTopK", age)))
    check(sae, slow_encode("AutoEncoderTopK", state_of("AutoEncoderTopK"), inputs()))


# --- the hook ---------------------------------------------------------------------------------------


def trained_at(**trainer: Any) -> Change:
    io = trainer.pop("io", "out")

    def change(config: dict[str, Any], _state: State) -> None:
        config["trainer"] |= trainer
        config["buffer"]["io"] = io

    return change


@pytest.mark.parametrize(
    ("name", "layer", "io", "hook"),
    [
        ("resid_post_layer_1", 1, "out", "blocks.1.hook_resid_post"),
        ("resid_pre_layer_12", 12, "out", "blocks.12.hook_resid_pre"),
        ("mlp_out_layer_3", 3, "out", "blocks.3.mlp.hook_out"),
        ("attn_out_layer3", 3, "out", "blocks.3.attn.hook_out"),
        ("resid_post", 5, "out", "blocks.5.hook_resid_post"),
        ("mlp_out", 5, "out", "blocks.5.mlp.hook_out"),
        ("blocks.4.resid_post", 4, "out", "blocks.4.hook_resid_post"),
        ("blocks.4.hook_resid_mid", 4, "out", "blocks.4.hook_resid_mid"),
        ("gpt_neox.layers.2", 2, "out", "blocks.2.hook_resid_post"),
        ("model.layers[7]", 7, "out", "blocks.7.hook_resid_post"),
        ("model.layers.7", 7, "in", "blocks.7.hook_resid_pre"),
        ("transformer.h.0.mlp", 0, "out", "blocks.0.mlp.hook_out"),
        ("transformer.h.0.mlp", 0, "in", "blocks.0.mlp.hook_in"),
        ("gpt_neox.layers.2.attention", 2, "out", "blocks.2.attn.hook_out"),
        ("model.layers.9.self_attn", None, "out", "blocks.9.attn.hook_out"),
        ("model.embed_tokens", None, "out", "hook_embed"),
    ],
)
def test_the_hook_is_the_submodule(name: str, layer: int | None, io: str, hook: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "AutoEncoder", trained_at(submodule_name=name, layer=layer, io=io))
    sae = load_dictionary(str(folder))
    assert (sae.hook, sae.kind, sae.hook_out) == (hook, "sae", None)
    assert load_dictionary(str(folder), hook="blocks.0.hook_mlp_out").hook == "blocks.0.hook_mlp_out"


def test_a_transcoder_reads_the_input_and_writes_the_output(tmp_path: Path) -> None:
    change = trained_at(submodule_name="gpt_neox.layers.2.mlp", layer=2, io="in_and_out")
    sae = load_dictionary(str(write(tmp_path, "AutoEncoder", change)))
    assert (sae.hook, sae.hook_out, sae.kind) == ("blocks.2.mlp.hook_in", "blocks.2.mlp.hook_out", "transcoder")


def test_a_folder_names_the_submodule_where_the_config_does_not(tmp_path: Path) -> None:
    change = trained_at(submodule_name=None, layer=None)
    sae = load_dictionary(str(write(tmp_path / "mlp_out_layer3" / "10_32768", "AutoEncoder", change)))
    assert sae.hook == "blocks.3.mlp.hook_out"


@pytest.mark.parametrize(
    ("name", "layer", "io", "message"),
    [
        (None, 3, "out", "its config names no submodule; give hook ="),
        ("", 3, "out", "its config names no submodule; give hook ="),
        ("resid_post", None, "out", 'submodule_name = "resid_post" (out) is no hook point we know; give hook ='),
        (
            "transformer.h.3.mlp.dropout",
            3,
            "out",
            'submodule_name = "transformer.h.3.mlp.dropout" (out) is no hook point',
        ),
        ("resid_post_layer_3", 3, "in", 'submodule_name = "resid_post_layer_3" (in) is no hook point we know'),
        ("resid_post_layer_3", 4, "out", 'submodule_name = "resid_post_layer_3" and layer = 4 do not agree; give hook'),
    ],
)
def test_a_hook_that_is_not_told_must_be_given(
    name: str | None, layer: int | None, io: str, message: str, tmp_path: Path
) -> None:
    folder = write(tmp_path, "AutoEncoder", trained_at(submodule_name=name, layer=layer, io=io))
    assert message in refusal(folder)
    assert load_dictionary(str(folder), hook="blocks.2.hook_resid_post").hook == "blocks.2.hook_resid_post"


def test_what_the_library_s_own_buffer_says_of_the_subject(tmp_path: Path) -> None:
    sae = load_dictionary(str(write(tmp_path, "AutoEncoder")))
    assert (sae.processing, sae.config["processing"]) == ("raw", "raw")
    sae = load_dictionary(str(write(tmp_path, "AutoEncoder", lambda config, _state: config.pop("buffer") and None)))
    assert sae.processing is None
    assert "processing" not in sae.config


# --- refusals ---------------------------------------------------------------------------------------


def refusal(folder: Path, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(folder), **given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{folder}"')
    return message


def trainer(**values: Any) -> Change:
    return lambda config, _state: config["trainer"].update(values)


def weight(name: str, value: Any) -> Change:
    def change(_config: dict[str, Any], state: State) -> None:
        if value is None:
            del state[name]
        elif isinstance(value, float):
            state[name].view(-1)[-1] = value
        else:
            state[name] = value

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("AutoEncoder", trainer(dict_class="AutoEncodr"), 'dict_class "AutoEncodr" is not read; the nearest is "AutoE'),
        ("AutoEncoder", trainer(dict_class="CrossCoder"), 'dict_class "CrossCoder" is not read'),
        ("AutoEncoder", trainer(dict_class="GatedAutoEncoder"), 'have no "decoder_bias"; there are bias, decoder.weig'),
        ("AutoEncoder", trainer(activation_dim=9), "config.json has activation_dim = 9, but the weights say 8"),
        ("AutoEncoder", trainer(dict_size=13), "config.json has dict_size = 13, but the weights say 12"),
        ("AutoEncoder", lambda config, _state: config.pop("trainer") and None, "config.json has no trainer"),
        ("AutoEncoder", weight("bias", None), 'no "bias"; there are decoder.weight, encoder.bias, encoder.weight'),
        ("AutoEncoder", weight("encoder.weight", None), 'have no "encoder.weight"'),
        ("AutoEncoder", weight("scale", torch.ones(N)), 'the weights hold "scale", of which this format knows nothing'),
        ("AutoEncoder", weight("decoder.weight", torch.ones(N, D)), '"decoder.weight" has shape (12, 8); the enc'),
        ("AutoEncoder", weight("encoder.bias", torch.ones(N + 1)), '"encoder.bias" has shape (13,); the encod'),
        ("AutoEncoder", weight("encoder.weight", torch.ones(N)), '"encoder.weight" has shape (12,); it must be'),
        ("AutoEncoder", weight("encoder.weight", torch.ones(0, D)), '"encoder.weight" has shape (0, 8); it must be a'),
        ("AutoEncoder", weight("bias", [1.0]), '"bias" is a list, not a tensor'),
        ("AutoEncoder", weight("bias", torch.ones(D, dtype=torch.int64)), '"bias" holds torch.int64, not plain'),
        ("AutoEncoder", weight("bias", torch.ones(D).to_sparse()), '"bias" holds torch.float32, not plain floating'),
        ("AutoEncoder", weight("encoder.weight", math.nan), '"encoder.weight" holds NaN or infinite weights'),
        ("AutoEncoder", weight("decoder.weight", math.inf), '"decoder.weight" holds NaN or infinite weights'),
        ("GatedAutoEncoder", weight("r_mag", -math.inf), '"r_mag" holds NaN or infinite weights'),
        ("GatedAutoEncoder", weight("gate_bias", None), 'have no "gate_bias"'),
        ("AutoEncoderTopK", trainer(k=4), "config.json has k = 4, but the weights say 3"),
        ("AutoEncoderTopK", trainer(k="3"), "config.json has k = '3'; it must be an integer"),
        ("AutoEncoderTopK", weight("k", torch.tensor(0.5)), '"k" is not a whole number'),
        ("BatchTopKSAE", weight("threshold", None), 'a BatchTopK without "threshold": what it fires on depends on the'),
        ("BatchTopKSAE", weight("threshold", torch.tensor(-1.0)), "its threshold is -1: it was saved before training"),
        ("BatchTopKSAE", weight("threshold", torch.tensor(math.nan)), '"threshold" holds NaN'),
        ("BatchTopKSAE", weight("threshold", torch.ones(N)), '"threshold" has shape (12,); the encoder says one'),
        ("MatryoshkaBatchTopKSAE", weight("threshold", torch.tensor(-1.0)), "its threshold is -1"),
        ("MatryoshkaBatchTopKSAE", weight("group_sizes", torch.tensor([4, 9])), '"group_sizes" sum to 13; the encoder'),
        ("JumpReluAutoEncoder", weight("threshold", torch.tensor(0.1)), '"threshold" has shape (); the encoder'),
    ],
)
def test_what_cannot_be_read_is_named(name: str, change: Change, message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path, name, change))


def test_k_that_nobody_says_or_does_not_fit(tmp_path: Path) -> None:
    def forget(config: dict[str, Any], state: State) -> None:
        del config["trainer"]["k"], state["k"]

    def enlarge(config: dict[str, Any], state: State) -> None:
        config["trainer"]["k"], state["k"] = N + 1, torch.tensor(N + 1)

    assert "how many features fire (k)" in refusal(write(tmp_path, "AutoEncoderTopK", forget))
    assert "k = 13 does not fit a TopK of width 12" in refusal(write(tmp_path, "AutoEncoderTopK", enlarge))


@pytest.mark.parametrize("name", ["AutoEncoderTopK", "BatchTopKSAE", "JumpReluAutoEncoder"])
def test_weights_that_fit_several_classes_need_a_config(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, name)
    (folder / "config.json").unlink()
    assert "no config.json that names its dict_class" in refusal(folder, hook="blocks.1.hook_resid_post")


@pytest.mark.parametrize("text", ["{", "[1]", "null", '"x"', "\xff", '{"trainer": 3}', '{"trainer": {}, "buffer": 2}'])
def test_a_config_that_is_none(text: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "AutoEncoderTopK")
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    assert "config.json" in refusal(folder)


def test_damaged_files(tmp_path: Path) -> None:
    folder = write(tmp_path, "AutoEncoder")
    whole = (folder / "ae.pt").read_bytes()
    for data in (b"", b"no checkpoint", whole[:40], whole[: len(whole) // 2], whole[:-1]):
        (folder / "ae.pt").write_bytes(data)
        assert "ae.pt" in refusal(folder)
    for held in ([1], torch.ones(3), {1: torch.ones(3)}):
        torch.save(held, folder / "ae.pt")
        assert "ae.pt does not hold a state dict" in refusal(folder)


class Explosive:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("exploded"), "a pickle was loaded"))


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_is_ever_unpickled(legacy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path / "ae", "AutoEncoder")
    state = state_of("AutoEncoder") | {"bias": Explosive()}
    torch.save(state, folder / "ae.pt", _use_new_zipfile_serialization=not legacy)
    assert "nothing is unpickled" in refusal(folder)
    torch.save(torch.nn.Linear(D, N), folder / "ae.pt", _use_new_zipfile_serialization=not legacy)
    assert "nothing is unpickled" in refusal(folder)
    assert not Path("exploded").exists()
    torch.load(folder / "ae.pt", weights_only=False)
    torch.save(state, folder / "ae.pt")
    torch.load(folder / "ae.pt", weights_only=False)
    assert Path("exploded").exists(), "the file must have been one that explodes"
