"""What the later stages read of the earlier ones, as the records they work with.

Everything here comes back as it went in: arrays, in CSR form where lists are of unequal length, indexed
by the feature's own number (so `start` has `n_features + 1` entries also where a run extracted a few).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from autointerp.errors import StoreError, nearest
from autointerp.records import ANY_TOKEN, FeatureWindows, GramTable, Int32, Int64, ShownExemplar, Split, Windows
from autointerp.store.columns import Array, to_csr
from autointerp.store.query import Queryable


@dataclass(frozen=True)
class PoolFiring:
    """In which pool windows each feature fires, measured; in all others it is silent. CSR by feature."""

    start: Int64  # [F + 1]
    pools: Int32  # [entries] numbers of pool windows, rising within a feature


def dictionary_names(store: Queryable) -> list[str]:
    """The dictionaries of a store, in the order of the run file."""
    return [row["dictionary"] for row in store.rows("SELECT dictionary FROM dictionaries")]


def dictionary_row(store: Queryable, dictionary: str) -> dict[str, Any]:
    """The row of `dictionaries`. Raises StoreError with the nearest name where there is none."""
    rows = store.rows("SELECT * FROM dictionaries WHERE dictionary = $dictionary", dictionary=dictionary)
    if not rows:
        names = dictionary_names(store)
        raise StoreError(f'the store has no dictionary "{dictionary}"' + nearest(dictionary, names, listed="it has"))
    return rows[0]


def current_works(store: Queryable, stage: str) -> set[str] | None:
    """The work that counts of a stage; None where all of it does: in the store of one run there is no other."""
    [runs] = store.rows("SELECT count(*) AS n FROM runs")
    if runs["n"] == 1:
        return None
    return {row["work"] for row in store.rows("SELECT work FROM current_works WHERE stage = $stage", stage=stage)}


def window_length(store: Queryable) -> int:
    """Tokens of a window, as the run file says (`tokens.window`)."""
    configs = [json.loads(row["config"]) for row in store.rows("SELECT config FROM runs")]
    lengths = {config.get("tokens", {}).get("window") for config in configs}
    if len(lengths) != 1 or None in lengths:
        raise StoreError(f"the store's runs name {len(lengths)} window lengths ({sorted(lengths)}); one is needed")
    return int(lengths.pop())


def read_vocab(store: Queryable) -> list[str]:
    """The text of each token, by id."""
    rows = store.query("SELECT token, text FROM vocab ORDER BY token")
    if rows["token"].to_pylist() != list(range(len(rows))):
        raise StoreError("the store's vocab has gaps; it was not written whole")
    return [str(text) for text in rows["text"].to_pylist()]


def read_gram_tables(store: Queryable, dictionary: str) -> tuple[GramTable, GramTable]:
    """Activation mass by token, and by pair (previous token, token), of the explain split."""
    n_features = dictionary_row(store, dictionary)["n_features"]
    rows = store.query(
        "SELECT * EXCLUDE (dictionary) FROM feature_tokens WHERE dictionary = $dictionary ORDER BY feature",
        dictionary=dictionary,
    )
    feature = _numpy(rows, "feature")
    counted = {name: to_csr(rows[name]) for name in rows.column_names if pa.types.is_list(rows[name].type)}

    share = np.ones(n_features)
    share[feature] = _numpy(rows, "pair_share")

    def table(start: Int64, previous: Array, names: Sequence[str], error: str, share: Array | None = None) -> GramTable:
        token, mass, n_firing, n_seen = (counted[name][1] for name in names)
        errors = np.zeros(n_features)
        errors[feature] = _numpy(rows, error)
        return GramTable(
            start=_by_feature(feature, start, n_features),
            previous=previous.astype(np.int32),
            token=token.astype(np.int32),
            mass=mass.astype(np.float64),
            n_firing=n_firing.astype(np.int64),
            n_seen=n_seen.astype(np.int64),
            mass_error=errors,
            share=share,
        )

    start, tokens = counted["tokens"]
    return (
        table(start, np.full(len(tokens), ANY_TOKEN), ("tokens", "mass", "n_firing", "n_seen"), "mass_error"),
        table(
            *counted["pair_previous"],
            ("pair_tokens", "pair_mass", "pair_n_firing", "pair_n_seen"),
            "pair_mass_error",
            share,
        ),
    )


def read_feature_windows(
    store: Queryable,
    dictionary: str,
    features: Sequence[int],
    window_length: int,
    windows_per_context: int,
    split: Split = "score",
) -> Iterator[FeatureWindows]:
    """The firing windows of `split` (select or score) kept for each of `features`, in the order of `features`.

    T first, by rank; then the reservoir, by rising u. Windows are numbered as in the token file:
    context * windows_per_context + window_start // window_length. A feature without any has K = 0.
    """
    totals = {row["feature"]: row for row in store.rows(_TOTALS, dictionary=dictionary, split=split)}
    for first in range(0, len(features), _AT_ONCE):
        chunk = [int(feature) for feature in features[first : first + _AT_ONCE]]
        rows = store.query(_KEPT_WINDOWS, dictionary=dictionary, split=split, features=chunk)
        feature = _numpy(rows, "feature")
        number = _numpy(rows, "context") * windows_per_context + _numpy(rows, "window_start") // window_length
        stratum = _strings(rows, "stratum")
        maximum = _numpy(rows, "max_activation").astype(np.float32)
        u = _numpy(rows, "u").astype(np.float64)
        truth = _dense(to_csr(rows["positions"]), to_csr(rows["activations"])[1], window_length)
        for wanted in chunk:
            if wanted not in totals:
                raise StoreError(f'the store has no {split} split of feature {wanted} of "{dictionary}"')
            mine = slice(*np.searchsorted(feature, [wanted, wanted + 1]))
            yield FeatureWindows(
                feature=wanted,
                n_windows=totals[wanted]["n_windows"],
                n_firing_windows=totals[wanted]["n_firing_windows"],
                window=number[mine],
                stratum=stratum[mine],
                maximum=maximum[mine],
                u=u[mine],
                truth=truth[mine],
            )


def read_exemplars(
    store: Queryable, dictionary: str, features: Sequence[int], left: int = 0, split: Split = "explain"
) -> Iterator[list[ShownExemplar]]:
    """The exemplars of each of `features`, in the order of `features`: by stratum, then by rank.

    `left`: tokens of the context that are wanted before an exemplar, at most. There are fewer where the context
    begins, or a window ends that was dropped because it stands in another split too: it is not to be shown.
    """
    for first in range(0, len(features), _AT_ONCE):
        chunk = [int(feature) for feature in features[first : first + _AT_ONCE]]
        exemplars: dict[int, list[ShownExemplar]] = {feature: [] for feature in chunk}
        for row in store.rows(_EXEMPLARS, dictionary=dictionary, split=split, features=chunk, left=left):
            scored = np.array(row["scored"], np.bool_)
            before = np.array(row["before"], np.int32)
            hidden = np.flatnonzero(row["before_hidden"])
            activations = np.zeros(len(scored), np.float32)
            activations[row["positions"]] = row["activations"]
            exemplars[row["feature"]].append(
                ShownExemplar(
                    feature=row["feature"],
                    split=split,
                    stratum=row["stratum"],
                    rank=row["rank"],
                    context=row["context"],
                    start=row["window_start"],
                    peak=row["peak"] - row["window_start"],
                    low=row["stratum_low"],
                    high=row["stratum_high"],
                    probability=row["probability"],
                    before=before[hidden[-1] + 1 if len(hidden) else 0 :],
                    tokens=np.array(row["tokens"], np.int32),
                    scored=scored,
                    activations=activations,
                    document=row["document"],
                    offset=row["document_offset"] + row["window_start"],
                )
            )
        yield from (exemplars[feature] for feature in chunk)


_AT_ONCE = 512
"""Features read at once: 276 windows each, so some 140,000 rows."""

_TOTALS = """
SELECT feature, n_windows, n_firing_windows FROM feature_splits WHERE dictionary = $dictionary AND split = $split
"""

_KEPT_WINDOWS = """
SELECT feature, context, window_start, stratum, max_activation, u, positions, activations
FROM exemplars
WHERE dictionary = $dictionary AND split = $split AND feature IN (SELECT unnest($features))
ORDER BY feature, stratum = 'F', rank
"""


_EXEMPLARS = """
WITH special AS (SELECT coalesce(list(token), []) AS ids FROM vocab WHERE is_special)
SELECT e.* EXCLUDE (dictionary, split, max_activation, u), list_slice(c.tokens, first + 1, e.window_start) AS before,
       list_transform(generate_series(first + 1, e.window_start::BIGINT),
           lambda i: NOT c.scored[i] AND NOT list_contains(special.ids, c.tokens[i])) AS before_hidden,
       list_slice(c.tokens, e.window_start + 1, e.window_start + e.n_tokens) AS tokens,
       list_slice(c.scored, e.window_start + 1, e.window_start + e.n_tokens) AS scored, c.document, c.document_offset
