"""The page of the study, as Markdown: every number from the stores, and what can be read off them in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from autointerp.generated import cell
from autointerp.score.metric_registry import metric_named
from autointerp.show.sentences import listed
from autointerp.show.study_data import StudyStore, read_study
from autointerp.store.query import Queryable
from autointerp.words import COMPLETION, STUDIED, UNEMBEDDING_NORM

NOTE = "<!-- Made from its stores by `python -m autointerp.study PAGE`; its docstring says which stores. -->"
SHOWN = (("pearson", "census"), ("auprc", "census"))
"""What the first table shows."""
OUTPUTS = {
    "logits": ("logit_accuracy_direct", "sample"),
    "hard logits": ("logit_accuracy_direct_hard", "sample"),
}
"""The published question about outputs, and the one whose wrong tokens look like the promoted ones."""
BESIDE_OUTPUTS = {COMPLETION: "completion", UNEMBEDDING_NORM: "norm alone", "shuffled": "another's label"}
"""What stands beside them, and its heading."""


def study_page(learned: Queryable, redrawn: Queryable, command: str, run_files: Sequence[str]) -> str:
    """The whole page; `command` made the stores, from these run files (as the page is to name them)."""
    a, b = read_study(learned), read_study(redrawn)
    parts = [
        _head(a, b, command, run_files),
        _findings(a, b),
        "## Inputs\n\n" + _inputs(a),
        "## Outputs\n\n" + _outputs(a),
        "## Verdicts\n\n" + _verdicts(a),
        "## Strong and weak firing\n\n" + _thirds(a),
        "## Features of the same token entropy\n\n" + _strata(a),
        "## A model that learned nothing\n\n" + _redrawn(a, b),
        "## Every metric\n\n" + _every_metric(a),
        _limits(a),
    ]
    return "\n\n".join(parts) + "\n"


def _head(a: StudyStore, b: StudyStore, command: str, run_files: Sequence[str]) -> str:
    minutes = f"{a.seconds / 60:.1f} and {b.seconds / 60:.1f}"
    learned = listed([f"`{d['dictionary']}`" for d in a.dictionaries if d["kind"] in STUDIED])
    baselines = listed([f"`{d['dictionary']}`" for d in a.dictionaries if d["kind"] not in STUDIED])
    return f"""{NOTE}

# The study: SAEs beside everything that could score as well

On {a.subject}, `lexical`'s labels (up to ten tokens with strengths, no LLM) of {learned}, and of what an
SAE has to beat: {baselines}; and the same SAE on a model whose weights were drawn again. Matched
baselines fire as often as the feature of `{a.studied}` that each is paired with. Means are over all features; those
that cannot be scored count at the floor. `context_lookup` is a table and no label: the ceiling for what tokens can say.

This page is of {a.n_tokens:,} tokens: `{command}`. The stages took {minutes} minutes by the clock (`sum(seconds)` of
table `stages`). How to read the columns: [SCORES.md](SCORES.md). The run files, with what was expected:
{listed(run_files)}."""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; all but the first column to the right."""
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cell(text) for text in row)} |" for row in rows)])


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _mean(score: dict[str, Any] | None) -> str:
    if score is None or score["mean_all"] is None:
        return "-"
    low, high = score["mean_all_low"], score["mean_all_high"]
    return f"{score['mean_all']:.3f}" + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")


def _inputs(a: StudyStore) -> str:
    rows = []
    for d in a.dictionaries:
        name = d["dictionary"]
        pearson, auprc = (a.score(name, "lexical", *what) for what in SHOWN)
        ceiling = a.score(name, "context_lookup", *SHOWN[0])
        rows.append(
            [
                f"`{name}`", f"{d['n_alive']:,}/{d['n_selected']:,}",
                _number(d["density"], 4), _number(d["entropy"], 2),
                _mean(pearson), _number(None if pearson is None else pearson["mean"]),
                _number(None if pearson is None else pearson["floor"]), _mean(ceiling), _mean(auprc),
                _number(a.lengths.get((name, "lexical")), 0),
            ]
        )  # fmt: skip
    heads = [
        "dictionary", "alive", "density", "entropy", "Pearson", "of those scored", "floor", "its ceiling", "AUPRC",
        "tokens a label",
    ]  # fmt: skip
    return table(heads, rows) + (
        "\n\nPearson and AUPRC: every token of the score split. Density and entropy (nats) are medians over the "
        "features that are alive. A baseline's units that stand for features with fewer than 100 firings are not "
        "matched: they count at the floor, so that means over all of few tokens are low."
    )


