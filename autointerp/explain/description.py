"""How long what an explainer says is: a score means little without it, since a longer description can say more.

A token is BYTES_A_TOKEN UTF-8 bytes: a rule that anybody can apply, whatever the alphabet and whoever's tokenizer, and
that joining words does not shorten. Counted are both answers, when it fires and what it promotes. A lookup whose
entries the text does not name is a part of the description too: a token for each number in it, three an entry (token,
value, share that fires), four where a token before is named.
"""

from __future__ import annotations

from autointerp.explain.lookup import Entries
from autointerp.records import ANY_TOKEN, Explanation
from autointerp.words import says_its_lookup

BYTES_A_TOKEN = 4


def description_length(said: Explanation, lookup: Entries | None = None) -> int | None:
    """Tokens of what an explanation says, with the lookup that it is simulated by; None where it says nothing."""
    if said.status != "ok":
        return None
    n_bytes = len(said.text.encode()) + len(said.promotes.encode())
    hidden = 0 if lookup is None or says_its_lookup(said.explainer) else n_numbers(lookup)
    return -(-n_bytes // BYTES_A_TOKEN) + hidden


def n_numbers(lookup: Entries) -> int:
    """The numbers that a lookup consists of."""
    return 3 * len(lookup) + int((lookup.previous != ANY_TOKEN).sum())
