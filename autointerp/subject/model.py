"""The subject model: loaded with TransformerLens, run as far as the last hook and no further.

A subject larger than one device is spread by accelerate (`device = "map"`); its activations come back to the device
that its tokens go to.

The forward pass is stopped by an exception raised in the last hook point that anybody asked for: that
skips the later layers and the unembedding whatever the architecture (`stop_at_layer` of the bridge does
not skip the unembedding for a hook in the last block).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor

from autointerp.errors import InputError, nearest
from autointerp.resources import BUNDLED
from autointerp.subject.chat import Roles, encode_chat
from autointerp.subject.documents import Message
from autointerp.subject.plain import PlainModel, Site, share_weights, sites_by_kind
from autointerp.subject.rerandomise import rerandomise

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
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

    def hook_names(self) -> list[str]:
        return sorted(self.bridge.hook_dict)

    def check_hook(self, hook: str) -> None:
        """Raises InputError naming the nearest hook point where there is none of this name."""
        if hook not in self.bridge.hook_dict:
            raise InputError(f'"{self.name}" has no hook point "{hook}"{nearest(hook, self.hook_names())}')

    def width(self, hook: str) -> int:
        """Width of the activations at a hook point; the heads of `hook_z` side by side."""
        self.check_hook(hook)
        tokens = torch.zeros((1, min(PROBE_LENGTH, self.n_ctx)), dtype=torch.long, device=self.device)
        try:
            found = self.activations(tokens, [hook])
        except ValueError as error:  # TransformerLens keeps some hook points switched off
            raise InputError(f'"{self.name}": hook point "{hook}" cannot be read: {error}') from error
        if hook not in found:
            raise InputError(f'"{self.name}": nothing passes hook point "{hook}" in a forward pass')
        return int(found[hook].shape[-1])

    @torch.inference_mode()
    def activations(self, tokens: Int[Tensor, "n L"], hooks: Sequence[str]) -> dict[str, Float[Tensor, "n L d"]]:
        """Activations at hook points, float32; the forward pass ends when all of them are known."""
        # A hook point is always read in the same way, whatever others are read with it: its numbers are the same.
        quick = [hook for hook in hooks if self.plain is not None and hook in self.plain.sites]
        others = [hook for hook in hooks if hook not in quick]
        found = self.plain.activations(tokens, quick) if self.plain is not None and quick else {}
        return found | self._bridged(tokens, others) if others else found

    def _bridged(self, tokens: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
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
            found.update(dict.fromkeys(same, activation.reshape(*tokens.shape, -1).float().to(self.device)))
            if len(found) == len(set(hooks)):
                raise _AllHooksSeen

        with contextlib.suppress(_AllHooksSeen):
            self.bridge.run_with_hooks(tokens, return_type=None, fwd_hooks=[(same[0], keep) for same in names.values()])
        return found

    def encode_texts(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts; special tokens written out in a text stay text."""
        if self.tokenizer is None:
            raise InputError(f'"{self.name}" has no tokenizer: only an npy: source of token ids can be used with it')
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
        pieces = self.tokenizer.convert_ids_to_tokens(list(range(min(self.d_vocab, len(self.tokenizer)))))
        special, byte_level = set(self.special), self._is_byte_level()
        texts = [
            f"<{token}>" if piece is None else piece if token in special else piece_text(piece, byte_level)
            for token, piece in enumerate(pieces)
        ]
        return texts + [f"<{token}>" for token in range(len(texts), self.d_vocab)]

    def _is_byte_level(self) -> bool:
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        return backend is not None and "ByteLevel" in json.dumps(json.loads(backend.to_str()).get("decoder"))


def piece_text(piece: str, byte_level: bool) -> str:
    """The text of a vocabulary's piece, whose tokenizer writes bytes as characters (`byte_level`) or as <0x0A>."""
    if byte_level:
        table = _byte_of_character()
        data = b"".join(bytes([table[c]]) if c in table else c.encode() for c in piece)
        return data.decode("utf-8", "backslashreplace")
    as_byte = re.fullmatch(r"<0x([0-9A-F]{2})>", piece)
    if as_byte:
        return bytes([int(as_byte[1], 16)]).decode("utf-8", "backslashreplace")
    return piece.replace("\u2581", " ")


