"""What fires on a text that somebody types: the subject reads it, several dictionaries encode it.

A text is read as documents are: as tokens of its own behind a BOS where the run has one, cut where a context ends. Ids
are read as they are given. Activations are those of the extraction, of all features that the store knows.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from autointerp.errors import InputError
from autointerp.pipeline.reopened import reopen_dictionaries
from autointerp.progress import Reporter
from autointerp.records import Float32, Float64, Int64
from autointerp.subject.outliers import past_limit


@dataclass(frozen=True)
class FiredFeatures:
    """The non-zero activations of one dictionary, by position, then by feature."""

    position: Int64  # [E] in the tokens
    feature: Int64  # [E]
    activation: Float32  # [E] in the dictionary's own scale


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


class PromptReader:
    """A subject and dictionaries, held ready. Made by `open_prompt_reader`; one text at a time."""

    def __init__(self, path: Path, names: Sequence[str], report: Reporter) -> None:
        prepared, self._dictionaries, self._limits = reopen_dictionaries(path, names, report)
        self._subject, plan = prepared.subject, prepared.tokens
        self.bos, self.longest = plan.bos, plan.context_length
        self._turn = threading.Lock()

    def read_text(self, text: str) -> PromptReading:
        """Raises InputError where there is no token in it, or the subject has no tokenizer."""
        [ids] = self._subject.encode_texts([text])
        front = [] if self.bos is None else [self.bos]
        notices = []
        if self.bos is not None and self._subject.tokenizer is not None:
            written = self._subject.tokenizer.decode([self.bos])
            if written and text.startswith(written):
                notices.append(f'the text begins with "{written}", which is read as text; the BOS stands before it')
        return self._read([*front, *ids], notices)

    def read_ids(self, ids: Sequence[int]) -> PromptReading:
        """Raises InputError where there is none, or one that the subject does not know."""
        largest = self._subject.d_vocab - 1
        for token in ids:
            if not 0 <= token <= largest:
                raise InputError(f"token id {token} is not one of this subject's: 0 to {largest}")
        notices = []
        if self.bos is not None and ids and ids[0] != self.bos:
            notices.append(f"the ids do not begin with the BOS ({self.bos}), as the run's contexts do")
        return self._read(list(ids), notices)

    def direction(self, dictionary: str, feature: int) -> Float64:
        """What the feature writes for a unit of its activation, [d_out]."""
        row = self._dictionaries[dictionary].dictionary.directions[feature]
        return np.asarray(row.detach().double().cpu().numpy(), dtype=np.float64)

    @torch.inference_mode()
    def _read(self, ids: list[int], notices: list[str]) -> PromptReading:
        if len(ids) <= (bool(ids) and ids[0] == self.bos):
            raise InputError("there is no token to read in it")
        if self.bos is not None and ids[:2] == [self.bos, self.bos]:
            notices.append(f"the BOS ({self.bos}) stands twice: the second one is read as a token of the text")
        if len(ids) > self.longest:
            notices.append(f"{len(ids) - self.longest:,} tokens past the {self.longest} of a context were left out")
            ids = ids[: self.longest]
        with self._turn:
            tokens = torch.tensor([ids], dtype=torch.long, device=self._subject.device)
            hooks = sorted({chosen.dictionary.hook for chosen in self._dictionaries.values()})
            x = self._subject.activations(tokens, hooks)
            fired = {name: self._fired(name, x[of.dictionary.hook][0]) for name, of in self._dictionaries.items()}
        return PromptReading(tuple(ids), self.bos, tuple(notices), fired)

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


def open_prompt_reader(path: Path, names: Sequence[str], report: Reporter) -> PromptReader:
    """Loads the subject and these dictionaries of a store.

    Raises StoreError where the store has no such dictionary, or is about something else than what is there now, and
    UserError where a file is gone.
    """
    return PromptReader(path, list(dict.fromkeys(names)), report)
