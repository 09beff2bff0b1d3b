"""Stage output_scores: each feature, turned up at the end of a neutral prompt; or the reason why that could not be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.extract.output_score import OutputScores, output_scores
from autointerp.extract.selected import Selected
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.output_score_rows import largest_activations, output_score_rows, promoted_of
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.pipeline.stages.measured_effects import measure_each
from autointerp.store.writer import Transaction
from autointerp.subject.dictionary import steered_hook
from autointerp.subject.patching import patched_passes


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other."""
    missing = by_dictionary(works)
    dictionaries = context.open(missing)
    with context.report.stage("output scores", context.n_features(missing), "features") as advance:

        def write(transaction: Transaction, work: Work) -> int:
            name = str(work.dictionary)
            scores = _measure(context, name, dictionaries[name], advance)
            return transaction.append("output_scores", output_score_rows(work.key, name, scores))

        measure_each(context, missing, write)


def read_prompt(context: StageContext) -> Tensor:
    """The prompt's tokens, as documents have them. Raises InputError where it cannot be read."""
    subject, prompt = context.prepared.subject, context.config.effects.output_prompt
    if subject.tokenizer is None:
        raise InputError("the subject has no tokenizer to read effects.output_prompt with")
    front, [ids] = context.prepared.tokens.bos, subject.encode_texts([prompt])
    ids = [*([] if front is None else [front]), *ids]
    if not 2 <= len(ids) <= subject.n_ctx:
        raise InputError(f"effects.output_prompt has {len(ids):,} tokens; it needs 2 to {subject.n_ctx:,}")
    return torch.tensor(ids, dtype=torch.long, device=subject.device)


def _measure(context: StageContext, name: str, chosen: Selected, advance: Callable[[int], None]) -> OutputScores:
    subject, dictionary = context.prepared.subject, chosen.dictionary
    hook = steered_hook(dictionary)
    features, tokens = promoted_of(context.store, name)
    if not len(features):
        raise InputError(f"there is no direct path from {dictionary.hook} to the logits")
    prompt = read_prompt(context)
    subject.check_hook(hook)
    return output_scores(
        patched_passes(subject, hook, 0, prompt).open(prompt),
        len(prompt) - 1,
        dictionary.directions,
        features,
        context.config.effects.output_factor * largest_activations(context.store, name, features),
        tokens,
        subject.d_vocab,
        advance,
    )
