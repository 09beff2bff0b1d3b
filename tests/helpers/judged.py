"""A store that a run made, as users have them.

It has two dictionaries and a matched baseline with its natural twin, embedded explainers, LLMs with and without drafts,
an explainer of one's own, a person's label, a judge with all scorers, failures of every kind, and a request by which
what failed was asked again.

The LLM is scripted (`scripted.py`); everything else is the product. Pages are tested on it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import scripted

from autointerp.cli import main
from autointerp.config.loading import parse_run
from autointerp.config.run_file import RunConfig
from autointerp.explain.evidence import Evidence, Failure
from autointerp.llm.asks import Ask
from autointerp.pipeline import run
from autointerp.pipeline.plan.reask import Wish
from autointerp.progress import Reporter
from autointerp.records import Explanation
from autointerp.words import LOGIT_SCORERS, SCORERS, USUAL_SCORERS

MODEL = {"provider": "openai", "model": "gpt-6-luna", "base_url": "http://127.0.0.1:9/v1"}
JUDGE = "gpt-6-luna"
JUDGED = {**MODEL, "controls": 3}
LUNA, REFINED, MINE = f"{JUDGE}/default/both", f"{JUDGE}/default/both/best2+revise1", "mine"
LABELLED = 2
"""The feature of mlp-1k that a person labels."""
REFUSED = (3, 4)
"""Features that LUNA refuses to explain; what it says of every third one is simulated and fuzzed in vain."""
MODULE = "judged_own_explainer"
JUDGED_SCORERS = tuple(
    name for name in SCORERS if name not in LOGIT_SCORERS or name in ("logits", "logits_hard", "logits_hard_measured")
)
"""Each kind: of the scorers of logit effects those that ask in another way."""
QUIET = Reporter(quiet=True)


class Mine:
    """An explainer of the user's own."""

    def explain(self, evidence: Evidence) -> Explanation | Failure:
        if evidence.feature % 5 == 0:
            return Failure("tired", "every fifth is too much")
        best = max(evidence.exemplars, key=lambda exemplar: max(exemplar.activations))
        token = best.tokens[int(np.argmax(best.activations))]
        return Explanation(evidence.feature, "", f'Fires on "{token}".', "ok", triggers=(token,))


def fails(ask: Ask) -> str | None:
    """What goes wrong the first time."""
    feature = ask.about["feature"]
    if ask.about["explainer"] != LUNA:
        return None
    if ask.kind == "explain":
        return "refused" if feature in REFUSED else None
    return {"simulate": "truncated", "fuzz": "invalid"}.get(ask.kind) if feature % 3 == 0 else None


class NumberedLLM(scripted.ScriptedLLM):
    """Each draw says its number."""

    def reply(self, ask: Ask) -> Any:
        said = super().reply(ask)
        return {**said, "fires": f"{said['fires']} Draw {ask.sample}."} if ask.kind == "explain" else said


def judged_config(store: Path, *explainers: Any, judge: Any = JUDGED, **score: Any) -> RunConfig:
    """The run file, or one with other explainers, another judge or another [score]."""
    usual = ["lexical", "token_lookup", MODEL, {**MODEL, "best_of": 2, "revise": 1},
             {"python": f"{MODULE}:Mine", "name": MINE}, "human"]  # fmt: skip
    judged = {"judge": judge} if judge else {}
    return parse_run(
        {
            "name": "judged",
            "store": str(store),
            "subject": {"model": "bundled:subject", "device": "cpu"},
            "tokens": {"source": "bundled:corpus", "n_tokens": 40_000, "allow_fewer": True},
            "dictionary": [
                {"name": "mlp-1k", "path": "bundled:mlp-1k", "features": "0:16"},
                {"name": "neurons", "kind": "neurons", "match": "mlp-1k", "natural": True},
                {"name": "resid-1k", "path": "bundled:resid-1k", "features": "0:12"},
            ],
            "evidence": {"score_windows": 64},
            "effects": {"features": [1, 5, 7, 9], "positions": 4, "after": 4},
            "explain": {"explainers": list(explainers) or usual},
            "score": {
                "features": {"sample": 10},
                "scorers": list(JUDGED_SCORERS if judge else USUAL_SCORERS),
                **judged,
                **score,
            },
        }
    )


def register_own() -> None:
    """Makes the module of the metric that the run file names: of a test, and no file."""
    own = ModuleType(MODULE)
    own.Mine = Mine  # type: ignore[attr-defined]
    sys.modules[MODULE] = own


def make_judged_store(path: Path) -> NumberedLLM:
    """Makes the store and returns the LLM that answered."""
    register_own()
    run(judged_config(path, "lexical", judge=False), reporter=QUIET, until="effects")
    main(["label", str(path), f"mlp-1k/{LABELLED}", 'Fires on "self".'])
    llm = NumberedLLM(fails)
    run(judged_config(path), reporter=QUIET, open_client=lambda *_: llm)
    llm.fail = lambda ask: "truncated" if fails(ask) and ask.about["feature"] in (*REFUSED, 6) else None
    run(judged_config(path), reporter=QUIET, open_client=lambda *_: llm, wish=Wish(("mlp-1k/failed",)))
    return llm
