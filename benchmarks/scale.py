"""A store of a million features, written and read: what the last step of a large run costs on one machine.

The rows are made up, the same every time; their shapes are those of a run, but evidence is thin: WINDOWS windows and
EFFECTS logit effects a feature, where a run keeps some hundred (docs/SCALE.md has the rest by formula). They go through
the store's own writer. Then, each in a process of its own:

1. compare: means and the comparison of the two dictionaries, computed from stored scores and sums by document;
2. page: `autointerp compare`, as it is shown; sql: three queries; card: cards of features spread over the store;
3. parquet: tables past one file, cut into files of whole chunks, and queried in place.

    python benchmarks/scale.py                          # 1,000,000 features
    python benchmarks/scale.py --features 20000         # a trial
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from autointerp.pipeline.rows.score_counts import read_counts, with_counts
from autointerp.pipeline.rows.score_reader import ScoreReader
from autointerp.pipeline.stages.compare import abouts_of, comparisons, pairs_about
from autointerp.pipeline.stages.context import columns_of
from autointerp.pipeline.stages.means import mean_rows
from autointerp.records import N_BLOCKS, Float64, Int64
from autointerp.score.metrics import pearson
from autointerp.show.card_data import load_card
from autointerp.show.compare import compare_page
from autointerp.store.columns import csr_list
from autointerp.store.reader import open_reader
from autointerp.store.writer import StoreWriter, Transaction

VOCAB, CONTEXTS, LENGTH, WINDOWS, FIRINGS, EFFECTS, ENTRIES = 5_000, 2_000, 128, 4, 6, 4, 12
CHUNK = 50_000
"""Features a transaction, and a Parquet file."""
NAMES = ("first", "second")
METRICS = ("pearson", "auprc", "f1")
QUERIES = {
    "ten best": "SELECT dictionary, feature, score FROM feature_cards ORDER BY score DESC, feature LIMIT 10",
    "scores by metric": "SELECT dictionary, metric, avg(value) AS mean FROM score_table GROUP BY ALL ORDER BY ALL",
    "labels that say": "SELECT count(*) AS n FROM explanations WHERE text LIKE '%token 123%'",
}
EXPORTED = ("features", "explanations", "scores", "exemplars")


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# --- writing


def write(path: Path, n_features: int) -> dict[str, Any]:
    """The whole store; rows and CPU seconds by table."""
    rows: dict[str, int] = {}
    seconds: dict[str, float] = {}
    making = time.process_time()

    def append(transaction: Transaction, table: str, columns: dict[str, Any]) -> None:
        begun = cpu()
        rows[table] = rows.get(table, 0) + transaction.append(table, columns)
        seconds[table] = seconds.get(table, 0.0) + cpu() - begun

    begun = time.monotonic()
    with StoreWriter.open(path) as store:
        with store.transaction() as transaction:
            write_corpus(partial(append, transaction), n_features // 2)
        for name in NAMES:
            for first in range(0, n_features // 2, CHUNK):
                features = np.arange(first, min(first + CHUNK, n_features // 2))
                with store.transaction() as transaction:
                    write_features(partial(append, transaction), name, features)
        with store.transaction() as transaction:
            for name in NAMES:
                for stage in ("extract", "explain", "score", "means"):
                    transaction.mark_done(stage, f"{stage}-{name}", name, n_features // 2, 0.0, "lexical")
            transaction.mark_done("compare", "compare", None, 3, 0.0, "lexical")
    return {
        "rows": rows,
        "insert_cpu_s": round(sum(seconds.values()), 1),
        "rows_per_cpu_s": round(sum(rows.values()) / sum(seconds.values())),
        "cpu_s": round(time.process_time() - making, 1),
        "wall_s": round(time.monotonic() - begun, 1),
        "megabytes": round(path.stat().st_size / 1e6),
    }


def write_corpus(append: Callable[[str, dict[str, Any]], None], n_features: int) -> None:
    """The run and its works, the subject, the vocabulary, contexts, the two dictionaries."""
    now = datetime(2026, 1, 1)
    append(
        "runs",
        {
            "run": "r",
            "name": "scale",
            "seed": 0,
            "config": '{"tokens": {"window": 32}}',
            "versions": "{}",
            "started_at": now,
        },
    )
    works: list[tuple[str, str | None, str, str]] = [("compare", None, "lexical", "compare")]
    works += [(stage, name, "lexical", f"{stage}-{name}") for stage in ("explain", "score", "means") for name in NAMES]
    append(
        "works",
        {
            "run": "r", "stage": [work[0] for work in works], "dictionary": [work[1] for work in works],
            "explainer": [work[2] for work in works], "scorer": None, "work": [work[3] for work in works],
            "decided_by": "{}",
        },
    )  # fmt: skip
    append(
        "subjects",
        {
            "subject": "none", "revision": None, "processing": "raw", "dtype": "float32", "architecture": "X",
            "n_layers": 1, "d_model": 8, "d_vocab": VOCAB, "n_ctx": LENGTH, "rerandomised": None, "checksum": "0",
        },
    )  # fmt: skip
    token = np.arange(VOCAB)
    append(
        "vocab",
        {
            "token": token, "text": [f" token {t}" for t in token.tolist()], "is_special": token == 0,
            "n_explain": VOCAB - token, "n_select": VOCAB - token, "n_score": VOCAB - token,
        },
    )  # fmt: skip
    context = np.arange(CONTEXTS)
    tokens = (context[:, None] * 7919 + np.arange(LENGTH) * 104_729) % VOCAB
    append(
        "contexts",
        {
            "context": context, "document": context, "document_name": [f"document {c}" for c in context.tolist()],
            "document_hash": [f"{c:08x}" for c in context.tolist()], "document_block": context % N_BLOCKS,
            "split": "explain", "document_offset": np.zeros(CONTEXTS, np.int64), "tokens": tokens,
            "scored": np.ones((CONTEXTS, LENGTH), np.bool_),
        },
    )  # fmt: skip
    for name in NAMES:
        append(
            "dictionaries",
            {
                "dictionary": name, "kind": "sae", "format": None, "source": None, "hook": "blocks.0.hook_resid_post",
                "d_in": 8, "n_features": n_features, "n_selected": n_features, "activation": "relu", "matched_to": None,
                "natural_of": None, "n_units": None, "norm_limit": None, "checksum": "0", "config": "{}",
            },
        )  # fmt: skip


def write_features(append: Callable[[str, dict[str, Any]], None], name: str, features: Int64) -> None:
    """All rows of some features."""
    n = len(features)
    rng = np.random.default_rng([NAMES.index(name), int(features[0])])
    density = 10.0 ** rng.uniform(-5, -2, n)
    n_firing = np.maximum((density * 1e6).astype(np.int64), 20)
    about = {"dictionary": name, "feature": features}
    nothing = dict.fromkeys(
        ("planted_label", "encoder_bias", "decoder_norm", "cos_encoder_decoder", "unit", "matched_feature",
         "match_status", "sign", "mu", "theta")
    )  # fmt: skip
    append(
        "features",
        {
            **about, **nothing, "status": "alive", "density": density, "max_activation": rng.gamma(3, 2, n),
            "n_tokens": 1_000_000, "n_firing": n_firing, "mean": density, "variance": density,
            "token_entropy": rng.uniform(0, 5, n), "single_token_share": rng.random(n),
        },
    )  # fmt: skip
    first_token = rng.integers(1, VOCAB, n)
    lookup = [f"{name}-{feature}" for feature in features.tolist()]
    append(
        "lookups",
        {
            "lookup": lookup, "previous": np.full((n, ENTRIES), -1),
            "tokens": (first_token[:, None] + np.arange(ENTRIES)) % VOCAB,
            "value": rng.random((n, ENTRIES)) + 0.1, "probability": rng.random((n, ENTRIES)) * 0.9 + 0.1,
        },
    )  # fmt: skip
    append(
        "explanations",
        {
            **about, "explainer": "lexical", "text": [f'Fires on " token {t}".' for t in first_token.tolist()],
            "status": "ok", "lookup": lookup, "donor": None, "promotes": None, "triggers": None, "prompt": None,
            "request": None, "model": None, "again": 0, "is_control": False,
            "description_length": 6, "n_entries": ENTRIES, "exemplars_left_out": None,
        },
    )  # fmt: skip
    write_windows(append, name, features, rng)
    sums = block_sums(rng, density)
    n_tokens = sums[..., 0].astype(np.int64)
    above = {"threshold": 0.05, "n_above": n_tokens // 1_000}
    append("feature_blocks", {**about, "n": n_tokens, "t": sums[..., 1], "t2": sums[..., 3], **above})
    counts = rng.integers(0, 50, (n, 33))
    append(
        "score_moments",
        {
            **about, "explainer": "lexical", "scorer": "simulation", "p": sums[..., 2], "p2": sums[..., 4],
            "tp": sums[..., 5], "positives": counts, "negatives": counts[::-1].copy(), "above": counts,
            "below": counts[::-1].copy(),
        },
    )  # fmt: skip
    of_metric = {"pearson": pearson(sums.sum(axis=1)), "auprc": rng.beta(3, 2, n), "f1": rng.beta(3, 2, n)}
    for metric in METRICS:
        append(
            "scores",
            {
                "run": f"score-{name}", **about, "explainer": "lexical", "scorer": "simulation", "metric": metric,
                "design": "census", "value": of_metric[metric], "ci_low": None, "ci_high": None, "n": 300_000,
                "n_failed": 0, "status": "ok",
            },
        )  # fmt: skip


def write_windows(
    append: Callable[[str, dict[str, Any]], None], name: str, features: Int64, rng: np.random.Generator
) -> None:
    """Exemplars and logit effects."""
    n, n_rows = len(features), len(features) * WINDOWS
    start = np.arange(n_rows + 1, dtype=np.int64) * FIRINGS
    activation = rng.gamma(2.0, 1.0, (n_rows, FIRINGS)).astype(np.float32)
    offset = np.sort(rng.integers(0, 32, (n_rows, FIRINGS)), axis=1).astype(np.uint8)
    append(
        "exemplars",
        {
            "dictionary": name, "feature": np.repeat(features, WINDOWS), "split": "explain", "stratum": "top",
            "rank": np.tile(np.arange(WINDOWS), n), "context": rng.integers(0, CONTEXTS, n_rows),
            "window_start": rng.integers(0, LENGTH // 32, n_rows) * 32, "n_tokens": 32, "peak": 5,
            "stratum_low": None, "stratum_high": None, "probability": 1.0,
            "u": rng.random(n_rows), "positions": csr_list(start, offset.ravel()),
            "activations": csr_list(start, activation.ravel()),
        },
    )  # fmt: skip
    append(
        "logit_effects",
        {
            "dictionary": name, "feature": np.repeat(features, EFFECTS), "direction": "promoted",
            "rank": np.tile(np.arange(1, EFFECTS + 1), n), "token": rng.integers(1, VOCAB, n * EFFECTS),
            "effect": np.tile(np.arange(EFFECTS, 0, -1), n) * 1.0, "z": np.tile(np.arange(EFFECTS, 0, -1), n) * 2.0,
        },
    )  # fmt: skip


def block_sums(rng: np.random.Generator, density: Float64) -> Float64:
    """Moments by document block, [n, B, 6], of labels of mixed quality."""
    n = len(density)
    quality = rng.beta(4, 2, n)[:, None]
    firings = rng.poisson(density[:, None] * 1e4, (n, N_BLOCKS)) + (np.arange(N_BLOCKS) == 0)
    t, t2 = 3.0 * firings, 12.0 * firings
    said = np.clip(quality + rng.normal(0, 0.1, (n, N_BLOCKS)), 0, 1)
    return np.stack([np.full_like(t, 1e4), t, t * said, t2, t2 * said, t2 * said * quality], axis=-1)


# --- reading, each in a process of its own


def compute(path: Path) -> dict[str, Any]:
    """Means and comparisons from stored rows, written into the store."""
    with StoreWriter.open(path) as store:
        reader = ScoreReader(store)
        scores = {name: reader.scores(f"score-{name}")["lexical"] for name in NAMES}
        sides = [reader.dictionary_scores(name, "lexical", of) for name, of in scores.items()]
        read = cpu()
        means = [
            row
            for side in sides
            for row in with_counts(
                mean_rows(f"means-{side.dictionary}", side, "lexical", []),
                read_counts(store, f"score-{side.dictionary}"),
            )
        ]
        pairs = [
            {
                "run": "compare",
                "explainer": "lexical",
                "scorer": about[0],
                "metric": about[1],
                "design": about[2],
                **row,
            }
            for about in abouts_of(sides)
            for row in comparisons(pairs_about(sides, about, {}), about, 0.02)
        ]
        computed = cpu()
        with store.transaction() as transaction:
            transaction.append("dictionary_scores", columns_of(means))
            transaction.append("comparisons", columns_of(pairs))
    return {"read_cpu_s": round(read, 1), "compute_cpu_s": round(computed - read, 1)}


def page(path: Path) -> dict[str, Any]:
    """`autointerp compare STORE`, up to the last line of text."""
    from rich.console import Console

    with open_reader(path) as reader:
        begun, wall = cpu(), time.monotonic()
        console = Console(width=100)
        with console.capture() as text:
            console.print(compare_page([(path.stem, reader)]))
        assert "verdict" in text.get()
        return {"cpu_s": round(cpu() - begun, 2), "wall_s": round(time.monotonic() - wall, 2)}


def sql(path: Path) -> dict[str, Any]:
    found = {}
    with open_reader(path) as reader:
        for name, query in QUERIES.items():
            begun = cpu()
            assert len(reader.query(query))
            found[f"{name}, cpu_s"] = round(cpu() - begun, 2)
    return found


def card(path: Path) -> dict[str, Any]:
    """Twenty cards of the second dictionary, after one that opens the file."""
    with open_reader(path) as reader:
        [row] = reader.rows("SELECT max(feature) + 1 AS n FROM features WHERE dictionary = 'second'")
        spent = []
        for feature in np.linspace(0, row["n"] - 1, 21).astype(int).tolist():
            begun = cpu()
            assert load_card(reader, "second", feature).feature == feature
            spent.append(cpu() - begun)
    return {
        "median_cpu_ms": round(1e3 * float(np.median(spent[1:])), 1),
        "largest_cpu_ms": round(1e3 * max(spent[1:]), 1),
    }


def parquet(path: Path) -> dict[str, Any]:
    """Tables as files of CHUNK features each, and a query over all of them in place."""
    folder = Path(f"{path}.parquet")
    folder.mkdir(exist_ok=True)
    begun = cpu()
    with duckdb.connect(str(path), read_only=True) as store:
        store.execute("SET threads = 1; SET memory_limit = '1GB'")
        [(most,)] = store.execute("SELECT max(feature) + 1 FROM features").fetchall()
        for table in EXPORTED:
            for name in NAMES:
                for first in range(0, most, CHUNK):
                    file = folder / f"{table}-{name}-{first}.parquet"
                    rows = store.table(table).filter(
                        f"dictionary = '{name}' AND feature >= {first} AND feature < {first + CHUNK}"
                    )
                    rows.write_parquet(str(file), compression="zstd")
    written = cpu()
    with duckdb.connect() as anywhere:
        anywhere.execute("SET threads = 1")
        found = anywhere.execute(
            "SELECT s.dictionary, avg(s.value), count(*) FROM read_parquet($scores) s JOIN read_parquet($features) f "
            "USING (dictionary, feature) WHERE s.metric = 'pearson' AND f.density < 1e-4 GROUP BY ALL",
            {"scores": str(folder / "scores-*.parquet"), "features": str(folder / "features-*.parquet")},
        ).fetchall()
    assert len(found) == 2
    queried = cpu()
    with duckdb.connect() as anywhere:
        anywhere.execute("SET threads = 1")
        sought = "SELECT * FROM read_parquet($files) WHERE dictionary = 'second' AND feature = $feature"
        anywhere.execute(sought, {"files": str(folder / "exemplars-*.parquet"), "feature": most - 1})
        assert len(anywhere.fetchall()) == WINDOWS
    files = list(folder.iterdir())
    return {
        "write_cpu_s": round(written - begun, 1),
        "files": len(files),
        "megabytes": round(sum(file.stat().st_size for file in files) / 1e6),
        "join_cpu_s": round(queried - written, 2),
        "windows_of_a_feature_cpu_s": round(cpu() - queried, 2),
    }


PHASES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "compare": compute,
    "page": page,
    "sql": sql,
    "card": card,
    "parquet": parquet,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--features", type=int, default=1_000_000)
    parser.add_argument("--store", type=Path, help="where the store is written and kept; default: a temporary folder")
    parser.add_argument("--phase", choices=["write", *PHASES], help="one step only, on --store")
    arguments = parser.parse_args()
    if arguments.phase is not None:
        if arguments.store is None:
            parser.error("--phase needs --store")
        loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if arguments.phase == "write":
            found = write(arguments.store, arguments.features)
        else:
            found = PHASES[arguments.phase](arguments.store)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps(found | {"peak_mb_above_start": round((peak - loaded) / 1024)}))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.store or Path(folder) / "scale.duckdb"
        for phase in ("write", *PHASES):
            command = [sys.executable, __file__, "--store", str(path), "--phase", phase]
            command += ["--features", str(arguments.features)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603 - this very file
            print(phase, done.stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
