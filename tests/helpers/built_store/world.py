"""The tokens and true activations that the store is written from, and what a simulator predicts of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPLITS = ("explain", "select", "score")
N_CONTEXTS, LENGTH, WINDOW, VOCAB, BLOCKS, N_FEATURES = 192, 16, 8, 40, 32, 6
DEAD, RARE = 4, 5
EXPLAINERS = ("lexical", "token_lookup", "shuffled", "constant")
HOSTILE = "\x1b[31m[red]\u202e\n"
"""The text of token 39: an escape sequence, rich markup, a direction mark, a line break."""


@dataclass(frozen=True)
class World:
    """Tokens and true activations that a store is written from."""

    tokens: np.ndarray  # [C, L]
    scored: np.ndarray  # [C, L]
    length: np.ndarray  # [C] tokens of each context; the rest is padding
    split: np.ndarray  # [C]
    document: np.ndarray  # [C]
    block: np.ndarray  # [C]
    truth: dict[str, np.ndarray]  # dictionary -> [F, C, L] float32

    def windows(self, split: str) -> list[tuple[int, int]]:
        """(context, window_start) of the windows of a split with a scored token."""
        return [
            (int(c), s)
            for c in np.flatnonzero(self.split == split)
            for s in range(0, LENGTH, WINDOW)
            if self.scored[c, s : s + WINDOW].any()
        ]


def make_world() -> World:
    rng = np.random.default_rng(7)
    tokens = rng.integers(1, VOCAB, (N_CONTEXTS, LENGTH)).astype(np.int32)
    tokens[:, 0] = 0
    length = np.full(N_CONTEXTS, LENGTH)
    length[[3, -1]] = 12
    scored = (tokens != 0) & (np.arange(LENGTH) < length[:, None])
    document = np.arange(N_CONTEXTS) // 2
    split = np.array(["explain", "select", "score", "explain"])[document % 4]
    place = np.arange(N_CONTEXTS)[:, None] * 7 + np.arange(LENGTH) * 3
    truth = {}
    for name, offset in (("sae", 5), ("random", 20)):
        acts = np.zeros((N_FEATURES, N_CONTEXTS, LENGTH), np.float32)
        for f in range(N_FEATURES):
            fires = scored & (tokens == offset + f)
            if f == RARE:
                fires &= np.arange(N_CONTEXTS)[:, None] % 24 < 5
            if f == DEAD:
                fires &= False
            acts[f] = np.where(fires, (1 + place % 5 / 4) * (1 + f / 3), 0)
        acts[1] = np.where(scored & (tokens == 39), 1.5, acts[1])  # a second token, the hostile one
        truth[name] = acts
    return World(tokens, scored, length, split, document, document % BLOCKS, truth)


def pools(world: World) -> dict[str, list[tuple[int, int]]]:
    """Windows of the shared pools of select and score."""
    found = {}
    for split, n in (("select", 12), ("score", 25)):
        windows = world.windows(split)
        found[split] = [windows[i] for i in np.random.default_rng(3).permutation(len(windows))[:n]]
    return found


def prediction_of(world: World, f: int, explainer: str, name: str) -> np.ndarray:
    """[C, L] what the simulator says for an explanation."""
    token = (5 if name == "sae" else 20) + f
    if explainer == "constant":
        return world.scored * 0.25
    if explainer == "shuffled":
        token = (token - 4) if name == "sae" else 30
    value = 1.0 if explainer == "token_lookup" else 2.0
    broad = 0.2 if explainer == "lexical" else 0.0
    return np.where(world.scored & (world.tokens == token), value, world.scored * (world.tokens % 9 == 0) * broad)
