"""The panels of a feature's page beside its card; each is a file of its own."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp.browse.histogram_data import (
    ActivationHistogram,
    EffectHistogram,
    load_effect_histogram,
    load_histograms,
)
from autointerp.browse.simulated_data import SimulatedPanel, load_simulated
from autointerp.browse.wrong_data import WrongPanel, load_wrong
from autointerp.errors import UserError
from autointerp.store.query import Queryable
from autointerp.words import explainer_order, is_control


@dataclass(frozen=True)
class FeaturePanels:
    """What a page shows beside the card."""

    explainers: tuple[str, ...]
    """Whose labels were tried on windows: those that can be chosen."""
    explainer: str
    """Whose label `simulated` and `wrong` are about; empty: none was tried."""
    simulated: tuple[SimulatedPanel, ...]
    wrong: tuple[WrongPanel, ...]
    histograms: tuple[ActivationHistogram, ...]
    effects: EffectHistogram | None
    """None: no direct path to the logits."""
    requests: dict[str, str]
    """Explainer -> the call of an LLM that its label comes from."""


def load_panels(store: Queryable, dictionary: str, feature: int, explainer: str = "") -> FeaturePanels:
    """Reads the panels. `explainer`: whose label; default: the first that was judged, else the first simulated one.

    Raises UserError for one whose label was not tried.
    """
    key = {"dictionary": dictionary, "feature": feature}
    tried = {row["explainer"]: row["judged"] for row in store.rows(_TRIED, **key)}
    names = sorted(tried, key=explainer_order)
    if explainer and explainer not in tried:
        raise UserError(f'no label of "{explainer}" was tried on this feature; there are {", ".join(names) or "none"}')
    usual = sorted(names, key=lambda name: (is_control(name), not tried[name]))
    chosen = explainer or next(iter(usual), "")
    return FeaturePanels(
        explainers=tuple(names),
        explainer=chosen,
        simulated=load_simulated(store, dictionary, feature, chosen) if chosen else (),
        wrong=load_wrong(store, dictionary, feature, chosen) if chosen else (),
        histograms=load_histograms(store, dictionary, feature),
        effects=load_effect_histogram(store, dictionary, feature),
        requests={row["explainer"]: row["request"] for row in store.rows(_REQUESTS, **key)},
    )


_TRIED = """
SELECT explainer, max(judged) AS judged FROM (
    SELECT explainer, contains(scorer, ':') AS judged FROM simulations
    WHERE dictionary = $dictionary AND feature = $feature AND NOT contains(scorer, '@')
    UNION ALL
    SELECT explainer, true FROM judgements WHERE dictionary = $dictionary AND feature = $feature
) GROUP BY explainer
"""

_REQUESTS = """
SELECT explainer, request FROM current_explanations
WHERE dictionary = $dictionary AND feature = $feature AND request IS NOT NULL AND EXISTS (FROM llm_calls)
"""
