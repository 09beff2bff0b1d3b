"""Is this dictionary loaded right, on the subject and at the hook that it was trained on?

1. Some thousand tokens are run. Measured: L0, variance explained (1 - residual / centred variance, over
   tokens), the share of features that never fire, and the loss recovered when the activations at the hook
   are replaced by the reconstruction: (loss zeroed - loss replaced) / (loss zeroed - loss).
2. It is measured again at the other layers, on the subject with its weights folded (or raw), and at other k;
   one that explains little also under each fault of reading (TopK read as ReLU, b_dec, normalisation).
   What mends it is the named cause. Where it explains little and nothing mends it, the subject is not the
   one that the dictionary was trained on, or the dictionary explains nothing.
3. The subject's own logits are compared with those of the plain Hugging Face model.

Faults that leave a good reconstruction cannot be seen this way, and are none that matter to scores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.model import Subject

GOOD = 0.5
"""Variance explained from which a dictionary passes without further questions."""
MENDED = 0.1
"""A fault is the cause when mending it explains so much more of the variance."""
BETTER_K = 0.02
"""The same for another k, where the difference is smaller by nature."""
MEAN_SHARE = 0.05
"""Share of the activations' square that their mean must hold for a b_dec of zero to be a fault."""
LARGE_L0 = 0.2
"""Share of all features firing at once above which a dictionary cannot be called sparse."""
MANY = 0.05
"""Share from which a thresholded dictionary may have lost its threshold."""
LOGITS_DIFFER = 1e-3
"""Largest difference between the subject's log-probabilities and the plain model's."""
CHUNK = 2048


@dataclass(frozen=True)
class MeasuredFit:
    """What a dictionary does to the activations at a hook."""

    l0: float
    variance_explained: float  # nan: its features alone are not meant to reconstruct
    dead_share: float


@dataclass(frozen=True)
class Report:
    """The outcome for one dictionary."""

    dictionary: str
    hook: str
    measured: MeasuredFit
    loss: float  # nats per token
    loss_recovered: float | None  # None: replacing is not defined (a transcoder reads and writes at two places)
    n_tokens: int
    cause: str | None  # None: it passes

    @property
    def ok(self) -> bool:
        return self.cause is None


@dataclass(frozen=True)
class Probe:
    """Tokens and how to run them; `other` loads the subject with the other processing (raw / folded)."""

    subject: Subject
    tokens: Tensor  # [n, L] int64
    scored: Tensor  # [n, L] bool
    other: Callable[[], Subject]


@torch.inference_mode()
def activations(subject: Subject, probe: Probe, hook: str) -> Tensor:
    """Scored activations at a hook, [N, d]."""
    parts = []
    for first in range(0, len(probe.tokens), 32):
        rows = slice(first, first + 32)
        values: Tensor = subject.activations(probe.tokens[rows].to(subject.device), [hook])[hook].cpu()
        parts.append(values[probe.scored[rows]])
    return torch.cat(parts)


@torch.inference_mode()
def measure(sae: SparseAutoencoder, x: Tensor, target: Tensor | None = None) -> MeasuredFit:
    """`target` [N, d_out]: what is reconstructed, where it is not the input (transcoders)."""
    target = x if target is None else target
    residual = torch.zeros((), dtype=torch.float64)
    fires = torch.zeros(sae.n_features, dtype=torch.int64)
    for first in range(0, len(x), CHUNK):
        rows = slice(first, first + CHUNK)
        acts = sae.encode(x[rows].clone())
        fires += (acts != 0).sum(dim=0)
        residual += (target[rows] - decode(sae, acts, x[rows])).double().square().sum()
    total = (target.double() - target.double().mean(dim=0)).square().sum()
    return MeasuredFit(
        l0=float(fires.sum()) / len(x),
        variance_explained=float(1 - residual / total.clamp(min=1e-30)),
        dead_share=float((fires == 0).double().mean()),
    )


def decode(sae: SparseAutoencoder, acts: Tensor, x: Tensor) -> Tensor:
    """Reconstruction, with the input's normalisation undone, and a skip transcoder's input added."""
    if sae.rescale_by_decoder_norm:
        acts = acts / sae.W_dec.norm(dim=1)
    out: Tensor = acts @ sae.W_dec + sae.b_dec
    if sae.normalize == "layer_norm":
        out = out * (x.std(dim=1, keepdim=True) + 1e-5) + x.mean(dim=1, keepdim=True)
    if sae.normalize == "constant_norm_rescale":
        out = out * (x.norm(dim=1, keepdim=True) / x.shape[1] ** 0.5)
    return out if sae.W_skip is None else out + x @ sae.W_skip.T