def _byte_of_character() -> dict[str, int]:
    """The table of byte-level BPE: printable bytes stand for themselves, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


def resolve_model(model: str) -> str:
    """`bundled:NAME` and local folders to a path; anything else is a hub name."""
    if model.startswith("bundled:"):
        name = model.removeprefix("bundled:")
        known = [folder.name for folder in BUNDLED.iterdir() if (folder / "config.json").is_file()]
        if name not in known:
            raise InputError(f'subject.model: there is no bundled model "{name}"{nearest(name, known)}')
        return str(BUNDLED / name)
    path = Path(model)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f'subject.model: the folder "{model}" has no config.json')
        return str(path)
    if path.exists() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise InputError(f'subject.model: there is no folder "{model}"')
    return model


def load_subject(
    model: str,
    revision: str | None,
    processing: str,
    dtype: str,
    device: str,
    *,
    max_memory: dict[str, str] | None = None,
    offload_folder: str | None = None,
    rerandomised: int | None = None,
    rerandomise_embeddings: bool = True,
) -> Subject:
    """Loads a Hugging Face model, by name or from a folder, through TransformerBridge.

    `device = "map"`: spread over the devices there are, within `max_memory`. `rerandomised`: the seed that its weight
    matrices are drawn again with. Raises InputError where it is not there, is damaged, or has weights that are not
    finite.
    """
    path = resolve_model(model)
    local = Path(path).is_dir()
    where = None if device == "map" else _device(device)
    placement = _placement(max_memory, offload_folder) if where is None else {}
    with _quiet():
        from transformers import AutoConfig, AutoModelForCausalLM

        try:
            config = AutoConfig.from_pretrained(path, revision=revision)
            hf_model, loading = AutoModelForCausalLM.from_pretrained(
                path,
                revision=revision,
                dtype=DTYPES[dtype],
                attn_implementation="eager",
                output_loading_info=True,
                **placement,
            )
        except Exception as error:  # transformers raises many kinds; each means that this model cannot be had
            reason = _first(error)
            hint = "" if local else "; give a local folder, or check the name and the network"
            raise InputError(f'subject.model: "{model}" cannot be loaded: {reason}{hint}') from error
        if missing := sorted(loading["missing_keys"]):  # transformers would draw them at random
            raise InputError(f'subject.model: "{model}" lacks {len(missing)} weight(s), e.g. "{missing[0]}"')
        if rerandomised is not None:
            rerandomise(hf_model, rerandomised, rerandomise_embeddings)
        checksum = _checksum(hf_model, model)
        tokenizer = _load_tokenizer(path, revision, local)
        hf_model.eval()
        # Not where the weights are spread over devices, or folded in the bridge.
        twin = share_weights(hf_model) if where is not None and processing == "raw" else None
        try:
            bridge = _bridge(path, hf_model, config, tokenizer, where, DTYPES[dtype])
        except ValueError as error:
            raise InputError(f'subject.model: "{model}" cannot be run by TransformerLens: {_first(error)}') from error
        where = where or torch.device(bridge.cfg.device)
        if processing == "folded":
            bridge.enable_compatibility_mode()
        bridge.eval()
    d_vocab = int(config.vocab_size)
    ids = [config.bos_token_id, config.eos_token_id, config.pad_token_id]
    if tokenizer is not None:
        ids += list(tokenizer.all_special_ids)
    special = {id_ for item in ids for id_ in (item if isinstance(item, list) else [item]) if id_ is not None}
    bos = tokenizer.bos_token_id if tokenizer is not None else config.bos_token_id
    subject = Subject(
        name=model,
        revision=revision,
        processing=processing,
        dtype=dtype,
        architecture=str((config.architectures or [type(hf_model).__name__])[0]),
        n_layers=int(bridge.cfg.n_layers),
        d_model=int(bridge.cfg.d_model),
        d_vocab=d_vocab,
        n_ctx=int(bridge.cfg.n_ctx),
        checksum=checksum,
        bos=int(bos) if isinstance(bos, int) and 0 <= bos < d_vocab else None,
        special=tuple(sorted(int(id_) for id_ in special if 0 <= id_ < d_vocab)),
        device=where,
        bridge=bridge,
        tokenizer=tokenizer,
        rerandomised=rerandomised,
    )
    return subject if twin is None else replace(subject, plain=_agreeing(subject, twin.to(where)))


def _agreeing(subject: Subject, twin: torch.nn.Module) -> PlainModel | None:
    """The plain model with the kinds of hook points at which a few tokens have the bridge's activations."""
    tolerance = 1e-4 if subject.dtype == "float32" else 2e-2
    tokens = torch.arange(min(PROBE_LENGTH, subject.n_ctx, subject.d_vocab), device=subject.device)[None]
    try:
        kinds = sites_by_kind(twin, subject.bridge.adapter.component_mapping["blocks"])
    except (KeyError, AttributeError):  # no list of blocks
        return None
    agreed: dict[str, Site] = {}
    for kind, sites in kinds.items():
        known = {f"blocks.{layer}.{kind}": site for layer, site in enumerate(sites)}
        last = f"blocks.{subject.n_layers - 1}.{kind}"
        found = PlainModel(twin, known).activations(tokens, [last])[last]
        expected = subject.activations(tokens, [last])[last]
        if found.shape == expected.shape and bool((found - expected).norm() <= tolerance * expected.norm()):
            agreed |= known
    return PlainModel(twin, agreed) if agreed else None


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def _bridge(
    path: str, hf_model: Any, config: Any, tokenizer: Any | None, where: torch.device | None, dtype: torch.dtype
) -> Any:
    """TransformerBridge around a loaded model; `where` is None where accelerate has placed it."""
    if tokenizer is not None:
        from transformer_lens.model_bridge import TransformerBridge

        device = None if where is None else str(where)
        return TransformerBridge.boot_transformers(
            path, hf_model=hf_model, tokenizer=tokenizer, device=device, dtype=dtype
        )
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    if where is not None:
        hf_model.to(where)
    architecture = str((config.architectures or [type(hf_model).__name__])[0])
    return build_bridge_from_module(hf_model, architecture, hf_config=config, dtype=dtype, model_name=path)


