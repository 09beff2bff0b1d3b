"""What features do on texts that a judge wrote: the subject reads them, the dictionary encodes them.

The label half writes texts and knows no model; here its predictions get their activations. A text is read as documents
are: as tokens of its own, behind a BOS where the run has one, cut where a context ends. Short ones are filled up behind
their end, which a causal model does not see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from autointerp.errors import InputError
from autointerp.extract.selected import Selected
from autointerp.records import Float64, Int64
from autointerp.score.predictions import UNREAD, Generated, Prediction
from autointerp.subject.model import Subject

AT_ONCE = 16
"""Texts of one forward pass."""


def with_activations(
    subject: Subject, selected: Selected, predictions: Mapping[int, Prediction], bos: int | None, context_length: int
) -> dict[int, Prediction]:
    """Texts that were not read yet with their largest activations; all other predictions as they are."""
    generated = [one for one in predictions.values() if isinstance(one, Generated) and UNREAD in one.status]
    rows = [(of.feature, text) for of in generated for text in of.texts]
    maximum, n_tokens = read_texts(subject, selected, rows, bos, context_length)
    made, first = dict(predictions), 0
    for of in generated:
        part = slice(first, first + len(of))
        made[of.feature] = of.read(maximum[part], n_tokens[part])
        first += len(of)
    return made


def read_texts(
    subject: Subject, selected: Selected, rows: Sequence[tuple[int, str]], bos: int | None, context_length: int
) -> tuple[Float64, Int64]:
    """Of features and texts [n]: the largest activation on each, nan where it has no token; and tokens read."""
    read = [activations for _, activations in read_tokens(subject, selected, rows, bos, context_length)]
    maximum = [float(activations.max()) if len(activations) else np.nan for activations in read]
    return np.array(maximum, dtype=np.float64), np.array([len(one) for one in read], dtype=np.int64)


@torch.inference_mode()
def read_tokens(
    subject: Subject, selected: Selected, rows: Sequence[tuple[int, str]], bos: int | None, context_length: int
) -> list[tuple[list[int], Float64]]:
    """Of features and texts: the tokens that were read, and the feature's activation at each. Raises InputError."""
    if subject.tokenizer is None:
        raise InputError("the subject has no tokenizer: it cannot read texts that a language model wrote")
    front = [] if bos is None else [bos]
    room = context_length - len(front)
    ids = [encoded[:room] for encoded in subject.encode_texts([text for _, text in rows])] if rows else []
    dictionary = selected.dictionary.to(subject.device)
    activations = [np.zeros(0) for _ in rows]
    order = sorted((row for row in range(len(rows)) if ids[row]), key=lambda row: len(ids[row]))
    for first in range(0, len(order), AT_ONCE):
        part = order[first : first + AT_ONCE]
        longest = max(len(ids[row]) for row in part)
        filled = [[*front, *ids[row], *ids[row][:1] * (longest - len(ids[row]))] for row in part]
        tokens = torch.tensor(filled, dtype=torch.long, device=subject.device)
        x = subject.activations(tokens, [dictionary.hook])[dictionary.hook]
        for row, values in zip(part, x, strict=True):
            feature, read = rows[row][0], slice(len(front), len(front) + len(ids[row]))
            activations[row] = dictionary.encode(values[read])[:, feature].double().cpu().numpy()
    return list(zip(ids, activations, strict=True))
