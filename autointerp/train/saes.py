"""Train the three bundled SAEs on the subject's activations over its training text.

Activations at one hook point, BOS and padding dropped, are shuffled in a buffer of contexts; `sae_trainer.py` trains.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autointerp.subject.loading import load_subject
from autointerp.subject.model import Subject
from autointerp.train.on_disk import save
from autointerp.train.paths import SEED, parser
from autointerp.train.sae_trainer import BATCH, Recipe, train
from autointerp.train.subject import Contexts

BUFFER_CONTEXTS = 1_024
MLP = "blocks.0.mlp.hook_post"
RECIPES = {
    "mlp-1k": Recipe(MLP, 1_024, "standard", 18, 4_000_000),
    "mlp-2k": Recipe(MLP, 2_048, "batchtopk", 24, 2_000_000),
    "resid-1k": Recipe("blocks.1.hook_resid_pre", 1_024, "topk", 16, 3_000_000),
}


def bundled_subject(out: Path) -> Subject:
    return load_subject(str(out / "subject"), None, "raw", "float32", "cpu")


def activations(subject: Subject, hook: str, tokens: Tensor, real: Tensor) -> Tensor:
    """[tokens that are not BOS or padding, d_in]"""
    return subject.activations(tokens, [hook])[hook][real]


def batches(subject: Subject, hook: str, contexts: Contexts) -> Iterator[Tensor]:
    generator = np.random.default_rng(SEED)
    while True:
        order = generator.permutation(len(contexts))
        for start in range(0, len(order) - BUFFER_CONTEXTS + 1, BUFFER_CONTEXTS):
            rows = order[start : start + BUFFER_CONTEXTS]
            pieces = [
                activations(subject, hook, *contexts.batch(part))
                for part in np.array_split(rows, BUFFER_CONTEXTS // 64)
            ]
            buffer = torch.cat(pieces)
            buffer = buffer[torch.from_numpy(generator.permutation(len(buffer)))]
            yield from torch.split(buffer[: len(buffer) // BATCH * BATCH], BATCH)


def build(work: Path, out: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    stored = np.load(work / "contexts.npz")
    contexts = Contexts(stored["tokens"], stored["lengths"])
    subject = bundled_subject(out)
    for name in names:
        started = time.monotonic()
        print(name, flush=True)
        dictionary = train(RECIPES[name], batches(subject, RECIPES[name].hook, contexts))
        save(dictionary, out / "dictionaries" / name, torch.float16)
        save(dictionary, work / "dictionaries" / name, torch.float32)
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(RECIPES)} (default: all)")
    given = options.parse_args()
    build(given.work, given.out, given.names or list(RECIPES))


if __name__ == "__main__":
    main()
