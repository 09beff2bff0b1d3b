"""Loading a subject model: found by its name, read by transformers, run by TransformerLens.

1. The name is a bundled model, a folder, or a model of the hub.
2. transformers reads the weights, onto one device or spread by accelerate (`device = "map"`). A weight that is missing
   or not finite is an error.
3. TransformerBridge gives the hook points of TransformerLens.
4. The plain model (`plain.py`) serves the hook points at which a few tokens have the same activations in both.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from autointerp.errors import InputError, nearest
from autointerp.near_paths import near_path
from autointerp.resources import BUNDLED
from autointerp.subject.model import PROBE_LENGTH, Subject
from autointerp.subject.model_files import check_folder, check_loaded, check_quantisation
from autointerp.subject.plain import PlainModel, Site, copy_around, share_weights, sites_by_kind
from autointerp.subject.rerandomise import rerandomise
from autointerp.subject.token_ids import disagreements, text_config, token_ids
from autointerp.subject.unmarked import unmarked
from autointerp.subject.weights import weights_checksum

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_model(model: str) -> str:
    """`bundled:NAME` and local folders to a path; anything else is a hub name."""
    if model.startswith("bundled:"):
        name = model.removeprefix("bundled:")
        known = [folder.name for folder in BUNDLED.iterdir() if (folder / "config.json").is_file()]
        if name not in known:
            raise InputError(f'subject.model: there is no bundled model "{name}"{nearest(name, known)}')
        return str(BUNDLED / name)
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f'subject.model: the folder "{model}" has no config.json')
        check_folder(model, path)
        return str(path)
    if path.exists() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise InputError(f'subject.model: there is no folder "{model}"{near_path(model)}')
    if "/" not in model and model in [folder.name for folder in BUNDLED.iterdir()]:
        raise InputError(f'subject.model: there is no folder "{model}"; the bundled model is "bundled:{model}"')
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
    named = resolve_model(model)
    local = Path(named).is_dir()
    where = None if device == "map" else device_of(device)
    placement = _placement(max_memory, offload_folder) if where is None else {}
    with _quiet(), unmarked(named) as path:
        from transformers import AutoConfig, AutoModelForCausalLM

        try:
            config = AutoConfig.from_pretrained(path, revision=revision)
            check_quantisation(model, config)
            hf_model, loading = AutoModelForCausalLM.from_pretrained(
                path,
                revision=revision,
                dtype=DTYPES[dtype],
                attn_implementation="eager",
                output_loading_info=True,
                **placement,
            )
        except InputError:
            raise
        except Exception as error:  # transformers raises many kinds; each means that this model cannot be had
            reason = _mismatched(path, error) or _first(error)
            hint = "" if local else "; give a local folder, or check the name and the network"
            raise InputError(f'subject.model: "{model}" cannot be loaded: {reason}{hint}') from error
        if missing := sorted(loading["missing_keys"]):  # transformers would draw them at random
            raise InputError(f'subject.model: "{model}" lacks {len(missing)} weight(s), e.g. "{missing[0]}"')
        if dtype == "float32" and where is not None:
            hf_model.to(torch.float32)  # what was quantised and is not any more comes in the files' type
        unplaced = check_loaded(model, hf_model, loading["unexpected_keys"])
        if rerandomised is not None:
            rerandomise(hf_model, rerandomised, rerandomise_embeddings)
        checksum = weights_checksum(hf_model, model)
        tokenizer = _load_tokenizer(path, revision, local)
        bos, special = token_ids(config, tokenizer)
        differences = [*unplaced, *disagreements(config, tokenizer, Path(path) if local else None)]
        hf_model.eval()
        # Not where the weights are spread over devices, or folded in the bridge.
        alone = where is not None and processing == "raw"
        twin = share_weights(hf_model) if alone else None
        reference = copy_around(hf_model) if alone else None
        try:
            bridge = _bridge(path, hf_model, config, copy.deepcopy(tokenizer), where, DTYPES[dtype])
        except ValueError as error:
            raise InputError(f'subject.model: "{model}" cannot be run by TransformerLens: {_first(error)}') from error
        where = where or torch.device(bridge.cfg.device)
        if processing == "folded":
            bridge.enable_compatibility_mode()
        bridge.eval()
    subject = Subject(
        name=model,
        revision=revision,
        processing=processing,
        dtype=dtype,
        architecture=str((config.architectures or [type(hf_model).__name__])[0]),
        n_layers=int(bridge.cfg.n_layers),
        d_model=int(bridge.cfg.d_model),
        d_vocab=int(text_config(config).vocab_size),
        n_ctx=int(bridge.cfg.n_ctx),
        checksum=checksum,
        bos=bos,
        special=special,
        device=where,
        bridge=bridge,
        tokenizer=tokenizer,
        rerandomised=rerandomised,
        differences=tuple(differences),
        reference=None if reference is None else reference.to(where),
    )
    return subject if twin is None else replace(subject, plain=_agreeing(subject, twin.to(where)))


def load_tokenizer(model: str, revision: str | None) -> tuple[Any | None, Any]:
    """A model's tokenizer, if it has one, and its configuration; no weights."""
    named = resolve_model(model)
    with _quiet(), unmarked(named) as path:
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(path, revision=revision)
        except Exception as error:  # as in load_subject
            raise InputError(f'subject.model: "{model}" cannot be loaded: {_first(error)}') from error
        return _load_tokenizer(path, revision, Path(path).is_dir()), config


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
        plain = PlainModel(twin, known).activations(tokens, [last])[last]
        expected = subject.activations(tokens, [last])[last]
        if plain.shape == expected.shape and bool((plain - expected).norm() <= tolerance * expected.norm()):
            agreed |= known
    return PlainModel(twin, agreed) if agreed else None


