"""The subject: activations against Hugging Face's own, what is run and what is not, tokens as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.subject.activations import INNER, iterate_activations
from autointerp.subject.loading import load_subject
from autointerp.subject.model import Subject
from autointerp.subject.plain import share_weights
from autointerp.subject.tokens import TokenFile
from autointerp.subject.vocabulary import piece_text

RTOL, ATOL = 1e-4, 1e-5


def about(name: str) -> Callable[[str], str]:
    """Puts a name before what a failed comparison says."""
    return lambda text: f"{name}: {text}"


@pytest.fixture(scope="module")
def ids(token_array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(token_array[:7].astype(np.int64))


@pytest.fixture(scope="module")
def reference(tiny_model: Path, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """What Hugging Face's model, loaded anew, has at each hook point: by hidden states and forward hooks."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation="eager").eval()
    found: dict[str, torch.Tensor] = {}
    for layer, block in enumerate(model.transformer.h):
        name = f"blocks.{layer}"
        block.attn.register_forward_hook(lambda _m, _i, out, name=name: found.update({f"{name}.hook_attn_out": out[0]}))
        block.mlp.register_forward_hook(lambda _m, _i, out, name=name: found.update({f"{name}.hook_mlp_out": out}))
        block.mlp.act.register_forward_hook(lambda _m, _i, out, name=name: found.update({f"{name}.mlp.hook_post": out}))
        block.ln_2.register_forward_hook(
            lambda _m, inputs, _o, name=name: found.update({f"{name}.hook_resid_mid": inputs[0]})
        )
        block.attn.c_proj.register_forward_hook(
            lambda _m, inputs, _o, name=name: found.update({f"{name}.attn.hook_z": inputs[0]})
        )
        block.register_forward_hook(
            lambda _m, _i, out, name=name: found.update(
                {f"{name}.hook_resid_post": out[0] if isinstance(out, tuple) else out}
            )
        )
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states
    found |= {f"blocks.{layer}.hook_resid_pre": states[layer] for layer in range(3)}
    found["hook_embed"] = model.transformer.wte.weight[ids].detach()
    return found


def test_activations_are_those_of_hugging_face(
    tiny_subject: Subject, ids: torch.Tensor, reference: dict[str, torch.Tensor]
) -> None:
    assert len(reference) == 7 * 3 + 1
    for name, expected in reference.items():
        [(_, found)] = tiny_subject.activations(ids, [name]).items()
        torch.testing.assert_close(found, expected, rtol=RTOL, atol=ATOL, msg=about(name))
        assert tiny_subject.width(name) == expected.shape[-1]
    together = tiny_subject.activations(ids, list(reference))
    assert together.keys() == reference.keys()
    for name, expected in reference.items():
        torch.testing.assert_close(together[name], expected, rtol=RTOL, atol=ATOL)


def test_the_plain_model_shares_its_weights_and_agrees(
    tiny_subject: Subject, ids: torch.Tensor, reference: dict[str, torch.Tensor]
) -> None:
    plain = tiny_subject.plain
    assert plain is not None
    ours = {parameter.data_ptr() for parameter in tiny_subject.bridge.original_model.parameters()}
    assert {parameter.data_ptr() for parameter in plain.model.parameters()} <= ours
    kinds = ("hook_resid_pre", "hook_resid_post", "mlp.hook_post")
    hooks = [f"blocks.{layer}.{kind}" for layer in range(3) for kind in kinds]
    assert plain.sites.keys() == set(hooks)
    alone = tiny_subject.activations(ids, hooks[1:2])[hooks[1]]
    mixed = tiny_subject.activations(ids, [hooks[1], "blocks.1.hook_resid_mid", "blocks.2.mlp.hook_post"])
    assert torch.equal(alone, mixed[hooks[1]]), "to the bit, whatever is read with it"
    for found in (plain.activations(ids, hooks), plain.activations(ids, hooks[2:3])):
        for name, activation in found.items():
            torch.testing.assert_close(activation, reference[name], rtol=RTOL, atol=ATOL)


