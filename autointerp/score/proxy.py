"""Proxies: what a feature is suspected to detect, computed from text alone (Bricken et al. 2023, detailed
investigations).

    regex:PATTERN             every token that a match touches, in the text of its context (Python's syntax)
    tokens:[" self", "cls"]   these tokens: JSON, or names between commas
    python:module:function    function(tokens) -> a number for each token of a context; above the threshold is yes

A proxy reads one context at a time, as the texts of its tokens; a special token is an empty text.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from autointerp.errors import UserError, nearest
from autointerp.own_code import one_line
from autointerp.records import Bool

KINDS = ("regex", "tokens", "python")
Mark = Callable[[Sequence[str]], Bool]
"""The texts of a context's tokens [L] -> which of them the proxy marks, [L]."""


@dataclass(frozen=True)
class Proxy:
    """A proxy, ready to read contexts."""

    said: str
    """As the user gave it."""
    threshold: float | None
    """Of a Python function; None: the others say yes or no themselves."""
    mark: Mark


def parse_proxy(said: str, vocabulary: Sequence[str], threshold: float = 0.0) -> Proxy:
    """Raises UserError, in one line, where it cannot be used. `vocabulary` [V]: the text of each token."""
    kind, _, rest = said.partition(":")
    if kind not in KINDS or not rest:
        raise UserError(f'proxy "{said}": give regex:PATTERN, tokens:["a", "b"] or python:module:function')
    if kind == "regex":
        return Proxy(said, None, _regex(rest))
    if kind == "tokens":
        return Proxy(said, None, _tokens(rest, vocabulary))
    return Proxy(said, threshold, _python(rest, threshold))


def _regex(pattern: str) -> Mark:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f'proxy "regex:{pattern}": not a regular expression: {error}') from error

    def mark(tokens: Sequence[str]) -> Bool:
        end = np.fromiter(accumulate(map(len, tokens)), dtype=np.int64, count=len(tokens))
        begin = end - np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
        touched = np.zeros(len(tokens), dtype=np.bool_)
        for match in compiled.finditer("".join(tokens)):
            if match.end() == match.start():
                continue
            # tokens that end behind the match's beginning and begin before its end
            touched[np.searchsorted(end, match.start(), side="right") : np.searchsorted(begin, match.end())] = True
        return touched & (end > begin)

    return mark


def _tokens(listed: str, vocabulary: Sequence[str]) -> Mark:
    if listed.lstrip().startswith("["):
        try:
            names = json.loads(listed)
        except ValueError as error:
            raise UserError(f'proxy "tokens:{listed}": not JSON: {error}') from error
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise UserError(f'proxy "tokens:{listed}": give a list of texts, such as [" self", "cls"]')
    else:
        names = [name for name in listed.split(",") if name]
    known = set(vocabulary)
    for name in names:
        if name not in known:
            raise UserError(f"proxy: no token of the subject is {json.dumps(name)}{nearest(name, vocabulary)}")
    wanted = frozenset(names)
    return lambda tokens: np.fromiter((token in wanted for token in tokens), dtype=np.bool_, count=len(tokens))


def _python(spec: str, threshold: float) -> Mark:
    module, _, name = spec.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the user's module: what it raises cannot be known
        raise UserError(f'proxy "python:{spec}" cannot be imported: {one_line(error)}') from error
    if not callable(function):
        raise UserError(f'proxy "python:{spec}": this is no function')

    def mark(tokens: Sequence[str]) -> Bool:
        try:
            said = function(list(tokens))
        except Exception as error:
            raise UserError(f'proxy "python:{spec}" failed: {one_line(error)}') from error
        try:
            values = np.asarray(list(said), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UserError(
                f'proxy "python:{spec}": it gets the texts of a context\'s tokens, and must give a list with a number '
                f"for each of them; it gave {type(said).__name__}"
            ) from error
        if values.shape != (len(tokens),) or np.isnan(values).any():
            raise UserError(
                f'proxy "python:{spec}": it must give a number for each of {len(tokens)} tokens, and gave '
                f"{values.shape[0] if values.ndim == 1 else values.shape} ({int(np.isnan(values).sum())} of them nan)"
            )
        return np.asarray(values > threshold)

    return mark
