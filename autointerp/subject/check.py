"""Is this dictionary loaded right, on the subject and at the hook that it was trained on?

1. Some thousand tokens are run once, with all dictionaries, all their hook points and the same hook points of all other
   blocks. Measured: L0, variance explained (1 - residual / centred variance, over tokens; without those of enormous
   norm, and beside it of all), the share of features that never fire, and the loss.
2. Loss recovered: (loss zeroed - loss replaced) / (loss zeroed - loss), where the activations at the hook are replaced
   by the reconstruction. On a part of the contexts: as many as make half a pass for all dictionaries together.
3. On a smaller part it is measured again at the other blocks, on the subject with its weights folded (or raw), and at
   other k; one that explains little also under each fault of reading (TopK read as ReLU, b_dec, normalisation). What
   mends it is the named cause (`faults.py`). Where it explains little and nothing mends it, the subject is not the one
   that the dictionary was trained on, or the dictionary explains nothing.
4. The subject's own logits are compared with those of the plain Hugging Face model.

The sample is run three times at most, whatever the number of dictionaries and blocks, and what is held at a time does
not grow with it. Faults that leave a good reconstruction cannot be seen this way, and are none that matter to scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.faults import FaultEvidence, find_cause, other_layers
from autointerp.subject.fit import FitSums, MeasuredFit, decode, measure
from autointerp.subject.model import Subject
from autointerp.subject.sample_pass import (
    BEFORE_UNEMBEDDING,
    Consumer,
    ContextSample,
    Losses,
    batches,
    logits_of,
    run_sample,
    slices,
)
from autointerp.words import PLANTED

LOGITS_DIFFER = 1e-3
"""Largest difference between the subject's log-probabilities and the plain model's."""
FAULT_TOKENS = 2048
"""Tokens on which faults are tried, and fewer where a dictionary is wide:"""
FAULT_OPERATIONS = 1e12
"""as many as this allows for all other blocks together, and at least:"""
LEAST_FAULT_TOKENS = 256
LOSS_PASSES = 0.5
"""Passes over the sample that all replaced and zeroed activations together may take."""
LEAST_LOSS_CONTEXTS = 2


@dataclass(frozen=True)
class Report:
    """The outcome for one dictionary."""

    dictionary: str
    hook: str
    measured: MeasuredFit
    loss: float  # nats per token
    loss_recovered: float | None  # None: `not_checked` says why
    n_tokens: int
    cause: str | None  # None: it passes
    not_checked: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.cause is None


@dataclass(frozen=True)
class Probe:
    """Tokens and how to run them; `other` loads the subject with the other processing (raw / folded)."""

    subject: Subject
    tokens: Tensor  # [n, L] int64
    scored: Tensor  # [n, L] bool
    other: Callable[[], Subject] | None
    """None: it cannot be had, as for a subject that is spread over devices."""
    exclude_outliers: bool = True
    """Whether a report's variance explained leaves out tokens of enormous norm; causes are always found without."""

    @property
    def sample(self) -> ContextSample:
        return ContextSample(self.tokens, self.scored)

    @cached_property
    def few(self) -> Tensor:
        """Contexts from all over the sample, rising: those on which faults are tried."""
        n_scored = max(int(self.scored.sum()), 1)
        wanted = -(-len(self.tokens) * FAULT_TOKENS // n_scored)
        return spread(len(self.tokens), wanted)


def spread(n: int, wanted: int) -> Tensor:
    """`wanted` of the numbers 0 to n - 1, as evenly as can be, rising."""
    return torch.from_numpy(np.unique(np.linspace(0, n - 1, max(1, min(n, wanted))).astype(np.int64)))


def check_dictionary(name: str, sae: SparseAutoencoder, probe: Probe) -> Report:
    """Measures one dictionary and names the fault where there is one."""
    return check_dictionaries({name: sae}, probe)[0]


def planned_tokens(probe: Probe) -> int:
    """Tokens that a check runs through a model, at most."""
    part = len(probe.few) * probe.tokens.shape[1]
    return int(probe.tokens.numel() * (1 + LOSS_PASSES)) + part


def check_dictionaries(
    saes: Mapping[str, SparseAutoencoder], probe: Probe, progress: Callable[[int], None] = lambda _: None
) -> list[Report]:
    """A report for each dictionary. `progress` is told the tokens that ran through a model."""
    seen = {name: _Seen(sae, probe.subject) for name, sae in saes.items() if not _is_made(sae, probe)}
    made = {name: _Seen(sae, probe.subject, sought=False) for name, sae in saes.items() if name not in seen}
    everyone = {name: (seen | made)[name] for name in saes}
    clean = _first_pass(everyone, probe, progress)
    other = _on_the_other_processing(seen, probe, progress)
    recovered = _losses_recovered(everyone, probe, clean, progress)
    return [
        Report(
            dictionary=name,
            hook=entry.sae.hook,
            measured=_measured(entry, probe),
            loss=clean.mean(),
            loss_recovered=recovered.get(name),
            n_tokens=entry.sums.n,
            cause=find_cause(entry.sae, entry.evidence(other.get(name))) if name in seen else None,
            not_checked=_not_checked(entry, probe, name in seen, name in recovered),
        )
        for name, entry in everyone.items()
    ]


def _measured(entry: _Seen, probe: Probe) -> MeasuredFit:
    """What a report says: no variance explained where the features alone are not meant to reconstruct."""
    fit = entry.sums.fit.counting(not probe.exclude_outliers)
    if entry.sae.incomplete is None:
        return fit
    return replace(fit, variance_explained=math.nan, variance_explained_all=math.nan)


def _is_made(sae: SparseAutoencoder, probe: Probe) -> bool:
    """Not made to reconstruct, or not alone, or run where nothing of what it learnt is left: no fault is sought."""
    made = sae.kind in (PLANTED, "random_init_sae") or sae.incomplete is not None
    return made or probe.subject.rerandomised is not None


def _not_checked(entry: _Seen, probe: Probe, sought: bool, has_loss: bool) -> tuple[str, ...]:
    lines = []
    if entry.sae.hook_out is not None:
        lines.append("loss recovered: it reads and writes at two places")
        if sought:
            lines.append("other blocks: it reads and writes at two places")
    elif not has_loss:
        lines.append("loss recovered: too many dictionaries for the contexts, or zeros cost the model nothing here")
    if not sought:
        lines.append(f"faults of reading and of the hook: {_why_not_sought(entry.sae, probe)}")
    elif probe.other is None:
        lines.append("the other processing (raw or folded): the subject cannot be loaded with it here")
    return tuple(lines)


def _why_not_sought(sae: SparseAutoencoder, probe: Probe) -> str:
    if probe.subject.rerandomised is not None:
        return "the subject is re-randomised"
    return f"it is {sae.kind}, and need not reconstruct" if sae.incomplete is None else sae.incomplete


class _Seen:
    """What is kept of one dictionary on the way."""

    def __init__(self, sae: SparseAutoencoder, subject: Subject, sought: bool = True) -> None:
        self.sae = sae
        self.sums = FitSums(sae)
        others = other_layers(sae, subject) if sought and sae.hook_out is None else []
        self.elsewhere = {hook: FitSums(sae) for hook in others}
        per_token = 4 * sae.d_in * sae.n_features * max(len(others), 1)
        self.limit = int(min(FAULT_TOKENS, max(LEAST_FAULT_TOKENS, FAULT_OPERATIONS / per_token)))
        self.parts: list[tuple[Tensor, Tensor | None]] = []

    @property
    def hooks(self) -> list[str]:
        return [self.sae.hook] if self.sae.hook_out is None else [self.sae.hook, self.sae.hook_out]

    def left(self, n: int) -> int:
        """How many more tokens faults are tried on, when there are n."""
        return max(0, self.limit - n)

    def add(self, held: Mapping[str, Tensor], in_few: Tensor) -> None:
        """A batch at its own hook points, [N, d] each, and which rows faults are tried on."""
        x = held[self.sae.hook]
        target = None if self.sae.hook_out is None else held[self.sae.hook_out]
        self.sums.add(x, target)
        room = self.left(sum(len(part) for part, _ in self.parts))
        few = in_few.nonzero()[:room, 0]
        if len(few):
            self.parts.append((x[few].clone(), None if target is None else target[few].clone()))

    def add_elsewhere(self, hook: str, x: Tensor) -> None:
        sums = self.elsewhere[hook]
        if x.shape[1] == self.sae.d_in and (room := self.left(sums.n)):
            sums.add(x[:room])

    @cached_property
    def part(self) -> tuple[Tensor, Tensor | None]:
        targets = [target for _, target in self.parts if target is not None]
        return torch.cat([x for x, _ in self.parts]), torch.cat(targets) if targets else None

    def evidence(self, other: tuple[str, float] | None) -> FaultEvidence:
        x, target = self.part
        return FaultEvidence(
            measured=self.sums.fit,
            mean_share=self.sums.mean_share,
            x=x,
            target=target,
            as_read=measure(self.sae, x, target).variance_explained,
            elsewhere={hook: sums.fit.variance_explained for hook, sums in self.elsewhere.items() if sums.n},
            other_processing=other,
        )


def _first_pass(everyone: Mapping[str, _Seen], probe: Probe, progress: Callable[[int], None]) -> Losses:
    """All hook points of all dictionaries, and the loss, in one pass over the sample."""
    sample, held = probe.sample, dict[str, Tensor]()
    in_few = torch.zeros(len(sample), dtype=torch.bool)
    in_few[probe.few] = True
    row = 0  # of the first context of the batch
    now: list[Tensor] = []

    def keep(hook: str) -> Consumer:
        def consumer(value: Tensor, scored: Tensor) -> None:
            held[hook] = value[scored]
            if not now:
                few = in_few[row : row + len(scored)].to(scored.device)
                now.append(few[:, None].expand_as(scored)[scored])

        return consumer

    def elsewhere(entry: _Seen, hook: str) -> Consumer:
        def consumer(value: Tensor, scored: Tensor) -> None:
            few = in_few[row : row + len(scored)]
            if bool(few.any()):
                entry.add_elsewhere(hook, value[few.to(value.device)][scored[few.to(scored.device)]])

        return consumer

    def after_batch() -> None:
        nonlocal row
        for entry in everyone.values():
            entry.add({hook: held[hook] for hook in entry.hooks}, now[0])
        row += sizes.pop(0)
        now.clear()
        held.clear()

    sizes = [part.stop - part.start for part in batches(len(sample), sample.tokens.shape[1])]
    consumers: dict[str, list[Consumer]] = {hook: [keep(hook)] for entry in everyone.values() for hook in entry.hooks}
    for entry in everyone.values():
        for hook in entry.elsewhere:
            consumers.setdefault(hook, []).append(elsewhere(entry, hook))
    losses = run_sample(probe.subject, sample, consumers, after_batch=after_batch, losses=True, progress=progress)
    if losses is None:
        raise InputError(
            f'"{probe.subject.name}": nothing passes "{BEFORE_UNEMBEDDING}", so its loss cannot be measured'
        )
    return losses


def _on_the_other_processing(
    seen: Mapping[str, _Seen], probe: Probe, progress: Callable[[int], None]
) -> dict[str, tuple[str, float]]:
    """Variance explained on the subject with the other processing, on the contexts where faults are tried."""
    if not seen or probe.other is None:
        return {}
    subject = probe.other()
    sums = {name: FitSums(entry.sae) for name, entry in seen.items()}
    held: dict[str, Tensor] = {}

    def keep(hook: str) -> Consumer:
        return lambda value, scored: held.update({hook: value[scored]})

    def after_batch() -> None:
        for name, entry in seen.items():
            if room := entry.left(sums[name].n):
                target = None if entry.sae.hook_out is None else held[entry.sae.hook_out][:room]
                sums[name].add(held[entry.sae.hook][:room], target)
        held.clear()

    hooks = sorted({hook for entry in seen.values() for hook in entry.hooks})
    run_sample(
        subject,
        probe.sample.only(probe.few),
        {hook: [keep(hook)] for hook in hooks},
        after_batch=after_batch,
        progress=progress,
    )
    return {name: (subject.processing, entry.fit.variance_explained) for name, entry in sums.items()}


def _losses_recovered(
    everyone: Mapping[str, _Seen], probe: Probe, clean: Losses, progress: Callable[[int], None]
) -> dict[str, float]:
    """Share of the loss that the reconstruction recovers against zeros."""
    replaced = {name: entry.sae for name, entry in everyone.items() if entry.sae.hook_out is None}
    zeroed = sorted({sae.hook for sae in replaced.values()})
    runs = len(replaced) + len(zeroed)
    wanted = int(LOSS_PASSES * len(probe.tokens) / runs) if runs else 0
    if wanted < LEAST_LOSS_CONTEXTS:
        return {}
    contexts = spread(len(probe.tokens), wanted)
    sample = probe.sample.only(contexts)

    def loss(hook: str, edit: Callable[[Tensor], Tensor]) -> float:
        losses = run_sample(probe.subject, sample, {}, losses=True, edit=(hook, edit), progress=progress)
        assert losses is not None
        return losses.mean()

    without = {hook: loss(hook, torch.zeros_like) for hook in zeroed}
    whole = clean.mean(contexts)
    recovered = {}
    for name, sae in replaced.items():
        range_ = without[sae.hook] - whole
        if range_ >= 1e-6:
            recovered[name] = (without[sae.hook] - loss(sae.hook, reconstruction(sae))) / range_
    return recovered


def reconstruction(sae: SparseAutoencoder) -> Callable[[Tensor], Tensor]:
    """What the dictionary makes of its input, some rows at a time. [N, d] to [N, d]"""

    def edit(x: Tensor) -> Tensor:
        parts = [decode(sae, sae.encode(x[some].clone()), x[some]) for some in slices(len(x), sae.n_features)]
        return torch.cat(parts) if parts else x

    return edit


@torch.inference_mode()
def check_subject(subject: Subject, tokens: Tensor) -> float | None:
    """Largest difference of log-probabilities from the plain Hugging Face model's, on some places; None: there is none.

    Raises InputError where it is large. So many places that their logits are held at once.
    """
    if subject.reference is None:
        return None
    length = min(tokens.shape[1], 64)
    rows = slices(len(tokens) * length, subject.d_vocab)[0].stop
    few = tokens[: max(1, min(4, rows // length)), : min(length, rows)].to(subject.device)
    stream = subject.activations(few, [BEFORE_UNEMBEDDING])[BEFORE_UNEMBEDDING]
    dtype = next(subject.reference.parameters()).dtype
    ours = logits_of(subject, stream.flatten(0, 1).to(dtype)).log_softmax(dim=-1)
    theirs = subject.reference(few, use_cache=False).logits.flatten(0, 1).float().log_softmax(dim=-1)
    difference = float((ours - theirs).abs().max())
    if difference > LOGITS_DIFFER and subject.dtype == "float32":
        raise InputError(f'"{subject.name}": its logits differ from the plain model\'s by {difference:.2g}')
    return difference
