"""Which labels predict better? Several labels of the same features, simulated on the same few windows.

    autointerp sql RUN.duckdb "select explainer, feature, text, triggers from current_explanations
        where dictionary = 'sae' and status = 'ok'" --format json > labels.json
    python benchmarks/labels.py ask RUN.duckdb sae labels.json questions.jsonl
    python benchmarks/labels.py score RUN.duckdb sae labels.json answers.jsonl
    python benchmarks/labels.py lexicons RUN.duckdb sae labels.json

1. `labels.json` is a list of objects with the keys explainer, feature, text, triggers. It may be put together from
   several stores, say of two versions of a prompt. Only features that every explainer has labelled count.
2. Of each feature --windows windows of the score split are drawn as `simulation` draws its 60 (`score/sampling.py`).
   The triggers of all labels and the table `context_lookup` choose class E together: all labels have the same windows.
3. `questions.jsonl` has a line for each label of each feature, in an order that keeps labels of one feature apart: id
   (a hash that does not say whose label it is), system, prompt. Answer each from its text alone, and write a line with
   id and reply: `{"id": "...", "reply": {"fires": [...]}}`.
4. `score` prints the framed Pearson of each explainer, the difference of each pair with its 95 % interval over features
   (Student's t), and how long the labels are. Beside them stands what the strengths of a lexicon predict by themselves,
   each token looked up, and the table `context_lookup`. `lexicons` prints these two alone: nobody is asked, and what a
   label says beside its lexicon does not count. For drafts of one explainer, `labels.json` comes from table `drafts`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from autointerp.explain.context_lookup import context_lookup
from autointerp.explain.lookup import Entries, entries_of
from autointerp.explain.marking import unescape
from autointerp.explain.triggers import either, entries_of_triggers, tokens_by_text
from autointerp.hashing import content_hash, hash64, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline.asking.test_material import Corpus, read_material
from autointerp.records import ANY_TOKEN
from autointerp.score.measures import simulated_framed
from autointerp.score.predictions import Drawn, Simulated
from autointerp.score.sampled import draw_windows, simulate
from autointerp.score.sampling import QUOTAS_60
from autointerp.score.scorers.protocol import TestFeature
from autointerp.score.scorers.simulators.choose import simulator_named
from autointerp.score.scorers.simulators.common import calibrate, spread
from autointerp.store.evidence import read_gram_tables, read_vocab
from autointerp.store.query import Queryable
from autointerp.store.reader import open_reader
from autointerp.subject.tokens import TokenFile

SEED = 0
CONTEXT = 8
"""Tokens shown in front of a window."""
Labels = dict[str, dict[int, dict[str, Any]]]
"""Explainer -> feature -> its label."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Several labels of the same features on the same windows.")
    parser.add_argument("what", choices=("ask", "score", "lexicons"))
    parser.add_argument("store", type=Path)
    parser.add_argument("dictionary")
    parser.add_argument("labels", type=Path)
    parser.add_argument("file", type=Path, nargs="?", help="questions to write, or answers to read")
    parser.add_argument("--windows", type=int, default=60, help="windows a feature (default: 60)")
    given = parser.parse_args()
    if (given.file is None) != (given.what == "lexicons"):
        parser.error("ask and score need a file of questions or answers, lexicons takes none")
    labels = read_labels(given.labels)
    with open_reader(given.store) as store:
        cases = list(each_case(store, given.store, given.dictionary, labels, given.windows))
    if given.what == "ask":
        write_questions(cases, labels, given.file)
    else:
        report(cases, labels, given.file and read_replies(given.file))


def read_labels(path: Path) -> Labels:
    """Those of the features that every explainer has labelled."""
    found: Labels = defaultdict(dict)
    for row in json.loads(path.read_text(encoding="utf-8")):
        found[row["explainer"]][int(row["feature"])] = row
    shared = set.intersection(*(set(rows) for rows in found.values()))
    return {name: {feature: rows[feature] for feature in sorted(shared)} for name, rows in found.items()}


class Case:
    """One feature: its windows, and what is asked about each label."""

    def __init__(self, feature: TestFeature, drawn: Drawn, table: Entries, vocab: Sequence[str]) -> None:
        self.feature, self.drawn, self.table, self.vocab = feature, drawn, table, vocab
        key = stream_key(SEED, "order", "simulation")
        order = np.argsort(hash64(key, feature.feature, drawn.windows.window), kind="stable")
        self.drawn = replace(
            drawn,
            windows=replace(drawn.windows, **{name: getattr(drawn.windows, name)[order] for name in WINDOW_COLUMNS}),
            truth=drawn.truth[order],
            classes=drawn.classes[order],
        )
        self.texts = feature.corpus.show(self.drawn.windows, CONTEXT)
        self._simulator = simulator_named("sparse", 0, len(self.texts))

    def ask(self, text: str) -> Ask:
        [ask] = self._simulator.asks(text, self.texts)
        return ask

    def read(self, text: str, reply: Any) -> Simulated:
        ask = self.ask(text)
        assert ask.parse is not None
        answer = Answer(ask, "", "ok", text=json.dumps(reply), data=ask.parse(reply))
        steps = np.zeros(self.drawn.truth.shape, dtype=np.float32)
        for row, values in enumerate(self._simulator.read([answer], self.texts)):
            steps[row, : len(self.texts[row].tokens)] = spread(values, self.texts[row])
        return Simulated(self.drawn, calibrate(steps, self.feature.maximum), ("ok",) * len(self.texts))

    def of_lexicon(self, text: str) -> Simulated:
        """What the lexicon in a label predicts by itself: the strength of each token that it lists, as it is cut."""
        by_text = {token: number for number, token in enumerate(self.vocab)}
        strengths: dict[tuple[int, int], float] = {}
        for token, previous, strength in entries_said(text):
            if token in by_text and (not previous or previous in by_text):
                strengths[by_text[previous] if previous else ANY_TOKEN, by_text[token]] = strength
        before, tokens = np.array(list(strengths), dtype=np.int32).reshape(-1, 2).T
        value = np.array(list(strengths.values()), dtype=np.float32)
        return simulate(self.drawn, Entries(before, tokens, value, np.ones(len(tokens), np.float32)))


