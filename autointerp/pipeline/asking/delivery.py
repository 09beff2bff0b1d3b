"""How a run's questions travel: one by one, in a provider's batches, or in files that somebody else answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autointerp.config.explainers import LLMExplainer
from autointerp.config.run_file import RunConfig
from autointerp.errors import ConfigError, InputError, UserError
from autointerp.llm.delivery.batch_jsonl import ReplyFiles
from autointerp.llm.delivery.batches import BatchCourier
from autointerp.llm.delivery.files import InFiles, OutFiles
from autointerp.llm.session.courier import Courier
from autointerp.llm.wire.capabilities import capabilities_of
from autointerp.store.batches import StoreBatches
from autointerp.store.writer import StoreWriter


@dataclass(frozen=True)
class Delivery:
    """What the options of `autointerp run` say; at most one of `batch`, `out` and `into`."""

    batch: bool = False
    out: Path | None = None
    """Folder that requests are written to."""
    into: Path | None = None
    """Folder that replies are read from."""
    refresh: bool = False
    """Ask anew, whatever the reply log has."""

    def __post_init__(self) -> None:
        """Raises UserError where the options contradict each other."""
        options = {"--batch": self.batch, "--batch-out": self.out, "--batch-in": self.into}
        given = [name for name, value in options.items() if value]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given)}: questions travel in one way; give one of them")
        if self.refresh and self.into:
            raise UserError(
                "--refresh asks anew and --batch-in asks nothing: give --refresh with --batch-out, then "
                "--batch-in without it"
            )

    @property
    def sends(self) -> bool:
        """Whether anything leaves this machine."""
        return self.out is None and self.into is None

    def check(self, config: RunConfig) -> None:
        """What can be refused before any work. Raises UserError."""
        asking = [entry for entry in config.explain.asking if isinstance(entry, LLMExplainer)]
        models = [*asking, *([config.score.judge] if config.score.judge is not None else [])]
        if self != Delivery() and not models:
            raise UserError(
                "the run file asks no LLM: --batch, --batch-out, --batch-in and --refresh have nothing to do"
            )
        for model in models if self.batch else ():
            if not capabilities_of(model).batch:
                raise ConfigError(
                    f'--batch: {model.server} has no batch API for "{model.model}" as far as is known; leave --batch '
                    "away, use --batch-out, or say capabilities = { batch = true } of the model in the run file"
                )
        if self.out is not None and self.out.exists() and not self.out.is_dir():
            raise InputError(f'--batch-out: "{self.out}" is not a folder')
        if self.into is not None and not ReplyFiles(self.into):
            raise InputError(f'--batch-in: there is no reply in a .jsonl file of "{self.into}" (compressed or not)')

    def courier(self, store: StoreWriter, config: RunConfig) -> Courier | None:
        """What takes the questions; None: they are sent one by one."""
        if self.batch:  # not in the work folder: that can be deleted, and a reply here may be the only copy of one
            batches_folder = config.store_path.with_name(config.store_path.name + ".batches")
            return BatchCourier(StoreBatches(store), batches_folder)
        if self.out is not None:
            return OutFiles(self.out)
        return InFiles(self.into) if self.into is not None else None
