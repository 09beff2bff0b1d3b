"""Stage output_scores: each feature, turned up at the end of a neutral prompt; or the reason why that could not be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.extract.output_score import OutputScores, output_scores
from autointerp.extract.selected import Selected
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.rows.output_score_rows import largest_activations, output_score_rows, promoted_of
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.subject.dictionary import SparseAutoencoder, written_hook
from autointerp.subject.patching import patched_passes

STAGE = "output_scores"


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other."""
    missing = by_dictionary(works)
    dictionaries = context.open(missing)
    with context.report.stage("output scores", context.n_features(missing), "features") as advance:
        for name, [work] in missing.items():
            begun = time.monotonic()
            try:
                scores = _measure(context, name, dictionaries[name], advance)
                table, rows = STAGE, output_score_rows(work.key, name, scores)
            except InputError as error:
                table = "failures"
                rows = failure_rows(STAGE, name, [None], None, [None], ["not_possible"], [str(error)])
                advance(len(dictionaries[name].features))
            with context.store.transaction() as transaction:
                n_rows = transaction.append(table, rows)
                context.mark_done(transaction, work, n_rows, time.monotonic() - begun)
    context.publish()


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
    if isinstance(dictionary, SparseAutoencoder) and dictionary.incomplete is not None:
        raise InputError("a feature writes to several places of the model")
    features, tokens = promoted_of(context.store, name)
    if not len(features):
        raise InputError(f"there is no direct path from {dictionary.hook} to the logits")
    prompt = read_prompt(context)
    hook = written_hook(dictionary)
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
