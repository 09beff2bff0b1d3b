"""Rows of `feature_diagnostics` and `feature_neighbours`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from autointerp.extract.diagnose.clusters import density_clusters, ultralow_below
from autointerp.extract.diagnose.diagnostics import Diagnostics, diagnose
from autointerp.extract.diagnose.sample import DiagnosticSample
from autointerp.extract.selected import Selected
from autointerp.records import GramTable, Int64
from autointerp.store.columns import csr_list
from autointerp.store.evidence import read_gram_tables
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction
from autointerp.subject.model import Subject

ALONE_TOKENS = 32
"""Heaviest tokens of a feature whose activation alone is stored."""


def diagnose_dictionary(
    store: Queryable,
    name: str,
    chosen: Selected,
    sample: DiagnosticSample,
    subject: Subject,
    progress: Callable[[int], None],
) -> tuple[Diagnostics, Int64]:
    """The diagnostics, and where the tokens alone of each feature begin, [n + 1]."""
    tokens, _ = read_gram_tables(store, name)
    start, pairs = heaviest_pairs(tokens, chosen.features)
    return diagnose(chosen.dictionary, chosen.features, sample, pairs, subject.device, progress), start


def heaviest_pairs(tokens: GramTable, features: Int64) -> tuple[Int64, tuple[Int64, Int64]]:
    """CSR `start` [n + 1] and the pairs (feature, token id) of the heaviest tokens of each feature."""
    begin = tokens.start[features]
    length = np.minimum(tokens.start[features + 1] - begin, ALONE_TOKENS)
    start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    index = np.arange(start[-1]) + np.repeat(begin - start[:-1], length)
    return start, (np.repeat(features, length), tokens.token[index].astype(np.int64))


def write_diagnostics(
    store: Queryable, transaction: Transaction, name: str, features: Int64, diagnostics: Diagnostics, alone_start: Int64
) -> int:
    """Appends the rows of both tables, and returns how many."""
    counted = store.query(_FIRINGS, dictionary=name)
    n_firing = np.asarray(counted["n_firing"].to_numpy(), dtype=np.int64)
    n_tokens = int(counted["n_tokens"][0].as_py())
    below = ultralow_below(n_firing, n_tokens)
    clusters = density_clusters(n_firing, n_tokens, below)
    n = transaction.append(
        "feature_diagnostics",
        {
            "dictionary": name,
            "feature": features.astype(np.int32),
            "n_tokens": diagnostics.n_tokens,
            "n_firing": diagnostics.n_firing,
            "alone": csr_list(alone_start, diagnostics.alone, pa.float32()),
            "alone_correlation": diagnostics.alone_correlation,
            "alone_status": diagnostics.alone_status,
            "neuron_hook": diagnostics.neuron_hook,
            "neuron": pa.array(diagnostics.neuron.astype(np.int32), mask=diagnostics.neuron < 0),
            "neuron_correlation": diagnostics.neuron_correlation,
            "neuron_status": diagnostics.neuron_status,
            "density_cluster": clusters,
            "ultralow_below": below,
        },
    )
    row, rank = (diagnostics.neighbour >= 0).nonzero()
    correlation = diagnostics.correlation[row, rank]
    silent = (diagnostics.n_firing == 0)[row]
    return n + transaction.append(
        "feature_neighbours",
        {
            "dictionary": name,
            "feature": features[row].astype(np.int32),
            "rank": (rank + 1).astype(np.int32),
            "neighbour": diagnostics.neighbour[row, rank].astype(np.int32),
            "cosine": diagnostics.cosine[row, rank],
            "correlation": correlation,
            "status": np.where(np.isfinite(correlation), "ok", np.where(silent, "silent", "constant")).tolist(),
        },
    )


_FIRINGS = "SELECT n_firing, n_tokens FROM features WHERE dictionary = $dictionary ORDER BY feature"