FROM (SELECT *, greatest(window_start - $left, 0) AS first FROM exemplars
      WHERE dictionary = $dictionary AND split = $split AND feature IN (SELECT unnest($features))) e
JOIN contexts c USING (context), special
ORDER BY e.feature, e.stratum, e.rank
"""


def read_pool(store: Queryable, window_length: int, windows_per_context: int, split: Split = "score") -> Windows:
    """The pool: windows of a split shared by all features, in the order of their numbers in the pool.

    Short windows are padded with token 0, not scored.
    """
    rows = store.query("SELECT pool, context, window_start FROM pool WHERE split = $split ORDER BY pool", split=split)
    if _numpy(rows, "pool").tolist() != list(range(len(rows))):
        raise StoreError("the store's pool has gaps; it was not written whole")
    contexts = store.query(
        "SELECT context, document_block, tokens, scored FROM contexts "
        "SEMI JOIN (FROM pool WHERE split = $split) USING (context) ORDER BY context",
        split=split,
    )
    wanted, of_window = np.unique(_numpy(rows, "context"), return_inverse=True)
    known = _numpy(contexts, "context")
    if not np.array_equal(wanted, known):
        raise StoreError("the store's pool names contexts that it does not hold; it was not written whole")
    start, tokens = to_csr(contexts["tokens"])
    scored = to_csr(contexts["scored"])[1]
    place = _numpy(rows, "window_start").astype(np.int64)[:, None] + np.arange(window_length)  # [W, L] in the context
    inside = place < np.diff(start)[of_window][:, None]
    at = np.where(inside, start[of_window][:, None] + place, 0)
    return Windows(
        window=_numpy(rows, "context") * windows_per_context + _numpy(rows, "window_start") // window_length,
        context=_numpy(rows, "context"),
        block=_numpy(contexts, "document_block")[of_window],
        tokens=np.where(inside, tokens[at], 0).astype(np.int32),
        previous=np.where(inside & (place > 0), tokens[np.maximum(at - 1, 0)], -1).astype(np.int32),
        scored=np.asarray(inside & scored[at]),
    )


def read_pool_firing(store: Queryable, dictionary: str, split: Split = "score") -> PoolFiring:
    """In which pool windows of a split each feature of the dictionary fires."""
    n_features = dictionary_row(store, dictionary)["n_features"]
    rows = store.query(
        "SELECT feature, pools_of(listed, bits) AS pools FROM pool_firing "
        "WHERE dictionary = $dictionary AND split = $split ORDER BY feature",
        dictionary=dictionary,
        split=split,
    )
    start, pools = to_csr(rows["pools"])
    return PoolFiring(_by_feature(_numpy(rows, "feature"), start, n_features), pools.astype(np.int32))


def _numpy(rows: pa.Table, name: str) -> Array:
    return np.asarray(rows[name].to_numpy())


def _strings(rows: pa.Table, name: str) -> npt.NDArray[np.str_]:
    return np.array(rows[name].to_pylist(), dtype=np.str_)


def _by_feature(feature: Array, start: Int64, n_features: int) -> Int64:
    """From lists by row to lists by feature number: a feature without a row has an empty list."""
    lengths = np.zeros(n_features, np.int64)
    lengths[feature] = np.diff(start)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _dense(positions: tuple[Int64, Array], activations: Array, length: int) -> npt.NDArray[np.float32]:
    """[K, L] from the sparse form; 0 where silent."""
    start, offsets = positions
    dense = np.zeros((len(start) - 1, length), np.float32)
    dense[np.repeat(np.arange(len(start) - 1), np.diff(start)), offsets] = activations
    return dense
