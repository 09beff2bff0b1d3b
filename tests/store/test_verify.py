"""Every check passes on a good store, and fails on one that is wrong in just that way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import built_store
import duckdb
import pytest

from autointerp.store.reader import open_reader
from autointerp.store.verify import CHECKS, Check, check_names, run_check, verify
from autointerp.store.writer import StoreWriter


def checks_of(path: Path) -> dict[str, Check]:
    with open_reader(path) as reader:
        return {check.name: check for check in verify(reader)}


def test_a_good_store_passes_and_nothing_is_passed_over(built: tuple[Path, object]) -> None:
    checks = checks_of(built[0])
    assert [check for check in checks.values() if not check.ok] == []
    assert [check.name for check in checks.values() if check.n_checked == 0] == []
    assert list(checks) == check_names()


def test_an_empty_store_has_nothing_wrong(tmp_path: Path) -> None:
    StoreWriter.open(tmp_path / "x.duckdb").close()
    checks = checks_of(tmp_path / "x.duckdb")
    assert all(check.ok for check in checks.values())
    assert "(nothing to check yet)" in checks["exemplars_in_their_split"].detail


def test_a_store_cut_short_has_nothing_wrong(tmp_path: Path) -> None:
    world = built_store.make_world()
    with StoreWriter.open(tmp_path / "x.duckdb") as writer, writer.transaction() as t:
        built_store.write_tokens(t, world)
        built_store.write_dictionary(t, "sae")
    assert all(check.ok for check in checks_of(tmp_path / "x.duckdb").values())


def test_every_file_begins_with_its_sentence() -> None:
    for path in CHECKS.glob("*.sql"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("-- ")
        assert first.endswith("."), path.name


ONE_EXEMPLAR = "WHERE dictionary = 'sae' AND feature = 1 AND split = 'explain' AND stratum = 'top' AND rank = 0"
ONE_TEXT = "WHERE dictionary = 'sae' AND feature = 1 AND explainer = 'lexical'"
ONE_SCORE = "WHERE dictionary = 'sae' AND feature = 1 AND explainer = 'lexical' AND design = 'census'"

CORRUPTIONS = [
    (
        "documents_in_one_split",
        "UPDATE contexts SET document_hash = (SELECT min(document_hash) FROM contexts WHERE split = 'explain') "
        "WHERE context = (SELECT max(context) FROM contexts WHERE split = 'score')",
    ),
    ("contexts_marked", "UPDATE contexts SET scored = [true] || scored[2:] WHERE context = 5"),
    ("contexts_marked", "UPDATE contexts SET scored = scored[:3] WHERE context = 5"),
    ("exemplars_in_their_split", f"UPDATE exemplars SET split = 'score' {ONE_EXEMPLAR}"),
    ("exemplars_in_their_split", f"UPDATE exemplars SET context = 12345 {ONE_EXEMPLAR}"),
    (  # a licence header: the explain window's scored tokens stand in a context of the score split as well
        "explain_windows_not_elsewhere",
        "UPDATE contexts SET tokens = tokens[:8] || (SELECT e.tokens[9:16] FROM contexts e WHERE context = "
        "(SELECT min(context) FROM exemplars WHERE split = 'explain' AND window_start = 8)) "
        "|| tokens[16:] WHERE context = (SELECT min(context) FROM contexts WHERE split = 'score' AND len(tokens) = 16)",
    ),
    ("activations_finite", f"UPDATE exemplars SET activations = ['nan'::FLOAT] || activations[2:] {ONE_EXEMPLAR}"),
    ("activations_finite", f"UPDATE exemplars SET activations = [0::FLOAT] || activations[2:] {ONE_EXEMPLAR}"),
    ("activations_finite", f"UPDATE exemplars SET activations = activations || [1::FLOAT] {ONE_EXEMPLAR}"),
    (
        "maximum_is_of_the_activations",
        "UPDATE exemplars SET activations = list_transform(activations, lambda a: 99) "
        f"{ONE_EXEMPLAR}",
    ),
    ("positions_in_their_window", f"UPDATE exemplars SET positions = [8] {ONE_EXEMPLAR}"),
    ("positions_in_their_window", f"UPDATE exemplars SET positions = [3, 2] {ONE_EXEMPLAR}"),
    ("positions_in_their_window", "UPDATE exemplars SET window_start = 3, peak = 4 WHERE stratum = 'random'"),
    ("positions_in_their_window", f"UPDATE exemplars SET peak = window_start + 8 {ONE_EXEMPLAR}"),
    ("positions_in_their_window", f"UPDATE exemplars SET n_tokens = 9 {ONE_EXEMPLAR}"),
    ("positions_in_their_window", "UPDATE exemplars SET n_tokens = 7 WHERE stratum = 'F' AND split = 'select'"),
    (
        "no_dropped_window_is_shown",
        "UPDATE contexts SET scored = [scored[1], scored[2]] || [false] || scored[4:] WHERE context = "
        "(SELECT min(context) FROM exemplars WHERE split = 'explain' AND window_start = 0)",
    ),
    ("places_add_up", "UPDATE feature_splits SET position_histogram = [1] || position_histogram[2:] WHERE feature = 1"),
    ("places_add_up", "UPDATE token_splits SET position_histogram = position_histogram[2:]"),
    ("clusters_by_density", "UPDATE feature_diagnostics SET density_cluster = 'ultralow' WHERE feature = 1"),
    ("clusters_by_density", "UPDATE feature_diagnostics SET density_cluster = 'main' WHERE feature = 4"),
    ("clusters_by_density", "UPDATE feature_diagnostics SET ultralow_below = 0.04 WHERE feature = 5"),
    ("diagnostics_possible", "UPDATE feature_diagnostics SET neuron_correlation = 1.01 WHERE feature = 1"),
    ("diagnostics_possible", "UPDATE feature_diagnostics SET neuron_correlation = NULL WHERE feature = 1"),
    ("diagnostics_possible", "UPDATE feature_diagnostics SET alone_correlation = NULL WHERE feature = 1"),
    ("diagnostics_possible", "UPDATE feature_diagnostics SET alone = alone[2:] WHERE feature = 1"),
    ("diagnostics_possible", "UPDATE feature_diagnostics SET neuron_hook = NULL WHERE feature = 1"),
    ("diagnostics_possible", "UPDATE feature_neighbours SET neighbour = 6 WHERE feature = 1"),
    ("diagnostics_possible", "UPDATE feature_neighbours SET neighbour = feature WHERE feature = 1"),
    ("diagnostics_possible", "UPDATE feature_neighbours SET correlation = NULL WHERE feature = 1"),
    (
        "activations_at_scored_tokens",
        "UPDATE contexts SET scored = list_transform(scored, lambda x: false) "
        f"WHERE context = (SELECT context FROM exemplars {ONE_EXEMPLAR})",
    ),
    ("every_feature_has_a_row", "DELETE FROM features WHERE dictionary = 'sae' AND feature = 4"),
    ("every_feature_has_a_row", "DELETE FROM features WHERE dictionary = 'sae'"),
    ("every_feature_has_a_row", "UPDATE features SET feature = 6 WHERE dictionary = 'sae' AND feature = 4"),
    ("every_feature_has_a_row", "UPDATE features SET feature = 3 WHERE dictionary = 'sae' AND feature = 4"),
    ("every_feature_has_its_splits", "DELETE FROM feature_splits WHERE feature = 4 AND split = 'select'"),
    ("every_feature_has_its_splits", "INSERT INTO feature_splits FROM feature_splits WHERE feature = 4"),
    ("every_feature_has_its_splits", "UPDATE feature_splits SET split = 'scroe' WHERE feature = 4 AND split = 'score'"),
    ("densities_consistent", "UPDATE features SET density = density * 1.01 WHERE feature = 1"),
    ("densities_consistent", "UPDATE feature_splits SET density = density * 1.01 WHERE split = 'score'"),
    ("densities_consistent", "UPDATE feature_splits SET n_firing_windows = 0 WHERE feature = 1 AND split = 'score'"),
    ("densities_consistent", "UPDATE feature_splits SET variance = 'nan' WHERE feature = 1 AND split = 'score'"),
    ("densities_consistent", "UPDATE feature_splits SET n_firing_outliers = n_firing + 1 WHERE feature = 1"),
    ("norms_possible", "UPDATE hook_norms SET norm_limit = 2 * median"),
    ("norms_possible", "UPDATE hook_norms SET n_outliers = 0"),
    ("norms_possible", "UPDATE dictionaries SET norm_limit = 99 WHERE dictionary = 'random'"),
    ("norms_possible", "DELETE FROM hook_norms"),
    ("status_says_firings", "UPDATE features SET status = 'alive' WHERE feature = 5"),
    ("status_says_firings", "UPDATE features SET status = 'rare' WHERE feature = 4"),
    ("histograms_add_up", "UPDATE feature_splits SET histogram_linear = [1] || histogram_linear[2:] WHERE feature = 4"),
    ("histograms_add_up", "UPDATE feature_splits SET histogram_upper = max_activation WHERE feature = 1"),
    ("tokens_agree", "UPDATE token_splits SET n_tokens = n_tokens + 1 WHERE split = 'select'"),
    ("tokens_agree", "UPDATE vocab SET n_score = n_score + 1 WHERE token = 3"),
    ("tokens_agree", "UPDATE feature_splits SET n_windows = n_windows + 1 WHERE feature = 1 AND split = 'score'"),
    ("tokens_agree", "UPDATE feature_blocks SET n = [1] || n WHERE feature = 1"),
    ("one_score_each", f"INSERT INTO scores FROM scores {ONE_SCORE}"),
    ("scores_have_values", f"UPDATE scores SET value = NULL {ONE_SCORE}"),
    ("counts_are_of_the_scores", f"UPDATE scores SET status = 'failed' {ONE_SCORE}"),
    ("counts_are_of_the_scores", "UPDATE scores SET value = value / 2"),
    ("counts_are_of_the_scores", "UPDATE dictionary_scores SET n_rare = n_rare + 1"),
    ("counts_are_of_the_scores", f"DELETE FROM scores {ONE_SCORE}"),
    ("scores_have_values", f"UPDATE scores SET status = 'failed' {ONE_SCORE}"),
    ("scores_have_values", "UPDATE scores SET value = 0 WHERE status = 'dead'"),
    ("scores_have_values", "UPDATE scores SET value = 0.01 WHERE status = 'constant'"),
    ("scores_have_values", f"UPDATE scores SET value = 'nan' {ONE_SCORE}"),
    ("scores_have_values", f"UPDATE scores SET n_failed = -1 {ONE_SCORE}"),
    ("intervals_hold_values", f"UPDATE scores SET ci_low = value + 0.01 {ONE_SCORE}"),
    ("intervals_hold_values", f"UPDATE scores SET ci_high = NULL {ONE_SCORE}"),
    ("intervals_hold_values", "UPDATE dictionary_scores SET ci_high = mean - 0.01 WHERE explainer = 'lexical'"),
    ("intervals_hold_values", "UPDATE comparisons SET simultaneous_low = difference + 0.01"),
    ("intervals_hold_values", "UPDATE comparisons SET scored_simultaneous_low = scored_difference + 0.01"),
    ("intervals_hold_values", "UPDATE dictionary_scores SET mean_all_high = mean_all - 0.01 WHERE design = 'sample'"),
    ("intervals_hold_values", "UPDATE powered_means SET ci_low = mean + 0.01"),
    ("intervals_hold_values", "UPDATE powered_differences SET simultaneous_high = difference - 0.01"),
    ("census_pearson_recomputed", f"UPDATE scores SET value = value + 2e-9 {ONE_SCORE}"),
    ("census_pearson_recomputed", "UPDATE score_moments SET tp = list_transform(tp, lambda x: x * 1.0001)"),
    ("census_pearson_recomputed", "DELETE FROM score_moments WHERE feature = 1"),
    ("probabilities_possible", f"UPDATE exemplars SET probability = 0 {ONE_EXEMPLAR}"),
    ("probabilities_possible", f"UPDATE exemplars SET probability = 1.1 {ONE_EXEMPLAR}"),
    ("probabilities_possible", "UPDATE pool SET u = 1 WHERE pool = 3"),
    ("probabilities_possible", "UPDATE simulations SET size_class = 1 WHERE class = 'R'"),
    ("classes_add_up", "UPDATE simulations SET size_class = size_class + 1 WHERE class = 'R'"),
    ("classes_add_up", "DELETE FROM simulations WHERE class = 'R'"),
    ("classes_add_up", "UPDATE simulations SET n_class = n_class + 1 WHERE class = 'F1'"),
    ("simulations_whole", "UPDATE simulations SET prediction = prediction[:3] WHERE class = 'T'"),
    ("simulations_whole", "UPDATE simulations SET truth = list_transform(truth, lambda x: 'inf'::FLOAT)"),
    ("scored_in_score_split", "UPDATE pool SET context = 0 WHERE pool = 3"),
    ("scored_in_score_split", "UPDATE pool SET split = 'score', pool = pool + 25 WHERE split = 'select'"),
    ("scored_in_score_split", "UPDATE simulations SET context = 0 WHERE class = 'T'"),
    ("scored_in_score_split", "UPDATE judgements SET context = 99999 WHERE fires"),
    ("choices_whole", "DELETE FROM choices WHERE option = 3"),
    ("choices_whole", "UPDATE choices SET is_right = true WHERE option = 2"),
    ("choices_whole", "UPDATE choices SET probability = NULL WHERE option = 2"),
    ("choices_whole", "UPDATE choices SET context = 0, window_start = 0"),
    ("generations_possible", "UPDATE generations SET reached = NULL"),
    ("generations_possible", "UPDATE generations SET max_activation = 0"),
    ("generations_possible", "UPDATE generations SET status = 'empty'"),
    ("weights_add_up", "UPDATE judgements SET weight = 0 WHERE NOT fires"),
    ("judgements_name_their_calls", "UPDATE judgements SET request = 'nowhere' WHERE run IS NOT NULL"),
    ("judgements_name_their_calls", "UPDATE judgements SET sample = 1 WHERE run IS NOT NULL"),
    ("judgements_name_their_calls", "UPDATE judgements SET request = NULL, sample = NULL"),
    ("judgements_name_their_calls", "UPDATE judgements SET request = 'r1' WHERE run IS NULL"),
    ("judgements_name_their_calls", "UPDATE llm_calls SET status = 'refused'"),
    ("drafts_chosen_on_select", "UPDATE drafts SET chosen = NOT chosen"),
    ("drafts_chosen_on_select", "UPDATE drafts SET select_score = 0.9 WHERE draft = 0"),
    ("drafts_chosen_on_select", "UPDATE drafts SET text = 'another' WHERE chosen"),
    ("drafts_chosen_on_select", "UPDATE drafts SET shown_contexts = select_contexts"),
    (
        "drafts_chosen_on_select",
        "UPDATE drafts SET select_contexts = (SELECT [min(context)] FROM contexts WHERE split = 'score')",
    ),
    ("references_exist", "UPDATE explanations SET feature = 77 WHERE feature = 3"),
    ("references_exist", "UPDATE explanations SET lookup = 'nowhere' WHERE feature = 3"),
    ("references_exist", "UPDATE sample_lists SET lookup = 'nowhere'"),
    ("references_exist", "UPDATE logit_effects SET token = 40 WHERE feature = 3"),
    ("references_exist", "UPDATE causal_effects SET feature = 40 WHERE feature = 3"),
    ("rows_of_done_work", "UPDATE causal_effects SET run = 'of nobody' WHERE feature = 3"),
    ("keys_unique", "INSERT INTO causal_effects FROM causal_effects WHERE feature = 3 AND direction = 'feature'"),
    ("effects_possible", "DELETE FROM causal_effects WHERE feature = 3 AND direction = 'isotropic'"),
    ("effects_possible", "UPDATE causal_effects SET norm = 1 WHERE feature = 3 AND direction = 'covariance'"),
    ("effects_possible", "UPDATE causal_effects SET kl = -0.1 WHERE feature = 3 AND direction = 'feature'"),
    ("effects_possible", "UPDATE causal_effects SET moved = [3] WHERE feature = 3 AND direction = 'feature'"),
    ("effects_possible", "UPDATE causal_effects SET direct_share = .5 WHERE feature = 3 AND direction = 'isotropic'"),
    ("effects_possible", "UPDATE causal_effects SET split = 'select' WHERE feature = 3 AND split = 'score'"),
    ("references_exist", "UPDATE token_changes SET feature = 40 WHERE feature = 3"),
    ("references_exist", "UPDATE token_changes SET token = 4000 WHERE feature = 3 AND rank = 3"),
    ("rows_of_done_work", "UPDATE token_changes SET run = 'of nobody'"),
    ("rows_of_done_work", "UPDATE token_change_strengths SET run = 'of nobody'"),
    ("keys_unique", "INSERT INTO token_changes FROM token_changes WHERE feature = 3"),
    ("keys_unique", "INSERT INTO token_change_strengths FROM token_change_strengths WHERE feature = 3"),
    ("references_exist", "UPDATE token_change_distractors SET feature = 40 WHERE feature = 3"),
    ("rows_of_done_work", "UPDATE token_change_distractors SET run = 'of nobody'"),
    ("keys_unique", "INSERT INTO token_change_distractors FROM token_change_distractors WHERE feature = 3"),
    ("distractors_are_not_promoted", "UPDATE token_change_distractors SET tokens = [14, 20] WHERE feature = 3"),
    ("distractors_are_not_promoted", "UPDATE token_change_distractors SET made_like = [11, 12] WHERE feature = 3"),
    ("references_exist", "UPDATE steered_texts SET feature = 40 WHERE feature = 3"),
    ("rows_of_done_work", "UPDATE steered_texts SET run = 'of nobody'"),
    ("keys_unique", "INSERT INTO steered_texts FROM steered_texts WHERE feature = 3"),
    ("picks_whole", "UPDATE steered_texts SET kl_select = 0.4 WHERE feature = 3"),
    ("picks_whole", "UPDATE steered_texts SET kl = -0.1 WHERE feature = 3"),
    ("references_exist", "UPDATE steering_strengths SET dictionary = 'nobody' WHERE dictionary = 'sae'"),
    ("rows_of_done_work", "UPDATE steering_strengths SET run = 'of nobody'"),
    ("keys_unique", "INSERT INTO steering_strengths FROM steering_strengths"),
    ("picks_whole", "UPDATE steering_strengths SET chosen = true"),
    ("effects_possible", "UPDATE causal_effects SET loss_estimate = 'nan' WHERE loss_change IS NOT NULL"),
    ("effects_possible", "UPDATE causal_effects SET likeliest = NULL WHERE feature = 3"),
    ("effects_possible", "UPDATE causal_effects SET likeliest_change = [0.1] WHERE feature = 3"),
    ("effects_possible", "UPDATE causal_effects SET likeliest_estimate = [0.1, 'nan'::FLOAT] WHERE feature = 3"),
    ("effects_possible", "UPDATE causal_effects SET likeliest = [11, 11] WHERE likeliest IS NOT NULL"),
    ("effects_possible", "UPDATE causal_effects SET likeliest = [12, 11] WHERE direction = 'isotropic'"),
    ("effects_possible", "UPDATE causal_effects SET loss_change = NULL WHERE feature = 3 AND direction = 'feature'"),
    ("sensitivity_possible", "UPDATE sensitivity SET last_distance = [0.1] WHERE feature = 3"),
    ("sensitivity_possible", "UPDATE sensitivity SET last_distance = [0.1, -0.2, 0.3] WHERE feature = 3"),
    ("sensitivity_possible", "UPDATE sensitivity SET last_distance = [0.1, 'inf'::DOUBLE, 0.3] WHERE feature = 3"),
    ("picks_whole", "UPDATE steering_strengths SET kl = 0.6 WHERE chosen"),
    ("picks_whole", "UPDATE steering_strengths SET accuracy = 1.5 WHERE chosen"),
    ("picks_whole", "UPDATE steering_strengths SET accuracy = NULL WHERE chosen"),
    ("picks_whole", "UPDATE steering_strengths SET n_unreached = 5"),
    ("picks_whole", "UPDATE steered_texts SET context = (SELECT min(context) FROM contexts WHERE split = 'explain')"),
    ("keys_unique", "INSERT INTO picks FROM picks"),
    ("rows_of_done_work", "UPDATE picks SET run = 'of nobody'"),
    ("references_exist", "UPDATE picks SET source = 40 WHERE option = 1"),
    ("picks_whole", "DELETE FROM picks WHERE option = 2"),
    ("picks_whole", "UPDATE picks SET is_right = true WHERE option = 2"),
    ("picks_whole", "UPDATE picks SET probability = 0.5 WHERE option = 2"),
    ("picks_whole", "UPDATE picks SET number = 3 WHERE option = 2"),
    ("token_changes_possible", "UPDATE token_changes SET change = -change WHERE feature = 3 AND rank = 1"),
    ("token_changes_possible", "UPDATE token_changes SET token = 10 WHERE feature = 3 AND rank = 2"),
    ("token_changes_possible", "UPDATE token_changes SET rank = 5 WHERE feature = 3 AND rank = 3"),
    ("token_changes_possible", "UPDATE token_changes SET error = -0.1 WHERE feature = 3 AND rank = 3"),
    ("token_changes_possible", "DELETE FROM token_changes WHERE feature = 3 AND side = 'fallen'"),
    ("token_changes_possible", "DELETE FROM token_change_strengths WHERE feature = 3 AND direction = 'covariance'"),
    ("token_changes_possible", "UPDATE token_change_strengths SET kl = -0.1 WHERE feature = 3 AND split = 'score'"),
    ("token_changes_possible", "UPDATE token_change_strengths SET activation = 9 WHERE split = 'score'"),
    ("token_changes_possible", "UPDATE token_change_strengths SET n_tokens = 127 WHERE feature = 3"),
    ("references_exist", "UPDATE output_scores SET feature = 40 WHERE feature = 3"),
    ("rows_of_done_work", "UPDATE output_scores SET run = 'of nobody'"),
    ("keys_unique", "INSERT INTO output_scores FROM output_scores WHERE feature = 3"),
    ("output_scores_possible", "UPDATE output_scores SET score = 0.5 WHERE feature = 3"),
    ("output_scores_possible", "UPDATE output_scores SET token = 11 WHERE feature = 3"),
    ("output_scores_possible", "UPDATE output_scores SET activation = 1.01 * activation WHERE feature = 3"),
    ("output_scores_possible", "UPDATE output_scores SET status = 'silent' WHERE feature = 3"),
    ("output_scores_possible", "UPDATE output_scores SET status = 'ok' WHERE status = 'silent'"),
    ("output_scores_possible", "DELETE FROM output_scores WHERE feature = 3"),
    ("references_exist", "UPDATE effect_means SET dictionary = 'nobody' WHERE dictionary = 'random'"),
    ("references_exist", "UPDATE effect_differences SET b = 'nobody' WHERE b = 'random'"),
    ("rows_of_done_work", "UPDATE effect_means SET run = 'of nobody'"),
    ("rows_of_done_work", "UPDATE effect_differences SET run = 'of nobody'"),
    ("keys_unique", "INSERT INTO effect_means FROM effect_means WHERE measure = 'direct_share'"),
    ("keys_unique", "INSERT INTO effect_differences FROM effect_differences WHERE b = 'random'"),
    ("intervals_hold_values", "UPDATE effect_means SET ci_high = mean - 1 WHERE measure = 'step_050'"),
    ("intervals_hold_values", "UPDATE effect_differences SET ci_low = NULL WHERE measure = 'step_050'"),
    ("intervals_hold_values", "UPDATE effect_differences SET simultaneous_low = difference + 1"),
    ("effect_comparisons_recomputed", "UPDATE effect_means SET mean = mean + 1e-6 WHERE measure = 'step_025'"),
    ("effect_comparisons_recomputed", "UPDATE effect_means SET n_features = n_features + 1 WHERE dictionary = 'sae'"),
    ("effect_comparisons_recomputed", "UPDATE effect_means SET n_unreached = 1 WHERE measure = 'kl_of_entropy'"),
    ("effect_comparisons_recomputed", "DELETE FROM effect_means WHERE measure = 'direct_share'"),
    ("effect_comparisons_recomputed", "UPDATE sensitivity SET size_050 = 1.01 * size_050 WHERE feature = 3"),
    ("effect_comparisons_recomputed", "UPDATE effect_differences SET difference = difference + 1e-6 WHERE b = 'sae'"),
    ("effect_comparisons_recomputed", "UPDATE effect_differences SET difference = NULL WHERE measure = 'step_050'"),
    ("effect_comparisons_recomputed", "UPDATE effect_differences SET n_b = n_b - 1 WHERE b = 'random'"),
    ("effect_comparisons_recomputed", "UPDATE effect_differences SET n_reached = n_reached - 1 WHERE n_reached > 0"),
    ("effect_comparisons_recomputed", "UPDATE effect_differences SET verdict = 'A' WHERE verdict = 'undecided'"),
    ("effect_comparisons_recomputed", "UPDATE effect_differences SET p_holm = p / 2 WHERE p > 0"),
    ("references_exist", "UPDATE feature_geometry SET feature = 40 WHERE feature = 3"),
    ("references_exist", "UPDATE description_lengths SET dictionary = 'nobody'"),
    ("references_exist", "UPDATE dictionary_similarities SET a = 'nobody' WHERE a = 'sae'"),
    ("rows_of_done_work", "UPDATE feature_geometry SET run = 'of nobody' WHERE feature = 3"),
    ("rows_of_done_work", "UPDATE description_lengths SET run = 'of nobody'"),
    ("rows_of_done_work", "UPDATE dictionary_similarities SET run = 'of nobody'"),
    ("keys_unique", "INSERT INTO feature_geometry FROM feature_geometry WHERE feature = 3"),
    ("keys_unique", "INSERT INTO description_lengths FROM description_lengths"),
    ("keys_unique", "INSERT INTO dictionary_similarities FROM dictionary_similarities WHERE a = 'sae'"),
    ("geometry_possible", "UPDATE feature_geometry SET cosine = 1.1 WHERE feature = 3"),
    ("geometry_possible", "UPDATE feature_geometry SET cosine = NULL WHERE feature = 3"),
    ("geometry_possible", "UPDATE feature_geometry SET nearest = feature"),
    ("geometry_possible", "UPDATE feature_geometry SET nearest = 6 WHERE feature = 3"),
    ("geometry_possible", "UPDATE feature_geometry SET atoms = [feature]"),
    ("geometry_possible", "UPDATE feature_geometry SET atoms = [1, 1] WHERE feature = 3"),
    ("geometry_possible", "UPDATE feature_geometry SET explained = list_reverse(explained) WHERE feature = 3"),
    ("geometry_possible", "UPDATE feature_geometry SET explained = explained[:7] WHERE feature = 3"),
    ("geometry_possible", "UPDATE feature_geometry SET explained = [0.5, 1, 1, 1, 1, 1, 1, 1] WHERE cosine = 0.8"),
    ("geometry_possible", "UPDATE feature_geometry SET status = 'zero' WHERE feature = 3"),
    ("geometry_possible", "UPDATE feature_geometry SET neuron_cosine = NULL WHERE feature = 3"),
    ("geometry_possible", "UPDATE description_lengths SET bits = -1"),
    ("geometry_possible", "UPDATE description_lengths SET variance_explained = 1.5 WHERE dictionary = 'sae'"),
    ("geometry_possible", "UPDATE dictionary_similarities SET cka = 0.6 WHERE a = 'sae'"),
    ("geometry_possible", "UPDATE dictionary_similarities SET rsa = 1.5"),
    ("references_exist", "UPDATE feature_matches SET feature = 40 WHERE feature = 3"),
    ("rows_of_done_work", "UPDATE feature_matches SET run = 'of nobody' WHERE feature = 3"),
    ("keys_unique", "INSERT INTO feature_matches FROM feature_matches WHERE feature = 3"),
    ("geometry_possible", "UPDATE feature_matches SET match = 40 WHERE feature = 2"),
    ("geometry_possible", "UPDATE feature_matches SET status = 'ok' WHERE feature = 3"),
    ("geometry_possible", "UPDATE feature_matches SET correlation = 0.4 WHERE feature = 2"),
    ("geometry_possible", "DELETE FROM feature_matches WHERE feature = 5"),
    ("geometry_possible", "UPDATE dictionary_similarities SET n_compared = 7"),
    ("geometry_possible", "UPDATE dictionary_similarities SET share_070 = 0.9"),
    ("geometry_possible", "UPDATE dictionary_similarities SET share_050 = NULL, share_070 = NULL"),
    ("references_exist", "UPDATE sensitivity SET feature = 40 WHERE feature = 3"),
    ("rows_of_done_work", "UPDATE sensitivity SET run = 'of nobody' WHERE feature = 3"),
    ("keys_unique", "INSERT INTO sensitivity FROM sensitivity WHERE feature = 3 AND direction = 'feature'"),
    ("sensitivity_possible", "UPDATE sensitivity SET sizes = [1, 0.5, 2] WHERE feature = 3"),
    ("sensitivity_possible", "UPDATE sensitivity SET kl = [0.1, 0.4] WHERE feature = 3"),
    ("sensitivity_possible", "UPDATE sensitivity SET kl = [-0.1, 0.4, 1.6] WHERE direction = 'feature'"),
    ("sensitivity_possible", "UPDATE sensitivity SET size_050 = NULL WHERE direction = 'feature'"),
    ("sensitivity_possible", "UPDATE sensitivity SET size_100 = 1.6 WHERE direction = 'isotropic'"),
    ("sensitivity_possible", "UPDATE sensitivity SET size_025 = 1.2 WHERE direction = 'feature'"),
    ("sensitivity_possible", "UPDATE sensitivity SET steepest = 3 WHERE feature = 3"),
    ("references_exist", "UPDATE context_effects SET feature = 40 WHERE feature = 3"),
    ("references_exist", "UPDATE following_effects SET feature = 40 WHERE feature = 3"),
    ("rows_of_done_work", "UPDATE context_effects SET run = 'of nobody' WHERE feature = 3"),
    ("rows_of_done_work", "UPDATE following_effects SET run = 'of nobody' WHERE feature = 3"),
    ("keys_unique", "INSERT INTO context_effects FROM context_effects WHERE feature = 3 AND other IS NOT NULL"),
    ("keys_unique", "INSERT INTO following_effects FROM following_effects WHERE feature = 3"),
    ("context_possible", "UPDATE context_effects SET position = peak WHERE feature = 3 AND other IS NULL"),
    ("context_possible", "UPDATE context_effects SET activation = 9 WHERE feature = 3 AND other IS NULL"),
    ("context_possible", "UPDATE context_effects SET activation = 9 WHERE feature = 3"),
    ("context_possible", "UPDATE context_effects SET replaced = -1 WHERE feature = 3"),
    ("context_possible", "UPDATE context_effects SET masked = NULL WHERE feature = 3 AND other IS NULL"),
    ("context_possible", "UPDATE context_effects SET cut = NULL WHERE feature = 3"),
    ("context_possible", "UPDATE context_effects SET other = position WHERE feature = 3 AND other IS NOT NULL"),
    ("context_possible", "UPDATE context_effects SET removed = 0 WHERE feature = 3 AND other IS NOT NULL"),
    ("context_possible", "UPDATE following_effects SET start = start + 1 WHERE feature = 3"),
    ("context_possible", "UPDATE following_effects SET n_firing = 0 WHERE feature = 3"),
    ("context_possible", "UPDATE following_effects SET logp_change = list_append(logp_change[2:], 'nan'::FLOAT)"),
    ("references_exist", "UPDATE pool_firing SET listed = [25], bits = NULL WHERE feature = 3"),
    ("distractors_are_not_promoted", "UPDATE logit_distractors SET tokens = [10] WHERE kind = 'neighbour'"),
    ("distractors_are_not_promoted", "UPDATE logit_distractors SET made_like = [39, 20] WHERE kind = 'similar'"),
    ("distractors_are_not_promoted", "UPDATE logit_distractors SET tokens = [20] WHERE kind = 'similar'"),
    ("references_exist", "UPDATE pool_firing SET listed = [12] WHERE feature = 2 AND split = 'select'"),
    ("references_exist", "UPDATE pool_firing SET listed = [2, 1] WHERE feature = 2"),
    ("references_exist", "UPDATE pool_firing SET listed = NULL WHERE feature = 2"),
    ("references_exist", "UPDATE pool_firing SET listed = [1] WHERE feature = 3"),
    ("references_exist", "UPDATE pool_firing SET bits = bits || '\\x00'::BLOB WHERE feature = 3"),
    (
        "references_exist",
        "UPDATE pool_firing SET bits = '\\x00\\x00\\x00\\x01'::BLOB WHERE feature = 3 AND split = 'score'",
    ),
    ("references_exist", "UPDATE dictionaries SET matched_to = 'sea' WHERE dictionary = 'random'"),
    ("references_exist", "DELETE FROM dictionaries WHERE dictionary = 'random'"),
    ("references_exist", "DELETE FROM llm_prefixes"),
    ("rows_of_done_work", "UPDATE stages SET work = 'x' WHERE stage = 'explain' AND dictionary = 'sae'"),
    ("rows_of_done_work", "UPDATE works SET run = 'x' WHERE stage = 'explain'"),
    ("rows_of_done_work", "UPDATE again SET explained = [3]"),
    ("rows_of_done_work", "UPDATE scores SET run = 'means-sae' WHERE feature = 1 AND dictionary = 'sae'"),
    ("rows_of_done_work", "UPDATE powered_means SET run = 'score-sae'"),
    ("rows_of_done_work", "UPDATE label_chances SET run = 'score-sae'"),
    ("references_exist", "UPDATE label_chances SET feature = 77 WHERE feature = 3"),
    ("intervals_hold_values", "UPDATE label_chances SET ci_low = 0.8 WHERE feature = 1"),
    ("chances_possible", "UPDATE label_chances SET probability = 1.2, ci_high = 1.2 WHERE feature = 1"),
    ("chances_possible", "UPDATE label_chances SET probability = NULL WHERE feature = 2"),
    ("chances_possible", "UPDATE label_chances SET status = 'base_rate' WHERE feature = 3"),
    ("chances_possible", "UPDATE label_chances SET status = 'rare' WHERE status = 'dead'"),
    ("chances_possible", "UPDATE label_chances SET status = 'unknown' WHERE feature = 3"),
    ("chances_possible", "UPDATE label_chances SET n_scored = 0 WHERE feature = 1"),
    (
        "chances_possible",
        "UPDATE label_chances SET feature = 0, scorer = 'simulation', metric = 'pearson_framed' WHERE feature = 1",
    ),
    ("rows_of_done_work", "UPDATE powered_differences SET run = 'score-sae'"),
    ("rows_of_done_work", "UPDATE dictionary_scores SET run = 'score-sae' WHERE dictionary = 'sae'"),
    ("rows_of_done_work", "DELETE FROM stages WHERE stage = 'compare'"),
    ("rows_of_done_work", "UPDATE simulations SET run = 'x' WHERE feature = 0 AND dictionary = 'sae'"),
    ("controls_marked", "UPDATE explanations SET is_control = false WHERE explainer = 'shuffled'"),
    ("controls_marked", "UPDATE explanations SET is_control = true WHERE explainer = 'lexical'"),
    ("descriptions_measured", f"UPDATE explanations SET text = text || ' and so on' {ONE_TEXT}"),
    ("descriptions_measured", f"UPDATE explanations SET promotes = 'many more tokens' {ONE_TEXT}"),
    ("descriptions_measured", "UPDATE explanations SET n_entries = NULL WHERE explainer = 'lexical' AND feature = 1"),
    (  # what a table leaves out of its text counts, and a label has nothing to add
        "descriptions_measured",
        "UPDATE explanations SET description_length = description_length - 3 WHERE explainer = 'token_lookup'",
    ),
    (
        "descriptions_measured",
        f"UPDATE explanations SET description_length = description_length + 3 {ONE_TEXT}",
    ),
    ("rows_of_done_work", "INSERT INTO stages SELECT * REPLACE ('y' AS work) FROM stages WHERE stage = 'extract'"),
    *(
        ("keys_unique", f"INSERT INTO {table} FROM {table} LIMIT 1")
        for table in (
            "meta", "runs", "works", "stages", "subjects", "vocab", "token_splits", "dictionaries", "features",
            "feature_splits", "feature_tokens", "feature_diagnostics", "feature_neighbours", "contexts",
            "pool", "pool_firing", "logit_effects", "logit_distractors",
            "lookups", "explanations", "again", "drafts", "sample_lists", "simulations", "judgements",
            "token_judgements", "choices", "generations", "feature_blocks",
            "score_moments", "scores",
            "dictionary_scores", "comparisons", "powered_means", "powered_differences", "label_chances",
            "llm_calls", "llm_prefixes", "llm_probes", "llm_batches",
            "llm_batch_requests",
        )
    ),
    ("keys_unique", "INSERT INTO exemplars SELECT * EXCLUDE (max_activation) FROM exemplars LIMIT 1"),
    (
        "keys_unique",
        "INSERT INTO exemplars SELECT * EXCLUDE (max_activation) REPLACE ('F' AS stratum, 99 AS rank) FROM exemplars "
        "WHERE stratum = 'T'",
    ),
]  # fmt: skip


class Corrupted:
    """A store that is changed inside a transaction which is never committed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def query(self, sql: str, /, **parameters: Any) -> Any:
        return self.connection.sql(sql, params=parameters or None).to_arrow_table()

    def rows(self, sql: str, /, **parameters: Any) -> list[dict[str, Any]]:
        return list(self.query(sql, **parameters).to_pylist())


@pytest.fixture(scope="module")
def connection(
    built: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    path = shutil.copy(built[0], tmp_path_factory.mktemp("corrupted") / "x.duckdb")
    with duckdb.connect(str(path)) as connection:
        yield connection


@pytest.mark.parametrize(("name", "corruption"), CORRUPTIONS)
def test_a_check_fails_on_a_store_that_is_wrong_in_its_way(
    connection: duckdb.DuckDBPyConnection, name: str, corruption: str
) -> None:
    connection.execute("BEGIN TRANSACTION")
    try:
        changed = connection.execute(corruption).fetchall()
        check = run_check(Corrupted(connection), name)
    finally:
        connection.execute("ROLLBACK")
    assert changed[0][0] > 0
    assert not check.ok
    assert check.detail.startswith("NOT TRUE: ")
    assert "e.g. None" not in check.detail
    assert "\n" not in check.detail


def test_every_check_has_been_seen_to_fail() -> None:
    assert {name for name, _ in CORRUPTIONS} == set(check_names())
