"""What extraction costs above its floor: CPU seconds on one core, memory, store.

The subject is a 4-layer GPT-2 of width 256 with random weights, the hook is after its third layer, the
tokens follow Zipf's law. Each setting runs in a process of its own:

1. Pass 1 over all tokens, as `autointerp run` does it. Between its batches, in the same process and on
   the same contexts, the *floor* is run and taken off: the bare forward pass to the hook, the encoder
   and the top-k (ReLU), nothing kept, each at the batch size that was fastest in a trial beforehand.
   So both see the same state of the machine.
2. The rows of everything found are made and written to a store.
3. Memory: the largest resident size so far, above that with model and dictionary loaded.
4. Pass 2: the census of the score split, with the embedded explainers. Pass 0: the baselines' sample.
   Diagnostics: what needs all pairs of features, and of features and neurons, on a sample of tokens.
5. Cards are read from the store.

With --memory, each setting at N and at 10 N tokens (--once: at N only): the peak up to pass 1 and its rows, and that
with the explanations and the census. What grows with the corpus shows. The floor is left out.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

WIDTH, VOCAB, CONTEXT, K, L0 = 256, 5_000, 128, 32, 500
HOOK = "blocks.2.hook_resid_post"
TURN = 1 << 15
"""Tokens after which pass 1 and the floor take turns."""
SETTINGS = {
    "topk-8192": ("topk", 8_192),
    "topk-65536": ("topk", 65_536),
    "relu-8192": ("standard", 8_192),
}
COLUMNS = {
    "setting": "setting",
    "tokens": "tokens",
    "l0": "L0",
    "floor": "floor s",
    "pass1": "pass 1 s",
    "rows": "rows and store s",
    "ratio_pass1": "pass 1 / floor",
    "ratio": "with rows and store",
    "pass0": "pass 0 s (tokens)",
    "pass2": "pass 2 s (tokens)",
    "diagnostics": "diagnostics s (tokens)",
    "memory": "peak MB above loaded",
    "store": "store MB",
    "windows": "windows",
    "insert": "windows inserted / s",
    "card": "card ms, median (largest)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="What extraction costs above its floor.")
    parser.add_argument("--tokens", type=int, default=None, help="tokens of each setting (default: 65,536)")
    parser.add_argument("--only", choices=SETTINGS, action="append", help="only this setting; may be repeated")
    parser.add_argument("--architecture", choices=("topk", "standard"), help="a setting of your own: with --width")
    parser.add_argument("--width", type=int, default=8_192)
    parser.add_argument("--quick", action="store_true", help="16,384 tokens a setting")
    parser.add_argument("--profile", action="store_true", help="print where pass 1 and the rows spend their time")
    parser.add_argument(
        "--memory", action="store_true", help="only the memory, at this many tokens and at ten times as many"
    )
    parser.add_argument("--once", action="store_true", help="with --memory: only at this many tokens")
    parser.add_argument("--stop-at-rows", action="store_true", help="pass 1 and its rows only: no census, no cards")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    tokens = given.tokens or (1 << 14 if given.quick else 1 << 16)
    if given.child:
        print(
            json.dumps(
                measure(given.architecture, given.width, tokens, given.profile, given.memory, given.stop_at_rows)
            )
        )
        return
    settings = {name: SETTINGS[name] for name in given.only or SETTINGS}
    if given.architecture:
        settings = {f"{given.architecture}-{given.width}": (given.architecture, given.width)}
    if given.memory:
        columns = ("setting", *(("tokens", "pass 1 and rows, peak MB above loaded", "with census") * (2 - given.once)))
        print("| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns), sep="\n", flush=True)
    else:
        print("| " + " | ".join(COLUMNS.values()) + " |", "|" + " --- |" * len(COLUMNS), sep="\n", flush=True)
    for name, (architecture, width) in settings.items():
        options = ["--architecture", architecture, "--width", str(width)]
        if given.memory:
            sizes = (tokens,) if given.once else (tokens, 10 * tokens)
            rows = [child(__file__, *options, "--memory", "--tokens", str(n))[1] for n in sizes]
            cells = [name, *(row[column] for row in rows for column in ("tokens", "memory", "with census"))]
        else:
            more = ["--profile"] * given.profile + ["--stop-at-rows"] * given.stop_at_rows
            said, row = child(__file__, *options, "--tokens", str(tokens), *more)
            if given.profile:
                print(*said, sep="\n")
            cells = [name, *(row.get(column, "-") for column in COLUMNS if column != "setting")]
        print("| " + " | ".join(cells) + " |", flush=True)


def child(script: str, *options: str) -> tuple[list[str], dict[str, Any]]:
    """The script in a process of its own, on one thread: the lines it printed, and the last of them read."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, script, "--child", *options]
    done = subprocess.run(  # noqa: S603 - ourselves
        command, env=os.environ | threads, stdout=subprocess.PIPE, text=True, check=True
    )
    *said, last = done.stdout.strip().splitlines()
    return said, json.loads(last)


