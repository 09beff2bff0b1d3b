-- What features do to the output, each pair of dictionaries: differences (of all measures but direct_share log2 of a ratio) with intervals and verdicts.
SELECT measure, a, b, direction_b, n_a, n_b, difference, simultaneous_low, simultaneous_high, p_holm, verdict,
       n_unreached_a, n_unreached_b
FROM effect_difference_table ORDER BY ALL;
