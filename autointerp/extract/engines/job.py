"""Pass 1 as a run does it: by an engine, with checkpoints, its rounds handed on one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from autointerp.config.engine import EngineSection
from autointerp.config.evidence import EvidenceSection
from autointerp.extract.engines.pass_one import PassOne, Summaries
from autointerp.extract.engines.shards import Piece, Shard, cut_rounds, cut_shards
from autointerp.extract.score_spool import ScoreSpool
from autointerp.extract.selected import Selected, on_device
from autointerp.extract.summary.summary import SummaryPlan
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile

TITLE = "pass 1: activations"


@dataclass(frozen=True)
class Job:
    """What pass 1 has to do: everything but the subject, which every process loads for itself."""

    tokens_folder: Path
    dictionaries: Mapping[str, Selected]
    plans: Mapping[str, SummaryPlan]
    shards: list[Shard]
    rounds: list[list[Piece]]

    def begin(
        self,
        subject: Subject,
        tokens: TokenFile,
        shards: list[Shard],
        spool_folder: Path,
        score_spool: ScoreSpool | None = None,
    ) -> PassOne:
        """The pass over some of the shards, nothing gathered yet."""
        placed = on_device(self.dictionaries, subject.device)
        return PassOne(subject, tokens, placed, self.plans, shards, self.rounds, spool_folder, score_spool)

    def key(self) -> list[Any]:
        """What decides where its files may be used, beside the key of the work."""
        plans = {name: asdict(plan) for name, plan in self.plans.items()}
        return [
            plans,
            [asdict(shard) for shard in self.shards],
            [[asdict(one) for one in some] for some in self.rounds],
        ]


def make_job(
    subject: Subject,
    tokens: TokenFile,
    dictionaries: Mapping[str, Selected],
    evidence: EvidenceSection,
    engine: EngineSection,
    seed: int,
    norm_limits: Mapping[str, float],
) -> Job:
    """`norm_limits`: by hook, the norm past which a token is an outlier; a hook without one has none."""
    widths = {name: chosen.dictionary.n_features for name, chosen in dictionaries.items()}
    plans = {
        name: SummaryPlan(
            n,
            subject.d_vocab,
            seed,
            evidence.top,
            evidence.score_windows,
            evidence.random,
            evidence.select_windows,
            tokens.window,
            evidence.left_of(tokens.window),
            norm_limit=norm_limits.get(dictionaries[name].dictionary.hook),
            outlier=evidence.outlier,
        )
        for name, n in widths.items()
    }
    shards = cut_shards(tokens.n_contexts, tokens.context_length)
    return Job(tokens.folder, dictionaries, plans, shards, cut_rounds(widths, engine.features_at_once))


@runtime_checkable
class PassOneEngine(Protocol):
    """Does all shards of a job; what was done before it was killed is not done again."""

    seconds: float
    """What earlier processes took for that, as far as it is known."""

    def gather(self) -> None:
        """The pass over what is left of the contexts."""
        ...

    def rounds(self) -> Iterator[Summaries]:
        """The summaries of all pieces, a round at a time: use them up before the next is asked for."""
        ...

    def keep_score_events(self, paths: Mapping[str, Path]) -> None:
        """Everything is stored: the events of the score split, where they were kept, go here, a file a dictionary."""
        ...

    def discard_checkpoints(self) -> None:
        """Everything is stored: nothing has to be taken up again."""
        ...
