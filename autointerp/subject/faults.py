"""The named cause of a reconstruction that is worse than the dictionary can give.

Each fault is mended, and what explains more names the cause. A fault and the dictionary as it was read are compared on
the same tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.fit import MeasuredFit, measure
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
L0_DECLARED = "l0_declared"
"""The key of a dictionary's configuration that holds the L0 it was trained to, where its files say it."""
L0_FACTOR = 3.0
"""How many times more or fewer features may fire than the files say. Texts differ; a threshold in another scale
than the activations makes other factors."""


@dataclass(frozen=True)
class FaultEvidence:
    """What was measured of one dictionary."""

    measured: MeasuredFit
    """On the whole sample."""
    mean_share: float
    """Share of the target's square that its mean holds, on the whole sample."""
    x: Tensor  # [N, d_in]: the part of the sample on which faults are tried
    target: Tensor | None  # [N, d_out]: what is reconstructed, where it is not x
    as_read: float
    """Variance explained on that part."""
    elsewhere: Mapping[str, float]
    """Variance explained at other hook points, on as many tokens."""
    other_processing: tuple[str, float] | None
    """The other processing of the subject (raw or folded), and the variance explained on it; None: not tried."""


@dataclass(frozen=True)
class _Fault:
    """A fault that was mended to see: what it is called, what is explained without it, what counts as better."""

    cause: str
    explained: float
    margin: float = MENDED


def find_cause(sae: SparseAutoencoder, seen: FaultEvidence) -> str | None:
    """The named cause of a worse reconstruction than the dictionary can give; None where there is none."""
    measured = seen.measured
    state = f"variance explained {measured.variance_explained:.2f}, L0 {measured.l0:.0f} of {sae.n_features}"
    zero = _zero_bias(sae, seen.mean_share)
    if zero is not None:
        return f"{zero} ({state})"
    dense = measured.l0 > LARGE_L0 * sae.n_features
    poor = measured.variance_explained < GOOD or dense
    faults = [*_of_the_subject(sae, seen), *_other_k(sae, seen)]
    faults += _of_the_reading(sae, seen) if poor or measured.l0 > MANY * sae.n_features else []
    mended = [fault for fault in faults if fault.explained > seen.as_read + fault.margin]
    if mended:
        top = max(fault.explained for fault in mended)
        best = next(fault for fault in mended if fault.explained > top - BETTER_K)  # of equals the first: the likeliest
        return f"{best.cause} ({state}; mended: {best.explained:.2f})"
    declared = sae.config.get(L0_DECLARED)
    if declared is not None and not declared / L0_FACTOR <= measured.l0 <= declared * L0_FACTOR:
        scale = "a threshold or a norm in another scale, another subject, or other text than it was trained on"
        return f"{measured.l0:.1f} features fire at once where its files say {declared}: {scale} ({state})"
    if dense:
        return f"not sparse: read as {sae.activation}, it fires {measured.l0:.0f} features at once ({state})"
    if poor and measured.variance_explained < GOOD / 2:
        return f"wrong subject, or a dictionary that explains nothing here ({state})"
    return None


def _zero_bias(sae: SparseAutoencoder, mean_share: float) -> str | None:
    """Training leaves no encoder bias of a thresholded dictionary, and no b_dec where there is a mean, at exactly 0."""
    if sae.architecture in ("standard", "jumprelu") and sae.kind != "random_init_sae" and not bool(sae.b_enc.any()):
        return "missing bias: the encoder bias is zero everywhere"
    if sae.subtract_b_dec and not bool(sae.b_dec.any()) and mean_share > MEAN_SHARE:
        return f"missing bias: b_dec is zero everywhere, and the mean holds {mean_share:.0%} of the activations' square"
    return None


def _of_the_reading(sae: SparseAutoencoder, seen: FaultEvidence) -> Iterator[_Fault]:
    """Faults of how the files were read."""

    def explained(changed: SparseAutoencoder) -> float:
        return measure(changed, seen.x, seen.target).variance_explained

    if sae.architecture == "standard":
        for k in (8, 16, 32, 64, 128, 256):
            if k < sae.n_features:
                cause = f"a TopK read as ReLU, or a threshold lost (some {k} fire at once)"
                yield _Fault(cause, explained(replace(sae, architecture="topk", k=k)))
    if seen.target is None:
        must = "must not" if sae.subtract_b_dec else "must"
        switched = replace(sae, subtract_b_dec=not sae.subtract_b_dec)
        yield _Fault(f"b_dec {must} be subtracted from the input", explained(switched))
    if sae.normalize == "none":
        for mode in ("layer_norm", "constant_norm_rescale"):
            yield _Fault(f"the input must be normalised ({mode})", explained(replace(sae, normalize=mode)))


def _other_k(sae: SparseAutoencoder, seen: FaultEvidence) -> Iterator[_Fault]:
    """A TopK reconstructs best at about the k that it was trained with; a few steps of a factor of two find it."""
    tried = [sae.k * 2**step for step in (1, 2, 3)] + [sae.k // 2**step for step in (1, 2, 3)] if sae.k else []
    for k in tried:
        if 0 < k <= sae.n_features:
            explained = measure(replace(sae, k=k), seen.x, seen.target).variance_explained
            yield _Fault(f"wrong k: {k} fits it better than {sae.k}", explained, margin=BETTER_K)


def _of_the_subject(sae: SparseAutoencoder, seen: FaultEvidence) -> Iterator[_Fault]:
    """Faults of where it is put: another layer, weights folded or raw."""
    for hook, explained in seen.elsewhere.items():
        yield _Fault(f"wrong layer: {hook} fits it better than {sae.hook}", explained)
    if seen.other_processing is not None:
        processing, explained = seen.other_processing
        cause = f'folded weights or raw: it was trained on {processing} ones; set processing = "{processing}"'
        yield _Fault(cause, explained, margin=BETTER_K)


def other_layers(sae: SparseAutoencoder, subject: Subject) -> list[str]:
    """The same hook point in every other block; for the residual stream also what goes into the first and comes out of
    each (what goes into a later one is what came out of the one before)."""
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", sae.hook)
    kinds = {match[2]} if match else set()
    if "resid" in sae.hook:
        kinds = (kinds - {"hook_resid_pre"}) | {"hook_resid_post"}
    names = ["blocks.0.hook_resid_pre"] if "resid" in sae.hook else []
    names += [f"blocks.{layer}.{kind}" for layer in range(subject.n_layers) for kind in sorted(kinds)]
    return [name for name in names if name != sae.hook and name in subject.bridge.hook_dict]
