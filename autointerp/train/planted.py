"""The positive control: features that fire exactly on a stated set of tokens, by construction.

1. The hook is `hook_embed`: there the activation is a function of the token alone, relu(w . W_E[token] + b).
2. Per concept of `concepts.py`, w and b minimise, in float64 over the whole vocabulary and with W_E whitened,
       mean over members of (z - 1)^2  +  C (sum over members of relu(0.6 - z)^2 + sum over others of relu(z + 0.1)^2)
   (a squared-hinge support vector machine with a regression on the members, so that the set fires evenly), by
   L-BFGS with C raised in steps. The problem is convex.
3. Kept are the concepts whose set is exactly what fires, with room for rounding, once w, b and W_E are in the stored
   types; whose members all fire at 0.5 to 2; and which occur at least 100 times in the pinned corpus. Nothing is kept
   that only nearly holds.
4. Decoder rows are the members' mean embedding, centred, at unit norm: a direction, not a reconstruction.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from autointerp.train.concepts import CONCEPTS
from autointerp.train.corpus import read_pinned
from autointerp.train.on_disk import DictionaryOnDisk, save
from autointerp.train.paths import parser
from autointerp.train.saes import bundled_subject
from autointerp.train.subject import load_tokenizer
from autointerp.words import PLANTED

FEWEST_OCCURRENCES = 100
MOST_TOKENS = 200
LOWEST, HIGHEST = 0.5, 2.0
"""Activation of a member, after rounding."""
OTHERS_HIGHEST = -0.01
"""z of every other token, after rounding: the order of summation moves z by less than 1e-4."""


@dataclass(frozen=True)
class FittedConcept:
    label: str
    tokens: list[int]
    weight: Tensor
    """[d_in], float32"""
    bias: Tensor
    activations: Tensor
    """of the members, float32"""


def token_texts(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """The text of every token; bytes that are no ASCII stay in the tokenizer's own alphabet."""
    written = {"Ġ": " ", "Ċ": "\n", "ĉ": "\t", "č": "\r"}
    return [
        "".join(written.get(character, character) for character in token)
        for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    ]


def sentence(label: str, members: Iterable[str]) -> str:
    """The label; where it ends in a colon, with the members listed, each word once."""
    if not label.endswith(":"):
        return label
    words: dict[str, str] = {}
    for member in members:
        word = member.strip()
        known = words.get(word.lower())
        words[word.lower()] = word if known is None else min(word, known, key=str.swapcase)
    return f"{label} {', '.join(words.values())}."


def fit(embedding: Tensor, member: Tensor) -> tuple[Tensor, Tensor]:
    """(w, b) in float64 for the embedding [vocabulary, d_in] and the members' mask."""
    x = embedding.double()
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    whiten = vectors / (values + 1e-9 * values.max()).sqrt()
    z_in = (x - mean) @ whiten
    w = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.full((), -0.5, dtype=torch.float64, requires_grad=True)
    for strength in (1.0, 30.0, 1e3, 3e4):
        optimizer = torch.optim.LBFGS([w, b], max_iter=150, history_size=20, line_search_fn="strong_wolfe")

        def closure(strength: float = strength, optimizer: torch.optim.LBFGS = optimizer) -> Tensor:
            optimizer.zero_grad()
            z = z_in @ w + b
            inside, outside = z[member], z[~member]
            hinge = (0.6 - inside).relu().pow(2).sum() + (outside + 0.1).relu().pow(2).sum()
            loss: Tensor = (inside - 1).pow(2).mean() + strength * hinge + 1e-8 * w.pow(2).sum()
            torch.autograd.backward(loss)
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
    weight = whiten @ w.detach()
    return weight, b.detach() - mean @ weight


def fit_concept(label: str, embedding: Tensor, member: Tensor) -> FittedConcept | None:
    """None where the set is not exactly and evenly separable in the stored types."""
    weight, bias = (part.float() for part in fit(embedding, member))
    z = embedding @ weight + bias
    if z[member].min() < LOWEST or z[member].max() > HIGHEST or z[~member].max() > OTHERS_HIGHEST:
        return None
    return FittedConcept(label, member.nonzero().flatten().tolist(), weight, bias, z[member])


def build(out: Path) -> None:
    torch.set_num_threads(1)
    tokenizer = load_tokenizer(out / "subject")
    texts = token_texts(tokenizer)
    pinned = tokenizer.backend_tokenizer.encode_batch([text for _, text in read_pinned(out)])
    occurrences = Counter(token for encoding in pinned for token in encoding.ids)
    embedding = bundled_subject(out).bridge.W_E.detach().float()
    kept: list[FittedConcept] = []
    for name, holds in CONCEPTS.items():
        member = torch.tensor([holds(text) for text in texts])
        label = sentence(name, (text for text in texts if holds(text)))
        seen = [occurrences[token] for token in member.nonzero().flatten().tolist()]
        n_present = sum(count > 0 for count in seen)
        if sum(seen) < FEWEST_OCCURRENCES or not 1 <= n_present <= MOST_TOKENS:
            print(f"left out   {len(seen):4} tokens {sum(seen):7,} times           {label}", flush=True)
        elif (fitted := fit_concept(label, embedding, member)) is None:
            print(f"not kept   {len(seen):4} tokens {sum(seen):7,} times           {label}", flush=True)
        else:
            low, high = float(fitted.activations.min()), float(fitted.activations.max())
            print(
                f"{len(kept):<10} {len(seen):4} tokens {sum(seen):7,} times {low:.2f} to {high:.2f} {label}", flush=True
            )
            kept.append(fitted)
    centred = embedding - embedding.mean(0)
    directions = torch.stack([centred[fitted.tokens].mean(0) for fitted in kept])
    folder = out / "dictionaries" / "planted"
    dictionary = DictionaryOnDisk(
        architecture="standard",
        hook="hook_embed",
        w_enc=torch.stack([fitted.weight for fitted in kept], dim=1),
        b_enc=torch.stack([fitted.bias for fitted in kept]),
        w_dec=torch.nn.functional.normalize(directions, dim=1),
        b_dec=torch.zeros(embedding.shape[1]),
        metadata={"kind": PLANTED},
    )
    save(dictionary, folder, torch.float32)
    labels = [{"feature": i, "label": fitted.label, "tokens": fitted.tokens} for i, fitted in enumerate(kept)]
    (folder / "labels.json").write_text("[\n" + ",\n".join(map(json.dumps, labels)) + "\n]\n")
    print(f"{len(kept)} of {len(CONCEPTS)} concepts kept")


def main() -> None:
    build(parser(__doc__).parse_args().out)


if __name__ == "__main__":
    main()
