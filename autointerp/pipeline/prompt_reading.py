"""What fires on a text that somebody types: the subject reads it, several dictionaries encode it.

A text is read as documents are: as tokens of its own behind a BOS where the run has one, cut where a context ends. Ids
are read as they are given. Activations are those of the extraction, of all features that the store knows.

On request, what each firing adds to the log-probability of a next token, to first order: the activation, times the
direction that the feature writes, times the gradient of the log-probability there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from autointerp.errors import InputError
from autointerp.extract.ablate import contributions
from autointerp.extract.firings import Firings
from autointerp.extract.following import next_logp
from autointerp.pipeline.reopened import reopen_dictionaries
from autointerp.progress import Reporter
from autointerp.records import Float32, Float64, Int64
from autointerp.subject.dictionary import written_hook
from autointerp.subject.gradients import next_token_gradients
from autointerp.subject.outliers import past_limit


@dataclass(frozen=True)
class FiredFeatures:
    """The non-zero activations of one dictionary, by position, then by feature."""

    position: Int64  # [E] in the tokens
    feature: Int64  # [E]
    activation: Float32  # [E] in the dictionary's own scale
    effect: Float32 | None = None  # [E] nats of the next token's log-probability; None: it was not asked for
    measured: Mapping[int, float] | None = None
    """Of the MEASURED features of largest effect: by how much the log-probability falls where the feature is taken
    away at every token but the BOS, nats; None: it was not asked for."""


@dataclass(frozen=True)
class WantedToken:
    """The token behind a position whose log-probability is looked at."""

    text: str = ""
    """Must be one token; "": the likeliest."""
    position: int | None = None
    """It stands behind the token at this place; None: behind the last."""
    measure: bool = False
    """Whether the features of largest effect are taken away in turn, and it is read what that does."""


@dataclass(frozen=True)
class AffectedToken:
    """The token behind a position, and how likely it is."""

    position: int
    token: int
    logp: float


@dataclass(frozen=True)
class PromptReading:
    """A text as it was read."""

    tokens: tuple[int, ...]
    bos: int | None
    """The BOS of the run; None: it has none."""
    notices: tuple[str, ...]
    """What a reader should know: a BOS that stands twice, tokens that were left out."""
    fired: dict[str, FiredFeatures]
    """By dictionary."""
    next_token: AffectedToken | None = None
    """What `FiredFeatures.effect` is about."""


MEASURED = 32
"""Features of each dictionary whose effect is measured: each is a pass of the text."""
TEXTS_AT_ONCE = 8
FIRINGS_AT_ONCE = 4096
"""Of which what they add is held at once."""


class PromptReader:
    """A subject and dictionaries, held ready. Made by `open_prompt_reader`; one text at a time."""

    def __init__(self, path: Path, names: Sequence[str], report: Reporter) -> None:
        prepared, self._dictionaries, self._limits = reopen_dictionaries(path, names, report)
        self._subject, plan = prepared.subject, prepared.tokens
        self.bos, self.longest = plan.bos, plan.context_length
        self._turn = threading.Lock()

    def read_text(self, text: str, wanted: WantedToken | None = None) -> PromptReading:
        """`wanted`: effects on this token are estimated.

        Raises InputError where there is no token in the text or the subject has no tokenizer, and where the wanted
        token is none or its place is not of the text.
        """
        [ids] = self._subject.encode_texts([text])
        front = [] if self.bos is None else [self.bos]
        notices = []
        if self.bos is not None and self._subject.tokenizer is not None:
            written = self._subject.tokenizer.decode([self.bos])
            if written and text.startswith(written):
                notices.append(f'the text begins with "{written}", which is read as text; the BOS stands before it')
        return self._read([*front, *ids], notices, wanted)

    def read_ids(self, ids: Sequence[int], wanted: WantedToken | None = None) -> PromptReading:
        """Raises InputError where there is none, or one that the subject does not know; and as `read_text` does."""
        largest = self._subject.d_vocab - 1
        for token in ids:
            if not 0 <= token <= largest:
                raise InputError(f"token id {token} is not one of this subject's: 0 to {largest}")
        notices = []
        if self.bos is not None and ids and ids[0] != self.bos:
            notices.append(f"the ids do not begin with the BOS ({self.bos}), as the run's contexts do")
        return self._read(list(ids), notices, wanted)

    def direction(self, dictionary: str, feature: int) -> Float64:
        """What the feature writes for a unit of its activation, [d_out]."""
        row = self._dictionaries[dictionary].dictionary.directions[feature]
        return np.asarray(row.detach().double().cpu().numpy(), dtype=np.float64)

    def _read(self, ids: list[int], notices: list[str], wanted: WantedToken | None) -> PromptReading:
        if len(ids) <= (bool(ids) and ids[0] == self.bos):
            raise InputError("there is no token to read in it")
        if self.bos is not None and ids[:2] == [self.bos, self.bos]:
            notices.append(f"the BOS ({self.bos}) stands twice: the second one is read as a token of the text")
        if len(ids) > self.longest:
            notices.append(f"{len(ids) - self.longest:,} tokens past the {self.longest} of a context were left out")
            ids = ids[: self.longest]
        position, token = (0, None) if wanted is None else self._meant(wanted, len(ids))
        with self._turn:
            tokens = torch.tensor([ids], dtype=torch.long, device=self._subject.device)
            hooks = sorted({chosen.dictionary.hook for chosen in self._dictionaries.values()})
            x = self._subject.activations(tokens, hooks)
            fired = {name: self._fired(name, x[of.dictionary.hook][0]) for name, of in self._dictionaries.items()}
            if wanted is None:
                return PromptReading(tuple(ids), self.bos, tuple(notices), fired)
            written = {name: written_hook(of.dictionary) for name, of in self._dictionaries.items()}
            read = tokens[0, : position + 1]
            gradients = next_token_gradients(self._subject, read, sorted(set(written.values())), token)
            for name, of in self._dictionaries.items():
                read_there, gradient = x[of.dictionary.hook][0], gradients.by_hook[written[name]]
                try:
                    fired[name] = self._affecting(name, fired[name], read_there, gradient)
                except InputError as error:
                    notices.append(f"{name}: no effects on the next token: {error}")
                    continue
                if wanted.measure:
                    ids_then = torch.cat([read, read.new_tensor([gradients.token])])
                    fired[name] = self._measuring(name, fired[name], read_there, ids_then)
        at = AffectedToken(position, gradients.token, gradients.logp)
        return PromptReading(tuple(ids), self.bos, tuple(notices), fired, at)

    def _meant(self, wanted: WantedToken, n_tokens: int) -> tuple[int, int | None]:
        """The position, and the token behind it; None: the likeliest."""
        position = n_tokens - 1 if wanted.position is None else wanted.position
        if not 0 <= position < n_tokens:
            raise InputError(f"position {position} is none of the text, whose tokens are 0 to {n_tokens - 1}")
        if wanted.text == "":
            return position, None
        [ids] = self._subject.encode_texts([wanted.text])
        if len(ids) != 1:
            texts = self._subject.vocabulary()
            parts = ", ".join(f'"{texts[token]}"' for token in ids)
            raise InputError(f'the next token "{wanted.text}" is not one token but {len(ids)}: {parts}')
        return position, int(ids[0])

    @torch.inference_mode()
    def _fired(self, name: str, x: torch.Tensor) -> FiredFeatures:
        chosen, limit = self._dictionaries[name], self._limits[name]
        values = chosen.dictionary.to(self._subject.device).encode(x)
        if limit is not None:
            values = values * ~past_limit(x, limit)[:, None]
        mask = chosen.mask()
        if mask is not None:
            values = values * mask.to(values.device)
        position, feature = values.nonzero(as_tuple=True)
        return FiredFeatures(
            position.cpu().numpy(), feature.cpu().numpy(), values[position, feature].float().cpu().numpy()
        )

    @torch.inference_mode()
    def _affecting(self, name: str, fired: FiredFeatures, x: torch.Tensor, gradient: torch.Tensor) -> FiredFeatures:
        """`x` [L, d]: what the dictionary reads; `gradient` [P, d_out] at the positions up to the next token.

        Raises InputError where it cannot be said what a feature adds.
        """
        effect = np.zeros(len(fired.position), dtype=np.float32)
        x, gradient = x.cpu(), gradient.cpu()
        mine = np.flatnonzero(fired.position < len(gradient))
        for first in range(0, len(mine), FIRINGS_AT_ONCE):
            rows = mine[first : first + FIRINGS_AT_ONCE]
            place = fired.position[rows]
            of_none = np.zeros_like(place)  # the text stands in no context of the corpus
            firings = Firings("explain", fired.feature[rows], of_none, place.astype(np.int32), fired.activation[rows])
            added = contributions(self._dictionaries[name].dictionary, firings, x[torch.from_numpy(place)])
            effect[rows] = (added.float() * gradient[torch.from_numpy(place)]).sum(dim=1).numpy()
        return replace(fired, effect=effect)

    @torch.inference_mode()
    def _measuring(self, name: str, fired: FiredFeatures, x: torch.Tensor, ids: torch.Tensor) -> FiredFeatures:
        """`ids` [L]: the text up to the position, and the next token behind it."""
        assert fired.effect is not None
        dictionary, x = self._dictionaries[name].dictionary, x.cpu()
        counts = (fired.position < len(ids) - 1) & ((fired.position > 0) | (int(ids[0]) != self.bos))
        totals = np.bincount(fired.feature[counts], weights=fired.effect[counts])
        strongest = np.argsort(-np.abs(totals), kind="stable")[:MEASURED]
        strongest = strongest[np.isin(strongest, fired.feature[counts])]
        measured: dict[int, float] = {}
        for first in range(0, len(strongest), TEXTS_AT_ONCE):
            some = strongest[first : first + TEXTS_AT_ONCE].tolist()
            added = torch.zeros(1 + len(some), len(ids), dictionary.directions.shape[1])
            for row, feature in enumerate(some, start=1):
                mine = np.flatnonzero(counts & (fired.feature == feature))
                place = fired.position[mine]
                firings = Firings(
                    "explain", fired.feature[mine], np.zeros_like(place), place.astype(np.int32), fired.activation[mine]
                )
                added[row, place] = -contributions(dictionary, firings, x[torch.from_numpy(place)])
            logp = next_logp(self._subject, written_hook(dictionary), ids, added.to(ids.device))[:, -1]
            measured |= {feature: float(logp[0] - without) for feature, without in zip(some, logp[1:], strict=True)}
        return replace(fired, measured=measured)


def open_prompt_reader(path: Path, names: Sequence[str], report: Reporter) -> PromptReader:
    """Loads the subject and these dictionaries of a store.

    Raises StoreError where the store has no such dictionary, or is about something else than what is there now, and
    UserError where a file is gone.
    """
    return PromptReader(path, list(dict.fromkeys(names)), report)
