"""SmolLM2-135M through everything: its weights, every hook point, an SAE trained on it, check, run, compare and show.

Run by `make test-real`, which prints what each command took.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from real_lane import HOOK, WIDTH, K, Lane
from sinks import norm_lines, shared, sharing_line, top_exemplars, with_covariance_directions

import autointerp
from autointerp.subject.loading import load_subject
from autointerp.subject.model import Subject

pytestmark = pytest.mark.real
TEXT = 'def area(r):\n    return 3.14159 * r**2  # naïve\n\n\nThe capital of France is Paris; "42" isn\'t. \U0001f600'
LAYERS, D_MODEL, HEADS_WIDTH, D_MLP = 30, 576, 576, 1_536
SAME = 2e-4
"""Of the largest activation at a hook point."""


@pytest.fixture(scope="module")
def subject(subject_folder: Path) -> Subject:
    return load_subject(str(subject_folder), None, "raw", "float32", "cpu")


@pytest.fixture(scope="module")
def plain(subject_folder: Path) -> Any:
    """Hugging Face's own model, loaded anew."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(subject_folder, attn_implementation="eager").eval()


def test_the_folder_holds_the_weights_of_the_file(gguf_file: Path, subject_folder: Path) -> None:
    """Against the `gguf` package's own reader. (Heads of queries and keys lie in another order in a GGUF file.)"""
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from safetensors import safe_open

    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "blk.6.ffn_down.weight": "model.layers.6.mlp.down_proj.weight",
        "blk.17.ffn_gate.weight": "model.layers.17.mlp.gate_proj.weight",
        "blk.29.attn_v.weight": "model.layers.29.self_attn.v_proj.weight",
        "blk.29.attn_output.weight": "model.layers.29.self_attn.o_proj.weight",
    }
    held = {tensor.name: tensor for tensor in GGUFReader(gguf_file).tensors}
    assert len(held) == 2 + 9 * LAYERS
    with safe_open(subject_folder / "model.safetensors", "pt") as stored:
        assert len(stored.keys()) == len(held)  # the unembedding is the embedding
        for theirs, ours in names.items():
            weight = dequantize(held[theirs].data, held[theirs].tensor_type)
            np.testing.assert_array_equal(stored.get_tensor(ours).numpy(), weight, err_msg=ours)


def test_nothing_in_the_folder_says_where_it_was_made(gguf_file: Path, subject_folder: Path) -> None:
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        text = (subject_folder / name).read_text(encoding="utf-8")
        assert str(gguf_file.parent) not in text
        assert "local" not in json.loads(text)


def test_the_tokenizer_is_the_models(subject: Subject) -> None:
    [ids] = subject.encode_texts([TEXT])
    assert subject.tokenizer is not None
    assert subject.tokenizer.decode(ids) == TEXT
    vocabulary = subject.vocabulary()
    assert (len(vocabulary), subject.bos, vocabulary[1]) == (49_152, 1, "<|im_start|>")
    # The model was trained with each digit a token of its own; the file does not say so, its merges do.
    assert [vocabulary[id_] for id_ in subject.encode_texts(["r = 3.14159"])[0]] == ["r", " =", " ", *"3.14159"]


def test_it_knows_the_capital_of_france(subject: Subject, plain: Any) -> None:
    ids = torch.tensor(subject.encode_texts(["The capital of France is"]))
    with torch.no_grad():
        best = int(plain(ids).logits[0, -1].argmax())
    assert subject.vocabulary()[best] == " Paris"


def test_every_hook_point_is_hugging_faces(subject: Subject, plain: Any) -> None:
    """Seven hook points of each of the 30 blocks, beside what forward hooks on Hugging Face's modules see."""
    [ids] = subject.encode_texts([TEXT])
    tokens = torch.tensor([[1, *ids]])
    expected: dict[str, torch.Tensor] = {}

    def keep(name: str, side: str) -> Callable[..., None]:
        def hook(_module: Any, inputs: Any, out: Any) -> None:
            expected[name] = inputs[0] if side == "in" else out[0] if isinstance(out, tuple) else out

        return hook

    for layer, block in enumerate(plain.model.layers):
        for hook_name, module, side in (
            ("hook_resid_pre", block, "in"),
            ("hook_resid_post", block, "out"),
            ("hook_resid_mid", block.post_attention_layernorm, "in"),
            ("hook_attn_out", block.self_attn, "out"),
            ("hook_mlp_out", block.mlp, "out"),
            ("mlp.hook_post", block.mlp.down_proj, "in"),
            ("attn.hook_z", block.self_attn.o_proj, "in"),
        ):
            module.register_forward_hook(keep(f"blocks.{layer}.{hook_name}", side))
    with torch.no_grad():
        plain(tokens)
    assert len(expected) == 7 * LAYERS
    ours = subject.activations(tokens, list(expected))
    for name, value in expected.items():
        width = D_MLP if name.endswith("mlp.hook_post") else HEADS_WIDTH if name.endswith("hook_z") else D_MODEL
        assert value.shape == ours[name].shape == (1, len(ids) + 1, width)
        assert float((ours[name] - value).abs().max()) <= SAME * float(value.abs().max()), name


def test_check_passes_the_sae(run_file: Path, sae_folder: Path, lane: Lane) -> None:
    facts = json.loads((sae_folder / "cfg.json").read_text(encoding="utf-8"))
    assert (facts["d_in"], facts["d_sae"], facts["k"], facts["metadata"]["hook_name"]) == (D_MODEL, WIDTH, K, HOOK)
    said = lane.run("check", "autointerp", "check", run_file)
    row = next(line for line in said.splitlines() if "sae" in line and HOOK in line)
    assert row.startswith("✓")


