"""Rows of the subject, its vocabulary and text, of dictionaries and their evidence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from autointerp.config.evidence import EvidenceSection
from autointerp.extract.exemplar_rows import Exemplars
from autointerp.extract.exemplars import explain_exemplars, held_out_exemplars
from autointerp.extract.selected import Selected
from autointerp.extract.summary.gram_tables import heavy_pairs, heavy_tokens
from autointerp.extract.summary.statistics import POSITION_BINS, linear_histograms, log_histogram
from autointerp.extract.summary.summary import SCORE_POOL, SELECT_POOL, Summary, pool_windows
from autointerp.hashing import hash01, stream_key
from autointerp.records import RARE_BELOW, SPLITS, Bool, Float64, GramTable, Int64, Split
from autointerp.store.columns import csr_list
from autointerp.store.writer import Transaction
from autointerp.subject.dictionary import Dictionary, SparseAutoencoder, Units, checksum
from autointerp.subject.model import Subject
from autointerp.subject.tokens import VALID, TokenFile

ROWS_AT_ONCE = 1 << 17
"""Exemplars whose columns are made at once."""
BELOW_ONE = 1 - 2.0**-24
"""The largest number below 1 of 32 bits."""
LISTED_BELOW = 14
"""A feature that fires in more than one of so many windows of a pool has a bit for each window."""
Columns = dict[str, Any]


def subject_rows(subject: Subject) -> Columns:
    return {
        "subject": [subject.name],
        "revision": [subject.revision],
        "processing": [subject.processing],
        "dtype": [subject.dtype],
        "architecture": [subject.architecture],
        "n_layers": [subject.n_layers],
        "d_model": [subject.d_model],
        "d_vocab": [subject.d_vocab],
        "n_ctx": [subject.n_ctx],
        "rerandomised": [subject.rerandomised],
        "checksum": [subject.checksum],
    }


def vocab_rows(subject: Subject, tokens: TokenFile) -> Columns:
    special = np.zeros(subject.d_vocab, dtype=bool)
    special[list(subject.special)] = True
    counts = {f"n_{split}": tokens.count_tokens(split, subject.d_vocab) for split in SPLITS}
    return {
        "token": np.arange(subject.d_vocab, dtype=np.int32),
        "text": subject.vocabulary(),
        "is_special": special,
        **counts,
    }


def split_rows(tokens: TokenFile) -> Columns:
    facts = [tokens.facts(split) for split in SPLITS]
    positions = np.stack([tokens.position_counts(split, POSITION_BINS) for split in SPLITS])
    return {"split": list(SPLITS), "position_histogram": positions} | {
        name: [row[name] for row in facts] for name in facts[0]
    }


def dictionary_row(name: str, chosen: Selected) -> Columns:
    dictionary = chosen.dictionary
    assert isinstance(dictionary, SparseAutoencoder | Units)
    units = dictionary if isinstance(dictionary, Units) else None
    return {
        "dictionary": [name],
        "kind": [dictionary.kind],
        "format": [dictionary.format or None],
        "source": [dictionary.source or None],
        "hook": [dictionary.hook],
        "d_in": [dictionary.d_in],
        "n_features": [dictionary.n_features],
        "n_selected": [len(chosen.features)],
        "activation": [dictionary.activation],
        "matched_to": [units.matched_to if units else None],
        "natural_of": [units.natural_of if units else None],
        "n_units": [units.n_units if units else None],
        "norm_limit": [units.norm_limit if units else None],
        "checksum": [checksum(dictionary)],
        "config": [json.dumps(dictionary.config, sort_keys=True)],
    }


def write_dictionary(
    transaction: Transaction,
    name: str,
    chosen: Selected,
    summary: Summary,
    tokens: TokenFile,
    evidence: EvidenceSection,
) -> tuple[int, set[int]]:
    """Writes all rows of the features that a summary is of; returns their number and the contexts they refer to.

    The summary is used up: each part's memory is let go of as soon as its rows are written.
    """
    first, last = summary.plan.first, summary.plan.first + summary.plan.n_features
    features = chosen.features[(chosen.features >= first) & (chosen.features < last)]
    mine = features - first
    transaction.in_bulk()
    heavy = heavy_tokens(summary, tokens)
    summary.release("tokens", "frequent")
    pairs = heavy_pairs(summary, tokens)
    summary.release("pairs")
    n = transaction.append("features", _feature_rows(name, features, chosen.dictionary, summary, heavy, tokens))
    n += transaction.append("feature_splits", _split_statistics(name, features, summary, tokens))
    n += transaction.append("feature_tokens", _gram_rows(name, features, mine, heavy, pairs))
    del pairs
    seen = np.zeros(tokens.n_contexts, dtype=bool)
    for part in _exemplars_once(summary, tokens, heavy, evidence, mine):
        for portion in part.portions(ROWS_AT_ONCE):
            n += transaction.append("exemplars", _exemplar_rows(name, portion, tokens))
        seen[part.window // tokens.windows_per_context] = True
    for split, pool in (("select", summary.select_pool), ("score", summary.score_pool)):
        for some, fires in pool.portions(mine):
            rows = {"dictionary": name, "feature": (some + first).astype(np.int32), "split": split}
            n += transaction.append("pool_firing", rows | pool_columns(fires))
    return n, set(np.flatnonzero(seen).tolist())


def _exemplars_once(
    summary: Summary, tokens: TokenFile, heavy: GramTable, evidence: EvidenceSection, mine: Int64
) -> Iterator[Exemplars]:
    """All exemplars, split by split; what the summary keeps for a split goes with its last one."""
    yield from explain_exemplars(summary, tokens, heavy, evidence, mine)
    summary.release("top", "outliers", "octaves", "random", "explain_pool")
    yield from held_out_exemplars(summary, tokens, "select")
    summary.release("select_top", "select_firing")
    yield from held_out_exemplars(summary, tokens, "score")
    summary.release("score_top", "score_firing")


def pool_rows(tokens: TokenFile, seed: int) -> Iterator[tuple[Columns, set[int]]]:
    """The shared windows of the select and score split, and the contexts that they refer to."""
    sizes: dict[Split, int] = {"select": SELECT_POOL, "score": SCORE_POOL}
    for split, size in sizes.items():
        pool = pool_windows(tokens, split, seed, size)
        context, index = pool // tokens.windows_per_context, pool % tokens.windows_per_context
        rows = {
            "split": split,
            "pool": np.arange(len(pool), dtype=np.int32),
            "context": context,
            "window_start": (index * tokens.window).astype(np.int32),
            "u": hash01(stream_key(seed, "pool"), pool),
        }
        yield rows, set(np.unique(context).tolist())


def context_rows(tokens: TokenFile, contexts: Iterable[int]) -> Columns:
    number = np.array(sorted(contexts), dtype=np.int64)
    marks = tokens.marks[number]
    valid = (marks & VALID) > 0
    start = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int64)
    document = tokens.document[number]
    return {
        "context": number,
        "document": document.astype(np.int64),
        "document_name": [tokens.document_name[i] for i in document],
        "document_hash": [tokens.document_hash[i] for i in document],
        "document_block": tokens.block[number],
        "split": [SPLITS[i] for i in tokens.split[number]],
        "document_offset": tokens.offset[number],
        "tokens": csr_list(start, tokens.tokens[number][valid], pa.int32()),
        "scored": csr_list(start, (marks == VALID)[valid], pa.bool_()),
    }


def _feature_rows(
    name: str, features: Int64, dictionary: Dictionary, summary: Summary, heavy: GramTable, tokens: TokenFile
) -> Columns:
    mine = features - summary.plan.first
    n_tokens = tokens.facts("explain")["n_tokens"]
    statistics = summary.statistics
    n_firing = statistics.n_firing[0].cpu().numpy()[mine]
    total = statistics.total[0].cpu().numpy()[mine]
    entropy, share = _token_entropy(heavy, statistics.total[0].cpu().numpy())
    none = [None] * len(features)
    rows: Columns = {
        "dictionary": name,
        "feature": features.astype(np.int32),
        "status": ["dead" if n == 0 else "rare" if n < RARE_BELOW else "alive" for n in n_firing],
        "density": n_firing / n_tokens,
        "max_activation": statistics.maximum[0].cpu().numpy()[mine].astype(np.float64),
        "n_tokens": np.full(len(features), n_tokens),
        "n_firing": n_firing,
        "mean": total / n_tokens,
        "variance": _variance(statistics.total2[0].cpu().numpy()[mine], total, n_tokens),
        "token_entropy": entropy[mine],
        "single_token_share": share[mine],
        "planted_label": none,
        "encoder_bias": none,
        "decoder_norm": none,
        "cos_encoder_decoder": none,
        "unit": none,
        "matched_feature": none,
        "match_status": none,
        "sign": none,
        "mu": none,
        "theta": none,
    }
    return (
        rows
        | (_sae_facts(dictionary, features) if isinstance(dictionary, SparseAutoencoder) else {})
        | (_unit_facts(dictionary, features) if isinstance(dictionary, Units) else {})
    )


def _sae_facts(sae: SparseAutoencoder, features: Int64) -> Columns:
    index = torch.from_numpy(features)
    encoder, decoder = sae.W_enc.T[index], sae.W_dec[index]
    facts: Columns = {
        "encoder_bias": (sae.b_enc if sae.b_gate is None else sae.b_gate)[index].double().numpy(),
        "decoder_norm": decoder.norm(dim=1).double().numpy(),
        "planted_label": [sae.labels.get(int(feature)) for feature in features],
    }
    if encoder.shape == decoder.shape:
        facts["cos_encoder_decoder"] = torch.cosine_similarity(encoder, decoder, dim=1).double().numpy()
    return facts


def _unit_facts(units: Units, features: Int64) -> Columns:
    index = torch.from_numpy(features)
    theta = units.theta[index].double().numpy()
    status = ["natural"] * len(features)
    partner = None
    if units.matched_feature is not None:
        natural = units.natural_of is not None
        status = [
            "natural" if natural else "matched" if units.matched[feature] else "unmatched" for feature in features
        ]
        partner = units.matched_feature[index].numpy().astype(np.int32)
    return {
        "unit": units.unit[index].numpy().astype(np.int32),
        "matched_feature": partner,
        "match_status": status,
        "sign": units.sign[index].numpy().astype(np.int32),
        "mu": units.mu[index].double().numpy(),
        "theta": np.where(np.isfinite(theta), theta, np.nan),
    }


def _variance(total2: Float64, total: Float64, n: int) -> Float64:
    return np.maximum(total2 / max(n, 1) - (total / max(n, 1)) ** 2, 0.0)


def _token_entropy(heavy: GramTable, total: Float64) -> tuple[Float64, Float64]:
    """Entropy (nats) of the activation mass over tokens, the unlisted rest as one; share of the heaviest."""
    n_features = len(heavy.start) - 1
    feature = np.repeat(np.arange(n_features), np.diff(heavy.start))
    listed = np.bincount(feature, heavy.mass, n_features)
    whole = np.maximum(total, listed)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = heavy.mass / whole[feature]
        rest = np.maximum(whole - listed, 0.0) / whole
        entropy = np.bincount(feature, -share * np.log(share), n_features)
        entropy = entropy - np.where(rest > 0, rest * np.log(np.where(rest > 0, rest, 1.0)), 0.0)
        largest = np.full(n_features, np.nan)
        first = heavy.start[:-1][np.diff(heavy.start) > 0]
        largest[np.diff(heavy.start) > 0] = share[first]
    return np.where(total > 0, np.maximum(entropy, 0.0), np.nan), largest


def _split_statistics(name: str, features: Int64, summary: Summary, tokens: TokenFile) -> Columns:
    statistics, mine = summary.statistics, features - summary.plan.first
    columns: dict[str, list[Any]] = {
        column: []
        for column in (
            "feature",
            "split",
            "n_tokens",
            "n_firing",
            "n_firing_outliers",
            "density",
            "max_activation",
            "mean",
            "variance",
            "n_windows",
            "n_firing_windows",
            "histogram_upper",
            "histogram_linear",
            "histogram_log",
            "position_histogram",
        )
    }
    for index, split in enumerate(SPLITS):
        facts = tokens.facts(split)
        n = facts["n_tokens"]
        n_firing = statistics.n_firing[index].cpu().numpy()[mine]
        total = statistics.total[index].cpu().numpy()[mine]
        maximum = statistics.maximum[index].cpu().numpy()[mine].astype(np.float64)
        fine = statistics.histogram[index].cpu().numpy()[mine].astype(np.int64)
        linear, upper = linear_histograms(fine, maximum)
        columns["feature"].append(features.astype(np.int32))
        columns["split"] += [split] * len(features)
        columns["n_tokens"].append(np.full(len(features), n))
        columns["n_firing"].append(n_firing)
        columns["n_firing_outliers"].append(statistics.n_firing_outliers[index].cpu().numpy()[mine])
        columns["density"].append(n_firing / max(n, 1))
        columns["max_activation"].append(maximum)
        columns["mean"].append(total / max(n, 1))
        columns["variance"].append(_variance(statistics.total2[index].cpu().numpy()[mine], total, n))
        columns["n_windows"].append(np.full(len(features), facts["n_windows"]))
        columns["n_firing_windows"].append(statistics.n_firing_windows[index].cpu().numpy()[mine])
        columns["histogram_upper"].append(upper)
        columns["histogram_linear"].append(linear)
        columns["histogram_log"].append(log_histogram(fine))
        columns["position_histogram"].append(statistics.positions[index].cpu().numpy()[mine].astype(np.int64))
    return {"dictionary": name} | {
        column: values if column == "split" else np.concatenate(values) for column, values in columns.items()
    }


def _lists(start: Int64, values: np.ndarray, features: Int64) -> pa.Array[Any]:
    """The lists of some features from CSR over all features."""
    lengths = np.diff(start)[features]
    ends = np.cumsum(lengths)
    index = np.arange(ends[-1] if len(ends) else 0) + np.repeat(start[features] - (ends - lengths), lengths)
    return csr_list(np.concatenate([[0], ends]).astype(np.int64), values[index])


def _gram_rows(name: str, features: Int64, mine: Int64, heavy: GramTable, pairs: GramTable) -> Columns:
    return {
        "dictionary": name,
        "feature": features.astype(np.int32),
        "tokens": _lists(heavy.start, heavy.token, mine),
        "mass": _lists(heavy.start, heavy.mass.astype(np.float32), mine),
        "n_firing": _lists(heavy.start, heavy.n_firing.astype(np.uint32), mine),
        "n_seen": _lists(heavy.start, heavy.n_seen.astype(np.uint32), mine),
        "mass_error": heavy.mass_error[mine],
        "pair_previous": _lists(pairs.start, pairs.previous, mine),
        "pair_tokens": _lists(pairs.start, pairs.token, mine),
        "pair_mass": _lists(pairs.start, pairs.mass.astype(np.float32), mine),
        "pair_n_firing": _lists(pairs.start, pairs.n_firing.astype(np.uint32), mine),
        "pair_n_seen": _lists(pairs.start, pairs.n_seen.astype(np.uint32), mine),
        "pair_mass_error": pairs.mass_error[mine],
        "pair_share": np.ones(len(mine)) if pairs.share is None else pairs.share[mine],
    }


def pool_columns(fires: Bool) -> Columns:
    """`listed` and `bits` of the table `pool_firing`, from [features, windows of the pool]: for each the smaller one.

    A number of a list takes as many bits as the number of windows has.
    """
    n_firing = np.count_nonzero(fires, axis=1)
    in_bits = n_firing > fires.shape[1] // LISTED_BELOW
    start = np.concatenate([[0], np.cumsum(np.where(in_bits, 0, n_firing))]).astype(np.int64)
    listed = fires[~in_bits].nonzero()[1].astype(np.uint32)
    bits = [row.tobytes() if packed else None for row, packed in zip(np.packbits(fires, axis=1), in_bits, strict=True)]
    return {"listed": csr_list(start, listed, missing=in_bits), "bits": bits}


def _exemplar_rows(name: str, part: Exemplars, tokens: TokenFile) -> Columns:
    start = np.concatenate([[0], np.cumsum(part.length, dtype=np.int64)])
    offset = part.place - np.repeat(part.start, part.length)
    return {
        "dictionary": name,
        "feature": part.feature.astype(np.int32),
        "split": part.split,
        "stratum": part.stratum,
        "rank": part.rank.astype(np.int32),
        "context": part.window // tokens.windows_per_context,
        "window_start": part.start,
        "n_tokens": part.n_tokens,
        "peak": part.peak.astype(np.int32),
        "stratum_low": part.low.astype(np.float64),
        "stratum_high": part.high.astype(np.float64),
        "probability": part.probability,
        "u": np.minimum(part.u, BELOW_ONE).astype(np.float32),
        "positions": csr_list(start, offset.astype(np.uint8), pa.uint8()),
        "activations": csr_list(start, part.value, pa.float32()),
    }
