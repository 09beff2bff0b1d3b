"""The records that the two halves exchange. NumPy arrays only: no torch, no duckdb.

The subject half (`subject`, `extract`) makes them, the LLM half (`explain`, `score`) reads them, the
store keeps them. Letters in shapes: F features of one dictionary, E firings (non-zero activations),
V vocabulary, B document blocks, W windows, L tokens of a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Split = Literal["explain", "select", "score"]
SPLITS: tuple[Split, ...] = get_args(Split)

FeatureStatus = Literal["alive", "rare", "dead"]
RARE_BELOW = 20
"""A feature with fewer firings than this on the explain split is `rare`."""

N_BLOCKS = 32
"""Documents are grouped by hash into this many blocks: the unit of document resampling."""

ANY_TOKEN = -1
"""`previous` of a lookup entry that holds whatever the token before."""

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EventBatch:
    """Non-zero activations of one dictionary, sorted by (feature, context, position)."""

    feature: Int32  # [E]
    context: Int64  # [E] index of the context in the token file
    position: Int32  # [E] position in the context
    value: Float32  # [E] activation, in the dictionary's own scale
    token: Int32  # [E] token id at the position
    previous: Int32  # [E] token id before it; -1 at position 0
    block: Int32  # [E] document block, 0 .. N_BLOCKS - 1


@dataclass(frozen=True)
class GramTable:
    """Activation mass by token, or by (previous token, token), of the explain split. CSR by feature.

    Entries of a feature are sorted by falling mass. Exact where `mass_error` is 0; elsewhere each
    listed mass may lack at most `mass_error`.
    """

    start: Int64  # [F + 1] entries of feature f are start[f] : start[f + 1]
    previous: Int32  # [entries] ANY_TOKEN in a table of single tokens
    token: Int32  # [entries]
    mass: Float64  # [entries] sum of the activation over its occurrences
    n_firing: Int64  # [entries] occurrences with non-zero activation
    n_seen: Int64  # [entries] occurrences in the explain split, firing or not
    mass_error: Float64  # [F]
    share: Float64 | None = None  # [F] of the tokens that this was counted on and scaled up from; None: all


@dataclass(frozen=True)
class LookupTable:
    """For each feature of a dictionary, what a simulator looks up: CSR by feature.

    The prediction at a token is the value of the longest match: the entry (previous, token) if there
    is one, else (ANY_TOKEN, token), else 0.
    """

    start: Int64  # [F + 1]
    previous: Int32  # [entries] ANY_TOKEN, or the token that must stand before
    token: Int32  # [entries]
    value: Float32  # [entries] expected activation, in the dictionary's own scale
    probability: Float32  # [entries] expected share of occurrences that fire

    @property
    def n_features(self) -> int:
        return len(self.start) - 1


@dataclass(frozen=True)
class BlockCounts:
    """How often tokens and pairs of tokens stand in each document block of one split (scored tokens only)."""

    tokens: Int64  # [B, V]
    pair_block: Int32  # [pairs], sorted by (block, previous, token)
    pair_previous: Int32  # [pairs] -1 where the token is the first of its context
    pair_token: Int32  # [pairs]
    pair_count: Int64  # [pairs]

    @property
    def n_tokens(self) -> Int64:
        """Scored tokens of each block, [B]."""
        return np.asarray(self.tokens.sum(axis=1), dtype=np.int64)


@dataclass(frozen=True)
class Windows:
    """Some windows of one split with their tokens; `L` is the window length, short windows are padded."""

    window: Int64  # [W] global window number: context * windows per context + index in the context
    context: Int64  # [W]
    block: Int32  # [W]
    tokens: Int32  # [W, L]
    previous: Int32  # [W, L] the token before each token; -1 at position 0 of the context
    scored: Bool  # [W, L] False at special tokens and padding

    def __len__(self) -> int:
        return len(self.window)


@dataclass(frozen=True)
class FeatureWindows:
    """The firing windows of the select or score split kept for one feature, and the numbers that weigh them."""

    feature: int
    n_windows: int  # N: windows of the split with at least one scored token
    n_firing_windows: int  # N_F
    window: Int64  # [K] windows kept: the top ones first, then the reservoir's by rising u
    stratum: npt.NDArray[np.str_]  # [K] "T" or "F"
    maximum: Float32  # [K] largest activation in the window
    u: Float64  # [K] hash01(seed, feature, window)
    truth: Float32  # [K, L] activations, 0 where silent or not scored


@dataclass(frozen=True)
class ShownExemplar:
    """An exemplar as an explainer is shown it: L tokens around its peak, after up to `left` tokens of context."""

    feature: int
    split: str
    stratum: str
    rank: int
    context: int
    start: int  # position of the first of its tokens in the context
    peak: int  # index in `tokens` of the token that it was chosen for
    low: float | None  # activations of its stratum, where it is a quantile or an interval
    high: float | None
    probability: float
    before: Int32  # [left or fewer] tokens of the context that end where it begins; their activations are not kept
    tokens: Int32  # [L]
    scored: Bool  # [L] False at special tokens
    activations: Float32  # [L] 0 where silent
    document: int  # number of its document
    offset: int  # of its first token in the document


@dataclass(frozen=True)
class Explanation:
    """What an explainer says a feature does."""

    feature: int
    explainer: str
    text: str
    status: str  # "ok", or why there is none
    donor: int | None = None  # for `shuffled`: the feature whose explanation this is
    promotes: str = ""  # the second answer, where the explainer gives one: which tokens it makes likelier
    triggers: tuple[str, ...] = ()  # tokens that the explainer expects to fire it


@dataclass(frozen=True)
class Score:
    """A number computed from stored truth and stored predictions, or the reason why there is none."""

    feature: int
    explainer: str
    scorer: str
    metric: str
    design: str  # "census" | "sample"
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int  # tokens (census) or windows (sample) behind the value
    n_failed: int
    status: str  # ok | constant | few_documents | underpowered | fewer | rare | dead | failed ...


@dataclass(frozen=True)
class Matches:
    """Correlations between the activations of dictionaries A and B over the same tokens; A and B features in shapes."""

    n_tokens: int  # tokens read
    n_firing_a: Int64  # [A] of these, those with a non-zero activation
    n_firing_b: Int64  # [B]
    edge_a: Int64  # [pairs] features of A and B that correlate by `extract.correlate.LEAST` or more
    edge_b: Int64  # [pairs]
    edge_r: Float64  # [pairs]
    best_of_a: Int64  # [A] the feature of B with the highest correlation; -1 where there is none to be had
    r_of_a: Float64  # [A] that correlation; nan likewise
    best_of_b: Int64  # [B] the feature of A with the highest correlation
    r_of_b: Float64  # [B]
