-- Where features' directions lie among those of the other features, beside random ones held against the same rows.
SELECT dictionary, direction, n_features, cosine, explained_2, explained_4, above_covariance, composite, neuron_cosine,
       neuron_correlation
FROM dictionary_geometry ORDER BY dictionary, list_position(['feature', 'isotropic', 'covariance'], direction);