QUOTED = r"(?:`[^`]+`|\"[^\"]+\")"
ENTRY = rf"{QUOTED}(?: after {QUOTED})?"


def entries_said(text: str) -> Iterator[tuple[str, str, float]]:
    """The lexicon in a label: token, the token that must stand before it or nothing, strength."""
    listed = text.rpartition("Tokens by strength: ")[2]
    for strength, entries in re.findall(rf"(\d+): ({ENTRY}(?:, {ENTRY})*)", listed):
        for entry in re.findall(ENTRY, entries):
            token, *after = (unescape(quoted[1:-1]) for quoted in re.findall(QUOTED, entry))
            yield token, "".join(after), float(strength)


WINDOW_COLUMNS = ("window", "context", "block", "tokens", "previous", "scored")


def each_case(store: Queryable, path: Path, dictionary: str, labels: Labels, n_windows: int) -> Iterator[Case]:
    [folder] = {file.parent for file in Path(f"{path}.work").glob("*/tokens.bin")}
    corpus = Corpus(store, TokenFile(folder), SEED)
    features = np.array(sorted(next(iter(labels.values()))), dtype=np.int64)
    material = read_material(store, corpus, dictionary, features)
    table, vocab = context_lookup(*read_gram_tables(store, dictionary)), read_vocab(store)
    by_text = tokens_by_text(vocab)
    for number, feature in material.ready.items():
        own = entries_of(table, number)
        claimed = own
        for rows in labels.values():
            claimed = either(claimed, entries_of_triggers(rows[number]["triggers"] or (), by_text))
        yield Case(feature, draw_windows(feature.candidates, claimed, quotas_of(n_windows)), own, vocab)


def quotas_of(n_windows: int) -> tuple[int, ...]:
    """The quotas of 60 windows, scaled down; one of each class at least."""
    wanted = np.array(QUOTAS_60) * n_windows / sum(QUOTAS_60)
    quotas = np.maximum(1, np.floor(wanted)).astype(int)
    while quotas.sum() < n_windows:
        quotas[int(np.argmax(wanted - quotas))] += 1
    return tuple(quotas.tolist())


def identity(explainer: str, feature: int) -> str:
    return content_hash([explainer, feature], tag="label")[:10]


def write_questions(cases: Sequence[Case], labels: Labels, path: Path) -> None:
    lines = []
    for (name, rows), case in itertools.product(labels.items(), cases):
        ask = case.ask(rows[case.feature.feature]["text"])
        lines.append({"id": identity(name, case.feature.feature), "system": ask.system, "prompt": ask.prompt})
    lines.sort(key=lambda line: line["id"])
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print(f"{len(lines)} questions about {len(cases)} features, {len(cases[0].texts)} windows each")


def read_replies(path: Path) -> dict[str, Any]:
    """By the id of the question."""
    return {line["id"]: line["reply"] for line in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


def report(cases: Sequence[Case], labels: Labels, replies: dict[str, Any] | None) -> None:
    """`replies`: of a judge; None where only lexicons are looked up."""
    answered = [
        case
        for case in cases
        if replies is None or all(identity(name, case.feature.feature) in replies for name in labels)
    ]
    columns: dict[str, list[Simulated]] = defaultdict(list)
    for case in answered:
        number = case.feature.feature
        for name, rows in labels.items():
            if replies is not None:
                columns[name].append(case.read(rows[number]["text"], replies[identity(name, number)]))
            if replies is None or "Tokens by strength: " in rows[number]["text"]:
                columns[f"{name}, lexicon looked up"].append(case.of_lexicon(rows[number]["text"]))
        columns["the table context_lookup"].append(simulate(case.drawn, case.table))
    value = {name: np.array([one.value or 0.0 for one in simulated_framed(some)]) for name, some in columns.items()}
    print(f"{len(answered)} of {len(cases)} features answered, {len(answered[0].texts)} windows each")
    for name, scores in value.items():
        length = (
            [len(rows[case.feature.feature]["text"]) for case in answered]
            if (rows := labels.get(name.removesuffix(", lexicon looked up"), {}))
            else []
        )
        said = f"   {np.mean(length):.0f} characters" if length else ""
        print(f"{name:40s} {scores.mean():.3f}   median {np.median(scores):.3f}{said}")
    for first, second in itertools.combinations(value, 2):
        if len(value[first]) == len(value[second]):
            difference = value[second] - value[first]
            half = stats.t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / len(difference) ** 0.5
            low, high = difference.mean() - half, difference.mean() + half
            print(f"{second} - {first}: {difference.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
    for i, case in enumerate(answered):
        print(case.feature.feature, *(f"{scores[i]:.3f}" for scores in value.values() if len(scores) == len(answered)))


if __name__ == "__main__":
    main()
