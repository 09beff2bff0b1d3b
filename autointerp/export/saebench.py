"""`export saebench`: a dictionary's `accuracy_saebench` as a result file of SAEBench's eval `autointerp`.

The protocol is SAEBench's (14 windows: 2 top, 2 importance-sampled, 10 random). The windows, the text and the judge are
this store's: `sae_bench_commit_hash` names autointerp, not SAEBench, and each latent of `eval_result_unstructured`
names its explainer. The floor of the metric is 10/14: a label under which nothing fires gets .714. Fields by the schema
of sae-bench 0.6.0.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

from autointerp.errors import UserError
from autointerp.export.chosen import ChosenFeatures
from autointerp.hashing import content_hash
from autointerp.show.plain_json import as_json
from autointerp.store.evidence import dictionary_row
from autointerp.store.reader import StoreReader
from autointerp.version import __version__
from autointerp.whole_files import whole_file
from autointerp.words import explainer_order, is_ceiling, is_control

METRIC = "accuracy_saebench"


def export_saebench(
    store: StoreReader, chosen: list[ChosenFeatures], path: Path, explainer: str | None, say: Callable[[str], None]
) -> None:
    """Writes the file. Raises UserError where several dictionaries are chosen, or no feature has the score."""
    if len(chosen) != 1:
        names = ", ".join(some.dictionary for some in chosen)
        raise UserError(f"a result file of SAEBench is about one dictionary; name it by --features ({names})")
    [some] = chosen
    rows = store.rows(_SCORES, dictionary=some.dictionary, features=list(some.features), metric=METRIC)
    labels = sorted({row["explainer"] for row in rows if row["value"] is not None}, key=explainer_order)
    explainer = explainer or next((name for name in labels if not is_control(name) and not is_ceiling(name)), None)
    mine = [row for row in rows if row["explainer"] == explainer and row["value"] is not None]
    if not mine:
        who = f" by {explainer}" if explainer else ""
        raise UserError(f'no label of "{some.dictionary}"{who} has {METRIC}; explainers with a lookup get it')
    result = saebench_result(store, some.dictionary, mine)
    with whole_file(path) as stream:
        stream.write(as_json(result))
    score = result["eval_result_metrics"]["autointerp"]["autointerp_score"]
    say(f"{some.dictionary}, {explainer}: {score:.3f} over {len(mine):,} features (floor {10 / 14:.3f})")


def saebench_result(store: StoreReader, dictionary: str, scored: list[dict[str, Any]]) -> dict[str, Any]:
    """The result as SAEBench's schema has it; `scored`: the rows of one explainer, each with a value."""
    facts = dictionary_row(store, dictionary)
    [run] = store.rows("SELECT run, config, started_at FROM runs ORDER BY started_at DESC LIMIT 1")
    [subject] = store.rows("SELECT subject, dtype FROM subjects")
    [longest] = store.rows("SELECT max(len(tokens))::INTEGER AS n FROM contexts")
    [read] = store.rows("SELECT sum(n_tokens)::BIGINT AS n FROM token_splits")
    config = json.loads(run["config"])
    values = [row["value"] for row in scored]
    explainer = scored[0]["explainer"]
    latents = [row["feature"] for row in scored]
    started = run["started_at"].replace(tzinfo=UTC)
    return {
        "eval_type_id": "autointerp",
        "eval_config": {
            "model_name": subject["subject"],
            "n_latents": len(latents),
            "override_latents": None,  # SAEBench refuses both; they are the keys of eval_result_unstructured
            "dead_latent_threshold": 1,
            "random_seed": config["seed"],
            "dataset_name": config["tokens"]["source"],
            "llm_context_size": config["tokens"]["context_length"] or longest["n"],
            "llm_batch_size": config["engine"]["batch_size"],
            "llm_dtype": subject["dtype"],
            "buffer": config["tokens"]["window"] // 2,
            "no_overlap": True,
            "act_threshold_frac": 0.01,
            "total_tokens": read["n"],
            "scoring": True,
            "n_top_ex_for_scoring": 2,
            "n_random_ex_for_scoring": 10,
            "n_iw_sampled_ex_for_scoring": 2,
        },
        "eval_id": content_hash([run["run"], dictionary, explainer, latents], tag="saebench"),
        "datetime_epoch_millis": int(started.timestamp() * 1000),
        "eval_result_metrics": {
            "autointerp": {
                "autointerp_score": statistics.fmean(values),
                "autointerp_std_dev": statistics.stdev(values) if len(values) > 1 else 0.0,
            }
        },
        "eval_result_details": [],
        "sae_bench_commit_hash": f"none: autointerp {__version__}",
        "sae_lens_id": dictionary,
        "sae_lens_release_id": facts["source"] or facts["kind"],
        "sae_lens_version": None,
        "sae_cfg_dict": json.loads(facts["config"]),
        "eval_result_unstructured": {
            str(row["feature"]): {
                "latent": row["feature"],
                "explanation": row["text"],
                "score": row["value"],
                "explainer": explainer,
                "judge": "lookup",
            }
            for row in scored
        },
    }


_SCORES = """
SELECT s.feature, s.explainer, s.value, e.text FROM score_table s
LEFT JOIN current_explanations e USING (dictionary, feature, explainer)
WHERE s.dictionary = $dictionary AND s.metric = $metric AND s.feature IN (SELECT unnest($features::INTEGER[]))
ORDER BY s.feature
"""
