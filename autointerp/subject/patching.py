"""The model with a vector added at one position of a hook point, or with some at positions in a row: its logits there
and at the positions behind it.

Two ways with the same results. `WholePasses` runs the bridge on each context again, from its first token.
`SuffixPasses` runs the plain model on the tokens from the position on: what stands before it is not changed, so its
keys and values are computed once for a context and shared by all rows. Whether the plain model agrees is tried out on a
context of the corpus before it is used.

What is added is added where it counts for what comes after: to `hook_resid_mid`, which a plain block never holds in a
module of its own, as what the attention puts out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.hook_places import hook_places
from autointerp.subject.model import Subject
from autointerp.subject.output_gradients import OutputGradients, output_gradients

AGREES = {"float32": 1e-3}
"""Largest difference of logits, as a share of their largest change: the same."""
AGREES_LOOSELY = 5e-2
"""In half precision."""
WHOLE_AT_ONCE, SUFFIX_AT_ONCE = 8, 64
"""Positions at which the output is differentiated together, at most."""
CACHE_AT_ONCE = 1 << 27
"""Keys and values that are held for that, 512 MB."""


@runtime_checkable
class PatchedPasses(Protocol):
    """Runs one context many times, each time with something else added."""

    @property
    def after(self) -> int:
        """Positions behind the patched one whose logits are returned."""
        ...

    def open(self, tokens: Int[Tensor, " L"]) -> PatchedContext:
        """The context whose rows follow."""
        ...

    def gradients(
        self, opened: Sequence[PatchedContext], positions: Sequence[Int[Tensor, " R"]], width: int
    ) -> OutputGradients:
        """Of some positions of each of the contexts, one behind the other, by the `width` coordinates there. No
        position may be a context's last. Raises RuntimeError where the model cannot be differentiated."""
        ...


@runtime_checkable
class PatchedContext(Protocol):
    """A context that is run again and again."""

    def logits(self, positions: Int[Tensor, " R"], added: Float[Tensor, "R *m d"]) -> Float[Tensor, "R n V"]:
        """float32 logits at each row's position and the `after` behind it; past the context's end they mean nothing.

        `added` [R, d] is added at the position; [R, m, d] there and at the m - 1 behind it, which must be in the
        context and among the `after`."""
        ...

    def last_streams(
        self, positions: Int[Tensor, " R"], added: Float[Tensor, "R d"]
    ) -> tuple[Float[Tensor, "R n V"], Float[Tensor, "R d_model"] | None]:
        """`logits`, and float32 what stands in the residual stream at each row's position behind the last block, before
        the final norm; None where it cannot be read."""
        ...


