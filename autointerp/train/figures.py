"""Measure the bundle on the pinned corpus, print the table and write `figures.json`.

1. Targets: every token of the pinned corpus, given the tokens before it in its context of 128 (BOS first).
2. Subject: mean cross-entropy in nats a token; beside it a unigram and a bigram (Witten-Bell smoothing) counted on the
   training contexts; the weights with one significant bit fewer than float16 keeps (what float16 cost is less than the
   difference), and the weights before rounding where the work folder still has them.
3. SAEs, at tokens that are neither BOS nor padding: L0; variance explained, 1 - |x - x_hat|^2 / |x - mean|^2; share of
   features that never fire; cross-entropy recovered, (zero - sae) / (zero - clean), the whole hook site replaced by
   zero or by x_hat at those tokens. Where the work folder still has the weights before rounding to float16, by how much
   rounding moved L0 and variance explained, on every eighth batch.
4. Planted dictionary: over the corpus, whether each feature fires exactly on its tokens, and how often it does.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from autointerp.train import on_disk
from autointerp.train.corpus import read_pinned
from autointerp.train.paths import parser
from autointerp.train.saes import RECIPES, bundled_subject
from autointerp.train.subject import VOCABULARY, Contexts, contexts_of, held_out_loss, load_tokenizer, new_model


@dataclass
class Fit:
    """Sums over tokens for one dictionary."""

    n_features: int
    tokens: int = 0
    active: int = 0
    residual: float = 0.0
    square: float = 0.0
    total: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    fired: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.fired = torch.zeros(self.n_features, dtype=torch.bool)

    def add(self, x: Tensor, acts: Tensor, x_hat: Tensor) -> None:
        self.tokens += len(x)
        self.active += int(torch.count_nonzero(acts))
        self.residual += (x - x_hat).double().pow(2).sum().item()
        self.square += x.double().pow(2).sum().item()
        self.total = self.total + x.double().sum(0)
        self.fired |= (acts > 0).any(0)

    def figures(self) -> dict[str, float]:
        centred = self.square - float((self.total / self.tokens).pow(2).sum()) * self.tokens
        return {
            "l0": self.active / self.tokens,
            "variance_explained": 1 - self.residual / centred,
            "dead_share": 1 - self.fired.float().mean().item(),
        }


def targets_of(contexts: Contexts) -> tuple[np.ndarray, np.ndarray]:
    """(the token before, the target) for every target"""
    wanted = np.arange(1, contexts.tokens.shape[1]) < contexts.lengths[:, None]
    return contexts.tokens[:, :-1][wanted].astype(np.int64), contexts.tokens[:, 1:][wanted].astype(np.int64)


def count_baselines(training: Contexts, pinned: Contexts) -> dict[str, float]:
    """Held-out nats a token of an add-one unigram, and of a bigram backed by it (Witten-Bell)."""
    before, target = targets_of(training)
    unigram = (np.bincount(target, minlength=VOCABULARY) + 1) / (len(target) + VOCABULARY)
    pairs, counts = np.unique(before * VOCABULARY + target, return_counts=True)
    seen = np.bincount(before, minlength=VOCABULARY)
    kinds = np.bincount(pairs // VOCABULARY, minlength=VOCABULARY)
    before, target = targets_of(pinned)
    wanted = before * VOCABULARY + target
    place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    count = np.where(pairs[place] == wanted, counts[place], 0)
    bigram = (count + np.maximum(kinds, 1)[before] * unigram[target]) / (seen + np.maximum(kinds, 1))[before]
    return {"unigram": float(-np.log(unigram[target]).mean()), "bigram": float(-np.log(bigram).mean())}


def summed_loss(logits: Tensor, tokens: Tensor, real: Tensor) -> float:
    targets = tokens[:, 1:].masked_fill(~real[:, 1:], -100)
    flat = logits[:, :-1].reshape(-1, VOCABULARY)
    return torch.nn.functional.cross_entropy(flat, targets.reshape(-1), ignore_index=-100, reduction="sum").item()


def replaced(bridge: TransformerBridge, hook: str, tokens: Tensor, real: Tensor, value: Tensor) -> float:
    """Summed loss with the activation at real tokens replaced by `value`."""

    def put(activation: Tensor, **_: object) -> Tensor:  # the hook point comes by name
        activation = activation.clone()
        activation[real] = value
        return activation

    return summed_loss(bridge.run_with_hooks(tokens, fwd_hooks=[(hook, put)]), tokens, real)


@torch.no_grad()
def sae_figures(bridge: TransformerBridge, pinned: Contexts, out: Path, work: Path) -> dict[str, dict[str, float]]:
    stored = {name: on_disk.load(out / "dictionaries" / name) for name in RECIPES}
    folders = {name: work / "dictionaries" / name for name in RECIPES}
    exact = {name: on_disk.load(folder) for name, folder in folders.items() if folder.exists()}
    fits = {name: Fit(d.w_enc.shape[1]) for name, d in stored.items()}
    exact_fits = {name: (Fit(d.w_enc.shape[1]), Fit(d.w_enc.shape[1])) for name, d in exact.items()}
    hooks = sorted({d.hook for d in stored.values()})
    losses = dict.fromkeys(["clean", *hooks, *stored], 0.0)
    for number, rows in enumerate(np.array_split(np.arange(len(pinned)), math.ceil(len(pinned) / 16))):
        tokens, real = pinned.batch(rows)
        logits, cache = bridge.run_with_cache(tokens, names_filter=hooks, return_cache_object=False)
        losses["clean"] += summed_loss(logits, tokens, real)
        for hook in hooks:
            losses[hook] += replaced(bridge, hook, tokens, real, torch.zeros(()))
        for name, dictionary in stored.items():
            x = cache[dictionary.hook][real]
            acts = dictionary.encode(x)
            x_hat = dictionary.decode(acts)
            fits[name].add(x, acts, x_hat)
            losses[name] += replaced(bridge, dictionary.hook, tokens, real, x_hat)
            if name in exact and number % 8 == 0:
                exact_fits[name][0].add(x, acts, x_hat)
                acts = exact[name].encode(x)
                exact_fits[name][1].add(x, acts, exact[name].decode(acts))
    figures = {}
    for name, dictionary in stored.items():
        zero = losses[dictionary.hook]
        figures[name] = fits[name].figures() | {
            "loss_recovered": (zero - losses[name]) / (zero - losses["clean"]),
            "loss": losses[name] / fits[name].tokens,
            "loss_zero_ablated": zero / fits[name].tokens,
        }
        if name in exact:
            after, before = (fit.figures() for fit in exact_fits[name])
            for key in ("l0", "variance_explained"):
                figures[name][f"{key}_moved_by_rounding"] = after[key] - before[key]
    return figures


@torch.no_grad()
def planted_figures(bridge: TransformerBridge, pinned: Contexts, out: Path) -> dict[str, float]:
    """Over the whole corpus, at `hook_embed` as the subject computes it."""
    dictionary = on_disk.load(out / "dictionaries" / "planted")
    labels = json.loads((out / "dictionaries" / "planted" / "labels.json").read_text())
    stated = torch.zeros(VOCABULARY, len(labels), dtype=torch.bool)
    for entry in labels:
        stated[entry["tokens"], entry["feature"]] = True
    hook = dictionary.hook
    wrong, times = 0, torch.zeros(len(labels))
    for rows in np.array_split(np.arange(len(pinned)), math.ceil(len(pinned) / 256)):
        tokens, real = pinned.batch(rows)
        _, cache = bridge.run_with_cache(tokens, names_filter=[hook], stop_at_layer=1, return_cache_object=False)
        fires = dictionary.encode(cache[hook]) > 0
        wrong += int((fires != stated[tokens]).sum())
        times += fires[real].sum(0)
    sizes = stated.sum(0)
    return {
        "features": len(labels),
        "wrong_firings": wrong,
        "fewest_firings": int(times.min()),
        "single_token_features": int((sizes == 1).sum()),
        "largest_set": int(sizes.max()),
    }


def one_bit_fewer(weight: Tensor) -> Tensor:
    """Rounded to 10 significant bits; float16 keeps 11."""
    mantissa, exponent = torch.frexp(weight)
    return torch.ldexp((mantissa * 2**10).round() / 2**10, exponent)


def rounded(value: Any) -> Any:
    """Six digits, so that the file does not change with the last bit of a sum."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value


