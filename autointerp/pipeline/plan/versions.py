"""The version of each stage: raised when this version of the code would make other rows of that stage from the same
run file.

A stage's version is in the key of its work, and so in the keys of all that builds on it. Raising that of `score` makes
scores, means and comparisons again from stored predictions; raising that of `judge` asks the LLM again. Rows of the
stages up to `census` are in a store once: a store with earlier ones is refused with the stage named. A
metric has a version of its own (`score/metric_registry.py`).
"""

from __future__ import annotations

VERSIONS = {
    "tokens": 10,
    "extract": 2,
    "effects": 5,
    "ablate": 4,
    "context_effects": 2,
    "sensitivity": 3,
    "token_changes": 1,
    "steered_texts": 2,
    "output_scores": 1,
    "diagnostics": 1,
    "geometry": 1,
    "similarity": 1,
    "compare_effects": 1,
    "explain": 2,
    "census": 2,
    "judge": 2,
    "score": 3,
    "means": 5,
    "compare": 4,
}
