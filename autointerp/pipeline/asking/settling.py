"""What servers can do is found out before the first stage: a run is not to find it out after hours of extraction."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.config.explainers import LLMExplainer
from autointerp.config.judging import Judge
from autointerp.config.llm_model import LLMModel
from autointerp.config.run_file import RunConfig
from autointerp.llm.asks import Ask
from autointerp.pipeline.asking.asker import AskerThatSettles, Asking
from autointerp.pipeline.asking.checks import check_room, explainer_examples, judge_examples


def settle_servers(asking: Asking, config: RunConfig, models: Sequence[LLMModel]) -> None:
    """Finds out what the servers of these models can do, and how long their contexts are.

    Raises ConfigError where one cannot do what the run needs of it, ProviderError where one cannot be asked at all.
    """
    if not models or not asking.live:  # what travels in batches and files is answered by nobody now
        return
    client = asking.client()
    if not isinstance(client, AskerThatSettles):
        return
    for model in models:
        asks = _examples(config, model)
        context = client.settle(model, asks)
        check_room(model, asks, context)
        if context is not None:
            asking.contexts[model.server, model.model] = context


def _examples(config: RunConfig, model: LLMModel) -> list[Ask]:
    if isinstance(model, Judge):
        return judge_examples(config, model)
    return explainer_examples(model) if isinstance(model, LLMExplainer) else []