def _outputs(a: StudyStore) -> str:
    rows = []
    for d in a.dictionaries:
        row = [f"`{d['dictionary']}`"]
        for what in OUTPUTS.values():
            row.append(_mean(a.score(d["dictionary"], "lexical", *what)))
            beside = (a.score(d["dictionary"], name, *what) for name in BESIDE_OUTPUTS)
            row += [_number(None if score is None else score["mean_all"]) for score in beside]
        rows.append(row)
    heads = ["dictionary"]
    for name in OUTPUTS:
        heads += [name, *BESIDE_OUTPUTS.values()]
    return table(heads, rows) + (
        "\n\nWhich of two halves of up to 100 tokens a feature promotes, told from its label (chance: 0.5). Logits: "
        "the wrong half is drawn from all tokens. Hard logits: a third of it is as similar to the ten tokens shown, a "
        "third as common and of the same norm, a third promoted by a feature nearby, and nothing that the label quotes "
        "is asked about. `completion` knows the ten tokens shown and no label; the norm is that of a token's row of "
        "the unembedding."
    )


def _verdicts(a: StudyStore) -> str:
    rows = [
        [
            f"`{pair['b']}`", f"`{pair['metric']}`, {pair['scorer']}, {pair['design']}", f"{pair['difference']:+.3f}",
            f"[{pair['simultaneous_low']:+.3f}, {pair['simultaneous_high']:+.3f}]", _p(pair["p_holm"]),
            _named(pair), "yes" if pair["hangs_on_failures"] else "",
        ]
        for pair in _mine(a)
        if _is_shown(pair)
    ]  # fmt: skip
    heads = [
        f"`{a.studied}` minus",
        "metric",
        "difference",
        "simultaneous 95 %",
        "p Holm",
        "verdict",
        "hangs on failures",
    ]
    shown = table(heads, rows) if rows else "The store has no comparisons."
    return shown + (
        "\n\nOver pairs of features that were matched, those without a score at the floor. The first metrics of each "
        "scorer, AUPRC and F1: the view `comparison_table` has the others, which the counts above hold."
    )


def _is_shown(pair: dict[str, Any]) -> bool:
    metric = metric_named(pair["metric"], pair["design"])
    census = pair["design"] == "census"
    return census or (metric is not None and metric.is_first(pair["scorer"].partition(":")[0].partition(" ")[0]))


def _mine(a: StudyStore) -> list[dict[str, Any]]:
    pairs = [p for p in a.pairs if p["explainer"] == "lexical" and p["a"] == a.studied and p["difference"] is not None]
    return [p for p in pairs if p["simultaneous_low"] is not None]


def _p(value: float | None) -> str:
    return "-" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def _named(pair: dict[str, Any]) -> str:
    return str({"A": pair["a"], "B": pair["b"]}.get(pair["verdict"], pair["verdict"]))


def _thirds(a: StudyStore) -> str:
    names = ("recall_strong", "recall_middle", "recall_weak")
    rows = [
        [f"`{d['dictionary']}`", *(_number(a.thirds.get((d["dictionary"], name))) for name in names)]
        for d in a.dictionaries
    ]
    return table(["dictionary", "strongest third", "middle", "weakest third"], rows) + (
        "\n\nShare of the windows that fire which `lexical`'s label finds (detection by its own lookup), by the "
        "maximum of the window: firing is counted above 0 everywhere else on this page, and this is what that hides."
    )


def _strata(a: StudyStore) -> str:
    rows = [
        [
            f"`{row['b']}`", f"{row['nats']}" + (" and above" if row["nats"] == 4 else " to " + str(row["nats"] + 1)),
            f"{row['n_a']:,}", f"{row['n_b']:,}", _number(row["mean_a"]), _number(row["mean_b"]),
            f"{row['difference']:+.3f}",
        ]
        for row in a.strata
        if row["a"] == a.studied
    ]  # fmt: skip
    heads = ["beside", "nats", f"n `{a.studied}`", "n beside", f"mean `{a.studied}`", "mean beside", "difference"]
    return (table(heads, rows) if rows else "The store has no strata.") + "\n\nPearson, census, `lexical`."


def _redrawn(a: StudyStore, b: StudyStore) -> str:
    rows = []
    for d in b.dictionaries:
        name = d["dictionary"]
        rows.append(
            [
                f"`{name}`", f"{d['n_alive']:,}/{d['n_selected']:,}", _mean(a.score(name, "lexical", *SHOWN[0])),
                _mean(b.score(name, "lexical", *SHOWN[0])), _mean(a.score(name, "context_lookup", *SHOWN[0])),
                _mean(b.score(name, "context_lookup", *SHOWN[0])),
                *(_mean(b.score(name, "lexical", *what)) for what in OUTPUTS.values()),
            ]
        )  # fmt: skip
    heads = [
        "dictionary", "alive, redrawn", "Pearson, trained", "redrawn", "ceiling, trained", "redrawn",
        *(f"{name}, redrawn" for name in OUTPUTS),
    ]  # fmt: skip
    return table(heads, rows)


