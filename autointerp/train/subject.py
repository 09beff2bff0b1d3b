"""Train the bundled subject: a byte-level BPE of 4,096 tokens and a two-layer GPT-2 on contexts of 128 tokens.

1. Tokenizer: byte-level BPE (Sennrich et al. 2016; `tokenizers`) on the training text; `<|endoftext|>` is id 0 and
   serves as BOS, EOS and unknown.
2. Contexts: each document is cut into pieces of 127 tokens with BOS in front of each, as the product feeds text; the
   last piece is padded on the right with id 0 and its padding is never a target.
3. Model: GPT2LMHeadModel, width 128, 4 heads, MLP 512, untied embeddings.
4. AdamW (weight decay on matrices only), linear warm-up, cosine to zero. The body runs under bf16 autocast, the
   cross-entropy in chunks of rows small enough for the cache: the logits of a batch never exist at once.
5. Saved in float16 as an ordinary Hugging Face directory; a checkpoint of it appears every few minutes.
"""

import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from autointerp.train.corpus import read_training
from autointerp.train.paths import SEED, parser

CONTEXT = 128
VOCABULARY = 4_096
END = "<|endoftext|>"
BATCH = 32
LEARNING_RATE = 3e-3
WARM_UP = 200
CHUNK = 512


@dataclass(frozen=True)
class Contexts:
    tokens: np.ndarray
    """uint16 [n, 128]: BOS, then up to 127 tokens, then id 0."""
    lengths: np.ndarray
    """int [n]: tokens that are not padding, BOS counted."""

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """(token ids, True where a token is the document's own: neither BOS nor padding)"""
        tokens = torch.from_numpy(self.tokens[rows].astype(np.int64))
        position = torch.arange(CONTEXT)
        return tokens, (position > 0) & (position < torch.from_numpy(self.lengths[rows])[:, None])


def contexts_of(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> Contexts:
    rows, lengths = [], []
    for encoding in tokenizer.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False):
        for start in range(0, len(encoding.ids), CONTEXT - 1):
            piece = encoding.ids[start : start + CONTEXT - 1]
            row = np.zeros(CONTEXT, dtype=np.uint16)
            row[1 : 1 + len(piece)] = piece
            rows.append(row)
            lengths.append(1 + len(piece))
    return Contexts(np.stack(rows), np.array(lengths, dtype=np.int64))


def train_tokenizer(texts: Iterable[str], folder: Path) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE(unk_token=END))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=END, eos_token=END, unk_token=END, model_max_length=CONTEXT
    )
    tokenizer.save_pretrained(folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["tokenizer_class"] = "PreTrainedTokenizerFast"  # transformers 5 writes a name that 4 does not know
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return tokenizer


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(folder)


def new_model() -> GPT2LMHeadModel:
    torch.manual_seed(SEED)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=CONTEXT,
            n_embd=128,
            n_layer=2,
            n_head=4,
            n_inner=512,
            activation_function="gelu_new",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
            tie_word_embeddings=False,
            use_cache=False,
        )
    )


def loss_and_gradient(model: GPT2LMHeadModel, tokens: Tensor, real: Tensor) -> float:
    """Mean next-token cross-entropy; its gradient is added to the parameters, chunk by chunk of rows."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.transformer(tokens).last_hidden_state
    wanted = real[:, 1:].reshape(-1)
    rows = hidden[:, :-1].reshape(-1, hidden.shape[-1])[wanted]
    targets = tokens[:, 1:].reshape(-1)[wanted]
    leaf = rows.detach().to(torch.bfloat16).requires_grad_()
    head = model.lm_head.weight.detach().to(torch.bfloat16).requires_grad_()
    total = 0.0
    for start in range(0, len(targets), CHUNK):
        logits = leaf[start : start + CHUNK] @ head.T
        loss = torch.nn.functional.cross_entropy(logits, targets[start : start + CHUNK], reduction="sum")
        torch.autograd.backward(loss / len(targets))
        total += loss.item()
    assert leaf.grad is not None
    assert head.grad is not None
    torch.autograd.backward(rows, leaf.grad.to(rows.dtype))
    model.lm_head.weight.grad = head.grad.float()
    return total / len(targets)


@torch.no_grad()
def held_out_loss(model: GPT2LMHeadModel, contexts: Contexts, batch: int = 32) -> float:
    """Nats per token over every real target, in float32."""
    total, count = 0.0, 0
    for rows in np.array_split(np.arange(len(contexts)), math.ceil(len(contexts) / batch)):
        tokens, real = contexts.batch(rows)
        targets = tokens[:, 1:].masked_fill(~real[:, 1:], -100)
        logits = model(tokens).logits[:, :-1]
        total += torch.nn.functional.cross_entropy(
            logits.reshape(-1, VOCABULARY), targets.reshape(-1), ignore_index=-100, reduction="sum"
        ).item()
        count += int(real[:, 1:].sum())
    return total / count


def save(model: GPT2LMHeadModel, folder: Path) -> None:
    """float16 weights, and a configuration that holds no path of this machine."""
    half = GPT2LMHeadModel(model.config).to(torch.float16)
    half.load_state_dict({name: value.to(torch.float16) for name, value in model.state_dict().items()})
    half.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("_name_or_path", None)
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def train(contexts: Contexts, folder: Path, minutes_between_saves: float = 2.5) -> GPT2LMHeadModel:
    torch.set_float32_matmul_precision("medium")
    model = new_model().train()
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        betas=(0.9, 0.95),
    )
    order = np.random.default_rng(SEED).permutation(len(contexts))
    n_steps = len(order) // BATCH
    started = saved = time.monotonic()
    recent: list[float] = []
    for step in range(n_steps):
        progress = step / n_steps
        rate = LEARNING_RATE * min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate
        recent.append(loss_and_gradient(model, *contexts.batch(order[step * BATCH : (step + 1) * BATCH])))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 50 == 0:
            speed = (step + 1) * BATCH * (CONTEXT - 1) / (time.monotonic() - started)
            print(f"step {step + 1}/{n_steps}: loss {np.mean(recent):.3f}, {speed:,.0f} tokens/s", flush=True)
            recent.clear()
        if time.monotonic() - saved > 60 * minutes_between_saves:
            save(model, folder)
            saved = time.monotonic()
    save(model, folder)
    return model.eval()


def build(work: Path, out: Path) -> None:
    torch.set_num_threads(1)
    folder = out / "subject"
    texts = [text for _, text in read_training(work)]
    started = time.monotonic()
    tokenizer = train_tokenizer(texts, folder)
    contexts = contexts_of(tokenizer, texts)
    np.savez(work / "contexts.npz", tokens=contexts.tokens, lengths=contexts.lengths)
    n_tokens = int((contexts.lengths - 1).sum())
    print(f"{len(contexts):,} contexts, {n_tokens:,} tokens, tokenizer {time.monotonic() - started:.0f} s", flush=True)
    save_file(train(contexts, folder).state_dict(), work / "subject-float32.safetensors")
    print(f"{time.monotonic() - started:.0f} s in all")


def main() -> None:
    given = parser(__doc__).parse_args()
    build(given.work, given.out)


if __name__ == "__main__":
    main()
