"""Stage ablate: what features do to the output, measured on a sample of them; or the reason why it could not be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.ablate import Ablation
from autointerp.extract.effects import logit_path
from autointerp.extract.selected import Selected
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.ablation_rows import MEASURED_SPLITS, ablation_rows
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.pipeline.stages.effect_features import choose_measured
from autointerp.pipeline.stages.measured_effects import FiringTokens, measure_each, open_patched
from autointerp.records import SPLITS
from autointerp.store.writer import Transaction
from autointerp.subject.baselines import FAMILIES
from autointerp.subject.patching import PatchedPasses


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other."""
    missing = by_dictionary(works)
    dictionaries, chosen = context.open(missing), choose_measured(context, missing)
    effects = context.config.effects
    places = FiringTokens(MEASURED_SPLITS, effects.positions)
    n = len(places.splits) * places.positions * sum(map(len, chosen.values()))
    with context.report.stage("ablation", n, "firings") as advance:

        def write(transaction: Transaction, work: Work) -> int:
            name = str(work.dictionary)
            ablation = open_ablation(context, name, dictionaries[name], effects.after)
            return places.write(
                context, transaction, work, chosen[name], "causal_effects",
                lambda firings: ablation_rows(work.key, name, firings, ablation.measure(firings, advance)), advance,
            )  # fmt: skip

        measure_each(context, missing, write)


def open_ablation(context: StageContext, name: str, chosen: Selected, after: int) -> Ablation:
    """What a dictionary is measured with; `after`: positions behind a changed one whose logits are read. Raises
    InputError where that cannot be."""
    subject, tokens, dictionary = context.prepared.subject, context.tokens, chosen.dictionary
    patched = open_patched(context, dictionary, after)
    seen = np.asarray(sum(tokens.count_tokens(split, subject.d_vocab) for split in SPLITS)) > 0
    return Ablation(
        subject=subject,
        tokens=tokens,
        dictionary=dictionary,
        name=name,
        passes=patched.passes,
        covariance=FAMILIES["random_covariance"](patched.activations),
        path=logit_path(subject, dictionary, seen),
        usable=torch.from_numpy(np.flatnonzero(seen)).to(subject.device),
        seed=context.config.seed,
        differentiable=_differentiable(patched.passes, patched.ids, subject.width(patched.hook)),
    )


def _differentiable(passes: PatchedPasses, ids: Tensor, width: int) -> bool:
    """Whether the output can be differentiated by what stands at the hook point: tried on a context."""
    if len(ids) < 2:
        return False
    try:
        first = torch.zeros(1, dtype=torch.long, device=ids.device)
        gradients = passes.gradients([passes.open(ids)], [first], width)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        return False
    return bool(gradients.loss.isfinite().all() and gradients.logits.isfinite().all())
