"""A subject as a store knows it, for what needs its name and its tokens only: the weights are read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.loading import device_of, load_tokenizer
from autointerp.subject.model import Subject
from autointerp.subject.token_ids import token_ids


@dataclass(frozen=True, kw_only=True)
class RecordedSubject(Subject):
    """Equal to the loaded subject in all that is recorded; the rest loads it."""

    load: Callable[[], Subject]
    widths: Mapping[str, int]
    """Of the hook points that the store's dictionaries read."""

    @cached_property
    def loaded(self) -> Subject:
        """The subject itself. Raises InputError where its weights are no longer those of the store."""
        subject = self.load()
        if subject.checksum != self.checksum:
            raise InputError(
                f'subject.model: the weights of "{self.name}" are not those that the store is about '
                f"(content {self.checksum[:8]} -> {subject.checksum[:8]}); give another --store"
            )
        return subject

    def width(self, hook: str) -> int:
        return self.widths[hook] if hook in self.widths else self.loaded.width(hook)

    def activations(self, tokens: Int[Tensor, "n L"], hooks: Sequence[str]) -> dict[str, Float[Tensor, "n L d"]]:
        return self.loaded.activations(tokens, hooks)


class _BridgeOnDemand:
    """What asks for a part of the model gets it from the loaded one."""

    def __init__(self, load: Callable[[], Subject]) -> None:
        self._load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load().bridge, name)


def recorded_subject(
    facts: Mapping[str, Any], widths: Mapping[str, int], device: str, load: Callable[[], Subject]
) -> RecordedSubject:
    """From a row of table `subjects`; `load` loads it whole. Reads the model's configuration and tokenizer."""
    name, revision = facts["subject"], facts["revision"]
    tokenizer, config = load_tokenizer(name, revision)
    bos, special = token_ids(config, tokenizer)
    same = (
        "processing",
        "dtype",
        "architecture",
        "n_layers",
        "d_model",
        "d_vocab",
        "n_ctx",
        "checksum",
        "rerandomised",
    )
    subject = RecordedSubject(
        name=name,
        revision=revision,
        **{key: facts[key] for key in same},
        bos=bos,
        special=special,
        device=device_of(device),
        bridge=_BridgeOnDemand(lambda: subject.loaded),
        tokenizer=tokenizer,
        load=load,
        widths=widths,
    )
    return subject
