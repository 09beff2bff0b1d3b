-- What the activations of each dictionary cost to tell, bits a token, beside the variance that they explain.
SELECT dictionary, bits, coordinate_bits, n_active, variance_explained, hook FROM current_description_lengths
ORDER BY hook, dictionary;
