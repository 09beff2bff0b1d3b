"""One forward pass over a sample: every hook point that anybody wants, and the loss, without all logits at once.

What passes a hook point goes to whoever asked for it and is let go of. The loss is made of the stream before the
unembedding, some places at a time: of a vocabulary of 256,000 no more than SLICE logits are ever held.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from autointerp.subject.model import Subject

BATCH_TOKENS = 1024
"""Tokens in one call of the model; one context, where it is longer."""
SLICE = 1 << 24
"""Logits that are held at a time."""
BEFORE_UNEMBEDDING = "unembed.hook_in"

Consumer = Callable[[Tensor, Tensor], None]
"""Takes what passes a hook point, [n, L, d] float32, and which places are scored, [n, L] bool."""
Edit = Callable[[Tensor], Tensor]
"""What stands at the scored places of a hook point instead, [N, d] to [N, d]."""


class _Ended(Exception):
    """Ends a forward pass; no error."""


@dataclass(frozen=True)
class ContextSample:
    """Contexts and which of their places are scored."""

    tokens: Tensor  # [n, L] int64
    scored: Tensor  # [n, L] bool

    def __len__(self) -> int:
        return len(self.tokens)

    def only(self, contexts: Tensor) -> ContextSample:
        return ContextSample(self.tokens[contexts], self.scored[contexts])


@dataclass(frozen=True)
class Losses:
    """Sums of the next-token loss, in nats, and how many tokens they are of; a context each."""

    total: Tensor  # [n] float64
    count: Tensor  # [n] int64

    def mean(self, contexts: Tensor | None = None) -> float:
        """Nats a token."""
        total, count = (self.total, self.count) if contexts is None else (self.total[contexts], self.count[contexts])
        return float(total.sum()) / max(int(count.sum()), 1)


def batches(n: int, length: int) -> list[slice]:
    rows = max(1, BATCH_TOKENS // length)
    return [slice(first, min(first + rows, n)) for first in range(0, n, rows)]


@torch.inference_mode()
def run_sample(
    subject: Subject,
    sample: ContextSample,
    consumers: Mapping[str, Sequence[Consumer]],
    *,
    after_batch: Callable[[], None] = lambda: None,
    losses: bool = False,
    edit: tuple[str, Edit] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Losses | None:
    """Runs the sample once. `progress` is told the tokens that are done; the losses are None where none are asked for.

    Losses are at scored places, of which `edit` changes one hook point on the way.
    """
    totals, counts = [], []
    for rows in batches(len(sample), sample.tokens.shape[1]):
        tokens, scored = sample.tokens[rows].to(subject.device), sample.scored[rows].to(subject.device)
        hidden = _run_batch(subject, tokens, scored, consumers, edit, losses)
        if hidden is not None:
            total, count = _loss_by_context(subject, hidden, tokens, scored)
            totals.append(total.cpu())
            counts.append(count.cpu())
        after_batch()
        progress(int(tokens.numel()))
    return Losses(torch.cat(totals), torch.cat(counts)) if totals else None


def _run_batch(
    subject: Subject,
    tokens: Tensor,
    scored: Tensor,
    consumers: Mapping[str, Sequence[Consumer]],
    edit: tuple[str, Edit] | None,
    losses: bool,
) -> Tensor | None:
    """The stream before the unembedding, where losses are wanted."""
    by_point: dict[int, list[str]] = {}  # one hook point can have several names
    for name in sorted(consumers):
        by_point.setdefault(id(subject.bridge.hook_dict[name]), []).append(name)
    left = set(by_point)
    hidden: list[Tensor] = []

    def consume(value: Tensor, hook: Any) -> None:
        flat = value.reshape(*tokens.shape, -1).float().to(subject.device)
        for name in by_point[id(hook)]:
            for consumer in consumers[name]:
                consumer(flat, scored)
        left.discard(id(hook))
        if not left and not losses:
            raise _Ended

    def change(value: Tensor, **_: object) -> Tensor:  # the hook point comes by name
        assert edit is not None
        flat = value.reshape(*tokens.shape, -1).clone()
        flat[scored] = edit[1](flat[scored].float()).to(flat.dtype)
        return flat.reshape(value.shape)

    def end(value: Tensor, **_: object) -> None:
        hidden.append(value.detach())
        raise _Ended

    hooks: list[tuple[str, Any]] = [(names[0], consume) for names in by_point.values()]
    hooks += [] if edit is None else [(edit[0], change)]
    hooks += [(BEFORE_UNEMBEDDING, end)] if losses else []
    with contextlib.suppress(_Ended):
        subject.bridge.run_with_hooks(tokens, return_type=None, fwd_hooks=hooks)
    return hidden[0] if hidden else None


def _loss_by_context(subject: Subject, hidden: Tensor, tokens: Tensor, scored: Tensor) -> tuple[Tensor, Tensor]:
    counted = scored[:, 1:]
    context = counted.nonzero()[:, 0]
    stream, goal = hidden[:, :-1][counted.to(hidden.device)], tokens[:, 1:][counted]
    total = torch.zeros(len(tokens), dtype=torch.float64)
    for some in slices(len(stream), subject.d_vocab):
        nats = F.cross_entropy(logits_of(subject, stream[some]), goal[some].to(stream.device), reduction="none")
        total.index_add_(0, context[some].cpu(), nats.double().cpu())
    return total, counted.sum(dim=1)


def slices(n: int, d_vocab: int) -> list[slice]:
    """Places whose logits are held together."""
    rows = max(1, SLICE // d_vocab)
    return [slice(first, min(first + rows, n)) for first in range(0, n, rows)]


@torch.inference_mode()
def logits_of(subject: Subject, stream: Tensor) -> Tensor:
    """The model's logits from the stream before its unembedding, [N, d_model] to [N, V] float32."""
    logits = subject.bridge.unembed(stream[None])[0]
    transformed: Tensor = subject.bridge.adapter.apply_output_logits_transform(logits)
    return transformed.float()
