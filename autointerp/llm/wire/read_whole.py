"""Did the server read the whole prompt? What it says it counted, held against what the text must be.

Some servers (Ollama, KoboldCpp, text-generation-webui) cut a prompt that is longer than their context and answer all
the same. Such a reply is no answer: its prompt was another one. It is called cut where the server counted less than six
tenths of the pieces that no token spans (`llm/lengths.py`).

Some gateways do not count but estimate (a token for four characters, say): a probing request shows what share of the
pieces a server counts, and the bound is lowered by it. Letters of scripts without spaces count as one piece a run, so
that the bound is weak there, and never wrong.
"""

from __future__ import annotations

from autointerp.llm.lengths import pieces
from autointerp.reply_log import Usage

SURE = 0.6
"""Share of its pieces that a whole text has at least as tokens; tokenizers that join words come down to about 0.75."""
UNPROBED = 0.5
"""What a server is taken to count of the pieces where no request has probed it: one that estimates passes, too."""


def counted_share(usage: Usage, text: str) -> float:
    """Tokens a piece that a server counted of a text that it read whole; at most 1."""
    return min(1.0, usage.input_tokens / max(1, pieces(text)))


def _at_most(text: str) -> float:
    """Pieces that the text hardly exceeds, from the densest of a few places: to count them all takes as long as half of
    what a request costs, and is needed where a count is low."""
    size = 120
    if len(text) <= 4 * size:
        return len(text)
    starts = (0, len(text) // 3, 2 * len(text) // 3, len(text) - size)
    return 1.2 * len(text) * max(pieces(text[start : start + size]) for start in starts) / size


def cut_reason(usage: Usage | None, text: str, share: float) -> str:
    """Why a prompt must have been cut; empty where it need not have been. `share` is `counted_share`."""
    if usage is None or not usage.input_tokens or usage.input_tokens >= SURE * share * _at_most(text):
        return ""
    least = int(SURE * share * pieces(text))
    if usage.input_tokens >= least:
        return ""
    return (
        f"the server read {usage.input_tokens:,} tokens of a prompt that has at least {least:,}: it cut the prompt; "
        "start it with a longer context, or state context_tokens of the model in the run file"
    )
