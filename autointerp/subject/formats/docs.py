"""`docs/FORMATS.md`, made from the registries of formats and of baseline kinds.

python -m autointerp.subject.formats.docs docs/FORMATS.md            writes it
python -m autointerp.subject.formats.docs docs/FORMATS.md --check    exit status 1 where it is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from autointerp.generated import NOTE, cell, write_or_check
from autointerp.subject.baselines.docs import baselines_markdown
from autointerp.subject.formats.beside import PASSED_OVER, SETTINGS, WEIGHTS
from autointerp.subject.formats.refused import REFUSED
from autointerp.subject.formats.registry import BY_NAME
from autointerp.subject.formats.row import Format, Setting
from autointerp.subject.hook_names import BLOCK, IN_A_BLOCK

MODULES = {BLOCK: ["the block itself"]} | {
    sides: [name for name, other in IN_A_BLOCK.items() if other == sides]
    for sides in dict.fromkeys(IN_A_BLOCK.values())
}
REGISTRY_SHARE = (
    "Of the 13,857 ids in the registry of sae-lens 6.54.12, 13,854 (100.0 %) lead to a repository, path and reader:",
    "28.8 % in the formats of earlier versions, then 92.2 % with Gemma Scope 2, 93.9 % with circuit-tracer's, 95.9 %",
    "with Llama Scope, 99.9 % with Qwen-Scope and bare state dicts, and all but the temporal SAEs with Kissane's.",
    "`make test-interop` counts them (`tests/interop/test_registry.py`). That a name leads to a reader does not say",
    "that its files were tried: none was downloaded for it.",
)
EXAMPLE = '''
import numpy as np
import torch

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder


class PlainArrays:
    """A file weights.npz with the arrays W_enc, b_enc, W_dec and b_dec."""

    def read(self, source, hook, kind):
        if hook is None:
            raise InputError(f'"{source.path}": the file names no hook; give hook = "blocks...." in the run file')
        with np.load(source.named("weights.npz")) as arrays:
            weights = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        return SparseAutoencoder(hook=hook, architecture="standard", **weights)
'''.strip()


def formats_page(_: str = "") -> str:
    """The whole page."""
    sections = map(_section, BY_NAME.values())
    parts = [_opening(), *sections, _refused(), _beside(), _modules(), _registry(), _own(), baselines_markdown()]
    return "\n\n".join(parts) + "\n"


def _opening() -> str:
    overview = [f"| [`{row.name}`](#{row.name}) | {row.title} | {row.files} |" for row in BY_NAME.values()]
    return "\n".join(
        [
            NOTE.format(source="the registries of `autointerp/subject/`"),
            "",
            "# Dictionaries: formats that are read, and baselines",
            "",
            "A `[[dictionary]]` with a `path` is read from files:",
            "",
            '    path = "bundled:NAME"                             one of the package\'s own',
            '    path = "sae-lens:RELEASE/ID"                      by its name in SAELens\'s registry',
            '    path = "hf://owner/repository/folder@revision"    on the Hugging Face hub',
            '    path = "a/folder"                                 on this machine; or a file',
            '    path = "a/folder#5"                               layer 5 of a set of transcoders; also of hf://...',
            "",
            'The names of the files tell the format; `format = "NAME"` says it where they do not.',
            "",
            "| format | written by | files |",
            "|---|---|---|",
            *overview,
            "",
            "Weights become float32, and nothing is done to them but what a section says. Weights that are missing,",
            "misshapen, NaN, infinite or unknown are refused, and so is a value that a table below does not list.",
            "Nothing is ever unpickled. A refusal is one line that names the dictionary, what it holds and the reason.",
            "",
            *_layers(),
            "",
            "`check` runs a dictionary on your model: `autointerp check RUN.toml` shows L0 and variance explained, and",
            "a TopK or JumpReLU that was read wrongly shows there.",
        ]
    )


def _layers() -> list[str]:
    rows = [f"`{row.name}` ({row.one_of})" for row in BY_NAME.values() if row.one_of is not None]
    return [
        "Some formats keep a dictionary for each layer in one folder, and `path` names the file of one:",
        f"{', '.join(rows)}.",
        "circuit-tracer's sets and cross-layer transcoders also take the folder's address and the number of a layer,",
        "`hf://owner/repository/folder@revision#5` (or `?revision=` as the library writes it). Where the set's",
        "`config.yaml` lists files of other repositories, the listed file is read, at the hook point of the set.",
    ]


def _beside() -> str:
    patterns = ", ".join(f"`{pattern}`" for pattern in PASSED_OVER)
    endings = ", ".join(f"`{end}`" for end in (*SETTINGS, *WEIGHTS))
    rows = "\n".join(
        f"| `{row.name}` | {', '.join(f'`{pattern}`' for pattern in row.passed_over)} |"
        for row in BY_NAME.values()
        if row.passed_over
    )
    return f"""
## Files beside the weights

A file beside the weights can change what they mean, as SAELens's `activation_scaler.json` does. So where `path` names a
folder, every file in it that may hold settings or weights must be one that its format reads or is known to change
nothing. Any other is refused by its name, also where it lies on the hub and is not fetched. Such files end in
{endings}. Others (README, `.gitattributes`, logs, pictures) are not
looked at, nor are folders.

