"""Are hook points what their names say? A few tokens decide, before anything is read from them.

    blocks.L.hook_resid_pre, hook_resid_post    what goes into a block and comes out
    blocks.L.hook_attn_out, hook_mlp_out        what is added to the residual stream: hook_resid_pre and the first are
                                                hook_resid_mid, and that and the second hook_resid_post
    blocks.L.mlp.hook_pre, hook_post            the neurons of an MLP; experts have none at one place
    blocks.L.attn.hook_z                        what goes into the attention's last projection

Versions of TransformerLens have had `hook_mlp_out` before the norm that stands behind an MLP (OLMo 2 and 3), without
a model's residual multiplier (Granite), or with the residual stream in it (BLOOM). A hook point that is not what its
name says is refused: another hook point, or another version, is the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version

import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.hook_places import block_prefix, is_close, module_sides, probe_tokens, tolerance_of
from autointerp.subject.model import Subject

RESIDUAL = ("hook_resid_pre", "hook_attn_out", "hook_resid_mid", "hook_mlp_out", "hook_resid_post")
CHECKED = re.compile(rf"blocks\.(\d+)\.({'|'.join(RESIDUAL)}|mlp\.hook_pre|mlp\.hook_post|attn\.hook_z)")


def check_truth(subject: Subject, hooks: Sequence[str]) -> None:
    """Raises InputError where a hook point is known not to be what its name says."""
    named = [(hook, int(matched[1]), matched[2]) for hook in hooks if (matched := CHECKED.fullmatch(hook))]
    if not named:
        return
    for hook, layer, kind in named:
        if kind.startswith("mlp."):
            _refuse_experts(subject, layer, hook)
    tokens = probe_tokens(subject)
    around = {f"blocks.{layer}.{part}" for _, layer, kind in named if kind in RESIDUAL for part in RESIDUAL}
    values = _readable(subject, tokens, sorted({*hooks, *(around & subject.bridge.hook_dict.keys())}))
    sides = {} if subject.reference is None else module_sides(subject.reference, tokens)
    for hook, layer, kind in named:
        if hook in values:
            _check_side(subject, hook, layer, kind, values[hook], sides)
    for hook, layer, kind in named:
        if kind in RESIDUAL:
            at = {part: values[name] for part in RESIDUAL if (name := f"blocks.{layer}.{part}") in values}
            _check_sums(subject, hook, kind, at)


def _refuse_experts(subject: Subject, layer: int, hook: str) -> None:
    mlp = getattr(subject.bridge.blocks[layer], "mlp", None)
    inside = getattr(mlp, "submodules", {})
    if mlp is None or "out" in inside:
        return
    what = "a mixture of experts" if {"gate", "router"} & set(inside) else "an MLP without a projection of its own"
    raise InputError(
        f'"{subject.name}": "{hook}" would be the neurons of an MLP, and block {layer} has {what}: '
        f'take "blocks.{layer}.hook_mlp_out", what it adds to the residual stream'
    )


def _check_side(
    subject: Subject, hook: str, layer: int, kind: str, value: Tensor, sides: dict[tuple[str, str], Tensor]
) -> None:
    """A hook point against what goes into a module of the plain model, or comes out."""
    block = f"{block_prefix(subject)}.{layer}"
    module, side = block, "output" if kind == "hook_resid_post" else "input"
    if kind in ("mlp.hook_post", "attn.hook_z"):
        part, projection = ("mlp", "out") if kind.startswith("mlp") else ("attn", "o")
        component = getattr(subject.bridge.blocks[layer], part, None)
        inside = getattr(component, "submodules", {})
        if component is None or projection not in inside:
            return
        module = f"{block}.{component.name}.{inside[projection].name}"
    elif kind not in ("hook_resid_pre", "hook_resid_post"):
        return
    expected = sides.get((module, side))
    if expected is None:
        return
    if value.shape != expected.shape or not is_close(value, expected, tolerance_of(subject)):
        raise _refusal(subject, hook, f"what {'goes into' if side == 'input' else 'comes out of'} {module}")


def _check_sums(subject: Subject, hook: str, kind: str, at: dict[str, Tensor]) -> None:
    """What is added to the residual stream against the stream itself."""
    if not {"hook_resid_pre", "hook_resid_post"} <= at.keys():
        return
    pre, post = at["hook_resid_pre"], at["hook_resid_post"]
    sums: list[tuple[tuple[str, ...], Tensor, Tensor]] = []
    if {"hook_attn_out", "hook_resid_mid"} <= at.keys():
        sums.append((("hook_attn_out", "hook_resid_mid"), at["hook_attn_out"], at["hook_resid_mid"] - pre))
    if {"hook_mlp_out", "hook_resid_mid"} <= at.keys():
        sums.append((("hook_mlp_out", "hook_resid_mid"), at["hook_mlp_out"], post - at["hook_resid_mid"]))
    elif {"hook_attn_out", "hook_mlp_out"} <= at.keys():
        sums.append((("hook_attn_out", "hook_mlp_out"), at["hook_attn_out"] + at["hook_mlp_out"], post - pre))
    for kinds, added, expected in sums:
        # A difference of two large streams holds their rounding.
        rounding = float(64 * torch.finfo(torch.float32).eps * post.norm() / expected.norm().clamp(min=1e-30))
        if kind in kinds and not is_close(added, expected, max(tolerance_of(subject), rounding)):
            raise _refusal(subject, hook, "what is added to the residual stream, or the stream between the two halves")


def _readable(subject: Subject, tokens: Tensor, hooks: list[str]) -> dict[str, Tensor]:
    """Activations of the first context; of a hook point that cannot be read so, none."""
    values = {}
    try:
        values = subject.activations(tokens, hooks)
    except (ValueError, InputError):  # one of them is switched off, or has no vector for each token
        for hook in hooks:
            try:
                values |= subject.activations(tokens, [hook])
            except (ValueError, InputError):
                continue
    return {name: value[0] for name, value in values.items()}


def _refusal(subject: Subject, hook: str, what: str) -> InputError:
    return InputError(
        f'"{subject.name}": "{hook}" should be {what}, and in TransformerLens {version("transformer-lens")} it is not, '
        f"for {subject.architecture}; take another hook point, or another version of transformer-lens"
    )
