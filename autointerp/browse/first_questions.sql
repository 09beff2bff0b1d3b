-- Which features are dead?
SELECT dictionary, feature FROM features WHERE status = 'dead'

-- What is feature 5 of mlp-1k, at a glance?
SELECT * FROM feature_cards WHERE dictionary = 'mlp-1k' AND feature = 5

-- In which texts does it fire? The tokens on which it does stand in «marks».
SELECT stratum, activation, text FROM exemplar_texts WHERE dictionary = 'mlp-1k' AND feature = 5 AND split = 'explain' ORDER BY stratum, rank

-- Which tokens does it make likelier?
SELECT text, effect, z FROM promoted_tokens WHERE dictionary = 'mlp-1k' AND feature = 5 AND direction = 'promoted' ORDER BY rank

-- What happens to the output without it? Beside it, random directions of its norm.
SELECT split, direction, n, kl, kl_of_entropy, loss_change, direct_share FROM feature_effects WHERE dictionary = 'mlp-1k' AND feature = 5 ORDER BY ALL

-- Which of the tokens before it does a firing depend on? Each taken away on its own: the share of the activation that goes with it.
SELECT context, peak, place, text, removed, masked, replaced FROM context_tokens WHERE dictionary = 'mlp-1k' AND feature = 5 ORDER BY context, peak, place

-- What does it do to the tokens that follow? The change of their log probability without it; below 0, it makes them likelier.
SELECT context, peak, place, text, logp_change FROM following_tokens WHERE dictionary = 'mlp-1k' AND feature = 5 ORDER BY context, peak, place

-- How far must a step go to move the output by 0.5 nats? Along features, beside other directions, in norms of the activation.
SELECT dictionary, direction, n_features, size_025, size_050, size_100, reach_050 FROM dictionary_sensitivity ORDER BY ALL

-- Which features fire on this token, and what are they said to do?
SELECT dictionary, feature, share, fires_on, label FROM token_features WHERE token_text = ' return' ORDER BY share DESC LIMIT 20

-- Which labels predict worst?
SELECT dictionary, feature, explanation, score FROM feature_cards WHERE score IS NOT NULL ORDER BY score LIMIT 20

-- Where was a label wrong? Each window that a judge got wrong, with the label that it had read.
SELECT scorer, wrong, label, text FROM wrong_windows WHERE dictionary = 'mlp-1k' AND feature = 5 ORDER BY scorer, wrong

-- Which labels that nobody scored are likely to hold? Each with the interval of its probability, or why there is none.
SELECT feature, status, probability, ci_low, ci_high, label FROM unscored_labels WHERE dictionary = 'mlp-1k' AND explainer = 'lexical' AND metric = 'mcc_weighted' ORDER BY probability DESC NULLS LAST

-- Is one dictionary better than the other, and can the run tell?
SELECT a, b, explainer, metric, difference, simultaneous_low, simultaneous_high, verdict FROM comparison_table WHERE a = 'mlp-1k' ORDER BY ALL

-- What failed, and why?
SELECT stage, explainer, scorer, status, count(*) AS features, any_value(reason) AS for_example FROM current_failures GROUP BY ALL ORDER BY features DESC

-- What did the language models cost?
SELECT * FROM llm_costs
