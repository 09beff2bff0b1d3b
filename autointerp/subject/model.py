"""The subject model, which `loading.py` loads: run as far as the last hook and no further.

A subject larger than one device is spread by accelerate (`device = "map"`); its activations come back to the device
that its tokens go to.

The forward pass is stopped by an exception raised in the last hook point that anybody asked for: that
skips the later layers and the unembedding whatever the architecture (`stop_at_layer` of the bridge does
not skip the unembedding for a hook in the last block).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor

from autointerp.errors import InputError, nearest
from autointerp.subject.chat import Roles, encode_chat
from autointerp.subject.documents import Message
from autointerp.subject.hook_names import hook_of_module, hook_of_site
from autointerp.subject.model_files import other_tokenizer
from autointerp.subject.plain import PlainModel
from autointerp.subject.vocabulary import token_texts

PROBE_LENGTH = 13
"""Tokens of the pass that tells a hook's width: as long as no model has heads."""


class _AllHooksSeen(Exception):
    """Ends a forward pass; no error."""


@dataclass(frozen=True)
class Subject:
    """A loaded subject model."""

    name: str
    revision: str | None
    processing: str
    dtype: str
    architecture: str
    n_layers: int
    d_model: int
    d_vocab: int
    n_ctx: int
    checksum: str
    """Hash of all weights as loaded (and redrawn)."""
    bos: int | None
    special: tuple[int, ...]
    """Ids that are masked everywhere."""
    device: torch.device
    bridge: Any
    tokenizer: Any | None
    rerandomised: int | None = None
    """The seed that its weight matrices were drawn again with; None: as trained."""
    plain: PlainModel | None = None
    """The same, faster, for the hook points that it has and where it agrees with the bridge."""
    reference: Any | None = None
    """Hugging Face's model around the same weights, which no library has changed; None: folded, or over devices."""
    differences: tuple[str, ...] = ()
    """Where the model's configuration and the tokenizer's files disagree, a line each."""

    def hook_names(self) -> list[str]:
        return sorted(self.bridge.hook_dict)

    def check_hook(self, hook: str) -> None:
        """Raises InputError naming the nearest hook point where there is none of this name."""
        if hook not in self.bridge.hook_dict:
            raise InputError(f'"{self.name}" has no hook point "{hook}"{self._meant(hook)}')

    def _meant(self, hook: str) -> str:
        """What a module of Hugging Face's model gives, or the nearest hook point."""
        there = self.bridge.hook_dict
        output, inward = hook_of_module(hook, "out"), hook_of_module(hook, "in")
        if output in there:
            said = f': that is a module of Hugging Face\'s model, whose output is "{output}"'
            return said + (f' and whose input is "{inward}"' if inward in there else "")
        meant = output or hook_of_site(hook, None) or hook
        layer = re.match(r"blocks\.(\d+)\.", meant)
        layers = ""
        if layer is not None and int(layer[1]) >= self.n_layers:
            meant = re.sub(r"\d+", str(self.n_layers - 1), meant, count=1)
            layers = f"; its layers are 0 to {self.n_layers - 1}"
        return (f'; the nearest is "{meant}"' if meant in there else nearest(meant, self.hook_names())) + layers

    def width(self, hook: str) -> int:
        """Width of the activations at a hook point; the heads of `hook_z` side by side."""
        self.check_hook(hook)
        tokens = torch.zeros((1, min(PROBE_LENGTH, self.n_ctx)), dtype=torch.long, device=self.device)
        try:
            activations = self.activations(tokens, [hook])
        except ValueError as error:  # TransformerLens keeps some hook points switched off
            raise InputError(f'"{self.name}": hook point "{hook}" cannot be read: {error}') from error
        if hook not in activations:
            raise InputError(f'"{self.name}": nothing passes hook point "{hook}" in a forward pass')
        return int(activations[hook].shape[-1])

    @torch.inference_mode()
    def activations(self, tokens: Int[Tensor, "n L"], hooks: Sequence[str]) -> dict[str, Float[Tensor, "n L d"]]:
        """Activations at hook points, float32; the forward pass ends when all of them are known."""
        # A hook point is always read in the same way, whatever others are read with it: its numbers are the same.
        quick = [hook for hook in hooks if self.plain is not None and hook in self.plain.sites]
        others = [hook for hook in hooks if hook not in quick]
        known = self.plain.activations(tokens, quick) if self.plain is not None and quick else {}
        return known | self._bridged(tokens, others) if others else known

    def _bridged(self, tokens: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        known: dict[str, Tensor] = {}
        names: dict[int, list[str]] = {}  # one hook point can have several names
        for name in sorted(set(hooks)):
            names.setdefault(id(self.bridge.hook_dict[name]), []).append(name)

        def keep(activation: Tensor, hook: Any) -> None:
            same = names[id(hook)]
            if activation.shape[:2] != tokens.shape:
                raise InputError(
                    f'"{self.name}": hook point "{same[0]}" has no vector for each token: its activations are '
                    f"{tuple(activation.shape)} for tokens {tuple(tokens.shape)}"
                )
            known.update(dict.fromkeys(same, activation.reshape(*tokens.shape, -1).float().to(self.device)))
            if len(known) == len(set(hooks)):
                raise _AllHooksSeen

        with contextlib.suppress(_AllHooksSeen):
            self.bridge.run_with_hooks(tokens, return_type=None, fwd_hooks=[(same[0], keep) for same in names.values()])
        return known

    def encode_texts(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts; special tokens written out in a text stay text."""
        if self.tokenizer is None:
            what = "only an npy: source of token ids can be used with it"
            raise InputError(f'"{self.name}" has no tokenizer: {what}{other_tokenizer(self.name)}')
        encoded = self.tokenizer(
            texts, add_special_tokens=False, split_special_tokens=True, return_attention_mask=False, verbose=False
        )
        return [list(ids) for ids in encoded["input_ids"]]

    def encode_chat(self, messages: Sequence[Message], roles: Roles, name: str) -> tuple[list[int], list[bool]]:
        """Token ids of a conversation by the chat template, and which of them are the contents of `roles`."""
        return encode_chat(self.tokenizer, messages, roles, name)

    def tokenizer_hash(self) -> str:
        """Hash of the tokenizer's whole definition; "" where there is none."""
        if self.tokenizer is None:
            return ""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        text = backend.to_str() if backend is not None else json.dumps(self.tokenizer.get_vocab(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def unembedding(self) -> npt.NDArray[np.float32]:
        """What each token's logit reads, [V, d_model]."""
        return np.asarray(self.bridge.W_U.detach().float().T.cpu().numpy(), dtype=np.float32)

    def vocabulary(self) -> list[str]:
        """Every token as text, [V]; bytes that are not UTF-8 on their own are written \\xNN."""
        if self.tokenizer is None:
            return [f"<{token}>" for token in range(self.d_vocab)]
        return token_texts(self.tokenizer, self.d_vocab, self.special)