def _every_metric(a: StudyStore) -> str:
    names = [d["dictionary"] for d in a.dictionaries]
    rows = []
    for design, scorer, metric in a.metrics:
        means = {
            s["dictionary"]: s["mean_all"]
            for s in a.scores
            if (s["design"], s["scorer"], s["metric"], s["explainer"]) == (design, scorer, metric, "lexical")
        }
        rows.append([f"`{metric}`, {scorer}, {design}", *(_number(means.get(name)) for name in names)])
    return table(["`lexical`", *(f"`{name}`" for name in names)], rows)


# --- in words ---------------------------------------------------------------------------------------


def _findings(a: StudyStore, b: StudyStore) -> str:
    lines = [*_agreement(a), *_of_outputs(a), *_of_entropy(a), *_of_nothing(a, b)]
    return "## What it finds\n\n" + "\n".join(f"- {line}" for line in lines)


def _agreement(a: StudyStore) -> list[str]:
    """For each baseline, how many metrics say which."""
    lines = []
    by_baseline: dict[str, Counter[str]] = {}
    for pair in _mine(a):
        by_baseline.setdefault(pair["b"], Counter())[pair["verdict"]] += 1
    for name, verdicts in by_baseline.items():
        said = ", ".join(
            f"{n} {'say' if n > 1 else 'says'} {what}"
            for what, n in (
                (f"`{a.studied}`", verdicts["A"]), (f"`{name}`", verdicts["B"]), ("equivalent", verdicts["equivalent"]),
                ("undecided", verdicts["undecided"]),
            )
            if n
        )  # fmt: skip
        disagree = "they contradict each other" if verdicts["A"] and verdicts["B"] else "none contradicts another"
        lines.append(f"`{a.studied}` against `{name}`, of {sum(verdicts.values())} scores {said}: {disagree}.")
    return lines


def _of_outputs(a: StudyStore) -> list[str]:
    lines = []
    for question, what in OUTPUTS.items():
        scores = {d["dictionary"]: a.score(d["dictionary"], "lexical", *what) for d in a.dictionaries}
        known = {name: s for name, s in scores.items() if s is not None and s["mean_all_low"] is not None}
        if not known:
            continue
        blind = [f"`{name}`" for name, score in known.items() if score["mean_all_low"] <= 0.5]
        said = f"cannot be told from chance for {listed(blind)}" if blind else "is more than chance for all"
        lines.append(f"What a label says of outputs ({question}) {said}{_told_without(a, known, what)}.")
    return lines


def _told_without(a: StudyStore, known: dict[str, dict[str, Any]], what: tuple[str, str]) -> str:
    """How often the ten tokens that were shown say more than the label."""
    completed = {name: a.score(name, COMPLETION, *what) for name in known}
    both = {name: other["mean_all"] for name, other in completed.items() if other is not None}
    more = sum(value > known[name]["mean_all"] for name, value in both.items())
    return f"; the ten tokens shown, without a label, tell more in {more} of {len(both)} dictionaries" if both else ""


def _of_entropy(a: StudyStore) -> list[str]:
    lines = []
    for name in dict.fromkeys(row["b"] for row in a.strata if row["a"] == a.studied):
        rows = [row for row in a.strata if (row["a"], row["b"]) == (a.studied, name)]
        behind = [row for row in rows if row["difference"] < 0]
        if behind:
            at = ", ".join(f"{row['nats']}{'+' if row['nats'] == 4 else ''}" for row in behind)
            by = ", ".join(f"{row['difference']:+.3f}" for row in behind)
            lines.append(
                f"Among features of the same token entropy `{a.studied}` is behind `{name}` at {at} nats ({by})."
            )
    return lines


def _of_nothing(a: StudyStore, b: StudyStore) -> list[str]:
    lines = []
    trained, redrawn = (s.score(a.studied, "lexical", *SHOWN[0]) for s in (a, b))
    if trained is not None and redrawn is not None and trained["mean_all"] and redrawn["mean_all"] is not None:
        lines.append(
            f"On a model that learned nothing the labels of `{a.studied}` still score {redrawn['mean_all']:.3f}, "
            f"{redrawn['mean_all'] / trained['mean_all']:.0%} of the {trained['mean_all']:.3f} on the trained one."
        )
    for name in (d["dictionary"] for d in a.dictionaries if d["kind"] == "random_init_sae"):
        fresh = a.score(name, "lexical", *SHOWN[0])
        if fresh is None or fresh["mean_all"] is None or trained is None:
            continue
        lines.append(
            f"An SAE that was never trained scores {fresh['mean_all']:.3f}, "
            f"and `{a.studied}` {trained['mean_all']:.3f}."
        )
    return lines


def _limits(a: StudyStore) -> str:
    return f"""## What it does not say

- One SAE of each kind, on one small model, and {a.n_tokens:,} tokens of `{a.text}`: nothing here is about methods of
  training, larger models or other text.
- The labels are `lexical`'s. They name tokens, so what a feature does with anything but tokens is not labelled at all.
- Firing metrics count an activation above 0, those called thresholded above a share of the largest (`score.threshold`).
- Logit scores are of direct effects, which are not what the model does with a feature (r about .8 where measured)."""
