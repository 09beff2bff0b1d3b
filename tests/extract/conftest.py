"""Token files and dictionaries of several kinds over the tiny subject."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.extract.selected import Selected
from autointerp.subject.baselines import count_firings, make_units, take_sample
from autointerp.subject.formats import load_dictionary
from autointerp.subject.tokenise import TokenPlan, open_tokens
from autointerp.subject.tokens import TokenFile


@pytest.fixture(scope="session")
def token_file(tiny_subject: Any, tokens_npy: Path, tmp_path_factory: pytest.TempPathFactory) -> TokenFile:
    plan = TokenPlan(
        source=f"npy:{tokens_npy}",
        context_length=24,
        n_tokens=None,
        allow_fewer=False,
        bos=None,
        special=tiny_subject.special,
        d_vocab=tiny_subject.d_vocab,
        window=7,
        shares=(0.5, 0.2, 0.3),
        tokenizer="",
    )
    return open_tokens(tmp_path_factory.mktemp("work"), plan, None, lambda _: None)


@pytest.fixture(scope="session")
def dictionaries(
    tiny_subject: Any, token_file: TokenFile, write_sae: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Selected]:
    folder = tmp_path_factory.mktemp("dictionaries")
    chosen: dict[str, Selected] = {}
    for index, architecture in enumerate(("standard", "jumprelu", "topk", "gated")):
        sae = load_dictionary(str(write_sae(folder / architecture, architecture, seed=index)))
        chosen[architecture] = Selected(sae, np.arange(sae.n_features))
    some = np.array([3, 4, 11, 40])
    chosen["subset"] = Selected(chosen["topk"].dictionary, some)
    hook = "blocks.2.mlp.hook_post"  # in the last block: the unembedding must not be needed
    neurons = DictionaryEntry(name="neurons", kind="neurons", hook=hook)
    sample = take_sample(tiny_subject, token_file, [hook, "blocks.1.hook_resid_post"], 0, folder)
    units = make_units(neurons, hook, sample, 0, None)
    chosen["neurons"] = Selected(units, np.arange(units.n_features))
    matched = DictionaryEntry(name="random", kind="random_covariance", match="standard")
    standard = chosen["standard"]
    hook = standard.dictionary.hook
    target = count_firings(standard.dictionary, sample.by_hook[hook], standard.features)
    units = make_units(matched, hook, sample, 0, target)
    chosen["random"] = Selected(units, np.arange(units.n_features))
    return chosen


@pytest.fixture(scope="session")
def dense(plain_model: Any, token_file: TokenFile, dictionaries: dict[str, Selected]) -> dict[str, np.ndarray]:
    """The slow, obvious twin: every activation of every dictionary, [C, L, F], straight from Hugging Face's model."""
    model = plain_model
    ids = torch.from_numpy(np.asarray(token_file.tokens).astype(np.int64))
    neurons: dict[int, torch.Tensor] = {}
    handle = model.transformer.h[2].mlp.act.register_forward_hook(lambda *a: neurons.__setitem__(2, a[2]))
    with torch.no_grad():
        hidden = model(ids, output_hidden_states=True).hidden_states[2]
    handle.remove()
    activations = {}
    for name, chosen in dictionaries.items():
        x = neurons[2] if "mlp" in chosen.dictionary.hook else hidden
        with torch.no_grad():
            acts = chosen.dictionary.encode(x.reshape(-1, x.shape[-1]).clone()).reshape(*ids.shape, -1).numpy()
        acts = acts * token_file.scored(np.arange(token_file.n_contexts))[:, :, None]
        keep = np.zeros(acts.shape[-1], dtype=bool)
        keep[chosen.features] = True
        activations[name] = acts * keep
    return activations
