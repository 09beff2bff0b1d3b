"""What planted features are tested on: the same records that a run makes of a dictionary's features.

The kept windows, the shared pool and the census's sums are drawn and counted as extraction does it, with the sizes that
a run file has by default. All of the text counts as the score split: nothing is learnt from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from autointerp.config.evidence import EvidenceSection
from autointerp.explain.lookup import EMPTY, Entries, from_lists
from autointerp.hashing import hash01, stream_key
from autointerp.records import EventBatch, FeatureWindows, Float32, Int64, Windows
from autointerp.score.census_sums import CensusAccumulator, Counted, counted
from autointerp.score.pool import Pool
from autointerp.score.sampled import (
    Answered,
    Candidates,
    PublishedWindows,
    answer,
    candidates,
    look_up,
    published_windows,
)
from autointerp.score.sampling import firing_limits
from autointerp.score.scorers.prompt_windows import ShownWindow
from autointerp.score.scorers.protocol import TestCorpus, TestFeature
from autointerp.score.scorers.silent_windows import Silent, token_traits
from autointerp.score.scorers.vocabulary import Vocabulary
from autointerp.score.selftest.line_contexts import LINE_CONTEXTS
from autointerp.score.selftest.planted import PlantedFeature, RuleLabel, concatenated
from autointerp.score.selftest.text import SelftestText

POOL_WINDOWS = 20_000
"""Windows of the shared pool at most, as extraction keeps them of the score split."""
TOP_TOKENS = 20
DICTIONARY = "planted"


class SelftestMaterial:
    """One text with planted features, as scorers and metrics see them. `end` stands behind each token that is shown."""

    def __init__(self, text: SelftestText, seed: int, end: str) -> None:
        self.text, self.seed = text, seed
        numbers = text.scored_windows
        chosen = numbers[np.argsort(hash01(stream_key(seed, "pool"), numbers), kind="stable")[:POOL_WINDOWS]]
        self.pool = Pool(text.windows(np.sort(chosen)))
        plain = Vocabulary(text.texts, text.counts > 0)
        traits = token_traits(text.texts)
        self.corpus = TestCorpus(
            plain.with_texts([f"{token}{end}" for token in text.texts]),
            traits,
            Silent(self.pool.windows, traits),
            seed,
            self._show,
        )
        self._counts = {name: text.block_counts(name) for name in (None, *LINE_CONTEXTS)}

    def feature(self, planted: PlantedFeature) -> TestFeature:
        """As scorers see it."""
        candidates = self._candidates(planted)
        return TestFeature(
            DICTIONARY, planted.number, planted.maximum, candidates, planted.effects["direct"], self.corpus
        )

    # --- the sample

    def _candidates(self, planted: PlantedFeature) -> Candidates:
        text, kept = self.text, EvidenceSection()
        window, first = np.unique(text.window_of(planted.place), return_index=True)
        maximum = np.maximum.reduceat(planted.value, first)
        u = hash01(stream_key(self.seed, "window"), planted.number, window)
        by_height = np.argsort(-maximum, kind="stable")
        top, rest = by_height[: kept.top], by_height[kept.top :]
        rows = np.concatenate([top, rest[np.argsort(u[rest], kind="stable")][: kept.score_windows]])
        firing = FeatureWindows(
            feature=planted.number,
            n_windows=len(text.scored_windows),
            n_firing_windows=len(window),
            window=window[rows],
            stratum=np.array(["T"] * len(top) + ["F"] * (len(rows) - len(top))),
            maximum=maximum[rows],
            u=u[rows],
            truth=self._truth(planted, window[rows]),
        )
        token = text.tokens.reshape(-1)[planted.place]
        mass = np.bincount(token, planted.value, minlength=text.n_vocabulary)
        heavy = np.argsort(-mass, kind="stable")[: min(TOP_TOKENS, int((mass > 0).sum()))]
        return candidates(
            firing,
            text.windows(firing.window),
            self.pool,
            np.flatnonzero(np.isin(self.pool.windows.window, window)),
            firing_limits(maximum),
            heavy.astype(np.int32),
            self.seed,
        )

    def _truth(self, planted: PlantedFeature, windows: Int64) -> Float32:
        row = {window: i for i, window in enumerate(windows.tolist())}
        number = self.text.window_of(planted.place)
        offset = planted.place % self.text.tokens.shape[1] % self.text.window
        truth = np.zeros((len(windows), self.text.window), dtype=np.float32)
        mine = np.flatnonzero(np.isin(number, windows))
        truth[[row[window] for window in number[mine].tolist()], offset[mine]] = planted.value[mine]
        return truth

    def _show(self, windows: Windows, n_before: int) -> list[ShownWindow]:
        texts, shown = self.corpus.vocabulary.texts, []
        for row, number in enumerate(windows.window.tolist()):
            inside = windows.scored[row].nonzero()[0]
            last = int(inside[-1]) + 1 if len(inside) else 0
            shown.append(
                ShownWindow(
                    tuple(texts[token] for token in windows.tokens[row, :last].tolist()),
                    tuple(windows.scored[row, :last].tolist()),
                    tuple(texts[token] for token in self.text.before(number, n_before)),
                )
            )
        return shown

    # --- the published protocols

    def published(self, planted: PlantedFeature, feature: TestFeature) -> PublishedWindows:
        """The windows that they choose."""
        density = len(planted.place) / float(self.text.scored.sum())
        return published_windows(feature.candidates, feature.maximum, density)

    def answered(self, of: PublishedWindows, label: RuleLabel) -> Answered:
        """What the embedded simulator and judge say there, by the label's rule."""
        name = label.rule.context
        windows = of.windows
        if name is not None:
            state = self.text.state_in(name, windows)
            written = (windows.tokens + self.text.n_vocabulary * state).astype(np.int32)
            windows = replace(windows, tokens=written)
        return answer(of, *look_up(label.rule.as_written(self.text.n_vocabulary), windows))

    # --- the census

    def census(
        self, features: Sequence[PlantedFeature], labels: Mapping[str, Sequence[RuleLabel]]
    ) -> dict[str, list[Counted]]:
        """What each label predicts of each feature over all tokens; `labels` by name, one for each feature."""
        of_labels: dict[str, list[Counted | None]] = {name: [None] * len(features) for name in labels}
        for context in (None, *LINE_CONTEXTS):
            wanted = {
                name: [i for i, label in enumerate(mine) if label.rule.context == context]
                for name, mine in labels.items()
            }
            tables = {
                name: [
                    label.rule.as_written(self.text.n_vocabulary) if label.rule.context == context else EMPTY
                    for label in labels[name]
                ]
                for name, rows in wanted.items()
                if rows
            }
            for name, mine in self._counted(features, context, tables).items():
                for i in wanted[name]:
                    of_labels[name][i] = mine[i]
        return {name: [of for of in mine if of is not None] for name, mine in of_labels.items()}

    def _counted(
        self, features: Sequence[PlantedFeature], context: str | None, tables: Mapping[str, Sequence[Entries]]
    ) -> dict[str, dict[int, Counted]]:
        if not tables:
            return {}
        lookups = {name: from_lists(rows) for name, rows in tables.items()}
        accumulator = CensusAccumulator(len(features), self._counts[context], lookups)
        accumulator.add(self._events(features, context))
        truth, sums = accumulator.finish()
        return {name: counted(truth, of, np.arange(len(features))) for name, of in sums.items()}

    def _events(self, features: Sequence[PlantedFeature], context: str | None) -> EventBatch:
        """All firings, the features numbered as they stand."""
        tokens, previous = (part.reshape(-1) for part in self.text.as_written(context))
        place = concatenated([feature.place for feature in features])
        row = np.repeat(np.arange(len(features)), [len(feature.place) for feature in features])
        of_context, position = np.divmod(place, self.text.tokens.shape[1])
        return EventBatch(
            feature=row.astype(np.int32),
            context=of_context,
            position=position.astype(np.int32),
            value=np.concatenate([feature.value for feature in features]),
            token=tokens[place],
            previous=previous[place],
            block=self.text.block[of_context],
        )