def _first(error: Exception) -> str:
    """The first line, and the next one where it only announces that."""
    lines = [line.strip() for line in (str(error).strip() or type(error).__name__).split("\n")]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _mismatched(path: str, error: Exception) -> str:
    """Which weight does not have the shape that config.json gives it: transformers writes that into a report."""
    if "ignore_mismatched_sizes" not in str(error):
        return ""
    from transformers import AutoModelForCausalLM

    _, loading = AutoModelForCausalLM.from_pretrained(path, ignore_mismatched_sizes=True, output_loading_info=True)
    name, held, asked = min(loading["mismatched_keys"])
    n = len(loading["mismatched_keys"])
    return (
        f'"{name}" is {tuple(held)} in its weights, and {tuple(asked)} by config.json'
        f"{f'; {n - 1} more differ' if n > 1 else ''}"
    )


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

    if local and not any((Path(path) / name).is_file() for name in _TOKENIZERS):
        return None
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
    except Exception as error:  # as above: whatever it is, the tokenizer cannot be had
        reason = " ".join(str(error).split())
        raise InputError(f'subject.model: the tokenizer of "{path}" cannot be loaded: {reason}') from error
    if local:
        check_tokenizer(tokenizer, Path(path))
    return tokenizer


_SENTENCE_PIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", *_SENTENCE_PIECE)


def check_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Raises InputError where transformers read nothing, or read SentencePiece's file by the class of another kind of
    tokenizer (that of the model's type), which loses the blanks."""
    there = [name for name in _TOKENIZERS if (folder / name).is_file()]
    read_as = type(tokenizer).__name__
    if len(tokenizer.get_vocab()) <= len(getattr(tokenizer, "added_tokens_decoder", {})):
        wrong = "has no piece"
    elif there[0] in _SENTENCE_PIECE and " " not in tokenizer.decode(tokenizer("a a")["input_ids"]).strip():
        wrong = "loses the blanks"
    else:
        return
    raise InputError(
        f'subject.model: the tokenizer of "{folder}" {wrong}: transformers read {there[0]} as {read_as}; give a '
        "tokenizer.json, or name its tokenizer_class in tokenizer_config.json"
    )


def device_of(name: str) -> torch.device:
    """The device of this name. Raises InputError where it is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:  # no such device; one that is not here
        raise InputError(f'subject.device: "{name}" cannot be used here; give auto, cpu or cuda') from error
    return device


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
