"""What measured effects cost above the patched passes themselves, on one core.

    autointerp run runs/effects.toml --stage ablate
    OMP_NUM_THREADS=1 python benchmarks/ablation.py runs/effects.toml effects.duckdb mlp-1k

1. Firings of a sample of features are drawn from the store, as the stage does.
2. They are measured; CPU seconds of the passes (contexts opened, rows run) are kept apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

from autointerp.config.features import FeatureSample
from autointerp.config.loading import load_run
from autointerp.extract.firings import draw_firings
from autointerp.pipeline.plan.prepare import choose_scored, prepare
from autointerp.pipeline.rows.ablation_rows import stored_firings
from autointerp.pipeline.stages import ablate
from autointerp.pipeline.stages.context import StageContext
from autointerp.progress import stderr_reporter
from autointerp.store.writer import StoreWriter
from autointerp.subject import patching
from autointerp.subject.tokenise import open_tokens


class Clock:
    """CPU seconds of some functions together."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*arguments: Any) -> Any:
            begun = time.process_time()
            result = function(*arguments)
            self.seconds += time.process_time() - begun
            return result

        return timed


@click.command()
@click.argument("run_file", type=click.Path(exists=True, path_type=Path))
@click.argument("store", type=click.Path(exists=True, path_type=Path))
@click.argument("dictionary")
@click.option("--features", default=100, show_default=True, help="How many, by hash.")
@click.option("--positions", default=32, show_default=True, help="Firing tokens of each, of the split score.")
def main(run_file: Path, store: Path, dictionary: str, features: int, positions: int) -> None:
    """Prints CPU seconds, their ratio to the passes, and what 1,000 features of 32 firings would take."""
    torch.set_num_threads(1)
    config = load_run(run_file, store=store)
    effects = config.effects.model_copy(update={"positions": positions})
    config = config.model_copy(update={"effects": effects})
    prepared = prepare(config)
    subject = prepared.subject
    tokens = open_tokens(prepared.work_folder, prepared.tokens, subject.encode_texts, lambda _: None, None)
    with StoreWriter.open(store) as writer:
        context = StageContext(prepared, tokens, writer, stderr_reporter(), None)  # type: ignore[arg-type]
        chosen = context.open([dictionary])[dictionary]
        measured = ablate.open_ablation(context, dictionary, chosen, context.config.effects.after)
        sample = FeatureSample(sample=features)
        numbers = choose_scored(sample, chosen.features, chosen.dictionary.n_features, config.seed, dictionary)
        candidates, weight = stored_firings(writer, dictionary, "score", numbers)
        firings = draw_firings(candidates, weight, positions, config.seed, dictionary)
        clock = Clock()
        for way in (patching.SuffixPasses, patching.WholePasses):
            way.open = clock.of(way.open)  # type: ignore[method-assign]
        for opened in (patching.SuffixContext, patching.WholeContext):
            opened.logits = clock.of(opened.logits)  # type: ignore[method-assign]
        begun = time.process_time()
        measured.measure(firings)
        taken = time.process_time() - begun
    print(
        f"{len(firings):,} firings: {taken:.1f} CPU s, {taken / clock.seconds:.2f} x the passes "
        f"({clock.seconds:.1f} s), "
        f"{type(measured.passes).__name__}; 1,000 features of 32 firings: {taken / max(len(firings), 1) * 32_000:.0f} s"
    )


if __name__ == "__main__":
    main()