Passed over in every format: {patterns}. Beyond these:

| format | passed over |
|---|---|
{rows}

Where `path` names a file, that file is read with what its format reads beside it, and other files may lie there; a file
of settings of the same name (`8.json` beside `8.pt`) is refused.
""".strip()


def _quoted(name: str) -> str:
    return name if " " in name else f"`{name}`"


def _modules() -> str:
    rows = "\n".join(
        f"| {', '.join(_quoted(name) for name in names)} | `{sides.input}` | `{sides.output}` |"
        for sides, names in MODULES.items()
    )
    return f"""
## Modules of Hugging Face's model

Files that name a module of Hugging Face's GPT-2, GPT-NeoX, Llama, Mistral, Qwen or Gemma are read at the hook point
that holds the same activations (`tests/subject/test_hook_names.py`). The list of blocks may be called `transformer.h`,
`gpt_neox.layers`, `model.layers`, `model.language_model.layers` or `language_model.model.layers`. The hook points
stand in the block `blocks.N`:

| module of block N | what goes in | what comes out |
|---|---|---|
{rows}

`post_attention_layernorm` is not among them: it stands before the MLP in Llama, and behind the attention in Gemma.
""".strip()


def _refused() -> str:
    rows = "\n".join(f"| {kind.name} | {kind.files} | {cell(kind.reason)} |" for kind in REFUSED)
    return f"""
## Not read

Beyond what the sections above refuse, these are known by their files and not read:

| what | its files | because |
|---|---|---|
{rows}
""".strip()


def _registry() -> str:
    rows = []
    for row in BY_NAME.values():
        loaders = [f"`{loader}`" for loader in row.sae_lens_loaders if loader is not None]
        if loaders:
            rows.append(f"| {', '.join(loaders)} | `{row.name}` |")
    return "\n".join(
        [
            "## Names of SAELens's registry",
            "",
            '`path = "sae-lens:RELEASE/ID"` needs `pip install --no-deps sae-lens`. The registry says where the files',
            "lie and which loader of SAELens they need; ours read them instead:",
            "",
            "| loader | format |",
            "|---|---|",
            *rows,
            "",
            *REGISTRY_SHARE,
        ]
    )


def _section(row: Format) -> str:
    facts = [
        f"- **Files**: {_files(row)}.",
        f"- **Hook point**: {row.hook}",
        f"- **x** in the formulas: {row.input}.",
        f"- **Defined by**: <{row.documented}>",
    ]
    if row.states:
        facts.insert(2, f"- **The run file says**: {' and '.join(f'`{name}`' for name in row.states)}.")
    parts = [f"## {row.name}", row.sentence, "\n".join(facts), *map(_setting, (row.architectures, *row.settings))]
    refused = [f"| {when} | {reason} |" for when, reason in _refusals(row)]
    if refused:
        parts.append("\n".join(["| not read | because |", "|---|---|", *refused]))
    return "\n\n".join(parts)


def _files(row: Format) -> str:
    weights = f"`{row.weights}`" if row.weights else f"one file of any name that ends in {_listed(row.suffixes)}"
    if row.one_of:
        weights = f"`{row.one_of}`, one of them"
    if row.weights and row.suffixes:
        weights += f", or a file that `path` names and that ends in {_listed(row.suffixes)}"
    settings = [] if row.config is None else [f"`{row.config}`" + ("" if row.needs_config else " (may be missing)")]
    beside = [f"`{name}` where it is there" for name in row.beside]
    name = row.one_of or f"NAME{row.suffixes[0]}" if row.one_of or row.may_be("".join(row.suffixes[:1])) else ""
    if name and (others := row.companions(name)):
        beside += [f"with it {_listed(others)}"]
    return "; ".join([*settings, weights, *beside])


def _listed(names: tuple[str, ...]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _setting(setting: Setting) -> str:
    rows = [f"| `{value}` | {cell(meaning)} |" for value, meaning in setting.reads.items()]
    return "\n".join([f"| `{setting.key}` | what it means |", "|---|---|", *rows])


def _refusals(row: Format) -> Iterator[tuple[str, str]]:
    for setting in (row.architectures, *row.settings):
        for value, reason in setting.refused.items():
            yield f'`{setting.key}` is "{value}"', cell(reason)
    for refusal in row.refusals:
        yield cell(refusal.when), cell(refusal.reason)


def _own() -> str:
    return f"""
## A format of your own

    [[dictionary]]
    name = "mine"
    path = "a/folder"
    format = {{ python = "my_formats:PlainArrays" }}
    hook = "blocks.0.hook_resid_post"

The module must be importable: installed, or in a folder that `PYTHONPATH` names. The class has one method,
`read(source, hook, kind)`. `source.folder` is the folder of `path`, `source.file` the file where `path` names one, and
`source.named("x")` that file, else the file `x` of the folder. `hook` is the run file's, or None. Return a
`SparseAutoencoder` with weights in float32; raise `InputError` with one line for what you do not read. Stores call the
format `my_formats:PlainArrays`, or what you give as `name = "..."` behind `python`. From the hub only files of the
formats above are fetched: download the folder, and give its path.

```python
{EXAMPLE}
```
""".strip()


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], formats_page, __doc__))
