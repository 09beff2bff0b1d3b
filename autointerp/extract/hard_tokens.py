"""Tokens that are hard to tell from those that a feature promotes, and are not promoted: three kinds.

Tokens drawn at random are told by their shape, by the length of their row of the unembedding, by what the shown tokens
have in common. So beside the promoted tokens of ranks 11 to 60 stand
    similar     tokens as similar to the ten shown ones as these (mean cosine in the centred unembedding), of own rank
                past 600
    same_norm   tokens of the same length of their row of the centred unembedding and as frequent, of own rank past 600
    neighbour   tokens that the nearest other features promote (cosine of the effects below .9), of own rank past 200
of which a judge is asked about some (`score/scorers/hard_logits.py`). The same of what a feature suppresses, and of the
tokens that measurably rise or fall where it is clamped.

1. The effects of a feature over the vocabulary give its ranks; in a small vocabulary the limits are shares of it.
2. similar, same_norm: each promoted token in turn, the most similar first, takes the nearest token that is still free;
   twice over, so that there is another where one falls out.
3. neighbour: cosines of effects come from the directions and the covariance of the unembedding's rows (the effects'
   mean is taken off instead of their median, which changes no cosine by much); the nearest feature's tokens first, by
   its own ranks, then the next one's.

Letters in shapes: F features, n tokens that stand in the corpus, d width of the residual stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from autointerp.extract.effects import TOP, LogitPath, StrongestEffects
from autointerp.extract.free_tokens import first_free, nearest_free, of_others
from autointerp.records import Bool, Int64

N_SHOWN = 10
"""Promoted tokens that explainers see; those behind them are asked about."""
FAR, BEYOND = 600, 200
"""Own ranks past which a token counts as not promoted: similar and same_norm; neighbour."""
LARGEST_SHARE = {FAR: 4, BEYOND: 12}
"""In a small vocabulary these ranks are its 4th and its 12th part."""
NEAREST = 8
"""Other features of which tokens are taken, at most."""
MOST_ALIKE = 0.9
"""Cosine of effects from which two features promote the same."""
N_EACH = 100
"""Tokens of each kind, at most: twice as many as are promoted."""
N_NEAR = 64
"""Tokens of like norm and frequency that are looked at for each promoted one."""
CHUNK = 256


@dataclass(frozen=True)
class HardTokens:
    """Of each feature tokens of each kind, and what each is made like."""

    features: Int64
    similar: list[list[int]]
    similar_to: list[list[int]]
    same_norm: list[list[int]]
    same_norm_as: list[list[int]]
    neighbour: list[list[int]]
    of_neighbour: list[list[int]]
    """The feature that promotes each."""


@torch.inference_mode()
def hard_tokens(
    path: LogitPath,
    directions: Tensor,
    strongest: StrongestEffects,
    fit: Bool,
    frequency: Int64,
    side: str = "promoted",
) -> HardTokens:
    """`directions` [width, d_in], `strongest` of all features.

    `fit` [V]: tokens that may be asked about; `frequency` [V] in the corpus. What a feature suppresses, the opposite
    direction promotes: `side` "suppressed" is of that.
    """
    ids, rows = path.ids.cpu().numpy(), path.unembed.T
    sign = 1.0 if side == "promoted" else -1.0
    written = sign * torch.cat(
        [
            path.written(directions[torch.from_numpy(strongest.features[first : first + CHUNK])])
            for first in range(0, len(strongest.features), CHUNK)
        ]
    )
    promoted = _places(ids, len(fit))[strongest.token[side]]  # [F, 60]
    others = _nearest_features(written, rows - rows.mean(dim=0))
    return _hard(
        strongest.features, promoted, others, lambda part: path.effects(written[part]), rows, ids, fit, frequency
    )


@torch.inference_mode()
def hard_tokens_of_changes(
    unembedding: Tensor, ids: Int64, features: Int64, change: Tensor, ranked: Int64, fit: Bool, frequency: Int64
) -> HardTokens:
    """The same of measured effects: `change` [F, n] of the tokens `ids`, whose `unembedding` is [n, d]; `ranked`
    [F, 60] are those that change most, the ten shown first. The nearest features are looked for among these."""
    centred = change - change.mean(dim=1, keepdim=True)
    unit = centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-30)
    others = _nearest_of(lambda part: unit[part] @ unit.T, len(features))
    promoted = _places(ids, len(fit))[ranked]
    return _hard(features, promoted, others, lambda part: change[part], unembedding, ids, fit, frequency)


def _places(ids: np.ndarray, n_vocabulary: int) -> np.ndarray:
    """[V] where each token stands among `ids`; -1: nowhere."""
    place = np.full(n_vocabulary, -1, dtype=np.int64)
    place[ids] = np.arange(len(ids))
    return place


def _hard(
    features: Int64,
    promoted: np.ndarray,
    others: Sequence[Sequence[int]],
    effects_of: Callable[[slice], Tensor],
    unembedding: Tensor,
    ids: np.ndarray,
    fit: Bool,
    frequency: Int64,
) -> HardTokens:
    """`promoted` [F, 60] places among `ids`, `others` the nearest features of each, `unembedding` [n, d]."""
    allowed = torch.from_numpy(fit[ids]).to(unembedding.device)
    rows = unembedding - unembedding.mean(dim=0)
    unit = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-30)
    near = _alike_in_norm(rows.norm(dim=1).cpu().numpy(), frequency[ids], fit[ids])
    made: list[list[Int64]] = [[] for _ in range(6)]
    for first in range(0, len(features), CHUNK):
        effect = effects_of(slice(first, first + CHUNK))
        mine = torch.from_numpy(promoted[first : first + CHUNK]).to(effect.device)
        far, beyond = ((effect < _value_at(effect, rank)) & allowed for rank in (FAR, BEYOND))
        likeness = unit[mine[:, :N_SHOWN]].mean(dim=1) @ unit.T  # [C, n]
        best = likeness.masked_fill(~far, -torch.inf).topk(min(1024, len(ids)), dim=1)
        asked = mine[:, N_SHOWN:]
        columns = (best.indices, best.values, asked, likeness.gather(1, asked), far, beyond)
        index, value, own, wanted, is_far, is_beyond = (column.cpu().numpy() for column in columns)
        of_chunk = (
            *nearest_free(value, index, wanted, own),
            *first_free(near, own, is_far),
            *of_others(others[first : first + CHUNK], promoted, is_beyond, N_EACH),
        )
        for column, tokens in zip(made, of_chunk, strict=True):
            column.extend(tokens)
    of_tokens: list[list[list[int]]] = [[ids[tokens].tolist() for tokens in column] for column in made[:5]]
    similar, similar_to, same_norm, same_norm_as, neighbour = of_tokens
    of_neighbour = [features[numbers].tolist() for numbers in made[5]]
    return HardTokens(features, similar, similar_to, same_norm, same_norm_as, neighbour, of_neighbour)


def _value_at(effect: Tensor, rank: int) -> Tensor:
    """The effect at a rank, [C, 1]; in a small vocabulary at a share of it, but past all promoted tokens."""
    n = effect.shape[1]
    counted = min(max(min(rank, n // LARGEST_SHARE[rank]), TOP["promoted"]), n)
    return effect.kthvalue(n - counted + 1, dim=1, keepdim=True).values


def _alike_in_norm(norm: np.ndarray, frequency: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """For each token the N_NEAR fit ones nearest in length and frequency, both as logarithms over their spread:
    [n, N_NEAR] of the n tokens, the nearest first."""
    traits = np.stack([np.log(np.maximum(norm, 1e-30)), np.log(np.maximum(frequency, 1))], axis=1)
    traits = (traits - traits.mean(axis=0)) / np.maximum(traits.std(axis=0), 1e-12)
    candidates = np.flatnonzero(fit)
    if not len(candidates):
        return np.zeros((len(norm), 0), dtype=np.int64)
    _, index = cKDTree(traits[candidates]).query(traits, k=min(N_NEAR, len(candidates)))
    return np.asarray(candidates[index.reshape(len(norm), -1)])


def _nearest_features(written: Tensor, rows: Tensor) -> list[list[int]]:
    """Step 3: of each feature the NEAREST others of largest cosine of effects, below MOST_ALIKE. [F, d], [n, d]."""
    covariance = rows.T @ rows
    through = written @ covariance
    length = (through * written).sum(dim=1).clamp(min=1e-30).sqrt()
    return _nearest_of(lambda part: through[part] @ written.T / (length[part, None] * length), len(written))


def _nearest_of(cosines: Callable[[slice], Tensor], n: int) -> list[list[int]]:
    """Of n features the NEAREST others, from the rows of their cosines."""
    nearest: list[list[int]] = []
    for first in range(0, n, CHUNK):
        cosine = cosines(slice(first, first + CHUNK))
        index = torch.arange(len(cosine), device=cosine.device)
        cosine[index, index + first] = -1.0
        best = cosine.masked_fill_(cosine >= MOST_ALIKE, -1.0).topk(min(NEAREST, n), dim=1)
        for values, features in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            nearest.append([one for value, one in zip(values, features, strict=True) if value > 0])
    return nearest
