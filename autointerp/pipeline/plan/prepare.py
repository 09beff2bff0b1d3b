"""Everything that can be wrong with a run is found here, before anything is written.

The order is from cheap to dear: the run file, the sources' files, the store (is it ours, is it free),
the subject, the hook points, the dictionaries' weights and widths.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.features import FeatureChoice, FeatureSample
from autointerp.config.run_file import RunConfig
from autointerp.errors import ConfigError, InputError
from autointerp.extract.effects import RESIDUAL
from autointerp.hashing import content_hash, hash64, stream_key
from autointerp.pipeline.asking.checks import check_llms
from autointerp.pipeline.human_labels import labels_in
from autointerp.pipeline.plan.reask import Redos, Wish, redos_of
from autointerp.pipeline.plan.work import What, Work
from autointerp.pipeline.plan.work_graph import works_of
from autointerp.records import Int64
from autointerp.score.scorers.registry import scorers_of
from autointerp.subject.baselines import base_name, match_order, n_baseline_features, natural_name
from autointerp.subject.chat import template_hash
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.documents import Source
from autointerp.subject.formats import check_path, load_dictionary
from autointerp.subject.hook_truth import check_truth
from autointerp.subject.loading import resolve_model
from autointerp.subject.model import Subject
from autointerp.subject.model_files import other_tokenizer
from autointerp.subject.opening import open_subject
from autointerp.subject.random_init import random_init_sae
from autointerp.subject.recorded import RecordedSubject
from autointerp.subject.sources import ROWS_KINDS, Npy, open_source, parse_source
from autointerp.subject.tokenise import TokenPlan, recorded_commit
from autointerp.words import NATURAL

DEFAULT_CONTEXT_LENGTH = 128


@dataclass(frozen=True)
class Prepared:
    """A checked run."""

    config: RunConfig
    subject: Subject
    tokens: TokenPlan
    saes: dict[str, SparseAutoencoder]  # dictionaries read from files, and fresh ones like them, by name
    hooks: dict[str, str]  # hook point of every dictionary, by name
    features: dict[str, Int64]  # features of every dictionary that are extracted, by name
    works: tuple[Work, ...]
    """All work of the run, in order."""
    redos: Redos = Redos()
    """What is asked again."""

    @cached_property
    def run(self) -> str:
        """The identity of the configuration: hash of all its work."""
        return content_hash([work.key for work in self.works], tag="run")

    @property
    def store_path(self) -> Path:
        return self.config.store_path

    @property
    def work_folder(self) -> Path:
        """Token file and fitted baselines; can be deleted, and is made again where it is missing."""
        return work_folder(self.config)

    def work(
        self, stage: str, dictionary: str | None = None, explainer: str | None = None, scorer: str | None = None
    ) -> Work:
        """The piece of work that makes these rows."""
        return self._by_what[stage, dictionary, explainer, scorer]

    @cached_property
    def _by_what(self) -> dict[What, Work]:
        return {work.what: work for work in self.works}


def work_folder(config: RunConfig) -> Path:
    return config.store_path.with_name(config.store_path.name + ".work")


def check_paths(config: RunConfig) -> None:
    """What can be checked without loading anything."""
    if config.engine.kind == "ray" and importlib.util.find_spec("ray") is None:
        raise ConfigError('engine.kind = "ray": Ray is not installed; pip install "ray>=2.40,<3"')
    _source(config)
    resolve_model(config.subject.model)
    for entry in config.dictionary:
        if entry.path is not None:
            check_path(entry.path)
    folder = config.store_path.absolute().parent
    if not folder.is_dir():
        raise InputError(f'store: there is no folder "{folder}" to put the store in')
    check_llms(config)


def prepare(
    config: RunConfig,
    wish: Wish = Wish(),
    subject: Subject | None = None,
    saes: dict[str, SparseAutoencoder] | None = None,
) -> Prepared:
    """Loads the subject and the dictionaries, those of the two that are not given, and checks them. Raises UserError,
    and writes nothing. `wish` is what to ask again."""
    check_paths(config)
    redos = redos_of(config, wish, config.store_path)
    config = with_natural_twins(config)
    subject = subject or open_subject(config)
    saes = _read_saes(config) if saes is None else saes
    hooks = {entry.name: _hook_of(entry, saes) for entry in config.dictionary}
    widths = {name: subject.width(hook) for name, hook in hooks.items()}
    if not isinstance(subject, RecordedSubject):  # what a store is about was checked when it was made
        check_truth(subject, sorted({*hooks.values(), *written_hooks(subject, saes)}))
    for name, dictionary in saes.items():
        if dictionary.processing not in (None, subject.processing):
            raise InputError(
                f'dictionary "{name}" was trained on the {dictionary.processing} model, but [subject] has '
                f'processing = "{subject.processing}"; set it to "{dictionary.processing}"'
            )
        if dictionary.d_in != widths[name]:
            raise InputError(
                f'dictionary "{name}": its d_in is {dictionary.d_in}, but "{hooks[name]}" of "{subject.name}" '
                f"is {widths[name]} wide; check the hook and the subject"
            )
    _check_basis(config, hooks)
    features = _features(config, saes, widths)
    tokens = token_plan(config, subject)
    if (left := config.evidence.left) is not None and left >= tokens.window:
        raise ConfigError(
            f"evidence.left = {left}, but an exemplar shows {tokens.window} tokens, its peak among them; "
            f"give at most {tokens.window - 1}"
        )
    for name, scorer in scorers_of(config.score.scorers).items():
        if scorer.shape == "generated" and subject.tokenizer is None:
            raise InputError(
                f'score.scorers: "{name}" has the subject read texts, and the subject has no tokenizer; leave it out'
            )
    labels = labels_in(config.store_path, config.explain.kept)
    for name in config.explain.imported:
        if not any(explainer == name for _, explainer in labels):
            raise ConfigError(
                f'explain.explainers: the store "{config.store_path}" holds no labels by "{name}"; '
                "`autointerp import` takes them in, into a store that a run has made"
            )
    works = works_of(config, subject, tokens, saes, hooks, labels, redos)
    return Prepared(config, subject, tokens, saes, hooks, features, works, redos)


def _read_saes(config: RunConfig) -> dict[str, SparseAutoencoder]:
    """Dictionaries read from files, and fresh ones like them, by name."""
    saes = {
        entry.name: load_dictionary(
            entry.path,
            hook=entry.hook,
            kind=entry.kind_name,
            format=entry.format,
            activation=entry.activation,
            k=entry.k,
        )
        for entry in config.dictionary
        if entry.path is not None
    }
    for entry in config.dictionary:
        if entry.like is not None:
            saes[entry.name] = random_init_sae(saes[entry.like], entry.name, config.seed, entry.like)
    return saes


def written_hooks(subject: Subject, saes: dict[str, SparseAutoencoder]) -> list[str]:
    """The hook points of the subject that transcoders write to."""
    outs = [sae.hook_out for sae in saes.values() if sae.hook_out is not None]
    return [hook for hook in outs if hook in subject.bridge.hook_dict]


def with_natural_twins(config: RunConfig) -> RunConfig:
    """Behind each matched baseline that asks for it: the same units at their natural density, an entry of its own."""
    entries = []
    for entry in config.dictionary:
        twin = entry.model_copy(update={"name": natural_name(entry.name), "natural": False})
        entries += [entry, twin] if entry.natural else [entry]
    return config.model_copy(update={"dictionary": entries})


def _check_basis(config: RunConfig, hooks: dict[str, str]) -> None:
    for entry in config.dictionary:
        if entry.kind == "residual_basis" and not RESIDUAL.fullmatch(hooks[entry.name]):
            raise InputError(
                f'dictionary "{entry.name}": "{hooks[entry.name]}" is not in the residual stream; '
                'kind = "neurons" takes the coordinates of any hook'
            )


def _features(config: RunConfig, saes: dict[str, SparseAutoencoder], widths: dict[str, int]) -> dict[str, Int64]:
    """The features of each dictionary that are extracted; so many, and those to be scored, must be there."""
    chosen: dict[str, Int64] = {}
    for entry in sorted(config.dictionary, key=lambda entry: entry.match is not None):  # targets first
        if entry.name.endswith(NATURAL):
            chosen[entry.name] = chosen[base_name(entry.name)]
            continue
        if entry.name in saes:
            n = saes[entry.name].n_features
        else:
            n = n_baseline_features(entry, widths[entry.name], len(chosen[entry.match]) if entry.match else None)
        chosen[entry.name] = choose_features(entry.features, n, config.seed, entry.name)
        if entry.match is None:
            choose_scored(config.score.features, chosen[entry.name], n, config.seed, entry.name)
            for key, choice in (
                ("effects.features", config.effects.features),
                ("effects.geometry_features", config.effects.geometry_features),
            ):
                if choice != "none":
                    choose_scored(choice, chosen[entry.name], n, config.seed, entry.name, key)
    return chosen


def _hook_of(entry: DictionaryEntry, saes: dict[str, SparseAutoencoder]) -> str:
    if entry.path is not None:
        return saes[entry.name].hook
    beside = entry.match or entry.like
    target = saes[beside].hook if beside is not None else None
    if entry.hook is not None and target is not None and entry.hook != target:
        what = "it is matched to" if entry.match else "it is like"
        raise ConfigError(
            f'dictionary "{entry.name}": hook = "{entry.hook}", but {what} "{beside}" at "{target}"; '
            "matching needs the same hook"
        )
    hook = entry.hook or target
    assert hook is not None  # config/dictionary_entry.py asks for it
    return hook


def token_plan(config: RunConfig, subject: Subject) -> TokenPlan:
    """How the run's text is cut for its subject. Raises UserError where they do not fit."""
    wanted = config.tokens
    kind, rest = parse_source(wanted.source)
    source = _source(config)
    length = wanted.context_length
    prepend = wanted.prepend_bos
    if isinstance(source, Npy):
        width = source.array.shape[1]
        if length is not None and length != width:
            raise InputError(f'tokens.context_length = {length}, but the rows of "{rest}" are {width} long')
        prepend = bool(prepend)
        length = width + prepend
    else:
        length = length or DEFAULT_CONTEXT_LENGTH
        prepend = prepend is not False
        if subject.tokenizer is None:
            what = "only an npy: source of token ids can be used with it"
            raise InputError(f'"{subject.name}" has no tokenizer: {what}{other_tokenizer(subject.name)}')
    if prepend and subject.bos is None:
        outside = [line for line in subject.differences if line.startswith("bos: ") and "lies outside" in line]
        why = f" ({outside[0].removeprefix('bos: ')})" if outside else ""
        raise InputError(f'"{subject.name}" has no BOS token{why}; set prepend_bos = false')
    if length > subject.n_ctx:
        what = f"rows of {length - 1} tokens and a BOS" if kind == "npy" and prepend else f"contexts of {length} tokens"
        raise InputError(f"tokens: {what} are longer than the {subject.n_ctx} tokens that the subject takes")
    return TokenPlan(
        source=_named(wanted.source),
        context_length=length,
        n_tokens=wanted.n_tokens,
        allow_fewer=wanted.allow_fewer,
        bos=subject.bos if prepend else None,
        special=subject.special,
        d_vocab=subject.d_vocab,
        window=min(wanted.window, length),
        shares=(wanted.splits.explain, wanted.splits.select, wanted.splits.score),
        tokenizer=subject.tokenizer_hash(),
        content=source.fingerprint(),
        subset=wanted.subset,
        hf_split=wanted.hf_split,
        revision=wanted.revision,
        commit=source.commit,
        chat=wanted.chat,
        chat_template=template_hash(subject.tokenizer) if kind in ROWS_KINDS else "",
    )


