"""Every id of SAELens's registry leads to a repository, a path and one of our readers, or is refused by name."""

from __future__ import annotations

import importlib
from collections import Counter
from typing import Any

import pytest

from autointerp.errors import InputError
from autointerp.subject.formats import check_path
from autointerp.subject.formats.refused import BY_LOADER
from autointerp.subject.formats.sae_lens_releases import FORMATS, look_up

pytestmark = pytest.mark.interop
SHARES = {
    "in the formats of earlier versions": ({"saelens", "dictionary_learning", "gemma_scope"}, 28.8),
    "with Gemma Scope 2": ({"gemma_scope_2"}, 92.2),
    "with circuit-tracer's": ({"circuit_tracer", "cross_layer"}, 93.9),
    "with Llama Scope": ({"llama_scope", "lm_saes"}, 95.9),
    "with Qwen-Scope and bare state dicts": ({"qwen_scope", "state_dict"}, 99.9),
    "with Kissane's": ({"kissane"}, 100.0),
}


def releases() -> Any:
    try:
        directory = importlib.import_module("sae_lens.loading.pretrained_saes_directory")
    except ImportError as error:
        pytest.skip(f"sae_lens cannot be imported here: {error}")
    return directory.get_pretrained_saes_directory()


def test_the_share_of_the_registry_that_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    read: Counter[str] = Counter()
    refused: Counter[str | None] = Counter()
    for release, entry in releases().items():
        for sae_id in entry.saes_map:
            path = f"sae-lens:{release}/{sae_id}"
            if entry.conversion_func in BY_LOADER:
                with pytest.raises(InputError, match="are not read: "):
                    look_up(path)
                refused[entry.conversion_func] += 1
                continue
            found = look_up(path)
            check_path(path)
            assert found.format == FORMATS[entry.conversion_func]
            read[found.format] += 1
    total = sum(read.values()) + sum(refused.values())
    assert set(refused) == set(BY_LOADER)
    so_far = 0
    with capsys.disabled():
        print()
        for what, (formats, share) in SHARES.items():
            so_far += sum(read[name] for name in formats)
            each = ", ".join(f"{name} {read[name]:,}" for name in sorted(formats))
            print(f"{what}: {so_far:,} of {total:,} ids, {100 * so_far / total:.1f} % ({each})")
            assert round(100 * so_far / total, 1) == share
    assert so_far == sum(read.values())


def test_the_path_is_the_one_that_sae_lens_fetches() -> None:
    """Folder or file; of a cross-layer transcoder the registry holds the layer, and the loader makes the name."""
    for release, entry in releases().items():
        if entry.conversion_func not in FORMATS:
            continue
        for sae_id, path in entry.saes_map.items():
            found = look_up(f"sae-lens:{release}/{sae_id}")
            overrides = dict(entry.config_overrides or {})
            overrides.pop("neuronpedia_id", None)  # a label of theirs, nothing of the dictionary
            assert found.overrides == overrides
            assert found.scaling_factor == entry.norm_scaling_factor.get(sae_id)
            wanted = f"W_enc_{path}.safetensors" if entry.conversion_func == "mntss_clt_layer_transcoder" else path
            assert found.hub == f"hf://{entry.repo_id}/{wanted}"
