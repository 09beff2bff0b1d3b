"""What output scores cost on a model of SmolLM2-135M's shape, or of another, with random weights; and its memory.

    OMP_NUM_THREADS=1 python benchmarks/output_score.py
    OMP_NUM_THREADS=1 python benchmarks/output_score.py --vocab 256000 --layers 2

1. A Llama of that shape is made; its weights are random, which costs what trained ones do.
2. Features are amplified behind a prompt of four tokens at the middle layer, through the stage's own functions.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from autointerp.extract.output_score import TOKENS, output_scores
from autointerp.subject.patching import SuffixPasses


@click.command()
@click.option("--features", default=1024, show_default=True)
@click.option("--vocab", default=49_152, show_default=True)
@click.option("--layers", default=30, show_default=True)
@click.option("--width", default=576, show_default=True)
def main(features: int, vocab: int, layers: int, width: int) -> None:
    """Prints CPU seconds, what 10,000 features would take, and by how much memory grew."""
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(features, width, generator=generator)
    tokens = torch.randint(vocab, (features, TOKENS), generator=generator).numpy()
    passes = SuffixPasses(model, model.get_submodule(f"model.layers.{layers // 2}"), "output", 0)
    opened = passes.open(torch.tensor([1, 5, 9, 7]))
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what it is now
    before, begun = _most_memory(), time.process_time()
    output_scores(opened, 3, directions, np.arange(features), np.full(features, 10.0), tokens, vocab)
    taken = time.process_time() - begun
    print(
        f"{features:,} features, {vocab:,} tokens, {layers} layers: {taken:.1f} CPU s; 10,000 features: "
        f"{taken / features * 10_000:.0f} CPU s; memory grew by {_most_memory() - before:.0f} MB, the logits of all at "
        f"once would be {features * vocab * 4 / 1e6:.0f} MB"
    )


def _most_memory() -> float:
    """MB that this process has held since the mark was reset (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1e3


if __name__ == "__main__":
    main()