def test_a_model_that_disagrees_is_not_used(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(model: torch.nn.Module) -> Any:
        twin: Any = share_weights(model)
        twin.transformer.h[1].attn.scale_attn_weights = False
        twin.transformer.h[1].attn.scaling = 3.0
        return twin

    monkeypatch.setattr("autointerp.subject.loading.share_weights", spoilt)
    assert load_subject(str(tiny_model), None, "raw", "float32", "cpu").plain is None


def test_one_hook_point_by_two_names(
    tiny_subject: Subject, ids: torch.Tensor, reference: dict[str, torch.Tensor]
) -> None:
    names = ["blocks.1.hook_resid_post", "blocks.1.hook_out", "embed.hook_out", "hook_embed"]
    found = tiny_subject.activations(ids, names)
    assert sorted(found) == sorted(names)
    torch.testing.assert_close(found["blocks.1.hook_out"], reference["blocks.1.hook_resid_post"], rtol=RTOL, atol=ATOL)
    torch.testing.assert_close(found["embed.hook_out"], reference["hook_embed"], rtol=RTOL, atol=ATOL)


@pytest.fixture
def calls(tiny_subject: Subject) -> Iterator[Counter[str]]:
    """How often each block's two halves, the final norm and the unembedding are run to their end."""
    counts: Counter[str] = Counter()
    assert tiny_subject.plain is not None
    parts: list[tuple[str, torch.nn.Module]] = []
    models: list[Any] = [tiny_subject.bridge.original_model, tiny_subject.plain.model]
    for model in models:
        parts += [("unembedding", model.lm_head), ("final norm", model.transformer.ln_f)]
        for layer, block in enumerate(model.transformer.h):
            parts += [(f"attention {layer}", block.attn.c_proj), (f"mlp {layer}", block.mlp.c_proj)]
    handles = [part.register_forward_hook(lambda _m, _i, _o, name=name: counts.update([name])) for name, part in parts]
    yield counts
    for handle in handles:
        handle.remove()


BLOCKS = [[f"attention {layer}", f"mlp {layer}"] for layer in range(3)]
EVERY_BLOCK = BLOCKS[0] + BLOCKS[1] + BLOCKS[2]


@pytest.mark.parametrize(
    ("hooks", "used"),
    [
        (["hook_embed"], []),
        (["blocks.0.hook_resid_pre"], []),
        (["blocks.0.hook_resid_post"], BLOCKS[0]),
        (["blocks.1.hook_resid_mid"], [*BLOCKS[0], "attention 1"]),
        (["blocks.1.hook_resid_post", "blocks.0.mlp.hook_post"], BLOCKS[0] + BLOCKS[1]),
        (["blocks.2.mlp.hook_post"], [*BLOCKS[0], *BLOCKS[1], "attention 2"]),
        (["blocks.2.hook_resid_post"], EVERY_BLOCK),
        (["ln_final.hook_normalized"], EVERY_BLOCK),
        (["unembed.hook_in"], [*EVERY_BLOCK, "final norm"]),
        (["unembed.hook_out", "hook_embed"], [*EVERY_BLOCK, "final norm"]),
    ],
    ids=lambda value: value[-1] if value and "hook" in value[0] else "",
)
def test_the_forward_pass_ends_at_the_last_hook(
    hooks: list[str], used: list[str], tiny_subject: Subject, ids: torch.Tensor, calls: Counter[str]
) -> None:
    tiny_subject.activations(ids, hooks)
    assert calls == Counter(used)


def test_hooks_are_gone_after_a_pass(tiny_subject: Subject, ids: torch.Tensor, calls: Counter[str]) -> None:
    tiny_subject.activations(ids, ["blocks.0.hook_resid_post"])
    assert not [name for name, point in tiny_subject.bridge.hook_dict.items() if point.fwd_hooks]
    logits = tiny_subject.bridge(ids)
    assert logits.shape == (7, 24, 61)
    assert calls["unembedding"] == 1  # it does count where it is run


def test_folded_processing_centres_what_is_written(
    tiny_model: Path, tiny_subject: Subject, ids: torch.Tensor, reference: dict[str, torch.Tensor]
) -> None:
    folded = load_subject(str(tiny_model), None, "folded", "float32", "cpu")
    assert (folded.processing, tiny_subject.processing) == ("folded", "raw")
    for layer in range(3):
        for name in (f"blocks.{layer}.hook_resid_post", f"blocks.{layer}.hook_mlp_out"):
            raw = reference[name]
            centred = raw - raw.mean(dim=-1, keepdim=True)
            assert not torch.allclose(raw, centred, atol=1e-3)
            torch.testing.assert_close(folded.activations(ids, [name])[name], centred, rtol=1e-3, atol=1e-4)
        name = f"blocks.{layer}.mlp.hook_post"
        torch.testing.assert_close(folded.activations(ids, [name])[name], reference[name], rtol=1e-3, atol=1e-4)


def test_half_precision_gives_float32_near_the_truth(
    tiny_model: Path, ids: torch.Tensor, reference: dict[str, torch.Tensor]
) -> None:
    name = "blocks.1.hook_resid_post"
    found = load_subject(str(tiny_model), None, "raw", "bfloat16", "cpu").activations(ids, [name])[name]
    assert found.dtype == torch.float32
    error = (found - reference[name]).norm() / reference[name].norm()
    assert 1e-4 < error < 0.05


# --- hook points ------------------------------------------------------------------------------------


def test_a_hook_that_is_not_there_names_the_nearest(tiny_subject: Subject) -> None:
    with pytest.raises(InputError, match=r'"blocks\.1\.hook_resid_pots"; the nearest is "blocks\.1\.hook_resid_post"'):
        tiny_subject.check_hook("blocks.1.hook_resid_pots")
    for hook, hint in {
        "blocks.9.hook_resid_post": '; the nearest is "blocks.2.hook_resid_post"; its layers are 0 to 2',
        "blocks.3.hook_resid_psot": '; the nearest is "blocks.2.hook_resid_post"; its layers are 0 to 2',
        "transformer.h.0": ' is "blocks.0.hook_resid_post" and whose input is "blocks.0.hook_resid_pre"',
        "model.layers.1.mlp": ' is "blocks.1.mlp.hook_out" and whose input is "blocks.1.mlp.hook_in"',
        "transformer.h.7.attn": '; the nearest is "blocks.2.attn.hook_out"; its layers are 0 to 2',
        "resid_pre_layer_1": '; the nearest is "blocks.1.hook_resid_pre"',
        "something else entirely": "",
    }.items():
        with pytest.raises(InputError) as caught:
            tiny_subject.width(hook)
        said = str(caught.value).partition(f'has no hook point "{hook}"')[2]
        assert said.endswith(hint)
        assert bool(said) == bool(hint)


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("blocks.1.attn.hook_pattern", "has no vector for each token"),
        ("blocks.1.attn.hook_attn_scores", "has no vector for each token"),
        ("blocks.1.hook_q_input", "cannot be read"),
        ("blocks.1.attn.hook_result", "cannot be read"),
        ("blocks.1.attn.qkv.hook_out", "nothing passes hook point"),
    ],
)
def test_hooks_that_give_no_vectors_are_refused(hook: str, message: str, tiny_subject: Subject) -> None:
    with pytest.raises(InputError, match=message):
        tiny_subject.width(hook)