def measure(work: Path, out: Path) -> dict[str, dict[str, Any]]:
    tokenizer = load_tokenizer(out / "subject")
    documents = read_pinned(out)
    pinned = contexts_of(tokenizer, [text for _, text in documents])
    code = contexts_of(tokenizer, [text for name, text in documents if name.startswith("Lib/")])
    stored = np.load(work / "contexts.npz")
    training = Contexts(stored["tokens"], stored["lengths"])
    model = new_model().eval()
    model.load_state_dict({k: v.float() for k, v in load_file(out / "subject" / "model.safetensors").items()})
    subject: dict[str, float] = {"loss": held_out_loss(model, pinned), **count_baselines(training, pinned)}
    model.load_state_dict({k: one_bit_fewer(v) for k, v in model.state_dict().items()})
    subject["loss_with_one_bit_fewer"] = held_out_loss(model, pinned)
    before_rounding = work / "subject-float32.safetensors"
    if before_rounding.exists():
        model.load_state_dict(load_file(before_rounding))
        subject["loss_before_rounding"] = held_out_loss(model, pinned)
    bridge = bundled_subject(out).bridge
    figures = {
        "corpus": {
            "documents": len(documents),
            "tokens": int((pinned.lengths - 1).sum()),
            "contexts": len(pinned),
            "code_share": float((code.lengths - 1).sum() / (pinned.lengths - 1).sum()),
            "training_tokens": int((training.lengths - 1).sum()),
        },
        "subject": subject,
        "dictionaries": sae_figures(bridge, pinned, out, work) | {"planted": planted_figures(bridge, pinned, out)},
    }
    return {part: rounded(values) for part, values in figures.items()}


