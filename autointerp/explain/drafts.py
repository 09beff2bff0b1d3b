"""What an LLM replied about a feature, checked: a draft of its explanation.

Raises InvalidReply, in one line, for a reply that is not what was asked for.
"""

from __future__ import annotations

import re
from typing import Any

from autointerp.explain.evidence import Draft
from autointerp.llm.asks import InvalidReply

LONGEST_ANSWER = 2000
"""Characters of an answer; a longer one is no description."""
MOST_TRIGGERS = 64

DRAFT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "fires": {"type": "string"},
        "promotes": {"type": "string"},
        "triggers": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["fires", "promotes", "triggers"],
    "additionalProperties": False,
}


def read_draft(reply: Any) -> Draft:
    """The JSON reply of `default`. Raises InvalidReply where it is not what was asked for."""
    if not isinstance(reply, dict) or set(reply) != {"fires", "promotes", "triggers"}:
        raise InvalidReply('the reply is not an object with the keys "fires", "promotes" and "triggers"')
    fires, promotes, triggers = reply["fires"], reply["promotes"], reply["triggers"]
    if not isinstance(fires, str) or not isinstance(promotes, str):
        raise InvalidReply('"fires" and "promotes" are not both text')
    if not isinstance(triggers, list) or not all(isinstance(token, str) for token in triggers):
        raise InvalidReply('"triggers" is not a list of texts')
    if len(triggers) > MOST_TRIGGERS:
        raise InvalidReply(f'"triggers" lists {len(triggers)} tokens, and 20 were asked for')
    if not fires.strip():
        raise InvalidReply('"fires" is empty')
    kept = tuple(dict.fromkeys(token for token in triggers if token))
    return Draft(_one_line(fires), _one_line(promotes), kept)


def read_text(reply: Any) -> Draft:
    """A reply in prose."""
    if not isinstance(reply, str) or not reply.strip():
        raise InvalidReply("the reply is empty")
    return Draft(_one_line(reply))


_EXPLANATION = re.compile(r"^\W*\[?explanation\]?\W*?:[\s*]*([^\s*].*)$", re.IGNORECASE | re.MULTILINE)


def read_last_line(reply: Any) -> Draft:
    """What stands behind the last `[EXPLANATION]:` (delphi)."""
    explanations = _EXPLANATION.findall(reply) if isinstance(reply, str) else []
    if not explanations:
        raise InvalidReply("the reply has no line that begins with [EXPLANATION]:")
    return Draft(_one_line(explanations[-1]))


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    if len(line) > LONGEST_ANSWER:
        raise InvalidReply(f"the answer has {len(line)} characters, more than {LONGEST_ANSWER}")
    return line