# --- inner batches ----------------------------------------------------------------------------------


def test_activations_do_not_depend_on_the_portion(tiny_subject: Subject, npy_tokens: TokenFile) -> None:
    hook = "blocks.2.hook_resid_post"
    everything = np.arange(npy_tokens.n_contexts)
    by_context: dict[int, torch.Tensor] = {}
    for batch in iterate_activations(tiny_subject, npy_tokens, [hook], everything):
        for row in batch.wanted.nonzero().squeeze(1).tolist():
            assert int(batch.contexts[row]) not in by_context
            by_context[int(batch.contexts[row])] = batch.by_hook[hook][row]
    assert sorted(by_context) == everything.tolist()
    some = np.array([3, 33, 34, 64, 89])
    for batch_size in (1, 7, 64, 1000):
        seen = []
        for batch in iterate_activations(tiny_subject, npy_tokens, [hook], some[::-1], batch_size):
            assert batch.by_hook[hook].shape == (INNER, 24, 32)
            for row in range(INNER):
                context = int(batch.contexts[row])
                if not batch.wanted[row]:
                    assert not batch.scored[row].any()
                    continue
                seen.append(context)
                torch.testing.assert_close(batch.by_hook[hook][row], by_context[context], rtol=0, atol=0)
                np.testing.assert_array_equal(batch.scored[row], npy_tokens.scored([context])[0])
        assert seen == some.tolist()


