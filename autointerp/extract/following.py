"""What a feature does to the tokens that follow: it is taken away from a whole context, at every token where it fires.

The change of each token's log probability is that of the model without the feature from the model as it is. Below 0:
the feature makes the token likelier. (The underlined tokens of Towards Monosemanticity's pages.)
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from autointerp.extract.ablate import contributions
from autointerp.extract.feature_reader import FeatureReader
from autointerp.extract.firings import Firings
from autointerp.records import Bool, Float64
from autointerp.subject.model import Subject
from autointerp.subject.patching import written_at
from autointerp.subject.sample_pass import BEFORE_UNEMBEDDING, logits_of, slices


@dataclass(frozen=True)
class FollowingEffects:
    """In one context, for the tokens behind the first at which the feature fires."""

    start: int
    """Position of the first of them."""
    logp_change: Float64
    """[n] nats, of each from there to the context's end."""
    n_firing: int
    """Tokens of the context from which the feature was taken away."""


class _StreamRead(Exception):
    """Ends a forward pass; no error."""


def follow(
    reader: FeatureReader, hook_out: str, ids: Int[Tensor, " L"], counted: Bool, context: int
) -> FollowingEffects | None:
    """`hook_out`: where the dictionary writes; `counted` [L]: where a firing counts.

    None: it fires nowhere there, or at the last token only.
    """
    x = reader.subject.activations(ids[None], [reader.dictionary.hook])[reader.dictionary.hook][0]
    activation = reader.of(x).numpy() * counted
    places = np.flatnonzero(activation > 0)
    if not len(places) or places[0] + 1 >= len(ids):
        return None
    firings = Firings(
        split="explain",
        feature=np.full(len(places), reader.feature),
        context=np.full(len(places), context),
        position=places.astype(np.int32),
        activation=activation[places].astype(np.float32),
    )
    taken = contributions(reader.dictionary, firings, x.cpu()[torch.from_numpy(places)])
    removed = torch.zeros(len(ids), taken.shape[1])
    removed[torch.from_numpy(places)] = taken
    added = torch.stack([torch.zeros_like(removed), -removed]).to(ids.device)
    logp = next_logp(reader.subject, hook_out, ids, added)
    start = int(places[0]) + 1
    return FollowingEffects(start, (logp[1] - logp[0])[start - 1 :], len(places))


@torch.inference_mode()
def next_logp(subject: Subject, hook: str, ids: Int[Tensor, " L"], added: Float[Tensor, "R L d"]) -> Float64:
    """Log probability of each token but the first, with each of `added` added at the hook point, [R, L - 1] nats."""
    streams: list[Tensor] = []

    def patch(activation: Tensor, hook: Any) -> Tensor:  # noqa: ARG001 - by that name
        flat = activation.reshape(*added.shape[:2], -1)
        return (flat + added.to(flat.dtype)).reshape(activation.shape)

    def end(stream: Tensor, hook: Any) -> None:  # noqa: ARG001 - by that name
        streams.append(stream.detach())
        raise _StreamRead

    tokens = ids.expand(len(added), -1)
    with contextlib.suppress(_StreamRead):
        subject.bridge.run_with_hooks(
            tokens, return_type=None, fwd_hooks=[(written_at(hook), patch), (BEFORE_UNEMBEDDING, end)]
        )
    stream, target = streams[0][:, :-1].flatten(0, 1), tokens[:, 1:].flatten()
    parts = [
        logits_of(subject, stream[some]).log_softmax(dim=-1).gather(1, target[some, None].to(stream.device))[:, 0]
        for some in slices(len(stream), subject.d_vocab)
    ]
    logp = torch.cat(parts).double().cpu().view(len(added), -1)
    return np.asarray(logp.numpy())
