"""A small but complete store, consistent to the last number, written through StoreWriter.

One subject of 40 tokens, 192 contexts of 16 tokens in windows of 8, a dictionary `sae` of 6 features (one
dead, one rare, the others firing on one token each) and a baseline `random` matched to it. Every
statistic is computed the slow and obvious way from the activations themselves.
"""

from __future__ import annotations

from pathlib import Path

from autointerp.pipeline.stages.compare_effects import sides_of
from autointerp.store.writer import StoreWriter
from built_store.ablation_rows import (
    write_contexts,
    write_effects,
    write_output_scores,
    write_sensitivity,
    write_steered_texts,
    write_token_changes,
)
from built_store.corpus_rows import write_tokens, write_works
from built_store.effect_comparison_rows import write_effect_comparisons
from built_store.explanation_rows import write_calls, write_explanations
from built_store.extraction_rows import write_dictionary, write_extraction
from built_store.geometry_rows import write_geometry, write_similarities
from built_store.score_rows import write_chances, write_comparisons, write_powered, write_scores
from built_store.world import HOSTILE, N_CONTEXTS, World, make_world

__all__ = ["HOSTILE", "World", "build_store", "make_world", "write_dictionary", "write_tokens"]


def build_store(path: Path) -> World:
    """Writes the store and returns what it was written from."""
    world = make_world()
    with StoreWriter.open(path) as writer:
        with writer.transaction() as t:
            write_works(t, world)
            write_tokens(t, world)
            t.mark_done("tokens", "tokens-1", None, N_CONTEXTS, 0.5)
        for name in world.truth:
            with writer.transaction() as t:
                write_dictionary(t, name)
                n_rows = write_extraction(t, world, name)
                t.mark_done("extract", f"extract-{name}", name, n_rows, 2.5)
                t.mark_done("ablate", f"ablate-{name}", name, write_effects(t, world, name), 0.1)
                t.mark_done("context_effects", f"contexts-{name}", name, write_contexts(t, world, name), 0.1)
                t.mark_done("token_changes", f"token-changes-{name}", name, write_token_changes(t, world, name), 0.1)
                t.mark_done("steered_texts", f"steered-texts-{name}", name, write_steered_texts(t, world, name), 0.1)
                n_scored = write_output_scores(t, world, name)
                t.mark_done("output_scores", f"output-scores-{name}", name, n_scored, 0.1)
                t.mark_done("sensitivity", f"sensitivity-{name}", name, write_sensitivity(t, world, name), 0.1)
                t.mark_done("geometry", f"geometry-{name}", name, write_geometry(t, world, name), 0.1)
        with writer.transaction() as t:
            t.mark_done("similarity", "similarity-1", None, write_similarities(t, list(world.truth)), 0.1)
        sides = sides_of(writer, list(world.truth))
        with writer.transaction() as t:
            t.mark_done("compare_effects", "compare-effects-1", None, write_effect_comparisons(t, sides), 0.1)
        for name in world.truth:
            with writer.transaction() as t:
                lookups = write_explanations(t, world, name)
                t.mark_done("explain", f"explain-{name}", name, len(lookups), 0.2)
            with writer.transaction() as t:
                write_scores(t, world, name)
                t.mark_done("score", f"score-{name}", name, 1, 75.0)
                t.mark_done("means", f"means-{name}", name, 1, 75.0)
        with writer.transaction() as t:
            write_comparisons(t)
            write_powered(t)
            write_chances(t)
            write_calls(t)
    return world
