"""The words that run files, tables, pages and errors share, each in one place. Imports nothing.

What a word stands for lies where the registry of its kind is (`CONTRIBUTING.md` says which); a test holds each registry
equal to its words.
"""

from __future__ import annotations

from collections.abc import Iterable

STAGES = (
    "tokens", "extract", "effects", "ablate", "context_effects", "sensitivity", "token_changes", "steered_texts",
    "output_scores", "diagnostics", "geometry", "similarity", "compare_effects", "explain", "census", "judge", "score",
    "means", "compare",
)  # fmt: skip
"""In order; `run --stage NAME` stops after that one."""

# --- explainers

LEXICAL = "lexical"
"""The embedded explainer whose text says all that it predicts by."""
LEXICAL_INPUT, LEXICAL_DIRECT = "lexical_input", "lexical_direct"
LEXICAL_MEASURED, LEXICAL_ALL = "lexical_measured", "lexical_all"
LEXICAL_FORMS = (LEXICAL_INPUT, LEXICAL_DIRECT, LEXICAL_MEASURED, LEXICAL_ALL)
"""The same of other evidence: where it fires; what it promotes directly; what measurably rises; all of these."""
FROM_MEASURED = (LEXICAL_MEASURED, LEXICAL_ALL)
"""Those that label the features that were clamped, and no others."""
CONTEXT_LOOKUP = "context_lookup"
"""The table that is in every run with `lexical`."""
TOKEN_LOOKUP = "token_lookup"  # noqa: S105 - a name
CEILINGS = (CONTEXT_LOOKUP, TOKEN_LOOKUP)
"""Tables without a bound: ceilings for what knowledge of tokens can predict, and no labels."""
BESIDE = (LEXICAL, CONTEXT_LOOKUP)
"""Explainers whose lookups also stand on the windows on which an LLM's labels are simulated."""
EMBEDDED = (LEXICAL, *LEXICAL_FORMS, *CEILINGS)
"""Explainers that need no LLM and simulate by a lookup."""
PREDICTORS = (CONTEXT_LOOKUP, LEXICAL, TOKEN_LOOKUP)
"""Explainers whose census sharpens the mean of what an LLM judged on a sample; the first that a run has."""
HUMAN = "human"
"""The explainer of `autointerp label`."""
PRESETS = ("default", "sentence", "lexicon", "bills", "bricken", "delphi")

NO_LABEL = "unlabelled"
"""The explainer of what is asked about features without any explanation. Neither a label nor a control."""
CONTROLS = "controls"
"""What the controls of a dictionary are called together, where they are made together."""
LEXICAL_CONTROLS = ("shuffled", "constant", "generic")
"""The controls that are made of the `lexical` explanations."""
JUDGED_ALWAYS = ("constant", "generic")
"""Controls that a judge sees beside the shuffled ones."""
COMPLETION, UNEMBEDDING_NORM = "completion", "unembedding_norm"
"""Rankings of logit effects without an explanation: by similarity to the shown tokens, by the length of the row of the
unembedding. Neither labels nor controls."""
RANKINGS = (COMPLETION, UNEMBEDDING_NORM)
_SHUFFLED, _PERMUTED = "shuffled:", "permuted:"


def shuffled_of(explainer: str) -> str:
    """The control that gives an explainer's texts to other features."""
    return _SHUFFLED + explainer


def permuted_of(explainer: str) -> str:
    """The control that shows a judge of logit effects the vocabulary in another order."""
    return _PERMUTED + explainer


def is_control(explainer: str) -> bool:
    """Whether an explainer is there to score low: its texts are no labels.

    The column `is_control` of table `explanations` and of the views says the same, by the store's macro of that name; a
    test holds the two equal.
    """
    return explainer in LEXICAL_CONTROLS or explainer.startswith((_SHUFFLED, _PERMUTED))


def is_ceiling(explainer: str) -> bool:
    """Whether an explainer is a table that no label is as long as. The store's macro of that name says the same."""
    return explainer in CEILINGS


def is_label(explainer: str) -> bool:
    """Whether an explainer writes labels: it is neither a control nor a ceiling. The store's macro says the same."""
    return not is_control(explainer) and not is_ceiling(explainer)


def says_its_lookup(explainer: str) -> bool:
    """Whether the text of an explainer names every entry of its lookup; else its description is text and lookup. The
    store's macro says the same."""
    return explainer == LEXICAL or explainer in (*LEXICAL_FORMS, *LEXICAL_CONTROLS)


def evidence_of(explainer: str) -> str | None:
    """What an explainer was shown: input (where the feature fires), direct or measured (effects), both (input and
    direct), all; None: its name does not say. The store's macro says the same."""
    if explainer in (LEXICAL, *LEXICAL_FORMS):
        return explainer.removeprefix(LEXICAL).removeprefix("_") or "both"
    parts = explainer.split("/")
    if is_control(explainer) or len(parts) < 3:
        return None
    kinds = {"input": "input", "output": "direct", "measured": "measured", "both": "both", "all": "all"}
    return next((kinds[part] for part in reversed(parts[2:]) if part in kinds), None)


