"""What a feature's direction does to a text: `autointerp steer`.

The direction is what the feature writes, at length 1. It is added at every token of the text but the BOS, and at every
token that is written after it. Random directions stand beside it, each at the size that has the same effect:
`isotropic`, any direction; `covariance`, one that is spread as the activations at the hook point are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autointerp.errors import AutointerpError, InputError, StoreError
from autointerp.extract.steer import SteeringSizes, WrittenText, drawn, greedy, sizes_for, write_on
from autointerp.hashing import rng_for
from autointerp.pipeline.reopened import norm_limits, reopen
from autointerp.progress import Reporter
from autointerp.store.query import Queryable
from autointerp.store.reader import open_reader
from autointerp.subject.baselines import COVARIANCE_TOKENS, FAMILIES, take_sample
from autointerp.subject.dictionary import steered_hook
from autointerp.subject.patching import typical_norm
from autointerp.subject.steering import SteeredPasses, steered_passes

NEXT = 10
"""Tokens shown of what may come next: those whose probability is largest as it is, or with the feature."""
RANDOM = ("isotropic", "covariance")


@dataclass(frozen=True)
class SteerChoice:
    """How a text is steered."""

    kl: float = 0.5
    """Nats between the prediction behind the text and that of the model as it is."""
    n_tokens: int = 40
    """Written after the text."""
    temperature: float = 0.0
    """0: the likeliest token each time."""
    seed: int = 0
    """Of what is drawn, and of the random directions."""
    against: bool = False
    """The direction is taken away instead."""


@dataclass(frozen=True)
class NextToken:
    """A token that may come next, by its log probability, nats."""

    token: int
    text: str
    as_it_is: float
    steered: tuple[float | None, ...]
    """With each of the directions; None where a direction does not reach the KL."""


@dataclass(frozen=True)
class SteeredDirection:
    """A direction, and what the text goes on with."""

    name: str
    """feature, isotropic or covariance."""
    size: float | None
    """Length of what is added at each token; None: no size that was tried reaches the KL."""
    of_activation: float | None
    """The same over the median length of the text's own activations."""
    of_largest: float | None
    """The same over what the feature writes at its largest activation in the corpus."""
    kl: float
    """That is reached behind the text; where it is not, the largest that was seen."""
    continued: ContinuedText | None


@dataclass(frozen=True)
class ContinuedText:
    """What was written after the text."""

    tokens: tuple[int, ...]
    texts: tuple[str, ...]
    logp: tuple[float, ...]
    """Of each token, with the direction, nats."""
    logp_as_it_is: tuple[float, ...]
    """Of each token, without it, behind the same text."""
    kl: tuple[float, ...]
    """Of the prediction of each token from that without the direction, nats."""


@dataclass(frozen=True)
class SteerReport:
    """All that is said."""

    store: str
    dictionary: str
    feature: int
    hook: str
    """Where the direction is added."""
    choice: SteerChoice
    prompt: str
    tokens: tuple[int, ...]
    """Of the text, with the BOS where the run has one."""
    entropy: float
    """Of the prediction behind the text as it is, nats: what the KL is to be held against."""
    as_it_is: ContinuedText
    directions: tuple[SteeredDirection, ...]
    """The feature's first."""
    next_tokens: tuple[NextToken, ...]
    """Those whose log probability the feature raises most first."""


