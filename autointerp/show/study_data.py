"""What the page of the study reads from its stores."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from autointerp.errors import UserError
from autointerp.store.query import Queryable
from autointerp.words import STUDIED

_SEEN = """
SELECT (SELECT any_value(subject) FROM subjects) AS subject, (SELECT any_value(n_layers) FROM subjects) AS n_layers,
       (SELECT any_value(d_model) FROM subjects) AS d_model,
       (SELECT json_extract_string(config, '$.tokens.source') FROM runs ORDER BY started_at DESC LIMIT 1) AS text,
       (SELECT max(n_tokens)::BIGINT FROM (SELECT sum(n_tokens) AS n_tokens FROM token_splits)) AS n_tokens,
       (SELECT sum(seconds) FROM stages) AS seconds
"""
_DICTIONARIES = """
SELECT d.dictionary, d.kind, d.n_selected, d.matched_to, count(*) FILTER (WHERE f.status = 'alive') AS n_alive,
       median(f.density) FILTER (WHERE f.status = 'alive') AS density,
       median(f.token_entropy) FILTER (WHERE f.status = 'alive') AS entropy
FROM dictionaries d JOIN features f USING (dictionary) WHERE d.natural_of IS NULL
GROUP BY d.dictionary, d.kind, d.n_selected, d.matched_to
ORDER BY d.matched_to IS NOT NULL, d.kind = 'random_init_sae', d.dictionary
"""
_SCORES = """
SELECT s.dictionary, s.explainer, s.scorer, s.metric, s.design, s.n_features, s.n_scored, s.mean_all, s.mean_all_low,
       s.mean_all_high, s.floor, s.mean
FROM dictionary_summary s
"""
_LENGTHS = """
SELECT dictionary, explainer, avg(description_length) AS length FROM current_explanations
WHERE status = 'ok' AND NOT is_control GROUP BY ALL
"""
_PAIRS = """
SELECT a, b, explainer, scorer, metric, design, n_a, n_b, difference, simultaneous_low, simultaneous_high, p_holm,
       verdict, scored_verdict, hangs_on_failures
FROM comparison_table ORDER BY a, b, scorer, metric
"""
_STRATA = """
SELECT a, b, nats, n_a, n_b, mean_a, mean_b, difference FROM entropy_strata
WHERE explainer = 'lexical' AND metric = 'pearson' AND design = 'census' ORDER BY a, b, nats
"""
_THIRDS = """
SELECT dictionary, metric, avg(value) AS mean, count(value) AS n FROM score_table
WHERE explainer = 'lexical' AND metric IN ('recall_strong', 'recall_middle', 'recall_weak')
  AND scorer LIKE 'detection%' GROUP BY ALL
"""


@dataclass(frozen=True)
class StudyStore:
    """One of the two stores."""

    subject: str
    """The model, in words."""
    text: str
    """The source of the tokens, as the run file gives it."""
    studied: str
    """The dictionary that the baselines are matched to; without matched ones the first that was learned."""
    n_tokens: int
    seconds: float
    """Of all stages, by the clock."""
    dictionaries: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    lengths: dict[tuple[str, str], float]
    pairs: list[dict[str, Any]]
    strata: list[dict[str, Any]]
    thirds: dict[tuple[str, str], float]

    def score(self, dictionary: str, explainer: str, metric: str, design: str) -> dict[str, Any] | None:
        """The summary of one metric; None where the store has none."""
        key = (dictionary, explainer, metric, design)
        fitting = [s for s in self.scores if (s["dictionary"], s["explainer"], s["metric"], s["design"]) == key]
        return fitting[0] if fitting else None

    @property
    def metrics(self) -> list[tuple[str, str, str]]:
        """(design, scorer, metric) of all that `lexical` has."""
        names = {(s["design"], s["scorer"], s["metric"]) for s in self.scores if s["explainer"] == "lexical"}
        return sorted(names)


def read_study(store: Queryable) -> StudyStore:
    """All that the page shows of a store."""
    seen = store.rows(_SEEN)[0]
    dictionaries = store.rows(_DICTIONARIES)
    return StudyStore(
        subject=_subject(seen["subject"], seen["n_layers"], seen["d_model"]),
        text=str(seen["text"]),
        studied=_studied(dictionaries),
        n_tokens=int(seen["n_tokens"]),
        seconds=float(seen["seconds"]),
        dictionaries=dictionaries,
        scores=store.rows(_SCORES),
        lengths={(row["dictionary"], row["explainer"]): row["length"] for row in store.rows(_LENGTHS)},
        pairs=store.rows(_PAIRS),
        strata=store.rows(_STRATA),
        thirds={(row["dictionary"], row["metric"]): row["mean"] for row in store.rows(_THIRDS)},
    )


def _subject(name: str, n_layers: int, d_model: int) -> str:
    called = "the bundled model" if name.startswith("bundled:") else f"`{name}`"
    return f"{called} ({n_layers} layers of width {d_model:,})"


def _studied(dictionaries: list[dict[str, Any]]) -> str:
    """The dictionary that most baselines are matched to; where none is, the first that was learned."""
    matched = Counter(row["matched_to"] for row in dictionaries if row["matched_to"] is not None)
    if matched:
        return str(matched.most_common(1)[0][0])
    learned = [str(row["dictionary"]) for row in dictionaries if row["kind"] in STUDIED]
    if not learned:
        raise UserError("the store holds neither an SAE nor a transcoder: there is nothing to study")
    return learned[0]
