"""From a feature's evidence to the question that an LLM is asked about it.

1. A style is a preset with its words (ours or a user's own) and the kind of evidence to show.
2. The marks around firing tokens are chosen for each feature, so that its text cannot forge them.
3. What all features share (instructions, demonstrations) stands in the system text, the feature's evidence behind it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autointerp.explain.demonstrations import demonstrations
from autointerp.explain.evidence import Evidence, Exemplar
from autointerp.explain.exemplar_text import NONE, heavy_tokens, listed, with_strength
from autointerp.explain.marking import Marks, choose_marks, spelled
from autointerp.explain.presets import Preset, preset_named
from autointerp.explain.template import PromptSection, Template, read_template
from autointerp.hashing import content_hash
from autointerp.llm.asks import Ask
from autointerp.resources import prompt_text

EvidenceKind = Literal["input", "output", "both", "measured", "all"]
EVIDENCE_KINDS: tuple[EvidenceKind, ...] = ("input", "output", "both", "measured", "all")
SHOWS: dict[str, tuple[EvidenceKind, ...]] = {
    "exemplars": ("input", "both", "all"),
    "effects": ("output", "both", "all"),
    "measured": ("measured", "all"),
}
"""The kinds of evidence that show each section."""

LEFT_OUT = "{n} further excerpts of this kind are left out here: there is no room for them."
LEFT_OUT_ONE = "One further excerpt of this kind is left out here: there is no room for it."

MARKED = frozenset({"open", "close", "separator"})
"""Placeholders of the marks."""
SECTIONS = {
    "system": PromptSection(optional=frozenset({"demonstrations", *MARKED})),
    "prompt": PromptSection(required=frozenset({"evidence"}), optional=MARKED),
    "exemplars": PromptSection(
        required=frozenset({"exemplars"}), optional=frozenset({"silent", "tokens", "places"}) | MARKED, needed=False
    ),
    "effects": PromptSection(
        required=frozenset({"promoted"}), optional=frozenset({"suppressed", "strength"}), needed=False
    ),
    "measured": PromptSection(required=frozenset({"risen"}), optional=frozenset({"fallen", "strength"}), needed=False),
}
"""What a template of an explainer may and must hold; a user's own takes `default`'s for the last three, any preset for
the last."""


@dataclass(frozen=True)
class Style:
    """A preset with its words and the kind of evidence: what a prompt is made by."""

    preset: Preset
    template: Template
    evidence: EvidenceKind

    @property
    def version(self) -> str:
        """Hash of the words, the demonstrations and the code's constants that the prompts are made of."""
        shown = self.preset.n_demonstrations, self.preset.n_effects, self.preset.max_tokens, self.preset.schema
        return content_hash(
            [self.preset.name, self.evidence, self.template.version, prompt_text("explain/demonstrations.json"), shown],
            tag="style",
        )


def style(preset: str, evidence: EvidenceKind, prompt: Path | None = None) -> Style:
    """One of PRESETS by name, with the user's own words from `prompt`."""
    chosen = preset_named(preset)
    template = read_template(f"explain/{preset}.md", SECTIONS, prompt)
    ours = read_template(f"explain/{preset}.md", SECTIONS).sections
    if chosen.sections:
        shared = read_template(f"explain/{chosen.sections}.md", SECTIONS).sections
        ours = {name: shared[name] for name in ("exemplars", "effects")} | dict(ours)
    if evidence in SHOWS["measured"]:
        ours = {"measured": read_template("explain/default.md", SECTIONS).sections["measured"]} | dict(ours)
    return Style(chosen, Template(template.name, {**ours, **template.sections}), evidence)


def explain_ask(style: Style, evidence: Evidence, sample: int = 0) -> Ask:
    """The question about one feature; `sample` numbers the draws of best-of-n."""
    marks = marks_for(style, evidence)
    asked = style.template.fill("prompt", {"evidence": shown_evidence(style, evidence, marks), **marks_values(marks)})
    return in_form(style, evidence, marks, asked, sample)


def in_form(style: Style, evidence: Evidence, marks: Marks, asked: str, sample: int) -> Ask:
    """A question that is answered in the preset's form."""
    preset = style.preset
    return Ask(
        "explain",
        system_text(style, marks),
        asked,
        preset.max_tokens,
        schema=preset.schema,
        sample=sample,
        about={"dictionary": evidence.dictionary, "feature": evidence.feature},
        parse=preset.reply,
    )


def marks_for(style: Style, evidence: Evidence, more: Iterable[str] = ()) -> Marks:
    """Marks that stand in no token of the feature's prompt; `more` are further tokens that it will show."""
    tokens = [token for one in evidence.exemplars for token in (*one.before, *one.tokens, *one.after)]
    demonstrated = [token for one in demonstrations(style.preset.demonstrated) for token in one.tokens_shown()]
    effects = [
        *evidence.promoted,
        *evidence.suppressed,
        *evidence.risen,
        *evidence.fallen,
        *(heavy.text for heavy in evidence.tokens),
    ]
    return choose_marks([*tokens, *effects, *demonstrated, *more], style.preset.marks)