def check_dictionary(name: str, sae: SparseAutoencoder, probe: Probe) -> Report:
    """Measures one dictionary and names the fault where there is one."""
    x = activations(probe.subject, probe, sae.hook)
    target = None if sae.hook_out is None else activations(probe.subject, probe, sae.hook_out)
    measured = measure(sae, x, target)
    if sae.incomplete is not None:
        measured = replace(measured, variance_explained=float("nan"))
    loss, recovered = _losses(sae, probe) if sae.hook_out is None else (_loss(probe, None), None)
    # Made to fire, not made to reconstruct, or run where nothing of what it learnt is left.
    known = sae.kind in ("planted", "random_init_sae") or probe.subject.rerandomised is not None
    known = known or sae.incomplete is not None
    cause = None if known else find_cause(sae, probe, x, target, measured)
    return Report(name, sae.hook, measured, loss, recovered, len(x), cause)


def find_cause(
    sae: SparseAutoencoder, probe: Probe, x: Tensor, target: Tensor | None, measured: MeasuredFit
) -> str | None:
    """The named cause of a worse reconstruction than the dictionary can give; None where there is none."""
    state = f"variance explained {measured.variance_explained:.2f}, L0 {measured.l0:.0f} of {sae.n_features}"
    zero = _zero_bias(sae, x, target)
    if zero is not None:
        return f"{zero} ({state})"
    dense = measured.l0 > LARGE_L0 * sae.n_features
    poor = measured.variance_explained < GOOD or dense
    faults = [*_of_the_subject(sae, probe, target), *_other_k(sae, x, target)]
    faults += _of_the_reading(sae, x, target) if poor or measured.l0 > MANY * sae.n_features else []
    mended = [fault for fault in faults if fault.explained > measured.variance_explained + fault.margin]
    if mended:
        top = max(fault.explained for fault in mended)
        best = next(fault for fault in mended if fault.explained > top - BETTER_K)  # of equals the first: the likeliest
        return f"{best.cause} ({state}; mended: {best.explained:.2f})"
    if dense:
        return f"not sparse: read as {sae.activation}, it fires {measured.l0:.0f} features at once ({state})"
    if poor and measured.variance_explained < GOOD / 2:
        return f"wrong subject, or a dictionary that explains nothing here ({state})"
    return None


def _zero_bias(sae: SparseAutoencoder, x: Tensor, target: Tensor | None) -> str | None:
    """Training leaves no encoder bias of a thresholded dictionary, and no b_dec where there is a mean, at exactly 0."""
    if sae.architecture in ("standard", "jumprelu") and sae.kind != "random_init_sae" and not bool(sae.b_enc.any()):
        return "missing bias: the encoder bias is zero everywhere"
    mean = (x if target is None else target).double().mean(dim=0)
    share = float(mean.square().sum() / (x if target is None else target).double().square().sum(dim=1).mean())
    if sae.subtract_b_dec and not bool(sae.b_dec.any()) and share > MEAN_SHARE:
        return f"missing bias: b_dec is zero everywhere, and the mean holds {share:.0%} of the activations' square"
    return None


@dataclass(frozen=True)
class _Fault:
    """A fault that was mended to see: what it is called, what is explained without it, what counts as better."""

    cause: str
    explained: float
    margin: float = MENDED


def _of_the_reading(sae: SparseAutoencoder, x: Tensor, target: Tensor | None) -> Iterator[_Fault]:
    """Faults of how the files were read."""

    def explained(changed: SparseAutoencoder) -> float:
        return measure(changed, x, target).variance_explained

    if sae.architecture == "standard":
        for k in (8, 16, 32, 64, 128, 256):
            if k < sae.n_features:
                cause = f"a TopK read as ReLU, or a threshold lost (some {k} fire at once)"
                yield _Fault(cause, explained(replace(sae, architecture="topk", k=k)))
    if target is None:
        must = "must not" if sae.subtract_b_dec else "must"
        switched = replace(sae, subtract_b_dec=not sae.subtract_b_dec)
        yield _Fault(f"b_dec {must} be subtracted from the input", explained(switched))
    if sae.normalize == "none":
        for mode in ("layer_norm", "constant_norm_rescale"):
            yield _Fault(f"the input must be normalised ({mode})", explained(replace(sae, normalize=mode)))


