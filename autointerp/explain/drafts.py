"""What an LLM replied about a feature, checked: a draft of its explanation.

Raises InvalidReply, in one line, for a reply that is not what was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from autointerp.explain.evidence import Draft, LexiconEntry
from autointerp.explain.marking import unescape
from autointerp.llm.asks import InvalidReply

LONGEST_ANSWER = 2000
"""Characters of an answer; a longer one is no description."""
MOST_TRIGGERS = 64
ASKED = 40
"""Entries of a lexicon that are asked for at most."""
LONGEST_TOKEN = 100
"""Characters of a token of a lexicon."""
_CODES = re.compile(r"(?:\\[snrt]|\\u[0-9a-f]{4}|[^\w\\])+")
"""A token of codes, as the prompt writes what cannot be seen, with nothing but punctuation and space around them."""

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

_LEXICON: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "token": {"type": "string"},
            "after": {"type": "string"},
            "strength": {"type": "integer", "enum": list(range(1, 11))},
        },
        "required": ["token", "after", "strength"],
        "additionalProperties": False,
    },
}
LEXICON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"lexicon": _LEXICON, "promotes": {"type": "string"}},
    "required": ["lexicon", "promotes"],
    "additionalProperties": False,
}
BOTH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"fires": {"type": "string"}, "lexicon": _LEXICON, "promotes": {"type": "string"}},
    "required": ["fires", "lexicon", "promotes"],
    "additionalProperties": False,
}


def read_both(reply: Any) -> Draft:
    """The JSON reply of `default`: a sentence and a lexicon. Raises InvalidReply where it is not what was asked for."""
    if not isinstance(reply, dict) or set(reply) != {"fires", "lexicon", "promotes"}:
        raise InvalidReply('the reply is not an object with the keys "fires", "lexicon" and "promotes"')
    fires, promotes = reply["fires"], reply["promotes"]
    if not isinstance(fires, str) or not isinstance(promotes, str):
        raise InvalidReply('"fires" and "promotes" are not both text')
    if not fires.strip():
        raise InvalidReply('"fires" is empty')
    lexicon = _lexicon(reply["lexicon"])
    return Draft(_one_line(fires), _one_line(promotes), _tokens(lexicon), lexicon)


def read_lexicon(reply: Any) -> Draft:
    """The JSON reply of `lexicon`. Raises InvalidReply where it is not what was asked for."""
    if not isinstance(reply, dict) or set(reply) != {"lexicon", "promotes"}:
        raise InvalidReply('the reply is not an object with the keys "lexicon" and "promotes"')
    if not isinstance(reply["promotes"], str):
        raise InvalidReply('"promotes" is not text')
    lexicon = _lexicon(reply["lexicon"])
    if not lexicon:
        raise InvalidReply('"lexicon" is empty')
    return Draft("", _one_line(reply["promotes"]), _tokens(lexicon), lexicon)


def _tokens(lexicon: Sequence[LexiconEntry]) -> tuple[str, ...]:
    """Each token once."""
    return tuple(dict.fromkeys(entry.token for entry in lexicon))


def _lexicon(listed: Any) -> tuple[LexiconEntry, ...]:
    """Tokens with strengths, each token once behind each token."""
    keys = {"token", "after", "strength"}
    if not isinstance(listed, list) or not all(isinstance(entry, dict) and set(entry) == keys for entry in listed):
        raise InvalidReply('"lexicon" is not a list of objects with the keys "token", "after" and "strength"')
    if len(listed) > MOST_TRIGGERS:
        raise InvalidReply(f'"lexicon" lists {len(listed)} tokens, and {ASKED} were asked for at most')
    lexicon: dict[tuple[str, str], LexiconEntry] = {}
    for entry in listed:
        token, strength, after = entry["token"], entry["strength"], entry["after"]
        if not isinstance(token, str) or isinstance(strength, bool) or not isinstance(strength, int):
            raise InvalidReply('an entry of "lexicon" is not a text and a whole number')
        if not isinstance(after, str):
            raise InvalidReply('"after" of an entry of "lexicon" is not a text')
        if not 1 <= strength <= 10:
            raise InvalidReply(f'"lexicon" has the strength {strength}, which is not 1 to 10')
        longest = max(len(token), len(after))
        if longest > LONGEST_TOKEN:
            raise InvalidReply(f'"lexicon" has a token of {longest} characters, more than {LONGEST_TOKEN}')
        if token:
            plain = LexiconEntry(_plain_token(token), strength, _plain_token(after))
            lexicon.setdefault((plain.token, plain.after), plain)
    return tuple(lexicon.values())


def _plain_token(token: str) -> str:
    """A token without the codes in which the prompt writes what cannot be seen; one with letters is left as it is."""
    return unescape(token) if _CODES.fullmatch(token) else token


def read_draft(reply: Any) -> Draft:
    """The JSON reply of `sentence`. Raises InvalidReply where it is not what was asked for."""
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
    kept = tuple(dict.fromkeys(_plain_token(token) for token in triggers if token))
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
