"""Time and memory of geometry and similarity at a width of 131,072, by synthetic TopK dictionaries and activations.

    OMP_NUM_THREADS=1 python benchmarks/wide_geometry.py [--width 131072 --d 768 --tokens 8192 --k 32]

1. Directions are random; activations are sums of a few of them with noise, so that features fire on more than one
   token. The second dictionary has the first one's directions in another order, with noise.
2. The steps of the stages are taken one after the other, by their own functions, on one core; printed are the CPU
   seconds of each and the highest memory so far.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch
from torch import Tensor

from autointerp.extract.geometry import beside_others, unit_rows
from autointerp.extract.similarity import best_matches, linear_cka, rsa
from autointerp.pipeline.stages.geometry import PlacedSample, describe
from autointerp.pipeline.stages.similarity import GRAM_TOKENS, activations_of, gram_of, largest_cosine
from autointerp.subject.dictionary import SparseAutoencoder

HOOK = "blocks.6.hook_resid_post"
CPU = torch.device("cpu")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Prints what a step took, and the highest memory so far."""
    begun = time.process_time()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:48} {time.process_time() - begun:7.1f} CPU s, peak {peak:6,.0f} MB", flush=True)


def tied(directions: Tensor, k: int) -> SparseAutoencoder:
    """A TopK SAE whose encoder is its decoder."""
    n, d = directions.shape
    return SparseAutoencoder(HOOK, "topk", directions.T, torch.zeros(n), directions, torch.zeros(d), k=k)


def activations(directions: Tensor, n: int, k: int, generator: torch.Generator) -> Tensor:
    """[n, d] sums of k directions, those of low number most often, with noise."""
    drawn = (torch.rand(n, k, generator=generator) ** 3 * len(directions)).long()
    size = torch.rand(n, k, 1, generator=generator) + 0.5
    signal = torch.stack([(directions[some] * sizes).sum(dim=0) for some, sizes in zip(drawn, size, strict=True)])
    return signal + 0.02 * torch.randn(signal.shape, generator=generator)


@click.command()
@click.option("--width", default=131_072, show_default=True)
@click.option("--d", default=768, show_default=True)
@click.option("--tokens", default=8192, show_default=True)
@click.option("--k", default=32, show_default=True)
@click.option("--features", default=128, show_default=True, help="Features whose geometry is asked about.")
def main(width: int, d: int, tokens: int, k: int, features: int) -> None:
    """Prints a line a step."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    with timed("made up: two dictionaries, activations"):
        directions = unit_rows(torch.randn(width, d, generator=generator))
        order = torch.randperm(width, generator=generator)
        noisy = directions[order] + 0.3 / d**0.5 * torch.randn(width, d, generator=generator)
        a, b = tied(directions, k), tied(unit_rows(noisy), k)
        del noisy
        x = activations(directions, tokens, k // 4, generator)
        sample = PlacedSample({HOOK: x}, {})
    asked = np.linspace(0, width - 1, features).astype(np.int64)
    with timed(f"geometry of {features} features and twice as many random"):
        rows = unit_rows(a.directions)
        drawn = np.random.default_rng(0).standard_normal((2 * features, d))
        vectors = np.concatenate([a.directions[torch.from_numpy(asked)].double().numpy(), drawn])
        beside_others(rows, np.arange(width), vectors, np.tile(asked, 3), rows[:3072])
        del rows
    with timed("description length"):
        describe(a, sample, CPU)
    places = sample.places([a, b])
    with TemporaryDirectory() as folder, timed(f"token relations of {GRAM_TOKENS:,} tokens, CKA and RSA"):
        few = places[:: max(1, len(places) // GRAM_TOKENS)][:GRAM_TOKENS]
        of_a, of_b = (gram_of(one, sample, few, Path(folder)) for one in (a, b))
        said = linear_cka(of_a, of_b), rsa(of_a, of_b)[0]
    with timed("activations of both"):
        fired, other = (activations_of(one, sample, places) for one in (a, b))
    with timed("best matches of all features of A in B"):
        matches = best_matches(fired, other)
    with timed("largest cosines"):
        cosine = largest_cosine(a, b, asked)
    known = matches.feature >= 0
    right = (order.numpy()[matches.feature[known]] == np.flatnonzero(known)).mean()
    print(
        f"{known.sum():,} features are matched, {right:.3f} with their own twin; CKA {said[0]:.2f}, RSA {said[1]:.2f}, "
        f"mean largest cosine {cosine:.2f}"
    )


if __name__ == "__main__":
    main()
