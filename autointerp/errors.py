"""The exceptions a user can meet.

    AutointerpError            the work failed                       exit status 1
    ├── ProviderError          an LLM's server ended the run: bad key, no credit, a wrong request, an outage
    ├── OverBudget             max_usd is reached; everything is kept
    ├── Waiting                replies are on their way; no error    exit status 0
    └── UserError              wrong use or bad input                exit status 2
        ├── ConfigError        the run file
        ├── InputError         a text, a token array, a model, a dictionary
        └── StoreError         the store: newer schema, held by another process, damaged

Every message is one line: what, which value, what to do next. A model's misbehaviour is never an
exception but a status on a record.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AutointerpError(Exception):
    """The work failed; the message says what to do next."""

    exit_status = 1


class ProviderError(AutointerpError):
    """An LLM's server cannot be used any further; what was answered is kept."""


class OverBudget(AutointerpError):
    """The next call could pass max_usd; what was answered is kept."""


class Waiting(AutointerpError):
    """What is left of a run needs replies that are not there yet; the message says where they are waited for."""

    exit_status = 0


class UserError(AutointerpError):
    """Wrong use or bad input; nothing was written."""

    exit_status = 2


class ConfigError(UserError):
    """The run file is wrong."""


class InputError(UserError):
    """A text, a token array, a model or a dictionary cannot be used."""


class StoreError(UserError):
    """The store cannot be opened or does not hold what was asked for."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`'; did you mean "x"?'` for the known name nearest to `name`, or an empty string."""
    candidates = list(known)
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.0)
    return f'; the nearest is "{close[0]}"' if close else ""
