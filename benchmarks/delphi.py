"""What delphi's cache and examples cost beside our pass 1 and its store: CPU seconds on one core, memory, disk.

    make bench-delphi      or      python benchmarks/delphi.py [--tokens 65536] [--min-examples 200]

Both get the same random subject, TopK dictionary and tokens as benchmarks/extraction.py (its 8,192 features), each in
a process of its own, on one thread. Ours is pass 1 and the rows in their store. Delphi's is `LatentCache` to split
files, then `LatentDataset` read to its end, with its default configuration. To be read with care:

- delphi finishes only latents with at least --min-examples examples (default: its own 200): the fewer tokens, the
  fewer latents; of the others it collects the windows and drops them. We write rows of every feature.
- its tokenizer is a stand-in that prints numbers, since the subject has none: real decoding costs more.
- its dictionary hands out all latents, mostly zeros, since that is what the cache takes.
- its examples stay in memory; ours, with statistics, score windows and a pool, go to disk: disk and memory differ.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import extraction as bench

# This file's folder comes first on the path: `delphi` would be this file.
sys.path.remove(str(Path(__file__).resolve().parent))

WIDTH, CONTEXTS = 8_192, 8
PORTION = 512
"""Rows in an encoding of ours; delphi's get the same."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Our pass 1 and store beside delphi's cache and examples.")
    parser.add_argument("--tokens", type=int, default=1 << 16)
    parser.add_argument("--min-examples", type=int, default=200, help="delphi's threshold for a latent")
    parser.add_argument("--child", choices=("ours", "delphi"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        side = ours(given.tokens) if given.child == "ours" else delphi(given.tokens, given.min_examples)
        print(json.dumps(side))
        return
    options = ["--tokens", str(given.tokens), "--min-examples", str(given.min_examples)]
    sides = {side: bench.child(__file__, side, *options)[1] for side in ("ours", "delphi")}
    print(
        f"{given.tokens:,} tokens, {WIDTH:,} TopK features, delphi {version('eai-delphi')}, CPU seconds on one thread"
    )
    print("| | cache | rows or examples | both | features with examples | peak MB above loaded | disk MB |")
    print("|" + " --- |" * 7)
    for name, side in sides.items():
        seconds = [side["cache"], side["examples"], side["cache"] + side["examples"]]
        rest = [f"{side['features']:,}", f"{side['memory']:.0f}", f"{side['disk']:.0f}"]
        print("| " + " | ".join([name, *(f"{one:.1f}" for one in seconds), *rest]) + " |")
    us, them = (side["cache"] + side["examples"] for side in sides.values())
    print(f"delphi / ours: {them / us:.2f}")
    print(
        f"delphi leaves out latents with fewer than {given.min_examples} examples, ours none; "
        "its tokenizer is a stand-in that decodes nothing."
    )


def ours(n_tokens: int) -> dict[str, float]:
    """Pass 1 and its rows in a store."""
    import numpy as np
    import torch

    from autointerp.extract.selected import Selected

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        subject, tokens = bench.make_subject(Path(folder), n_tokens)
        chosen = Selected(bench.make_dictionary(subject, tokens, "topk", WIDTH), np.arange(WIDTH))
        loaded = bench.resident_mb()
        cache, summary = bench.cpu(lambda: bench.pass_one(subject, tokens, chosen))
        path = Path(folder) / "bench.store"
        rows, _ = bench.cpu(lambda: bench.write_rows(path, subject, tokens, chosen, [summary]))
        return {
            "cache": cache,
            "examples": rows,
            "features": int((summary.statistics.n_firing.sum(axis=0) > 0).sum()),
            "memory": bench.peak_mb() - loaded,
            "disk": path.stat().st_size / 1e6,
        }


def delphi(n_tokens: int, min_examples: int) -> dict[str, float]:
    """Delphi's cache in split files, and the examples of every latent that has enough."""
    import numpy as np
    import torch
    from delphi.config import CacheConfig, ConstructorConfig, SamplerConfig
    from delphi.latents import LatentCache, LatentDataset
    from transformers import AutoModel

    torch.set_num_threads(1)
    logging.getLogger("delphi").setLevel("ERROR")  # else a line for each latent left out
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        subject, tokens = bench.make_subject(Path(folder), n_tokens)
        dictionary = bench.make_dictionary(subject, tokens, "topk", WIDTH)
        model = AutoModel.from_pretrained(Path(folder) / "model").eval()
        ids = torch.from_numpy(np.asarray(tokens.tokens).astype("int64"))
        del subject
        latents = Path(folder) / "latents"
        latents.mkdir()
        loaded = bench.resident_mb()

        def encode(x: torch.Tensor) -> torch.Tensor:
            parts = [dictionary.encode(part) for part in torch.split(x.flatten(0, 1), PORTION)]
            return torch.cat(parts).view(*x.shape[:2], -1)

        def fill() -> None:
            cache = LatentCache(model, {"h.2": encode}, batch_size=CONTEXTS)
            cache.run(n_tokens, ids)
            cache.save_splits(n_splits=5, save_dir=latents)
            config = CacheConfig(cache_ctx_len=bench.CONTEXT, n_tokens=n_tokens, batch_size=CONTEXTS)
            cache.save_config(latents, config, "random")

        def construct() -> int:
            config = ConstructorConfig(min_examples=min_examples)
            return sum(1 for _ in LatentDataset(latents, SamplerConfig(), config, tokenizer=Numbers()))

        cached, _ = bench.cpu(fill)
        constructed, n = bench.cpu(construct)
        disk = sum(path.stat().st_size for path in latents.rglob("*") if path.is_file())
        return {
            "cache": cached,
            "examples": constructed,
            "features": n,
            "memory": bench.peak_mb() - loaded,
            "disk": disk / 1e6,
        }


class Numbers:
    """Stands in for a tokenizer: a token's text is its number."""

    def batch_decode(self, ids: Any, **_: Any) -> list[str]:
        return [str(one) for one in (ids.tolist() if hasattr(ids, "tolist") else ids)]

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return " ".join(map(str, ids))


if __name__ == "__main__":
    main()