def _placement(max_memory: dict[str, str] | None, offload_folder: str | None) -> dict[str, Any]:
    """What transformers is told of the devices. Raises InputError where accelerate is missing."""
    if importlib.util.find_spec("accelerate") is None:
        raise InputError('subject.device: "map" needs the package accelerate; pip install accelerate')
    limits = {int(key) if key.isdigit() else key: value for key, value in (max_memory or {}).items()}
    return {"device_map": "auto", "max_memory": limits or None, "offload_folder": offload_folder}


def _load_tokenizer(path: str, revision: str | None, local: bool) -> Any | None:
    """The model's tokenizer; None where a local folder has no tokenizer files."""
    from transformers import AutoTokenizer

    files = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
    if local and not any((Path(path) / name).is_file() for name in files):
        return None
    try:
        return AutoTokenizer.from_pretrained(path, revision=revision)
    except Exception as error:  # as above: whatever it is, the tokenizer cannot be had
        raise InputError(f'subject.model: the tokenizer of "{path}" cannot be loaded: {error}') from error


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:  # no such device; one that is not here
        raise InputError(f'subject.device: "{name}" cannot be used here; give auto, cpu or cuda') from error
    return device


def _checksum(model: torch.nn.Module, shown: str) -> str:
    """Hash of all weights, wherever accelerate has put them. Raises InputError where one is not finite."""
    digest = hashlib.blake2b(digest_size=16)
    for name, held in sorted(model.state_dict().items()):
        weight = weight_of(model, name) if held.is_meta else held
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise InputError(f'subject.model: "{shown}" has NaN or infinite weights in "{name}"')
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def readable(module: torch.nn.Module) -> Iterator[None]:
    """While this holds, the weights of `module` can be read, also those that accelerate keeps on disk."""
    with contextlib.ExitStack() as stack:
        if any(weight.is_meta for weight in module.parameters()):
            from accelerate.utils import align_module_device

            for part in module.modules():
                stack.enter_context(align_module_device(part, torch.device("cpu")))
        yield


def weight_of(model: torch.nn.Module, name: str) -> Tensor:
    """A weight that accelerate keeps on another device or on disk."""
    from accelerate.utils import align_module_device

    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    with align_module_device(module, torch.device("cpu")):
        held: Tensor = getattr(module, leaf)
        return held.detach().clone()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps other people's progress bars and notices off the terminal while a model loads."""
    loggers = [logging.getLogger(name) for name in ("transformers", "transformer_lens", "huggingface_hub", "root", "")]
    levels = [logger.level for logger in loggers]
    bars = {name: os.environ.get(name) for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "TQDM_DISABLE")}
    os.environ.update(dict.fromkeys(bars, "1"))
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        nowhere = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name, value in bars.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
