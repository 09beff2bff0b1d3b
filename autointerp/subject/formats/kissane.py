"""SAEs on the outputs of all heads of a layer, by Kissane, Krzyzanowski and others: a .pt and its _cfg.json.

    relu((x - b_dec) W_enc + b_enc)

x is `hook_z`, the heads side by side ("Hcat" in the file's name). The settings are those of the training script:
`act_name` is the hook point, `act_size` and `dict_size` are the sizes. The weights are read with `weights_only=True`.
The script trained on TransformerLens's model as it loads by default; only SAELens's registry says what that means for
the subject.
"""

from __future__ import annotations

import re
from pathlib import Path

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import (
    DictionarySource,
    Weights,
    integer,
    load_torch,
    read_config,
)
from autointerp.subject.formats.row import Format, Refusal, Setting
from autointerp.subject.formats.saelens import processing_of

SUFFIX = ".pt"
ONE_HEAD = Refusal(
    "`head` is a number",
    "it was trained on one attention head",
    "{reason} (head = {value}); not read",
)


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path, file = source.path, _file(source)
    name = _config_of(file.name)
    config = read_config(file.with_name(name), path, f": the settings of {file.name}")
    head = config.get("head")
    if isinstance(head, int) and not isinstance(head, bool):
        raise ONE_HEAD.error(path, head)
    if config.get("activation", "relu") != "relu":
        FORMAT.architectures.check(config["activation"], path)
    named = config.get("act_name")
    if hook is None and not (isinstance(named, str) and re.fullmatch(r"(\w+\.)*hook_\w+", named)):
        raise InputError(f'"{path}": {name} has act_name = {named!r}; it must be a hook point, or give hook = ...')
    hook = hook or str(named)
    weights = Weights(load_torch(file, path), path)
    d_in, n_features = integer(config, "act_size", path, name), integer(config, "dict_size", path, name)
    sae = SparseAutoencoder(
        hook=hook,
        architecture="standard",
        kind=kind if kind != "auto" else "sae",
        W_enc=weights.take("W_enc", (d_in, n_features)),
        b_enc=weights.take("b_enc", (n_features,)),
        W_dec=weights.take("W_dec", (n_features, d_in)),
        b_dec=weights.take("b_dec", (d_in,)),
        subtract_b_dec=True,
        processing=processing_of(source.overrides, hook),
        format="kissane",
        source=path,
        config={**config, **source.overrides},
    )
    weights.finish()
    return sae


def _config_of(name: str) -> str:
    return f"{name.removesuffix(SUFFIX)}_cfg.json"


def _has_settings(file: Path) -> bool:
    return file.suffix == SUFFIX and file.with_name(_config_of(file.name)).is_file()


def _file(source: DictionarySource) -> Path:
    if source.file is not None:
        return source.file
    files = sorted(file for file in source.folder.glob(f"*{SUFFIX}") if _has_settings(file))
    if len(files) == 1:
        return files[0]
    first = files[0].name if files else "NAME.pt"
    raise InputError(
        f'"{source.path}" holds {len(files)} SAEs with a _cfg.json, and a dictionary is one of them: '
        f'give path = "{source.path.rstrip("/")}/{first}"'
    )


FORMAT = Format(
    name="kissane",
    title="Kissane and others, SAEs of all heads",
    sentence="The SAEs on the concatenated outputs of a layer's heads that Kissane, Krzyzanowski and others published.",
    documented="https://huggingface.co/ckkissane/attn-saes-gpt2-small-all-layers",
    hook="`act_name` of the settings: `blocks.5.attn.hook_z`, the heads side by side.",
    input="the activation minus `b_dec`",
    architectures=Setting("activation", {"relu": "relu(x W_enc + b_enc); the files name none, there is one"}),
    read=read,
    suffixes=(SUFFIX,),
    likely=_has_settings,
    companions=lambda name: (_config_of(name),),
    refusals=(ONE_HEAD,),
    sae_lens_loaders=("connor_rob_hook_z",),
)
