"""`autointerp compare --match A B`: the features of two dictionaries beside each other.

By three likenesses: correlation of activations on the same tokens (`extract/correlate.py`: one pass over a split),
cosine of decoder directions, and correlation of direct logit effects over the vocabulary. The two dictionaries lie in
one store, or in two over the same text; the subject runs once where it is the same, else both run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autointerp.compare.matching import Matching, match
from autointerp.errors import StoreError
from autointerp.extract.correlate import PairedEvents, correlate
from autointerp.extract.effects import logit_readers, written_directions
from autointerp.extract.selected import Selected, on_device
from autointerp.extract.summary.events import encode_events
from autointerp.pipeline.reopened import Reopened, reopen
from autointerp.progress import Advance, Reporter
from autointerp.records import SPLITS, Float64, Int64, Split
from autointerp.store.reader import open_reader
from autointerp.subject.activations import ActivationBatch, iterate_activations
from autointerp.subject.dictionary import written_hook

_LABELS = """
SELECT feature, text FROM current_explanations
WHERE dictionary = $dictionary AND explainer = 'lexical' AND text IS NOT NULL AND text <> ''
"""


@dataclass(frozen=True)
class Likeness:
    """A likeness other than the correlation of activations; features by number, as the matching has them."""

    of_best: Float64
    """[A] with the best match by correlation; nan where there is none."""
    of_partner: Float64
    """[A] with the partner, one to one."""
    best: Int64
    """[A] the feature of B that is most alike by this; -1 where it cannot be said."""
    best_value: Float64
    """[A]"""


@dataclass(frozen=True)
class MatchReport:
    """All that is said of two dictionaries."""

    stores: tuple[str, str]
    names: tuple[str, str]
    hooks: tuple[str, str]
    split: Split
    matching: Matching
    cosine: Likeness | None
    cosine_reason: str
    """Why there is no cosine; empty where there is."""
    logits: Likeness | None
    logits_reason: str
    labels: tuple[dict[int, str], dict[int, str]]
    """What `lexical` says of each feature, by dictionary."""


def match_dictionaries(
    paths: Sequence[Path], names: tuple[str, str], report: Reporter, split: Split = "score"
) -> MatchReport:
    """Runs the subject over `split`. Raises UserError where the two cannot be compared, before it runs."""
    same_store = len(paths) == 1
    if same_store:
        opened = reopen(paths[0], names, report)
        sides = (opened, opened)
    else:
        sides = (reopen(paths[0], [names[0]], report), reopen(paths[1], [names[1]], report))
        _refuse_other_tokens(*sides)
    chosen = (sides[0].dictionaries[names[0]], sides[1].dictionaries[names[1]])
    n_tokens = int(sides[0].tokens.facts(split)["n_tokens"])
    with report.stage("activations of both", n_tokens, "tokens") as advance:
        correlations = correlate(
            lambda: _both(sides, chosen, split, advance),
            chosen[0].dictionary.n_features,
            chosen[1].dictionary.n_features,
        )
    matching = match(correlations, chosen[0].features.tolist(), chosen[1].features.tolist())
    cosine, why_no_cosine = _cosine(sides, chosen, matching)
    logits, why_no_logits = _logits(sides, chosen, matching)
    return MatchReport(
        stores=(str(paths[0]), str(paths[-1])),
        names=names,
        hooks=(chosen[0].dictionary.hook, chosen[1].dictionary.hook),
        split=split,
        matching=matching,
        cosine=cosine,
        cosine_reason=why_no_cosine,
        logits=logits,
        logits_reason=why_no_logits,
        labels=(_labels(paths[0], names[0]), _labels(paths[-1], names[1])),
    )


def _refuse_other_tokens(a: Reopened, b: Reopened) -> None:
    """The same ids at the same places, in the same split."""
    mine, theirs = a.tokens, b.tokens
    same = (
        np.array_equal(mine.tokens, theirs.tokens)
        and np.array_equal(mine.marks, theirs.marks)
        and np.array_equal(mine.split, theirs.split)
    )
    if not same:
        raise StoreError(
            f'"{a.path}" and "{b.path}" are not over the same tokens: a match needs the same source, context length, '
            "tokenizer and splits"
        )


def _both(
    sides: tuple[Reopened, Reopened], chosen: tuple[Selected, Selected], split: Split, advance: Advance
) -> Iterator[PairedEvents]:
    """The events of both on each batch of the split."""
    index = SPLITS.index(split)
    tokens = sides[0].tokens
    contexts = tokens.contexts_of(split)
    subjects = [side.prepared.subject for side in sides]
    placed = [on_device({"it": one}, subject.device)["it"] for one, subject in zip(chosen, subjects, strict=True)]
    hooks = [dictionary.hook for dictionary, _ in placed]
    size = sides[0].prepared.config.engine.batch_size
    batches: Iterator[tuple[ActivationBatch, ActivationBatch]]
    if subjects[0].checksum == subjects[1].checksum:
        once = iterate_activations(subjects[0], tokens, sorted(set(hooks)), contexts, size)
        batches = ((batch, batch) for batch in once)
    else:
        batches = zip(
            *(
                iterate_activations(subject, tokens, [hook], contexts, size)
                for subject, hook in zip(subjects, hooks, strict=True)
            ),
            strict=True,
        )
    for pair in batches:
        events = [
            encode_events(dictionary, batch, tokens, selected).of_split(index)
            for (dictionary, selected), batch in zip(placed, pair, strict=True)
        ]
        n = int(pair[0].scored.sum())
        yield PairedEvents(events[0], events[1], pair[0].scored.numel(), n)
        advance(n)


# --- likeness of directions


def _cosine(
    sides: tuple[Reopened, Reopened], chosen: tuple[Selected, Selected], matching: Matching
) -> tuple[Likeness | None, str]:
    hooks = [written_hook(one.dictionary) for one in chosen]
    if sides[0].prepared.subject.checksum != sides[1].prepared.subject.checksum:
        return None, "the subjects differ"
    if hooks[0] != hooks[1]:
        return None, f"one writes at {hooks[0]}, the other at {hooks[1]}"
    a, b = (_unit(one.dictionary.directions[torch.from_numpy(one.features)].float().cpu()) for one in chosen)
    return _likeness(a, b, chosen, matching), ""


@torch.inference_mode()
def _logits(
    sides: tuple[Reopened, Reopened], chosen: tuple[Selected, Selected], matching: Matching
) -> tuple[Likeness | None, str]:
    """Effects are D W, with directions D [n, d] and the columns W [d, V] of the unembedding less their mean over the
    vocabulary: their correlations need only the products W W^T [d, d]."""
    tokens = sides[0].tokens
    subjects = [side.prepared.subject for side in sides]
    if subjects[0].d_vocab != subjects[1].d_vocab:
        return None, "the vocabularies differ"
    usable = np.asarray(sum(tokens.count_tokens(split, subjects[0].d_vocab) for split in SPLITS)) > 0
    written: list[Tensor] = []
    readers: list[Tensor] = []
    for subject, of in zip(subjects, chosen, strict=True):
        directions = written_directions(subject, of.dictionary, of.features)
        if directions is None:
            return None, f"there is no direct path from {of.dictionary.hook} to the logits"
        columns = logit_readers(subject, usable).double()
        written.append(directions.double())
        readers.append(columns - columns.mean(dim=1, keepdim=True))
    scaled = []
    for directions, columns in zip(written, readers, strict=True):
        length = ((directions @ (columns @ columns.T)) * directions).sum(dim=1).clamp(min=0).sqrt()
        scaled.append(directions / length.clamp(min=1e-30)[:, None])
    a = (scaled[0] @ (readers[0] @ readers[1].T)).float().cpu()
    return _likeness(a, scaled[1].float().cpu(), chosen, matching), ""


def _unit(directions: Tensor) -> Tensor:
    length = directions.norm(dim=1, keepdim=True)
    return torch.where(length > 0, directions / length.clamp(min=1e-30), 0.0)


def _likeness(a: Tensor, b: Tensor, chosen: tuple[Selected, Selected], matching: Matching) -> Likeness:
    """From vectors [A, d] and [B, d] of the extracted features, whose inner products are the likeness."""
    features_b = chosen[1].features
    best, value = np.full(len(a), -1, dtype=np.int64), np.full(len(a), np.nan)
    rows = max(1, (1 << 23) // max(len(b), 1))
    for first in range(0, len(a) if len(b) else 0, rows):
        strength, index = (a[first : first + rows] @ b.T).max(dim=1)
        best[first : first + rows] = features_b[index.numpy()]
        value[first : first + rows] = strength.numpy()
    place = {int(feature): row for row, feature in enumerate(features_b)}

    def with_other(other: Callable[[int], int | None]) -> Float64:
        of = np.full(len(a), np.nan)
        for row in range(len(a)):
            theirs = other(row)
            if theirs is not None:
                of[row] = float(a[row] @ b[place[theirs]])
        return of

    return Likeness(
        of_best=with_other(lambda row: matching.a[row].best),
        of_partner=with_other(lambda row: matching.a[row].partner),
        best=best,
        best_value=value,
    )


def _labels(path: Path, dictionary: str) -> dict[int, str]:
    with open_reader(path) as store:
        return {row["feature"]: row["text"] for row in store.rows(_LABELS, dictionary=dictionary)}
