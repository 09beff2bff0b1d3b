"""`autointerp investigate`: one feature against a proxy, its nearest neuron and its like in other dictionaries.

From the store: the feature's kept firing windows of the score split (the top ones, and a uniform sample of the others)
and the pool's windows in which it is silent stand for all windows, each by what it was drawn with; no model runs.
Exactly: the subject reads a split, and every token counts; so the nearest neuron and the best match of another
dictionary can be looked at too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autointerp.errors import StoreError
from autointerp.extract.correlate import FEWEST, PairedEvents, correlate
from autointerp.extract.selected import Selected
from autointerp.extract.summary.events import encode_events
from autointerp.pipeline.reopened import Reopened, reopen
from autointerp.progress import Advance, Reporter
from autointerp.records import SPLITS, Bool, Float64, Int64, Split
from autointerp.score.investigation import Investigated, investigate, sums_of
from autointerp.score.proxy import Proxy, parse_proxy
from autointerp.store.columns import to_csr
from autointerp.store.evidence import dictionary_row, read_vocab, window_length
from autointerp.store.query import Queryable
from autointerp.store.reader import open_reader
from autointerp.subject.activations import iterate_activations

Unit = tuple[str, int]
"""Dictionary and feature."""


@dataclass(frozen=True)
class UnitReport:
    """One unit against the proxy."""

    name: str
    """`mlp-1k/162`, or the neuron's hook and number."""
    role: str
    """feature, neuron, beside or match."""
    correlation: float | None
    """With the feature; of a neuron on the sample of its diagnostics, of a match over the split; none elsewhere."""
    label: str
    """What `lexical` says of it."""
    found: Investigated


@dataclass(frozen=True)
class InvestigationReport:
    """All that is said."""

    store: str
    proxy: Proxy
    split: Split
    exact: bool
    units: tuple[UnitReport, ...]
    remarks: tuple[str, ...]
    """What could not be had, and why."""


@dataclass(frozen=True)
class Neuron:
    """The feature's nearest neuron, as its diagnostics have it."""

    hook: str
    number: int
    correlation: float

    @property
    def name(self) -> str:
        return f"{self.hook}/{self.number}"


def investigate_from_store(
    path: Path, feature: Unit, said: str, threshold: float, beside: Sequence[Unit]
) -> InvestigationReport:
    """From stored windows. Raises UserError where the store does not have the feature or the proxy cannot be used."""
    with open_reader(path) as store:
        proxy = parse_proxy(said, read_vocab(store), threshold)
        neuron, why = _neuron(store, feature)
        units = []
        marked = _Marked(store, proxy)
        for role, unit in (("feature", feature), *(("beside", other) for other in beside)):
            maximum = _split_row(store, unit, "score")["max_activation"]
            sums = sums_of(*_stored_tokens(store, unit, marked, maximum))
            units.append(UnitReport(_named(unit), role, None, _label(store, unit), investigate(sums, maximum)))
    remark = why if neuron is None else f"nearest neuron: {neuron.name}, correlation {neuron.correlation:.2f}; --exact"
    return InvestigationReport(str(path), proxy, "score", False, tuple(units), (remark,))