def patched_passes(subject: Subject, hook: str, after: int, tokens: Int[Tensor, " L"]) -> PatchedPasses:
    """The faster of the two that gives the bridge's logits on this context. Raises InputError where what is added at
    the hook point reaches no logit."""
    whole = WholePasses(subject, hook, after)
    quick = _suffix_passes(subject, hook, after)
    position = torch.tensor([max(1, len(tokens) // 2)], device=subject.device)
    width = subject.width(hook)
    kick = torch.randn(1, width, generator=torch.Generator().manual_seed(0)).to(subject.device)
    kick = kick * typical_norm(subject, hook, tokens) / kick.norm()
    before = whole.open(tokens).logits(position, torch.zeros_like(kick))
    expected = whole.open(tokens).logits(position, kick)
    change = (expected - before).abs().max()
    if not bool(change > 0):
        raise InputError(f'"{subject.name}": what is added at "{hook}" changes no logit')
    if quick is None:
        return whole
    limit = agreement(subject) * change
    n = min(after + 1, len(tokens) - int(position))
    try:
        opened = quick.open(tokens)
        same = (opened.logits(position, kick) - expected)[:, :n].abs().max() <= limit
        same &= (opened.logits(position, torch.zeros_like(kick)) - before)[:, :n].abs().max() <= limit
    except (RuntimeError, TypeError, ValueError, KeyError, IndexError):  # an architecture with a cache of its own kind
        return whole
    return quick if bool(same) else whole


def agreement(subject: Subject) -> float:
    """How far two ways to run the model may be apart, as a share of the largest change of a logit."""
    return AGREES.get(subject.dtype, AGREES_LOOSELY)


def written_at(hook: str) -> str:
    """Where a vector is added that is meant for this hook point."""
    return hook.replace("hook_resid_mid", "hook_attn_out")


def typical_norm(subject: Subject, hook: str, tokens: Int[Tensor, " L"]) -> Tensor:
    """The median norm of the activations at a hook point in a context."""
    norm: Tensor = subject.activations(tokens[None], [hook])[hook][0].norm(dim=-1).median()
    return norm.clamp(min=1e-6)


@dataclass(frozen=True)
class WholePasses:
    """The bridge, from the first token on."""

    subject: Subject
    hook: str
    after: int

    def open(self, tokens: Tensor) -> PatchedContext:
        return WholeContext(self, tokens)

    def gradients(self, opened: Sequence[PatchedContext], positions: Sequence[Tensor], width: int) -> OutputGradients:
        parts = []
        with torch.inference_mode(mode=False), torch.enable_grad():
            for context, of_context in zip(opened, positions, strict=True):
                assert isinstance(context, WholeContext)
                tokens = context.tokens.clone()
                for some in torch.split(of_context.clone(), WHOLE_AT_ONCE):
                    probe = torch.zeros(len(some), width, device=tokens.device, requires_grad=True)
                    logits = WholeContext(self, tokens).run(some, probe, 0, [])[:, 0]
                    parts.append(output_gradients(logits, tokens[some + 1], probe))
        return OutputGradients.together(parts)


@dataclass(frozen=True)
class WholeContext:
    passes: WholePasses
    tokens: Tensor

    @torch.inference_mode()
    def logits(self, positions: Tensor, added: Tensor) -> Tensor:
        return self.run(positions, added, self.passes.after, [])

    @torch.inference_mode()
    def last_streams(self, positions: Tensor, added: Tensor) -> tuple[Tensor, Tensor | None]:
        rows, last = torch.arange(len(positions), device=positions.device), list[Tensor]()

        def keep(stream: Tensor, hook: Any) -> None:  # noqa: ARG001 - by that name
            last.append(stream[rows, positions].float())

        logits = self.run(positions, added, self.passes.after, [(_last_hook(self.passes.subject), keep)])
        return logits, last[0] if last else None

    def run(self, positions: Tensor, added: Tensor, after: int, watched: list[Any]) -> Tensor:
        """`watched`: hook points and what is told what passes them."""
        places = _places(positions, after, len(self.tokens))
        rows = torch.arange(len(positions), device=positions.device)
        needed = self.tokens[: int(places.max()) + 1].expand(len(positions), -1)

        def patch(activation: Tensor, hook: Any) -> Tensor:  # noqa: ARG001 - by that name
            flat = activation.reshape(*needed.shape, -1).clone()
            of_each = _in_a_row(added).to(flat.dtype)
            flat[rows[:, None], places[:, : of_each.shape[1]]] += of_each
            return flat.reshape(activation.shape)

        logits = self.passes.subject.bridge.run_with_hooks(
            needed, return_type="logits", fwd_hooks=[(written_at(self.passes.hook), patch), *watched]
        )
        kept: Tensor = logits[rows[:, None], places].float()
        return kept


def _last_hook(subject: Subject) -> str:
    return f"blocks.{subject.n_layers - 1}.hook_resid_post"


def _in_a_row(added: Tensor) -> Tensor:
    """[R, m, d] of [R, d], m being 1, or of [R, m, d]."""
    return added[:, None] if added.ndim == 2 else added


def _places(positions: Tensor, after: int, length: int) -> Tensor:
    """[R, after + 1] positions whose logits are wanted."""
    return (positions[:, None] + torch.arange(after + 1, device=positions.device)).clamp(max=length - 1)


def _suffix_passes(subject: Subject, hook: str, after: int) -> SuffixPasses | None:
    place = plain_module(subject, hook)
    if place is None:
        return None
    last = hook_places(subject, [_last_hook(subject)]).get(_last_hook(subject))
    readable = last is not None and last.module is not None
    return SuffixPasses(*place, after, (place[0].get_submodule(last.module), last.side) if last and readable else None)


def plain_module(subject: Subject, hook: str) -> tuple[Any, torch.nn.Module, str] | None:
    """The plain model, and the module and its side at which a vector is added that is meant for this hook point.

    None where the plain model has no module whose input or output is what passes there.
    """
    if subject.reference is None:
        return None
    place = hook_places(subject, [written_at(hook)]).get(written_at(hook))
    if place is None or place.module is None or place.factor != 1.0:
        return None
    model = subject.reference if subject.plain is None else subject.plain.model
    return model, model.get_submodule(place.module), place.side


@dataclass(frozen=True)
class SuffixPasses:
    """The plain model on what stands from the position on, behind the keys and values of what stands before."""

    model: Any
    module: torch.nn.Module
    side: str
    after: int
    last: tuple[torch.nn.Module, str] | None = None
    """The module and its side at which the residual stream stands behind the last block, or a multiple of it."""

    def open(self, tokens: Tensor) -> PatchedContext:
        from transformers import DynamicCache

        cache = DynamicCache()
        with torch.inference_mode():
            self.model(tokens[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
        return SuffixContext(self, tokens, [(layer.keys, layer.values) for layer in cache.layers])

    def run(
        self,
        tokens: Tensor,
        places: Tensor,
        before: Sequence[tuple[Tensor, Tensor]],
        added: Tensor,
        seen: list[Tensor] | None = None,
    ) -> Tensor:
        """float32 logits [R, steps, V] of `tokens` [R, steps] at `places` [R, steps] of their contexts. `before`: keys
        and values [R, heads, first, width] by layer, of which a row sees those before its first place; `added` [R, d]
        or [R, m, d] is added there. `seen` gets what stands behind the last block at the first place, [R, d_model]."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer, (keys, values) in enumerate(before):
            cache.update(keys, values, layer)
        keys = before[0][0]
        handles = [changed_at(self.module, self.side, partial(_plus, _in_a_row(added)))]
        if seen is not None and self.last is not None:
            handles.append(changed_at(*self.last, partial(_keep_first, seen)))
        try:
            logits: Tensor = self.model(
                tokens,
                past_key_values=cache,
                attention_mask=_suffix_mask(places[:, 0], keys.shape[2], tokens.shape[1], keys.dtype),
                position_ids=places,
                use_cache=True,
            ).logits.float()
        finally:
            for handle in handles:
                handle.remove()
        return logits

    def gradients(self, opened: Sequence[PatchedContext], positions: Sequence[Tensor], width: int) -> OutputGradients:
        contexts = [context for context in opened if isinstance(context, SuffixContext)]
        size = sum(keys.numel() + values.numel() for keys, values in contexts[0].before)
        at_once = max(1, min(SUFFIX_AT_ONCE, CACHE_AT_ONCE // size))
        of_row = torch.cat([torch.full((len(some),), number) for number, some in enumerate(positions)])
        parts = []
        with torch.inference_mode(mode=False), torch.enable_grad():
            for rows, place in zip(
                torch.split(of_row, at_once), torch.split(torch.cat(list(positions)), at_once), strict=True
            ):
                counts = torch.bincount(rows, minlength=len(contexts)).tolist()
                tokens = torch.cat([
                    context.tokens[torch.stack([at, at + 1])]
                    for context, at in zip(contexts, torch.split(place, counts), strict=True)
                ], dim=1)  # fmt: skip
                before = _stacked([context.before for context in contexts], counts, int(place.max()))
                probe = torch.zeros(len(rows), width, device=place.device, requires_grad=True)
                logits = self.run(tokens[0, :, None].clone(), place[:, None].clone(), before, probe)[:, 0]
                parts.append(output_gradients(logits, tokens[1].clone(), probe))
        return OutputGradients.together(parts)


@dataclass(frozen=True)
class SuffixContext:
    passes: SuffixPasses
    tokens: Tensor
    before: Sequence[tuple[Tensor, Tensor]]
    """Keys and values of the whole context, layer by layer, [1, heads, L, width]."""

    @torch.inference_mode()
    def logits(self, positions: Tensor, added: Tensor) -> Tensor:
        return self.run(positions, added, self.passes.after)

    @torch.inference_mode()
    def last_streams(self, positions: Tensor, added: Tensor) -> tuple[Tensor, Tensor | None]:
        seen: list[Tensor] = []
        logits = self.run(positions, added, self.passes.after, seen)
        return logits, seen[0] if seen else None

    def run(self, positions: Tensor, added: Tensor, after: int, seen: list[Tensor] | None = None) -> Tensor:
        """[R, after + 1, V]; `seen` gets what stands behind the last block at the positions, [R, d_model]."""
        n, length = len(positions), len(self.tokens)
        places = _places(positions, after, length)
        first, last = int(positions.max()), int(places.max())
        steps = min(after, last - int(positions.min())) + 1
        before = [
            (keys[:, :, :first].expand(n, -1, -1, -1), values[:, :, :first].expand(n, -1, -1, -1))
            for keys, values in self.before
        ]
        logits = self.passes.run(self.tokens[places[:, :steps]], places[:, :steps], before, added, seen)
        missing = after + 1 - steps  # past the end of the context in all rows
        return torch.nn.functional.pad(logits, (0, 0, 0, missing)) if missing else logits


def _stacked(
    contexts: Sequence[Sequence[tuple[Tensor, Tensor]]], counts: Sequence[int], first: int
) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of the first tokens of each context, as often as it has rows, by layer."""

    def rows(kept: Tensor, n: int) -> Tensor:
        some = kept[:, :, :first].expand(n, -1, -1, -1)
        return torch.nn.functional.pad(some, (0, 0, 0, first - some.shape[2]))

    def stacked(layer: int, of: int) -> Tensor:
        return torch.cat([rows(before[layer][of], n) for before, n in zip(contexts, counts, strict=True) if n])

    return [(stacked(layer, 0), stacked(layer, 1)) for layer in range(len(contexts[0]))]


def _suffix_mask(positions: Tensor, first: int, steps: int, dtype: torch.dtype) -> Tensor:
    """[R, 1, steps, first + steps]: a row sees what stands before its position, and itself so far."""
    before = torch.arange(first, device=positions.device) < positions[:, None, None]
    own = torch.ones(steps, steps, dtype=torch.bool, device=positions.device).tril()
    seen = torch.cat([before.expand(-1, steps, -1), own.expand(len(positions), -1, -1)], dim=2)[:, None]
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)


def _plus(of_each: Tensor, value: Tensor) -> Tensor:
    """What passes a place, [R, n, d], with [R, k, d] added to the first of its tokens."""
    value = value.clone()
    value[:, : of_each.shape[1]] += of_each.to(value.dtype)
    return value


def _keep_first(seen: list[Tensor], value: Tensor) -> Tensor:
    """What passes a place, [R, n, d], kept at the first of its tokens."""
    seen.append(value[:, 0].float())
    return value


def changed_at(module: torch.nn.Module, side: str, change: Callable[[Tensor], Tensor]) -> Any:
    """The handle of a hook that puts something else in the place of a module's input or output."""
    if side == "output":
        return module.register_forward_hook(partial(_changed_output, change))
    return module.register_forward_pre_hook(partial(_changed_inputs, change), with_kwargs=True)


def _changed_output(change: Callable[[Tensor], Tensor], _module: Any, _inputs: Any, value: Any) -> Any:
    return (change(value[0]), *value[1:]) if isinstance(value, tuple) else change(value)


def _changed_inputs(change: Callable[[Tensor], Tensor], _module: Any, values: Any, named: Any) -> Any:
    if values:
        return (change(values[0]), *values[1:]), named
    return values, {**named, "hidden_states": change(named["hidden_states"])}