# --- tokens as text ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled() -> Subject:
    return load_subject("bundled:subject", None, "raw", "float32", "cpu")


def test_vocabulary_is_what_the_tokens_say(bundled: Subject) -> None:
    vocabulary = bundled.vocabulary()
    assert bundled.tokenizer is not None
    assert len(vocabulary) == bundled.d_vocab == 4096
    for token in range(1, 4096):
        decoded = bundled.tokenizer.decode([token])
        if "\ufffd" not in decoded:
            assert vocabulary[token] == decoded
        else:
            assert "\\x" in vocabulary[token]
    text = 'def naïve(x):\n\treturn "中 \u2028" # ‰'
    [ids] = bundled.encode_texts([text])
    pieces = [vocabulary[i] for i in ids]
    assert b"".join(_bytes_of(piece) for piece in pieces).decode() == text
    assert any("\\x" in piece for piece in pieces), "some bytes must be written out for this to test anything"


def _bytes_of(piece: str) -> bytes:
    """Undoes `\\xNN`."""
    data = b""
    while piece:
        if piece.startswith("\\x") and len(piece) >= 4:
            data, piece = data + bytes([int(piece[2:4], 16)]), piece[4:]
        else:
            data, piece = data + piece[0].encode(), piece[1:]
    return data


@pytest.mark.parametrize(
    ("piece", "byte_level", "text"),
    [
        ("Ġthe", True, " the"),
        ("Ċ", True, "\n"),
        ("Ã©", True, "é"),
        ("Ã", True, "\\xc3"),
        ("Ġ", True, " "),
        ("▁the", False, " the"),
        ("<0x0A>", False, "\n"),
        ("<0xE2>", False, "\\xe2"),
        ("the", False, "the"),
    ],
)
def test_pieces_of_both_kinds_of_tokenizer(piece: str, byte_level: bool, text: str) -> None:
    assert piece_text(piece, byte_level) == text


def test_without_a_tokenizer_tokens_are_numbers(tiny_subject: Subject) -> None:
    assert tiny_subject.vocabulary() == [f"<{token}>" for token in range(61)]
    assert (tiny_subject.tokenizer, tiny_subject.tokenizer_hash()) == (None, "")
    with pytest.raises(InputError, match="has no tokenizer"):
        tiny_subject.encode_texts(["text"])


def test_special_ids(tiny_subject: Subject, bundled: Subject) -> None:
    assert (tiny_subject.bos, tiny_subject.special) == (0, (0, 1))
    assert (bundled.bos, bundled.special) == (0, (0,))
    [ids] = bundled.encode_texts(["<|endoftext|>"])
    assert 0 not in ids


# --- loading ----------------------------------------------------------------------------------------


def test_a_model_that_lacks_weights_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in tiny_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    gone = "transformer.h.1.mlp.c_fc.weight"
    del weights[gone]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=f'lacks 1 weight.*"{gone}"'):
        load_subject(str(tmp_path), None, "raw", "float32", "cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:7", "meta", "mps:3"])
def test_a_device_that_is_not_here(device: str, tiny_model: Path) -> None:
    with pytest.raises(InputError, match=f'subject.device: "{device}" cannot be used here'):
        load_subject(str(tiny_model), None, "raw", "float32", device)


def test_the_checksum_is_of_the_weights(tiny_model: Path, tiny_subject: Subject, bundled: Subject) -> None:
    again = load_subject(str(tiny_model), None, "raw", "float32", "cpu")
    assert again.checksum == tiny_subject.checksum != bundled.checksum