def _other_k(sae: SparseAutoencoder, x: Tensor, target: Tensor | None) -> Iterator[_Fault]:
    """A TopK reconstructs best at about the k that it was trained with; a few steps of a factor of two find it."""
    tried = [sae.k * 2**step for step in (1, 2, 3)] + [sae.k // 2**step for step in (1, 2, 3)] if sae.k else []
    for k in tried:
        if 0 < k <= sae.n_features:
            explained = measure(replace(sae, k=k), x, target).variance_explained
            yield _Fault(f"wrong k: {k} fits it better than {sae.k}", explained, margin=BETTER_K)


def _of_the_subject(sae: SparseAutoencoder, probe: Probe, target: Tensor | None) -> Iterator[_Fault]:
    """Faults of where it is put: another layer, weights folded or raw."""
    for hook in _other_layers(sae, probe.subject) if target is None else ():
        elsewhere = activations(probe.subject, probe, hook)
        if elsewhere.shape[1] == sae.d_in:
            explained = measure(sae, elsewhere).variance_explained
            yield _Fault(f"wrong layer: {hook} fits it better than {sae.hook}", explained)
    other = probe.other()
    goal = None if sae.hook_out is None else activations(other, probe, sae.hook_out)
    explained = measure(sae, activations(other, probe, sae.hook), goal).variance_explained
    cause = f'folded weights or raw: it was trained on {other.processing} ones; set processing = "{other.processing}"'
    yield _Fault(cause, explained, margin=BETTER_K)


def _other_layers(sae: SparseAutoencoder, subject: Subject) -> list[str]:
    """The same hook point in every other block, and before and after each block for the residual stream."""
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", sae.hook)
    kinds = {"hook_resid_pre", "hook_resid_post"} if "resid" in sae.hook else {match[2]} if match else set()
    names = [f"blocks.{layer}.{kind}" for layer in range(subject.n_layers) for kind in sorted(kinds)]
    return [name for name in names if name != sae.hook and name in subject.bridge.hook_dict]


def _losses(sae: SparseAutoencoder, probe: Probe) -> tuple[float, float | None]:
    """Next-token loss, and the share of it recovered by the reconstruction against zeros."""

    def reconstructed(value: Tensor) -> Tensor:
        flat = value.reshape(-1, sae.d_in).float()
        return decode(sae, sae.encode(flat.clone()), flat).reshape(value.shape).to(value.dtype)

    clean = _loss(probe, None)
    replaced = _loss(probe, (sae.hook, reconstructed))
    zeroed = _loss(probe, (sae.hook, torch.zeros_like))
    return clean, None if zeroed - clean < 1e-6 else (zeroed - replaced) / (zeroed - clean)


@torch.inference_mode()
def _loss(probe: Probe, change: tuple[str, Callable[[Tensor], Tensor]] | None) -> float:
    """Nats per token; what `change` does is done at scored places only."""
    total, n = 0.0, 0
    for first in range(0, len(probe.tokens), 32):
        tokens, scored = probe.tokens[first : first + 32], probe.scored[first : first + 32]

        def edit(value: Tensor, scored: Tensor = scored, **_: object) -> Tensor:  # the hook point comes by name
            assert change is not None
            flags = scored.reshape(*scored.shape, *[1] * (value.ndim - 2)).to(value.device)
            return torch.where(flags, change[1](value), value)

        hooks = [] if change is None else [(change[0], edit)]
        logits = probe.subject.bridge.run_with_hooks(tokens.to(probe.subject.device), fwd_hooks=hooks)
        counted = scored[:, 1:]
        losses = F.cross_entropy(logits[:, :-1].float().cpu()[counted], tokens[:, 1:][counted], reduction="sum")
        total, n = total + float(losses), n + int(counted.sum())
    return total / max(n, 1)


@torch.inference_mode()
def check_subject(subject: Subject, tokens: Tensor) -> float:
    """Largest difference of log-probabilities from the plain Hugging Face forward; raises where it is large."""
    few = tokens[:4].to(subject.device)
    plain = getattr(subject.bridge, "original_model", None)
    if plain is None or subject.processing == "folded":  # folded in place: the plain weights are gone
        return 0.0
    ours = subject.bridge(few).float().log_softmax(dim=-1)
    theirs = plain(few).logits.float().log_softmax(dim=-1)
    difference = float((ours - theirs).abs().max())
    if difference > LOGITS_DIFFER and subject.dtype == "float32":
        raise InputError(f'"{subject.name}": its logits differ from the plain model\'s by {difference:.2g}')
    return difference
