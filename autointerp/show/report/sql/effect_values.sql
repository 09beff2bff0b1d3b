-- What features do to the output, a value for each feature, direction and measure: what the means and differences are of.
SELECT v.dictionary, v.direction, v.measure, v.feature, v.value, v.reached, v.n
FROM effect_values v SEMI JOIN latest_works w USING (dictionary) ORDER BY ALL;
