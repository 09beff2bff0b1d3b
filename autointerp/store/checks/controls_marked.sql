-- A text that an explainer was given to score low is marked as a control, and nothing else is.
SELECT count(*) AS n_checked, count(*) FILTER (is_control <> is_control(explainer)) AS n_wrong,
       min(dictionary || '/' || feature || ', ' || explainer) FILTER (is_control <> is_control(explainer)) AS example
FROM explanations;