def investigate_exactly(
    path: Path,
    feature: Unit,
    said: str,
    threshold: float,
    beside: Sequence[Unit],
    match: str | None,
    split: Split,
    report: Reporter,
) -> InvestigationReport:
    """Over every token of a split. `match`: the dictionary whose most alike feature is looked at too."""
    with open_reader(path) as store:
        for unit in (feature, *beside):
            _split_row(store, unit, split)
        proxy = parse_proxy(said, read_vocab(store), threshold)
        neuron, why = _neuron(store, feature)
    remarks = [] if neuron is not None else [why]
    names = [feature[0], *(one for one, _ in beside), *([match] if match is not None else [])]
    opened = reopen(path, names, report)
    roles: dict[Unit, tuple[str, float | None]] = {feature: ("feature", None)}
    if match is not None:
        other, r = _best_match(opened, feature, match, split, report)
        if other is None:
            remarks.append(f"no match in {match}: fewer than {FEWEST} firings on this split, on one side or the other")
        else:
            roles[other] = ("match", r)
    roles |= {unit: ("beside", None) for unit in beside if unit not in roles}
    read = _read(opened, list(roles), neuron, proxy, split, report)
    with open_reader(path) as store:
        units = []
        for unit, (role, r) in roles.items():
            figures = read.investigated(_named(unit))
            units.append(UnitReport(_named(unit), role, r, _label(store, unit), figures))
    if neuron is not None:
        units.insert(1, UnitReport(neuron.name, "neuron", neuron.correlation, "", read.investigated(neuron.name)))
    return InvestigationReport(str(path), proxy, split, True, tuple(units), tuple(remarks))


def _named(unit: Unit) -> str:
    return f"{unit[0]}/{unit[1]}"


# --- from the store


def _split_row(store: Queryable, unit: Unit, split: Split) -> dict[str, float]:
    dictionary_row(store, unit[0])
    rows = store.rows(_SPLIT, dictionary=unit[0], feature=unit[1], split=split)
    if not rows:
        raise StoreError(f'the store has no feature {unit[1]} of "{unit[0]}"')
    return rows[0]


def _label(store: Queryable, unit: Unit) -> str:
    rows = store.rows(_LABEL, dictionary=unit[0], feature=unit[1])
    return str(rows[0]["text"]) if rows else ""


def _neuron(store: Queryable, unit: Unit) -> tuple[Neuron | None, str]:
    """The nearest neuron, or why there is none."""
    rows = store.rows(_NEURON, dictionary=unit[0], feature=unit[1])
    if not rows:
        return None, "no nearest neuron: the diagnostics of this store are not done"
    row = rows[0]
    if row["neuron_status"] != "ok":
        return None, f"no nearest neuron: {row['neuron_status']}"
    return Neuron(row["neuron_hook"], row["neuron"], row["neuron_correlation"]), ""


class _Marked:
    """Which tokens of each stored context the proxy marks; each context is read once."""

    def __init__(self, store: Queryable, proxy: Proxy) -> None:
        self._store, self._proxy = store, proxy
        texts = store.rows("SELECT text, is_special FROM vocab ORDER BY token")
        self._texts = ["" if row["is_special"] else str(row["text"]) for row in texts]
        self._known: dict[int, tuple[int, Bool, Bool]] = {}

    def of(self, contexts: Int64) -> Mapping[int, tuple[int, Bool, Bool]]:
        """Document block, scored places and marked places [L] of each of these contexts."""
        wanted = sorted({*np.unique(contexts).tolist()} - set(self._known))
        if wanted:
            rows = self._store.query(_CONTEXTS, contexts=wanted)
            start, tokens = to_csr(rows["tokens"])
            scored = to_csr(rows["scored"])[1].astype(np.bool_)
            numbers, blocks = (rows[name].to_numpy().tolist() for name in ("context", "document_block"))
            for row, (context, block) in enumerate(zip(numbers, blocks, strict=True)):
                places = slice(int(start[row]), int(start[row + 1]))
                texts = [self._texts[token] for token in tokens[places].tolist()]
                self._known[context] = (block, scored[places], self._proxy.mark(texts))
        return self._known


