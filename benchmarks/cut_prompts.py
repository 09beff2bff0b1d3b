"""How much of a prompt must a server cut before it is noticed, and how often is a whole prompt called cut?

    python benchmarks/cut_prompts.py REQUESTS... -- TOKENIZER...

REQUESTS are files of `autointerp run --batch-out`, TOKENIZER is a tokenizer.json, a SentencePiece model, GPT-2's
vocab.bpe (encoder.json beside it), or chars4: a quarter of the characters. Nothing is sent: the tokenizer is the
server, and what `llm/session/whole_reading.py` would conclude is worked out of its counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autointerp.llm.session.whole_reading import WholeReading

KEPT = (0.99, 0.97, 0.95, 0.9, 0.8, 0.7, 0.5)


def counter(name: str) -> Callable[[str], int]:
    """Tokens of a text."""
    if name == "chars4":
        return lambda text: len(text) // 4
    if name.endswith(".json"):
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(name)
        return lambda text: len(tokenizer.encode(text).ids)
    if name.endswith(".bpe"):
        from tokenizers import ByteLevelBPETokenizer

        bpe = ByteLevelBPETokenizer(str(Path(name).with_name("encoder.json")), name)
        return lambda text: len(bpe.encode(text).ids)
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=name)
    return lambda text: len(pieces.encode(text))


def prompts_of(paths: list[str]) -> list[str]:
    """All that a request says, of every request."""
    lines = [line for path in paths for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return ["".join(part["content"] for part in json.loads(line)["body"]["messages"]) for line in lines]


class _Counted:
    """Stands for the session's trial: a server with this tokenizer that reads so many tokens at most."""

    def __init__(self, count: Callable[[str], int], most: float) -> None:
        self.count_of, self.most, self.n = count, most, 0

    async def count(self, n: int) -> int:
        from autointerp.llm.wire.length_probes import probing_text

        self.n += 1
        return int(min(self.most, self.count_of(probing_text(n)) + 12))


def tried(prompts: list[str], tokens: list[int], count: Callable[[str], int], most: float) -> tuple[list[bool], int]:
    """Whether each reply is called cut, and the probing requests."""
    reading, trial = WholeReading(), _Counted(count, most)

    async def all_of() -> list[bool]:
        called = []
        for text, n in zip(prompts, tokens, strict=True):
            if not reading.settled:
                await reading.try_for(text, trial)
            called.append(bool(reading.reading.why_cut(text, int(min(most, n)))))
        return called

    return asyncio.run(all_of()), trial.n


def main() -> None:
    """Prints a line a tokenizer and cap."""
    at = sys.argv.index("--")
    prompts = prompts_of(sys.argv[1:at])
    rng = np.random.default_rng(0)
    prompts = [prompts[i] for i in rng.permutation(len(prompts))]
    print(f"{len(prompts)} prompts of {min(map(len, prompts)):,} to {max(map(len, prompts)):,} characters")
    for name in sys.argv[at + 1 :]:
        count = counter(name)
        tokens = [count(text) + 12 for text in prompts]
        called, n = tried(prompts, tokens, count, float("inf"))
        print(f"{Path(name).name}: no cap: {sum(called)} of {len(called)} whole prompts called cut, {n} probes")
        for kept in KEPT:
            rows: Any = []
            for quantile in (0.5, 1.0):
                most = int(kept * np.quantile(tokens, quantile))
                called, n = tried(prompts, tokens, count, most)
                cut = [more > most for more in tokens]
                found = sum(a and b for a, b in zip(called, cut, strict=True))
                false = sum(a and not b for a, b in zip(called, cut, strict=True))
                rows.append(
                    f"{found} of {sum(cut)} cut found, {false} of {len(cut) - sum(cut)} whole called cut, {n} probes"
                )
            print(f"  cap at {kept:.2f} of the median prompt: {rows[0]}; of the longest: {rows[1]}")


if __name__ == "__main__":
    main()
