"""The models that tests hold equal to Hugging Face's own, a row each. `docs/SUBJECTS.md` is made of them.

`tests/subject/test_families.py` builds one of each, tiny and random, and compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TestedFamily:
    """One architecture of transformers."""

    __test__ = False  # not a class of tests
    architecture: str
    """The class that loads it."""
    models: str
    """Whose models it is, for a reader."""
    particular: str
    """What it does that a plain decoder does not."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the tiny model's configuration that make it so."""
    residual_halves: bool = True
    """Whether the residual stream has a place between attention and MLP."""
    neurons: bool = True
    """Whether its MLP has neurons at one place; experts do not."""


_GROUPED: dict[str, Any] = {"num_key_value_heads": 2}
_WIDE_HEADS: dict[str, Any] = {**_GROUPED, "head_dim": 16}
_EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "head_dim": 8, **_GROUPED}
_TWO_KINDS: dict[str, Any] = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
_GEMMA_3: dict[str, Any] = {**_WIDE_HEADS, **_TWO_KINDS, "query_pre_attn_scalar": 16}
_LLAMA_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}

FAMILIES: tuple[TestedFamily, ...] = (
    TestedFamily("GPT2LMHeadModel", "GPT-2", "learned positions, biases, tied embeddings"),
    TestedFamily("GPTNeoXForCausalLM", "Pythia", "attention and MLP in parallel", {"rotary_pct": 0.5}, False),
    TestedFamily("BloomForCausalLM", "BLOOM", "a norm behind the embedding; the MLP adds the residual itself"),
    TestedFamily("LlamaForCausalLM", "Llama 2, SmolLM2", "grouped heads", _GROUPED),
    TestedFamily(
        "LlamaForCausalLM",
        "Llama 3.x",
        "grouped heads, tied embeddings, its own scaling of positions",
        {**_GROUPED, "tie_word_embeddings": True, "rope_parameters": _LLAMA_ROPE},
    ),
    TestedFamily("MistralForCausalLM", "Mistral", "grouped heads, sliding windows", {**_GROUPED, "sliding_window": 8}),
    TestedFamily("Phi3ForCausalLM", "Phi 3", "one matrix for queries, keys and values, one for gate and up", _GROUPED),
    TestedFamily("Qwen2ForCausalLM", "Qwen 2, Qwen 2.5", "biases of queries, keys and values", _GROUPED),
    TestedFamily(
        "Qwen3ForCausalLM", "Qwen 3", "norms of queries and keys", {**_WIDE_HEADS, "tie_word_embeddings": True}
    ),
    TestedFamily(
        "Qwen3MoeForCausalLM",
        "Qwen 3, mixture of experts",
        "experts instead of an MLP",
        {**_EXPERTS, "num_experts": 4, "moe_intermediate_size": 24},
        neurons=False,
    ),
    TestedFamily(
        "GptOssForCausalLM",
        "gpt-oss",
        "experts with biases, attention sinks, sliding windows in every other layer",
        {**_EXPERTS, **_TWO_KINDS, "num_local_experts": 4},
        neurons=False,
    ),
    TestedFamily("GemmaForCausalLM", "Gemma", "embeddings times sqrt(d), norm weights stored minus 1", {**_WIDE_HEADS}),
    TestedFamily(
        "Gemma2ForCausalLM",
        "Gemma 2",
        "a norm behind each half of a block, soft caps of scores and logits, sliding windows",
        {
            **_WIDE_HEADS,
            "sliding_window": 8,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 3.0,
            "query_pre_attn_scalar": 16,
        },
    ),
    TestedFamily(
        "Gemma3ForCausalLM",
        "Gemma 3, text only (270M, 1B)",
        "norms behind each half, and of queries and keys",
        _GEMMA_3,
    ),
    TestedFamily(
        "Gemma3ForConditionalGeneration",
        "Gemma 3 with images (4B, 12B, 27B)",
        "the language model inside, on text alone",
        _GEMMA_3,
    ),
    TestedFamily("Olmo2ForCausalLM", "OLMo 2", "norms behind each half and none in front", _GROUPED),
    TestedFamily("Olmo3ForCausalLM", "OLMo 3", "as OLMo 2, with sliding windows", {**_GROUPED, **_TWO_KINDS}),
    TestedFamily(
        "GraniteForCausalLM",
        "Granite",
        "multipliers of embeddings, scores, what a block adds, and logits",
        {
            **_GROUPED,
            "embedding_multiplier": 12.0,
            "attention_multiplier": 0.1,
            "residual_multiplier": 0.22,
            "logits_scaling": 8.0,
        },
    ),
)
