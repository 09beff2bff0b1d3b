"""Stage sensitivity: KL against the size of a step along features, random directions and neurons; or the reason why it
could not be measured."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.extract.selected import Selected
from autointerp.extract.sensitivity import RANDOM, Sensitivity, neuron_outputs, step_sizes
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.sensitivity_rows import sensitivity_rows
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.pipeline.stages.effect_features import choose_measured
from autointerp.pipeline.stages.measured_effects import FiringTokens, measure_each, open_patched
from autointerp.store.writer import Transaction
from autointerp.subject.baselines import FAMILIES


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other, at tokens of the split score: those of the stage `ablate`, the first of them."""
    missing = by_dictionary(works)
    dictionaries, chosen = context.open(missing), choose_measured(context, missing)
    places = FiringTokens(("score",), context.config.effects.sensitivity_positions)
    n = places.positions * sum(map(len, chosen.values()))
    with context.report.stage("sensitivity", n, "tokens") as advance:

        def write(transaction: Transaction, work: Work) -> int:
            name = str(work.dictionary)
            steps = open_sensitivity(context, name, dictionaries[name])
            return places.write(
                context, transaction, work, chosen[name], "sensitivity",
                lambda firings: sensitivity_rows(work.key, name, firings, steps.size, steps.measure(firings, advance)),
                advance,
            )  # fmt: skip

        measure_each(context, missing, write)


def open_sensitivity(context: StageContext, name: str, chosen: Selected) -> Sensitivity:
    """What a dictionary is measured with. Raises InputError where that cannot be."""
    subject, dictionary = context.prepared.subject, chosen.dictionary
    patched = open_patched(context, dictionary, 0)
    x = patched.activations
    return Sensitivity(
        tokens=context.tokens,
        dictionary=dictionary,
        name=name,
        passes=patched.passes,
        draws={direction: FAMILIES[family](x) for direction, family in RANDOM.items()},
        neurons=neuron_outputs(subject, patched.hook),
        size=step_sizes(float(x.norm(dim=1).median())),
        device=subject.device,
        d_vocab=subject.d_vocab,
        seed=context.config.seed,
    )
