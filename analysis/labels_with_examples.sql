-- What do labels look like beside what they are about? Ten features of each dictionary, one from each tenth of the scores:
-- density, label, score with its interval, and the text around the strongest firing, which stands between « and ».
-- Dictionaries that are no baseline of another come first.
WITH scored AS (
    SELECT s.dictionary, s.feature, s.explainer, s.design, s.value, s.ci_low, s.ci_high, s.status, e.text,
           ntile(10) OVER (PARTITION BY s.dictionary, s.explainer, s.design ORDER BY s.value, s.feature) AS tenth
    FROM score_table s
    JOIN current_explanations e ON e.dictionary = s.dictionary AND e.feature = s.feature AND e.explainer = s.explainer
    WHERE is_label(s.explainer) AND s.value IS NOT NULL
      AND ((s.metric = 'pearson' AND s.design = 'census')
           OR (s.metric = 'pearson_framed' AND starts_with(s.scorer, 'simulation:') AND NOT contains(s.scorer, '@')))
), chosen AS (
    FROM scored QUALIFY row_number() OVER (PARTITION BY dictionary, explainer, design, tenth ORDER BY value, feature)
                      = (count(*) OVER (PARTITION BY dictionary, explainer, design, tenth) + 1) // 2
), tops AS (
    SELECT x.dictionary, x.feature, x.peak, c.tokens, unnest(range(greatest(x.peak - 7, 0), x.peak + 4)) AS place
    FROM exemplars x JOIN contexts c USING (context)
    WHERE x.split = 'explain' AND x.stratum = 'top' AND x.rank = 0
), examples AS (
    SELECT t.dictionary, t.feature,
           string_agg(CASE WHEN t.place = t.peak THEN '«' || v.text || '»' ELSE v.text END, '' ORDER BY t.place) AS example
    FROM tops t JOIN vocab v ON v.token = t.tokens[t.place + 1] AND NOT v.is_special
    WHERE t.place < len(t.tokens) GROUP BY t.dictionary, t.feature
)
SELECT h.dictionary, h.feature, h.explainer, h.design, round(f.density, 5) AS density, round(h.value, 2) AS score,
       round(h.ci_low, 2) AS ci_low, round(h.ci_high, 2) AS ci_high, h.status, h.text AS explanation, replace(x.example, chr(10), '↵') AS example
FROM chosen h JOIN features f USING (dictionary, feature) JOIN dictionaries d USING (dictionary)
LEFT JOIN examples x USING (dictionary, feature)
ORDER BY d.matched_to IS NOT NULL, h.dictionary, h.explainer, h.design, h.value DESC, h.feature
LIMIT 100;
