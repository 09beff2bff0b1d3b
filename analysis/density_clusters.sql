-- Is there a cluster of ultralow density, and how much of all firing is its?
-- Does it differ in encoder bias and in cos(encoder, decoder), as that of Bricken et al. (2023) does? A row a cluster.
SELECT f.dictionary, coalesce(d.density_cluster, 'dead') AS cluster, any_value(d.ultralow_below) AS ultralow_below,
       count(*) AS features, sum(f.n_firing)::BIGINT AS firings,
       round(sum(f.n_firing) / sum(sum(f.n_firing)) OVER (PARTITION BY f.dictionary), 4) AS share_of_firings,
       median(f.density) FILTER (f.n_firing > 0) AS median_density,
       round(median(f.encoder_bias), 3) AS median_bias, round(stddev(f.encoder_bias), 3) AS sd_bias,
       round(median(f.cos_encoder_decoder), 3) AS median_cos, round(stddev(f.cos_encoder_decoder), 3) AS sd_cos
FROM features f JOIN feature_diagnostics d USING (dictionary, feature)
GROUP BY f.dictionary, d.density_cluster ORDER BY f.dictionary, cluster;
