"""`docs/FORMATS.md`, made from the registries of formats and of baseline kinds.

python -m autointerp.subject.formats.docs docs/FORMATS.md            writes it
python -m autointerp.subject.formats.docs docs/FORMATS.md --check    exit status 1 where it is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from autointerp.generated import NOTE, cell, write_or_check
from autointerp.subject.baselines.docs import baselines_markdown
from autointerp.subject.formats.registry import BY_NAME
from autointerp.subject.formats.row import Format, Setting

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
    return "\n\n".join([_opening(), *map(_section, BY_NAME.values()), _own(), baselines_markdown()]) + "\n"


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
            "",
            'The names of the files tell the format; `format = "NAME"` says it where they do not.',
            "",
            "| format | written by | files |",
            "|---|---|---|",
            *overview,
            "",
            "Weights become float32, and nothing else is done to them. Of every format, weights that are missing,",
            "misshapen, NaN, infinite or unknown are refused, and so is a value that a table below does not list.",
            "Nothing is ever unpickled. A refusal is one line that names the dictionary, what it holds and the reason.",
        ]
    )


def _section(row: Format) -> str:
    facts = [
        f"- **Files**: {_files(row)}.",
        f"- **Hook point**: {row.hook}",
        f"- **x** in the formulas: {row.input}.",
        f"- **Defined by**: <{row.documented}>",
    ]
    parts = [f"## {row.name}", row.sentence, "\n".join(facts), *map(_setting, (row.architectures, *row.settings))]
    refused = [f"| {when} | {reason} |" for when, reason in _refusals(row)]
    if refused:
        parts.append("\n".join(["| not read | because |", "|---|---|", *refused]))
    return "\n\n".join(parts)


def _files(row: Format) -> str:
    weights = f"`{row.weights}`" if row.weights else f"one file of any name that ends in {_listed(row.suffixes)}"
    if row.weights and row.suffixes:
        weights += f", or a file that `path` names and that ends in {_listed(row.suffixes)}"
    settings = [] if row.config is None else [f"`{row.config}`" + ("" if row.needs_config else " (may be missing)")]
    beside = [f"`{name}` where it is there" for name in row.beside]
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
