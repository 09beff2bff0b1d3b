"""The baseline kinds as Markdown, made from their registry: a part of `docs/FORMATS.md`."""

from __future__ import annotations

from autointerp.config.baseline_kinds import KindFacts, UnitCount
from autointerp.subject.baselines.registry import BY_NAME

UNITS: dict[UnitCount, str] = {
    "coordinates": "every coordinate, in both signs",
    "components": "as many as the activations are wide, or `n_features` of them",
    "drawn": "`n_features`",
    "copied": "as many as that dictionary has features",
}
"""How many units an unmatched baseline has."""

EXAMPLE = '''
import torch


class TypicalActivations:
    """Activations at even distances in the sample, minus their mean."""

    def directions(self, x, n, seed, name):
        rows = torch.linspace(0, len(x) - 1, n).long()
        return x[rows] - x.mean(dim=0)
'''.strip()


def baselines_markdown() -> str:
    """A table of the kinds, and how to bring one's own."""
    rows = "\n".join(_row(kind.facts) for kind in BY_NAME.values())
    return f"""
## Baseline kinds

A dictionary with a `kind` and no `path` is a baseline. With `match = "NAME"` each unit fires as often as the feature
of NAME that it is paired with, and there are as many units as NAME has features, or `n_features`. Without `match` a
baseline stands at its natural density.

| kind | its directions | the run file gives | units of an unmatched one |
|---|---|---|---|
{rows}

### A kind of your own

    [[dictionary]]
    name = "typical"
    kind = {{ python = "my_baselines:TypicalActivations" }}
    match = "sae"

The module must be importable: installed, or in a folder that `PYTHONPATH` names. The class has one method,
`directions(x, n, seed, name)`. `x` holds the activations of a sample of tokens at the hook, one a row; do not write to
it. Return at most `n` directions, one a row. Each is scaled to unit length; then sign, mean and threshold of its unit
are fitted as for every other kind. The same `x`, `seed` and `name` must give the same rows. An unmatched one needs
`hook` and `n_features`. Stores call the kind `my_baselines:TypicalActivations`, or what you give as `name = "..."`
behind `python`.

```python
{EXAMPLE}
```
""".strip()


def _row(facts: KindFacts) -> str:
    return f"| `{facts.name}` | {facts.sentence} | {_needs(facts)} | {UNITS[facts.units]} |"


def _needs(facts: KindFacts) -> str:
    if facts.copies:
        return '`like = "NAME"` or `match = "NAME"`'
    return '`match = "NAME"`, or `hook`' + (" and `n_features`" if facts.needs_number else "")
