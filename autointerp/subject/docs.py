"""`docs/SUBJECTS.md`, made from the table of tested families.

python -m autointerp.subject.docs docs/SUBJECTS.md            writes it
python -m autointerp.subject.docs docs/SUBJECTS.md --check    exit status 1 where it is out of date
"""

from __future__ import annotations

import sys

from autointerp.generated import NOTE, cell, write_or_check
from autointerp.subject.tested import FAMILIES

TEXT = """
# Models: what is tested, and what a hook point is

Any language model that transformers and TransformerLens can load is a subject. These are tested: a tiny random model of
each, by `tests/subject/test_families.py`.

{table}

For each of them, at every block:

- `hook_resid_pre` and `hook_resid_post` are what goes into Hugging Face's block and what comes out.
- `hook_attn_out` and `hook_mlp_out` are what is added to the residual stream: behind the norm that Gemma 2 and 3 and
  OLMo have there, and times Granite's residual multiplier.
- `attn.hook_out` and `mlp.hook_out` are what the module itself puts out. On BLOOM that holds the residual stream too.
- `hook_resid_mid` is the stream between attention and MLP. Pythia has none: both read the same.
- `mlp.hook_in`, `mlp.hook_post` and `attn.hook_z` are what goes into the MLP, into its last matrix and into that of the
  attention. A mixture of experts has no neurons at one place, and `mlp.hook_pre` and `mlp.hook_post` are refused there.
- Logits are those of the plain model. Direct logit effects are what the model's own modules make of a direction, with
  the division of norms and the soft cap left out (`autointerp/extract/effects.py`). Granite's multipliers are on the
  path.

`run` and `check` try the hook points of a run file on a few tokens, whatever the model. One that is not what its name
says is refused in one line. `hook_mlp_out` has been wrong for OLMo, Granite and BLOOM in some versions of
TransformerLens. `autointerp check` prints, for each hook point, which Hugging Face module it is, which side, and before
or after which norm.

## Special tokens

Ids of special tokens come from the tokenizer's own files, as they are before TransformerLens sees the tokenizer:
TransformerLens makes the end token the beginning token of a tokenizer that has none. Ids in `config.json` and
`generation_config.json` count only where there is no tokenizer. `check` says where they differ.

- A model without a beginning token, such as Qwen, needs `prepend_bos = false`. `run` says so.
- Masked everywhere are the tokens that the tokenizer's files mark as special, and no others.
""".strip()


def subjects_page(_: str = "") -> str:
    """The whole page."""
    rows = [f"| {cell(row.models)} | `{row.architecture}` | {cell(row.particular)} |" for row in FAMILIES]
    table = "\n".join(["| models | class | what it does that a plain decoder does not |", "|---|---|---|", *rows])
    return NOTE.format(source="`autointerp/subject/tested.py`") + "\n\n" + TEXT.format(table=table) + "\n"


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], subjects_page, __doc__))
