"""Pass 1 in one call, without checkpoints or rounds: what small programs and tests take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from autointerp.extract.engines.pass_one import PassOne
from autointerp.extract.engines.shards import cut_rounds, cut_shards
from autointerp.extract.pass_two import TokensDone
from autointerp.extract.selected import Selected, on_device
from autointerp.extract.summary.summary import EXPLAIN_POOL, Summary, SummaryPlan
from autointerp.records import Int64
from autointerp.subject.activations import INNER
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile


@dataclass(frozen=True)
class KeptPerFeature:
    """How much pass 1 keeps of each feature."""

    top: int
    score_windows: int
    random: int = EXPLAIN_POOL
    """Random windows that will be asked for, at most; their activations take memory."""
    select_windows: int = 64
    left: int = 0
    """Tokens before the peak of an exemplar that are shown."""
    norm_limit: float | None = None
    """Tokens with a larger norm at the hook are outliers."""
    outlier: int = 0
    """Exemplars on outliers."""


def summarise(
    subject: Subject,
    tokens: TokenFile,
    dictionaries: Mapping[str, Selected],
    contexts: Int64,
    *,
    seed: int,
    kept: KeptPerFeature,
    progress: TokensDone,
    batch_size: int = INNER,
) -> dict[str, Summary]:
    """Pass 1 over `contexts` (all of them, or some: summaries merge), all features at once."""
    placed = on_device(dictionaries, subject.device)
    widths = {name: dictionary.n_features for name, (dictionary, _) in placed.items()}
    plans = {
        name: SummaryPlan(n, subject.d_vocab, seed, **asdict(kept), window=tokens.window) for name, n in widths.items()
    }
    rounds = cut_rounds(widths, sum(widths.values()))
    work = PassOne(subject, tokens, placed, plans, cut_shards(tokens.n_contexts, tokens.context_length), rounds)
    for n in work.run(batch_size, contexts):
        progress(n)
    return {piece.dictionary: summary for piece, summary in work.summaries.items()}