def _stored_tokens(
    store: Queryable, unit: Unit, marked: _Marked, maximum: float
) -> tuple[Float64, Bool, Int64, float, Float64]:
    """Activation, mark and document block of the tokens of the kept windows, the maximum, and what each stands for."""
    totals = _split_row(store, unit, "score")
    kept: dict[tuple[int, int], dict[str, Any]] = {}
    n_top = 0
    for row in store.rows(_KEPT, dictionary=unit[0], feature=unit[1]):  # T first: a window in both counts as T
        place = (row["context"], row["window_start"])
        if place not in kept:
            kept[place] = row
            n_top += row["stratum"] == "T"
    silent = store.rows(_SILENT, dictionary=unit[0], feature=unit[1], window=window_length(store))
    n_firing, n_reservoir = int(totals["n_firing_windows"]), len(kept) - n_top
    of_reservoir = (n_firing - n_top) / max(n_reservoir, 1)
    of_silent = (totals["n_windows"] - n_firing) / max(len(silent), 1)
    rows = [*kept.values(), *silent]
    known = marked.of(np.asarray([row["context"] for row in rows], dtype=np.int64))
    parts: list[tuple[Float64, Bool, Int64, Float64]] = []
    for row in rows:
        block, scored, marks = known[row["context"]]
        places = slice(row["window_start"], row["window_start"] + row["n_tokens"])
        activation = np.zeros(len(scored[places]))
        if row["positions"] is not None:
            activation[np.asarray(row["positions"], dtype=np.int64)] = row["activations"]
        stands_for = {"T": 1.0, "F": of_reservoir}.get(row["stratum"], of_silent)
        counts = scored[places]
        m = int(counts.sum())
        parts.append((activation[counts], marks[places][counts], np.full(m, block), np.full(m, stands_for)))
    none = (np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.int64), np.zeros(0))
    activation, marks, blocks, weight = (np.concatenate(column) for column in zip(none, *parts, strict=True))
    return activation, marks, blocks, maximum, weight


# --- exactly


@dataclass
class _ReadTokens:
    """Every scored token of a split: what each unit does there, and whether the proxy marks it."""

    activation: dict[str, list[Float64]]
    maximum: dict[str, float]
    marked: list[Bool]
    block: list[Int64]

    def investigated(self, name: str) -> Investigated:
        none = np.zeros(0)
        t = np.concatenate([none, *self.activation[name]])
        p = np.concatenate([np.zeros(0, np.bool_), *self.marked])
        block = np.concatenate([np.zeros(0, np.int64), *self.block])
        maximum = max(self.maximum[name], 0.0)
        return investigate(sums_of(t, p, block, maximum), maximum)


def _read(
    opened: Reopened, units: Sequence[Unit], neuron: Neuron | None, proxy: Proxy, split: Split, report: Reporter
) -> _ReadTokens:
    """One pass. Memory grows with the tokens of the split, 4 bytes a token and unit."""
    tokens, subject = opened.tokens, opened.prepared.subject
    texts = subject.vocabulary()
    for token in subject.special:
        texts[token] = ""
    placed = {name: one.dictionary.to(subject.device) for name, one in opened.dictionaries.items()}
    hooks = {placed[name].hook for name, _ in units} | ({neuron.hook} if neuron is not None else set())
    names = [_named(unit) for unit in units] + ([neuron.name] if neuron is not None else [])
    read = _ReadTokens({name: [] for name in names}, dict.fromkeys(names, 0.0), [], [])

    def keep(name: str, values: Tensor, scored: Tensor) -> None:
        at_scored = values[scored].float().cpu().numpy()
        read.activation[name].append(at_scored)
        read.maximum[name] = max(read.maximum[name], float(at_scored.max(initial=0.0)))

    n_tokens = int(tokens.facts(split)["n_tokens"])
    size = opened.prepared.config.engine.batch_size
    with report.stage("activations", n_tokens, "tokens") as advance, torch.inference_mode():
        for batch in iterate_activations(subject, tokens, sorted(hooks), tokens.contexts_of(split), size):
            scored = batch.scored.to(subject.device)
            for name in dict.fromkeys(name for name, _ in units):
                x = batch.by_hook[placed[name].hook]
                encoded = placed[name].encode(x.reshape(-1, x.shape[-1])).view(*x.shape[:2], -1)
                for unit in units:
                    if unit[0] == name:
                        keep(_named(unit), encoded[..., unit[1]], scored)
            if neuron is not None:
                sign = 1.0 if neuron.correlation >= 0 else -1.0
                keep(neuron.name, sign * batch.by_hook[neuron.hook][..., neuron.number], scored)
            counts = batch.scored.numpy()
            for row, context in enumerate(batch.contexts.tolist()):
                if counts[row].any():
                    ids = tokens.tokens[context, : tokens.n_valid[context]].tolist()
                    marks = np.zeros(tokens.context_length, dtype=np.bool_)
                    marks[: len(ids)] = proxy.mark([texts[token] for token in ids])
                    read.marked.append(marks[counts[row]])
                    read.block.append(np.full(int(counts[row].sum()), tokens.block[context], dtype=np.int64))
            advance(int(batch.scored.sum()))
    return read