def of_permuted(explainer: str) -> str | None:
    """The explainer whose texts this control shows with the vocabulary permuted; None: it is none such."""
    return explainer.removeprefix(_PERMUTED) if explainer.startswith(_PERMUTED) else None


def predictor_among(explainers: Iterable[str]) -> str | None:
    """The explainer whose census predicts dearer scores; None: there is none of ours."""
    known = set(explainers)
    return next((name for name in PREDICTORS if name in known), None)


def of_control(explainer: str) -> str:
    """The explainer whose texts a control shows to other features, or with another vocabulary; else the name itself."""
    return explainer.removeprefix(_SHUFFLED).removeprefix(_PERMUTED)


def without_label(explainer: str) -> bool:
    """Whether nobody's explanation is shown: `unlabelled`, or its control."""
    return explainer in (NO_LABEL, shuffled_of(NO_LABEL))


def explainer_order(name: str) -> tuple[int, str]:
    """LLMs and people first, then `lexical`, then the ceilings, then the controls."""
    known = [*EMBEDDED, *RANKINGS, *LEXICAL_CONTROLS]
    place = 1 + known.index(name) if name in known else len(known) + 1 if is_control(name) else 0
    return place, name


def explainers_written(explainer: str) -> tuple[str, ...]:
    """The explainers whose rows a piece of work about this one writes."""
    return LEXICAL_CONTROLS if explainer == CONTROLS else (explainer,)


# --- scorers

MEASURED_SCORERS = (
    "logits_measured", "logits_hard_measured", "logits_measured_suppressed", "logits_hard_measured_suppressed",
)  # fmt: skip
"""Of what measurably rises or falls where a feature is clamped: of the features that were."""
LOGIT_SCORERS = (
    "logits", "logits_hard", "logits_suppressed", "logits_hard_suppressed", *MEASURED_SCORERS,
)  # fmt: skip
"""Of what a feature writes; all others are about what it reads."""
INTERVENTION = "intervention"
"""Of what the model writes with a feature's direction added: of the measured features too."""
OF_MEASURED = (*MEASURED_SCORERS, INTERVENTION)
"""Scorers that ask about measured features alone."""
SCORERS = (
    "simulation", "detection", "fuzzing", *LOGIT_SCORERS, "discrimination", "intruder", "intruder_internal",
    "generation", INTERVENTION,
)  # fmt: skip
USUAL_SCORERS = ("simulation", "detection", "fuzzing", "logits_hard")
"""Those of a run file that names none."""

LINEUP = "lineup"
"""Learned features among made-up ones: `autointerp lineup`."""
ASK_KINDS = (
    "explain", "simulate", "detect", "fuzz", "logits", "logits_hard", "discriminate", "intrude", "intrude_internal",
    "generate", "intervene", LINEUP, "probe",
)  # fmt: skip
"""What a question to an LLM is for (`Ask.kind`): to explain, for each scorer, a line-up, `probe` to test a server."""
PERSON = "person"
"""Who answers a line-up in the terminal."""

EMBEDDED_JUDGES = ("lookup", "text", "unembedding")
"""Who judges where no LLM does: behind the scorer's name in rows."""


def scorer_and_judge(name: str) -> tuple[str, str]:
    """`detection:gpt-6` as its scorer and judge; no judge where it is an embedded one. `simulation:lookup@EXPLAINER` is
    judged by `lookup@EXPLAINER`: the lookup on the windows of another explainer."""
    scorer, _, judge = name.partition(":")
    return scorer, "" if judge in EMBEDDED_JUDGES else judge


# --- dictionaries

STUDIED = ("sae", "transcoder")
"""Kinds of dictionary that are compared with baselines; the others are baselines (`config/baseline_kinds.py` lists
them), or planted."""
PLANTED = "planted"
FORMATS = (
    "saelens", "dictionary_learning", "sparsify", "openai", "gemma_scope", "gemma_scope_2", "circuit_tracer",
    "cross_layer", "llama_scope", "lm_saes", "qwen_scope", "state_dict", "kissane",
)  # fmt: skip
STATED_ACTIVATIONS = ("relu", "topk")
"""What a run file may say of a dictionary whose files do not say it."""
NATURAL = "@natural"
"""Behind a matched baseline's name: the same units at their natural density."""


def kind_of_word(word: str) -> str | None:
    """What a word is that stands in the wrong place; None: no word of ours."""
    kinds = {"a scorer": SCORERS, "an explainer": (*EMBEDDED, HUMAN), "a format of dictionaries": FORMATS}
    return next((kind for kind, words in kinds.items() if word in words), None)


INTERRUPTED = "interrupted; the same command goes on from here"
"""What a command says that Ctrl-C or SIGTERM has ended."""
INTERRUPTED_STATUS = 130
"""Its exit status."""