def _source(config: RunConfig) -> Source:
    """The source of the tokens; one with revisions is read at the commit where this run's token file was read."""
    wanted = config.tokens
    folder = work_folder(config)
    return open_source(
        wanted.source,
        subset=wanted.subset,
        hf_split=wanted.hf_split,
        revision=wanted.revision,
        commit=recorded_commit(folder, _named(wanted.source), wanted.subset, wanted.hf_split, wanted.revision),
    )


def _named(source: str) -> str:
    """A source's name from any working directory."""
    kind, rest = parse_source(source)
    path, mark, field = rest.partition("#")
    if kind in ("bundled", "python-stdlib") or (kind == "hf" and not Path(path).is_dir()):
        return source
    return f"{kind}:{Path(path).absolute()}{mark}{field}"


def choose_features(choice: FeatureChoice, n_features: int, seed: int, name: str, key: str = "features") -> Int64:
    """The features that a choice means, rising. Raises ConfigError where they are out of range."""
    if choice == "all":
        return np.arange(n_features)
    if isinstance(choice, FeatureSample):
        order = np.argsort(hash64(stream_key(seed, "features", name), np.arange(n_features)), kind="stable")
        return np.sort(order[: choice.sample])
    if isinstance(choice, str):
        first, last = (int(part) for part in choice.split(":"))
        fits = first < last <= n_features
        chosen = np.arange(first, last) if fits else None
    else:
        fits = bool(choice) and max(choice) < n_features
        chosen = np.unique(np.array(choice, dtype=np.int64)) if fits else None
    if chosen is None:
        shown = choice if isinstance(choice, str) or len(choice) < 8 else f"[... {max(choice)}]"
        raise ConfigError(f'dictionary "{name}": {key} = {shown}, but it has features 0 to {n_features - 1}')
    return chosen


def choose_scored(
    choice: FeatureChoice, features: Int64, n_features: int, seed: int, name: str, key: str = "score.features"
) -> Int64:
    """The features that `key` chooses of those extracted: a hash sample, or the ones of these numbers.

    A sample takes the features that baselines are paired with first: so it has partners in every matched baseline.
    """
    if choice == "all":
        return features
    if isinstance(choice, FeatureSample):
        return np.sort(match_order(features, seed, name)[: choice.sample])
    scored = np.intersect1d(features, choose_features(choice, n_features, seed, name, key))
    if len(scored) == 0:
        raise ConfigError(f'dictionary "{name}": none of {key} is among the features that it extracts')
    return scored
