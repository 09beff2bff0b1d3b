"""`export neuronpedia`: dictionaries in the layout that Neuronpedia's import of a local instance reads.

    FOLDER/MODEL/SOURCE/release.jsonl, model.jsonl, sourceset.jsonl, source.jsonl     a row each
    FOLDER/MODEL/SOURCE/features/batch-N.jsonl.gz         table Neuron: features 1,024 N and the next 1,023
    FOLDER/MODEL/SOURCE/explanations/batch-N.jsonl.gz     table Explanation: one label a feature
    FOLDER/MODEL/SOURCE/activations/batch-N.jsonl.gz      table Activation: the top windows

SOURCE is LAYER-SET, as Neuronpedia names them. Columns are those of Neuronpedia's own export. `typeName` and
`explanationModelName` are empty, because they refer to rows that only Neuronpedia's database has; scores are
left out for the same reason. What the store does not hold (histograms of logits, alignment with neurons, vectors) is an
empty list. Read off hijohnnylin/neuronpedia: `utils/neuronpedia-utils` and `schema.prisma`, November 2026.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from autointerp.errors import UserError
from autointerp.export.chosen import ChosenFeatures, cards_of, label_of
from autointerp.hashing import content_hash
from autointerp.show.card_data import FeatureCard
from autointerp.show.card_exemplars import CardExemplar
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable
from autointerp.store.reader import StoreReader
from autointerp.whole_files import whole_folder

BATCH = 1024
"""Features of a file."""
TOP = 20
"""Windows of a feature."""
USER = "clkht01d40000jv08hvalcvly"
"""The user that a local instance begins with."""
_LAYER = re.compile(r"blocks\.(\d+)\.")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
Row = dict[str, Any]


def export_neuronpedia(
    store: StoreReader,
    chosen: Sequence[ChosenFeatures],
    folder: Path,
    explainer: str | None,
    say: Callable[[str], None],
    *,
    model: str | None = None,
    source_set: str | None = None,
    creator: str = USER,
) -> None:
    """Writes the folder. Raises UserError where its name is taken, where a dictionary is in no layer, or where two
    would be one source."""
    [subject] = store.rows("SELECT * FROM subjects")
    model = _name("--model-id", model) or _slug(subject["subject"])
    sources = {some.dictionary: _source(store, some.dictionary, source_set) for some in chosen}
    if len(set(sources.values())) < len(sources):
        raise UserError(f"two dictionaries would both be source {max(sources.values())}; leave --source-set away")
    with whole_folder(folder) as part:
        for some in chosen:
            source = sources[some.dictionary]
            place = part / model / source
            for kind in ("features", "explanations", "activations"):
                (place / kind).mkdir(parents=True)
            for name, row in _heads(store, some.dictionary, subject, model, source, creator).items():
                (place / f"{name}.jsonl").write_text(f"{json.dumps(row, ensure_ascii=False)}\n", encoding="utf-8")
            n = _write_batches(store, some, place, explainer, {"modelId": model, "layer": source}, creator)
            say(f"{model}/{source}: {len(some.features):,} features of {some.dictionary}, {n:,} labels")


def _write_batches(
    store: StoreReader, some: ChosenFeatures, place: Path, explainer: str | None, key: Row, creator: str
) -> int:
    """Writes the batches; returns how many labels stand in them."""
    hook = dictionary_row(store, some.dictionary)["hook"]
    edges = {row["feature"]: row for row in store.rows(_HISTOGRAMS, dictionary=some.dictionary)}
    n_labels = 0
    for batch, cards in groupby(cards_of(store, some, top=TOP, each=0), key=lambda card: card.feature // BATCH):
        features: list[Row] = []
        explanations: list[Row] = []
        activations: list[Row] = []
        for card in cards:
            mine = {**key, "index": str(card.feature)}
            features.append(_feature(card, mine, hook, creator, edges.get(card.feature)))
            explanations += _explanations(card, mine, explainer, creator)
            tops = [window for window in card.exemplars if window.stratum == "top"]
            activations += [_activation(window, mine, creator) for window in tops]
        for kind, rows in (("features", features), ("explanations", explanations), ("activations", activations)):
            lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
            zipped = gzip.compress(lines.encode("utf-8", "backslashreplace"), compresslevel=5, mtime=0)
            (place / kind / f"batch-{batch}.jsonl.gz").write_bytes(zipped)
        n_labels += len(explanations)
    return n_labels


def _feature(card: FeatureCard, key: Row, hook: str, creator: str, histogram: Row | None) -> Row:
    heights: list[float] = list(map(float, histogram["histogram_linear"])) if histogram else []
    width = histogram["histogram_upper"] / len(heights) if histogram and heights else 0.0
    row: Row = {
        **key,
        "maxActApprox": card.max_activation,
        "creatorId": creator,
        "frac_nonzero": card.density,
        "freq_hist_data_bar_heights": heights,
        "freq_hist_data_bar_values": [width * (place + 0.5) for place in range(len(heights))],
        "neg_str": [effect.text for effect in card.suppressed],
        "neg_values": [effect.effect for effect in card.suppressed],
        "pos_str": [effect.text for effect in card.promoted],
        "pos_values": [effect.effect for effect in card.promoted],
        "sourceSetName": key["layer"].partition("-")[2],
        "topkCosSimIndices": [near.feature for near in card.neighbours],
        "topkCosSimValues": [near.cosine for near in card.neighbours],
        "vector": [],
        "vectorLabel": None,
        "hookName": hook,
        "vectorDefaultSteerStrength": card.max_activation,
        "hasVector": False,
    }
    return row | {name: [] for name in _NOT_HELD}


_NOT_HELD = (
    "logits_hist_data_bar_heights", "logits_hist_data_bar_values", "neuron_alignment_indices", "neuron_alignment_l1",
    "neuron_alignment_values", "correlated_neurons_indices", "correlated_neurons_l1", "correlated_neurons_pearson",
    "decoder_weights_dist",
)  # fmt: skip

_HISTOGRAMS = """
SELECT feature, histogram_linear, histogram_upper FROM feature_splits
WHERE dictionary = $dictionary AND split = 'explain'
"""


def _explanations(card: FeatureCard, key: Row, explainer: str | None, creator: str) -> Iterator[Row]:
    line = label_of(card, explainer)
    if line is None:
        return
    yield {
        "id": _id("explanation", key, line.explainer, line.text),
        **key,
        "authorId": creator,
        "description": line.text,
        "embedding": None,
        "typeName": None,
        "explanationModelName": None,
        "umap_x": 0,
        "umap_y": 0,
        "umap_cluster": 0,
        "umap_log_feature_sparsity": 0,
    }


def _activation(window: CardExemplar, key: Row, creator: str) -> Row:
    values = [token.activation for token in window.tokens]
    largest = max(values)
    return {
        "id": _id("activation", key, window.context, window.window_start),
        **key,
        "creatorId": creator,
        "dataSource": None,
        "tokens": [token.text for token in window.tokens],
        "maxValue": largest,
        "minValue": min(values),
        "values": values,
        "maxValueTokenIndex": values.index(largest),
        "dfaValues": [],
        "dfaMaxValue": None,
        "dfaTargetIndex": None,
        "binContains": -1,
        "binMin": -1,
        "binMax": -1,
    }


def _heads(store: Queryable, dictionary: str, subject: Row, model: str, source: str, creator: str) -> dict[str, Row]:
    """The one-row tables, by file."""
    facts = dictionary_row(store, dictionary)
    [run] = store.rows("SELECT name, config FROM runs ORDER BY started_at DESC LIMIT 1")
    tokens = json.loads(run["config"])["tokens"]
    [read] = store.rows("SELECT sum(n_contexts)::BIGINT AS n_contexts FROM token_splits")
    set_name, now = source.partition("-")[2], datetime.now(UTC).isoformat()
    made = {"creatorId": creator, "createdAt": now, "visibility": "PRIVATE"}
    named: Row = {"creatorName": "autointerp", "creatorEmail": None, "urls": []}
    release = _slug(run["name"])
    return {
        "release": {"name": release, "description": f"autointerp: {run['name']}", "descriptionShort": run["name"],
                    "creatorNameShort": "autointerp", "isNewUi": False, "featured": False, "defaultSourceSetName": None,
                    "defaultSourceId": None, "defaultUmapSourceIds": [], **named, **made},
        "model": {"id": model, "instruct": False, "displayNameShort": model, "displayName": model, "tlensId": None,
                  "dimension": subject["d_model"], "defaultSourceSetName": None, "defaultSourceId": None,
                  "inferenceEnabled": False, "layers": subject["n_layers"], "neuronsPerLayer": 0, "owner": "",
                  "updatedAt": now, "website": None, **made},
        "sourceset": {"modelId": model, "name": set_name, "hasDashboards": True, "type": "", "releaseName": release,
                      "description": f"{facts['kind']} at {facts['hook']}", "defaultOfModelId": None,
                      "defaultRange": 1, "defaultShowBreaks": True, "showDfa": False, "showCorrelated": False,
                      "showHeadAttribution": False, "showUmap": False, **named, **made},
        "source": {"id": source, "modelId": model, "setName": set_name, "hasDashboards": True,
                   "inferenceEnabled": False, "saelensConfig": None, "saelensRelease": None, "saelensSaeId": None,
                   "hfRepoId": None, "hfFolderId": None, "defaultOfModelId": None, "hasUmap": False,
                   "hasUmapLogSparsity": False, "hasUmapClusters": False, "num_prompts": read["n_contexts"],
                   "num_tokens_in_prompt": tokens["context_length"], "dataset": tokens["source"], "notes": None,
                   **made},
    }  # fmt: skip


def _source(store: Queryable, dictionary: str, source_set: str | None) -> str:
    hook = dictionary_row(store, dictionary)["hook"]
    parts = _LAYER.match(hook)
    if parts is None:
        raise UserError(f'"{dictionary}" is at {hook}, which is in no layer; Neuronpedia names sources by layer')
    return f"{parts[1]}-{_name('--source-set', source_set) or _slug(dictionary)}"


def _name(option: str, name: str | None) -> str | None:
    if name is not None and not _NAME.fullmatch(name):
        raise UserError(f'{option} "{name}": give letters, digits, dots, dashes and underscores')
    return name


def _slug(name: str) -> str:
    """The last part of a name or path, in the letters that Neuronpedia takes."""
    last = re.split(r"[/\\:]", name.rstrip("/\\"))[-1]
    return re.sub(r"[^a-z0-9_-]+", "-", last.lower()).strip("-") or "autointerp"


def _id(*about: object) -> str:
    """25 characters that name a row, the same each time."""
    return "c" + content_hash(about, tag="neuronpedia")[:24]