def as_markdown(figures: dict[str, dict[str, Any]]) -> str:
    """The tables of the bundle's README."""
    corpus, subject, planted = figures["corpus"], figures["subject"], figures["dictionaries"]["planted"]
    lines = [
        f"Pinned corpus: {corpus['documents']} documents, {corpus['tokens']:,} tokens, {corpus['code_share']:.0%} of"
        f" them code; trained on {corpus['training_tokens']:,} tokens.",
        "",
        "| next-token loss | nats a token |",
        "|---|---|",
    ]
    lines += [f"| {name.replace('_', ' ')} | {value:.5f} |" for name, value in subject.items()]
    lines += [
        "",
        "| dictionary | L0 | variance explained | loss recovered | loss | loss, site zeroed | never fires |",
        "|---|---|---|---|---|---|---|",
    ]
    moved: list[str] = []
    for name in RECIPES:
        row = figures["dictionaries"][name]
        lines.append(
            f"| `{name}` | {row['l0']:.1f} | {row['variance_explained']:.3f} | {row['loss_recovered']:.3f}"
            f" | {row['loss']:.3f} | {row['loss_zero_ablated']:.3f} | {row['dead_share']:.1%} |"
        )
        if "l0_moved_by_rounding" in row:
            moved.append(
                f"`{name}` {row['l0_moved_by_rounding']:+.1g} and {row['variance_explained_moved_by_rounding']:+.1g}"
            )
    if moved:
        lines += ["", f"Rounding to float16 moved L0 and variance explained by: {'; '.join(moved)}."]
    lines += [
        "",
        f"`planted`: {planted['features']} features, {planted['single_token_features']} of a single token, the"
        f" largest of {planted['largest_set']} tokens; each fires {planted['fewest_firings']} times or more,"
        f" and {planted['wrong_firings']} (token, feature) pairs of the corpus are wrong.",
    ]
    return "\n".join(lines)


def build(work: Path, out: Path) -> None:
    torch.set_num_threads(1)
    figures = measure(work, out)
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(as_markdown(figures))


def main() -> None:
    given = parser(__doc__).parse_args()
    build(given.work, given.out)


if __name__ == "__main__":
    main()
