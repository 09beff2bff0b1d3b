"""A question that does not fit into the model's context is never sent: it is a failure, with both figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from autointerp.config.llm_model import LLMModel
from autointerp.explain.shortening import too_long
from autointerp.llm.asks import TOO_LONG, Answer, Ask
from autointerp.pipeline.asking.asker import Asker


def answers_in_room(asker: Asker, asks: Iterable[Ask], model: LLMModel) -> Iterator[Answer]:
    """An answer for every ask, as they come; those for which there is no room come last.

    `about["left_out"]` of an ask, where there is one, says how many exemplars it leaves out already.
    """
    unsent: list[Answer] = []

    def fitting() -> Iterator[Ask]:
        for ask in asks:
            if why := too_long(ask, model.context_tokens, model.max_tokens):
                unsent.append(Answer(ask, "", TOO_LONG, why))
            else:
                yield ask

    yield from asker.answers(fitting(), model)
    yield from unsent
