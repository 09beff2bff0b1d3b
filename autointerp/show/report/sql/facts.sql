-- What the store is about: its latest run.
SELECT s.subject, s.architecture, s.n_layers, s.d_model, r.name AS run, r.seed,
       json_extract_string(r.config, '$.tokens.source') AS source,
       json_extract_string(r.config, '$.score.judge.model') AS judge, r.started_at
FROM runs r, subjects s ORDER BY r.started_at DESC LIMIT 1;