def system_text(style: Style, marks: Marks) -> str:
    """The part that all features with the same marks share."""
    parts = []
    preset = style.preset
    for i, demonstration in enumerate(demonstrations(preset.demonstrated)[: preset.n_demonstrations], start=1):
        shown = shown_evidence(style, demonstration.evidence, marks)
        parts.append(f"Demonstration {i}\n\n{shown}\n\n{style.preset.say(demonstration.answer)}")
    return style.template.fill(
        "system",
        {"demonstrations": "\n\n".join(parts), **marks_values(marks)},
    )


def marks_values(marks: Marks) -> dict[str, str]:
    """What fills the placeholders of the marks."""
    return {"open": marks.open, "close": marks.close, "separator": marks.separator}


def shown_evidence(style: Style, evidence: Evidence, marks: Marks) -> str:
    """The evidence of the kind that the style asks for, as text."""
    preset, parts = style.preset, []
    if style.evidence in SHOWS["exemplars"]:
        gone = frozenset(evidence.left_out)
        shown = [one for one in preset.choose(evidence) if one not in gone]
        silent = [one for one in preset.silent(evidence) if one not in gone]
        # levels are relative to the largest activation shown, as published
        largest = max((abs(value) for one in shown for value in one.activations), default=0.0)
        values = {
            "exemplars": preset.show(shown, marks, largest),
            "silent": "\n".join(_near_miss(one, marks) for one in silent) or NONE,
            "tokens": heavy_tokens(evidence.tokens, marks, largest) if preset.rich else "",
            "places": _places(evidence, preset, marks, largest) if preset.rich else "",
            **marks_values(marks),
        }
        parts.append(style.template.fill("exemplars", values))
        if gone:
            parts.append(LEFT_OUT_ONE if len(gone) == 1 else LEFT_OUT.format(n=len(gone)))
    if style.evidence in SHOWS["effects"]:
        shown_promoted = evidence.promoted[: preset.n_effects]
        rich = with_strength(shown_promoted, evidence.promoted_z, marks)
        values = {
            "promoted": rich if preset.rich else listed(shown_promoted, marks),
            "strength": _strength(evidence) if preset.rich else "",
            "suppressed": listed(evidence.suppressed[: preset.n_effects], marks),
        }
        parts.append(style.template.fill("effects", values))
    if style.evidence in SHOWS["measured"]:
        shown_risen, z = evidence.risen[: preset.n_effects], evidence.risen_z if preset.rich else ()
        values = {
            "risen": with_strength(shown_risen, z, marks) if preset.rich else listed(shown_risen, marks),
            "strength": "The number behind a token is its z." if z else "",
            "fallen": listed(evidence.fallen[: preset.n_effects], marks),
        }
        parts.append(style.template.fill("measured", values))
    return "\n\n".join(part.rstrip() for part in parts)


def _near_miss(exemplar: Exemplar, marks: Marks) -> str:
    """The token that makes it one, and the excerpt."""
    token = f'"{spelled(exemplar.tokens[exemplar.peak], chr(34) + marks.escaped)}"'
    return f"- {token}: {marks.text(''.join(exemplar.tokens))}"


AT_START = 2.0
"""Times as many firings as tokens in the first sixteenth of a context: from here on it is said."""
ON_OUTLIERS = 0.1
"""Share of the firings on tokens of enormous norm: from here on it is said."""
N_OUTLIERS = 3


def _places(evidence: Evidence, preset: Preset, marks: Marks, maximum: float) -> str:
    """Where it fires in a context, and its firings on tokens of enormous norm, where these say something."""
    lines = []
    if evidence.at_start is not None and evidence.at_start[0] >= AT_START * evidence.at_start[1]:
        firings, tokens = evidence.at_start
        lines.append(
            f"{firings:.0%} of its firings stand in the first sixteenth of what the model reads at once, where "
            f"{tokens:.0%} of the tokens stand."
        )
    if evidence.on_outliers >= ON_OUTLIERS:
        shown = [one for one in evidence.exemplars if one.stratum == "outlier"][:N_OUTLIERS]
        largest = max([maximum, *(abs(value) for one in shown for value in one.activations)])
        lines.append(
            f"{evidence.on_outliers:.0%} of its firings stand on tokens whose activations are many times as large as "
            "all others, whatever they mean (often the first of a context, line breaks, lone spaces):"
        )
        lines.append(preset.show(shown, marks, largest))
    return "\n".join(lines)


def _strength(evidence: Evidence) -> str:
    """How far the list of promoted tokens can be trusted."""
    if not evidence.promoted_z:
        return ""
    held = "More than a thousand tokens hold" if evidence.n_half is None else f"{evidence.n_half:,} tokens hold"
    return f"The number behind a token is its z. {held} half of the effect."
