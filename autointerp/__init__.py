"""autointerp: label every feature of a dictionary, score each label, keep it all in one DuckDB file.

The surface for Python users; importing it loads neither torch nor an LLM client.

    import autointerp
    autointerp.run("RUN.toml")                         # all stages; call again to resume
    store = autointerp.open_store("demo.duckdb")       # read-only; nothing is held between questions
    store.feature("mlp-1k", 162)                       # shows itself, in a notebook as HTML
    store.features("mlp-1k", sort="score").pandas()    # labels and scores; also store.scores(...)
    store.sql("select * from dictionary_summary")

The other names are for classes of your own, which a run file names as { python = "module:Class" }:

    an explainer         Explainer: Evidence -> Explanation or Failure
                         EmbeddedExplainer: EvidenceTables -> Explained, with a lookup (LookupTable) to simulate by
    a scorer             Scorer: TestFeature and ShownExplanation -> Questions (Ask, Answer) -> a prediction,
                         which is Simulated, Judged (Items) or Rated (TokenItems)
    a metric             OwnMetric: a prediction -> a number
    a dictionary format  DictionaryFormat: DictionarySource -> SparseAutoencoder
    a baseline kind      BaselineKind: activations -> directions

`CONTRIBUTING.md` has an example of each.
"""

from __future__ import annotations

from autointerp import starting

if starting.is_command():
    starting.take_signals()

from autointerp.version import __version__

TYPE_CHECKING = False  # as in `typing`, which takes longer to load than all of this
if TYPE_CHECKING:
    from typing import Any

    from autointerp.config.judging import Judge
    from autointerp.config.loading import load_run
    from autointerp.config.run_file import RunConfig
    from autointerp.explain.controls import Explained
    from autointerp.explain.embedded import EmbeddedExplainer, EvidenceTables
    from autointerp.explain.evidence import Evidence, Exemplar, Explainer, Failure
    from autointerp.llm.asks import Answer, Ask, InvalidReply
    from autointerp.notebook.stored import Store as open_store
    from autointerp.pipeline import run
    from autointerp.records import Explanation, LookupTable
    from autointerp.score.metric import OwnMetric
    from autointerp.score.predictions import Items, Judged, Rated, Simulated, TokenItems
    from autointerp.score.scorers.protocol import Questions, Scorer, ShownExplanation, TestFeature, Usual
    from autointerp.subject.baselines.own import BaselineKind
    from autointerp.subject.dictionary import SparseAutoencoder
    from autointerp.subject.formats.common import DictionarySource
    from autointerp.subject.formats.own import DictionaryFormat

_WHERE = {
    "autointerp.config.judging": ("Judge",),
    "autointerp.config.loading": ("load_run",),
    "autointerp.config.run_file": ("RunConfig",),
    "autointerp.explain.controls": ("Explained",),
    "autointerp.explain.embedded": ("EmbeddedExplainer", "EvidenceTables"),
    "autointerp.explain.evidence": ("Evidence", "Exemplar", "Explainer", "Failure"),
    "autointerp.llm.asks": ("Answer", "Ask", "InvalidReply"),
    "autointerp.notebook.stored": ("Store",),
    "autointerp.pipeline": ("run",),
    "autointerp.records": ("Explanation", "LookupTable"),
    "autointerp.score.metric": ("OwnMetric",),
    "autointerp.score.predictions": ("Items", "Judged", "Rated", "Simulated", "TokenItems"),
    "autointerp.score.scorers.protocol": ("Questions", "Scorer", "ShownExplanation", "TestFeature", "Usual"),
    "autointerp.subject.baselines.own": ("BaselineKind",),
    "autointerp.subject.dictionary": ("SparseAutoencoder",),
    "autointerp.subject.formats.common": ("DictionarySource",),
    "autointerp.subject.formats.own": ("DictionaryFormat",),
}
_LAZY = {name: (module, name) for module, names in _WHERE.items() for name in names}
_LAZY["open_store"] = _LAZY.pop("Store")

__all__ = [
    "Answer",
    "Ask",
    "BaselineKind",
    "DictionaryFormat",
    "DictionarySource",
    "EmbeddedExplainer",
    "Evidence",
    "EvidenceTables",
    "Exemplar",
    "Explained",
    "Explainer",
    "Explanation",
    "Failure",
    "InvalidReply",
    "Items",
    "Judge",
    "Judged",
    "LookupTable",
    "OwnMetric",
    "Questions",
    "Rated",
    "RunConfig",
    "Scorer",
    "ShownExplanation",
    "Simulated",
    "SparseAutoencoder",
    "TestFeature",
    "TokenItems",
    "Usual",
    "__version__",
    "load_run",
    "open_store",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'autointerp' has no attribute {name!r}")
    import importlib

    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)