def test_check_names_the_layer_when_it_is_another(run_file: Path, sae_folder: Path, lane: Lane) -> None:
    wrong = run_file.with_name("wrong.toml")
    text = run_file.read_text(encoding="utf-8")
    path = f'path = "{sae_folder}"\n'
    assert text.count(path) == 1
    wrong.write_text(text.replace(path, path + 'hook = "blocks.20.hook_resid_pre"\n'), encoding="utf-8")
    said = lane.run("check, wrong layer", "autointerp", "check", wrong, status=1)
    assert "✗" in said
    assert re.search(r"blocks\.(5|6)\.hook_resid_p", said.replace("\n", " "))


def rows(store: Path, sql: str) -> list[dict[str, Any]]:
    return autointerp.open_store(store).sql(sql).rows()


def test_a_run_is_whole_and_a_second_one_has_nothing_to_do(store: Path, run_file: Path, lane: Lane) -> None:
    counted = rows(store, "SELECT dictionary, count(*) AS n FROM features GROUP BY ALL")
    assert {row["dictionary"]: row["n"] for row in counted} == {
        "sae": 256,
        "neurons": 128,
        "random-isotropic": 128,
        "random-covariance": 128,
    }
    lane.run("verify", "autointerp", "verify", store)
    before = rows(store, "SELECT * FROM stages ORDER BY ALL")
    lane.run("run again", "autointerp", "run", run_file, "--store", store)
    assert rows(store, "SELECT * FROM stages ORDER BY ALL") == before


def test_compare_finds_the_sae_above_random_directions(store: Path, lane: Lane) -> None:
    said = lane.run("compare", "autointerp", "compare", store)
    summary = "SELECT dictionary, mean, ci_low, ci_high, n_scored FROM dictionary_summary"
    means = {
        row["dictionary"]: row
        for row in rows(store, f"{summary} WHERE metric = 'pearson' AND design = 'census' AND explainer = 'lexical'")
    }
    assert set(means) == {"sae", "neurons", "random-isotropic", "random-covariance"}
    for name, row in means.items():
        assert f"{row['mean']:.3f}" in said
        interval = f"{row['mean']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
        lane.notes.append(f"{name:<18} {interval} over {row['n_scored']} features")
    assert means["sae"]["ci_low"] > means["random-isotropic"]["ci_high"]


def test_show_gives_the_card_of_the_best_feature(store: Path, lane: Lane) -> None:
    best = rows(
        store,
        "SELECT feature, explanation, score, ci_low, ci_high FROM feature_cards"
        " WHERE dictionary = 'sae' AND score IS NOT NULL ORDER BY ci_low DESC LIMIT 10",
    )
    said = lane.run("show", "autointerp", "show", store, f"sae/{best[0]['feature']}")
    assert f"sae/{best[0]['feature']}" in said
    assert best[0]["explanation"].split()[0] in said
    for row in best:
        interval = f"{row['score']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
        lane.notes.append(f"sae/{row['feature']} {interval} {row['explanation']}")
    stages = rows(store, "SELECT stage, sum(seconds) AS s FROM stages GROUP BY ALL ORDER BY s DESC")
    lane.notes.append("wall seconds by stage: " + ", ".join(f"{row['stage']} {row['s']:.0f}" for row in stages))


def test_covariance_directions_no_longer_share_their_exemplars(run_file: Path, store: Path, lane: Lane) -> None:
    """With tokens of enormous norm and without; the sharing is printed, and the norms at each hook."""
    tops = {}
    for exclude in (False, True):
        file = run_file.with_name(f"covariance-{'without' if exclude else 'with'}.toml")
        text = with_covariance_directions(run_file.read_text(encoding="utf-8"), HOOK, exclude_outliers=exclude)
        file.write_text(text, encoding="utf-8")
        own = file.with_suffix(".duckdb")
        lane.run(file.stem, "autointerp", "run", file, "--store", own, "--stage", "extract")
        tops[exclude] = top_exemplars(own)
    lane.notes += [*norm_lines(store), sharing_line(shared(tops[False]), shared(tops[True]))]
    assert shared(tops[True]) < shared(tops[False])
    [norms] = rows(store, f"SELECT * FROM hook_norms WHERE hook = '{HOOK}'")
    assert norms["participation_all"] < norms["participation"]


def test_reading_costs_little_more_than_the_bare_forward_pass(subject: Subject, plain: Any, lane: Lane) -> None:
    """CPU time to the hook, beside Hugging Face's own first six blocks; in turns, so that both see the same machine."""
    tokens = torch.from_numpy(np.random.default_rng(0).integers(3, 49_152, (8, 128)))
    bare = plain.model
    bare.layers = bare.layers[:6]
    bare.norm = torch.nn.Identity()
    seconds: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(5):
        with torch.inference_mode():
            begun = time.process_time()
            expected = bare(tokens, use_cache=False).last_hidden_state
            seconds["bare"].append(time.process_time() - begun)
        begun = time.process_time()
        ours = subject.activations(tokens, [HOOK])[HOOK]
        seconds["ours"].append(time.process_time() - begun)
    assert float((ours - expected).abs().max()) <= SAME * float(expected.abs().max())
    ratio = min(seconds["ours"]) / min(seconds["bare"])
    lane.notes.append(
        f"to {HOOK}: {tokens.numel() / min(seconds['ours']):,.0f} tokens a CPU second, {ratio:.2f} times the bare pass"
    )
    assert ratio < 1.25
