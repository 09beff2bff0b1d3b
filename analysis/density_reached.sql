-- Which baseline features missed the density that they were matched to, on text they were not fitted on?
-- Every matched pair whose firing counts on the score split differ by more than 10 % and 3 firings, furthest first; `own`:
-- what the dictionary's feature itself would fire there at its density of the explain split.
SELECT dictionary, matched_feature, baseline, feature, n_firing, n_firing_baseline,
       round(n_firing_baseline / greatest(n_firing, 1), 3) AS ratio, round(n_expected) AS own, own_within
FROM matched_pairs
WHERE NOT within
ORDER BY abs(ln(greatest(n_firing_baseline, 0.5) / greatest(n_firing, 0.5))) DESC, baseline, feature
LIMIT 100;