def cpu(action: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds, and what it returned."""
    begun = time.process_time()
    result = action()
    return time.process_time() - begun, result


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measure(
    architecture: str,
    width: int,
    n_tokens: int,
    profile: bool = False,
    only_memory: bool = False,
    stop_at_rows: bool = False,
) -> dict[str, Any]:
    """One setting: the row of the table, or its tokens and memory."""
    import cProfile
    import pstats

    import numpy as np
    import torch

    from autointerp.extract.engines.whole import KeptPerFeature, summarise
    from autointerp.extract.selected import Selected
    from autointerp.records import SPLITS
    from autointerp.show.card_data import load_card
    from autointerp.store.reader import open_reader
    from autointerp.subject.baselines import sample_contexts, take_sample

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        subject, tokens = make_subject(Path(folder), n_tokens)
        dictionary = make_dictionary(subject, tokens, architecture, width)
        chosen = Selected(dictionary, np.arange(width))
        floor = None if only_memory else Floor(subject, dictionary, tokens)
        summarise(
            subject,
            tokens,
            {"sae": chosen},
            np.arange(min(32, tokens.n_contexts)),
            seed=0,
            kept=KeptPerFeature(top=2, score_windows=2),
            progress=lambda _: None,
        )
        gc.collect()
        loaded = resident_mb()

        profiler = cProfile.Profile(time.process_time) if profile else None
        if profiler:
            profiler.enable()
        owe = (lambda _: None) if floor is None else floor.owe
        both, work = cpu(lambda: pass_rounds(subject, tokens, chosen, owe, Path(folder)))
        print(f"memory after pass 1: {resident_mb() - loaded:.0f} MB, peak {peak_mb() - loaded:.0f} MB")

        path = Path(folder) / "bench.store"
        finished = (summary for summaries in work.finished() for summary in summaries.values())
        rows, inserts = cpu(lambda: write_rows(path, subject, tokens, chosen, finished))
        del work, finished
        peak = peak_mb()
        if profiler:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(45)
        n_all = sum(tokens.facts(split)["n_tokens"] for split in SPLITS)
        if floor is None:
            census(path, subject, tokens, chosen)
            return {
                "tokens": f"{n_all:,}",
                "memory": f"{peak - loaded:.0f}",
                "with census": f"{peak_mb() - loaded:.0f}",
            }
        floor.pay()
        floor_seconds, pass1 = floor.seconds, both - floor.during
        store_mb = path.stat().st_size / 1e6
        with open_reader(path) as store:
            [counted] = store.rows("SELECT sum(n_firing)::BIGINT AS n FROM feature_splits")
        found = {
            "tokens": f"{n_all:,}",
            "l0": f"{counted['n'] / n_all:.0f}",
            "floor": f"{floor_seconds:.1f}",
            "pass1": f"{pass1:.1f}",
            "rows": f"{rows:.1f}",
            "ratio_pass1": f"{pass1 / floor_seconds:.2f}",
            "ratio": f"{(pass1 + rows) / floor_seconds:.2f}",
            "memory": f"{peak - loaded:.0f}",
            "store": f"{store_mb:.0f}",
            "windows": f"{inserts.n_windows:,}",
            "insert": f"{inserts.n_windows / inserts.seconds:,.0f}",
        }
        if stop_at_rows:
            return found
        pass2, n_score = census(path, subject, tokens, chosen)
        diagnostics, n_diagnostic = diagnose(path, subject, tokens, chosen)
        pass0, _ = cpu(lambda: take_sample(subject, tokens, [HOOK], 0, Path(folder)))
        n_sample = int(tokens.scored(sample_contexts(tokens, 0)).sum())

        cards = []
        with open_reader(path) as store:
            for feature in np.linspace(0, width - 1, 51).astype(int).tolist():
                begun = time.perf_counter()
                load_card(store, "sae", feature)
                cards.append(1000 * (time.perf_counter() - begun))
        return found | {
            "pass0": f"{pass0:.1f} ({n_sample:,})",
            "pass2": f"{pass2:.1f} ({n_score:,})",
            "diagnostics": f"{diagnostics:.1f} ({n_diagnostic:,})",
            "card": f"{np.median(cards):.1f} ({max(cards):.1f})",
        }


def pass_one(subject: Any, tokens: Any, chosen: Any) -> Any:
    """Pass 1 over all tokens, with the evidence that a run keeps by default: the dictionary's summary."""
    [summary] = pass_rounds(subject, tokens, chosen, lambda _: None, tokens.folder).summaries.values()
    return summary


def pass_rounds(subject: Any, tokens: Any, chosen: Any, progress: Callable[[int], None], folder: Path) -> Any:
    """The same, features that are not summarised during the pass left for later rounds, as in a run."""
    import torch

    from autointerp.config.engine import EngineSection
    from autointerp.config.evidence import EvidenceSection
    from autointerp.extract.engines.pass_one import PassOne
    from autointerp.extract.engines.shards import cut_rounds, cut_shards
    from autointerp.extract.selected import on_device
    from autointerp.extract.summary.summary import SummaryPlan
    from autointerp.subject.activations import INNER
    from autointerp.subject.outliers import norm_limit_of, norms

    evidence, width = EvidenceSection(), chosen.dictionary.n_features
    ids = torch.from_numpy(tokens.tokens[:8].astype("int64"))
    first = subject.activations(ids, [HOOK])[HOOK].view(-1, WIDTH)
    plan = SummaryPlan(
        width,
        subject.d_vocab,
        0,
        evidence.top,
        evidence.score_windows,
        evidence.random,
        evidence.select_windows,
        tokens.window,
        evidence.left_of(tokens.window),
        norm_limit=norm_limit_of(norms(first)),
        outlier=evidence.outlier,
    )
    rounds = cut_rounds({"sae": width}, EngineSection().features_at_once)
    shards = cut_shards(tokens.n_contexts, tokens.context_length)
    placed = on_device({"sae": chosen}, subject.device)
    work = PassOne(subject, tokens, placed, {"sae": plan}, shards, rounds, folder)
    for n in work.run(INNER):
        progress(n)
    return work


def write_rows(path: Path, subject: Any, tokens: Any, chosen: Any, summaries: Iterable[Any]) -> Inserts:
    """Makes the rows of what pass 1 found and writes them to a new store."""
    from autointerp.config.evidence import EvidenceSection
    from autointerp.pipeline.rows import evidence_rows as extract_stage
    from autointerp.store.writer import StoreWriter, Transaction

    inserts = Inserts()
    with StoreWriter.open(path) as store:
        with store.transaction() as transaction:
            inserts.transaction = transaction
            inserts.append("vocab", extract_stage.vocab_rows(subject, tokens))
            inserts.append("token_splits", extract_stage.split_rows(tokens))
            inserts.append("runs", run_row(tokens))
            contexts: set[int] = set()
            for rows, seen in extract_stage.pool_rows(tokens, 0):
                inserts.append("pool", rows)
                contexts |= seen
            inserts.append("dictionaries", extract_stage.dictionary_row("sae", chosen))
            for summary in summaries:
                contexts |= extract_stage.write_dictionary(
                    cast("Transaction", inserts), "sae", chosen, summary, tokens, EvidenceSection()
                )[1]
                del summary
            inserts.append("contexts", extract_stage.context_rows(tokens, contexts))
            begun = time.process_time()
        inserts.finish(begun)
        begun = time.process_time()
    inserts.finish(begun)
    return inserts


class Inserts:
    """A transaction that takes the time of what is appended."""

    transaction: Any
    seconds = 0.0
    n_windows = 0

    def append(self, table: str, columns: Any) -> int:
        begun = time.process_time()
        n: int = self.transaction.append(table, columns)
        self.finish(begun)
        self.n_windows += n if table == "exemplars" else 0
        return n

    def in_bulk(self) -> None:
        self.transaction.in_bulk()

    def finish(self, begun: float) -> None:
        self.seconds += time.process_time() - begun


class Floor:
    """The bare work: forward pass to the hook, encoder, top-k. Nothing is kept."""

    def __init__(self, subject: Any, dictionary: Any, tokens: Any) -> None:
        self.subject, self.dictionary, self.tokens = subject, dictionary, tokens
        self.seconds = self.during = 0.0
        self._next, self._owed = 0, 0
        self.n, self.portion = 8, 512
        _, self.n = min((self._trial(n, self.portion), n) for n in (4, 8, 16, 32))
        _, self.portion = min((self._trial(self.n, portion), portion) for portion in (64, 128, 256, 512, 1024))
        print(f"floor: {self.n} contexts in a forward pass, {self.portion} rows in an encoding")

    def _trial(self, n: int, portion: int) -> float:
        return min(cpu(lambda: self._run(0, 32, n, portion))[0] for _ in range(2))

    def owe(self, added: int) -> None:
        """Runs the floor on the contexts that pass 1 has had since the last time."""
        self._owed += added
        if self._owed >= TURN:
            begun = time.process_time()
            self.pay()
            self.during += time.process_time() - begun

    def pay(self) -> None:
        last = min(self._next + -(-self._owed // CONTEXT), self.tokens.n_contexts)
        if last > self._next:
            self.seconds += cpu(lambda: self._run(self._next, last, self.n, self.portion))[0]
        self._next, self._owed = last, 0

    def _run(self, first: int, last: int, n: int, portion: int) -> None:
        import torch

        sae = self.dictionary
        with torch.inference_mode():
            for i in range(first, last, n):
                ids = torch.from_numpy(self.tokens.tokens[i : min(i + n, last)].astype("int64"))
                x = self.subject.activations(ids, [HOOK])[HOOK].view(-1, WIDTH)
                for j in range(0, len(x), portion):
                    pre = torch.addmm(sae.b_enc, x[j : j + portion] - sae.b_dec, sae.W_enc)
                    if sae.architecture == "topk":
                        pre.topk(sae.k, dim=1, sorted=False)
                    else:
                        pre.relu_()


def make_subject(folder: Path, n_tokens: int) -> tuple[Any, Any]:
    """The subject and its tokens."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import numpy as np
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from autointerp.subject.loading import load_subject
    from autointerp.subject.tokenise import TokenPlan, open_tokens

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCAB, n_embd=WIDTH, n_layer=4, n_head=4, n_positions=CONTEXT, bos_token_id=0, eos_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(folder / "model")
    subject = load_subject(str(folder / "model"), None, "raw", "float32", "cpu")
    weight = 1 / np.arange(1, VOCAB)
    shape = (n_tokens // CONTEXT, CONTEXT)
    ids = np.random.default_rng(0).choice(np.arange(1, VOCAB), size=shape, p=weight / weight.sum())
    np.save(folder / "tokens.npy", ids.astype(np.int32))
    plan = TokenPlan(
        f"npy:{folder / 'tokens.npy'}", CONTEXT, None, False, None, subject.special, VOCAB, 32, (0.5, 0.2, 0.3), ""
    )
    return subject, open_tokens(folder / "work", plan, None, lambda _: None)


def make_dictionary(subject: Any, tokens: Any, architecture: str, width: int) -> Any:
    """Random directions around the activations' mean; a ReLU's bias lets L0 of them fire on a token."""
    import torch

    from autointerp.subject.dictionary import SparseAutoencoder

    ids = torch.from_numpy(tokens.tokens[:16].astype("int64"))
    x = subject.activations(ids, [HOOK])[HOOK].view(-1, WIDTH)
    mean = x.mean(dim=0)
    encoder = torch.randn(WIDTH, width, generator=torch.Generator().manual_seed(0)) / 16
    bias = torch.zeros(width)
    if architecture == "standard":
        pre = ((x[:512] - mean) @ encoder).flatten()
        bias -= pre.topk(int(512 * L0)).values[-1]
    return SparseAutoencoder(
        hook=HOOK,
        architecture=architecture,
        W_enc=encoder,
        b_enc=bias,
        W_dec=encoder.T.contiguous(),
        b_dec=mean,
        k=K if architecture == "topk" else None,
    )


def run_row(tokens: Any) -> dict[str, Any]:
    from datetime import UTC, datetime

    return {
        "run": ["bench"],
        "name": ["bench"],
        "seed": [0],
        "versions": ["{}"],
        "config": [json.dumps({"tokens": {"window": tokens.window, "context_length": CONTEXT}})],
        "started_at": [datetime.now(UTC).replace(tzinfo=None)],
    }


def census(path: Path, subject: Any, tokens: Any, chosen: Any) -> tuple[float, int]:
    """Pass 2 for the embedded explainers and the controls: CPU seconds and tokens."""
    from autointerp.explain.embedded import EMBEDDED, controls_of
    from autointerp.memory import give_back
    from autointerp.pipeline.rows.explanation_rows import stored_lookups, write_explanations
    from autointerp.pipeline.stages.census import run_census
    from autointerp.pipeline.stages.explain import evidence_tables
    from autointerp.store.writer import StoreWriter
    from autointerp.words import CONTROLS, explainers_written

    def explain(store: StoreWriter) -> None:
        """As the stage does it: one explainer after the other, nothing held afterwards."""
        tables, lookups = evidence_tables(store, "sae", 0), stored_lookups(store)
        with store.transaction() as transaction:
            for explainer in EMBEDDED.values():
                write_explanations(transaction, "sae", [explainer(tables)], lookups)
            write_explanations(transaction, "sae", controls_of(tables), lookups)

    with StoreWriter.open(path) as store:
        explain(store)
        give_back()  # as the stage does when its tables are gone
        explainers = {"sae": [*EMBEDDED, *explainers_written(CONTROLS)]}
        seconds, _ = cpu(
            lambda: dict(
                run_census(store, subject, tokens, {"sae": chosen}, explainers, 0.05, lambda _: None, batch_size=32)
            )
        )
    return seconds, tokens.facts("score")["n_tokens"]


def diagnose(path: Path, subject: Any, tokens: Any, chosen: Any) -> tuple[float, int]:
    """Neurons, tokens alone, nearest features and their rows: CPU seconds and tokens of the sample."""
    from autointerp.extract.diagnose.sample import take_diagnostic_sample
    from autointerp.pipeline.rows.diagnostic_rows import diagnose_dictionary, write_diagnostics
    from autointerp.store.writer import StoreWriter

    def work() -> int:
        sample = take_diagnostic_sample(subject, tokens, [HOOK], 0, path.parent, lambda _: None)
        found, start = diagnose_dictionary(store, "sae", chosen, sample, subject, lambda _: None)
        with store.transaction() as transaction:
            write_diagnostics(store, transaction, "sae", chosen.features, found, start)
        return len(sample.token)

    with StoreWriter.open(path) as store:
        return cpu(work)


if __name__ == "__main__":
    main()