def _best_match(
    opened: Reopened, feature: Unit, other: str, split: Split, report: Reporter
) -> tuple[Unit | None, float | None]:
    """The feature of another dictionary whose activation correlates most with this one's over the split."""
    chosen, theirs = opened.dictionaries[feature[0]], opened.dictionaries[other]
    if feature[0] == other:
        raise StoreError(f'--match {other}: give another dictionary than that of "{_named(feature)}"')
    n_tokens = int(opened.tokens.facts(split)["n_tokens"])
    with report.stage(f"the most alike feature of {other}", n_tokens, "tokens") as advance:
        matches = correlate(
            lambda: _paired(opened, chosen, feature[1], theirs, split, advance), 1, theirs.dictionary.n_features
        )
    best = int(matches.best_of_a[0])
    return (None, None) if best < 0 else ((other, best), float(matches.r_of_a[0]))


def _paired(
    opened: Reopened, chosen: Selected, number: int, theirs: Selected, split: Split, advance: Advance
) -> Iterator[PairedEvents]:
    tokens, subject, index = opened.tokens, opened.prepared.subject, SPLITS.index(split)
    mine, other = (one.dictionary.to(subject.device) for one in (chosen, theirs))
    masks = [mask if (mask := one.mask()) is None else mask.to(subject.device) for one in (chosen, theirs)]
    hooks = sorted({mine.hook, other.hook})
    size = opened.prepared.config.engine.batch_size
    for batch in iterate_activations(subject, tokens, hooks, tokens.contexts_of(split), size):
        a = encode_events(mine, batch, tokens, masks[0]).of_split(index).of_features(number, number + 1)
        b = encode_events(other, batch, tokens, masks[1]).of_split(index)
        n = int(batch.scored.sum())
        yield PairedEvents(a, b, batch.scored.numel(), n)
        advance(n)


_SPLIT = """
SELECT max_activation, n_windows, n_firing_windows FROM feature_splits
WHERE dictionary = $dictionary AND feature = $feature AND split = $split
"""
_LABEL = """
SELECT text FROM current_explanations
WHERE dictionary = $dictionary AND feature = $feature AND explainer = 'lexical' AND text IS NOT NULL
"""
_NEURON = """
SELECT neuron_hook, neuron, neuron_correlation, neuron_status FROM feature_diagnostics
WHERE dictionary = $dictionary AND feature = $feature
"""
_CONTEXTS = """
SELECT context, document_block, tokens, scored FROM contexts
WHERE context IN (SELECT unnest($contexts)) ORDER BY context
"""
_KEPT = """
SELECT stratum, context, window_start, n_tokens, positions, activations FROM exemplars
WHERE dictionary = $dictionary AND feature = $feature AND split = 'score' ORDER BY stratum = 'F', rank
"""
_SILENT = """
WITH fires AS (
    SELECT unnest(pools_of(listed, bits)) AS pool FROM pool_firing
    WHERE dictionary = $dictionary AND feature = $feature AND split = 'score'
)
SELECT 'silent' AS stratum, context, window_start, $window AS n_tokens, NULL AS positions, NULL AS activations
FROM pool ANTI JOIN fires USING (pool) WHERE split = 'score' ORDER BY pool
"""
