"""How many tokens a prompt and its reply may have together, as servers state it. Pure: bodies in, a number out.

    /v1/models          vLLM, SGLang `max_model_len`, OpenRouter, Together `context_length`, Groq `context_window`,
                        Mistral `max_context_length`, llama.cpp `meta.n_ctx` or, of training, `meta.n_ctx_train`
    /props              llama.cpp: `default_generation_settings.n_ctx`, what one of its slots has
    /api/v0/models/ID   LM Studio: `loaded_context_length`
    /api/show, /api/ps  Ollama: `num_ctx` of the model's file, `context_length` of the loaded model
    /info               TGI: `max_total_tokens`
What a model was trained for is no statement of what the server gives it: Ollama's `model_info` is not read.
"""

from __future__ import annotations

import json
import re
from typing import Any

_OF_MODEL = (
    "loaded_context_length", "max_model_len", "context_length", "context_window", "max_context_length",
    "max_context_window", "max_total_tokens", "n_ctx",
)  # fmt: skip
_LEAST, _MOST = 256, 100_000_000


def in_models(body: str, model: str) -> int | None:
    """Of the list of models: that of this one, or of the only one there is."""
    listed = _json(body)
    entries = listed.get("data") if isinstance(listed, dict) else listed
    if not isinstance(entries, list):
        return None
    known = [entry for entry in entries if isinstance(entry, dict)]
    mine = [entry for entry in known if model in (entry.get("id"), entry.get("root"))] or (
        known if len(known) == 1 else []
    )
    for entry in mine:
        inside = [entry, entry.get("top_provider"), entry.get("meta"), entry.get("limits")]
        numbers = [_first(part, _OF_MODEL) for part in inside if isinstance(part, dict)]
        stated = [number for number in numbers if number is not None]
        if stated:
            return min(stated)
    return None


def trained_in_models(body: str) -> int | None:
    """llama.cpp: what the model was trained for, where its server says no more."""
    listed = _json(body)
    entries = listed.get("data") if isinstance(listed, dict) else None
    metas = [entry.get("meta") for entry in entries or () if isinstance(entry, dict)]
    return next(
        (number for meta in metas if isinstance(meta, dict) and (number := _number(meta.get("n_ctx_train")))), None
    )


def in_props(body: str) -> int | None:
    """llama.cpp's /props."""
    props = _json(body)
    settings = props.get("default_generation_settings") if isinstance(props, dict) else None
    return _number(settings.get("n_ctx")) if isinstance(settings, dict) else None


def in_one_model(body: str) -> int | None:
    """LM Studio's /api/v0/models/ID."""
    entry = _json(body)
    return _first(entry, ("loaded_context_length",)) if isinstance(entry, dict) else None


def in_show(body: str) -> int | None:
    """Ollama's /api/show: `num_ctx`, where the model's file sets it."""
    shown = _json(body)
    parameters = shown.get("parameters") if isinstance(shown, dict) else None
    line = re.search(r"^\s*num_ctx\s+(\d+)", parameters, re.MULTILINE) if isinstance(parameters, str) else None
    return _number(int(line[1])) if line else None


def in_ps(body: str, model: str) -> int | None:
    """Ollama's /api/ps: of the loaded model."""
    listed = _json(body)
    entries = listed.get("models") if isinstance(listed, dict) else None
    for entry in entries or ():
        if isinstance(entry, dict) and model in (
            entry.get("name"),
            entry.get("model"),
            f"{entry.get('name')}".split(":")[0],
        ):
            return _number(entry.get("context_length"))
    return None


def in_info(body: str) -> int | None:
    """TGI's /info."""
    info = _json(body)
    return _first(info, ("max_total_tokens", "max_model_len")) if isinstance(info, dict) else None


def _json(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _first(part: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((number for name in names if (number := _number(part.get(name))) is not None), None)


def _number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not _LEAST <= value <= _MOST:
        return None
    return value