class Steerer:
    """A subject and a dictionary, held ready. Made from a store, which is only read."""

    def __init__(self, path: Path, name: str, report: Reporter) -> None:
        """Raises StoreError where the store has no such dictionary, or is about something else than what is there now,
        and InputError where nothing can be said of what the dictionary's features write."""
        opened = reopen(path, [name], report)
        self._path, self._name = path, name
        self._subject, self._plan = opened.prepared.subject, opened.prepared.tokens
        dictionary = opened.dictionaries[name].dictionary
        try:
            self.hook = steered_hook(dictionary)
        except InputError as error:
            raise InputError(f'"{name}": {error}') from error
        self._directions = dictionary.directions
        self._scaled = getattr(dictionary, "normalize", "none") != "none"
        self._subject.check_hook(self.hook)
        with open_reader(path) as store:
            limits = norm_limits(opened.prepared, opened.tokens, store, [self.hook])
        sample = take_sample(
            self._subject, opened.tokens, [self.hook], opened.prepared.config.seed, opened.prepared.work_folder,
            COVARIANCE_TOKENS, norm_limits=limits,
        )  # fmt: skip
        self._draws = {name: FAMILIES[f"random_{name}"](sample.ordinary(self.hook)) for name in RANDOM}
        self._texts = self._subject.vocabulary()
        special = getattr(self._subject.tokenizer, "eos_token_id", None)
        self._ends = set() if special is None else {int(special)}

    def steer(self, feature: int, text: str, choice: SteerChoice) -> SteerReport:
        """Raises StoreError where the store does not know the feature, InputError where the text cannot be steered, and
        AutointerpError where the feature's direction does not reach the KL."""
        with open_reader(self._path) as store:
            largest = _largest_activation(store, self._name, feature)
        ids, first = self._read(text, choice.n_tokens)
        passes = steered_passes(self._subject, self.hook, ids, first)
        directions = self._units(feature, choice)
        typical = float(typical_norm(self._subject, self.hook, ids))
        sizes = sizes_for(passes, ids, directions, first, choice.kl, typical)
        if np.isnan(sizes.size[0]):
            raise AutointerpError(
                f"{self._name}/{feature} does not move the output by {choice.kl:g} nats behind this text: "
                f"{sizes.kl[0]:.3g} at most; ask for a smaller --kl"
            )
        reached = np.flatnonzero(~np.isnan(sizes.size))
        added = directions[reached] * torch.from_numpy(sizes.size[reached]).to(directions)[:, None]
        choose = greedy if choice.temperature == 0 else drawn(choice.temperature, choice.seed)
        plain, *written = write_on(passes, ids, added, first, choice.n_tokens, choose)
        of = dict(zip(reached.tolist(), written, strict=True))
        unit = float(self._directions[feature].norm()) * largest
        return SteerReport(
            store=str(self._path),
            dictionary=self._name,
            feature=feature,
            hook=self.hook,
            choice=choice,
            prompt=text,
            tokens=tuple(ids.tolist()),
            entropy=self._entropy(passes, ids, first),
            as_it_is=self._written(plain),
            directions=tuple(
                self._direction(name, row, sizes, typical, None if self._scaled or row else unit, of.get(row))
                for row, name in enumerate(("feature", *RANDOM))
            ),
            next_tokens=self._next(passes, ids, added, first, reached),
        )

    def _read(self, text: str, n_tokens: int) -> tuple[Tensor, int]:
        """The text's tokens as documents have them, and the first of them that is steered."""
        [ids] = self._subject.encode_texts([text])
        if not ids:
            raise InputError("there is no token to read in the text")
        front = [] if self._plan.bos is None else [self._plan.bos]
        room = self._subject.n_ctx - n_tokens
        if len(front) + len(ids) > room:
            raise InputError(
                f"the text has {len(front) + len(ids):,} tokens; with {n_tokens} to write after it, {max(room, 0):,} "
                f'fit into the {self._subject.n_ctx:,} of "{self._subject.name}"'
            )
        return torch.tensor([*front, *ids], dtype=torch.long, device=self._subject.device), len(front)

    def _units(self, feature: int, choice: SteerChoice) -> Tensor:
        """The directions at length 1, [3, d]."""
        written = self._directions[feature].detach().double().cpu().numpy()
        if not np.linalg.norm(written) > 0:
            raise InputError(f"{self._name}/{feature} writes nothing: its direction is zero")
        rows = [-written if choice.against else written]
        rows += [self._draws[name](rng_for(choice.seed, "steer", name, self._name, feature)) for name in RANDOM]
        units = np.stack([row / max(float(np.linalg.norm(row)), 1e-30) for row in rows])
        return torch.from_numpy(units.astype(np.float32)).to(self._subject.device)

    def _direction(
        self,
        name: str,
        row: int,
        sizes: SteeringSizes,
        typical: float,
        largest: float | None,
        written: WrittenText | None,
    ) -> SteeredDirection:
        size = None if np.isnan(sizes.size[row]) else float(sizes.size[row])
        return SteeredDirection(
            name=name,
            size=size,
            of_activation=None if size is None else size / typical,
            of_largest=None if size is None or not largest else size / largest,
            kl=float(sizes.kl[row]),
            continued=None if written is None else self._written(written),
        )

    def _written(self, text: WrittenText) -> ContinuedText:
        """Up to the end of the text, where the model has written one."""
        ends = [place for place, token in enumerate(text.tokens) if token in self._ends]
        some = slice(0, ends[0] + 1 if ends else None)
        tokens = text.tokens[some]
        texts = tuple(self._texts[token] for token in tokens)
        return ContinuedText(tokens, texts, text.logp[some], text.logp_as_it_is[some], text.kl[some])

    def _entropy(self, passes: SteeredPasses, ids: Tensor, first: int) -> float:
        logp = passes.open(ids, self._none(1), first).logits[0].double().log_softmax(dim=0)
        return -float((logp.exp() * logp).sum())

    def _next(
        self, passes: SteeredPasses, ids: Tensor, added: Tensor, first: int, reached: np.ndarray
    ) -> tuple[NextToken, ...]:
        logits = passes.open(ids, torch.cat([self._none(1), added]), first).logits
        logp = logits.double().log_softmax(dim=1).cpu()
        chosen = logp[:2].amax(dim=0).topk(min(NEXT, logp.shape[1])).indices.tolist()
        row_of = {direction: 1 + row for row, direction in enumerate(reached.tolist())}
        tokens = [
            NextToken(
                token,
                self._texts[token],
                float(logp[0, token]),
                tuple(
                    float(logp[row_of[direction], token]) if direction in row_of else None
                    for direction in range(1 + len(RANDOM))
                ),
            )
            for token in chosen
        ]
        return tuple(sorted(tokens, key=lambda token: token.as_it_is - (token.steered[0] or 0.0)))

    def _none(self, n: int) -> Tensor:
        return torch.zeros(n, self._directions.shape[1], device=self._subject.device)


_LARGEST = "SELECT max_activation FROM features WHERE dictionary = $dictionary AND feature = $feature"


def _largest_activation(store: Queryable, dictionary: str, feature: int) -> float:
    rows = store.rows(_LARGEST, dictionary=dictionary, feature=feature)
    if not rows:
        raise StoreError(f'the store has no feature {feature} of "{dictionary}"')
    return float(rows[0]["max_activation"])
