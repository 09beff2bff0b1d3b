"""Where texts of the corpus go: the addresses that a run asks."""

from __future__ import annotations

from autointerp.config.explainers import LLMExplainer
from autointerp.config.run_file import RunConfig


def servers_of(config: RunConfig) -> dict[str, list[str]]:
    """Where texts of the corpus go: models by address."""
    models = [entry for entry in config.explain.explainers if isinstance(entry, LLMExplainer)]
    judge = [config.score.judge] if config.score.judge is not None else []
    models_of: dict[str, list[str]] = {}
    for model in [*models, *judge]:
        names = models_of.setdefault(model.server, [])
        names += [] if model.model in names else [model.model]
    return models_of
